//! [`Published`]: what became of an event on the bus.

use std::{fmt, sync::Arc, time::Duration};

use uno_core::EventId;

/// The report of a publish: one outcome for each handler that was called, in order of priority, then of subscription.
#[derive(Clone, Debug)]
pub struct Published {
    event: EventId,
    outcomes: Vec<HandlerOutcome>,
}

impl Published {
    pub(super) fn new(event: EventId, outcomes: Vec<HandlerOutcome>) -> Self {
        Self { event, outcomes }
    }

    /// The event that was published.
    #[must_use]
    pub fn event(&self) -> EventId {
        self.event
    }

    /// What became of each handler.
    #[must_use]
    pub fn outcomes(&self) -> &[HandlerOutcome] {
        &self.outcomes
    }

    /// The outcomes of those that did not handle it.
    pub fn failures(&self) -> impl Iterator<Item = &HandlerOutcome> {
        self.outcomes.iter().filter(|outcome| !outcome.is_ok())
    }

    /// Whether every handler has handled it; also when there was none.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.failures().next().is_none()
    }
}

/// What became of one handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerOutcome {
    name: Arc<str>,
    result: HandlerResult,
}

impl HandlerOutcome {
    pub(super) fn new(name: Arc<str>, result: HandlerResult) -> Self {
        Self { name, result }
    }

    /// The handler's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What became of it.
    #[must_use]
    pub fn result(&self) -> &HandlerResult {
        &self.result
    }

    /// Whether it has handled the event.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.result == HandlerResult::Handled
    }
}

/// How a call of a handler ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandlerResult {
    /// It has handled the event.
    Handled,
    /// It returned an error: its text, with its causes.
    Failed(Arc<str>),
    /// It panicked: what the panic said.
    Panicked(Arc<str>),
    /// It took longer than this and was dropped.
    TimedOut(Duration),
    /// It was not called, since the event can't be decoded as one of its set: why.
    Undecodable(Arc<str>),
}

impl fmt::Display for HandlerResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handled => f.write_str("handled"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::TimedOut(limit) => write!(f, "did not finish within {limit:?}"),
            Self::Undecodable(error) => write!(f, "not called: {error}"),
        }
    }
}
