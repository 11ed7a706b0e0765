//! [`Consumer`]: what a durable subscription feeds.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use uno_core::{
    BoxError, CheckpointWrite, CommitError, DecodeError, EventFilter, Position, RecordedEvent,
    Stale, StoreError,
};

/// Handles stretches of the log and moves the subscription's checkpoint.
///
/// Handlers, projections and sagas are consumers; the subscription reads the log, feeds them, retries, and stops
/// visibly when that does not help.
///
/// # Contract
/// 1. **All or at least once.** A consumer whose effects live in the store commits them together with
///    [`Batch::checkpoint`], so that each event takes effect exactly once. Any other consumer saves the checkpoint *after*
///    its effects, so that each event takes effect at least once.
/// 2. **In order.** Events of a batch are in position order, batches follow one another, and `consume` is called by one
///    task at a time.
/// 3. **Honest failure.** On an error the checkpoint has not moved past an event that was not handled.
/// 4. **Cancellation.** Dropping the future leaves the checkpoint before or after the batch, never within an event.
#[async_trait]
pub trait Consumer: fmt::Debug + Send + Sync + 'static {
    /// Which events it wants. Others are passed over, and the checkpoint with them.
    fn filter(&self) -> EventFilter;

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
}

impl Batch {
    /// The events that fit the filter, and the checkpoint after them (at or beyond the last of them).
    #[must_use]
    pub fn new(events: Vec<Arc<RecordedEvent>>, checkpoint: CheckpointWrite) -> Self {
        Self {
            events,
            checkpoint,
            last_attempt: false,
        }
    }

    /// The same, for the last time: if it can't be handled, the subscription stops.
    #[must_use]
    pub fn for_the_last_time(mut self) -> Self {
        self.last_attempt = true;
        self
    }

    /// Whether an event of it that fails is not tried again: a consumer that can set it aside does it now, or the subscription
    /// stops. It is data of the batch, and no method of the port, so that nothing that wraps a consumer can forget to hand it on.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.last_attempt
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
    /// An event could not be handled: tried again, then the subscription stops.
    #[error("the event at position {position} could not be handled")]
    Handler {
        /// Which event.
        position: Position,
        /// What the handler said.
        source: BoxError,
    },
    /// An event can't be decoded: the subscription stops at once, since trying again does not help.
    #[error(transparent)]
    Decode(#[from] DecodeError),
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
            Self::Handler { .. } | Self::Decode(_) | Self::Stale(_) => false,
        }
    }
}
