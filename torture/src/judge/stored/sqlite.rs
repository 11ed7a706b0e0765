//! The tables of the SQLite store, as the judge reads them.

use std::path::Path;

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use sqlx::{Connection as _, Row as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{Stored, StoredEvent};
use crate::ids::IdSpace;

const STREAMS: &str = "SELECT s.number, s.category || '-' || s.key FROM uno_streams s";

/// No condition and no index: whatever is in the table is looked at. An event names its stream twice, and both must be the same.
const EVENTS: &str = "SELECT e.position, e.id, e.stream, e.version, e.recorded_at, \
    e.payload, coalesce((SELECT s.category = e.category AND s.key = e.key FROM uno_streams s WHERE s.number = e.stream), 0) \
    FROM uno_events e NOT INDEXED ORDER BY e.position";

const ROWS: &str = "SELECT r.batch, count(*) FROM torture_rows r GROUP BY r.batch";

impl Stored {
    /// Reads it all, in one snapshot, and has SQLite look whether the file is whole.
    ///
    /// # Errors
    /// When the file can't be read, or is not whole.
    pub async fn read_sqlite(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let mut connection = SqliteConnection::connect_with(&options)
            .await
            .with_context(|| format!("failed to open {}", path.display()))?;
        let check: String = sqlx::query("PRAGMA integrity_check")
            .fetch_one(&mut connection)
            .await?
            .try_get(0)?;
        anyhow::ensure!(check == "ok", "the file is not whole: {check}");

        let mut stored = Self {
            times_rise: true,
            ..Self::default()
        };
        let mut snapshot = connection.begin().await?;
        for row in sqlx::query(STREAMS).fetch_all(&mut *snapshot).await? {
            stored
                .streams
                .insert(row.try_get(0)?, (row.try_get(1)?, None));
        }
        {
            let mut rows = sqlx::query(EVENTS).fetch(&mut *snapshot);
            while let Some(row) = rows.try_next().await? {
                let id: &[u8] = row.try_get(1)?;
                let id = u128::from_be_bytes(id.try_into().context("an id has 16 bytes")?);
                stored.events.push(StoredEvent {
                    position: row.try_get(0)?,
                    id,
                    stream: row.try_get(2)?,
                    version: row.try_get(3)?,
                    recorded: row.try_get(4)?,
                    own_payload: IdSpace::is_own_payload(id, row.try_get(5)?)
                        && row.try_get::<bool, _>(6)?,
                });
            }
        }
        for row in sqlx::query(ROWS).fetch_all(&mut *snapshot).await? {
            let (batch, count): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            stored
                .rows
                .insert(batch.cast_unsigned(), count.cast_unsigned());
        }
        snapshot.rollback().await?;
        Ok(stored)
    }
}
