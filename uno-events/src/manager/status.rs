//! [`SubscriptionStatus`]: what is to be known of a subscription from outside.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use uno_core::{Lane, Position, SubscriptionName};

use crate::{Group, Replay};

/// A subscription as it is now.
#[derive(Clone, Debug)]
pub struct SubscriptionStatus {
    pub(super) name: SubscriptionName,
    pub(super) group: Group,
    pub(super) replay: Replay,
    pub(super) state: SubscriptionState,
    pub(super) checkpoint: Option<Position>,
    pub(super) position: Position,
    pub(super) head: Option<Position>,
    pub(super) lag_events: Option<u64>,
    pub(super) lag: Option<Duration>,
    pub(super) parked: Option<u64>,
    pub(super) lanes: Vec<LaneStatus>,
    pub(super) counts: SubscriptionCounts,
    pub(super) last_error: Option<Arc<str>>,
}

impl SubscriptionStatus {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &SubscriptionName {
        &self.name
    }

    /// The group it belongs to.
    #[must_use]
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Whether it may be replayed.
    #[must_use]
    pub fn replay(&self) -> Replay {
        self.replay
    }

    /// What it is doing, or why it is not.
    #[must_use]
    pub fn state(&self) -> &SubscriptionState {
        &self.state
    }

    /// The saved checkpoint of the lane that is furthest behind: where it would go on after a crash. `None` when it was never saved.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Position> {
        self.checkpoint
    }

    /// Up to where the log has been handled or passed over, by every lane. At or beyond the checkpoint, since events that do not fit the
    /// filter are passed over without saving each time.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The end of the log; `None` when the store could not be asked.
    #[must_use]
    pub fn head(&self) -> Option<Position> {
        self.head
    }

    /// How many events of the log it is behind, at most: positions may have holes where an append failed. `None` when the
    /// store could not be asked for the end of the log, or for where lanes are that are not run here.
    #[must_use]
    pub fn lag_events(&self) -> Option<u64> {
        self.lag_events
    }

    /// How long the oldest event that it has not come to has been in the store; zero when there is none, `None` when that can't be
    /// known, as with [`lag_events`](Self::lag_events).
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        self.lag
    }

    /// How many events are parked; `None` when the store could not be asked.
    #[must_use]
    pub fn parked(&self) -> Option<u64> {
        self.parked
    }

    /// Its lanes, in order, wherever they are run; none before it was first started.
    #[must_use]
    pub fn lanes(&self) -> &[LaneStatus] {
        &self.lanes
    }

    /// What it has done in this process since it was subscribed.
    #[must_use]
    pub fn counts(&self) -> SubscriptionCounts {
        self.counts
    }

    /// What went wrong last, with its causes, even if it was overcome since.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }
}

/// A lane as it is now.
#[derive(Clone, Debug)]
pub struct LaneStatus {
    pub(super) lane: Lane,
    pub(super) holder: Option<Arc<str>>,
    pub(super) here: bool,
    pub(super) checkpoint: Option<Position>,
    pub(super) position: Position,
}

impl LaneStatus {
    /// Which lane.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// The [name](super::SubscriptionManagerBuilder::instance) of the process that has it on lease, or had it last without giving it back.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        self.holder.as_deref()
    }

    /// Whether that is this manager.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.here
    }

    /// Its saved checkpoint; `None` when it was never saved.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Position> {
        self.checkpoint
    }

    /// Up to where it has handled or passed over the log: if it is not run here, as far as that is saved.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }
}

/// What a subscription has done since it was subscribed to this manager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionCounts {
    pub(super) handled: u64,
    pub(super) failed: u64,
    pub(super) retried: u64,
    pub(super) parked: u64,
}

impl SubscriptionCounts {
    /// Events that were handled and checkpointed.
    #[must_use]
    pub fn handled(&self) -> u64 {
        self.handled
    }

    /// Attempts that failed, of whole batches as of single events.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Events that were parked here, those behind others included.
    #[must_use]
    pub fn parked(&self) -> u64 {
        self.parked
    }

    /// Attempts that were made again after a wait.
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.retried
    }
}

/// What a subscription is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscriptionState {
    /// It looks for its checkpoint.
    Starting,
    /// It handles events.
    Running,
    /// It has handled everything and waits for more.
    CaughtUp,
    /// It was paused.
    Paused,
    /// Another process has all its lanes on lease. It takes them over when that one ends.
    Standby {
        /// The name of that process, or of the one that has the first lane.
        holder: Arc<str>,
    },
    /// The leases of the lanes that it runs have run out, and could not be renewed: it hands out nothing, and others may have taken
    /// the lanes. As a rule the store is away.
    Unheld {
        /// When they were renewed last, by the manager's clock.
        renewed: DateTime<Utc>,
        /// What the store says, with its causes; `None` as long as it does not answer at all.
        error: Option<Arc<str>>,
    },
    /// Something failed, and it waits before it tries again.
    Retrying {
        /// How many attempts have failed in a row.
        attempt: u32,
        /// What went wrong, with its causes.
        error: Arc<str>,
    },
    /// It does nothing until it is started.
    Stopped {
        /// Why.
        why: StopReason,
        /// How far it has come.
        position: Position,
    },
}

impl SubscriptionState {
    /// Whether it does nothing until it is started.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped { .. })
    }

    /// Why it has stopped, when it stopped because of a failure.
    #[must_use]
    pub fn failure(&self) -> Option<&StopReason> {
        match self {
            Self::Stopped { why, .. } if why.is_failure() => Some(why),
            _ => None,
        }
    }
}

impl fmt::Display for SubscriptionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Running => f.write_str("running"),
            Self::CaughtUp => f.write_str("caught up"),
            Self::Paused => f.write_str("paused"),
            Self::Standby { holder } => write!(f, "standing by for {holder}"),
            Self::Unheld { renewed, error } => {
                let error = error.as_deref().unwrap_or("the store does not answer");
                write!(
                    f,
                    "not holding its lanes, last renewed at {renewed}: {error}"
                )
            }
            Self::Retrying { attempt, error } => {
                write!(f, "retrying after {attempt} failed attempts: {error}")
            }
            Self::Stopped { why, position } => write!(f, "stopped at position {position}: {why}"),
        }
    }
}

/// Why a subscription has stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// It was never started here.
    NotStarted,
    /// It was asked to.
    Requested,
    /// An event could not be handled, and its retries are used up. The checkpoint is before it.
    Failed {
        /// Which event.
        position: Position,
        /// How often it was tried.
        attempts: u32,
        /// What went wrong last, with its causes.
        error: Arc<str>,
    },
    /// An event can't be decoded. The checkpoint is before it.
    Undecodable {
        /// Which event.
        position: Position,
        /// What is wrong with it, with its causes.
        error: Arc<str>,
    },
    /// An event could not be handled, and as many events are parked as may be. The checkpoint is before it.
    TooManyParked {
        /// Which event.
        position: Position,
        /// How many may be parked.
        limit: u64,
        /// Why it could not be handled, or that it comes behind one that could not.
        error: Arc<str>,
    },
    /// The log is not the one that the checkpoint belongs to: a backup was restored, or the wrong store is connected.
    LogDiverged {
        /// Where the checkpoint is.
        checkpoint: Position,
        /// In what the log differs.
        what: Arc<str>,
    },
    /// The store failed in a way that trying again does not help.
    Store {
        /// What it said, with its causes.
        error: Arc<str>,
    },
    /// Code outside the consumer panicked, such as the store's.
    Panicked {
        /// What the panic said.
        message: Arc<str>,
    },
}

impl StopReason {
    /// Whether it is a fault, and not somebody's wish.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::NotStarted | Self::Requested)
    }

    /// The kind of reason in a word, for telemetry: without texts of errors, which may hold secrets.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Requested => "requested",
            Self::Failed { .. } => "failed",
            Self::Undecodable { .. } => "undecodable",
            Self::TooManyParked { .. } => "too_many_parked",
            Self::LogDiverged { .. } => "log_diverged",
            Self::Store { .. } => "store",
            Self::Panicked { .. } => "panicked",
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => f.write_str("it was not started"),
            Self::Requested => f.write_str("it was asked to stop"),
            Self::Failed {
                position,
                attempts,
                error,
            } => {
                write!(
                    f,
                    "the event at position {position} failed {attempts} times: {error}"
                )
            }
            Self::Undecodable { position, error } => write!(
                f,
                "the event at position {position} can't be decoded: {error}"
            ),
            Self::TooManyParked {
                position,
                limit,
                error,
            } => write!(
                f,
                "the event at position {position} can't be parked, because {limit} are parked already: {error}"
            ),
            Self::LogDiverged { checkpoint, what } => {
                write!(
                    f,
                    "the log is not the one that its checkpoint at position {checkpoint} belongs to: {what}"
                )
            }
            Self::Store { error } => write!(f, "the store failed: {error}"),
            Self::Panicked { message } => write!(f, "a panic: {message}"),
        }
    }
}
