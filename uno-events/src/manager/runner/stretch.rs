//! [`Stretch`]: the place of a batch in the log.

use std::sync::Arc;

use uno_core::{Position, RecordedEvent};

/// The place of a batch in the log.
pub(super) struct Stretch {
    pub(super) first: Position,
    pub(super) last: Position,
    pub(super) events: Vec<Position>,
}

impl Stretch {
    pub(super) fn of(events: &[Arc<RecordedEvent>], end: Position) -> Self {
        let events: Vec<_> = events.iter().map(|event| event.position()).collect();
        let (first, last) = (
            *events.first().unwrap_or(&end),
            *events.last().unwrap_or(&end),
        );
        Self {
            first,
            last,
            events,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn contains(&self, position: Position) -> bool {
        (self.first..=self.last).contains(&position)
    }
}
