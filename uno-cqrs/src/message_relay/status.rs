//! [`RelayStatus`]: what a relay has done, and what waits for it.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

/// What a relay has done since it was made, and what waits for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayStatus {
    /// Messages that were delivered and taken off the queue.
    pub delivered: u64,
    /// Deliveries that failed, and will be tried again.
    pub failed: u64,
    /// Keys whose next delivery is waited with.
    pub resting: usize,
    /// What went wrong last, with its causes.
    pub last_error: Option<String>,
    /// How many messages wait in the queue, from the store.
    pub depth: u64,
    /// Since when the oldest of them waits, by the store's clock: the figure to set an alarm on.
    pub oldest: Option<DateTime<Utc>>,
}

/// The status as it is kept. A std mutex, since it is held for a moment and never across an await.
#[derive(Default)]
pub(super) struct Report(Mutex<RelayStatus>);

impl Report {
    pub(super) fn read(&self) -> RelayStatus {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut RelayStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
