//! [`SagaError`] and [`VerbError`]: why instances can't go on, be read, or be helped.

use uno_core::{BoxError, CommitError, ProcessStatus, StoreError};

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
    /// An instance can't be read, or can't take an input.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// An entry of a history is not what this code knows.
    #[error("the history of instance {key} can't be read")]
    History {
        /// Which instance.
        key: String,
        /// What serde says.
        source: BoxError,
    },
    /// An input that can't be handled can't be parked either, because too many are.
    #[error("instance {key} can't be parked, since {limit} inputs are parked already")]
    TooManyParked {
        /// Which instance.
        key: String,
        /// How many may be.
        limit: u64,
        /// Why the input can't be handled, unless it is only behind others.
        reason: String,
    },
}

impl SagaError {
    /// Whether it is the store that fails, and not an instance.
    #[must_use]
    pub fn is_of_store(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Commit(_))
    }

    /// Whether it is one instance that can't go on, so that others may.
    pub(super) fn is_of_instance(&self) -> bool {
        match self {
            Self::Commit(error) => super::is_refusal(error),
            Self::Store(_) => false,
            Self::Transition(_) | Self::History { .. } | Self::TooManyParked { .. } => true,
        }
    }
}

/// Why what a person wants of an instance was not done. Nothing has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerbError {
    /// There is no such instance.
    #[error("there is no instance {0}")]
    NoInstance(String),
    /// It is not stuck.
    #[error("instance {key} is {status}, and not stuck")]
    NotStuck {
        /// Which instance.
        key: String,
        /// How it stands.
        status: ProcessStatus,
    },
    /// Nothing of it is parked.
    #[error("instance {key} is {status}, and not parked")]
    NotParked {
        /// Which instance.
        key: String,
        /// How it stands.
        status: ProcessStatus,
    },
    /// It has ended.
    #[error("instance {key} is {status}")]
    Ended {
        /// Which instance.
        key: String,
        /// How it ended.
        status: ProcessStatus,
    },
    /// Another command than this one has failed.
    #[error("the compensation of instance {key} that failed is {failed}")]
    OtherCommand {
        /// Which instance.
        key: String,
        /// The command that failed.
        failed: String,
    },
    /// Somebody else has changed the instance meanwhile: look again.
    #[error("instance {0} was changed by somebody else at the same time")]
    Raced(String),
    /// It can't be done.
    #[error(transparent)]
    Saga(#[from] SagaError),
}

impl VerbError {
    pub(super) fn of_commit(key: &str, error: CommitError) -> Self {
        match error {
            CommitError::Stale(_) => Self::Raced(key.to_owned()),
            other => Self::Saga(other.into()),
        }
    }
}

impl From<StoreError> for VerbError {
    fn from(error: StoreError) -> Self {
        Self::Saga(error.into())
    }
}

impl From<TransitionError> for VerbError {
    fn from(error: TransitionError) -> Self {
        Self::Saga(error.into())
    }
}
