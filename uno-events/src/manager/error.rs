//! Errors of the subscription manager.

use uno_core::{ParkedKey, Position, RegistrationError, StoreError, SubscriptionName};

use super::StopReason;
use crate::Group;

/// Why the manager did not do as it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscriptionError {
    /// There is a subscription of that name already: two would move one checkpoint.
    #[error("there is a subscription named {0} already")]
    Duplicate(SubscriptionName),
    /// There is no subscription of that name.
    #[error("there is no subscription named {0}")]
    Unknown(SubscriptionName),
    /// No subscription belongs to the group.
    #[error("no subscription belongs to group {0}")]
    UnknownGroup(Group),
    /// The subscription must not be replayed.
    #[error("subscription {0} is live-only: to reset it would replay what must not be replayed")]
    LiveOnly(SubscriptionName),
    /// The subscription does not run.
    #[error("subscription {0} is not running")]
    NotRunning(SubscriptionName),
    /// Old versions of an event that its handler is for can't be read.
    #[error(transparent)]
    Events(#[from] RegistrationError),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a subscription did not come to where it was awaited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// There is no subscription of that name.
    #[error("there is no subscription named {0}")]
    Unknown(SubscriptionName),
    /// It did not come there in time. It may still.
    #[error(
        "subscription {subscription} did not come to position {awaited} in time; it is at {reached}"
    )]
    TimedOut {
        /// The subscription.
        subscription: SubscriptionName,
        /// Where it was awaited.
        awaited: Position,
        /// Where it is.
        reached: Position,
    },
    /// It has stopped, and does not come there unless it is started again.
    #[error("subscription {subscription} has stopped at position {reached}: {why}")]
    Stopped {
        /// The subscription.
        subscription: SubscriptionName,
        /// Where it is.
        reached: Position,
        /// Why.
        why: StopReason,
    },
    /// It has come there, but an event of the receipt is parked: it was not handled, or waits behind one that was not.
    #[error("key {} of subscription {subscription} is parked: {}", parked.key(), parked.failure().error())]
    Parked {
        /// The subscription.
        subscription: SubscriptionName,
        /// The key, and why it is parked.
        parked: Box<ParkedKey>,
    },
    /// The receipt is from another log than the one the subscription reads.
    #[error("the receipt is from another log than the one that subscription {0} reads")]
    OtherLog(SubscriptionName),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
