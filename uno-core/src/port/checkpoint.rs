//! [`CheckpointStore`], the third tier: how far each subscription has come.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{CommitError, EventId, Position, StoreEpoch, StoreError};

/// Keeps one checkpoint for each subscription.
///
/// # Contract
/// 1. `save_checkpoint` moves the checkpoint only if it is where `expected` says; else it is
///    [`Stale`](crate::Stale::Checkpoint) and nothing moves. Of two processes that move it at once, one wins.
/// 2. What was saved is loaded back equal, also after a crash.
/// 3. A [`CheckpointWrite`] within a [`Commit`](crate::Commit) takes effect exactly if the commit does.
#[async_trait]
pub trait CheckpointStore: fmt::Debug + Send + Sync + 'static {
    /// Where the subscription is; `None` when it never saved.
    async fn load_checkpoint(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Option<Checkpoint>, StoreError>;

    /// Moves the checkpoint, by itself.
    async fn save_checkpoint(&self, write: CheckpointWrite) -> Result<(), CommitError>;

    /// All checkpoints, by name.
    async fn list_checkpoints(&self) -> Result<Vec<(SubscriptionName, Checkpoint)>, StoreError>;
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

/// A move of a checkpoint, if it is where it is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointWrite {
    subscription: SubscriptionName,
    expected: Option<Position>,
    checkpoint: Checkpoint,
}

impl CheckpointWrite {
    /// Moves the checkpoint from `expected` (`None`: there is none yet) to `checkpoint`.
    #[must_use]
    pub fn new(
        subscription: SubscriptionName,
        expected: Option<Position>,
        checkpoint: Checkpoint,
    ) -> Self {
        Self {
            subscription,
            expected,
            checkpoint,
        }
    }

    /// Whose checkpoint.
    #[must_use]
    pub fn subscription(&self) -> &SubscriptionName {
        &self.subscription
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
}
