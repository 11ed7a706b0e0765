//! The calls that durable subscriptions make, dropped.

use std::{num::NonZeroU16, time::Duration};

use anyhow::{Result, bail};
use uno_core::{
    Checkpoint, CheckpointStore as _, CheckpointWrite, CommitError, EventId, Fence, Lane,
    LaneAttempt, LaneClaim, LaneRelease, LeaseOwner, LeaseStore as _, ParkedFailure,
    ParkingRequest, ParkingStore as _, ParkingWrite, Position, StoreEpoch, SubscriptionName,
};

use super::{Mistreated, calls::Call, dropping::Dropped};
use crate::arena::Arena;

/// The key that is parked, and why.
const KEY: &str = "a key";
const PRINT: &str = "it failed";

impl<A: Arena> Mistreated<A> {
    /// Calls, and drops. What one call finds is what those before it have left: lanes that are held or not, and keys that are
    /// parked or not. Whether the call came to its end before.
    pub(super) async fn share(&mut self, call: Call, how: Dropped) -> Result<bool> {
        let (store, rng) = (&self.store, &mut self.rng);
        let shared = SubscriptionName::new("shared")?;
        let name = format!("owner {}", self.number);
        let owner = LeaseOwner::from_parts(uuid::Uuid::from_u128(self.number as u128), name);
        let lane = Lane::new(rng.u16(..5));
        let start = Checkpoint::start(StoreEpoch::from_uuid(uuid::Uuid::nil()));
        let request = [ParkingRequest::Retry, ParkingRequest::Discard][usize::from(rng.bool())];
        let ended = match call {
            Call::ClaimLanes => {
                let lanes = NonZeroU16::new(rng.u16(1..5)).unwrap_or(NonZeroU16::MIN);
                let lease = Duration::from_millis(rng.u64(..20));
                let claim = LaneClaim::new(shared, owner, lease).wanting(lanes);
                let ended = how.drop(store.claim_lanes(claim)).await;
                ended.transpose()?.is_some()
            }
            Call::ReleaseLanes => {
                let release = if rng.bool() {
                    LaneRelease::leaving(shared, owner)
                } else {
                    LaneRelease::of(shared, owner, vec![lane])
                };
                let ended = how.drop(store.release_lanes(release)).await;
                ended.transpose()?.is_some()
            }
            Call::NoteAttempt => {
                let held = store.list_lanes(&shared).await?;
                let fence = held.iter().find(|held| held.lane() == lane);
                let fence = fence.map_or(Fence::new(1), |held| held.fence());
                let attempt = LaneAttempt::new(shared, lane, fence, Position::MAX, rng.u32(1..9));
                match how.drop(store.note_attempt(attempt)).await {
                    None => false,
                    Some(Ok(()) | Err(CommitError::Stale(_))) => true,
                    Some(Err(error)) => return Err(error.into()),
                }
            }
            Call::ResetLanes => {
                let ended = how.drop(store.reset_lanes(&shared, start)).await;
                ended.transpose()?.is_some()
            }
            Call::ListLanes => how
                .drop(store.list_lanes(&shared))
                .await
                .transpose()?
                .is_some(),
            _ => return self.park(call, how, request).await,
        };
        Ok(ended)
    }

    async fn park(&mut self, call: Call, how: Dropped, request: ParkingRequest) -> Result<bool> {
        let store = &self.store;
        // Each store has its own, which nobody has on lease.
        let name = SubscriptionName::new(format!("parking {}", self.number))?;
        self.park_again(&name).await?;
        let from = Position::START;
        let ended = match call {
            Call::ListParked => {
                let ended = how.drop(store.list_parked(&name, None, 10)).await;
                ended.transpose()?.is_some()
            }
            Call::ParkedKey => {
                let ended = how.drop(store.parked_key(&name, KEY)).await;
                ended.transpose()?.is_some()
            }
            Call::ParkedEvents => {
                let ended = how.drop(store.parked_events(&name, KEY, from, 10)).await;
                ended.transpose()?.is_some()
            }
            Call::ParkedGroups => how
                .drop(store.parked_groups(&name))
                .await
                .transpose()?
                .is_some(),
            Call::CountParked => how
                .drop(store.count_parked(&name))
                .await
                .transpose()?
                .is_some(),
            Call::Request => {
                let ended = how.drop(store.request(&name, KEY, request)).await;
                ended.transpose()?.is_some()
            }
            Call::RequestAll => {
                let ended = how.drop(store.request_all(&name, PRINT, request)).await;
                ended.transpose()?.is_some()
            }
            Call::ListRequests => {
                let ended = how.drop(store.list_requests(&name, 10)).await;
                ended.transpose()?.is_some()
            }
            other => bail!("{} is none of the calls of subscriptions", other.name()),
        };
        Ok(ended)
    }

    /// Parks a key with one more event, or takes it off with all.
    async fn park_again(&mut self, name: &SubscriptionName) -> Result<()> {
        let there = self.store.load_checkpoint(name, Lane::FIRST).await?;
        let there = there.map(|there| there.position());
        let next = Position::new(there.map_or(0, Position::get) + 1)?;
        let is_parked = self.store.parked_key(name, KEY).await?.is_some();
        let parking = if is_parked && self.rng.u8(..8) == 0 {
            ParkingWrite::Empty { key: KEY.into() }
        } else {
            ParkingWrite::Park {
                key: KEY.into(),
                position: next,
                event_id: EventId::new(),
                failure: Some(ParkedFailure::new(3, "it failed at 17", PRINT)),
            }
        };
        let epoch = StoreEpoch::from_uuid(uuid::Uuid::nil());
        let checkpoint = Checkpoint::after(epoch, next, EventId::new());
        let write = CheckpointWrite::new(name.clone(), there, checkpoint);
        // It is this store's alone, so nothing is stale.
        self.store
            .save_checkpoint(write.parking(vec![parking]))
            .await?;
        Ok(())
    }
}
