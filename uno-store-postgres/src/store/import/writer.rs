//! Stores one chunk: one transaction, begun again when something gets in its way, until it is known what became of it.

use std::{sync::Arc, time::Duration};

use sqlx::Row as _;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{sleep, timeout},
};
use uno_core::{AppendError, Position};

use super::{
    chunk::Chunk,
    rows::{COPY, END, HEADER, TABLE},
};
use crate::{
    alone, decode,
    fault::Fault,
    pool::{Pool, Session},
    working,
};

/// How often a chunk is begun afresh.
const STARTS: u32 = 10;

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL client_min_messages = warning";

const IMPORT: &str = "SELECT status, item, actual, ord, repeated, added, reached FROM {schema}.import($1, $2, $3, $4, $5, $6, $7)";

/// What became of a chunk, or of the appends before the one that the store did not take.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) appends: u64,
    pub(super) events: u64,
    pub(super) repeated: u64,
    pub(super) position: Option<Position>,
}

/// Stores a chunk; or, if one of its appends can't be, those before it.
pub(super) async fn write(
    pool: Arc<Pool>,
    permit: OwnedSemaphorePermit,
    mut chunk: Chunk,
    mut careful: bool,
) -> Result<Written, (Written, AppendError)> {
    let mut permit = Some(permit);
    let mut refused = None;
    let mut doubt = None;
    let mut last = None;
    let (mut start, mut links) = (0, 0);
    while start < STARTS && !chunk.is_empty() {
        if start > 0 {
            sleep(Duration::from_millis(2) * start).await;
        }
        start += 1;
        match attempt(&pool, permit.take(), &chunk, careful).await {
            Ok(Answer::Written(written)) => {
                alone::note_position(&pool, written.position);
                return match refused {
                    Some(error) => Err((written, error)),
                    None => Ok(written),
                };
            }
            Ok(Answer::Refused(item, error)) => {
                // Nothing of a transaction before this one can be stored: the append would not be refused.
                (doubt, last, start, links) = (None, None, 0, 0);
                chunk.truncate(item);
                refused = Some(error);
            }
            Err(Failure { fault, committing }) => {
                careful |= committing || fault.is_duplicate();
                if committing && !fault.keeps_connection() {
                    doubt = Some(fault);
                    continue;
                }
                // A dead link is replaced, and once more if the server was just being restarted.
                let again = if fault.keeps_connection() {
                    fault.is_duplicate() || fault.is_retryable()
                } else {
                    links += 1;
                    links < 3 || doubt.is_some()
                };
                last = Some(fault);
                if !again {
                    break;
                }
            }
        }
    }
    let location = &pool.shared().location;
    let error = match (doubt, last, refused) {
        (Some(doubt), _, _) => AppendError::Unknown(doubt.into_source()),
        (None, Some(fault), _) => fault.into_store_error(location).into(),
        (None, None, Some(error)) => error,
        (None, None, None) => strange().into_store_error(location).into(),
    };
    Err((Written::default(), error))
}

enum Answer {
    Written(Written),
    /// The append with this index, from 0.
    Refused(usize, AppendError),
}

struct Failure {
    fault: Fault,
    /// Whether the commit may have been done.
    committing: bool,
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            committing: false,
        }
    }
}

async fn attempt(
    pool: &Arc<Pool>,
    permit: Option<OwnedSemaphorePermit>,
    chunk: &Chunk,
    careful: bool,
) -> Result<Answer, Failure> {
    let permit = match permit {
        Some(permit) => permit,
        None => pool.permit().await.map_err(Fault::Store)?,
    };
    let mut session = pool.session(permit).await?;
    let within = session.shared().options.answer_within();
    let asked = timeout(within, ask(&mut session, chunk, careful))
        .await
        .unwrap_or_else(|_| Err(Fault::late()));
    let answer = match asked {
        Ok(answer) => answer,
        Err(fault) => {
            let fault = session.rollback_after(fault).await;
            give_up(session, &fault).await;
            return Err(fault.into());
        }
    };
    if !matches!(&answer, Answer::Written(written) if written.events > 0) {
        session.rollback().await;
        session.give_back();
        return Ok(answer);
    }
    match timeout(within, session.commit())
        .await
        .unwrap_or_else(|_| Err(Fault::late()))
    {
        Ok(()) => {
            session.give_back();
            Ok(answer)
        }
        Err(fault) => {
            give_up(session, &fault).await;
            let committing = true;
            Err(Failure { fault, committing })
        }
    }
}

/// Everything but the commit. The rows go first: from the draw on, nothing is sent that could be slow to arrive.
async fn ask(session: &mut Session, chunk: &Chunk, careful: bool) -> Result<Answer, Fault> {
    session.ready_alone().await?;
    sqlx::raw_sql(BEGIN).execute(session.connection()).await?;
    sqlx::raw_sql(TABLE).execute(session.connection()).await?;
    let mut copy = session.connection().copy_in_raw(COPY).await?;
    copy.send(HEADER).await?;
    copy.send(chunk.rows()).await?;
    copy.send(END).await?;
    copy.finish().await?;

    let shared = Arc::clone(session.shared());
    let arrays = chunk.arrays();
    let sql = shared.sql(IMPORT);
    let query = sql
        .query(shared.options.is_prepared())
        .bind(careful)
        .bind(shared.options.lock_timeout_setting())
        .bind(arrays.categories)
        .bind(arrays.keys)
        .bind(arrays.streams)
        .bind(arrays.expected)
        .bind(arrays.counts);
    let row = query.fetch_one(session.connection()).await?;
    let item = row.try_get::<Option<i32>, _>(1)?.map(before);
    let actual = row.try_get::<Option<i64>, _>(2)?;
    let actual = decode::version(actual.unwrap_or_default())?;
    let event = before(row.try_get::<Option<i32>, _>(3)?.unwrap_or_default());
    let error = match row.try_get::<i32, _>(0)? {
        0 => None,
        1 => item.and_then(|item| chunk.conflict(item, actual)),
        6 => item.and_then(|item| chunk.duplicate(item, event)),
        _ => return Err(strange()),
    };
    if let Some(item) = item {
        return Ok(Answer::Refused(item, error.ok_or_else(strange)?));
    }
    let reached = row.try_get::<Option<i64>, _>(6)?;
    Ok(Answer::Written(Written {
        appends: chunk.len() as u64,
        events: row.try_get::<i64, _>(5)?.unsigned_abs(),
        repeated: u64::from(row.try_get::<i32, _>(4)?.unsigned_abs()),
        position: reached.map(decode::position).transpose()?,
    }))
}

/// From Postgres's index to ours.
fn before(index: i32) -> usize {
    usize::try_from(i64::from(index) - 1).unwrap_or(usize::MAX)
}

/// Lets go of a session after a fault. One that does not answer may have a transaction open that readers wait for.
async fn give_up(session: Session, fault: &Fault) {
    if fault.keeps_connection() {
        session.give_back();
    } else {
        working::terminate(session).await;
    }
}

fn strange() -> Fault {
    Fault::corrupt("the answer of the function import is not what it must be")
}
