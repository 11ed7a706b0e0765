//! The inbox.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};
use uno_core::{InboxRecord, InboxStore, Payload, StoreError};
use uuid::Uuid;

use super::{PgStore, askable};
use crate::{
    batch, exchange,
    fault::Fault,
    nesting,
    value::{PgJson, PgTime, PgUuid},
};

const LOAD: &str =
    "SELECT id, outputs, handled_at FROM {schema}.inbox WHERE consumer = $1 AND id = ANY ($2)";

const BEFORE: &str = "SELECT clock_timestamp() - $1 / 1000000 * interval '1 second' - $1 % 1000000 * interval '1 microsecond'";

/// Some at a time, so that no transaction is long. What somebody else is pruning is left to them.
const PRUNE: &str = "DELETE FROM {schema}.inbox WHERE ctid = ANY (ARRAY(\
     SELECT t.ctid FROM {schema}.inbox t WHERE t.consumer = $1 AND t.handled_at < $2 \
     ORDER BY t.handled_at LIMIT $3 FOR UPDATE SKIP LOCKED))";

/// How many records are forgotten in one transaction.
const PRUNED_AT_ONCE: i64 = 1000;

/// A thousand years, in microseconds: longer than anything has been remembered.
const OLDEST: i64 = 1000 * 366 * 86_400 * 1_000_000;

#[async_trait]
impl InboxStore for PgStore {
    async fn load_inbox(
        &self,
        consumer: &str,
        ids: &[Uuid],
    ) -> Result<Vec<InboxRecord>, StoreError> {
        if ids.is_empty() || !askable(consumer) {
            return Ok(Vec::new());
        }
        let consumer = consumer.to_owned();
        let ids: Vec<PgUuid> = ids.iter().copied().map(PgUuid).collect();
        self.read(move |session| {
            let (consumer, ids) = (consumer.clone(), ids.clone());
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(LOAD);
                let query = query.query(session.shared().options.is_prepared());
                let rows = query.bind(consumer).bind(ids);
                let rows = rows.fetch_all(session.connection()).await?;
                rows.iter().map(record).collect()
            })
        })
        .await
    }

    /// In several transactions; dropped, it stops after the one that is under way.
    async fn prune_inbox(&self, consumer: &str, older_than: Duration) -> Result<u64, StoreError> {
        nesting::refuse(&self.shared)?;
        if !askable(consumer) {
            return Ok(0);
        }
        let age = batch::micros(older_than).min(OLDEST);
        let before: PgTime = self
            .read(move |session| {
                Box::pin(async move {
                    session.ready().await?;
                    let query = session.shared().sql(BEFORE);
                    let query = query.query(session.shared().options.is_prepared());
                    let row = query.bind(age).fetch_one(session.connection()).await?;
                    Ok(row.try_get(0)?)
                })
            })
            .await?;
        let mut pruned = 0;
        loop {
            let consumer = consumer.to_owned();
            // Done twice, when the link was dead, it comes to the same.
            let done = exchange::read(&self.work, &self.shared.location, move |session| {
                let consumer = consumer.clone();
                Box::pin(async move {
                    session.ready().await?;
                    let query = session.shared().sql(PRUNE);
                    let query = query.query(session.shared().options.is_prepared());
                    let query = query.bind(consumer).bind(before).bind(PRUNED_AT_ONCE);
                    let done = query.execute(session.connection()).await?;
                    Ok(done.rows_affected())
                })
            });
            let done = done.await?;
            pruned += done;
            if done < PRUNED_AT_ONCE.cast_unsigned() {
                return Ok(pruned);
            }
        }
    }
}

fn record(row: &PgRow) -> Result<InboxRecord, Fault> {
    Ok(InboxRecord::new(
        row.try_get::<PgUuid, _>(0)?.0,
        Payload::from_stored(row.try_get::<PgJson<'_>, _>(1)?.0),
        row.try_get::<PgTime, _>(2)?.0,
    ))
}
