//! The tables of the Postgres store, as the judge reads them.

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use sqlx::{PgConnection, Row as _};

use super::{Stored, StoredEvent};
use crate::{
    ids::IdSpace,
    session::{Schema, sql},
};

/// One snapshot, of the tables themselves: an index that lacks an entry hides nothing.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
    SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off";

impl Stored {
    /// Reads it all, in one snapshot.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn read_postgres(
        connection: &mut PgConnection,
        schema: &Schema,
        times_rise: bool,
    ) -> Result<Self> {
        sqlx::raw_sql(BEGIN).execute(&mut *connection).await?;
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

    async fn read_streams(&mut self, connection: &mut PgConnection, schema: &Schema) -> Result<()> {
        let query = sql(
            schema,
            "SELECT s.id, s.category || '-' || s.key, s.version FROM {s}.streams s",
        );
        let mut rows = sqlx::query(query).fetch(connection);
        while let Some(row) = rows.try_next().await? {
            self.streams
                .insert(row.try_get(0)?, (row.try_get(1)?, Some(row.try_get(2)?)));
        }
        Ok(())
    }

    async fn read_events(&mut self, connection: &mut PgConnection, schema: &Schema) -> Result<()> {
        // No condition: whatever is in the table is looked at.
        let query = sql(
            schema,
            "SELECT e.position, uuid_send(e.id), e.stream, e.version, \
             (extract(epoch FROM e.recorded_at) * 1000000)::bigint, e.payload::text \
             FROM {s}.events e ORDER BY e.position",
        );
        let mut rows = sqlx::query(query).fetch(connection);
        while let Some(row) = rows.try_next().await? {
            let id: &[u8] = row.try_get(1)?;
            let id = u128::from_be_bytes(id.try_into().context("an id has 16 bytes")?);
            self.events.push(StoredEvent {
                position: row.try_get(0)?,
                id,
                stream: row.try_get(2)?,
                version: row.try_get(3)?,
                recorded: row.try_get(4)?,
                own_payload: IdSpace::is_own_payload(id, row.try_get(5)?),
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
