//! Process instances with their histories, and queues.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use uno_core::{
    HistoryRecord, NewMessage, Payload, ProcessRecord, ProcessStatus, ProcessStore, QueuedMessage,
    StoreError,
};

use super::{SqliteStore, documents::distinct};
use crate::{
    error::{corrupt, store_error},
    reader::Point,
    row::{self, column},
};

const LIST: &str = "SELECT key, revision, status, body FROM uno_processes \
     WHERE process = ?1 AND key > ?2 AND (?3 OR status IN (SELECT value FROM json_each(?4))) ORDER BY key LIMIT ?5";

const READ: &str = "SELECT number, id, key, name, payload, metadata, enqueued_at FROM uno_messages \
     WHERE queue = ?1 AND number > ?2 ORDER BY number LIMIT ?3";

const READ_OF: &str = "SELECT number, id, key, name, payload, metadata, enqueued_at \
     FROM uno_messages INDEXED BY uno_messages_key WHERE queue = ?1 AND key = ?4 AND number > ?2 ORDER BY number LIMIT ?3";

const HISTORY: &str = "SELECT number, recorded_at, entry FROM uno_history \
     WHERE process = ? AND key = ? AND number > ? ORDER BY number LIMIT ?";

const DEPTH: &str = "SELECT (SELECT count(*) FROM uno_messages INDEXED BY uno_messages_id WHERE queue = ?1), \
     (SELECT enqueued_at FROM uno_messages WHERE queue = ?1 ORDER BY number LIMIT 1)";

#[async_trait]
impl ProcessStore for SqliteStore {
    async fn load_processes(
        &self,
        process: &str,
        keys: &[String],
    ) -> Result<Vec<ProcessRecord>, StoreError> {
        let (process, keys) = (process.to_owned(), distinct(keys));
        self.readers()
            .point(|reply| Point::Processes(process, keys, reply))
            .await
    }

    async fn list_processes(
        &self,
        process: &str,
        statuses: &[ProcessStatus],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ProcessRecord>, StoreError> {
        let location = self.core().settings.location.clone();
        let any = statuses.is_empty();
        let statuses =
            serde_json::Value::from_iter(statuses.iter().map(|status| status.as_str())).to_string();
        // No key is empty, so every key comes after an empty one.
        let (process, after) = (process.to_owned(), after.unwrap_or_default().to_owned());
        let records = self.readers().scan(move |connection| {
            Box::pin(async move {
                let rows = sqlx::query(LIST)
                    .bind(&process)
                    .bind(after)
                    .bind(any)
                    .bind(statuses)
                    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                    .fetch_all(connection)
                    .await
                    .map_err(|error| store_error(&location, error))?;
                rows.iter()
                    .map(|row| row::process(&process, row, 0))
                    .collect()
            })
        });
        records.await
    }

    async fn read_queue(
        &self,
        queue: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        read(self, READ, queue, None, (after, limit)).await
    }

    async fn read_queue_of(
        &self,
        queue: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        read(self, READ_OF, queue, Some(key), (after, limit)).await
    }

    async fn read_history(
        &self,
        process: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<HistoryRecord>, StoreError> {
        let location = self.core().settings.location.clone();
        let (process, key) = (process.to_owned(), key.to_owned());
        let entries = self.readers().scan(move |connection| {
            Box::pin(async move {
                let rows = sqlx::query(HISTORY)
                    .bind(process)
                    .bind(key)
                    .bind(i64::try_from(after).unwrap_or(i64::MAX))
                    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                    .fetch_all(connection)
                    .await
                    .map_err(|error| store_error(&location, error))?;
                rows.iter().map(entry).collect()
            })
        });
        entries.await
    }

    async fn queue_depth(&self, queue: &str) -> Result<(u64, Option<DateTime<Utc>>), StoreError> {
        let location = self.core().settings.location.clone();
        let queue = queue.to_owned();
        let depth = self.readers().scan(move |connection| {
            Box::pin(async move {
                let row = sqlx::query(DEPTH).bind(queue).fetch_one(connection).await;
                let row = row.map_err(|error| store_error(&location, error))?;
                let count: i64 = column(&row, 0)?;
                let oldest: Option<i64> = column(&row, 1)?;
                Ok((count.cast_unsigned(), oldest.and_then(row::time)))
            })
        });
        depth.await
    }
}

/// Reads messages of a queue, by a statement whose parameters are the queue, the number that they come after, how many there are
/// at most, and the key, if it has a fourth.
async fn read(
    store: &SqliteStore,
    statement: &'static str,
    queue: &str,
    key: Option<&str>,
    (after, limit): (u64, usize),
) -> Result<Vec<QueuedMessage>, StoreError> {
    let location = store.core().settings.location.clone();
    let (queue, key) = (queue.to_owned(), key.map(str::to_owned));
    let messages = store.readers().scan(move |connection| {
        Box::pin(async move {
            let mut query = sqlx::query(statement)
                .bind(&queue)
                .bind(i64::try_from(after).unwrap_or(i64::MAX))
                .bind(i64::try_from(limit).unwrap_or(i64::MAX));
            if let Some(key) = key {
                query = query.bind(key);
            }
            let rows = query.fetch_all(connection).await;
            let rows = rows.map_err(|error| store_error(&location, error))?;
            rows.iter().map(|row| message(&queue, row)).collect()
        })
    });
    messages.await
}

fn message(queue: &str, row: &SqliteRow) -> Result<QueuedMessage, StoreError> {
    let number: i64 = column(row, 0)?;
    let fault = || corrupt(format!("message {number} of queue {queue}"));
    let id = row::uuid(column(row, 1)?).ok_or_else(fault)?;
    let (key, name): (String, String) = (column(row, 2)?, column(row, 3)?);
    let payload: &str = column(row, 4)?;
    let metadata = serde_json::from_str(column(row, 5)?).map_err(|_| fault())?;
    let enqueued_at = row::time(column(row, 6)?).ok_or_else(fault)?;
    let message = NewMessage::new(
        queue,
        id,
        key,
        name,
        Payload::from_stored(payload),
        metadata,
    );
    Ok(QueuedMessage::new(
        number.cast_unsigned(),
        message,
        enqueued_at,
    ))
}

fn entry(row: &SqliteRow) -> Result<HistoryRecord, StoreError> {
    let number: i64 = column(row, 0)?;
    let recorded_at = row::time(column(row, 1)?)
        .ok_or_else(|| corrupt(format!("entry {number} of a history")))?;
    let entry: &str = column(row, 2)?;
    Ok(HistoryRecord::new(
        number.cast_unsigned(),
        recorded_at,
        Payload::from_stored(entry),
    ))
}
