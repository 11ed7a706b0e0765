//! [`Ahead`]: a page that was read and is fed in batches.

use std::{collections::VecDeque, sync::Arc};

use uno_core::{EventId, LogPage, Position, RecordedEvent};

/// What was read of the log ahead of what was fed. Pages are larger than most batches, since a read of the store has its price.
#[derive(Default)]
pub(super) struct Ahead {
    events: VecDeque<Arc<RecordedEvent>>,
    /// Where the page ends: at or after its last event.
    end: Option<(Position, EventId)>,
}

/// Events to be fed, and the place after them.
pub(super) type Portion = (Vec<Arc<RecordedEvent>>, (Position, EventId));

impl Ahead {
    pub(super) fn new(page: LogPage) -> Self {
        let end = page.scanned();
        Self {
            events: page.into_events().into(),
            end,
        }
    }

    /// At most `limit` of the events, and the place after them: that of the last one, or for the last ones the page's end.
    pub(super) fn take(&mut self, limit: usize) -> Option<Portion> {
        let events: Vec<_> = self.events.drain(..limit.min(self.events.len())).collect();
        let last = events.last().map(|event| (event.position(), event.id()))?;
        let place = if self.events.is_empty() {
            self.end.take().unwrap_or(last)
        } else {
            last
        };
        Some((events, place))
    }
}
