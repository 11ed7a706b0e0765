//! [`SqliteTx`]: the transaction that the caller's own work runs in.

use std::fmt;

use sqlx::{SqliteConnection, SqliteTransaction};
use uno_core::StoreError;

use crate::error::Location;

/// The transaction that the caller's own work runs in: a connection of sqlx, within the transaction of the commit.
///
/// What work writes becomes visible and durable together with the commit, and vanishes if the commit is not carried out.
/// Work has the only writer of the store for itself, so it should be short. Savepoints (`begin` of sqlx) are its own to
/// open and close; a `COMMIT` or `ROLLBACK` of the whole transaction fails the commit.
///
/// Writing through the store from within work would wait for itself for ever, so that is refused as
/// [`Unsupported`](StoreError::Unsupported). Put what is to be written into the same commit instead. Reading through the
/// store is fine; it sees what was committed before.
///
/// ```
/// use uno_core::{Commit, EventStore, Transactional};
/// use uno_store_sqlite::{SqliteStore, SqliteTx};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("shop.db");
/// let store = SqliteStore::open(path).await?;
/// store.migrate().await?;
///
/// let mut commit = Commit::<SqliteTx>::new();
/// commit.work.push(Box::new(|tx| {
///     Box::pin(async move {
///         sqlx::raw_sql("CREATE TABLE IF NOT EXISTS sold (title TEXT)").execute(&mut *tx.connection()).await?;
///         sqlx::query("INSERT INTO sold VALUES (?)").bind("Emma").execute(tx.connection()).await?;
///         Ok(())
///     })
/// }));
/// store.commit(commit).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SqliteTx {
    transaction: SqliteTransaction<'static>,
}

impl SqliteTx {
    pub(crate) fn new(transaction: SqliteTransaction<'static>) -> Self {
        Self { transaction }
    }

    /// The connection, for the caller's own SQL.
    pub fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    pub(crate) fn into_transaction(self) -> SqliteTransaction<'static> {
        self.transaction
    }
}

impl fmt::Debug for SqliteTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTx").finish_non_exhaustive()
    }
}

tokio::task_local! {
    /// The store whose work this task is running right now.
    static WORKING: Location;
}

/// Runs work of a commit to this store, so that a write to it from within is noticed.
pub(crate) async fn working<F: Future>(store: Location, work: F) -> F::Output {
    WORKING.scope(store, work).await
}

/// Refuses a write that is awaited from within the work of a commit to the same store.
pub(crate) fn refuse_nested(store: &Location) -> Result<(), StoreError> {
    // By the file, not by the handle: another handle on the same file would wait for the same lock.
    match WORKING.try_with(|working| working == store) {
        Ok(true) => Err(StoreError::Unsupported {
            what: "a write from within the work of a commit",
        }),
        Ok(false) | Err(_) => Ok(()),
    }
}
