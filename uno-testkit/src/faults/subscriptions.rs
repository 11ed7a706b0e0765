//! What durable subscriptions keep in a [`FaultStore`]: checkpoints, leases and parked events.

use std::sync::Arc;

use async_trait::async_trait;
use uno_core::{
    AppendError, Checkpoint, CheckpointStore, CheckpointWrite, CommitError, Lane, LaneAttempt,
    LaneClaim, LaneGrant, LaneRecord, LaneRelease, LeaseStore, ParkedEvent, ParkedGroup, ParkedKey,
    ParkingRequest, ParkingStore, Position, Stale, StoreError, SubscriptionName,
};

use super::{
    Call, Fault, FaultStore,
    store::{Plan, planned, unavailable},
};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: CheckpointStore> CheckpointStore for FaultStore<B> {
    async fn load_checkpoint(
        &self,
        subscription: &SubscriptionName,
        lane: Lane,
    ) -> Result<Option<Checkpoint>, StoreError> {
        let plan = self.before_read(Call::LoadCheckpoint).await?;
        let result = self.inner.load_checkpoint(subscription, lane).await;
        self.after(plan, result).await
    }

    async fn save_checkpoint(&self, write: CheckpointWrite) -> Result<(), CommitError> {
        let stale = Stale::Checkpoint(write.subscription().clone());
        let call = |store: Arc<B>| async move { store.save_checkpoint(write).await };
        self.write(Call::SaveCheckpoint, stale, call).await
    }

    async fn list_checkpoints(
        &self,
    ) -> Result<Vec<(SubscriptionName, Lane, Checkpoint)>, StoreError> {
        let plan = self.before_read(Call::ListCheckpoints).await?;
        let result = self.inner.list_checkpoints().await;
        self.after(plan, result).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: LeaseStore> LeaseStore for FaultStore<B> {
    async fn claim_lanes(&self, claim: LaneClaim) -> Result<LaneGrant, StoreError> {
        let call = |store: Arc<B>| async move { store.claim_lanes(claim).await };
        self.change(Call::ClaimLanes, call).await
    }

    async fn release_lanes(&self, release: LaneRelease) -> Result<(), StoreError> {
        let call = |store: Arc<B>| async move { store.release_lanes(release).await };
        self.change(Call::ReleaseLanes, call).await
    }

    async fn note_attempt(&self, attempt: LaneAttempt) -> Result<(), CommitError> {
        let stale = Stale::Lease {
            subscription: attempt.subscription().clone(),
            lane: attempt.lane(),
        };
        let call = |store: Arc<B>| async move { store.note_attempt(attempt).await };
        self.write(Call::NoteAttempt, stale, call).await
    }

    async fn reset_lanes(
        &self,
        subscription: &SubscriptionName,
        to: Checkpoint,
    ) -> Result<(), StoreError> {
        let subscription = subscription.clone();
        let call = |store: Arc<B>| async move { store.reset_lanes(&subscription, to).await };
        self.change(Call::ResetLanes, call).await
    }

    async fn list_lanes(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<LaneRecord>, StoreError> {
        let plan = self.before_read(Call::ListLanes).await?;
        let result = self.inner.list_lanes(subscription).await;
        self.after(plan, result).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: ParkingStore> ParkingStore for FaultStore<B> {
    async fn list_parked(
        &self,
        subscription: &SubscriptionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, StoreError> {
        let plan = self.before_read(Call::ListParked).await?;
        let result = self.inner.list_parked(subscription, after, limit).await;
        self.after(plan, result).await
    }

    async fn parked_key(
        &self,
        subscription: &SubscriptionName,
        key: &str,
    ) -> Result<Option<ParkedKey>, StoreError> {
        let plan = self.before_read(Call::ParkedKey).await?;
        let result = self.inner.parked_key(subscription, key).await;
        self.after(plan, result).await
    }

    async fn parked_events(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, StoreError> {
        let plan = self.before_read(Call::ParkedEvents).await?;
        let result = self
            .inner
            .parked_events(subscription, key, after, limit)
            .await;
        self.after(plan, result).await
    }

    async fn parked_groups(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<ParkedGroup>, StoreError> {
        let plan = self.before_read(Call::ParkedGroups).await?;
        let result = self.inner.parked_groups(subscription).await;
        self.after(plan, result).await
    }

    async fn count_parked(&self, subscription: &SubscriptionName) -> Result<u64, StoreError> {
        let plan = self.before_read(Call::CountParked).await?;
        let result = self.inner.count_parked(subscription).await;
        self.after(plan, result).await
    }

    async fn request(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        request: ParkingRequest,
    ) -> Result<bool, StoreError> {
        let (subscription, key) = (subscription.clone(), key.to_owned());
        let call = |store: Arc<B>| async move { store.request(&subscription, &key, request).await };
        self.change(Call::Request, call).await
    }

    async fn request_all(
        &self,
        subscription: &SubscriptionName,
        fingerprint: &str,
        request: ParkingRequest,
    ) -> Result<u64, StoreError> {
        let (subscription, fingerprint) = (subscription.clone(), fingerprint.to_owned());
        let call = |store: Arc<B>| async move {
            store
                .request_all(&subscription, &fingerprint, request)
                .await
        };
        self.change(Call::RequestAll, call).await
    }

    async fn list_requests(
        &self,
        subscription: &SubscriptionName,
        limit: usize,
    ) -> Result<Vec<(Arc<str>, ParkingRequest)>, StoreError> {
        let plan = self.before_read(Call::ListRequests).await?;
        let result = self.inner.list_requests(subscription, limit).await;
        self.after(plan, result).await
    }
}

impl<B: Send + Sync + 'static> FaultStore<B> {
    /// A write that can be stale, and whose outcome can be unknown.
    async fn write<F>(
        &self,
        call: Call,
        stale: Stale,
        write: impl FnOnce(Arc<B>) -> F + Send,
    ) -> Result<(), CommitError>
    where
        F: Future<Output = Result<(), CommitError>> + Send + 'static,
    {
        let plan = self.before(call).await?;
        self.catch_up().await;
        let write = write(Arc::clone(&self.inner));
        match plan {
            Plan::Write(Fault::Conflict) => return Err(CommitError::Stale(stale)),
            Plan::Write(Fault::UnknownStored) => write.await?,
            Plan::Write(Fault::UnknownLate) => self.later(Box::pin(async move {
                let _nobody_hears = write.await;
            })),
            Plan::Write(_) => {}
            plan => return self.after(plan, write.await).await,
        }
        Err(AppendError::Unknown(planned(call)).into())
    }

    /// A write whose errors know no unknown outcome: the store is not available, and it may be done all the same.
    async fn change<T: Send, F>(
        &self,
        call: Call,
        change: impl FnOnce(Arc<B>) -> F + Send,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let plan = self.before(call).await?;
        self.catch_up().await;
        let change = change(Arc::clone(&self.inner));
        match plan {
            Plan::Write(Fault::UnknownStored) => drop(change.await?),
            Plan::Write(Fault::UnknownLate) => self.later(Box::pin(async move {
                let _nobody_hears = change.await;
            })),
            Plan::Write(_) => {}
            plan => return self.after(plan, change.await).await,
        }
        Err(unavailable(call))
    }
}
