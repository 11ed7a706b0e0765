//! [`DocumentTrial`]: one case about documents on one fresh store.

use std::{fmt, sync::Arc};

use uno_core::{
    BoxError, Checkpoint, CommitError, DocumentStore as _, Payload, StoreError, SubscriptionName,
};

use super::{DocumentCommit, DocumentHarness, PersistentDocumentHarness};

/// One case about documents on one fresh store: what a case is given, with short ways to say what most cases do.
pub struct DocumentTrial<'t, H: DocumentHarness> {
    harness: &'t H,
    store: &'t Arc<H::Store>,
    guard: &'t H::Guard,
}

impl<'t, H: DocumentHarness> DocumentTrial<'t, H> {
    pub(crate) fn new(harness: &'t H, store: &'t Arc<H::Store>, guard: &'t H::Guard) -> Self {
        Self {
            harness,
            store,
            guard,
        }
    }

    /// The store under test.
    #[must_use]
    pub fn store(&self) -> &'t Arc<H::Store> {
        self.store
    }

    /// Carries out a commit that `build` fills.
    ///
    /// # Errors
    /// As [`DocumentHarness::commit`].
    pub async fn commit(
        &self,
        build: impl FnOnce(&mut DocumentCommit) + Send,
    ) -> Result<(), CommitError> {
        let mut commit = DocumentCommit::new();
        build(&mut commit);
        H::commit(self.store, commit).await
    }

    /// A document's content.
    ///
    /// # Errors
    /// As [`DocumentStore::load_documents`](uno_core::DocumentStore::load_documents).
    pub async fn document(
        &self,
        collection: &str,
        key: &str,
    ) -> Result<Option<Payload>, StoreError> {
        let keys = [key.to_owned()];
        let found = self.store.load_documents(collection, &keys).await?;
        Ok(found.first().map(|document| document.body().clone()))
    }

    /// The checkpoint of a subscription.
    ///
    /// # Errors
    /// As [`DocumentHarness::checkpoint`].
    pub async fn checkpoint(
        &self,
        name: &SubscriptionName,
    ) -> Result<Option<Checkpoint>, StoreError> {
        H::checkpoint(self.store, name).await
    }
}

impl<H: PersistentDocumentHarness> DocumentTrial<'_, H> {
    /// The store once more, opened anew.
    ///
    /// # Errors
    /// As [`PersistentDocumentHarness::reopen`].
    pub async fn reopen(&self) -> Result<Arc<H::Store>, BoxError> {
        self.harness.reopen(self.guard).await
    }
}

impl<H: DocumentHarness> fmt::Debug for DocumentTrial<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentTrial")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
