//! Documents and checkpoints.

use std::collections::BTreeSet;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use uno_core::{
    Checkpoint, CheckpointStore, CheckpointWrite, Commit, CommitError, Document, DocumentStore,
    EventId, Position, StoreEpoch, StoreError, SubscriptionName,
};

use super::SqliteStore;
use crate::{
    error::{corrupt, store_error},
    reader::Point,
    row::{self, column, uuid},
};

#[async_trait]
impl DocumentStore for SqliteStore {
    async fn load_documents(
        &self,
        collection: &str,
        keys: &[String],
    ) -> Result<Vec<Document>, StoreError> {
        let (collection, keys) = (collection.to_owned(), distinct(keys));
        self.readers()
            .point(|reply| Point::Documents(collection, keys, reply))
            .await
    }

    async fn scan_documents(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, StoreError> {
        let location = self.core().settings.location.clone();
        // No key is empty, so every key comes after an empty one.
        let (collection, after) = (collection.to_owned(), after.unwrap_or_default().to_owned());
        let documents = self.readers().scan(move |connection| {
            Box::pin(async move {
                let rows = sqlx::query("SELECT key, revision, body FROM uno_documents WHERE collection = ? AND key > ? ORDER BY key LIMIT ?")
                    .bind(collection)
                    .bind(after)
                    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                    .fetch_all(connection)
                    .await
                    .map_err(|error| store_error(&location, error))?;
                rows.iter().map(document).collect()
            })
        });
        documents.await
    }
}

/// Each key once, and none that no record can have: JSON would cut it off at the NUL.
pub(super) fn distinct(keys: &[String]) -> Vec<String> {
    let keys: BTreeSet<&String> = keys.iter().filter(|key| !key.contains('\0')).collect();
    keys.into_iter().cloned().collect()
}

fn document(row: &SqliteRow) -> Result<Document, StoreError> {
    row::document(row, 0)
}

#[async_trait]
impl CheckpointStore for SqliteStore {
    async fn load_checkpoint(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Option<Checkpoint>, StoreError> {
        let location = self.core().settings.location.clone();
        let name = subscription.as_str().to_owned();
        let found = self.readers().scan(move |connection| {
            Box::pin(async move {
                let row = sqlx::query("SELECT subscription, epoch, position, event_id FROM uno_checkpoints WHERE subscription = ?")
                    .bind(name)
                    .fetch_optional(connection)
                    .await
                    .map_err(|error| store_error(&location, error))?;
                row.as_ref().map(checkpoint).transpose()
            })
        });
        Ok(found.await?.map(|(_, checkpoint)| checkpoint))
    }

    async fn save_checkpoint(&self, write: CheckpointWrite) -> Result<(), CommitError> {
        let mut commit = Commit::new();
        commit.checkpoints.push(write);
        self.submit(commit).await.map(drop)
    }

    async fn list_checkpoints(&self) -> Result<Vec<(SubscriptionName, Checkpoint)>, StoreError> {
        let location = self.core().settings.location.clone();
        let found = self.readers().scan(move |connection| {
            Box::pin(async move {
                let rows = sqlx::query("SELECT subscription, epoch, position, event_id FROM uno_checkpoints ORDER BY subscription")
                    .fetch_all(connection)
                    .await
                    .map_err(|error| store_error(&location, error))?;
                rows.iter().map(checkpoint).collect()
            })
        });
        found.await
    }
}

fn checkpoint(row: &SqliteRow) -> Result<(SubscriptionName, Checkpoint), StoreError> {
    let name: String = column(row, 0)?;
    let fault = || corrupt(format!("the checkpoint of subscription {name}"));
    let epoch = uuid(column(row, 1)?)
        .map(StoreEpoch::from_uuid)
        .ok_or_else(fault)?;
    let position = Position::try_from(column::<i64>(row, 2)?).map_err(|_| fault())?;
    let checkpoint = match column::<Option<&[u8]>>(row, 3)? {
        None => Checkpoint::start(epoch),
        Some(id) => {
            let id = uuid(id).map(EventId::from_uuid).ok_or_else(fault)?;
            Checkpoint::after(epoch, position, id)
        }
    };
    let subscription = SubscriptionName::new(name.as_str()).map_err(|_| fault())?;
    Ok((subscription, checkpoint))
}
