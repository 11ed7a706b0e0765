//! What can go wrong with read models.

use uno_core::{
    BoxError, CommitError, DecodeError, Position, RegistrationError, StoreError, StreamIdError,
    SubscriptionNameError,
};
use uno_events::{SubscriptionError, WaitError};

use super::ServingError;
use crate::Generation;

/// Why a projection can't be a read model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadModelError {
    /// Its name has the mark of a generation in it.
    #[error("{0:?} is not a name for a read model: '@' marks a generation")]
    Mark(&'static str),
    /// Its streams are of what can't be a category.
    #[error(transparent)]
    Category(#[from] StreamIdError),
    /// Its name can't be that of a subscription.
    #[error(transparent)]
    Subscription(#[from] SubscriptionNameError),
    /// One of its events has a name that can't be stored.
    #[error(transparent)]
    Event(#[from] RegistrationError),
}

/// Why a read model was not rebuilt, swapped or dropped, or not awaited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebuildError {
    /// Code of another version builds a generation already: let it, or [abandon](super::ReadModel::abandon) it.
    #[error("generation {generation} is being built already, by version {version} of the code")]
    AlreadyBuilding {
        /// Which.
        generation: Generation,
        /// The version of the code that builds it.
        version: u32,
    },
    /// Another process builds this generation at the same time, and goes on.
    #[error("generation {0} is being built by another process")]
    Elsewhere(Generation),
    /// The generation has not come as far as the one that serves: try again.
    #[error(
        "generation {generation} has come to position {reached}, and the one that serves to {serving}"
    )]
    NotCaughtUp {
        /// Which.
        generation: Generation,
        /// Where it is.
        reached: Position,
        /// Where the one that serves is.
        serving: Position,
    },
    /// Events of the generation are parked, so it has not handled all that it has come past: retry or discard them before it serves.
    #[error("{events} events of generation {generation} are parked")]
    Parked {
        /// Which.
        generation: Generation,
        /// How many.
        events: u64,
    },
    /// There is no such generation, or it is not for that.
    #[error("generation {0} can't be used for that: it is not there, or not kept")]
    NotKept(Generation),
    /// No generation of this version of the code is kept that one could go back to.
    #[error("no generation is kept to go back to")]
    NothingKept,
    /// No generation is being built.
    #[error("no generation is being built")]
    NotBuilding,
    /// The generation is read: let another one serve before it is dropped.
    #[error("generation {0} serves and can't be dropped")]
    Serves(Generation),
    /// The event can't be projected, or one of those that are projected with it. The batches before are kept: mend what is wrong, and
    /// rebuild again to go on there.
    #[error("the event at position {position} could not be projected")]
    Failed {
        /// Which event.
        position: Position,
        /// What the projection said.
        source: BoxError,
    },
    /// The event can't be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// What is built so far is of another log than the one that is read: abandon it.
    #[error("generation {generation} was built from another log up to position {reached}")]
    OtherLog {
        /// Which.
        generation: Generation,
        /// Where it is.
        reached: Position,
    },
    /// The read model can't be used under that name.
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    /// It is not known which generation serves.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// A subscription could not be started or stopped.
    #[error(transparent)]
    Subscription(#[from] SubscriptionError),
    /// It did not come to where it was awaited.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// The commit failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The store can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RebuildError {
    /// Whether the same call may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NotCaughtUp { .. } => true,
            Self::Commit(error) => error.is_transient(),
            Self::Store(error) | Self::Serving(ServingError::Store(error)) => error.is_transient(),
            _ => false,
        }
    }
}
