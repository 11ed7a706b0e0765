//! Commits: the caller's own work first, then everything at once.

use async_trait::async_trait;
use uno_core::{
    AppendError, Commit, CommitError, Receipt, Snapshot, StoreError, StreamId, Transactional,
};

use crate::{MemoryStore, MemoryTx, nesting, tx::Rows};

#[async_trait]
impl Transactional for MemoryStore {
    type Tx = MemoryTx;

    /// Awaits nothing but the caller's own work, and its turn to run it. Dropped before that is done, nothing has
    /// happened; the rest happens in one step.
    async fn commit(&self, mut commit: Commit<MemoryTx>) -> Result<Receipt, CommitError> {
        nesting::refuse(self.epoch())?;
        self.limits()
            .check_commit(&commit)
            .map_err(AppendError::Refused)?;
        if commit.work.is_empty() {
            return self.carry_out(commit, Rows::new());
        }
        // Held till the end, so that no other work changes a row between this one's reading and writing it.
        let _turn = self.turn().await;
        let mut tx = MemoryTx::new(self.clone());
        for work in std::mem::take(&mut commit.work) {
            nesting::run(self.epoch(), work(&mut tx))
                .await
                .map_err(CommitError::Work)?;
        }
        let (rows, mut documents) = tx.into_changes();
        if !documents.is_empty() {
            documents.append(&mut commit.documents);
            commit.documents = documents;
            self.limits()
                .check_commit(&commit)
                .map_err(AppendError::Refused)?;
        }
        self.carry_out(commit, rows)
    }

    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>, StoreError> {
        Ok(self.snapshot(stream))
    }
}
