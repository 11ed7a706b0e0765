//! [`CallError`]: why a handler did not come to its end.

use std::{error::Error, time::Duration};

use crate::guard::Interrupted;

/// Why a handler did not come to its end, or was not called at all, as its layers tell it.
///
/// It is inside of the `BoxError` that a call gives; [`CallError::of`] finds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// It panicked: what the panic said.
    #[error("panicked: {0}")]
    Panicked(String),
    /// It took longer than this and was dropped.
    #[error("did not finish within {0:?}")]
    TimedOut(Duration),
    /// It was not called, since it has failed too often in a row. It is called again after this time at the earliest.
    #[error("not called: the circuit is open for another {0:?}")]
    CircuitOpen(Duration),
}

impl CallError {
    /// What an error says of the call, if it is one of these.
    #[must_use]
    pub fn of<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Self> {
        error.downcast_ref()
    }
}

impl From<Interrupted> for CallError {
    fn from(interrupted: Interrupted) -> Self {
        match interrupted {
            Interrupted::Panicked(message) => Self::Panicked(message),
            Interrupted::TimedOut(limit) => Self::TimedOut(limit),
        }
    }
}
