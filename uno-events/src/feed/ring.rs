//! [`Ring`]: the newest events of the log, without a gap.

use std::{collections::VecDeque, sync::Arc};

use uno_core::{EventFilter, LogPage, Position, RecordedEvent};

use super::Place;

/// Every committed event after `base`, up to and with `end`.
#[derive(Debug)]
pub(super) struct Ring {
    capacity: usize,
    base: Position,
    end: Position,
    /// The committed event at `end`, if its id is known.
    last: Option<Place>,
    events: VecDeque<Arc<RecordedEvent>>,
}

impl Ring {
    /// An empty ring after `last`, or after the start of the log.
    pub(super) fn new(capacity: usize, last: Option<Place>) -> Self {
        let end = last.map_or(Position::START, |(position, _)| position);
        Self {
            capacity,
            base: end,
            end,
            last,
            events: VecDeque::new(),
        }
    }

    /// The events after this position are in the ring, up to its end.
    pub(super) fn base(&self) -> Position {
        self.base
    }

    /// The events up to this position are in the ring.
    pub(super) fn end(&self) -> Position {
        self.end
    }

    /// The committed event at the ring's end, if it is known.
    pub(super) fn last(&self) -> Option<Place> {
        self.last
    }

    /// Forgets everything, to go on after a position further on.
    pub(super) fn restart(&mut self, after: Position) {
        self.events.clear();
        self.base = after;
        self.end = after;
        self.last = None;
    }

    /// Takes in the unfiltered page that follows `end`.
    pub(super) fn extend(&mut self, page: LogPage) {
        let Some((scanned, id)) = page.scanned() else {
            return;
        };
        self.events.extend(page.into_events());
        self.end = scanned;
        self.last = Some((scanned, id));
        while self.events.len() > self.capacity {
            if let Some(oldest) = self.events.pop_front() {
                self.base = oldest.position();
            }
        }
    }

    /// The first event after a position, if the ring has it.
    pub(super) fn first_after(&self, position: Position) -> Option<Arc<RecordedEvent>> {
        if position < self.base {
            return None;
        }
        self.events.get(self.index_after(position)).map(Arc::clone)
    }

    /// At most `limit` fitting events after `after`, which must not be before `base`, having looked at no more than `stride`.
    pub(super) fn page(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
        stride: usize,
    ) -> LogPage {
        let everything = filter.is_all();
        let first = self.index_after(after);
        let mut fitting = Vec::new();
        let mut scanned = None;
        for (seen, event) in self.events.range(first..).enumerate() {
            if fitting.len() == limit || seen == stride {
                return LogPage::new(fitting, scanned);
            }
            scanned = Some((event.position(), event.id()));
            if everything || filter.matches(event) {
                fitting.push(Arc::clone(event));
            }
        }
        // All of the ring was looked at. Its end is that of its last page, at or after its last event.
        LogPage::new(
            fitting,
            self.last.filter(|(end, _)| *end > after).or(scanned),
        )
    }

    fn index_after(&self, position: Position) -> usize {
        self.events
            .partition_point(|event| event.position() <= position)
    }
}
