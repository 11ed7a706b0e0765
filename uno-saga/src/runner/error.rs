//! [`SagaError`]: why instances can't go on or be read.

use uno_core::{BoxError, CommitError, Refusal, StoreError};

use crate::TransitionError;

/// Why instances of a saga can't go on or be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SagaError {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The transaction was not committed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// An instance is not what this code knows: it was stored by other code.
    #[error("instance {key} can't be read")]
    Unreadable {
        /// Which one.
        key: String,
        /// What serde says.
        source: BoxError,
    },
    /// An instance can't be stored, such as with a number that is not finite.
    #[error("instance {key} can't be stored")]
    Unstorable {
        /// Which one.
        key: String,
        /// What is wrong with it.
        source: Refusal,
    },
    /// A message in the queue of outcomes is none.
    #[error("an outcome of instance {key} is malformed")]
    Malformed {
        /// Which one.
        key: String,
        /// What serde says.
        source: BoxError,
    },
    /// The store refuses what comes of an instance's outcomes.
    #[error("a step of instance {key} can't be committed")]
    Refused {
        /// Which one.
        key: String,
        /// What the store said.
        source: CommitError,
    },
    /// An input can't be handled.
    #[error(transparent)]
    Transition(#[from] TransitionError),
}

impl SagaError {
    /// Whether it is the store that fails, and not an instance.
    #[must_use]
    pub fn is_of_store(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Commit(_))
    }
}
