//! Connections: one that writes, and those that read.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::time::{Instant, sleep};
use uno_core::StoreError;

use crate::{
    error::{is_busy, store_error},
    settings::{Access, Durability, Missing, Settings},
};

/// Older ones can damage a file in WAL mode when a checkpoint and a writer meet.
/// Source: <https://www.sqlite.org/releaselog/3_51_3.html>.
const OLDEST: [u32; 3] = [3, 51, 3];

/// The connection of the writer. Creates the file if it may, and puts it into WAL mode.
pub(crate) async fn writer(settings: &Settings) -> Result<SqliteConnection, StoreError> {
    let options = writing(settings).create_if_missing(settings.missing == Missing::Create);
    let mut connection = connect(settings, options).await?;
    check_library(settings, &mut connection).await?;
    check_writable(settings, &mut connection).await?;
    use_wal(settings, &mut connection).await?;
    Ok(connection)
}

/// The connection for commits with work of the caller's own, opened when it is first used.
pub(crate) fn working(settings: &Settings) -> SqlitePool {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        // The connection is used by one task, which throws it away after every failure.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None);
    pool.connect_lazy_with(writing(settings))
}

fn writing(settings: &Settings) -> SqliteConnectOptions {
    options(settings)
        .synchronous(match settings.durability {
            Durability::Full => SqliteSynchronous::Full,
            Durability::Off => SqliteSynchronous::Off,
        })
        // Nobody else's writes reset this cache, as they do with readers in WAL mode.
        .pragma("cache_size", "-65536")
        .pragma("wal_autocheckpoint", "2000")
        // Groups differ in which statements they need; see the module `writer::sql`.
        .statement_cache_capacity(128)
}

/// A connection of a reader. It can't write, whatever is asked of it.
pub(crate) async fn reader(settings: &Settings) -> Result<SqliteConnection, StoreError> {
    let options = options(settings)
        .read_only(settings.access == Access::ReadOnly)
        .pragma("query_only", "ON")
        .pragma("cache_size", "-16384")
        .statement_cache_capacity(128)
        // A page of events goes from SQLite's thread to ours without the two waiting for each other at every row.
        .row_buffer_size(1024);
    let mut connection = connect(settings, options).await?;
    if settings.access == Access::ReadOnly {
        check_library(settings, &mut connection).await?;
    }
    Ok(connection)
}

fn options(settings: &Settings) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(&settings.path)
        .busy_timeout(settings.busy_timeout)
        // Statements hold no secrets, but their text is of no use in logs; spans say what is done.
        .disable_statement_logging()
        .pragma("temp_store", "MEMORY")
}

async fn connect(
    settings: &Settings,
    options: SqliteConnectOptions,
) -> Result<SqliteConnection, StoreError> {
    options
        .connect()
        .await
        .map_err(|error| store_error(&settings.location, error))
}

/// SQLite opens a file that it may not write as one that is only read, without a word. It does refuse to begin to write,
/// and that before it waits for anybody's lock.
///
/// The file is not opened by ourselves to find out: closing it again would let go of every lock that this process has on it, those of
/// other connections included, and another process could then take the log of changes away under them.
/// Source: <https://www.sqlite.org/howtocorrupt.html>, section 2.2.
async fn check_writable(
    settings: &Settings,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    // Whoever holds the lock shows that it can be had, so nobody is waited for.
    set_busy_timeout(settings, connection, Duration::ZERO).await?;
    let begun = sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut *connection)
        .await;
    match begun {
        Ok(_) => {
            let ended = sqlx::query("ROLLBACK").execute(&mut *connection).await;
            ended.map_err(|error| store_error(&settings.location, error))?;
        }
        Err(error) if is_busy(&error) => {}
        Err(error) => return Err(store_error(&settings.location, error)),
    }
    set_busy_timeout(settings, connection, settings.busy_timeout).await
}

async fn set_busy_timeout(
    settings: &Settings,
    connection: &mut SqliteConnection,
    timeout: Duration,
) -> Result<(), StoreError> {
    let millis = timeout.as_millis().min(i32::MAX as u128);
    let set = sqlx::query(AssertSqlSafe(format!("PRAGMA busy_timeout = {millis}")))
        .execute(connection)
        .await;
    set.map(drop)
        .map_err(|error| store_error(&settings.location, error))
}

async fn check_library(
    settings: &Settings,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(connection)
        .await
        .map_err(|error| store_error(&settings.location, error))?;
    if is_old(&version) {
        let [major, minor, patch] = OLDEST;
        return Err(StoreError::NotDurable {
            location: settings.location.to_string(),
            reason: format!(
                "SQLite {version} can damage the file; {major}.{minor}.{patch} is needed"
            ),
        });
    }
    Ok(())
}

fn is_old(version: &str) -> bool {
    let numbers = version
        .split('.')
        .map(|number| number.parse().unwrap_or(0u32));
    numbers.lt(OLDEST)
}

async fn use_wal(settings: &Settings, connection: &mut SqliteConnection) -> Result<(), StoreError> {
    // Changing the mode needs the file for itself, and SQLite does not wait for that by itself.
    let deadline = Instant::now() + settings.busy_timeout;
    let mode: String = loop {
        let changed = sqlx::query_scalar("PRAGMA journal_mode = WAL")
            .fetch_one(&mut *connection)
            .await;
        match changed {
            Ok(mode) => break mode,
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                sleep(Duration::from_millis(5)).await;
            }
            Err(error) => return Err(store_error(&settings.location, error)),
        }
    };
    if mode == "wal" {
        return Ok(());
    }
    Err(StoreError::NotDurable {
        location: settings.location.to_string(),
        reason: format!("the file can't be in WAL mode, only in {mode}"),
    })
}

/// Ends a connection, whatever state it is in. SQLite rolls back what was open.
pub(crate) async fn close(connection: SqliteConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "a connection did not close in order");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        for old in ["3.46.0", "3.51.2", "3.9.9", "2.99.99", "3.51", ""] {
            assert!(is_old(old), "{old}");
        }
        for new in ["3.51.3", "3.51.10", "3.52.0", "4.0.0", "3.51.3.1"] {
            assert!(!is_old(new), "{new}");
        }
    }
}
