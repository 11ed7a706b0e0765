//! [`DefinitionError`]: what is wrong with a saga before it runs.

use uno_core::NameError;

use crate::StepsError;

/// What is wrong with the definition of a saga.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// An event has a name that can't be stored.
    #[error(transparent)]
    EventName(#[from] NameError),
    /// Its steps can't be run.
    #[error(transparent)]
    Steps(#[from] StepsError),
}
