//! Leases of lanes: each call is one call of a function, `migrations/0005_lanes.sql`.

use std::{num::NonZeroU16, time::Duration};

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};
use uno_core::{
    Checkpoint, CommitError, EventId, Fence, Lane, LaneAttempt, LaneClaim, LaneGrant, LaneLease,
    LaneRecord, LaneRelease, LeaseOwner, LeaseStore, Position, Stale, StoreEpoch, StoreError,
    SubscriptionName,
};

use super::PgStore;
use crate::{
    alone, batch, decode,
    exchange::{self, Exchange},
    fault::Fault,
    nesting,
    pool::Session,
    value::PgUuid,
};

const CLAIM: &str = "SELECT lanes, owners, share, drain_epoch, drain_position, drain_event, \
     held, fences, abandoned, attempt_positions, attempts, unexplained \
     FROM {schema}.claim_lanes($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

const RELEASE: &str = "SELECT {schema}.release_lanes($1, $2, $3, $4)";

const NOTE: &str = "SELECT {schema}.note_attempt($1, $2, $3, $4, $5, $6, $7)";

const RESET: &str = "SELECT {schema}.reset_lanes($1, $2, $3, $4, $5)";

const LIST: &str = "SELECT lane, fence, owner, owner_name, left_over, epoch, position, event_id, attempt_position, attempt \
     FROM {schema}.list_lanes($1)";

#[async_trait]
impl LeaseStore for PgStore {
    async fn claim_lanes(&self, claim: LaneClaim) -> Result<LaneGrant, StoreError> {
        nesting::refuse(&self.shared)?;
        // When the link fails the claim is sent again, and by this it is known to be the same one.
        let call = PgUuid(*EventId::new().as_uuid());
        // On a connection for reads: leases must be renewed whatever the work of commits is waiting for, and a claim waits for nothing
        // but other claims.
        exchange::write(&self.reads, &self.shared.location, move |session| {
            let claim = claim.clone();
            Box::pin(async move { claim_on(session, &claim, call).await })
        })
        .await
    }

    async fn release_lanes(&self, release: LaneRelease) -> Result<(), StoreError> {
        self.change(move |session| {
            let release = release.clone();
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(RELEASE);
                let query = query.query(session.shared().options.is_prepared());
                let lanes = release
                    .lanes()
                    .map(|lanes| lanes.iter().copied().map(number).collect::<Vec<_>>());
                let query = query
                    .bind(session.shared().options.lock_timeout_setting())
                    .bind(release.subscription().as_str())
                    .bind(PgUuid(release.owner().id()))
                    .bind(lanes);
                query.execute(session.connection()).await?;
                Ok(())
            })
        })
        .await
    }

    async fn note_attempt(&self, attempt: LaneAttempt) -> Result<(), CommitError> {
        let (subscription, lane) = (attempt.subscription().clone(), attempt.lane());
        let noted = self.change(move |session| {
            let attempt = attempt.clone();
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(NOTE);
                let query = query.query(session.shared().options.is_prepared());
                let query = query
                    .bind(session.shared().options.lock_timeout_setting())
                    .bind(attempt.subscription().as_str())
                    .bind(number(attempt.lane()))
                    .bind(batch::fence(attempt.fence()))
                    .bind(attempt.position().as_i64())
                    .bind(i64::from(attempt.attempt()))
                    .bind(attempt.leaves_unexplained());
                let row = query.fetch_one(session.connection()).await?;
                Ok(row.try_get::<bool, _>(0)?)
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
        self.change(move |session| {
            let subscription = subscription.clone();
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(RESET);
                let query = query.query(session.shared().options.is_prepared());
                let query = query
                    .bind(session.shared().options.lock_timeout_setting())
                    .bind(subscription.as_str())
                    .bind(PgUuid(*to.epoch().as_uuid()))
                    .bind(to.position().as_i64())
                    .bind(to.event_id().map(|id| PgUuid(*id.as_uuid())));
                query.execute(session.connection()).await?;
                Ok(())
            })
        })
        .await?;
        alone::note(&self.work, None);
        Ok(())
    }

    async fn list_lanes(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<LaneRecord>, StoreError> {
        let subscription = subscription.clone();
        self.read(move |session| {
            let subscription = subscription.clone();
            Box::pin(async move {
                session.ready().await?;
                let query = session.shared().sql(LIST);
                let query = query.query(session.shared().options.is_prepared());
                let rows = query.bind(subscription.as_str());
                let rows = rows.fetch_all(session.connection()).await?;
                rows.iter().map(record).collect()
            })
        })
        .await
    }
}

impl PgStore {
    /// Runs an exchange that comes to the same when it is done twice, where it may wait for the locks of commits.
    pub(super) async fn change<T, F>(&self, exchange: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'s> Fn(&'s mut Session) -> Exchange<'s, T> + Send + Sync + 'static,
    {
        nesting::refuse(&self.shared)?;
        exchange::write(&self.work, &self.shared.location, exchange).await
    }
}

async fn claim_on(
    session: &mut Session,
    claim: &LaneClaim,
    call: PgUuid,
) -> Result<LaneGrant, Fault> {
    session.ready().await?;
    let query = session.shared().sql(CLAIM);
    let query = query.query(session.shared().options.is_prepared());
    let start = claim.start();
    let query = query
        .bind(session.shared().options.lock_timeout_setting())
        .bind(call)
        .bind(claim.subscription().as_str())
        .bind(PgUuid(claim.owner().id()))
        // As everywhere in names for people, what Postgres can't keep is shown as U+FFFD.
        .bind(claim.owner().name().replace('\0', "\u{fffd}"))
        .bind(batch::micros(claim.lease()))
        .bind(claim.lanes().map(|lanes| i32::from(lanes.get())))
        .bind(claim.takes_over())
        .bind(start.map(|start| PgUuid(*start.epoch().as_uuid())))
        .bind(start.map(|start| start.position().as_i64()))
        .bind(start.and_then(|start| start.event_id().map(|id| PgUuid(*id.as_uuid()))));
    let row = query.fetch_one(session.connection()).await?;
    grant(&row)
}

fn grant(row: &PgRow) -> Result<LaneGrant, Fault> {
    let strange =
        || Fault::corrupt("the answer of the function claim_lanes is not what it must be");
    let lanes: i32 = row.try_get(0)?;
    let lanes = u16::try_from(lanes).ok().and_then(NonZeroU16::new);
    let owners = u32::try_from(row.try_get::<i32, _>(1)?).map_err(Fault::corrupt)?;
    let share = u16::try_from(row.try_get::<i32, _>(2)?).map_err(Fault::corrupt)?;
    let held: Vec<i32> = row.try_get(6)?;
    let fences: Vec<i64> = row.try_get(7)?;
    let abandoned: Vec<bool> = row.try_get(8)?;
    let positions: Vec<Option<i64>> = row.try_get(9)?;
    let attempts: Vec<Option<i64>> = row.try_get(10)?;
    let unexplained: Vec<bool> = row.try_get(11)?;
    let leases = held
        .into_iter()
        .zip(fences)
        .zip(abandoned)
        .zip(positions.into_iter().zip(attempts))
        .zip(unexplained);
    let lease = |((((number, fence), abandoned), (position, count)), unexplained)| {
        let attempt = attempt(position, count)?;
        Ok(
            LaneLease::new(lane(number)?, stored_fence(fence)?, abandoned, attempt)
                .with_unexplained_end(unexplained),
        )
    };
    let held = leases.map(lease).collect::<Result<_, Fault>>()?;
    let lanes = lanes.ok_or_else(strange)?;
    Ok(LaneGrant::new(
        lanes,
        owners,
        share,
        held,
        checkpoint(row, 3)?,
    ))
}

fn record(row: &PgRow) -> Result<LaneRecord, Fault> {
    let owner: Option<PgUuid> = row.try_get(2)?;
    let holder = match owner {
        Some(PgUuid(id)) => {
            let owner = LeaseOwner::from_parts(id, row.try_get::<String, _>(3)?);
            // An owner who has none left has no row that says until when.
            let left: Option<i64> = row.try_get(4)?;
            let left = u64::try_from(left.unwrap_or_default()).map_err(Fault::corrupt)?;
            Some((owner, Duration::from_micros(left)))
        }
        None => None,
    };
    Ok(LaneRecord::new(
        lane(row.try_get(0)?)?,
        stored_fence(row.try_get(1)?)?,
        holder,
        checkpoint(row, 5)?,
        attempt(row.try_get(8)?, row.try_get(9)?)?,
    ))
}

/// The checkpoint whose epoch, position and event are the columns from `first` on; `None` when it was never saved.
pub(super) fn checkpoint(row: &PgRow, first: usize) -> Result<Option<Checkpoint>, Fault> {
    let Some(PgUuid(epoch)) = row.try_get(first)? else {
        return Ok(None);
    };
    let epoch = StoreEpoch::from_uuid(epoch);
    let position = decode::position(row.try_get(first + 1)?)?;
    Ok(Some(match row.try_get::<Option<PgUuid>, _>(first + 2)? {
        Some(PgUuid(id)) => Checkpoint::after(epoch, position, EventId::from_uuid(id)),
        None => Checkpoint::start(epoch),
    }))
}

pub(super) fn number(lane: Lane) -> i32 {
    lane.get().into()
}

pub(super) fn lane(number: i32) -> Result<Lane, Fault> {
    u16::try_from(number).map(Lane::new).map_err(Fault::corrupt)
}

fn stored_fence(number: i64) -> Result<Fence, Fault> {
    u64::try_from(number)
        .map(Fence::new)
        .map_err(Fault::corrupt)
}

fn attempt(position: Option<i64>, count: Option<i64>) -> Result<Option<(Position, u32)>, Fault> {
    match (position, count) {
        (Some(position), Some(count)) => Ok(Some((
            decode::position(position)?,
            u32::try_from(count).map_err(Fault::corrupt)?,
        ))),
        _ => Ok(None),
    }
}
