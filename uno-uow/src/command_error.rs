//! [`CommandError`]: refused, or failed.

use std::error::Error;

use uno_core::{
    AppendError, BoxError, CommitError, DecodeError, ReadEventsError, StoreError, StreamIdError,
};

use crate::{LoadError, SavepointError, StagingError};

/// Marks an error of the domain: a reason to refuse a command, which trying again does not change.
///
/// It lets handlers use `?` on decisions and on loading alike, with the difference kept:
///
/// ```
/// use uno_uow::{CommandError, DomainError};
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("an empty order can't be placed")]
/// struct EmptyOrder;
/// impl DomainError for EmptyOrder {}
///
/// fn place() -> Result<(), CommandError> {
///     Err(EmptyOrder)?
/// }
/// let error = place().unwrap_err();
/// assert!(error.is_rejection());
/// assert_eq!(error.to_string(), "an empty order can't be placed");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not marked as an error of the domain",
    note = "`impl DomainError for {Self} {{}}` makes `?` turn it into a rejection of the command"
)]
pub trait DomainError: Error + Send + Sync + 'static {}

/// Why a command had no effect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The domain refused it. Trying again does not help.
    #[error(transparent)]
    Rejected(BoxError),
    /// Something else went wrong. Trying again may help.
    #[error("the command failed")]
    Failed(#[source] BoxError),
}

impl CommandError {
    /// A refusal in words.
    #[must_use]
    pub fn rejected(reason: impl Into<String>) -> Self {
        Self::Rejected(reason.into().into())
    }

    /// Anything that is no refusal.
    #[must_use]
    pub fn failed(error: impl Into<BoxError>) -> Self {
        Self::Failed(error.into())
    }

    /// Whether the domain refused.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }

    /// The failure of a store that is behind it, if that is why it failed.
    #[must_use]
    pub fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Rejected(_) => None,
            Self::Failed(error) => store_error(error.as_ref()),
        }
    }
}

/// The failure of a store among an error and its causes.
pub(crate) fn store_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e StoreError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<StoreError>() {
            return Some(error);
        }
        // These show what they wrap as themselves, so it is not among their causes.
        if let Some(LoadError::Store(error)) = error.downcast_ref::<LoadError>() {
            return Some(error);
        }
        if let Some(SavepointError::Load(LoadError::Store(error))) =
            error.downcast_ref::<SavepointError>()
        {
            return Some(error);
        }
        if let Some(ReadEventsError::Store(error)) = error.downcast_ref::<ReadEventsError>() {
            return Some(error);
        }
        if let Some(AppendError::Store(error)) = error.downcast_ref::<AppendError>() {
            return Some(error);
        }
        if let Some(CommitError::Append(AppendError::Store(error))) =
            error.downcast_ref::<CommitError>()
        {
            return Some(error);
        }
        next = error.source();
    }
    None
}

impl<E: DomainError> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self::Rejected(Box::new(error))
    }
}

impl From<LoadError> for CommandError {
    fn from(error: LoadError) -> Self {
        // That something does not exist, or can't, is a fact about the domain; that it can't be read is not.
        match error {
            LoadError::NotFound(_) | LoadError::Id(_) => Self::Rejected(Box::new(error)),
            _ => Self::Failed(Box::new(error)),
        }
    }
}

impl From<StreamIdError> for CommandError {
    fn from(error: StreamIdError) -> Self {
        Self::Rejected(Box::new(error))
    }
}

macro_rules! failures {
    ($($error:ty),+) => {$(
        impl From<$error> for CommandError {
            fn from(error: $error) -> Self {
                Self::Failed(Box::new(error))
            }
        }
    )+};
}

failures!(
    StagingError,
    SavepointError,
    StoreError,
    DecodeError,
    ReadEventsError,
    AppendError,
    CommitError
);

#[cfg(test)]
mod tests {
    use super::*;

    fn down() -> StoreError {
        StoreError::Unavailable {
            location: "here".to_owned(),
            source: "no".into(),
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("while looking")]
    struct Wrapped(#[source] LoadError);

    #[test]
    fn the_failure_of_a_store_is_found_behind_whatever_wraps_it() {
        let found = [
            CommandError::from(down()),
            LoadError::Store(down()).into(),
            SavepointError::Load(LoadError::Store(down())).into(),
            ReadEventsError::Store(down()).into(),
            AppendError::Store(down()).into(),
            CommitError::from(down()).into(),
            CommandError::failed(Wrapped(LoadError::Store(down()))),
            CommandError::failed(CommitError::Work(Box::new(down()))),
        ];
        for error in found {
            assert!(
                error.store_error().is_some_and(StoreError::is_transient),
                "{error:?}"
            );
        }
        assert!(CommandError::failed("of itself").store_error().is_none());
        assert!(CommandError::rejected("no").store_error().is_none());
    }

    #[test]
    fn what_can_not_exist_is_refused_and_what_can_not_be_read_fails() {
        let id = uno_core::StreamId::new("order", "").unwrap_err();
        assert!(CommandError::from(LoadError::Id(id.clone())).is_rejection());
        assert!(CommandError::from(id).is_rejection());
        let stream = uno_core::StreamId::new("order", "7").unwrap();
        assert!(CommandError::from(LoadError::NotFound(stream.clone())).is_rejection());
        assert!(!CommandError::from(LoadError::InUse(stream)).is_rejection());
        assert!(!CommandError::from(down()).is_rejection());
    }

    #[test]
    fn a_refusal_says_its_reason_once() {
        let error = CommandError::rejected("too late");
        assert_eq!(error.to_string(), "too late");
        assert!(error.source().is_none());
    }
}
