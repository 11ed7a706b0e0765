//! Forgets what was handled long ago: alone, and some at a time, so that commits go in between.

use uno_core::StoreError;

use super::{Writer, job::Prune, sql};
use crate::error::store_error;

pub(super) async fn carry_out(writer: &mut Writer, job: Prune) {
    if job.reply.is_closed() {
        // The caller has gone away before anything began.
        return;
    }
    let result = prune(writer, &job).await;
    // Nobody to tell when the caller has gone away.
    let _gone = job.reply.send(result);
}

async fn prune(writer: &mut Writer, job: &Prune) -> Result<u64, StoreError> {
    let mut connection = writer.take_checked_connection().await?;
    // A transaction by itself: SQLite begins and ends it.
    let result = sqlx::query(sql::PRUNE_INBOX)
        .bind(&job.consumer)
        .bind(job.before.timestamp_micros())
        .bind(job.limit)
        .execute(&mut connection)
        .await;
    match result {
        Ok(done) => {
            writer.connection = Some(connection);
            Ok(done.rows_affected())
        }
        Err(error) => {
            writer.roll_back(connection).await;
            Err(store_error(&writer.core.settings.location, error))
        }
    }
}
