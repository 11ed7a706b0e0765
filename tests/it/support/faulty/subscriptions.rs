//! What durable subscriptions keep in a [`Faulty`] store.

use std::sync::Arc;

use async_trait::async_trait;
use uno_core::{
    Backend, Checkpoint, CheckpointStore, CheckpointWrite, CommitError, Lane, LaneAttempt,
    LaneClaim, LaneGrant, LaneRecord, LaneRelease, LeaseStore, ParkedEvent, ParkedGroup, ParkedKey,
    ParkingRequest, ParkingStore, Position, StoreError, SubscriptionName,
};

use super::Faulty;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Backend> CheckpointStore for Faulty<B> {
    async fn load_checkpoint(
        &self,
        subscription: &SubscriptionName,
        lane: Lane,
    ) -> Result<Option<Checkpoint>, StoreError> {
        self.read().await?;
        self.inner.load_checkpoint(subscription, lane).await
    }

    async fn save_checkpoint(&self, write: CheckpointWrite) -> Result<(), CommitError> {
        self.alive().await;
        self.inner.save_checkpoint(write).await
    }

    async fn list_checkpoints(
        &self,
    ) -> Result<Vec<(SubscriptionName, Lane, Checkpoint)>, StoreError> {
        self.read().await?;
        self.inner.list_checkpoints().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Backend> LeaseStore for Faulty<B> {
    async fn claim_lanes(&self, claim: LaneClaim) -> Result<LaneGrant, StoreError> {
        self.read().await?;
        self.inner.claim_lanes(claim).await
    }

    async fn release_lanes(&self, release: LaneRelease) -> Result<(), StoreError> {
        self.alive().await;
        self.inner.release_lanes(release).await
    }

    async fn note_attempt(&self, attempt: LaneAttempt) -> Result<(), CommitError> {
        self.alive().await;
        self.inner.note_attempt(attempt).await
    }

    async fn reset_lanes(
        &self,
        subscription: &SubscriptionName,
        to: Checkpoint,
    ) -> Result<(), StoreError> {
        self.alive().await;
        self.inner.reset_lanes(subscription, to).await
    }

    async fn list_lanes(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<LaneRecord>, StoreError> {
        self.read().await?;
        self.inner.list_lanes(subscription).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Backend> ParkingStore for Faulty<B> {
    async fn list_parked(
        &self,
        subscription: &SubscriptionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, StoreError> {
        self.read().await?;
        self.inner.list_parked(subscription, after, limit).await
    }

    async fn parked_key(
        &self,
        subscription: &SubscriptionName,
        key: &str,
    ) -> Result<Option<ParkedKey>, StoreError> {
        self.read().await?;
        self.inner.parked_key(subscription, key).await
    }

    async fn parked_events(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, StoreError> {
        self.read().await?;
        self.inner
            .parked_events(subscription, key, after, limit)
            .await
    }

    async fn parked_groups(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<ParkedGroup>, StoreError> {
        self.read().await?;
        self.inner.parked_groups(subscription).await
    }

    async fn count_parked(&self, subscription: &SubscriptionName) -> Result<u64, StoreError> {
        self.read().await?;
        self.inner.count_parked(subscription).await
    }

    async fn request(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        request: ParkingRequest,
    ) -> Result<bool, StoreError> {
        self.alive().await;
        self.inner.request(subscription, key, request).await
    }

    async fn request_all(
        &self,
        subscription: &SubscriptionName,
        fingerprint: &str,
        request: ParkingRequest,
    ) -> Result<u64, StoreError> {
        self.alive().await;
        self.inner
            .request_all(subscription, fingerprint, request)
            .await
    }

    async fn list_requests(
        &self,
        subscription: &SubscriptionName,
        limit: usize,
    ) -> Result<Vec<(Arc<str>, ParkingRequest)>, StoreError> {
        self.read().await?;
        self.inner.list_requests(subscription, limit).await
    }
}
