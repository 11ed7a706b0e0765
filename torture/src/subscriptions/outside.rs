//! [`Outside`]: a session past the store, which looks how far things are, and in the end reads everything.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use sqlx::{
    Connection as _, PgConnection, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

use super::{
    appending::Entry,
    evidence::Logged,
    ledger::{Row, Stamp, TABLE_LITE, TABLE_PG},
};
use crate::session::{Database, Schema, sql};

/// A session past the store.
#[derive(Debug)]
pub(crate) enum Outside {
    Postgres(Box<(PgConnection, Database, Schema)>),
    Sqlite(SqliteConnection),
}

/// Under which name it is known to the server.
const NAME: &str = "uno-torture-outside";

const LOG_PG: &str = "SELECT s.key, (e.payload ->> 'seq')::bigint, e.position, replace(e.id::text, '-', '') \
    FROM {s}.events e JOIN {s}.streams s ON s.id = e.stream";
const LOG_LITE: &str = "SELECT e.key, CAST(e.payload ->> '$.seq' AS INTEGER), e.position, lower(hex(e.id)) FROM uno_events e";
const ROWS_PG: &str = "SELECT r.key, r.seq, r.event, r.position, r.lane, r.fence, r.process FROM {s}.torture_ledger r ORDER BY r.n";
const ROWS_LITE: &str = "SELECT r.key, r.seq, r.event, r.position, r.lane, r.fence, r.process FROM torture_ledger r ORDER BY r.n";
const COUNTS_PG: &str = "SELECT (SELECT count(*) FROM {s}.events), (SELECT count(*) FROM (SELECT DISTINCT r.key, r.seq FROM {s}.torture_ledger r) d)";
const COUNTS_LITE: &str = "SELECT (SELECT count(*) FROM uno_events), (SELECT count(*) FROM (SELECT DISTINCT r.key, r.seq FROM torture_ledger r) d)";

/// All rows of a statement, with either driver.
macro_rules! rows {
    ($outside:expr, $postgres:expr, $sqlite:expr, |$row:ident| $read:expr) => {
        match $outside {
            Outside::Postgres(postgres) => {
                let (session, _, schema) = &mut **postgres;
                let found = sqlx::query(sql(schema, $postgres))
                    .fetch_all(&mut *session)
                    .await?;
                found.iter().map(|$row| $read).collect::<Result<Vec<_>>>()
            }
            Outside::Sqlite(session) => {
                let found = sqlx::query($sqlite).fetch_all(&mut *session).await?;
                found.iter().map(|$row| $read).collect::<Result<Vec<_>>>()
            }
        }
    };
}

impl Outside {
    /// A session with a store on Postgres, as soon as the server lets us in.
    pub(crate) async fn postgres(database: &Database, schema: &Schema) -> Result<Self> {
        let session = database.connect_patiently(NAME).await?;
        let parts = (session, database.clone(), schema.clone());
        Ok(Self::Postgres(Box::new(parts)))
    }

    /// A session with a store in a file.
    pub(crate) async fn sqlite(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(20));
        let session = SqliteConnection::connect_with(&options).await;
        Ok(Self::Sqlite(session.context("failed to open the file")?))
    }

    /// The same anew, after the server was killed.
    pub(crate) async fn reconnect(&mut self) -> Result<()> {
        if let Self::Postgres(postgres) = self {
            let (session, database, _) = &mut **postgres;
            *session = database.connect_patiently(NAME).await?;
        }
        Ok(())
    }

    /// Makes the table of the ledger.
    pub(crate) async fn create(&mut self) -> Result<()> {
        match self {
            Self::Postgres(postgres) => {
                let (session, _, schema) = &mut **postgres;
                let table = sqlx::raw_sql(sql(schema, TABLE_PG));
                table.execute(&mut *session).await?;
            }
            Self::Sqlite(session) => {
                sqlx::raw_sql(TABLE_LITE).execute(&mut *session).await?;
            }
        }
        Ok(())
    }

    /// How many events there are, and how many of them are in the table.
    pub(crate) async fn counts(&mut self) -> Result<(u64, u64)> {
        let counts = rows!(self, COUNTS_PG, COUNTS_LITE, |row| Ok((
            row.try_get::<i64, _>(0)?.cast_unsigned(),
            row.try_get::<i64, _>(1)?.cast_unsigned()
        )))?;
        counts.first().copied().context("counts are one row")
    }

    /// The log.
    pub(crate) async fn log(&mut self) -> Result<BTreeMap<Entry, Logged>> {
        let events = rows!(self, LOG_PG, LOG_LITE, |row| {
            let entry = Entry {
                key: row.try_get::<&str, _>(0)?.parse()?,
                seq: row.try_get::<i64, _>(1)?.cast_unsigned(),
            };
            let position = row.try_get::<i64, _>(2)?.cast_unsigned();
            let id = u128::from_str_radix(row.try_get(3)?, 16)?;
            Ok((entry, Logged { position, id }))
        })?;
        Ok(events.into_iter().collect())
    }

    /// The table, in the order in which it was written.
    pub(crate) async fn rows(&mut self) -> Result<Vec<Row>> {
        rows!(self, ROWS_PG, ROWS_LITE, |row| {
            let number =
                |column| Ok::<_, sqlx::Error>(row.try_get::<i64, _>(column)?.cast_unsigned());
            Ok(Row {
                entry: Entry {
                    key: number(0)?,
                    seq: number(1)?,
                },
                id: u128::from_str_radix(row.try_get(2)?, 16)?,
                position: number(3)?,
                stamp: Stamp {
                    lane: number(4)?,
                    fence: number(5)?,
                },
                process: u32::try_from(number(6)?)?,
            })
        })
    }

    /// Removes a store on Postgres.
    pub(crate) async fn drop_schema(&mut self) -> Result<()> {
        if let Self::Postgres(postgres) = self {
            let (session, _, schema) = &mut **postgres;
            let drop = sqlx::raw_sql(sql(schema, "DROP SCHEMA {s} CASCADE"));
            drop.execute(&mut *session).await?;
        }
        Ok(())
    }
}
