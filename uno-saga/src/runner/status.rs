//! [`SagaRunnerStatus`] and [`SagaCounts`]: how a saga stands.

use std::{
    error::Error,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};

/// What a runner has done since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SagaRunnerStatus {
    /// Outcomes that were handled.
    pub outcomes: u64,
    /// Why outcomes, of one instance or of all, can't be handled at present.
    pub failing: Option<String>,
    /// Timers that were handled.
    pub timers: u64,
    /// Why timers, of one instance or of all, can't be handled at present.
    pub timers_failing: Option<String>,
    /// Inputs that were parked, those behind others included.
    pub parked: u64,
    /// Events for missing instances that were discarded, by [`Missing::Discard`](crate::Missing::Discard).
    pub discarded: u64,
}

/// How many of a saga's instances wait for a person, from the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SagaCounts {
    /// Instances that are parked; at most [`MOST`](Self::MOST) are counted.
    pub parked: usize,
    /// Inputs that are parked.
    pub parked_inputs: u64,
    /// Since when the oldest of them is.
    pub parked_since: Option<DateTime<Utc>>,
    /// Instances that are stuck; at most [`MOST`](Self::MOST) are counted.
    pub stuck: usize,
    /// Commands that wait to be carried out.
    pub commands: u64,
    /// Since when the oldest of them waits.
    pub commands_since: Option<DateTime<Utc>>,
}

impl SagaCounts {
    /// Up to how many instances are counted, so that the counts stay cheap.
    pub const MOST: usize = 1000;
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
