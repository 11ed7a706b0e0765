//! [`CheckpointStore`], the third tier: how far each subscription has come.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::{Fence, Lane, ParkingWrite};
use crate::{CommitError, EventId, Position, StoreEpoch, StoreError};

/// Keeps one checkpoint for each lane of each subscription.
///
/// # Contract
/// 1. `save_checkpoint` moves the checkpoint only if it is where `expected` says; else it is
///    [`Stale`](crate::Stale::Checkpoint) and nothing moves. Of two processes that move it at once, one wins.
/// 2. What was saved is loaded back equal, also after a crash.
/// 3. A [`CheckpointWrite`] within a [`Commit`](crate::Commit) takes effect exactly if the commit does.
/// 4. **Lanes.** The lanes of a subscription have checkpoints of their own.
/// 5. **Fences.** A write with a [fence](CheckpointWrite::fenced) takes effect only while the lane's lease has that fence, and one
///    without a fence only while nobody has the lane on lease. A lease that has run out and was neither given back nor taken over
///    counts as one; a lane that was given back is on nobody's lease, also not on its last holder's. Else the write is [`Stale`](crate::Stale::Lease).
///    So is one to a lane that the subscription, once it was [claimed](super::LeaseStore), does not have.
/// 6. **Parking.** What a write [parks](CheckpointWrite::parking) and takes off takes effect exactly if the move does, as
///    [`ParkingStore`](super::ParkingStore) says.
#[async_trait]
pub trait CheckpointStore: fmt::Debug + Send + Sync + 'static {
    /// Where a lane of the subscription is; `None` when it never saved.
    async fn load_checkpoint(
        &self,
        subscription: &SubscriptionName,
        lane: Lane,
    ) -> Result<Option<Checkpoint>, StoreError>;

    /// Moves a checkpoint, by itself.
    async fn save_checkpoint(&self, write: CheckpointWrite) -> Result<(), CommitError>;

    /// All checkpoints, by name and lane.
    async fn list_checkpoints(
        &self,
    ) -> Result<Vec<(SubscriptionName, Lane, Checkpoint)>, StoreError>;
}

const _: fn(&dyn CheckpointStore) = |_| {};

/// The name of a subscription: 1 to 128 bytes, no control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionName(Arc<str>);

impl SubscriptionName {
    /// The name, if the text is one.
    ///
    /// # Errors
    /// When it is empty, longer than 128 bytes, or has control characters.
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self, SubscriptionNameError> {
        let name = name.into();
        if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
            return Err(SubscriptionNameError(name));
        }
        Ok(Self(name))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubscriptionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SubscriptionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A text that can't name a subscription.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name for a subscription: 1 to 128 bytes without control characters")]
pub struct SubscriptionNameError(Arc<str>);

/// How far a subscription has come: a committed event, and the life of the store it belongs to.
///
/// The event's id lets a subscription notice that the log is not the one it knew (a restored backup, a failover).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    epoch: StoreEpoch,
    position: Position,
    event_id: Option<EventId>,
}

impl Checkpoint {
    /// Before the first event.
    #[must_use]
    pub const fn start(epoch: StoreEpoch) -> Self {
        Self {
            epoch,
            position: Position::START,
            event_id: None,
        }
    }

    /// After this event.
    #[must_use]
    pub const fn after(epoch: StoreEpoch, position: Position, event_id: EventId) -> Self {
        Self {
            epoch,
            position,
            event_id: Some(event_id),
        }
    }

    /// Which life of the store.
    #[must_use]
    pub const fn epoch(&self) -> StoreEpoch {
        self.epoch
    }

    /// The position of the last event that was handled; [`Position::START`] before the first.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The id of that event; `None` before the first.
    #[must_use]
    pub const fn event_id(&self) -> Option<EventId> {
        self.event_id
    }
}

/// A move of the checkpoint of one lane, if it is where it is expected, and what is parked and taken off with it.
///
/// A consumer hands it on as it is, as part of the commit with its own effects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointWrite {
    subscription: SubscriptionName,
    lane: Lane,
    fence: Option<Fence>,
    expected: Option<Position>,
    checkpoint: Checkpoint,
    parking: Vec<ParkingWrite>,
}

impl CheckpointWrite {
    /// Moves the checkpoint of the first lane from `expected` (`None`: there is none yet) to `checkpoint`, without a fence.
    #[must_use]
    pub fn new(
        subscription: SubscriptionName,
        expected: Option<Position>,
        checkpoint: Checkpoint,
    ) -> Self {
        Self {
            subscription,
            lane: Lane::FIRST,
            fence: None,
            expected,
            checkpoint,
            parking: Vec::new(),
        }
    }

    /// The same for this lane, under this fence.
    #[must_use]
    pub fn fenced(mut self, lane: Lane, fence: Fence) -> Self {
        (self.lane, self.fence) = (lane, Some(fence));
        self
    }

    /// The same for this lane, without a fence.
    #[must_use]
    pub fn lane(mut self, lane: Lane) -> Self {
        (self.lane, self.fence) = (lane, None);
        self
    }

    /// With this that is parked or taken off, in this order.
    #[must_use]
    pub fn parking(mut self, writes: Vec<ParkingWrite>) -> Self {
        self.parking = writes;
        self
    }

    /// The same move, but only as far as this: with what is parked up to there.
    #[must_use]
    pub fn up_to(&self, checkpoint: Checkpoint) -> Self {
        let up_to = |write: &ParkingWrite| {
            write
                .position()
                .is_none_or(|position| position <= checkpoint.position())
        };
        Self {
            checkpoint,
            parking: self
                .parking
                .iter()
                .filter(|write| up_to(write))
                .cloned()
                .collect(),
            ..self.clone()
        }
    }

    /// Whose checkpoint.
    #[must_use]
    pub fn subscription(&self) -> &SubscriptionName {
        &self.subscription
    }

    /// Of which lane.
    #[must_use]
    pub fn of_lane(&self) -> Lane {
        self.lane
    }

    /// Under which lease; `None`: nobody may have the lane on lease.
    #[must_use]
    pub fn fence(&self) -> Option<Fence> {
        self.fence
    }

    /// Where it must be now.
    #[must_use]
    pub fn expected(&self) -> Option<Position> {
        self.expected
    }

    /// Where it goes.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.checkpoint
    }

    /// What is parked and taken off with it, in this order.
    #[must_use]
    pub fn parked(&self) -> &[ParkingWrite] {
        &self.parking
    }
}
