//! [`Outside`]: a session past the store, which looks how far things are, and in the end reads everything.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use sqlx::{
    Connection as _, PgConnection, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

use super::evidence::{Evidence, Step};
use crate::session::{Schema, sql};

/// A session past the store.
#[derive(Debug)]
pub(crate) enum Outside {
    Postgres(PgConnection, Schema),
    Sqlite(SqliteConnection),
}

/// How far things are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The last position of the log.
    pub(crate) position: i64,
    /// Instances that are completed, compensated or stuck.
    pub(crate) ended: i64,
    /// Messages and timers that are to be handled.
    pub(crate) open: i64,
}

const POSITION_PG: &str = "SELECT coalesce(max(e.position), 0) FROM {s}.events e";
const POSITION_LITE: &str = "SELECT coalesce(max(e.position), 0) FROM uno_events e";

const PROGRESS_PG: &str = "SELECT (SELECT coalesce(max(e.position), 0) FROM {s}.events e), \
    (SELECT count(*) FROM {s}.processes p WHERE p.status IN ('completed', 'compensated', 'stuck')), \
    (SELECT count(*) FROM {s}.queue) + (SELECT count(*) FROM {s}.timers)";
const PROGRESS_LITE: &str = "SELECT (SELECT coalesce(max(e.position), 0) FROM uno_events e), \
    (SELECT count(*) FROM uno_processes p WHERE p.status IN ('completed', 'compensated', 'stuck')), \
    (SELECT count(*) FROM uno_messages) + (SELECT count(*) FROM uno_timers)";

// The key of the stream of an event is its order, as its payload says too.
const EVENTS_PG: &str = "SELECT s.key, e.name, e.payload ->> 'order' FROM {s}.events e JOIN {s}.streams s ON s.id = e.stream \
    ORDER BY e.position";
const EVENTS_LITE: &str = "SELECT e.key, e.name, CAST(e.payload ->> '$.order' AS TEXT) FROM uno_events e ORDER BY e.position";
const INSTANCES_PG: &str = "SELECT p.key, p.status FROM {s}.processes p";
const INSTANCES_LITE: &str = "SELECT p.key, p.status FROM uno_processes p";
const HISTORY_PG: &str = "SELECT h.key, h.entry::text FROM {s}.history h ORDER BY h.key, h.number";
const HISTORY_LITE: &str = "SELECT h.key, h.entry FROM uno_history h ORDER BY h.key, h.number";
const LEFT_PG: &str = "SELECT q.queue, count(*) FROM {s}.queue q GROUP BY q.queue \
    UNION ALL SELECT 'timers', count(*) FROM {s}.timers";
const LEFT_LITE: &str = "SELECT m.queue, count(*) FROM uno_messages m GROUP BY m.queue \
    UNION ALL SELECT 'timers', count(*) FROM uno_timers";

/// The same with either driver: a statement, and what becomes of each row.
macro_rules! each_row {
    ($outside:expr, $postgres:expr, $sqlite:expr, |$row:ident| $body:expr) => {
        match $outside {
            Outside::Postgres(session, schema) => {
                for $row in sqlx::query(sql(schema, $postgres))
                    .fetch_all(session)
                    .await?
                {
                    $body
                }
            }
            Outside::Sqlite(session) => {
                for $row in sqlx::query($sqlite).fetch_all(session).await? {
                    $body
                }
            }
        }
    };
}

impl Outside {
    /// A session with a store in a file.
    pub(crate) async fn sqlite(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(20));
        let session = SqliteConnection::connect_with(&options).await;
        Ok(Self::Sqlite(session.context("failed to open the file")?))
    }

    /// The last position of the log.
    pub(crate) async fn position(&mut self) -> Result<i64> {
        let mut position = 0;
        each_row!(self, POSITION_PG, POSITION_LITE, |row| position =
            row.try_get(0)?);
        Ok(position)
    }

    pub(crate) async fn progress(&mut self) -> Result<Progress> {
        let mut progress = Progress::default();
        each_row!(self, PROGRESS_PG, PROGRESS_LITE, |row| {
            progress = Progress {
                position: row.try_get(0)?,
                ended: row.try_get(1)?,
                open: row.try_get(2)?,
            };
        });
        Ok(progress)
    }

    /// Everything that the store has to say.
    pub(crate) async fn read(&mut self, evidence: &mut Evidence) -> Result<()> {
        each_row!(self, EVENTS_PG, EVENTS_LITE, |row| {
            let (stream, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let order: String = row.try_get(2)?;
            evidence.add_event(&stream, &order, name);
        });
        each_row!(self, INSTANCES_PG, INSTANCES_LITE, |row| {
            evidence
                .instances
                .insert(number(row.try_get(0)?)?, row.try_get(1)?);
        });
        let mut histories: BTreeMap<u64, Vec<Step>> = BTreeMap::new();
        each_row!(self, HISTORY_PG, HISTORY_LITE, |row| {
            let history = histories.entry(number(row.try_get(0)?)?).or_default();
            history.push(Step::read(row.try_get(1)?)?);
        });
        evidence.histories = histories;
        each_row!(self, LEFT_PG, LEFT_LITE, |row| {
            let count: i64 = row.try_get(1)?;
            evidence.left.add(row.try_get(0)?, count.cast_unsigned());
        });
        Ok(())
    }
}

fn number(key: &str) -> Result<u64> {
    key.parse()
        .with_context(|| format!("{key} is no order of ours"))
}
