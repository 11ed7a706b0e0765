//! [`Forgetful`]: a store that is not told of an attempt before it is made, so that one which nobody survives was never made.

use std::sync::Arc;

use async_trait::async_trait;
use uno_core::{
    Checkpoint, CheckpointStore, CheckpointWrite, CommitError, Lane, LaneAttempt, LaneClaim,
    LaneGrant, LaneRecord, LaneRelease, LeaseStore, ParkedEvent, ParkedGroup, ParkedKey,
    ParkingRequest, ParkingStore, Position, StoreError, SubscriptionName, SubscriptionStore,
};

/// The control of what is counted when.
#[derive(Debug)]
pub(crate) struct Forgetful<S>(pub(crate) Arc<S>);

#[async_trait]
impl<S: SubscriptionStore> LeaseStore for Forgetful<S> {
    async fn claim_lanes(&self, claim: LaneClaim) -> Result<LaneGrant, StoreError> {
        self.0.claim_lanes(claim).await
    }

    async fn release_lanes(&self, release: LaneRelease) -> Result<(), StoreError> {
        self.0.release_lanes(release).await
    }

    async fn note_attempt(&self, _attempt: LaneAttempt) -> Result<(), CommitError> {
        Ok(())
    }

    async fn reset_lanes(
        &self,
        subscription: &SubscriptionName,
        to: Checkpoint,
    ) -> Result<(), StoreError> {
        self.0.reset_lanes(subscription, to).await
    }

    async fn list_lanes(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<LaneRecord>, StoreError> {
        self.0.list_lanes(subscription).await
    }
}

#[async_trait]
impl<S: SubscriptionStore> CheckpointStore for Forgetful<S> {
    async fn load_checkpoint(
        &self,
        subscription: &SubscriptionName,
        lane: Lane,
    ) -> Result<Option<Checkpoint>, StoreError> {
        self.0.load_checkpoint(subscription, lane).await
    }

    async fn save_checkpoint(&self, write: CheckpointWrite) -> Result<(), CommitError> {
        self.0.save_checkpoint(write).await
    }

    async fn list_checkpoints(
        &self,
    ) -> Result<Vec<(SubscriptionName, Lane, Checkpoint)>, StoreError> {
        self.0.list_checkpoints().await
    }
}

#[async_trait]
impl<S: SubscriptionStore> ParkingStore for Forgetful<S> {
    async fn list_parked(
        &self,
        subscription: &SubscriptionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, StoreError> {
        self.0.list_parked(subscription, after, limit).await
    }

    async fn parked_key(
        &self,
        subscription: &SubscriptionName,
        key: &str,
    ) -> Result<Option<ParkedKey>, StoreError> {
        self.0.parked_key(subscription, key).await
    }

    async fn parked_events(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, StoreError> {
        self.0.parked_events(subscription, key, after, limit).await
    }

    async fn parked_groups(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<ParkedGroup>, StoreError> {
        self.0.parked_groups(subscription).await
    }

    async fn count_parked(&self, subscription: &SubscriptionName) -> Result<u64, StoreError> {
        self.0.count_parked(subscription).await
    }

    async fn request(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        request: ParkingRequest,
    ) -> Result<bool, StoreError> {
        self.0.request(subscription, key, request).await
    }

    async fn request_all(
        &self,
        subscription: &SubscriptionName,
        fingerprint: &str,
        request: ParkingRequest,
    ) -> Result<u64, StoreError> {
        self.0.request_all(subscription, fingerprint, request).await
    }

    async fn list_requests(
        &self,
        subscription: &SubscriptionName,
        limit: usize,
    ) -> Result<Vec<(Arc<str>, ParkingRequest)>, StoreError> {
        self.0.list_requests(subscription, limit).await
    }
}
