//! What the tests of a store of documents tell the suite, be it a store of documents and nothing else.

use std::sync::Arc;

use uno_core::{
    BoxError, Checkpoint, CheckpointStore as _, CheckpointWrite, Commit, CommitError,
    DocumentStore, DocumentWrite, Lane, StoreError, SubscriptionName, Transactional as _,
};

use super::{BackendHarness, Harness, PersistentHarness};

/// Opens stores of documents for the suite, and says how a store commits. Every [`BackendHarness`] is one.
///
/// For a store that keeps documents, and the checkpoints of those who write them, and no events.
pub trait DocumentHarness: Send + Sync + 'static {
    /// The store under test.
    type Store: DocumentStore;

    /// What has to live as long as the store: a directory, a schema, a connection for looking at it from outside.
    type Guard: Send + Sync + 'static;

    /// Opens a fresh, empty store that shares nothing with any other. It has the default [`Limits`](uno_core::Limits).
    fn open(
        &self,
    ) -> impl Future<Output = Result<(Arc<Self::Store>, Self::Guard), BoxError>> + Send;

    /// Cleans up after a case, also after one that failed. Drops the guard unless it is said.
    fn close(&self, guard: Self::Guard) -> impl Future<Output = ()> + Send {
        drop(guard);
        async {}
    }

    /// Carries out a commit, as whole as [`DocumentStore`] and [`CheckpointStore`](uno_core::CheckpointStore) say.
    ///
    /// A function of the store alone, so that many tasks can call it at once.
    fn commit(
        store: &Self::Store,
        commit: DocumentCommit,
    ) -> impl Future<Output = Result<(), CommitError>> + Send;

    /// The checkpoint of a subscription that nobody has claimed.
    fn checkpoint(
        store: &Self::Store,
        name: &SubscriptionName,
    ) -> impl Future<Output = Result<Option<Checkpoint>, StoreError>> + Send;
}

/// A [`DocumentHarness`] for a store that outlives its process. Every [`PersistentHarness`] is one.
pub trait PersistentDocumentHarness: DocumentHarness {
    /// Opens once more what this guard belongs to, as another process would, or the same one after a restart. The first store
    /// may still be in use.
    fn reopen(
        &self,
        guard: &Self::Guard,
    ) -> impl Future<Output = Result<Arc<Self::Store>, BoxError>> + Send;
}

/// What a store of documents makes durable together: a [`Commit`] without what such a store does not have.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DocumentCommit {
    /// Documents to put, remove or take for granted, in this order.
    pub documents: Vec<DocumentWrite>,
    /// Checkpoints to move.
    pub checkpoints: Vec<CheckpointWrite>,
}

impl DocumentCommit {
    /// A commit of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl<H: BackendHarness> DocumentHarness for H {
    type Store = <H as Harness>::Store;
    type Guard = <H as Harness>::Guard;

    async fn open(&self) -> Result<(Arc<<H as Harness>::Store>, <H as Harness>::Guard), BoxError> {
        Harness::open(self).await
    }

    async fn close(&self, guard: <H as Harness>::Guard) {
        Harness::close(self, guard).await;
    }

    async fn commit(
        store: &<H as Harness>::Store,
        commit: DocumentCommit,
    ) -> Result<(), CommitError> {
        let mut all = Commit::new();
        (all.documents, all.checkpoints) = (commit.documents, commit.checkpoints);
        store.commit(all).await.map(drop)
    }

    async fn checkpoint(
        store: &<H as Harness>::Store,
        name: &SubscriptionName,
    ) -> Result<Option<Checkpoint>, StoreError> {
        store.load_checkpoint(name, Lane::FIRST).await
    }
}

impl<H: PersistentHarness> PersistentDocumentHarness for H {
    async fn reopen(
        &self,
        guard: &<H as Harness>::Guard,
    ) -> Result<Arc<<H as Harness>::Store>, BoxError> {
        PersistentHarness::reopen(self, guard).await
    }
}
