//! The inbox.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use tokio::sync::oneshot;
use uno_core::{InboxRecord, InboxStore, Payload, StoreError};
use uuid::Uuid;

use super::SqliteStore;
use crate::{
    error::{closed, corrupt, store_error},
    row::{self, column},
    writer::{Job, Prune},
};

const LOAD: &str = "SELECT i.id, i.outputs, i.handled_at FROM (SELECT DISTINCT unhex(value) AS id FROM json_each(?)) r \
     CROSS JOIN uno_inbox i ON i.consumer = ? AND i.id = r.id";

/// How many records are forgotten in one go: what takes a few milliseconds.
const PRUNED_AT_ONCE: u32 = 1000;

#[async_trait]
impl InboxStore for SqliteStore {
    async fn load_inbox(
        &self,
        consumer: &str,
        ids: &[Uuid],
    ) -> Result<Vec<InboxRecord>, StoreError> {
        let location = self.core().settings.location.clone();
        let ids: Vec<String> = ids.iter().map(|id| id.simple().to_string()).collect();
        let (consumer, ids) = (
            consumer.to_owned(),
            serde_json::Value::from(ids).to_string(),
        );
        let found = self.readers().scan(move |connection| {
            Box::pin(async move {
                let rows = sqlx::query(LOAD)
                    .bind(ids)
                    .bind(consumer)
                    .fetch_all(connection)
                    .await
                    .map_err(|error| store_error(&location, error))?;
                rows.iter().map(record).collect()
            })
        });
        found.await
    }

    /// In several transactions, between which commits go on; dropped, it stops after the one that is under way.
    async fn prune_inbox(&self, consumer: &str, older_than: Duration) -> Result<u64, StoreError> {
        let core = self.core();
        let before = chrono::Duration::from_std(older_than)
            .ok()
            .and_then(|age| core.now().checked_sub_signed(age));
        let writer = self.writer()?;
        // Nothing was handled before the first time there is.
        let Some(before) = before else {
            return Ok(0);
        };
        let mut pruned = 0;
        loop {
            let (reply, answer) = oneshot::channel();
            let job = Prune {
                consumer: consumer.to_owned(),
                before,
                limit: PRUNED_AT_ONCE,
                reply,
            };
            let sent = writer.send(Job::Prune(job)).await;
            let (Ok(()), Ok(done)) = (sent, answer.await) else {
                return Err(closed(&core.settings.location));
            };
            let done = done?;
            pruned += done;
            if done < u64::from(PRUNED_AT_ONCE) {
                return Ok(pruned);
            }
        }
    }
}

fn record(row: &SqliteRow) -> Result<InboxRecord, StoreError> {
    let fault = || corrupt("what came of a message");
    let id = row::uuid(column(row, 0)?).ok_or_else(fault)?;
    let outputs: &str = column(row, 1)?;
    let handled_at = row::time(column(row, 2)?).ok_or_else(fault)?;
    Ok(InboxRecord::new(
        id,
        Payload::from_stored(outputs),
        handled_at,
    ))
}
