//! [`Consumer`]: what a durable subscription feeds.

use std::{borrow::Cow, fmt, num::NonZeroU16, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{sync::watch, time::Instant};
use uno_core::{
    BoxError, CheckpointWrite, CommitError, DecodeError, EventFilter, Position, RecordedEvent,
    Stale, StoreError,
};

/// Handles stretches of the log and moves the subscription's checkpoint.
///
/// Handlers, projections and sagas are consumers; the subscription reads the log, feeds them, retries, and parks the key of an
/// event when that does not help.
///
/// # Contract
/// 1. **All or at least once.** A consumer whose effects live in the store commits them together with
///    [`Batch::checkpoint`], so that each event takes effect exactly once. Any other consumer saves the checkpoint *after*
///    its effects, so that each event takes effect at least once.
/// 2. **In order.** Events of a batch are in position order and belong to one lane. Batches of a lane follow one another; those of
///    different lanes may be consumed at the same time. An event that was parked comes alone, when it is tried again.
///    What it says of the checkpoint is handed on as it is, with what is parked.
/// 3. **Honest failure.** On an error the checkpoint has not moved past an event that was not handled.
/// 4. **Cancellation.** Dropping the future leaves the checkpoint before or after the batch, never within an event.
#[async_trait]
pub trait Consumer: fmt::Debug + Send + Sync + 'static {
    /// Which events it wants. Others are passed over, and the checkpoint with them.
    fn filter(&self) -> EventFilter;

    /// What the event is about: events of one key are handled in order, and set aside together. The stream's id, unless a consumer
    /// says otherwise. It depends on the event alone, and never changes. 1 to 1,024 bytes without control characters.
    ///
    /// # Errors
    /// When the key can't be known, such as that of an event that can't be decoded: it can't be parked then.
    fn key<'e>(&self, event: &'e Arc<RecordedEvent>) -> Result<Cow<'e, str>, ConsumeError> {
        Ok(Cow::Owned(event.stream().to_string()))
    }

    /// Handles a batch, which may be empty but for its checkpoint.
    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError>;
}

const _: fn(&dyn Consumer) = |_| {};

/// A stretch of the log, and the move of the checkpoint that goes with it.
#[derive(Clone, Debug)]
pub struct Batch {
    events: Vec<Arc<RecordedEvent>>,
    checkpoint: CheckpointWrite,
    last_attempt: bool,
    lanes: NonZeroU16,
    /// Until when the lane is on lease, by this process's clock.
    held: Option<watch::Receiver<Instant>>,
}

impl Batch {
    /// The events that fit the filter, and the checkpoint after them (at or beyond the last of them).
    #[must_use]
    pub fn new(events: Vec<Arc<RecordedEvent>>, checkpoint: CheckpointWrite) -> Self {
        Self {
            events,
            checkpoint,
            last_attempt: false,
            lanes: NonZeroU16::MIN,
            held: None,
        }
    }

    /// The same, for the last time: if it can't be handled, its key is parked or the subscription stops.
    #[must_use]
    pub fn for_the_last_time(mut self) -> Self {
        self.last_attempt = true;
        self
    }

    /// Whether an event of it that fails is not tried again: a consumer that can set it aside in a way of its own does it now, or
    /// the subscription does. It is data of the batch, and no method of the port, so that nothing that wraps a consumer can forget to hand it on.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.last_attempt
    }

    /// The same, of one of so many lanes, that is held on lease until then.
    pub(crate) fn on_lease(mut self, lanes: NonZeroU16, held: watch::Receiver<Instant>) -> Self {
        (self.lanes, self.held) = (lanes, Some(held));
        self
    }

    /// How many lanes the subscription has: if more than one, others are consumed at the same time, here or elsewhere.
    #[must_use]
    pub fn lanes(&self) -> NonZeroU16 {
        self.lanes
    }

    /// Whether the lane is still on lease, as far as this process can tell: one that was asleep, or could not reach the store,
    /// may have lost it to another. What it commits to the store is refused then in any case; a consumer with effects elsewhere
    /// asks before each.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held
            .as_ref()
            .is_none_or(|until| Instant::now() < *until.borrow())
    }

    /// The events.
    #[must_use]
    pub fn events(&self) -> &[Arc<RecordedEvent>] {
        &self.events
    }

    /// The move of the checkpoint that says that they are handled.
    #[must_use]
    pub fn checkpoint(&self) -> &CheckpointWrite {
        &self.checkpoint
    }

    /// The parts.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Arc<RecordedEvent>>, CheckpointWrite) {
        (self.events, self.checkpoint)
    }
}

/// Why a batch was not handled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumeError {
    /// An event could not be handled: tried again, then its key is parked.
    #[error("the event at position {position} could not be handled")]
    Handler {
        /// Which event.
        position: Position,
        /// What the handler said.
        source: BoxError,
    },
    /// An event was not tried at all, since what the consumer speaks to is left alone for a while: the lane waits for as long, at least,
    /// and comes back to the event. That is no attempt, so nothing is parked because of it.
    #[error("the event at position {position} has to wait")]
    NotNow {
        /// Which event.
        position: Position,
        /// For how long nothing will come of trying.
        rest: Duration,
        /// Why.
        source: BoxError,
    },
    /// An event can't be decoded: not tried again, since that does not help. If newer code has written it, the subscription stops, so that
    /// newer code may handle it; else its key is parked.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The consumer can't go on at all, and nothing shall be set aside: the subscription stops before the event.
    #[error("the event at position {position} can't be handled, nor any other")]
    Stop {
        /// Which event.
        position: Position,
        /// Why.
        source: BoxError,
    },
    /// The checkpoint or a record was changed by somebody else: the subscription reads its checkpoint again and goes on from there.
    #[error(transparent)]
    Stale(Stale),
    /// The store failed: tried again for as long as it may help.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The commit failed for another reason.
    #[error(transparent)]
    Commit(CommitError),
}

impl From<CommitError> for ConsumeError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Stale(stale) => Self::Stale(stale),
            other => Self::Commit(other),
        }
    }
}

impl ConsumeError {
    /// Whether the same call may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Commit(error) => error.is_transient(),
            Self::NotNow { .. } => true,
            Self::Handler { .. } | Self::Stop { .. } | Self::Decode(_) | Self::Stale(_) => false,
        }
    }
}
