//! [`DefinitionError`]: what is wrong with a saga before it runs.

use uno_core::RegistrationError;

use crate::StepsError;

/// What is wrong with the definition of a saga.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// An event has a name that can't be stored, or old versions of it can't be read.
    #[error(transparent)]
    Events(#[from] RegistrationError),
    /// Its steps can't be run.
    #[error(transparent)]
    Steps(#[from] StepsError),
}
