//! The same rows, read and decoded by hand: what nobody can do better who reads page by page.

use anyhow::{Context as _, Result};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use super::{OrderPlaced, is_right};

/// As many as the framework reads at a time.
const PAGE: i64 = 1_000;

/// Reads all events by their positions, and decodes their payloads.
pub(super) async fn scan(url: &str, schema: &str, events: u64) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    let statement = format!(
        "SELECT e.position, e.id, s.category, s.key, e.version, e.schema_version, e.name, e.payload, e.occurred_at, \
         e.recorded_at FROM {schema}.events e JOIN {schema}.streams s ON s.id = e.stream \
         WHERE e.position > $1 ORDER BY e.position LIMIT $2"
    );
    let (mut after, mut count, mut cents) = (0_i64, 0_u64, 0_u64);
    loop {
        let page = sqlx::query(AssertSqlSafe(statement.clone()))
            .bind(after)
            .bind(PAGE)
            .fetch_all(&mut connection)
            .await?;
        for row in &page {
            after = row.try_get(0)?;
            let _id: Uuid = row.try_get(1)?;
            let _stream: (&str, &str) = (row.try_get(2)?, row.try_get(3)?);
            let _version: i64 = row.try_get(4)?;
            // As the server sends it: what it would cast to text for each row would count for the framework.
            let event: OrderPlaced = serde_json::from_str(row.try_get_unchecked(7)?)?;
            let _times: (i64, i64) = (row.try_get_unchecked(8)?, row.try_get_unchecked(9)?);
            count += 1;
            cents += event.total_cents;
        }
        if page.len() < usize::try_from(PAGE)? {
            break;
        }
    }
    connection.close().await?;
    is_right(events, count, cents)
}

/// Tells the server what it has, as it would find out by itself after a while.
pub(super) async fn analyze(url: &str, schema: &str) -> Result<()> {
    run(
        url,
        format!("VACUUM ANALYZE {schema}.events, {schema}.streams"),
    )
    .await
}

pub(super) async fn drop_schema(url: &str, schema: &str) -> Result<()> {
    run(url, format!("DROP SCHEMA {schema} CASCADE")).await
}

async fn run(url: &str, statement: String) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .context("the server refused")?;
    Ok(connection.close().await?)
}
