//! Carries out one commit of plain data in a transaction of its own, and finds out what became of it when the link fails.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::OwnedSemaphorePermit,
    time::{sleep, timeout},
};
use uno_core::{AppendError, CommitError, Position, Receipt};

use crate::{
    batch::{Batch, Manner, Outcome, Verdict},
    fault::Fault,
    hints,
    plain::Plain,
    pool::{Pool, Session},
    probe::Meta,
    shared::Shared,
};

/// How often a commit is begun afresh because somebody else was faster in a way that only a fresh start can judge.
const STARTS: u32 = 10;

/// Sends a batch as a transaction of its own: one round trip, unless the connection may change between statements.
pub(crate) async fn transact(
    session: &mut Session,
    batch: &Batch<'_>,
    manner: Manner,
) -> Result<Outcome, Fault> {
    let within = session.shared().options.answer_within();
    let exchange = async {
        if session.shared().options.is_prepared() {
            return batch.send(session, manner).await;
        }
        session.begin().await?;
        match batch.send(session, manner).await {
            Ok(outcome) => {
                session.commit().await?;
                Ok(outcome)
            }
            Err(fault) => Err(session.rollback_after(fault).await),
        }
    };
    let result = timeout(within, exchange)
        .await
        .unwrap_or_else(|_| Err(Fault::late()));
    if result
        .as_ref()
        .err()
        .is_some_and(|fault| !fault.keeps_connection())
    {
        session.set_broken();
    }
    result
}

/// Notes what is committed, before anybody is told.
pub(crate) fn note(pool: &Arc<Pool>, outcome: Option<&Outcome>) {
    let shared = pool.shared();
    if let Some(position) = outcome.and_then(Outcome::last_position) {
        shared.log_floor.raise(position);
    }
    if let Some(number) = outcome.and_then(Outcome::last_number) {
        shared.queue_floor.raise(number);
    }
    shared.changed();
    hints::send(pool);
}

/// The same for what an import has stored.
pub(crate) fn note_position(pool: &Arc<Pool>, position: Option<Position>) {
    if let Some(position) = position {
        pool.shared().log_floor.raise(position.as_i64());
        pool.shared().changed();
        hints::send(pool);
    }
}

/// Carries out one commit.
///
/// `doubt`: it was sent before, and what became of it is not known. A commit with events is then simply sent again: the
/// ids of its events say whether it was done, definitely, since whoever has not finished yet holds the streams' rows.
pub(crate) async fn carry_out(
    pool: &Arc<Pool>,
    mut permit: Option<OwnedSemaphorePermit>,
    shared: &Shared,
    commit: &Plain,
    doubt: Option<Fault>,
) -> Result<Receipt, CommitError> {
    let batch = Batch::new([commit]);
    let mut doubt = doubt;
    let mut careful = doubt.is_some();
    let mut last = None;
    for start in 0..STARTS {
        if start > 0 {
            sleep(Duration::from_millis(2) * start).await;
        }
        if doubt.is_some() && commit.event_count() == 0 {
            break;
        }
        let fault = match begin(
            pool,
            permit.take(),
            &batch,
            Manner {
                patient: true,
                careful,
            },
        )
        .await
        {
            Attempt::Done(outcome, meta) => {
                let verdict = outcome
                    .verdicts(&batch, meta.epoch)
                    .map(|mut verdicts| verdicts.pop());
                match verdict {
                    Ok(Some(Verdict::Told(told))) => {
                        if told.is_ok() {
                            note(pool, Some(&outcome));
                        }
                        return told;
                    }
                    Ok(Some(Verdict::Locked) | None) => return Err(strange(shared)),
                    Err(fault) => return Err(fault.into_store_error(&shared.location).into()),
                }
            }
            Attempt::NotSent(fault) if doubt.is_none() => {
                return Err(fault.into_store_error(&shared.location).into());
            }
            Attempt::NotSent(fault) => fault,
            Attempt::Sent(fault) => fault,
        };
        match &fault {
            Fault::Link(_) if doubt.is_none() => {
                careful = true;
                doubt = Some(fault);
            }
            Fault::Link(_) => last = Some(fault),
            _ if fault.is_duplicate() => {
                careful = true;
                last = Some(fault);
            }
            _ if fault.is_retryable() => last = Some(fault),
            _ => {
                last = Some(fault);
                break;
            }
        }
    }
    match (doubt, last) {
        (Some(doubt), _) => Err(AppendError::Unknown(doubt.into_source()).into()),
        (None, Some(fault)) => Err(fault.into_store_error(&shared.location).into()),
        (None, None) => Err(strange(shared)),
    }
}

/// What came of one attempt.
enum Attempt {
    Done(Outcome, Meta),
    /// Nothing was asked of the server.
    NotSent(Fault),
    /// The server answered with a refusal, or not at all.
    Sent(Fault),
}

async fn begin(
    pool: &Arc<Pool>,
    permit: Option<OwnedSemaphorePermit>,
    batch: &Batch<'_>,
    manner: Manner,
) -> Attempt {
    let permit = match permit {
        Some(permit) => permit,
        None => match pool.permit().await {
            Ok(permit) => permit,
            Err(error) => return Attempt::NotSent(Fault::Store(error)),
        },
    };
    let mut session = match pool.session(permit).await {
        Ok(session) => session,
        Err(fault) => return Attempt::NotSent(fault),
    };
    let meta = match session.ready_alone().await {
        Ok(meta) => meta,
        Err(fault) => {
            if fault.keeps_connection() {
                session.give_back();
            }
            return Attempt::NotSent(fault);
        }
    };
    let result = transact(&mut session, batch, manner).await;
    session.give_back();
    match result {
        Ok(outcome) => Attempt::Done(outcome, meta),
        Err(fault) => Attempt::Sent(fault),
    }
}

fn strange(shared: &Shared) -> CommitError {
    Fault::corrupt("the answer of the function commit is not what it must be")
        .into_store_error(&shared.location)
        .into()
}
