//! [`Chunk`]: appends that commit together, as the rows that are sent.

use std::collections::{BTreeMap, HashSet};

use uno_core::{AppendError, EventId, ExpectedVersion, StreamAppend, StreamId};

use super::rows;

/// The most events in a chunk, and about the most bytes, unless one append alone has more.
const EVENTS: usize = 2048;
const BYTES: usize = 4 << 20;

/// Appends that commit together.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    items: Vec<Item>,
    events: Vec<EventId>,
    /// An id that occurs twice is judged by what is stored, so by the chunk before.
    ids: HashSet<EventId>,
    rows: Vec<u8>,
}

/// One append.
#[derive(Debug)]
struct Item {
    stream: StreamId,
    expected: ExpectedVersion,
    events: usize,
    /// Where its rows end.
    end: usize,
}

/// The arrays of the function `import`.
#[derive(Debug, Default)]
pub(super) struct Arrays<'a> {
    pub(super) categories: Vec<&'a str>,
    pub(super) keys: Vec<&'a str>,
    pub(super) streams: Vec<i32>,
    pub(super) expected: Vec<i64>,
    pub(super) counts: Vec<i64>,
}

impl Chunk {
    /// Whether the append can commit with those that are here.
    pub(super) fn has_room_for(&self, append: &StreamAppend) -> bool {
        let events = append.events();
        let bytes: usize = events.iter().map(|event| event.payload().len() + 200).sum();
        self.is_empty()
            || (self.events.len() + events.len() <= EVENTS
                && self.rows.len() + bytes <= BYTES
                && !events.iter().any(|event| self.ids.contains(&event.id())))
    }

    pub(super) fn push(&mut self, append: &StreamAppend) {
        let item = rows::index(self.items.len() + 1);
        for (event, place) in append.events().iter().zip(1..) {
            self.ids.insert(event.id());
            self.events.push(event.id());
            let ord = rows::index(self.events.len());
            rows::event(&mut self.rows, ord, item, place, event);
        }
        self.items.push(Item {
            stream: append.stream().clone(),
            expected: append.expected(),
            events: append.events().len(),
            end: self.rows.len(),
        });
    }

    /// Keeps the first so many appends.
    pub(super) fn truncate(&mut self, items: usize) {
        self.items.truncate(items);
        let events = self.items.iter().map(|item| item.events).sum();
        self.events.truncate(events);
        self.rows
            .truncate(self.items.last().map_or(0, |item| item.end));
        self.ids = self.events.iter().copied().collect();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many appends there are.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The rows, as binary `COPY` takes them, without its header and end.
    pub(super) fn rows(&self) -> &[u8] {
        &self.rows
    }

    pub(super) fn arrays(&self) -> Arrays<'_> {
        // Streams in the order of their bytes: the order in which everybody locks them.
        let mut places: BTreeMap<(&str, &str), i32> = BTreeMap::new();
        for item in &self.items {
            places.insert((item.stream.category().as_str(), item.stream.key()), 0);
        }
        let mut arrays = Arrays::default();
        for (((category, key), place), number) in places.iter_mut().zip(1..) {
            *place = number;
            arrays.categories.push(category);
            arrays.keys.push(key);
        }
        for item in &self.items {
            let stream = (item.stream.category().as_str(), item.stream.key());
            arrays
                .streams
                .push(places.get(&stream).copied().unwrap_or_default());
            arrays.expected.push(crate::batch::expected(item.expected));
            arrays.counts.push(i64::from(rows::index(item.events)));
        }
        arrays
    }

    /// A conflict of the append with this index.
    pub(super) fn conflict(&self, item: usize, actual: uno_core::Version) -> Option<AppendError> {
        let item = self.items.get(item)?;
        Some(AppendError::Conflict {
            stream: item.stream.clone(),
            expected: item.expected,
            actual,
        })
    }

    /// An id of the append with this index is in use: that of the event with this index in the chunk.
    pub(super) fn duplicate(&self, item: usize, event: usize) -> Option<AppendError> {
        Some(AppendError::DuplicateEvent {
            stream: self.items.get(item)?.stream.clone(),
            id: *self.events.get(event)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use uno_core::{EventName, NewEvent, Payload, SchemaVersion};

    use super::*;

    fn append(events: usize, bytes: usize) -> StreamAppend {
        let payload = Payload::from_json(format!("\"{}\"", "x".repeat(bytes))).unwrap();
        let event = || {
            let name = EventName::new("happened").unwrap();
            NewEvent::from_payload(name, SchemaVersion::FIRST, payload.clone())
        };
        let events = (0..events).map(|_| event()).collect();
        StreamAppend::new("a-1".parse().unwrap(), ExpectedVersion::Any, events)
    }

    #[test]
    fn a_chunk_is_bounded_in_events_and_bytes_and_an_append_is_never_divided() {
        let mut chunk = Chunk::default();
        assert!(chunk.has_room_for(&append(EVENTS + 1, 1)), "alone it goes");
        chunk.push(&append(EVENTS - 1, 1));
        assert!(chunk.has_room_for(&append(1, 1)));
        assert!(!chunk.has_room_for(&append(2, 1)));
        assert!(!chunk.has_room_for(&append(1, BYTES)));
    }

    #[test]
    fn an_id_occurs_once_in_a_chunk() {
        let mut chunk = Chunk::default();
        let twice = append(1, 1);
        chunk.push(&twice);
        assert!(!chunk.has_room_for(&twice));
        chunk.truncate(0);
        assert!(chunk.has_room_for(&twice) && chunk.rows().is_empty());
    }

    #[test]
    fn what_is_left_after_truncating_is_as_if_nothing_had_followed() {
        let (first, second) = (append(2, 5), append(3, 7));
        let (mut chunk, mut alone) = (Chunk::default(), Chunk::default());
        alone.push(&first);
        chunk.push(&first);
        chunk.push(&second);
        chunk.truncate(1);
        assert_eq!(chunk.rows(), alone.rows());
        assert_eq!((chunk.len(), chunk.events.len()), (1, 2));
    }
}
