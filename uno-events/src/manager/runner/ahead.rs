//! [`Ahead`]: a page that was read and is fed in batches.

use std::{collections::VecDeque, sync::Arc};

use uno_core::{Checkpoint, LogPage, RecordedEvent};

use super::link::EventPlace;

/// What was read of the log ahead of what was fed. Pages are larger than most batches, since a read of the store has its price.
#[derive(Default)]
pub(super) struct Ahead {
    events: VecDeque<Arc<RecordedEvent>>,
    /// Where the page ends: at or after its last event.
    end: Option<EventPlace>,
}

/// Events to be fed, and the place after them.
pub(super) type Portion = (Vec<Arc<RecordedEvent>>, EventPlace);

impl Ahead {
    pub(super) fn new(page: LogPage) -> Self {
        let end = page.scanned();
        Self {
            events: page.into_events().into(),
            end,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Drops the events that belong to other lanes.
    pub(super) fn retain(&mut self, keep: impl FnMut(&Arc<RecordedEvent>) -> bool) {
        self.events.retain(keep);
    }

    /// Drops what lies beyond a place. Whether that was all there was.
    pub(super) fn cut(&mut self, to: Checkpoint) -> bool {
        if self.end.is_none_or(|(end, _)| end <= to.position()) {
            return false;
        }
        self.events
            .retain(|event| event.position() <= to.position());
        self.end = to.event_id().map(|id| (to.position(), id));
        self.events.is_empty()
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
