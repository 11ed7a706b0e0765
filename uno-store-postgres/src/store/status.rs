//! What holds the log back, for people.

use std::time::Duration;

use sqlx::{Row as _, postgres::PgRow};
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
    /// than a moment holds every reader of the log back: end it ([`PgStore::end_appending`]).
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

/// As [`HOLDERS`], but ends those whose transactions began long enough ago.
const END: &str = "SELECT h.pid, h.application_name, h.state, h.age FROM ( \
         SELECT l.pid, a.application_name, a.state, a.xact_start, \
             (extract(epoch FROM clock_timestamp() - a.xact_start) * 1000)::bigint AS age \
         FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
         WHERE l.locktype = 'advisory' AND l.classid = {schema}.log_class()::oid AND l.objsubid = 2 AND l.mode = 'ShareLock' \
         AND l.granted AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()) \
         OFFSET 0) h \
     WHERE CASE WHEN h.age IS NULL THEN true WHEN h.age >= $1 THEN pg_catalog.pg_terminate_backend(h.pid) END \
     ORDER BY h.xact_start";

impl PgStore {
    /// Ends the sessions whose transactions have drawn positions and began longer ago than that, whoever they belong to, and
    /// says which they were. Their transactions are rolled back, and readers go on.
    ///
    /// For a foreign transaction that holds the log back, which [`log_status`](Self::log_status) shows. Those of this
    /// store end by themselves.
    ///
    /// # Errors
    /// When the store can't be read, or the role may not end such a session: it must belong to the same role, or this one
    /// to `pg_read_all_stats` and `pg_signal_backend`. Cancelling is safe; some may then have been ended.
    pub async fn end_appending(&self, older_than: Duration) -> Result<Vec<Appending>, StoreError> {
        let age = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
        self.read(move |session| Box::pin(end(session, age))).await
    }

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
    let appending = rows.iter().map(holder).collect::<Result<_, Fault>>()?;
    Ok(LogStatus { horizon, appending })
}

async fn end(session: &mut Session, age: i64) -> Result<Vec<Appending>, Fault> {
    session.ready().await?;
    let query = session.shared().sql(END);
    let query = query
        .query(session.shared().options.is_prepared())
        .bind(age);
    let rows = query
        .fetch_all(session.connection())
        .await
        .map_err(|error| match Fault::from(error) {
            fault if fault.code() == Some("42501") => not_ours(),
            fault => fault,
        })?;
    // One may not know how old they are.
    if rows
        .iter()
        .any(|row| matches!(row.try_get::<Option<i64>, _>(3), Ok(None)))
    {
        return Err(not_ours());
    }
    rows.iter().map(holder).collect()
}

fn not_ours() -> Fault {
    Fault::Store(StoreError::Unsupported {
        what: "ending the sessions of other roles without the rights of pg_read_all_stats and pg_signal_backend",
    })
}

fn holder(row: &PgRow) -> Result<Appending, Fault> {
    let age: Option<i64> = row.try_get(3)?;
    Ok(Appending {
        process: row.try_get(0)?,
        application: row.try_get::<Option<_>, _>(1)?.unwrap_or_default(),
        state: row.try_get::<Option<_>, _>(2)?.unwrap_or_default(),
        age: Duration::from_millis(
            age.and_then(|age| u64::try_from(age).ok())
                .unwrap_or_default(),
        ),
    })
}
