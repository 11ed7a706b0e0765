//! Checkpoints of subscriptions.

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};
use uno_core::{
    Checkpoint, CheckpointStore, CheckpointWrite, CommitError, EventId, StoreEpoch, StoreError,
    SubscriptionName,
};

use super::PgStore;
use crate::{decode, fault::Fault, nesting, plain::Plain, value::PgUuid};

const LOAD: &str = "SELECT epoch, position, event_id FROM {schema}.checkpoints WHERE name = $1";
const LIST: &str = "SELECT epoch, position, event_id, name FROM {schema}.checkpoints ORDER BY name";

#[async_trait]
impl CheckpointStore for PgStore {
    async fn load_checkpoint(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Option<Checkpoint>, StoreError> {
        let subscription = subscription.clone();
        self.read(move |session| {
            let subscription = subscription.clone();
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(LOAD);
                let query = query
                    .query(session.shared().options.is_prepared())
                    .bind(subscription.as_str());
                let row = query.fetch_optional(session.connection()).await?;
                row.as_ref().map(checkpoint).transpose()
            })
        })
        .await
    }

    async fn save_checkpoint(&self, write: CheckpointWrite) -> Result<(), CommitError> {
        nesting::refuse(&self.shared)?;
        self.commit_plain(Plain {
            checkpoints: vec![write],
            ..Plain::default()
        })
        .await?;
        Ok(())
    }

    async fn list_checkpoints(&self) -> Result<Vec<(SubscriptionName, Checkpoint)>, StoreError> {
        self.read(|session| {
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(LIST);
                let rows = query
                    .query(session.shared().options.is_prepared())
                    .fetch_all(session.connection())
                    .await?;
                let named = |row| {
                    let name: String = PgRow::try_get(row, 3)?;
                    Ok((
                        SubscriptionName::new(name).map_err(Fault::corrupt)?,
                        checkpoint(row)?,
                    ))
                };
                rows.iter().map(named).collect()
            })
        })
        .await
    }
}

fn checkpoint(row: &PgRow) -> Result<Checkpoint, Fault> {
    let epoch = StoreEpoch::from_uuid(row.try_get::<PgUuid, _>(0)?.0);
    let position = decode::position(row.try_get(1)?)?;
    Ok(match row.try_get::<Option<PgUuid>, _>(2)? {
        Some(PgUuid(id)) => Checkpoint::after(epoch, position, EventId::from_uuid(id)),
        None => Checkpoint::start(epoch),
    })
}
