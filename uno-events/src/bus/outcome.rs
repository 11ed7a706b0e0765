//! [`Published`]: what became of an event on the bus.

use std::{fmt, sync::Arc, time::Duration};

use uno_core::EventId;

/// The report of a publish: one outcome for each handler that the event was for, in order of priority, then of
/// subscription.
#[derive(Clone, Debug)]
pub struct Published {
    event: EventId,
    closed: bool,
    names: Arc<[Arc<str>]>,
    /// What became of whoever is not an exception, so that a report which has nothing else to tell costs nothing.
    usual: &'static Verdict,
    /// By the place of the handler.
    exceptions: Vec<(usize, Verdict)>,
}

/// What became of one handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) result: HandlerResult,
    pub(super) attempts: u32,
}

/// Handled at the first attempt.
pub(super) static HANDLED: Verdict = Verdict {
    result: HandlerResult::Handled,
    attempts: 1,
};

/// Taken in, to be handled later.
pub(super) static QUEUED: Verdict = Verdict {
    result: HandlerResult::Queued,
    attempts: 0,
};

impl Published {
    /// `exceptions` are in order of their places.
    pub(super) fn new(
        event: EventId,
        names: Arc<[Arc<str>]>,
        usual: &'static Verdict,
        exceptions: Vec<(usize, Verdict)>,
    ) -> Self {
        Self {
            event,
            closed: false,
            names,
            usual,
            exceptions,
        }
    }

    pub(super) fn refused(event: EventId) -> Self {
        Self {
            event,
            closed: true,
            names: Arc::default(),
            usual: &HANDLED,
            exceptions: Vec::new(),
        }
    }

    /// The event that was published.
    #[must_use]
    pub fn event(&self) -> EventId {
        self.event
    }

    /// Whether the event was refused as a whole, since the bus is closed. Then no handler was called.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.closed
    }

    /// What became of each handler.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes<'_> {
        Outcomes {
            names: self.names.iter().enumerate(),
            usual: self.usual,
            exceptions: &self.exceptions,
        }
    }

    /// The outcomes of those that neither handled it nor took it in to handle it later.
    pub fn failures(&self) -> impl Iterator<Item = HandlerOutcome<'_>> {
        self.outcomes().filter(|outcome| !outcome.is_ok())
    }

    /// Whether every handler has handled the event or has taken it in; also when there was none. Not when the bus is
    /// closed.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        !self.closed && (self.exceptions.is_empty() || self.failures().next().is_none())
    }
}

/// What became of each handler, in order of priority, then of subscription.
#[derive(Clone, Debug)]
pub struct Outcomes<'p> {
    names: std::iter::Enumerate<std::slice::Iter<'p, Arc<str>>>,
    usual: &'static Verdict,
    exceptions: &'p [(usize, Verdict)],
}

impl<'p> Iterator for Outcomes<'p> {
    type Item = HandlerOutcome<'p>;

    fn next(&mut self) -> Option<HandlerOutcome<'p>> {
        let (place, name) = self.names.next()?;
        let verdict = match self.exceptions.split_first() {
            Some(((at, verdict), later)) if *at == place => {
                self.exceptions = later;
                verdict
            }
            _ => self.usual,
        };
        Some(HandlerOutcome { name, verdict })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.names.size_hint()
    }
}

impl ExactSizeIterator for Outcomes<'_> {}

/// What became of one handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerOutcome<'p> {
    name: &'p str,
    verdict: &'p Verdict,
}

impl<'p> HandlerOutcome<'p> {
    /// The handler's name.
    #[must_use]
    pub fn name(&self) -> &'p str {
        self.name
    }

    /// What became of it.
    #[must_use]
    pub fn result(&self) -> &'p HandlerResult {
        &self.verdict.result
    }

    /// How often the handler was called: once, unless one of its layers tries again; never, if the event did not come to
    /// it, or not yet.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.verdict.attempts
    }

    /// Whether it has handled the event, or has taken it in to handle it later.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.verdict.result.is_ok()
    }
}

/// How a call of a handler ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandlerResult {
    /// It has handled the event.
    Handled,
    /// The event is in its queue, and is handled later.
    Queued,
    /// Its queue is full, so it will read the event from the log.
    Spilled,
    /// The event comes to it as soon as earlier events of the same key are handled. It isn't waited for, because the
    /// publisher is a handler itself, and might wait for itself.
    Deferred,
    /// It returned an error: its text, with its causes.
    Failed(Arc<str>),
    /// It panicked: what the panic said.
    Panicked(Arc<str>),
    /// It took longer than this and was dropped.
    TimedOut(Duration),
    /// It was not called, since its circuit breaker is open: it has failed too often in a row, and is left alone for this
    /// much longer.
    CircuitOpen(Duration),
    /// It was not called, since the event can't be decoded as one of its set: why.
    Undecodable(Arc<str>),
    /// Its queue is full. The event is lost to it, and it is told of the gap.
    Dropped,
    /// It was not called, since its group is stopped.
    Stopped,
    /// The event could not be taken in: why.
    Refused(Refusal),
}

/// Why a handler could not take an event in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// Its queue is full, and the publisher is called by the worker that would have to empty it: it would wait for itself.
    WouldWaitForItself,
    /// Earlier events of the same key are being handled, the publisher is a handler itself, and so many events are put off
    /// for that reason that there is no more room.
    KeyBusy,
    /// Its queue is full, and the event is so far behind those that it has had before that reading it from the log would
    /// double others.
    NotInLogOrder,
    /// Its queue is closed.
    Closed,
}

impl HandlerResult {
    fn is_ok(&self) -> bool {
        matches!(
            self,
            Self::Handled | Self::Queued | Self::Spilled | Self::Deferred
        )
    }
}

impl fmt::Display for HandlerResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handled => f.write_str("handled"),
            Self::Queued => f.write_str("queued"),
            Self::Spilled => f.write_str("to be read from the log, since its queue is full"),
            Self::Deferred => f.write_str("deferred until earlier events of its key are handled"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::TimedOut(limit) => write!(f, "did not finish within {limit:?}"),
            Self::CircuitOpen(rest) => write!(f, "not called: its circuit is open for {rest:?}"),
            Self::Undecodable(error) => write!(f, "not called: {error}"),
            Self::Dropped => f.write_str("dropped, since its queue is full"),
            Self::Stopped => f.write_str("not called: its group is stopped"),
            Self::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WouldWaitForItself => "its queue is full, and its own worker would wait for it",
            Self::KeyBusy => "earlier events of its key are being handled, and too many wait",
            Self::NotInLogOrder => "its queue is full, and the event is too far behind the others",
            Self::Closed => "its queue is closed",
        })
    }
}

impl Verdict {
    pub(super) fn once(result: HandlerResult) -> Self {
        Self {
            result,
            attempts: 1,
        }
    }

    pub(super) fn not_called(result: HandlerResult) -> Self {
        Self {
            result,
            attempts: 0,
        }
    }
}
