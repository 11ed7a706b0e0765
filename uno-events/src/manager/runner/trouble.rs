//! [`Trouble`]: what went wrong in a row, and what follows from it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use uno_core::{AppendError, CommitError, DecodeError, Position};

use crate::{
    ConsumeError, RetryPolicy, StopReason,
    guard::{Interrupted, error_text},
};

/// What a runner remembers of failures until it is past them.
#[derive(Default)]
pub(super) struct Trouble {
    /// The event that fails. Everything before it is handled or being handled one by one.
    fault: Option<Fault>,
    /// Up to here events are fed one at a time, to find the one at fault.
    singly_until: Option<Position>,
    /// The events of the batch that failed, until the checkpoint tells which of them were handled.
    in_doubt: Vec<Position>,
    stale: u32,
    conflicts: u32,
    transient: u32,
    store: u32,
}

/// An event that could not be handled.
#[derive(Clone)]
pub(super) struct Fault {
    pub(super) position: Position,
    pub(super) attempts: u32,
    pub(super) retry_at: Instant,
    pub(super) error: Arc<str>,
}

impl Fault {
    pub(super) fn stop_reason(&self) -> StopReason {
        let Self {
            position,
            attempts,
            ref error,
            ..
        } = *self;
        StopReason::Failed {
            position,
            attempts,
            error: Arc::clone(error),
        }
    }
}

impl Trouble {
    /// How many conflicts in a row are taken for chance. More are a consumer that runs into itself.
    const CONFLICTS: u32 = 10;

    /// Whether the events after `position` are to be fed one at a time.
    pub(super) fn is_singly(&self, position: Position) -> bool {
        self.fault.is_some() || self.singly_until.is_some_and(|until| position < until)
    }

    /// Feeds one at a time up to there.
    pub(super) fn go_singly(&mut self, until: Position) {
        self.singly_until = self.singly_until.max(Some(until));
    }

    /// It is not known which of these were handled.
    pub(super) fn in_doubt(&mut self, events: Vec<Position>) {
        self.in_doubt = events;
    }

    /// How many of those in doubt were handled, the checkpoint being there.
    pub(super) fn settle(&mut self, checkpoint: Position) -> usize {
        std::mem::take(&mut self.in_doubt)
            .into_iter()
            .filter(|event| *event <= checkpoint)
            .count()
    }

    /// What is known to fail at this position.
    pub(super) fn fault_at(&self, position: Position) -> Option<Fault> {
        self.fault
            .clone()
            .filter(|fault| fault.position == position)
    }

    /// An attempt at this event has failed.
    pub(super) fn fault(
        &mut self,
        position: Position,
        error: Arc<str>,
        policy: &RetryPolicy,
    ) -> Fault {
        let before = self.fault_at(position).map_or(0, |fault| fault.attempts);
        let attempts = before + 1;
        let fault = Fault {
            position,
            attempts,
            retry_at: Instant::now() + policy.wait(attempts),
            error,
        };
        self.fault = Some(fault.clone());
        fault
    }

    /// The checkpoint was taken from somebody else's hands: how long to wait before taking it up again, so that two who
    /// share a subscription do not keep running into one another.
    pub(super) fn stale(&mut self, longest: Duration) -> Duration {
        self.stale = self.stale.saturating_add(1);
        RetryPolicy::new()
            .base(Duration::from_millis(5))
            .longest(longest)
            .wait(self.stale)
    }

    /// A commit ran into another one. Whether that may be chance: a few times in a row.
    pub(super) fn conflict(&mut self) -> bool {
        self.conflicts = self.conflicts.saturating_add(1);
        self.conflicts <= Self::CONFLICTS
    }

    /// Something failed that may go away by itself; how often in a row.
    pub(super) fn transient(&mut self) -> u32 {
        self.transient = self.transient.saturating_add(1);
        self.transient
    }

    /// The store could not be read; how often in a row.
    pub(super) fn store_failed(&mut self) -> u32 {
        self.store = self.store.saturating_add(1);
        self.store
    }

    /// The store could be read.
    pub(super) fn read(&mut self) {
        self.store = 0;
    }

    /// There is nothing left to do.
    pub(super) fn caught_up(&mut self) {
        self.transient = 0;
    }

    /// Everything up to there is handled.
    pub(super) fn passed(&mut self, position: Position) {
        self.fault = self.fault.take().filter(|fault| fault.position > position);
        self.stale = 0;
        self.conflicts = 0;
        self.transient = 0;
    }
}

/// Why a batch was not handled, by what is to be done about it.
pub(super) enum Failure {
    /// Read the checkpoint again.
    Stale(ConsumeError),
    /// Try again soon: somebody else has appended to the same stream.
    Conflict(ConsumeError),
    /// Try again for as long as it takes.
    Transient(ConsumeError),
    /// Stop before the event.
    Decode(DecodeError),
    /// Try the event again, then stop before it.
    Event {
        /// Which one, if that is known.
        position: Option<Position>,
        error: String,
    },
}

impl Failure {
    /// What went wrong, with its causes.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Stale(error) | Self::Conflict(error) | Self::Transient(error) => {
                error_text(error)
            }
            Self::Decode(error) => error_text(error),
            Self::Event { error, .. } => error.clone(),
        }
    }
}

impl From<ConsumeError> for Failure {
    fn from(error: ConsumeError) -> Self {
        match error {
            ConsumeError::Stale(_) => Self::Stale(error),
            ConsumeError::Decode(error) => Self::Decode(error),
            // The position is in the reason already, so its text begins with what the handler said.
            ConsumeError::Handler { position, source } => Self::Event {
                position: Some(position),
                error: error_text(&*source),
            },
            ConsumeError::Commit(ref commit) if commit.is_conflict() => Self::Conflict(error),
            // Whether an unknown commit took effect shows in the checkpoint, once the store answers again.
            ConsumeError::Commit(CommitError::Append(AppendError::Unknown(_))) => {
                Self::Transient(error)
            }
            ConsumeError::Store(_) | ConsumeError::Commit(_) if error.is_transient() => {
                Self::Transient(error)
            }
            ConsumeError::Store(_) | ConsumeError::Commit(_) => Self::Event {
                position: None,
                error: error_text(&error),
            },
        }
    }
}

impl From<Interrupted> for Failure {
    fn from(interrupted: Interrupted) -> Self {
        Self::Event {
            position: None,
            error: interrupted.to_string(),
        }
    }
}
