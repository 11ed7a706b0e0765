//! Process instances and queues.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use uno_core::{
    DueTimers, HistoryRecord, InboxRecord, InboxStore, NewMessage, Payload, ProcessRecord,
    ProcessStatus, ProcessStore, QueuedMessage, StoreError, Timer, TimerStore,
};
use uuid::Uuid;

use super::{SqliteStore, documents::distinct};
use crate::{
    error::{corrupt, store_error},
    reader::Point,
    row::{self, column},
};

const LIST: &str = "SELECT key, revision, status, body FROM uno_processes \
     WHERE process = ?1 AND key > ?2 AND (?3 OR status IN (SELECT value FROM json_each(?4))) ORDER BY key LIMIT ?5";

const READ: &str = "SELECT number, id, key, name, payload, metadata, enqueued_at FROM uno_messages \
     WHERE queue = ? AND number > ? ORDER BY number LIMIT ?";

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
        let location = self.core().settings.location.clone();
        let queue = queue.to_owned();
        let messages = self.readers().scan(move |connection| {
            Box::pin(async move {
                let rows = sqlx::query(READ)
                    .bind(&queue)
                    .bind(i64::try_from(after).unwrap_or(i64::MAX))
                    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                    .fetch_all(connection)
                    .await
                    .map_err(|error| store_error(&location, error))?;
                rows.iter().map(|row| message(&queue, row)).collect()
            })
        });
        messages.await
    }

    async fn read_queue_of(
        &self,
        queue: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        let _ = (queue, key, after, limit);
        Err(StoreError::Unsupported { what: "this" })
    }

    async fn read_history(
        &self,
        process: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<HistoryRecord>, StoreError> {
        let _ = (process, key, after, limit);
        Err(StoreError::Unsupported { what: "this" })
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

#[async_trait]
impl TimerStore for SqliteStore {
    async fn due_timers(&self, process: &str, limit: usize) -> Result<DueTimers, StoreError> {
        let _ = (process, limit);
        Err(StoreError::Unsupported { what: "this" })
    }

    async fn list_timers(&self, process: &str, key: &str) -> Result<Vec<Timer>, StoreError> {
        let _ = (process, key);
        Err(StoreError::Unsupported { what: "this" })
    }
}

#[async_trait]
impl InboxStore for SqliteStore {
    async fn load_inbox(
        &self,
        consumer: &str,
        ids: &[Uuid],
    ) -> Result<Vec<InboxRecord>, StoreError> {
        let _ = (consumer, ids);
        Err(StoreError::Unsupported { what: "this" })
    }

    async fn prune_inbox(&self, consumer: &str, older_than: Duration) -> Result<u64, StoreError> {
        let _ = (consumer, older_than);
        Err(StoreError::Unsupported { what: "this" })
    }
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
