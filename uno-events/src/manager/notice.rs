//! [`Notices`]: what happens to subscriptions, for who wants to hear of it at once.

use std::sync::Arc;

use tokio::sync::broadcast;
use uno_core::{Lane, Position, SubscriptionName};

use super::{StopReason, SubscriptionManager};

/// Something that happened to a subscription, or a gap in what was told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Something happened to a subscription.
    Of {
        /// Which subscription.
        subscription: SubscriptionName,
        /// What happened.
        what: Happened,
    },
    /// So many notices were not read in time, and are gone. [`status`](SubscriptionManager::status) tells how things are now.
    Missed(u64),
}

/// What happens to a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happened {
    /// All lanes that are run here have come to the end of the log: for the first time since the start, or since it fell behind.
    CaughtUp,
    /// A lane is far behind the newest event that this process has read: see
    /// [`fell_behind_at`](super::SubscriptionManagerBuilder::fell_behind_at).
    FellBehind {
        /// How many positions, at most.
        lag: u64,
    },
    /// An event could not be handled, and was set aside with its key.
    Parked {
        /// The key.
        key: Arc<str>,
        /// The event.
        position: Position,
    },
    /// It has stopped because of a failure.
    Stopped {
        /// Why.
        why: StopReason,
    },
    /// A lane is run here from now on.
    LaneTaken {
        /// Which.
        lane: Lane,
    },
    /// A lane is not run here any more: it was given back, or has been taken.
    LaneLost {
        /// Which.
        lane: Lane,
    },
}

/// A receiver of notices, from when it was made on.
#[derive(Debug)]
pub struct Notices(broadcast::Receiver<Notice>);

impl Notices {
    /// The next notice; `None` when the manager is gone.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Notice> {
        match self.0.recv().await {
            Ok(notice) => Some(notice),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Notice::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The next notice, if there is one now.
    pub fn try_next(&mut self) -> Option<Notice> {
        match self.0.try_recv() {
            Ok(notice) => Some(notice),
            Err(broadcast::error::TryRecvError::Lagged(missed)) => Some(Notice::Missed(missed)),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => {
                None
            }
        }
    }
}

impl SubscriptionManager {
    /// How many notices are kept for a receiver that does not read them.
    pub const NOTICES_KEPT: usize = 1_024;

    /// What happens to the subscriptions of this manager from now on. A receiver that is slow holds nobody up: when more than
    /// [`NOTICES_KEPT`](Self::NOTICES_KEPT) wait for it, the oldest are gone, and it is told how many.
    #[must_use]
    pub fn notices(&self) -> Notices {
        Notices(self.shared.board.0.subscribe())
    }
}

/// Where notices are put up. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct NoticeBoard(broadcast::Sender<Notice>);

impl NoticeBoard {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(SubscriptionManager::NOTICES_KEPT))
    }

    pub(super) fn tell(&self, subscription: &SubscriptionName, what: Happened) {
        // An error says that nobody listens.
        let _ = self.0.send(Notice::Of {
            subscription: subscription.clone(),
            what,
        });
    }
}
