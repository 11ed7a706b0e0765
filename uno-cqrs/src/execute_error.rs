//! [`ExecuteError`]: why a command had no effect.

use std::time::Duration;

use uno_core::BoxError;
use uno_uow::RunError;

use crate::{Busy, Forbidden, Invalid, KeyReused};

/// Why a command had no effect, or why that is not known ([`TimedOut`](Self::TimedOut), [`RunError::Unknown`]).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// Nobody handles it.
    #[error("the command {0} has no handler")]
    UnknownCommand(String),
    /// It does not have the shape of its type.
    #[error("the command {name} is malformed")]
    Malformed {
        /// Its name.
        name: String,
        /// What serde says.
        source: BoxError,
    },
    /// A field is not what it must be. Nothing was begun.
    #[error("the command {name} is not valid")]
    Invalid {
        /// Its name.
        name: String,
        /// Which fields, and what is wrong with them.
        source: Invalid,
    },
    /// It is not allowed to whoever sent it. Nothing was begun.
    #[error("the command {name} is not allowed")]
    Forbidden {
        /// Its name.
        name: String,
        /// Why.
        source: Forbidden,
    },
    /// Too many commands wait for the same stream. It was not begun, and may be sent again later.
    #[error("the command {name} had no turn")]
    Busy {
        /// Its name.
        name: String,
        /// For which stream.
        source: Busy,
    },
    /// It took longer than its [`TimeLimit`](crate::TimeLimit). Whether it takes effect is not known.
    #[error("the command {name} was not done within {limit:?}")]
    TimedOut {
        /// Its name.
        name: String,
        /// The limit.
        limit: Duration,
    },
    /// Another command was executed with its idempotency key.
    #[error(transparent)]
    KeyReused(KeyReused),
    /// A layer says so.
    #[error("a layer around the command failed")]
    Layer(#[source] BoxError),
    /// The handler refused or failed, or its effects could not be committed.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl ExecuteError {
    /// An error of a [layer](crate::CommandLayer).
    #[must_use]
    pub fn layer(error: impl Into<BoxError>) -> Self {
        Self::Layer(error.into())
    }

    /// Whether it was refused, by the domain, by validation or by an authority: trying again does not help.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        match self {
            Self::Invalid { .. } | Self::Forbidden { .. } => true,
            Self::Run(error) => error.is_rejection(),
            _ => false,
        }
    }

    /// Whether others were faster.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Run(error) if error.is_conflict())
    }

    /// Whether the same call may succeed later: the store can't be reached at present, or too many commands wait.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Run(error) => error.is_transient(),
            _ => false,
        }
    }

    /// In one word, for traces.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::UnknownCommand(_) => "unknown_command",
            Self::Malformed { .. } => "malformed",
            Self::Invalid { .. } => "invalid",
            Self::Forbidden { .. } => "forbidden",
            Self::Busy { .. } => "busy",
            Self::TimedOut { .. } => "timed_out",
            Self::KeyReused(_) => "key_reused",
            Self::Run(RunError::Unknown(_)) => "unknown",
            Self::Run(error) if error.is_rejection() => "rejected",
            Self::Run(error) if error.is_conflict() => "conflict",
            Self::Layer(_) | Self::Run(_) => "failed",
        }
    }
}
