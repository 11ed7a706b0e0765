//! [`Trouble`]: what went wrong in a row, and what follows from it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use uno_core::{AppendError, CommitError, DecodeError, LaneLease, Position, Stale};

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
    /// So many events are suspected of having killed a process that had the lane before.
    suspects: usize,
    /// Whether that death is the attempt of a suspect that kills again, since nobody noted one.
    presumed: bool,
    /// Whether the lane's row says so, for those who come next.
    presumed_in_row: bool,
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
    /// Whether it can't be decoded, so that trying again does not help.
    pub(super) undecodable: bool,
    /// Whether its last attempt has killed the process, as far as one can know.
    pub(super) deadly: bool,
}

/// What is written down before an event is tried, or when there is something else to say of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) position: Position,
    pub(super) attempt: u32,
    /// Whether an event behind it may be the one that killed a process.
    pub(super) leaves_suspects: bool,
}

impl Fault {
    /// Whether it is not to be tried again.
    pub(super) fn is_final(&self, policy: &RetryPolicy) -> bool {
        self.undecodable || !policy.allows(self.attempts)
    }

    pub(super) fn stop_reason(&self) -> StopReason {
        let Self {
            position,
            attempts,
            ref error,
            undecodable,
            ..
        } = *self;
        if undecodable {
            let error = Arc::clone(error);
            return StopReason::Undecodable { position, error };
        }
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

    /// What is to be known of the one that had the lane before; `unheard`: that it may have died, since nobody heard.
    pub(super) fn inherited(lease: &LaneLease, unheard: bool, batch_size: usize) -> Self {
        let (abandoned, presumed) = (lease.was_abandoned(), lease.has_unexplained_end());
        let noted = lease.attempt().filter(|(_, attempts)| *attempts > 0);
        Self {
            fault: noted.map(|(position, attempts)| Fault {
                position,
                attempts,
                retry_at: Instant::now(),
                error: if abandoned {
                    "the process that handled it ended before it was done".into()
                } else {
                    "the process that tried it has given its lane back".into()
                },
                undecodable: false,
                deadly: abandoned,
            }),
            // They are those of one batch from here on: the checkpoint may have come a part of the way since that death.
            suspects: if abandoned || unheard || presumed {
                batch_size
            } else {
                0
            },
            presumed,
            presumed_in_row: presumed,
            ..Self::default()
        }
    }

    /// Whether the events after `position` are to be fed one at a time.
    pub(super) fn is_singly(&self, position: Position) -> bool {
        self.fault.is_some()
            || self.suspects > 0
            || self.singly_until.is_some_and(|until| position < until)
    }

    /// Whether an event that is about to be tried may be the one that killed a process.
    pub(super) fn is_deadly(&self) -> bool {
        self.suspects > 0
    }

    /// What is to be noted before an event is tried by itself: since a batch with it has failed, a process has died, or one behind it has
    /// failed. So nothing is in hand unnoted while an attempt is told of the lane, and a death is that attempt's, if it is an event's.
    pub(super) fn attempt_to_note(&self, position: Position) -> Option<Note> {
        let attempt = match self.fault_at(position) {
            Some(failed) => failed.attempts.saturating_add(1),
            None if self.suspects > 0 => 1 + u32::from(self.presumed),
            None if self.fault.is_some() => 1,
            None if self.singly_until.is_some_and(|until| position <= until) => 1,
            None => return None,
        };
        Some(Note {
            position,
            attempt,
            // With the last of them gone there is nobody left to suspect, also when nobody comes to say so.
            leaves_suspects: self.presumed && self.suspects > 1,
        })
    }

    /// What is to be noted so that those who come next presume no death that this one knows not to be their events'.
    pub(super) fn acquittal_to_note(&self) -> Option<Note> {
        (self.presumed_in_row && !self.presumed).then(|| self.note_to_hand_on())
    }

    /// What is known of attempts, for those who come next.
    pub(super) fn note_to_hand_on(&self) -> Note {
        let (position, attempt) = match &self.fault {
            Some(fault) => (fault.position, fault.attempts),
            // Of no event.
            None => (Position::START, 0),
        };
        Note {
            position,
            attempt,
            leaves_suspects: self.presumed,
        }
    }

    /// That was noted.
    pub(super) fn noted(&mut self, note: Note) {
        self.presumed_in_row &= note.leaves_suspects;
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

    /// The event that fails, if one does.
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// What is known to fail at this position.
    pub(super) fn fault_at(&self, position: Position) -> Option<Fault> {
        self.fault
            .clone()
            .filter(|fault| fault.position == position)
    }

    /// An attempt at this event has failed.
    pub(super) fn failed_at(
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
            undecodable: false,
            deadly: false,
        };
        self.fault = Some(fault.clone());
        fault
    }

    /// This event can't be decoded.
    pub(super) fn undecodable(&mut self, position: Position, error: Arc<str>) -> Fault {
        let fault = Fault {
            position,
            attempts: 1,
            retry_at: Instant::now(),
            error,
            undecodable: true,
            deadly: false,
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
        // Whatever the one before had in hand is handled.
        self.suspects = 0;
        self.presumed = false;
        self.transient = 0;
    }

    /// An event was set aside, or stopped before. If it killed processes to the last, it has killed the one whose death was presumed,
    /// too: had that been an event behind it, this one would have been handled before.
    pub(super) fn given_up(&mut self, fault: &Fault) {
        self.presumed &= !fault.deadly;
    }

    /// Everything up to there is handled or set aside, and so many events with it.
    pub(super) fn passed(&mut self, position: Position, events: usize) {
        self.suspects = self.suspects.saturating_sub(events);
        self.presumed &= self.suspects > 0;
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
    /// Another process has the lane.
    Lost(ConsumeError),
    /// Try again soon: somebody else has appended to the same stream.
    Conflict(ConsumeError),
    /// Try again for as long as it takes.
    Transient(ConsumeError),
    /// Leave the consumer alone for so long, then try the same again. The event was not tried.
    NotNow { rest: Duration, error: String },
    /// Set the event aside, or stop before it.
    Decode(DecodeError),
    /// Stop before the event.
    Stop { position: Position, error: String },
    /// Try the event again, then set it aside or stop before it.
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
            Self::Stale(error)
            | Self::Lost(error)
            | Self::Conflict(error)
            | Self::Transient(error) => error_text(error),
            Self::Decode(error) => error_text(error),
            Self::Event { error, .. } | Self::Stop { error, .. } | Self::NotNow { error, .. } => {
                error.clone()
            }
        }
    }
}

impl From<ConsumeError> for Failure {
    fn from(error: ConsumeError) -> Self {
        match error {
            ConsumeError::Stale(Stale::Lease { .. }) => Self::Lost(error),
            ConsumeError::Stale(_) => Self::Stale(error),
            ConsumeError::Decode(error) => Self::Decode(error),
            ConsumeError::NotNow { rest, source, .. } => Self::NotNow {
                rest,
                error: error_text(&*source),
            },
            ConsumeError::Stop { position, source } => Self::Stop {
                position,
                error: error_text(&*source),
            },
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
