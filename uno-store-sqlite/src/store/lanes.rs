//! Leases of lanes.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{SqliteConnection, sqlite::SqliteRow};
use uno_core::{
    Checkpoint, CommitError, LaneAttempt, LaneClaim, LaneGrant, LaneRecord, LaneRelease,
    LeaseStore, Stale, StoreError, SubscriptionName,
};

use super::SqliteStore;
use crate::{
    core::Core,
    error::{corrupt, store_error},
    row::{self, column},
    script::Script,
    writer::{Division, Hint},
};

/// Lanes from the number on were written to by somebody who knew nothing of it.
const LIST: &str = "SELECT c.epoch, c.position, c.event_id, c.lane, c.fence, c.owner, c.owner_name, m.until, \
     CASE WHEN ifnull(c.position, -1) < c.attempt_position THEN c.attempt_position END, c.attempt \
     FROM uno_subscriptions s JOIN uno_checkpoints c ON c.subscription = s.name AND c.lane < s.lanes \
     LEFT JOIN uno_members m ON m.subscription = s.name AND m.owner = c.owner WHERE s.name = ? ORDER BY c.lane";

const RELEASE: &str = "UPDATE uno_checkpoints SET owner = NULL, owner_name = NULL \
     WHERE subscription = ?1 AND owner = ?2 AND (?3 IS NULL OR lane IN (SELECT value FROM json_each(?3)))";

const LEAVE: &str = "DELETE FROM uno_members WHERE subscription = ? AND owner = ?";

const NOTE: &str = "UPDATE uno_checkpoints SET attempt_position = ?, attempt = ?, unexplained = unexplained AND ? \
     WHERE subscription = ? AND lane = ? AND fence = ? AND owner IS NOT NULL";

const FORGET_EVENTS: &str = "DELETE FROM uno_parked_events WHERE subscription = ? AND position > ?";

const FORGET_KEYS: &str = "DELETE FROM uno_parked_keys WHERE subscription = ? AND NOT EXISTS (\
     SELECT 1 FROM uno_parked_events e WHERE e.subscription = uno_parked_keys.subscription AND e.key = uno_parked_keys.key)";

/// Each call is one transaction of the writer.
#[async_trait]
impl LeaseStore for SqliteStore {
    async fn claim_lanes(&self, claim: LaneClaim) -> Result<LaneGrant, StoreError> {
        self.change(Hint::Quiet, move |connection, core| {
            Box::pin(async move { claimed(&claim, connection, core).await })
        })
        .await
    }

    async fn release_lanes(&self, release: LaneRelease) -> Result<(), StoreError> {
        self.change(Hint::Quiet, move |connection, core| {
            Box::pin(async move {
                let failed = |error| store_error(&core.settings.location, error);
                let (name, owner) = (release.subscription().as_str(), release.owner().id());
                let lanes = release.lanes().map(|lanes| {
                    serde_json::Value::from_iter(lanes.iter().map(|lane| lane.get())).to_string()
                });
                let leaves = lanes.is_none();
                sqlx::query(RELEASE)
                    .bind(name)
                    .bind(owner.as_bytes().to_vec())
                    .bind(lanes)
                    .execute(&mut *connection)
                    .await
                    .map_err(failed)?;
                if leaves {
                    sqlx::query(LEAVE)
                        .bind(name)
                        .bind(owner.as_bytes().to_vec())
                        .execute(connection)
                        .await
                        .map_err(failed)?;
                }
                Ok(())
            })
        })
        .await
    }

    async fn note_attempt(&self, attempt: LaneAttempt) -> Result<(), CommitError> {
        let (subscription, lane) = (attempt.subscription().clone(), attempt.lane());
        let noted = self.change(Hint::Quiet, move |connection, core| {
            Box::pin(async move {
                // A fence that no store can have reached is not the one that is stored.
                let fence = i64::try_from(attempt.fence().get()).unwrap_or(-1);
                let done = sqlx::query(NOTE)
                    .bind(attempt.position().as_i64())
                    .bind(i64::from(attempt.attempt()))
                    .bind(attempt.leaves_unexplained())
                    .bind(attempt.subscription().as_str())
                    .bind(i64::from(attempt.lane().get()))
                    .bind(fence)
                    .execute(connection)
                    .await
                    .map_err(|error| store_error(&core.settings.location, error))?;
                Ok(done.rows_affected() > 0)
            })
        });
        if noted.await? {
            Ok(())
        } else {
            Err(CommitError::Stale(Stale::Lease { subscription, lane }))
        }
    }

    async fn reset_lanes(
        &self,
        subscription: &SubscriptionName,
        to: Checkpoint,
    ) -> Result<(), StoreError> {
        let subscription = subscription.clone();
        self.change(Hint::Told, move |connection, core| {
            Box::pin(async move { reset(&subscription, to, connection, core).await })
        })
        .await
    }

    async fn list_lanes(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<LaneRecord>, StoreError> {
        let now = self.core().now();
        let query = sqlx::query(LIST).bind(subscription.as_str().to_owned());
        self.rows(query, move |rows| {
            rows.iter().map(|row| record(row, now)).collect()
        })
        .await
    }
}

async fn claimed(
    claim: &LaneClaim,
    connection: &mut SqliteConnection,
    core: &Core,
) -> Result<LaneGrant, StoreError> {
    let (subscription, location) = (claim.subscription(), &core.settings.location);
    let mut division = Division::load(subscription, location, connection).await?;
    // Now that nobody else can claim, however long this has waited.
    let grant = division.claim(claim, core.now());
    division.save(subscription, location, connection).await?;
    Ok(grant)
}

async fn reset(
    subscription: &SubscriptionName,
    to: Checkpoint,
    connection: &mut SqliteConnection,
    core: &Core,
) -> Result<(), StoreError> {
    let location = &core.settings.location;
    let mut division = Division::load(subscription, location, connection).await?;
    division.reset(to);
    division.save(subscription, location, connection).await?;
    let mut script = Script::new();
    script
        .push(FORGET_EVENTS)
        .bind(subscription.as_str())
        .bind(to.position().as_i64())
        .push(FORGET_KEYS)
        .bind(subscription.as_str());
    script
        .execute(connection)
        .await
        .map_err(|failure| failure.into_store_error(location))
}

fn record(row: &SqliteRow, now: DateTime<Utc>) -> Result<LaneRecord, StoreError> {
    // An owner who has none left has no row that says until when.
    let left = match column::<Option<i64>>(row, 7)? {
        Some(until) => {
            let until = row::time(until).ok_or_else(|| corrupt("the end of a lease"))?;
            (until - now).to_std().unwrap_or_default()
        }
        None => Duration::ZERO,
    };
    Ok(LaneRecord::new(
        row::lane(row, 3)?,
        row::fence(row, 4)?,
        row::holder(row, 5)?.map(|holder| (holder, left)),
        row::checkpoint(row, 0)?,
        row::attempt(row, 8)?,
    ))
}
