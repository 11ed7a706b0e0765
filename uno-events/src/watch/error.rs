//! [`WatchError`]: why a live feed has no event to give.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinError;
use uno_core::{DecodeError, Position, RegistrationError, StoreError};

use crate::guard::panic_text;

/// Why a live feed could not be opened, or gives an error in place of an event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// The log does not have the place that the feed was to begin at: the store was restored, or the place is from another one.
    #[error("the log does not have position {position}, where the feed was to begin: {what}")]
    LogDiverged {
        /// The place.
        position: Position,
        /// In what it differs.
        what: Arc<str>,
    },
    /// The store could not be read and will be asked again: the next item comes when that succeeds. Given only when
    /// [`report_outages`](super::WatchOptions::report_outages) was chosen.
    #[error("attempt {attempt} to read the log failed; the next one is due in {retry_in:?}")]
    Outage {
        /// How many attempts in a row have failed.
        attempt: u32,
        /// How long the next one waits.
        retry_in: Duration,
        /// What the store said.
        source: StoreError,
    },
    /// The store can't be read, and waiting does not help: the feed can't be opened, or has ended.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This event can't be decoded. The next item is the one after it.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Old versions of an event that the feed is of can't be read: it can't be opened.
    #[error(transparent)]
    Events(#[from] RegistrationError),
    /// The store panicked, or the runtime is shutting down. The feed has ended.
    #[error("the feed was interrupted: {why}")]
    Interrupted {
        /// What the panic said.
        why: Arc<str>,
    },
}

impl WatchError {
    /// Whether the feed goes on after this error.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        matches!(self, Self::Outage { .. } | Self::Decode(_))
    }

    pub(super) fn diverged(position: Position, what: impl Into<Arc<str>>) -> Self {
        Self::LogDiverged {
            position,
            what: what.into(),
        }
    }

    pub(super) fn interrupted(error: JoinError) -> Self {
        let why = match error.try_into_panic() {
            Ok(panic) => panic_text(&*panic).into(),
            Err(_) => "the runtime is shutting down".into(),
        };
        Self::Interrupted { why }
    }
}
