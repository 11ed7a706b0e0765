//! [`Tail`]: the newest events of the log, as the writer has just written them.
//!
//! Subscriptions follow the log closely, each reading the same few events again. From here they have them without a trip to SQLite.
//! What is here is right because the writer says so within its transaction: it knows the last event before its own, so it notices
//! what another process has appended in between, and then starts anew.
//!
//! The file may have more, for a moment after a commit, or because another process has appended since. So a page from here may end
//! before the end of the log; the next one is then read from the file. But it never ends before what a caller of this store has been
//! shown already.

use std::{
    collections::VecDeque,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use uno_core::{Direction, EventId, LogPage, Position, ReadLog, RecordedEvent};

/// How many events are kept at most.
const MAX_EVENTS: usize = 4096;

/// How many bytes their payloads have at most.
const MAX_BYTES: usize = 8 << 20;

#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// Never held across an await. Readers share it, since every subscription reads here at once after a commit.
    kept: RwLock<Kept>,
    /// The highest position that was read from the file.
    shown: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    /// The position before the first event that is kept: between the two there is none in the log.
    start: Position,
    /// Without anything missing in between.
    events: VecDeque<Arc<RecordedEvent>>,
    bytes: usize,
    /// Whether nothing is kept any more.
    closed: bool,
}

impl Tail {
    /// Adds events that were committed, and were appended directly behind `before`, which was the last position of the log.
    pub(crate) fn extend(&self, before: Position, events: Vec<Arc<RecordedEvent>>) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.closed {
            return;
        }
        if kept.events.back().map(|event| event.position()) != Some(before) {
            *kept = Kept {
                start: before,
                ..Kept::default()
            };
        }
        for event in events {
            kept.bytes += event.payload().len();
            kept.events.push_back(event);
        }
        while kept.events.len() > MAX_EVENTS || kept.bytes > MAX_BYTES {
            let Some(event) = kept.events.pop_front() else {
                break;
            };
            kept.bytes -= event.payload().len();
            kept.start = event.position();
        }
    }

    /// Notes that a caller is about to be shown this position.
    pub(crate) fn show(&self, position: Position) {
        // Whoever was shown it hands that on to another task by some means that orders memory.
        self.shown.fetch_max(position.get(), Ordering::AcqRel);
    }

    /// Keeps nothing from now on: the store is closed.
    pub(crate) fn close(&self) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        *kept = Kept {
            closed: true,
            ..Kept::default()
        };
    }

    /// A page of the log, if it begins within what is kept, and there is something behind where it begins.
    ///
    /// At the very end of what is kept only the file can tell whether another process has appended more.
    pub(crate) fn page(&self, read: &ReadLog) -> Option<LogPage> {
        if read.direction() != Direction::Forward || read.moment().is_some() {
            return None;
        }
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let start = read.start();
        let last = kept.events.back()?;
        let shown = self.shown.load(Ordering::Acquire);
        if start < kept.start || start >= last.position() || shown > last.position().get() {
            return None;
        }
        let from = kept
            .events
            .partition_point(|event| event.position() <= start);
        let fitting = kept
            .events
            .range(from..)
            .filter(|event| read.events().matches(event));
        let events: Vec<_> = fitting.take(read.max_events()).cloned().collect();
        let end =
            |event: &Arc<RecordedEvent>| -> (Position, EventId) { (event.position(), event.id()) };
        let scanned = if events.len() == read.max_events() {
            events.last().map(end)
        } else {
            Some(end(last))
        };
        Some(LogPage::new(events, scanned))
    }
}
