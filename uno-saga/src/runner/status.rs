//! [`SagaRunnerStatus`]: how the handling of outcomes stands.

use std::{
    error::Error,
    sync::{Mutex, PoisonError},
};

/// How the handling of outcomes stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SagaRunnerStatus {
    /// Outcomes that were handled.
    pub outcomes: u64,
    /// Why outcomes, of one instance or of all, can't be handled at present.
    pub failing: Option<String>,
}

/// The status as it is kept. A std mutex, since it is held for a moment and never across an await.
#[derive(Default)]
pub(super) struct Report(Mutex<SagaRunnerStatus>);

impl Report {
    pub(super) fn read(&self) -> SagaRunnerStatus {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut SagaRunnerStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// An error with its causes, on one line.
pub(super) fn error_text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
