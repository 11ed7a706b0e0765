//! [`Outside`]: a session past the store, which reads documents, checkpoints and the log in one snapshot.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use sqlx::{
    Connection as _, PgConnection, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

use super::{
    books::BOOKS,
    evidence::{Logged, Snapshot},
    records::Record,
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

const LANES_PG: &str =
    "SELECT c.lane::bigint, c.position FROM {s}.checkpoints c WHERE c.name = $1 ORDER BY c.lane";
const LANES_LITE: &str =
    "SELECT c.lane, c.position FROM uno_checkpoints c WHERE c.subscription = ?1 ORDER BY c.lane";
const DOCUMENTS_PG: &str =
    "SELECT d.key, d.body::text FROM {s}.documents d WHERE d.collection = $1";
const DOCUMENTS_LITE: &str = "SELECT d.key, d.body FROM uno_documents d WHERE d.collection = ?1";
const LOG_PG: &str = "SELECT e.position, s.key, (e.payload ->> 'cents')::bigint FROM {s}.events e JOIN {s}.streams s ON s.id = e.stream \
    WHERE e.position > $1::bigint ORDER BY e.position";
const LOG_LITE: &str = "SELECT e.position, e.key, CAST(e.payload ->> '$.cents' AS INTEGER) FROM uno_events e \
    WHERE e.position > CAST(?1 AS INTEGER) ORDER BY e.position";
const LEFT_PG: &str =
    "SELECT DISTINCT d.collection FROM {s}.documents d WHERE starts_with(d.collection, $1)";
const LEFT_LITE: &str =
    "SELECT DISTINCT d.collection FROM uno_documents d WHERE instr(d.collection, ?1) = 1";
const PARKED_PG: &str =
    "SELECT p.subscription, p.error FROM {s}.parked_keys p WHERE starts_with(p.subscription, $1)";
const PARKED_LITE: &str =
    "SELECT p.subscription, p.error FROM uno_parked_keys p WHERE instr(p.subscription, ?1) = 1";

/// All rows of a statement about one thing, with either driver.
macro_rules! rows {
    ($outside:expr, $postgres:expr, $sqlite:expr, $about:expr, |$row:ident| $read:expr) => {
        match $outside {
            Outside::Postgres(postgres) => {
                let (session, _, schema) = &mut **postgres;
                let found = sqlx::query(sql(schema, $postgres))
                    .bind($about)
                    .fetch_all(&mut *session)
                    .await?;
                found.iter().map(|$row| $read).collect::<Result<_>>()
            }
            Outside::Sqlite(session) => {
                let query = sqlx::query($sqlite).bind($about);
                let found = query.fetch_all(&mut *session).await?;
                found.iter().map(|$row| $read).collect::<Result<_>>()
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

    /// Which generations there are.
    pub(crate) async fn record(&mut self) -> Result<Record> {
        let found: BTreeMap<String, String> = self.documents("uno.read_models").await?;
        let record = found.get(BOOKS).context("there is no read model yet")?;
        Record::read(record)
    }

    /// The documents of a generation, its checkpoints, and what the log has after a position: all of one moment.
    pub(crate) async fn snapshot(&mut self, name: &str, after: i64) -> Result<Snapshot> {
        self.statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "BEGIN")
            .await?;
        let lanes: Vec<i64> = rows!(self, LANES_PG, LANES_LITE, name, |row| {
            // Before the first save it is at the start.
            Ok(row.try_get::<Option<i64>, _>(1)?.unwrap_or_default())
        })?;
        let documents = self.documents(name).await?;
        let log: Vec<Logged> = rows!(self, LOG_PG, LOG_LITE, after, |row| {
            Ok(Logged {
                position: row.try_get(0)?,
                account: row.try_get(1)?,
                cents: row.try_get(2)?,
            })
        })?;
        self.statement("COMMIT", "COMMIT").await?;
        Ok(Snapshot {
            lanes,
            documents,
            log,
        })
    }

    async fn documents(&mut self, collection: &str) -> Result<BTreeMap<String, String>> {
        rows!(self, DOCUMENTS_PG, DOCUMENTS_LITE, collection, |row| Ok((
            row.try_get(0)?,
            row.try_get(1)?
        )))
    }

    /// The names of all generations of which documents are there.
    pub(crate) async fn left(&mut self) -> Result<Vec<String>> {
        rows!(self, LEFT_PG, LEFT_LITE, BOOKS, |row| Ok(row.try_get(0)?))
    }

    /// What is parked, of whom and why.
    pub(crate) async fn parked(&mut self) -> Result<Vec<String>> {
        rows!(self, PARKED_PG, PARKED_LITE, BOOKS, |row| {
            let (name, why): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            Ok(format!("{name}: {why}"))
        })
    }

    async fn statement(&mut self, postgres: &'static str, sqlite: &'static str) -> Result<()> {
        match self {
            Self::Postgres(parts) => {
                sqlx::raw_sql(postgres).execute(&mut parts.0).await?;
            }
            Self::Sqlite(session) => {
                sqlx::raw_sql(sqlite).execute(&mut *session).await?;
            }
        }
        Ok(())
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
