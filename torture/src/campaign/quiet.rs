//! Waits until nothing is under way any more, since a transaction whose client is gone may still commit.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use sqlx::{PgConnection, Row as _};
use tokio::time::{Instant, sleep};

use super::Field;
use crate::session::sql;

/// Sessions of this phase, but for readers, that do something; and holders of any of the log's locks.
const UNDER_WAY: &str = "SELECT (SELECT count(*) FROM pg_catalog.pg_stat_activity a \
        WHERE starts_with(a.application_name, $1) AND NOT starts_with(a.application_name, $1 || 'reader/') \
        AND (a.state IS DISTINCT FROM 'idle' OR a.xact_start IS NOT NULL)) \
    + (SELECT count(*) FROM pg_catalog.pg_locks l \
        WHERE l.locktype = 'advisory' AND l.classid = {s}.log_class()::oid AND l.objsubid = 2 AND l.mode = 'ShareLock' \
        AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database()))";

const HIGHEST: &str = "SELECT coalesce(max(e.position), 0) FROM {s}.events e";

/// Waits, then gives the highest position there is.
pub(crate) async fn settle(field: &Field, session: &mut PgConnection) -> Result<i64> {
    let give_up = Instant::now() + Duration::from_secs(60);
    let mut looks = 0;
    // Three looks, since a session may have a statement that it has not begun to read.
    while looks < 3 {
        sleep(Duration::from_millis(50)).await;
        let query = sqlx::query(sql(&field.schema, UNDER_WAY)).bind(format!("{}/", field.tag));
        let under_way: i64 = query
            .fetch_one(&mut *session)
            .await
            .context("failed to look for what is under way")?
            .try_get(0)?;
        looks = if under_way == 0 { looks + 1 } else { 0 };
        if Instant::now() > give_up {
            bail!("something is still under way a minute after the last writer ended");
        }
    }
    Ok(sqlx::query(sql(&field.schema, HIGHEST))
        .fetch_one(session)
        .await?
        .try_get(0)?)
}
