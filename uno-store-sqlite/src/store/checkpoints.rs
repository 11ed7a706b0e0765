//! Checkpoints of subscriptions.

use async_trait::async_trait;
use uno_core::{
    Checkpoint, CheckpointStore, CheckpointWrite, Commit, CommitError, Lane, StoreError,
    SubscriptionName,
};

use super::SqliteStore;
use crate::{
    error::corrupt,
    row::{self, column},
};

const LOAD: &str =
    "SELECT epoch, position, event_id FROM uno_checkpoints WHERE subscription = ? AND lane = ?";

const LIST: &str = "SELECT epoch, position, event_id, lane, subscription FROM uno_checkpoints \
     WHERE position IS NOT NULL ORDER BY subscription, lane";

#[async_trait]
impl CheckpointStore for SqliteStore {
    async fn load_checkpoint(
        &self,
        subscription: &SubscriptionName,
        lane: Lane,
    ) -> Result<Option<Checkpoint>, StoreError> {
        let name = subscription.as_str().to_owned();
        let query = sqlx::query(LOAD).bind(name).bind(i64::from(lane.get()));
        let read = self.rows(query, |rows| {
            let row = rows.first();
            row.map_or(Ok(None), |row| row::checkpoint(row, 0))
        });
        read.await
    }

    async fn save_checkpoint(&self, write: CheckpointWrite) -> Result<(), CommitError> {
        let mut commit = Commit::new();
        commit.checkpoints.push(write);
        self.submit(commit).await.map(drop)
    }

    async fn list_checkpoints(
        &self,
    ) -> Result<Vec<(SubscriptionName, Lane, Checkpoint)>, StoreError> {
        let read = self.rows(sqlx::query(LIST), |rows| {
            let mut found = Vec::with_capacity(rows.len());
            for row in &rows {
                let name = SubscriptionName::new(column::<String>(row, 4)?);
                let name = name.map_err(|error| corrupt(error.to_string()))?;
                let lane = row::lane(row, 3)?;
                let saved = row::checkpoint(row, 0)?;
                found.extend(saved.map(|checkpoint| (name, lane, checkpoint)));
            }
            Ok(found)
        });
        read.await
    }
}
