//! The second tier: everything in one transaction.

use async_trait::async_trait;
use uno_core::{Commit, CommitError, Receipt, Snapshot, StoreError, StreamId, Transactional};

use super::SqliteStore;
use crate::{SqliteTx, reader::Point};

#[async_trait]
impl Transactional for SqliteStore {
    type Tx = SqliteTx;

    async fn commit(&self, commit: Commit<SqliteTx>) -> Result<Receipt, CommitError> {
        self.submit(commit).await
    }

    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>, StoreError> {
        let stream = stream.clone();
        let mut found = self
            .readers()
            .point(|reply| Point::Snapshot(stream, reply))
            .await?;
        Ok(found.pop())
    }
}
