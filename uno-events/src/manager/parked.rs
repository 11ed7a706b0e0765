//! What is parked, and what persons can do about it.

use std::sync::Arc;

use uno_core::{
    ParkedGroup, ParkedKey, ParkingRequest, Position, ReadLog, RecordedEvent, SubscriptionName,
};

use super::{SubscriptionError, SubscriptionManager};

impl SubscriptionManager {
    /// The parked keys of a subscription after this one, in the order of their bytes, at most `limit`.
    ///
    /// # Errors
    /// [`Unknown`](SubscriptionError::Unknown), [`Store`](SubscriptionError::Store).
    pub async fn parked(
        &self,
        name: &SubscriptionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, SubscriptionError> {
        self.entry(name)?;
        let store = &self.shared.subscriptions;
        Ok(store.list_parked(name, after, limit).await?)
    }

    /// The parked keys of a subscription in groups of failures that look alike: see [`fingerprint`](crate::fingerprint).
    ///
    /// # Errors
    /// [`Unknown`](SubscriptionError::Unknown), [`Store`](SubscriptionError::Store).
    pub async fn parked_groups(
        &self,
        name: &SubscriptionName,
    ) -> Result<Vec<ParkedGroup>, SubscriptionError> {
        self.entry(name)?;
        Ok(self.shared.subscriptions.parked_groups(name).await?)
    }

    /// One key: why it is parked, since when, and what is asked for. `None` when it is not parked.
    ///
    /// # Errors
    /// [`Unknown`](SubscriptionError::Unknown), [`Store`](SubscriptionError::Store).
    pub async fn parked_key(
        &self,
        name: &SubscriptionName,
        key: &str,
    ) -> Result<Option<ParkedKey>, SubscriptionError> {
        self.entry(name)?;
        Ok(self.shared.subscriptions.parked_key(name, key).await?)
    }

    /// The parked events of a key after this position, from the log, in order, at most `limit`. The first one of all is the one that
    /// could not be handled.
    ///
    /// # Errors
    /// [`Unknown`](SubscriptionError::Unknown), [`Store`](SubscriptionError::Store).
    pub async fn parked_events(
        &self,
        name: &SubscriptionName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, SubscriptionError> {
        self.entry(name)?;
        let store = &self.shared.subscriptions;
        let parked = store.parked_events(name, key, after, limit).await?;
        let mut events = Vec::with_capacity(parked.len());
        for parked in parked {
            let read = ReadLog::after(parked.position().previous()).limit(1);
            let page = self.shared.store.read_log(read).await?;
            let found = page.into_events().pop();
            events.extend(found.filter(|event| event.id() == parked.event_id()));
        }
        Ok(events)
    }

    /// Asks for the events of a parked key to be handled, from the one that failed on. Whether it is parked.
    ///
    /// Whoever runs the lane of the key does it, between batches: at once if that is this manager, else with its next claim. The event that
    /// fails is then the one that the key is parked for; nothing is tried twice for one request.
    ///
    /// # Errors
    /// [`Unknown`](SubscriptionError::Unknown), [`Store`](SubscriptionError::Store).
    pub async fn retry_parked(
        &self,
        name: &SubscriptionName,
        key: &str,
    ) -> Result<bool, SubscriptionError> {
        self.request(name, key, ParkingRequest::Retry).await
    }

    /// Asks for the event that failed to be passed over, and for those behind it to be handled. Whether the key is parked.
    ///
    /// # Errors
    /// As [`retry_parked`](Self::retry_parked).
    pub async fn skip_parked(
        &self,
        name: &SubscriptionName,
        key: &str,
    ) -> Result<bool, SubscriptionError> {
        self.request(name, key, ParkingRequest::Skip).await
    }

    /// Asks for all events of a parked key to be passed over. Whether it is parked.
    ///
    /// # Errors
    /// As [`retry_parked`](Self::retry_parked).
    pub async fn discard_parked(
        &self,
        name: &SubscriptionName,
        key: &str,
    ) -> Result<bool, SubscriptionError> {
        self.request(name, key, ParkingRequest::Discard).await
    }

    /// Asks the same for every parked key whose failure has this fingerprint. How many there are.
    ///
    /// # Errors
    /// As [`retry_parked`](Self::retry_parked).
    pub async fn request_all_parked(
        &self,
        name: &SubscriptionName,
        fingerprint: &str,
        request: ParkingRequest,
    ) -> Result<u64, SubscriptionError> {
        let entry = self.entry(name)?;
        let store = &self.shared.subscriptions;
        let keys = store.request_all(name, fingerprint, request).await?;
        entry.poke.notify_one();
        Ok(keys)
    }

    async fn request(
        &self,
        name: &SubscriptionName,
        key: &str,
        request: ParkingRequest,
    ) -> Result<bool, SubscriptionError> {
        let entry = self.entry(name)?;
        let store = &self.shared.subscriptions;
        let is_parked = store.request(name, key, request).await?;
        if is_parked {
            entry.poke.notify_one();
        }
        Ok(is_parked)
    }
}
