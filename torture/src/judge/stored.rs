//! [`Stored`]: what is in the database, read with the judge's own SQL.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use sqlx::{PgConnection, Row as _};

use crate::session::{Schema, sql};

/// What is in the database.
#[derive(Debug, Default)]
pub struct Stored {
    /// The log, by position.
    pub events: Vec<StoredEvent>,
    /// The streams: name, and version by their own record.
    pub streams: HashMap<i64, (String, i64)>,
    /// How many rows of the user's each batch has.
    pub rows: HashMap<u64, u64>,
    /// Whether times of recording must rise: not when somebody wrote to the table past the store's functions.
    pub times_rise: bool,
}

/// An event in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in the log.
    pub position: i64,
    /// Its id.
    pub id: u128,
    /// Its stream, by number.
    pub stream: i64,
    /// Its place in the stream.
    pub version: i64,
    /// When it was recorded, in microseconds.
    pub recorded: i64,
    /// Whether its payload is the one that was made for it.
    pub own_payload: bool,
}

impl Stored {
    /// Reads it all, in one snapshot.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn read(
        connection: &mut PgConnection,
        schema: &Schema,
        times_rise: bool,
    ) -> Result<Self> {
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .execute(&mut *connection)
            .await?;
        let mut stored = Self {
            times_rise,
            ..Self::default()
        };
        stored
            .read_streams(connection, schema)
            .await
            .context("failed to read the streams")?;
        stored
            .read_events(connection, schema)
            .await
            .context("failed to read the events")?;
        stored
            .read_rows(connection, schema)
            .await
            .context("failed to read the user's rows")?;
        sqlx::raw_sql("COMMIT").execute(connection).await?;
        Ok(stored)
    }

    /// The name of a stream.
    #[must_use]
    pub fn name(&self, stream: i64) -> &str {
        self.streams
            .get(&stream)
            .map_or("(no such stream)", |(name, _)| name)
    }

    async fn read_streams(&mut self, connection: &mut PgConnection, schema: &Schema) -> Result<()> {
        let query = sql(
            schema,
            "SELECT s.id, s.category || '-' || s.key, s.version FROM {s}.streams s",
        );
        let mut rows = sqlx::query(query).fetch(connection);
        while let Some(row) = rows.try_next().await? {
            self.streams
                .insert(row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?));
        }
        Ok(())
    }

    async fn read_events(&mut self, connection: &mut PgConnection, schema: &Schema) -> Result<()> {
        // No condition and no index: whatever is in the table is looked at.
        let query = sql(
            schema,
            "SELECT e.position, uuid_send(e.id), e.stream, e.version, \
             (extract(epoch FROM e.recorded_at) * 1000000)::bigint, (e.payload ->> 'id') = e.id::text \
             FROM {s}.events e ORDER BY e.position",
        );
        let mut rows = sqlx::query(query).fetch(connection);
        while let Some(row) = rows.try_next().await? {
            let id: &[u8] = row.try_get(1)?;
            self.events.push(StoredEvent {
                position: row.try_get(0)?,
                id: u128::from_be_bytes(id.try_into().context("an id has 16 bytes")?),
                stream: row.try_get(2)?,
                version: row.try_get(3)?,
                recorded: row.try_get(4)?,
                own_payload: row.try_get::<Option<bool>, _>(5)?.unwrap_or_default(),
            });
        }
        Ok(())
    }

    async fn read_rows(&mut self, connection: &mut PgConnection, schema: &Schema) -> Result<()> {
        let query = sql(
            schema,
            "SELECT r.batch, count(*) FROM {s}.torture_rows r GROUP BY r.batch",
        );
        for row in sqlx::query(query).fetch_all(connection).await? {
            let (batch, count): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            self.rows
                .insert(batch.cast_unsigned(), count.cast_unsigned());
        }
        Ok(())
    }
}
