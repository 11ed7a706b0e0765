//! [`WorkerStatus`]: what a worker has done.

use std::sync::{Mutex, PoisonError};

/// What a worker has done since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Commands whose effects it saw committed.
    pub succeeded: u64,
    /// Commands that the domain refused.
    pub rejected: u64,
    /// Commands that failed until their retries were used up.
    pub gave_up: u64,
    /// Failed attempts that were followed by another.
    pub retried: u64,
    /// What went wrong last, with its causes.
    pub last_error: Option<String>,
}

/// The status as it is kept. A std mutex, since it is held for a moment and never across an await.
#[derive(Debug, Default)]
pub(super) struct Report(Mutex<WorkerStatus>);

impl Report {
    pub(super) fn read(&self) -> WorkerStatus {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut WorkerStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
