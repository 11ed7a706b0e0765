//! What durable subscriptions do, for cases: claims, fenced moves, parked events, and what is often looked at.

use std::{num::NonZeroU16, time::Duration};

use chrono::{DateTime, Utc};
use uno_core::{
    BoxError, Checkpoint, CheckpointStore as _, CheckpointWrite, CommitError, EventId, Fence, Lane,
    LaneClaim, LaneGrant, LaneRelease, LeaseOwner, LeaseStore as _, ParkedFailure,
    ParkingStore as _, ParkingWrite, Position, Stale, StoreEpoch, StoreError, SubscriptionName,
    TimerStore as _,
};
use uuid::Uuid;

use super::{BackendHarness, Trial, fixture::subscription};

/// Longer than any case takes.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// A lease that has run out as soon as somebody looks again.
pub(crate) const SHORT: Duration = Duration::from_micros(200);

/// The subscription that most cases are about.
pub(crate) fn mail() -> SubscriptionName {
    subscription("mail")
}

/// The same checkpoint for the same number.
pub(crate) fn at(number: u64) -> Checkpoint {
    let epoch = StoreEpoch::from_uuid(Uuid::from_u128(9));
    Checkpoint::after(epoch, position(number), event_at(number))
}

pub(crate) fn position(number: u64) -> Position {
    Position::new(number).unwrap_or(Position::MAX)
}

/// The id of the event at a place.
pub(crate) fn event_at(number: u64) -> EventId {
    EventId::from_uuid(Uuid::from_u128(u128::from(number) << 64 | 7))
}

pub(crate) fn count(lanes: u16) -> NonZeroU16 {
    NonZeroU16::new(lanes).expect("cases want lanes")
}

/// A claim that lasts.
pub(crate) fn claim(owner: &LeaseOwner) -> LaneClaim {
    LaneClaim::new(mail(), owner.clone(), LONG)
}

/// A claim that has run out soon.
pub(crate) fn brief(owner: &LeaseOwner) -> LaneClaim {
    LaneClaim::new(mail(), owner.clone(), SHORT)
}

pub(crate) fn given_back(owner: &LeaseOwner, lanes: &[u16]) -> LaneRelease {
    let lanes = lanes.iter().copied().map(Lane::new).collect();
    LaneRelease::of(mail(), owner.clone(), lanes)
}

pub(crate) fn leaving(owner: &LeaseOwner) -> LaneRelease {
    LaneRelease::leaving(mail(), owner.clone())
}

/// The numbers of the lanes that were granted.
pub(crate) fn held(grant: &LaneGrant) -> Vec<u16> {
    let lanes = grant.held().iter();
    lanes.map(|lease| lease.lane().get()).collect()
}

/// The fences of the lanes that were granted.
pub(crate) fn fences(grant: &LaneGrant) -> Vec<Fence> {
    grant.held().iter().map(|lease| lease.fence()).collect()
}

/// The fence of a lane that was granted.
#[track_caller]
pub(crate) fn fence(grant: &LaneGrant, lane: u16) -> Fence {
    let mut lanes = grant.held().iter();
    let lease = lanes.find(|lease| lease.lane().get() == lane);
    lease
        .unwrap_or_else(|| panic!("lane {lane} is not held: {grant:?}"))
        .fence()
}

/// A move of a lane under a fence.
pub(crate) fn moved(lane: u16, fence: Fence, from: Option<u64>, to: u64) -> CheckpointWrite {
    CheckpointWrite::new(mail(), from.map(position), at(to)).fenced(Lane::new(lane), fence)
}

/// A move of a lane without a fence.
pub(crate) fn bare(lane: u16, from: Option<u64>, to: u64) -> CheckpointWrite {
    CheckpointWrite::new(mail(), from.map(position), at(to)).lane(Lane::new(lane))
}

/// The event at a place failed.
pub(crate) fn failed(key: &str, number: u64, failure: &ParkedFailure) -> ParkingWrite {
    ParkingWrite::Park {
        key: key.into(),
        position: position(number),
        event_id: event_at(number),
        failure: Some(failure.clone()),
    }
}

/// The event at a place comes behind one that failed.
pub(crate) fn behind(key: &str, number: u64) -> ParkingWrite {
    ParkingWrite::Park {
        key: key.into(),
        position: position(number),
        event_id: event_at(number),
        failure: None,
    }
}

pub(crate) fn taken_off(key: &str, number: u64) -> ParkingWrite {
    ParkingWrite::TakeOff {
        key: key.into(),
        position: position(number),
    }
}

pub(crate) fn emptied(key: &str) -> ParkingWrite {
    ParkingWrite::Empty { key: key.into() }
}

/// A failure like any other.
pub(crate) fn failure() -> ParkedFailure {
    ParkedFailure::new(3, "it is broken: at 17", "it is broken: at #")
}

impl<H: BackendHarness> Trial<H> {
    /// Claims lanes.
    pub(crate) async fn claim(&self, claim: LaneClaim) -> Result<LaneGrant, StoreError> {
        self.store().claim_lanes(claim).await
    }

    /// Gives lanes back.
    pub(crate) async fn release(&self, release: LaneRelease) -> Result<(), StoreError> {
        self.store().release_lanes(release).await
    }

    /// Moves a checkpoint, by itself.
    pub(crate) async fn save(&self, write: CheckpointWrite) -> Result<(), CommitError> {
        self.store().save_checkpoint(write).await
    }

    /// Where a lane is.
    pub(crate) async fn lane(&self, lane: u16) -> Result<Option<Checkpoint>, StoreError> {
        self.store().load_checkpoint(&mail(), Lane::new(lane)).await
    }

    /// Where the lanes of a subscription that was claimed are.
    pub(crate) async fn places(&self) -> Result<Vec<Option<Checkpoint>>, StoreError> {
        let lanes = self.store().list_lanes(&mail()).await?;
        Ok(lanes.iter().map(|lane| lane.checkpoint()).collect())
    }

    /// Waits until every lease of an owner has run out by the store's clock.
    pub(crate) async fn run_out(&self, owner: &LeaseOwner) -> Result<(), StoreError> {
        loop {
            let lanes = self.store().list_lanes(&mail()).await?;
            let mut held = lanes.iter().filter(|lane| lane.holder() == Some(owner));
            if held.all(|lane| lane.runs_out_in() == Some(Duration::ZERO)) {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    /// The time by the store's clock.
    pub(crate) async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(self.store().due_timers("nothing", 0).await?.now())
    }

    /// Parks and takes off, with the next move of the lane of a subscription that nobody has claimed.
    pub(crate) async fn park(
        &self,
        subscription: &SubscriptionName,
        writes: Vec<ParkingWrite>,
    ) -> Result<(), CommitError> {
        let write = self.parking(subscription, writes).await?;
        self.save(write).await
    }

    /// The next move of the lane of a subscription that nobody has claimed, with this that is parked and taken off.
    pub(crate) async fn parking(
        &self,
        subscription: &SubscriptionName,
        writes: Vec<ParkingWrite>,
    ) -> Result<CheckpointWrite, StoreError> {
        let there = self
            .store()
            .load_checkpoint(subscription, Lane::FIRST)
            .await?
            .map(|checkpoint| checkpoint.position());
        let next = at(there.map_or(0, Position::get) + 1_000_000);
        Ok(CheckpointWrite::new(subscription.clone(), there, next).parking(writes))
    }

    /// The places of the events of a key, all of them.
    pub(crate) async fn parked(&self, key: &str) -> Result<Vec<u64>, StoreError> {
        let events = self
            .store()
            .parked_events(&mail(), key, Position::START, usize::MAX)
            .await?;
        Ok(events.iter().map(|event| event.position().get()).collect())
    }

    /// The names of the keys that are parked, all of them.
    pub(crate) async fn parked_keys(&self) -> Result<Vec<String>, BoxError> {
        let keys = self.store().list_parked(&mail(), None, usize::MAX).await?;
        Ok(keys.iter().map(|key| key.key().to_owned()).collect())
    }
}

/// Looks at a write that is not on the lane's lease.
#[track_caller]
pub(crate) fn off_lease<T: std::fmt::Debug>(result: Result<T, CommitError>, lane: u16) {
    match result {
        Err(CommitError::Stale(Stale::Lease {
            subscription,
            lane: found,
        })) => assert_eq!((subscription, found.get()), (mail(), lane)),
        other => panic!("expected lane {lane} not to be on this lease, and got {other:?}"),
    }
}

/// Looks at a write that does not find parked what it expects.
#[track_caller]
pub(crate) fn not_parked<T: std::fmt::Debug>(result: Result<T, CommitError>, key: &str) {
    match result {
        Err(CommitError::Stale(Stale::Parked {
            subscription,
            key: found,
        })) => assert_eq!((subscription, found.as_str()), (mail(), key)),
        other => panic!("expected {key:?} not to be parked as was thought, and got {other:?}"),
    }
}
