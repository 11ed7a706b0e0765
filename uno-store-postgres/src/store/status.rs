//! What holds the log back, for people.

use std::time::Duration;

use sqlx::Row as _;
use uno_core::{Position, StoreError};

use super::PgStore;
use crate::{decode, fault::Fault, pool::Session, reader::Order};

const HOLDERS: &str = "SELECT l.pid, a.application_name, a.state, \
     (extract(epoch FROM clock_timestamp() - a.xact_start) * 1000)::bigint \
     FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
     WHERE l.locktype = 'advisory' AND l.classid = {schema}.log_class()::oid AND l.objsubid = 2 AND l.mode = 'ShareLock' \
     AND l.granted AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()) \
     ORDER BY a.xact_start";

/// How far the log can be read, and who is appending.
#[derive(Clone, Debug)]
pub struct LogStatus {
    horizon: Position,
    appending: Vec<Appending>,
}

impl LogStatus {
    /// The position up to which the log can be read: what is above was drawn by transactions that are not decided yet.
    #[must_use]
    pub fn horizon(&self) -> Position {
        self.horizon
    }

    /// The transactions that have drawn positions and are not decided yet, the oldest first. One that stays here for more
    /// than a moment holds every reader of the log back: end it (`pg_terminate_backend`).
    #[must_use]
    pub fn appending(&self) -> &[Appending] {
        &self.appending
    }
}

/// A transaction that has drawn positions and is not decided yet.
#[derive(Clone, Debug)]
pub struct Appending {
    process: Option<i32>,
    application: String,
    state: String,
    age: Duration,
}

impl Appending {
    /// The server's process; `None` for a prepared transaction.
    #[must_use]
    pub fn process(&self) -> Option<i32> {
        self.process
    }

    /// What the application calls itself.
    #[must_use]
    pub fn application(&self) -> &str {
        &self.application
    }

    /// What the session does, in the words of Postgres, such as `idle in transaction`. Empty if one may not know.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// How long ago the transaction began. Zero if one may not know.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age
    }
}

impl PgStore {
    /// How far the log can be read, and who is appending: for finding what holds the log back.
    ///
    /// # Errors
    /// When the store can't be read. Cancelling is safe.
    pub async fn log_status(&self) -> Result<LogStatus, StoreError> {
        self.read(|session| Box::pin(status(session))).await
    }
}

async fn status(session: &mut Session) -> Result<LogStatus, Fault> {
    session.ready().await?;
    let horizon = decode::position(Order::Log.horizon(session).await?)?;
    let query = session.shared().sql(HOLDERS);
    let rows = query
        .query(session.shared().options.is_prepared())
        .fetch_all(session.connection())
        .await?;
    let mut appending = Vec::with_capacity(rows.len());
    for row in rows {
        let age: Option<i64> = row.try_get(3)?;
        appending.push(Appending {
            process: row.try_get(0)?,
            application: row.try_get::<Option<_>, _>(1)?.unwrap_or_default(),
            state: row.try_get::<Option<_>, _>(2)?.unwrap_or_default(),
            age: Duration::from_millis(
                age.and_then(|age| u64::try_from(age).ok())
                    .unwrap_or_default(),
            ),
        });
    }
    Ok(LogStatus { horizon, appending })
}
