//! [`Bystander`]: a transaction that has nothing to do with the log, and stays open from beginning to end.

use anyhow::Result;
use sqlx::{Connection as _, PgConnection};

use super::Field;
use crate::session::sql;

/// It wrote something long ago, so nothing later is older than its transaction; and it holds advisory locks of the kind
/// that the log uses, with keys of its own. Whoever waited for either would never come to the end.
const STAND: &str = "BEGIN; CREATE TABLE {s}.bystander AS SELECT 1 AS one; \
    SELECT pg_advisory_xact_lock_shared(1), pg_advisory_xact_lock_shared(1, 1), \
           pg_advisory_xact_lock_shared({s}.log_class()::bigint << 32), pg_advisory_xact_lock({s}.log_class(), 500000000)";

/// A transaction that has nothing to do with the log.
pub(crate) struct Bystander(PgConnection);

impl Bystander {
    pub(crate) async fn start(field: &Field) -> Result<Self> {
        let mut session = field.database.connect("uno-torture-bystander").await?;
        sqlx::raw_sql(sql(&field.schema, STAND))
            .execute(&mut session)
            .await?;
        Ok(Self(session))
    }

    /// Rolls back.
    pub(crate) async fn end(self) {
        // It may have gone with the server.
        let _ = self.0.close().await;
    }
}
