//! [`CausationTree`]: what an event goes back to, and what came of it, across streams, commands and timers.
//!
//! See `docs/design/audit.md`.

mod mermaid;
mod search;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use uuid::Uuid;

use crate::{EventId, RecordedEvent};

pub(crate) use self::search::search;

/// How far causes and effects are followed. What is beyond is left out, and the tree tells that it was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CausationLimits {
    events: usize,
    depth: usize,
}

impl Default for CausationLimits {
    fn default() -> Self {
        Self {
            events: 1000,
            depth: 100,
        }
    }
}

impl CausationLimits {
    /// A thousand events, a hundred steps.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// At most so many events in the whole tree, the one that is asked for included; at least one.
    #[must_use]
    pub fn events(mut self, events: usize) -> Self {
        self.events = events.max(1);
        self
    }

    /// At most so many steps up, and so many down.
    #[must_use]
    pub fn depth(mut self, steps: usize) -> Self {
        self.depth = steps;
        self
    }
}

/// One event with its causes up to the beginning, and with all that it set off.
///
/// Steps go from event to event. What is in between and isn't in the log, such as a command, is known by its id
/// ([`CausedEvent::through`]).
///
/// As text it is a line for each event; [`to_mermaid`](Self::to_mermaid) draws it.
#[derive(Clone, Debug, PartialEq)]
pub struct CausationTree {
    /// The farthest first.
    causes: Vec<Arc<RecordedEvent>>,
    beginning: Beginning,
    /// Depth first; the first is the one that was asked for.
    events: Vec<CausedEvent>,
    cut: bool,
}

/// Where the causes of an event begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Beginning {
    /// With an event that names no cause.
    Uncaused,
    /// With a cause that is no event of this log: a command that somebody sent, a timer, or an event that is elsewhere.
    Outside(Uuid),
    /// Nowhere: an event is among its own causes, which no sound log has. Causes end before the first that comes again.
    Loop(EventId),
    /// Further up than the limits allowed.
    Cut,
}

/// An event of a tree, and how it came to be there.
#[derive(Clone, Debug, PartialEq)]
pub struct CausedEvent {
    event: Arc<RecordedEvent>,
    depth: usize,
    cause: Option<EventId>,
}

impl CausedEvent {
    /// The event.
    #[must_use]
    pub fn event(&self) -> &Arc<RecordedEvent> {
        &self.event
    }

    /// How many steps it is from the event that was asked for, which is at 0.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The event of the tree that set it off; `None` for the one that was asked for.
    #[must_use]
    pub fn cause(&self) -> Option<EventId> {
        self.cause
    }

    /// What was in between: the id of the command or timer that was the direct cause. `None` when that was the event itself.
    #[must_use]
    pub fn through(&self) -> Option<Uuid> {
        self.cause.and_then(|cause| through(&self.event, cause))
    }
}

/// The direct cause, if it isn't this event.
fn through(event: &RecordedEvent, cause: EventId) -> Option<Uuid> {
    let direct = event.metadata().causation_id();
    direct.filter(|id| id != cause.as_uuid())
}

impl CausationTree {
    /// The event that was asked for.
    #[must_use]
    pub fn event(&self) -> &Arc<RecordedEvent> {
        // A tree is never made without it.
        self.events[0].event()
    }

    /// The events that led to it, the farthest first.
    #[must_use]
    pub fn causes(&self) -> &[Arc<RecordedEvent>] {
        &self.causes
    }

    /// What the first of the causes, or the event itself if there are none, goes back to.
    #[must_use]
    pub fn beginning(&self) -> Beginning {
        self.beginning
    }

    /// The event and all that it set off, depth first: what an event set off comes right behind it, in the order of the log.
    #[must_use]
    pub fn events(&self) -> &[CausedEvent] {
        &self.events
    }

    /// What this event of the tree set off in one step, in the order of the log.
    pub fn effects_of(&self, event: EventId) -> impl Iterator<Item = &CausedEvent> {
        let of_it = move |effect: &&CausedEvent| effect.cause == Some(event);
        self.events.iter().filter(of_it)
    }

    /// Whether there may be more than the limits allowed, in either direction.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut || self.beginning == Beginning::Cut
    }

    /// The tree as a flowchart in [Mermaid](https://mermaid.js.org)'s language, from the beginning down. Whatever names and keys are made of,
    /// the diagram stays what it is.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        mermaid::draw(self)
    }
}

impl fmt::Display for CausationTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.beginning {
            Beginning::Uncaused => {}
            Beginning::Outside(id) => writeln!(f, "from {id}, which is not in the log")?,
            Beginning::Loop(id) => writeln!(f, "… {id} is among its own causes")?,
            Beginning::Cut => writeln!(f, "… there are more causes")?,
        }
        for cause in &self.causes {
            writeln!(f, "  {}", Line(cause))?;
        }
        for effect in &self.events {
            let mark = if effect.depth == 0 { '*' } else { ' ' };
            write!(
                f,
                "{mark} {:1$}{2}",
                "",
                2 * effect.depth,
                Line(&effect.event)
            )?;
            match effect.through() {
                Some(id) => writeln!(f, ", through {id}")?,
                None => writeln!(f)?,
            }
        }
        if self.cut {
            writeln!(f, "  … there are more effects")?;
        }
        Ok(())
    }
}

struct Line<'e>(&'e RecordedEvent);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.0;
        let (position, name, stream) = (event.position(), event.name(), event.stream());
        write!(f, "{position} {name} of {stream}")?;
        match event.metadata().actor() {
            Some(actor) => write!(f, " by {}", actor.escape_debug()),
            None => Ok(()),
        }
    }
}
