//! What a store's own tests tell the suite: how to open a store, and how the caller's own work looks on it.

use std::sync::Arc;

use uno_core::{Backend, BoxError, EventStore, Transactional, Work};

/// Opens stores for the suite.
pub trait Harness: Send + Sync + 'static {
    /// The store under test.
    type Store: EventStore;

    /// What has to live as long as the store: a directory, a schema, a connection for looking at it from outside.
    type Guard: Send + Sync + 'static;

    /// Opens a fresh, empty store that shares nothing with any other. It is migrated, and has the default
    /// [`Limits`](uno_core::Limits).
    fn open(
        &self,
    ) -> impl Future<Output = Result<(Arc<Self::Store>, Self::Guard), BoxError>> + Send;

    /// Cleans up after a case, also after one that failed. Drops the guard unless it is said.
    fn close(&self, guard: Self::Guard) -> impl Future<Output = ()> + Send {
        drop(guard);
        async {}
    }
}

/// The transaction type of a harness's store.
pub type TxOf<H> = <<H as Harness>::Store as Transactional>::Tx;

/// A [`Harness`] for a store that has every tier of the ports.
///
/// The cases need some work of the caller's own within a commit. So `open` makes a table of rows with a key and a value, both
/// text, and the methods here write and read it: the store's own interface for rows, or SQL.
pub trait BackendHarness: Harness<Store: Backend> {
    /// Whether the caller's own work keeps every other writer waiting until its commit is done, as in SQLite. Declared, so that
    /// the cases about it look for the one or for the other.
    const ONE_WRITER: bool;

    /// Work that puts a row: `key` has `value` from now on.
    fn put_row(&self, key: &str, value: &str) -> Work<TxOf<Self>>;

    /// Work that reads the row of `from` within the transaction, and puts what it has found as the row of `to`. It fails when
    /// there is no row of `from`.
    fn copy_row(&self, from: &str, to: &str) -> Work<TxOf<Self>>;

    /// The committed value of a row, seen from outside of any transaction of the store.
    fn row(
        &self,
        store: &Self::Store,
        guard: &Self::Guard,
        key: &str,
    ) -> impl Future<Output = Result<Option<String>, BoxError>> + Send;
}

/// A [`BackendHarness`] for a store that outlives its process.
pub trait PersistentHarness: BackendHarness {
    /// Opens once more what this guard belongs to, as another process would, or the same one after a restart. The first store
    /// may still be in use.
    fn reopen(
        &self,
        guard: &Self::Guard,
    ) -> impl Future<Output = Result<Arc<Self::Store>, BoxError>> + Send;
}
