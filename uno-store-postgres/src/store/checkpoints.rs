//! Checkpoints of subscriptions.

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};
use uno_core::{
    Checkpoint, CheckpointStore, CheckpointWrite, CommitError, Lane, StoreError, SubscriptionName,
};

use super::{
    PgStore,
    lanes::{checkpoint, lane, number},
};
use crate::{fault::Fault, nesting, plain::Plain};

const LOAD: &str =
    "SELECT epoch, position, event_id FROM {schema}.checkpoints WHERE name = $1 AND lane = $2";
const LIST: &str = "SELECT epoch, position, event_id, name, lane FROM {schema}.checkpoints \
     WHERE position IS NOT NULL ORDER BY name, lane";

#[async_trait]
impl CheckpointStore for PgStore {
    async fn load_checkpoint(
        &self,
        subscription: &SubscriptionName,
        lane: Lane,
    ) -> Result<Option<Checkpoint>, StoreError> {
        let subscription = subscription.clone();
        self.read(move |session| {
            let subscription = subscription.clone();
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(LOAD);
                let query = query
                    .query(session.shared().options.is_prepared())
                    .bind(subscription.as_str())
                    .bind(number(lane));
                let row = query.fetch_optional(session.connection()).await?;
                row.map_or(Ok(None), |row| checkpoint(&row, 0))
            })
        })
        .await
    }

    async fn save_checkpoint(&self, write: CheckpointWrite) -> Result<(), CommitError> {
        nesting::refuse(&self.shared)?;
        let plain = Plain::from_checkpoint(write, self.shared.options.event_limits())?;
        self.commit_plain(plain).await?;
        Ok(())
    }

    async fn list_checkpoints(
        &self,
    ) -> Result<Vec<(SubscriptionName, Lane, Checkpoint)>, StoreError> {
        self.read(|session| {
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(LIST);
                let rows = query
                    .query(session.shared().options.is_prepared())
                    .fetch_all(session.connection())
                    .await?;
                let mut found = Vec::with_capacity(rows.len());
                for row in &rows {
                    let name: String = PgRow::try_get(row, 3)?;
                    let name = SubscriptionName::new(name).map_err(Fault::corrupt)?;
                    let lane = lane(row.try_get(4)?)?;
                    if let Some(checkpoint) = checkpoint(row, 0)? {
                        found.push((name, lane, checkpoint));
                    }
                }
                Ok(found)
            })
        })
        .await
    }
}
