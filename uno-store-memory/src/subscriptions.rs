//! What durable subscriptions keep: checkpoints, leases and parked events.

use std::sync::Arc;

use async_trait::async_trait;
use uno_core::{
    AppendError, Checkpoint, CheckpointStore, CheckpointWrite, Commit, CommitError, Lane,
    LaneAttempt, LaneClaim, LaneGrant, LaneRecord, LaneRelease, LeaseStore, ParkedEvent,
    ParkedGroup, ParkedKey, ParkingRequest, ParkingStore, Position, StoreError, SubscriptionName,
};

use crate::{MemoryStore, nesting, tx::Rows};

#[async_trait]
impl CheckpointStore for MemoryStore {
    async fn load_checkpoint(
        &self,
        subscription: &SubscriptionName,
        lane: Lane,
    ) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.state().lanes.checkpoint(subscription, lane))
    }

    async fn save_checkpoint(&self, write: CheckpointWrite) -> Result<(), CommitError> {
        nesting::refuse(self.epoch())?;
        self.limits()
            .check_checkpoint(&write)
            .map_err(AppendError::Refused)?;
        let mut commit = Commit::new();
        commit.checkpoints.push(write);
        self.carry_out(commit, Rows::new()).map(drop)
    }

    async fn list_checkpoints(
        &self,
    ) -> Result<Vec<(SubscriptionName, Lane, Checkpoint)>, StoreError> {
        Ok(self.state().lanes.checkpoints())
    }
}

/// Each call is one step under the store's lock, so a dropped future has made it or not.
#[async_trait]
impl LeaseStore for MemoryStore {
    async fn claim_lanes(&self, claim: LaneClaim) -> Result<LaneGrant, StoreError> {
        nesting::refuse(self.epoch())?;
        let now = self.now();
        Ok(self.state().lanes.claim(&claim, now))
    }

    async fn release_lanes(&self, release: LaneRelease) -> Result<(), StoreError> {
        nesting::refuse(self.epoch())?;
        self.state().lanes.release(&release);
        Ok(())
    }

    async fn note_attempt(&self, attempt: LaneAttempt) -> Result<(), CommitError> {
        nesting::refuse(self.epoch())?;
        self.state().lanes.note(&attempt)
    }

    async fn reset_lanes(
        &self,
        subscription: &SubscriptionName,
        to: Checkpoint,
    ) -> Result<(), StoreError> {
        nesting::refuse(self.epoch())?;
        {
            let mut state = self.state();
            state.lanes.reset(subscription, to);
            state.parking.reset(subscription, to.position());
        }
        self.tell();
        Ok(())
    }

    async fn list_lanes(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<LaneRecord>, StoreError> {
        let now = self.now();
        Ok(self.state().lanes.list(subscription, now))
    }
}

#[async_trait]
impl ParkingStore for MemoryStore {
    async fn list_parked(
        &self,
        subscription: &SubscriptionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, StoreError> {
        Ok(self.state().parking.list(subscription, after, limit))
    }

    async fn parked_key(
        &self,
        subscription: &SubscriptionName,
        key: &str,
    ) -> Result<Option<ParkedKey>, StoreError> {
        Ok(self.state().parking.show(subscription, key))
    }

    async fn parked_events(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, StoreError> {
        Ok(self.state().parking.events(subscription, key, after, limit))
    }

    async fn parked_groups(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<ParkedGroup>, StoreError> {
        Ok(self.state().parking.groups(subscription))
    }

    async fn count_parked(&self, subscription: &SubscriptionName) -> Result<u64, StoreError> {
        Ok(self.state().parking.count(subscription))
    }

    async fn request(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        request: ParkingRequest,
    ) -> Result<bool, StoreError> {
        nesting::refuse(self.epoch())?;
        let which = |name: &str, _: &_| name == key;
        let found = self.state().parking.request(subscription, request, which);
        self.tell();
        Ok(found > 0)
    }

    async fn request_all(
        &self,
        subscription: &SubscriptionName,
        fingerprint: &str,
        request: ParkingRequest,
    ) -> Result<u64, StoreError> {
        nesting::refuse(self.epoch())?;
        let found = self
            .state()
            .parking
            .request(subscription, request, |_, failure| {
                failure.fingerprint() == fingerprint
            });
        self.tell();
        Ok(found)
    }

    async fn list_requests(
        &self,
        subscription: &SubscriptionName,
        limit: usize,
    ) -> Result<Vec<(Arc<str>, ParkingRequest)>, StoreError> {
        Ok(self.state().parking.requests(subscription, limit))
    }
}
