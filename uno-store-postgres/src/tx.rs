//! [`PgTx`]: the transaction that the caller's own work runs in.

use std::fmt;

use sqlx::PgConnection;

use crate::{SchemaName, pool::Session};

/// The transaction that the caller's own work runs in.
///
/// What is done on its [`connection`](Self::connection) commits together with the events, or not at all.
///
/// ```no_run
/// use uno_core::{Commit, Transactional as _};
/// use uno_store_postgres::{PgStore, PgTx};
/// # async fn example(store: PgStore) -> Result<(), Box<dyn std::error::Error>> {
/// let mut commit = Commit::new();
/// commit.work.push(Box::new(|tx: &mut PgTx| {
///     Box::pin(async move {
///         sqlx::query("INSERT INTO invoices (number) VALUES ($1)").bind(7).execute(tx.connection()).await?;
///         Ok(())
///     })
/// }));
/// store.commit(commit).await?;
/// # Ok(()) }
/// ```
///
/// Never end the transaction by hand (`COMMIT`, `ROLLBACK`); savepoints are fine.
pub struct PgTx {
    session: Session,
}

impl PgTx {
    pub(crate) fn new(session: Session) -> Self {
        Self { session }
    }

    pub(crate) fn into_session(self) -> Session {
        self.session
    }

    /// The schema of the store, for tables of the caller's own that live there too.
    #[must_use]
    pub fn schema(&self) -> &SchemaName {
        self.session.shared().options.schema_name()
    }

    /// The connection, for the caller's own SQL.
    pub fn connection(&mut self) -> &mut PgConnection {
        self.session.connection()
    }
}

impl fmt::Debug for PgTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgTx").finish_non_exhaustive()
    }
}
