//! An append past the store's functions: straight into the table, where only its trigger stands guard.

use std::fmt::Write as _;

use sqlx::{PgConnection, Row as _, postgres::PgCopyIn};

use super::{Past, Placed};
use crate::{
    campaign::batch::{Draft, NAME},
    ids::IdSpace,
    session::{Schema, sql},
};

const STREAM: &str =
    "INSERT INTO {s}.streams (category, key, version) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING";

const LOCK: &str =
    "SELECT s.id, s.version FROM {s}.streams s WHERE s.category = $1 AND s.key = $2 FOR UPDATE";

const INSERT: &str = "INSERT INTO {s}.events (id, stream, version, schema_version, occurred_at, name, payload) \
    SELECT u.id, $1, $2 + u.ord, 1, now(), $3, u.payload::json \
    FROM unnest($4::uuid[], $5::text[]) WITH ORDINALITY u(id, payload, ord) ORDER BY u.ord RETURNING position";

const COPY: &str =
    "COPY {s}.events (id, stream, version, schema_version, occurred_at, name, payload) FROM STDIN";

const MOVE: &str = "UPDATE {s}.streams SET version = version + $2 WHERE id = $1";

/// Appends a batch at the end of its one stream.
pub(super) async fn append(
    session: &mut PgConnection,
    schema: &Schema,
    draft: &Draft,
    space: IdSpace,
    how: Past,
) -> sqlx::Result<Placed> {
    let mut placed = Placed {
        position: 0,
        firsts: Vec::new(),
    };
    for part in &draft.parts {
        sqlx::query(sql(schema, STREAM))
            .bind(part.category)
            .bind(&part.key)
            .execute(&mut *session)
            .await?;
        let row = sqlx::query(sql(schema, LOCK))
            .bind(part.category)
            .bind(&part.key)
            .fetch_one(&mut *session)
            .await?;
        let (stream, version): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let events = Events {
            stream,
            version,
            draft,
            count: part.events,
            space,
        };
        match how {
            Past::Insert => placed.position = insert(session, schema, &events).await?,
            Past::Copy => copy(session, schema, &events).await?,
        }
        sqlx::query(sql(schema, MOVE))
            .bind(stream)
            .bind(i64::from(part.events))
            .execute(&mut *session)
            .await?;
        placed
            .firsts
            .push((part.stream(), version.cast_unsigned() + 1));
    }
    Ok(placed)
}

/// Events of one batch for one stream, from index 0 on.
struct Events<'d> {
    stream: i64,
    version: i64,
    draft: &'d Draft,
    count: u32,
    space: IdSpace,
}

impl Events<'_> {
    fn id(&self, index: u32) -> String {
        uuid::Uuid::from_u128(self.space.id(self.draft.batch, index)).to_string()
    }
}

async fn insert(
    session: &mut PgConnection,
    schema: &Schema,
    events: &Events<'_>,
) -> sqlx::Result<u64> {
    let ids: Vec<String> = (0..events.count).map(|index| events.id(index)).collect();
    let payloads: Vec<String> = (0..events.count)
        .map(|index| events.space.payload(events.draft.batch, index))
        .collect();
    let query = sqlx::query(sql(schema, INSERT))
        .bind(events.stream)
        .bind(events.version)
        .bind(NAME)
        .bind(ids)
        .bind(payloads);
    let rows = query.fetch_all(session).await?;
    let positions = rows
        .iter()
        .map(|row| row.try_get::<i64, _>(0))
        .collect::<sqlx::Result<Vec<_>>>()?;
    Ok(positions
        .into_iter()
        .max()
        .unwrap_or_default()
        .cast_unsigned())
}

async fn copy(
    session: &mut PgConnection,
    schema: &Schema,
    events: &Events<'_>,
) -> sqlx::Result<()> {
    let mut lines = String::new();
    for index in 0..events.count {
        let (id, version) = (events.id(index), events.version + 1 + i64::from(index));
        // Our payloads have neither tabs nor backslashes. Writing to a String can't fail.
        let _ = writeln!(
            lines,
            "{id}\t{}\t{version}\t1\tnow\t{NAME}\t{}",
            events.stream,
            events.space.payload(events.draft.batch, index)
        );
    }
    let mut copy: PgCopyIn<&mut PgConnection> =
        session.copy_in_raw(sql(schema, COPY).as_str()).await?;
    copy.send(lines.as_bytes()).await?;
    copy.finish().await?;
    Ok(())
}
