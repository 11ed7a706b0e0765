//! The user's own table, which the rows of units of work go into.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::sleep;
use uno_core::Work;
use uno_store_postgres::PgTx;

use crate::session::{Schema, sql};

/// Makes the table. No key keeps a row from being there twice: that is for the judge to see.
pub(crate) async fn create(connection: &mut PgConnection, schema: &Schema) -> sqlx::Result<()> {
    let text = "CREATE TABLE IF NOT EXISTS {s}.torture_rows (batch bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())";
    sqlx::raw_sql(sql(schema, text)).execute(connection).await?;
    Ok(())
}

/// Writes the row of a batch.
pub(crate) async fn write(
    connection: &mut PgConnection,
    schema: &Schema,
    batch: u64,
) -> sqlx::Result<()> {
    let query = sqlx::query(sql(
        schema,
        "INSERT INTO {s}.torture_rows (batch) VALUES ($1)",
    ));
    query.bind(batch.cast_signed()).execute(connection).await?;
    Ok(())
}

/// Work in a unit of work: writes the row, waits, and fails if it is told to.
pub(crate) fn work(schema: &Schema, batch: u64, pause: Duration, fail: bool) -> Work<PgTx> {
    let schema = schema.clone();
    Box::new(move |tx: &mut PgTx| {
        Box::pin(async move {
            write(tx.connection(), &schema, batch).await?;
            if !pause.is_zero() {
                sleep(pause).await;
            }
            if fail {
                Err("the user thought better of it".into())
            } else {
                Ok(())
            }
        })
    })
}
