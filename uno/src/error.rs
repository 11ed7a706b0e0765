//! Errors of building, starting, waiting for and stopping an application.

use uno_core::{RegistrationError, StoreError, SubscriptionName, SubscriptionNameError};
use uno_cqrs::{ReadModelError, RebuildError, RegisterError};
use uno_events::WaitError;

/// What is wrong with what an application is made of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A command or query has two handlers.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// A name that can't name a subscription.
    #[error(transparent)]
    SubscriptionName(#[from] SubscriptionNameError),
    /// Two subscriptions, read models or sagas have the same name.
    #[error("two subscriptions are named {0}")]
    DuplicateSubscription(SubscriptionName),
    /// Two aggregates have the same category, so their streams would be one another's.
    #[error("two aggregates have the category {0}")]
    DuplicateAggregate(String),
    /// An event whose name can't be stored, or old versions of which can't be read.
    #[error(transparent)]
    Events(#[from] RegistrationError),
    /// A projection can't be a read model.
    #[error(transparent)]
    ReadModel(ReadModelError),
    /// The definition of a saga can't be run.
    #[cfg(feature = "saga")]
    #[error("the saga {saga} can't be run")]
    Saga {
        /// The saga.
        saga: &'static str,
        /// What is wrong with it.
        source: uno_saga::DefinitionError,
    },
    /// A saga sends a command that nobody handles.
    #[error("the saga {saga} sends the command {command}, which has no handler")]
    UnhandledCommand {
        /// The saga.
        saga: &'static str,
        /// The command.
        command: &'static str,
    },
}

#[cfg(feature = "saga")]
impl BuildError {
    pub(crate) fn of_saga(saga: &'static str, error: uno_saga::DefinitionError) -> Self {
        match error {
            uno_saga::DefinitionError::Events(error) => Self::Events(error),
            source => Self::Saga { saga, source },
        }
    }
}

/// Why an application does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store can't be used; not migrated, perhaps.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A subscription can't be started.
    #[error("the subscriptions can't be started")]
    Subscriptions(#[source] uno_core::BoxError),
    /// A read model can't be fed.
    #[error("the read model {name} can't be started")]
    ReadModel {
        /// Which.
        name: &'static str,
        /// Why.
        source: RebuildError,
    },
}

/// Why a read model or handler was not awaited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AwaitError {
    /// It did not come there in time, has stopped, or reads another log.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// It is not known which generation of the read model serves.
    #[error("it is not known what to wait for")]
    ReadModel(#[source] RebuildError),
}

impl AwaitError {
    /// Whether it did not come there in time. It may still.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Wait(WaitError::TimedOut { .. }))
    }

    pub(crate) fn of_read_model(error: RebuildError) -> Self {
        match error {
            RebuildError::Wait(error) => Self::Wait(error),
            other => Self::ReadModel(other),
        }
    }
}
