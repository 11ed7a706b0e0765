//! [`ParkingStore`], of the third tier: events that were set aside, with what comes behind them.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::SubscriptionName;
use crate::{EventId, Position, StoreError};

/// Keeps, by subscription and key, the events that could not be handled and those of the same key that came after them.
///
/// Payloads are not copied: a parked event is a place in the log. Writes come with the move of a checkpoint, as
/// [`CheckpointWrite::parking`](super::CheckpointWrite::parking); what a person asks for is noted here and carried out by
/// the one who holds the key's lane.
///
/// # Contract
/// 1. **Set aside.** [`ParkingWrite::Park`] with a failure makes the key parked, or tells anew why it is: the failure replaces the one
///    that was there, and what was asked for is done with. Parking an event that is parked already keeps its place.
/// 2. **Behind.** [`ParkingWrite::Park`] without a failure puts an event behind one of its key. A key that is not parked makes the move
///    [`Stale`](crate::Stale::Parked).
/// 3. **Taken off.** [`ParkingWrite::TakeOff`] takes one event off. One that is not there makes the move
///    [`Stale`](crate::Stale::Parked): it is handled with effect once, however many try. With its last event a key is no longer
///    parked.
/// 4. **Emptied.** [`ParkingWrite::Empty`] takes a key off with all its events. A key that is not parked makes the move
///    [`Stale`](crate::Stale::Parked).
/// 5. **In order.** Events of a key are read in the order of their positions, keys and fingerprints in that of their bytes.
/// 6. **Requests.** `request` notes one for a parked key, in place of one that is there; for a key that is not parked it
///    answers `false` and does nothing. It needs no lease. A request that replaces another is as old as itself.
#[async_trait]
pub trait ParkingStore: fmt::Debug + Send + Sync + 'static {
    /// The parked keys of a subscription after this one, at most `limit`.
    async fn list_parked(
        &self,
        subscription: &SubscriptionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, StoreError>;

    /// One key; `None` when it is not parked.
    async fn parked_key(
        &self,
        subscription: &SubscriptionName,
        key: &str,
    ) -> Result<Option<ParkedKey>, StoreError>;

    /// The events of a key after this position, at most `limit`.
    async fn parked_events(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, StoreError>;

    /// The keys of a subscription, grouped by the fingerprint of their failure.
    async fn parked_groups(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<ParkedGroup>, StoreError>;

    /// How many events of a subscription are parked.
    async fn count_parked(&self, subscription: &SubscriptionName) -> Result<u64, StoreError>;

    /// Notes what is to be done with a parked key. `false` when it is not parked.
    async fn request(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        request: ParkingRequest,
    ) -> Result<bool, StoreError>;

    /// Notes what is to be done with every parked key whose failure has this fingerprint. How many there are.
    async fn request_all(
        &self,
        subscription: &SubscriptionName,
        fingerprint: &str,
        request: ParkingRequest,
    ) -> Result<u64, StoreError>;

    /// The keys of a subscription with a request, at most `limit`, the oldest request first.
    async fn list_requests(
        &self,
        subscription: &SubscriptionName,
        limit: usize,
    ) -> Result<Vec<(Arc<str>, ParkingRequest)>, StoreError>;
}

const _: fn(&dyn ParkingStore) = |_| {};

/// What the move of a checkpoint does to parked events.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must handle every case"
)]
pub enum ParkingWrite {
    /// Sets an event aside.
    Park {
        /// The key that it belongs to.
        key: Arc<str>,
        /// Where it is in the log.
        position: Position,
        /// Its id.
        event_id: EventId,
        /// Why, for the event that failed; `None` for one that comes behind it.
        failure: Option<ParkedFailure>,
    },
    /// Takes an event off, because it was handled or is to be skipped; it must be there.
    TakeOff {
        /// The key that it belongs to.
        key: Arc<str>,
        /// Where it is in the log.
        position: Position,
    },
    /// Takes a key off with all its events; it must be there.
    Empty {
        /// Which key.
        key: Arc<str>,
    },
}

impl ParkingWrite {
    /// Which key.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Park { key, .. } | Self::TakeOff { key, .. } | Self::Empty { key } => key,
        }
    }

    /// Which event; `None` for all of the key.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::Park { position, .. } | Self::TakeOff { position, .. } => Some(*position),
            Self::Empty { .. } => None,
        }
    }
}

/// Why an event was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedFailure {
    attempts: u32,
    error: Arc<str>,
    fingerprint: Arc<str>,
}

impl ParkedFailure {
    /// How many bytes of an error are kept.
    pub const LONGEST: usize = 8_192;

    /// After so many attempts, because of this error. Failures that look alike have the same fingerprint.
    ///
    /// Texts are cut at [`LONGEST`](Self::LONGEST) bytes, or before, at the end of a character, and NUL, which not every store can keep, is
    /// shown as U+FFFD.
    #[must_use]
    pub fn new(attempts: u32, error: impl AsRef<str>, fingerprint: impl AsRef<str>) -> Self {
        Self {
            attempts,
            error: storable(error.as_ref()),
            fingerprint: storable(fingerprint.as_ref()),
        }
    }

    /// How often the event was tried.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// What went wrong last, with its causes.
    #[must_use]
    pub fn error(&self) -> &str {
        &self.error
    }

    /// What failures that look alike have in common.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

fn storable(text: &str) -> Arc<str> {
    let text = &text[..text.floor_char_boundary(ParkedFailure::LONGEST)];
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// What a person wants done with a parked key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must handle every case"
)]
pub enum ParkingRequest {
    /// Handle its events, from the one that failed on.
    Retry,
    /// Pass over the event that failed, and handle those behind it.
    Skip,
    /// Pass over all its events.
    Discard,
}

/// A key that is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedKey {
    key: Arc<str>,
    failure: ParkedFailure,
    first: Position,
    events: u64,
    parked_at: DateTime<Utc>,
    request: Option<ParkingRequest>,
}

impl ParkedKey {
    /// For stores: the key, why it is parked, its first event, how many there are, since when (by the store's clock), and what is asked for.
    #[must_use]
    pub fn new(
        key: Arc<str>,
        failure: ParkedFailure,
        first: Position,
        events: u64,
        parked_at: DateTime<Utc>,
        request: Option<ParkingRequest>,
    ) -> Self {
        Self {
            key,
            failure,
            first,
            events,
            parked_at,
            request,
        }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Why its first event could not be handled.
    #[must_use]
    pub fn failure(&self) -> &ParkedFailure {
        &self.failure
    }

    /// Its first event: the one that could not be handled.
    #[must_use]
    pub fn first(&self) -> Position {
        self.first
    }

    /// How many events are parked, the first included.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Since when it is parked, by the store's clock.
    #[must_use]
    pub fn parked_at(&self) -> DateTime<Utc> {
        self.parked_at
    }

    /// What is to be done with it, if somebody has said so and it is not done yet.
    #[must_use]
    pub fn request(&self) -> Option<ParkingRequest> {
        self.request
    }
}

/// An event that is parked: a place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkedEvent {
    position: Position,
    event_id: EventId,
}

impl ParkedEvent {
    /// For stores.
    #[must_use]
    pub fn new(position: Position, event_id: EventId) -> Self {
        Self { position, event_id }
    }

    /// Where it is in the log.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Its id.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        self.event_id
    }
}

/// Keys whose failures look alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedGroup {
    fingerprint: Arc<str>,
    error: Arc<str>,
    keys: u64,
    events: u64,
}

impl ParkedGroup {
    /// For stores: the fingerprint, the error of the key whose name comes first, and how many keys and events there are.
    #[must_use]
    pub fn new(fingerprint: Arc<str>, error: Arc<str>, keys: u64, events: u64) -> Self {
        Self {
            fingerprint,
            error,
            keys,
            events,
        }
    }

    /// What they have in common.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// One of the errors: that of the key that comes first.
    #[must_use]
    pub fn error(&self) -> &str {
        &self.error
    }

    /// How many keys.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// How many events, those behind the failed ones included.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }
}
