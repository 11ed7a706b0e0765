//! Errors of building, starting, waiting for and stopping an application.

use uno_core::{RegistrationError, StoreError, SubscriptionName, SubscriptionNameError};
use uno_cqrs::RegisterError;

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
}
