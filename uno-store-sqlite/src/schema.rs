//! The schema, and how it comes into a file: numbered migrations that are only ever added to.

use sqlx::{Connection, Row, SqliteConnection};
use uno_core::{Clock, StoreEpoch, StoreError};

use crate::error::{Location, corrupt, store_error};

struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// The migrations, the first being number 1. A change of a text that was released is found out by its checksum.
const MIGRATIONS: &[Migration] = &[Migration {
    name: "log and records",
    sql: include_str!("schema/0001_log_and_records.sql"),
}];

/// The newest schema version that this code knows.
pub(crate) const KNOWN: i64 = MIGRATIONS.len() as i64;

const LEDGER: &str = "CREATE TABLE IF NOT EXISTS uno_migrations (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT";

/// Brings the schema up to date.
///
/// All in one transaction that takes the write lock first: of several processes that do this at once, one does it,
/// and the others then find it done.
pub(crate) async fn migrate(
    location: &Location,
    clock: &dyn Clock,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let failed = |error| store_error(location, error);
    let mut transaction = connection
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(failed)?;
    sqlx::query(LEDGER)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    let done = applied(location, &mut transaction).await?;
    check_applied(location, &done)?;
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(done.len()) {
        sqlx::raw_sql(migration.sql)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        sqlx::query("INSERT INTO uno_migrations VALUES (?, ?, ?, ?)")
            .bind(index as i64 + 1)
            .bind(migration.name)
            .bind(migration.checksum())
            .bind(clock.now().timestamp_micros())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    // The epoch is made here rather than in a migration, since it differs from file to file.
    sqlx::query("INSERT INTO uno_meta VALUES (1, ?, 0) ON CONFLICT DO NOTHING")
        .bind(StoreEpoch::new().as_uuid().as_bytes().to_vec())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

/// Whether this code can work with the schema as it is.
pub(crate) async fn check(
    location: &Location,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let ledger: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM sqlite_schema WHERE name = 'uno_migrations'")
            .fetch_optional(&mut *connection)
            .await
            .map_err(|error| store_error(location, error))?;
    let done = match ledger {
        Some(_) => applied(location, connection).await?,
        None => Vec::new(),
    };
    check_applied(location, &done)?;
    if done.len() < MIGRATIONS.len() {
        return Err(StoreError::NotMigrated {
            location: location.to_string(),
        });
    }
    Ok(())
}

/// A schema that newer code has made.
pub(crate) fn newer(location: &Location, found: i64) -> StoreError {
    StoreError::NewerSchema {
        location: location.to_string(),
        found,
        known: KNOWN,
    }
}

/// Version and checksum of what was applied, the oldest first.
async fn applied(
    location: &Location,
    connection: &mut SqliteConnection,
) -> Result<Vec<(i64, String)>, StoreError> {
    let rows = sqlx::query("SELECT version, checksum FROM uno_migrations ORDER BY version")
        .fetch_all(connection)
        .await
        .map_err(|error| store_error(location, error))?;
    let decode = |row: &sqlx::sqlite::SqliteRow| Ok((row.try_get(0)?, row.try_get(1)?));
    rows.iter()
        .map(decode)
        .collect::<Result<_, _>>()
        .map_err(|error| store_error(location, error))
}

fn check_applied(location: &Location, done: &[(i64, String)]) -> Result<(), StoreError> {
    if let Some((version, _)) = done.last()
        && *version > KNOWN
    {
        return Err(newer(location, *version));
    }
    for (number, ((version, checksum), migration)) in (1..).zip(done.iter().zip(MIGRATIONS)) {
        if *version != number || *checksum != migration.checksum() {
            let name = migration.name;
            return Err(corrupt(format!(
                "migration {number} ({name}) of {location} is not the one that this program knows"
            )));
        }
    }
    Ok(())
}

impl Migration {
    /// FNV-1a with 64 bits (Fowler, Noll, Vo) of the text: a guard against accidents.
    fn checksum(&self) -> String {
        let sum = self
            .sql
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
                (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        format!("{sum:016x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A migration that was released must never change: add another one.
    #[test]
    fn released_migrations_stay_as_they_are() {
        let checksums: Vec<_> = MIGRATIONS.iter().map(Migration::checksum).collect();
        assert_eq!(checksums, ["7e492bdcbb3b2d63"]);
    }
}
