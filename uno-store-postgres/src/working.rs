//! Carries out a commit with the caller's own work: one transaction, the work first, the append last.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use sqlx::{ConnectOptions as _, Row as _};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};
use uno_core::{AppendError, BoxError, CommitError, EventId, NewEvent, Receipt, Work};

use crate::{
    PgTx,
    alone::note,
    batch::{Batch, Manner, Outcome, Verdict},
    fault::Fault,
    nesting,
    plain::Plain,
    pool::{Pool, Session},
    probe::Meta,
    shared::Shared,
    value::PgUuid,
};

/// How often the append is begun afresh within the transaction. The work is never run again.
const STARTS: u32 = 10;

/// Before the append: a place to come back to, and a limit for silence. From the append on nothing is waited for, so a
/// transaction that falls silent has lost its program; the server ends it, and the horizon moves on.
const MARK: &str = "SET LOCAL idle_in_transaction_session_timeout = '10s'; SAVEPOINT uno_append";
const BACK: &str = "ROLLBACK TO SAVEPOINT uno_append";

const TRANSACTION: &str = "SELECT pg_current_xact_id_if_assigned()::text";
const STATUS: &str = "SELECT pg_xact_status($1::text::xid8)";
const STORED: &str = "SELECT EXISTS (SELECT FROM {schema}.events e WHERE e.id = $1)";
const TERMINATE: &str = "SELECT pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a \
     WHERE a.pid = $1 AND (extract(epoch FROM a.backend_start) * 1000000)::bigint = $2";

/// Carries out the commit, in a task of its own. `gone` tells that the caller has gone away, which ends work that is
/// still going on; from the append on, the commit is carried through.
pub(crate) async fn carry_out(
    pool: Arc<Pool>,
    shared: Arc<Shared>,
    commit: Plain,
    work: Vec<Work<PgTx>>,
    gone: oneshot::Receiver<()>,
) -> Result<Receipt, CommitError> {
    let (session, meta) = open(&pool, &shared).await?;
    let mut session = run(session, work, gone).await?;
    let clean = timeout(shared.options.answer_within(), session.forget_statements());
    if let Err(fault) = clean.await.unwrap_or_else(|_| Err(Fault::late())) {
        let error = failed(&mut session, fault, &shared);
        session.rollback().await;
        session.give_back();
        return Err(error);
    }
    let appended = if commit.is_empty() {
        nothing_to_append(&mut session, meta, &shared).await
    } else {
        append(&mut session, &Batch::new([&commit]), meta, &shared).await
    };
    let Appended {
        receipt,
        outcome,
        transaction,
    } = match appended {
        Ok(appended) => appended,
        Err(error) => {
            session.rollback().await;
            session.give_back();
            return Err(error);
        }
    };
    if outcome
        .as_ref()
        .is_some_and(|outcome| outcome.is_repeated(0))
    {
        // All of it was done before, the work too, and is not done again.
        session.rollback().await;
        session.give_back();
        return Ok(receipt);
    }
    let event = commit
        .appends
        .iter()
        .find_map(|append| append.events().first())
        .map(NewEvent::id);
    let doubt = transaction.map(|transaction| Doubt { transaction, event });
    finish(session, &pool, &shared, doubt).await?;
    note(&pool, outcome.as_ref());
    Ok(receipt)
}

/// A session within a transaction. A link that turns out to be dead is replaced once: nothing was asked on it.
async fn open(pool: &Arc<Pool>, shared: &Shared) -> Result<(Session, Meta), CommitError> {
    let store = |fault: Fault| CommitError::from(fault.into_store_error(&shared.location));
    let within = shared.options.answer_within();
    loop {
        let permit = pool.permit().await?;
        let mut session = pool.session(permit).await.map_err(store)?;
        let begin = async {
            let meta = session.ready_alone().await?;
            session.begin().await?;
            Ok(meta)
        };
        match timeout(within, begin)
            .await
            .unwrap_or_else(|_| Err(Fault::late()))
        {
            Ok(meta) => return Ok((session, meta)),
            Err(Fault::Link(_)) if session.is_reused() => {}
            Err(fault) => {
                if fault.keeps_connection() {
                    session.give_back();
                }
                return Err(store(fault));
            }
        }
    }
}

/// Runs the work. Unless all of it succeeds the transaction is gone when this returns.
async fn run(
    session: Session,
    work: Vec<Work<PgTx>>,
    gone: oneshot::Receiver<()>,
) -> Result<Session, CommitError> {
    let shared = Arc::clone(session.shared());
    let mut tx = PgTx::new(session);
    let all = async {
        for step in work {
            nesting::run(&shared, step(&mut tx)).await?;
        }
        Ok::<(), BoxError>(())
    };
    let worked = tokio::select! {
        worked = AssertUnwindSafe(all).catch_unwind() => worked,
        _ = gone => {
            // The work may be in the middle of an answer, or wait for a lock: closing the connection alone would leave the
            // transaction open until the server has something to say.
            terminate(tx.into_session()).await;
            return Err(CommitError::Work("the caller went away".into()));
        }
    };
    match worked {
        Ok(Ok(())) => Ok(tx.into_session()),
        Ok(Err(error)) => {
            let mut session = tx.into_session();
            session.rollback().await;
            session.give_back();
            Err(CommitError::Work(error))
        }
        Err(_) => {
            terminate(tx.into_session()).await;
            Err(CommitError::Work("the work panicked".into()))
        }
    }
}

/// Ends a session on the server, whatever it is doing there, then closes it.
pub(crate) async fn terminate(session: Session) {
    let shared = Arc::clone(session.shared());
    if let Some(process) = session.server_process() {
        let query = shared.sql(TERMINATE);
        let end = async {
            let mut connection = shared.connect_options().connect().await?;
            query
                .query(false)
                .bind(process.id)
                .bind(process.begun)
                .execute(&mut connection)
                .await
        };
        if !matches!(
            timeout(shared.options.answer_within(), end).await,
            Ok(Ok(_))
        ) {
            tracing::warn!("could not end a session on the server whose work was abandoned");
        }
    }
    drop(session);
}

/// What stands to be committed.
struct Appended {
    receipt: Receipt,
    outcome: Option<Outcome>,
    /// The transaction's id, if it changed anything.
    transaction: Option<String>,
}

async fn nothing_to_append(
    session: &mut Session,
    meta: Meta,
    shared: &Shared,
) -> Result<Appended, CommitError> {
    let query = shared.sql(TRANSACTION);
    let query = query.query(shared.options.is_prepared());
    let row = query
        .fetch_one(session.connection())
        .await
        .map_err(|error| failed(session, error.into(), shared))?;
    let transaction = row
        .try_get(0)
        .map_err(|error| failed(session, error.into(), shared))?;
    Ok(Appended {
        receipt: Receipt::new(meta.epoch, None, Vec::new()),
        outcome: None,
        transaction,
    })
}

async fn append(
    session: &mut Session,
    batch: &Batch<'_>,
    meta: Meta,
    shared: &Shared,
) -> Result<Appended, CommitError> {
    let within = shared.options.answer_within();
    let mark = sqlx::raw_sql(MARK).execute(session.connection());
    match timeout(within, mark).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err(failed(session, error.into(), shared)),
        Err(_) => return Err(failed(session, Fault::late(), shared)),
    }
    let mut manner = Manner {
        patient: true,
        careful: false,
    };
    let mut start = 0;
    let outcome = loop {
        start += 1;
        let sent = timeout(within, batch.send(session, manner))
            .await
            .unwrap_or_else(|_| Err(Fault::late()));
        let fault = match sent {
            Ok(outcome) => break outcome,
            Err(fault) => fault,
        };
        if start == STARTS || !(fault.is_retryable() || fault.is_duplicate()) {
            return Err(failed(session, fault, shared));
        }
        manner.careful |= fault.is_duplicate();
        if let Err(error) = sqlx::raw_sql(BACK).execute(session.connection()).await {
            return Err(failed(session, error.into(), shared));
        }
        sleep(Duration::from_millis(2) * start).await;
    };
    let verdict = outcome
        .verdicts(batch, meta.epoch)
        .map_err(|fault| failed(session, fault, shared))?
        .pop();
    match verdict {
        Some(Verdict::Told(Ok(receipt))) => {
            let transaction = outcome.transaction().map(str::to_owned);
            Ok(Appended {
                receipt,
                outcome: Some(outcome),
                transaction,
            })
        }
        Some(Verdict::Told(Err(error))) => Err(error),
        Some(Verdict::Locked) | None => Err(failed(
            session,
            Fault::corrupt("the answer of the function commit is not what it must be"),
            shared,
        )),
    }
}

/// An error before the commit: nothing is done, even if the link is lost.
fn failed(session: &mut Session, fault: Fault, shared: &Shared) -> CommitError {
    if !fault.keeps_connection() {
        session.set_broken();
    }
    match fault.code() {
        Some("25P02") => CommitError::Work(
            "a statement of the work failed, though the work said that it had not".into(),
        ),
        _ => fault.into_store_error(&shared.location).into(),
    }
}

/// What a commit is known by, should its link fail.
struct Doubt {
    /// The transaction's id.
    transaction: String,
    /// One of its events, if it has any.
    event: Option<EventId>,
}

/// Commits; if the link fails meanwhile, finds out what became of it.
async fn finish(
    mut session: Session,
    pool: &Arc<Pool>,
    shared: &Shared,
    doubt: Option<Doubt>,
) -> Result<(), CommitError> {
    let within = shared.options.answer_within();
    let fault = match timeout(within, session.commit())
        .await
        .unwrap_or_else(|_| Err(Fault::late()))
    {
        Ok(()) => {
            session.give_back();
            return Ok(());
        }
        Err(fault) if fault.keeps_connection() => {
            // Deferred constraints of the caller's own tables speak up here; the server has rolled back.
            session.give_back();
            return Err(fault.into_store_error(&shared.location).into());
        }
        Err(fault) => fault,
    };
    // A session that is still there could yet commit: it ends first.
    terminate(session).await;
    let Some(Doubt { transaction, event }) = doubt else {
        // It had changed nothing, so there is nothing to doubt.
        return Ok(());
    };
    let until = Instant::now() + within;
    let stored = match status(pool, shared, &transaction, until).await.as_deref() {
        // After a crash the server gives ids again of which nothing had reached the disk, so this may be said of another
        // transaction. Ours is over by now, so its event is there to be seen, or never will be.
        Some("committed") => match event {
            Some(event) => is_stored(pool, shared, event, until).await,
            None => None,
        },
        Some("aborted") => Some(false),
        Some(_) | None => None,
    };
    match stored {
        Some(true) => Ok(()),
        Some(false) => Err(fault.into_store_error(&shared.location).into()),
        None => Err(AppendError::Unknown(fault.into_source()).into()),
    }
}

/// What the server knows of a transaction, once it is not in progress any more. `None` when it can't be known.
async fn status(
    pool: &Arc<Pool>,
    shared: &Shared,
    transaction: &str,
    until: Instant,
) -> Option<String> {
    let in_progress = |status: &Option<String>| status.as_deref() == Some("in progress");
    let ask = || async {
        let mut session = another(pool).await?;
        let (query, transaction) = (shared.sql(STATUS), transaction.to_owned());
        let status: Option<String> = session
            .together(|session| {
                Box::pin(async move {
                    let query = query.query(false).bind(transaction);
                    Ok(query.fetch_one(session.connection()).await?.try_get(0)?)
                })
            })
            .await?;
        session.give_back();
        Ok(status)
    };
    patiently(shared, until, ask, in_progress).await.flatten()
}

/// Whether an event is stored. `None` when it can't be known.
async fn is_stored(
    pool: &Arc<Pool>,
    shared: &Shared,
    event: EventId,
    until: Instant,
) -> Option<bool> {
    let ask = || async {
        let mut session = another(pool).await?;
        let query = shared.sql(STORED);
        let stored: bool = session
            .together(|session| {
                Box::pin(async move {
                    let query = query.query(false).bind(PgUuid(*event.as_uuid()));
                    Ok(query.fetch_one(session.connection()).await?.try_get(0)?)
                })
            })
            .await?;
        session.give_back();
        Ok(stored)
    };
    patiently(shared, until, ask, |_| false).await
}

async fn another(pool: &Arc<Pool>) -> Result<Session, Fault> {
    let permit = pool.permit().await.map_err(Fault::Store)?;
    pool.session(permit).await
}

/// Asks until there is an answer that is not too early. `None` when there is none in time.
async fn patiently<T, F: Future<Output = Result<T, Fault>>>(
    shared: &Shared,
    until: Instant,
    ask: impl Fn() -> F,
    too_early: impl Fn(&T) -> bool,
) -> Option<T> {
    let mut pause = Duration::from_millis(5);
    loop {
        match timeout(shared.options.answer_within(), ask()).await {
            Ok(Ok(answer)) if !too_early(&answer) => return Some(answer),
            Ok(_) | Err(_) if Instant::now() >= until => return None,
            Ok(_) | Err(_) => sleep(pause).await,
        }
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}
