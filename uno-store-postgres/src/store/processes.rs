//! Instances of processes with their histories, and queues of messages.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{Row as _, postgres::PgRow};
use uno_core::{
    HistoryRecord, Metadata, NewMessage, Payload, ProcessRecord, ProcessStatus, ProcessStore,
    QueuedMessage, StoreError,
};

use super::{PgStore, askable, corrupt};
use crate::{
    fault::Fault,
    pool::Session,
    reader::{self, Below, Order, limit},
    value::{PgJson, PgTime, PgUuid},
};

const LOAD: &str = "SELECT key, revision, status, body FROM {schema}.processes WHERE process = $1 AND key = ANY ($2)";

const LIST: &str = "SELECT key, revision, status, body FROM {schema}.processes \
     WHERE process = $1 AND status = ANY ($2) AND key > $3 ORDER BY key LIMIT $4";

const READ: &str = "SELECT number, id, key, name, payload, metadata, enqueued_at FROM {schema}.queue \
     WHERE queue = $1 AND number > $2 AND number <= $3 ORDER BY number LIMIT $4";

const READ_OF: &str = "SELECT number, id, key, name, payload, metadata, enqueued_at FROM {schema}.queue \
     WHERE queue = $1 AND number > $2 AND number <= $3 AND key = $5 ORDER BY number LIMIT $4";

const HISTORY: &str = "SELECT number, recorded_at, entry FROM {schema}.history \
     WHERE process = $1 AND key = $2 AND number > $3 ORDER BY number LIMIT $4";

const DEPTH: &str = "SELECT count(*), min(enqueued_at) FROM {schema}.queue WHERE queue = $1";

#[async_trait]
impl ProcessStore for PgStore {
    async fn load_processes(
        &self,
        process: &str,
        keys: &[String],
    ) -> Result<Vec<ProcessRecord>, StoreError> {
        let keys: Vec<String> = keys.iter().filter(|key| askable(key)).cloned().collect();
        if keys.is_empty() || !askable(process) {
            return Ok(Vec::new());
        }
        let process = process.to_owned();
        self.read(move |session| {
            let (process, keys) = (process.clone(), keys.clone());
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(LOAD);
                let query = query
                    .query(session.shared().options.is_prepared())
                    .bind(process)
                    .bind(keys);
                query
                    .fetch_all(session.connection())
                    .await?
                    .iter()
                    .map(record)
                    .collect()
            })
        })
        .await
    }

    async fn list_processes(
        &self,
        process: &str,
        statuses: &[ProcessStatus],
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<ProcessRecord>, StoreError> {
        if !askable(process) {
            return Ok(Vec::new());
        }
        let statuses = if statuses.is_empty() {
            &ProcessStatus::ALL
        } else {
            statuses
        };
        let statuses: Vec<&'static str> = statuses.iter().map(|status| status.as_str()).collect();
        let (process, after) = (process.to_owned(), after.unwrap_or_default().to_owned());
        self.read(move |session| {
            let (process, statuses, after) = (process.clone(), statuses.clone(), after.clone());
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(LIST);
                let query = query.query(session.shared().options.is_prepared());
                let query = query
                    .bind(process)
                    .bind(statuses)
                    .bind(after)
                    .bind(limit(max));
                query
                    .fetch_all(session.connection())
                    .await?
                    .iter()
                    .map(record)
                    .collect()
            })
        })
        .await
    }

    async fn read_queue(
        &self,
        queue: &str,
        after: u64,
        max: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        self.queued(queue, None, after, max).await
    }

    async fn read_queue_of(
        &self,
        queue: &str,
        key: &str,
        after: u64,
        max: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        self.queued(queue, Some(key), after, max).await
    }

    async fn read_history(
        &self,
        process: &str,
        key: &str,
        after: u64,
        max: usize,
    ) -> Result<Vec<HistoryRecord>, StoreError> {
        // There is no number beyond what Postgres can keep.
        let Ok(after) = i64::try_from(after) else {
            return Ok(Vec::new());
        };
        if !askable(process) || !askable(key) {
            return Ok(Vec::new());
        }
        let (process, key) = (process.to_owned(), key.to_owned());
        self.read(move |session| {
            let (process, key) = (process.clone(), key.clone());
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(HISTORY);
                let query = query.query(session.shared().options.is_prepared());
                let query = query.bind(process).bind(key).bind(after).bind(limit(max));
                query
                    .fetch_all(session.connection())
                    .await?
                    .iter()
                    .map(entry)
                    .collect()
            })
        })
        .await
    }

    async fn queue_depth(&self, queue: &str) -> Result<(u64, Option<DateTime<Utc>>), StoreError> {
        if !askable(queue) {
            return Ok((0, None));
        }
        let queue = queue.to_owned();
        let (count, since): (i64, Option<PgTime>) = self
            .read(move |session| {
                let queue = queue.clone();
                Box::pin(async move {
                    session.ready().await?;
                    let query = session.shared().sql(DEPTH);
                    let query = query
                        .query(session.shared().options.is_prepared())
                        .bind(queue);
                    let row = query.fetch_one(session.connection()).await?;
                    Ok((row.try_get(0)?, row.try_get(1)?))
                })
            })
            .await?;
        Ok((
            u64::try_from(count).map_err(corrupt)?,
            since.map(|PgTime(time)| time),
        ))
    }
}

impl PgStore {
    /// The messages of a queue, or those of one key in it.
    async fn queued(
        &self,
        queue: &str,
        key: Option<&str>,
        after: u64,
        max: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        // There is no number beyond what Postgres can keep.
        let Ok(after) = i64::try_from(after) else {
            return Ok(Vec::new());
        };
        if !askable(queue) || !key.is_none_or(askable) {
            return Ok(Vec::new());
        }
        let (queue, key) = (queue.to_owned(), key.map(str::to_owned));
        reader::see_own(&self.reads, &self.shared, Order::Queue, move |session| {
            let (queue, key) = (queue.clone(), key.clone());
            Box::pin(async move { read(session, &queue, key, after, max).await })
        })
        .await
    }
}

/// Numbers become visible in the order in which transactions end, like positions; so a queue is read below a horizon,
/// like the log, which is asked for in a statement before.
async fn read(
    session: &mut Session,
    queue: &str,
    key: Option<String>,
    after: i64,
    max: usize,
) -> Result<Below<Vec<QueuedMessage>>, Fault> {
    session.ready().await?;
    let horizon = Order::Queue.horizon(session).await?;
    let text = if key.is_some() { READ_OF } else { READ };
    let query = session.shared().sql(text);
    let query = query.query(session.shared().options.is_prepared());
    let mut query = query.bind(queue).bind(after).bind(horizon).bind(limit(max));
    if let Some(key) = key {
        query = query.bind(key);
    }
    let rows = query.fetch_all(session.connection()).await?;
    let found = rows
        .iter()
        .map(|row| message(row, queue))
        .collect::<Result<Vec<_>, Fault>>()?;
    Ok(Below {
        complete: found.len() >= max,
        found,
        horizon,
    })
}

fn record(row: &PgRow) -> Result<ProcessRecord, Fault> {
    let status: &str = row.try_get(2)?;
    let status = ProcessStatus::from_stored(status)
        .ok_or_else(|| Fault::corrupt("a process has a status that is not known"))?;
    let revision = u64::try_from(row.try_get::<i64, _>(1)?).map_err(Fault::corrupt)?;
    Ok(ProcessRecord::new(
        row.try_get(0)?,
        revision,
        status,
        Payload::from_stored(row.try_get::<PgJson<'_>, _>(3)?.0),
    ))
}

fn entry(row: &PgRow) -> Result<HistoryRecord, Fault> {
    let number = u64::try_from(row.try_get::<i64, _>(0)?).map_err(Fault::corrupt)?;
    let recorded_at = row.try_get::<PgTime, _>(1)?.0;
    let entry = Payload::from_stored(row.try_get::<PgJson<'_>, _>(2)?.0);
    Ok(HistoryRecord::new(number, recorded_at, entry))
}

fn message(row: &PgRow, queue: &str) -> Result<QueuedMessage, Fault> {
    let number = u64::try_from(row.try_get::<i64, _>(0)?).map_err(Fault::corrupt)?;
    let metadata: Metadata = serde_json::from_str(row.try_get::<PgJson<'_>, _>(5)?.0)
        .map_err(|_| Fault::corrupt("the metadata of a message can't be read"))?;
    let message = NewMessage::new(
        queue,
        row.try_get::<PgUuid, _>(1)?.0,
        row.try_get::<String, _>(2)?,
        row.try_get::<String, _>(3)?,
        Payload::from_stored(row.try_get::<PgJson<'_>, _>(4)?.0),
        metadata,
    );
    Ok(QueuedMessage::new(
        number,
        message,
        row.try_get::<PgTime, _>(6)?.0,
    ))
}
