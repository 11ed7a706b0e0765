//! [`Envelope`]: a decoded event together with everything the store knows of it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{EventId, Metadata, Position, RecordedEvent, StreamId, Version};

/// A decoded event and its record. Handlers get it by shared reference: an event can't be changed.
///
/// ```compile_fail
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Envelope, Event};
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { total: i64 }
/// fn handle(envelope: &Envelope<OrderPlaced>) {
///     envelope.event().total = 0; // error: facts are facts
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope<E> {
    event: E,
    record: Arc<RecordedEvent>,
    part: Part,
}

/// Which of the events that a stored event is read as: nearly always the only one.
///
/// Old events may be [split](crate::DecoderBuilder::split). The numbers are those of all parts, whichever set is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    index: u32,
    count: u32,
}

impl Part {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// The part with this number, from 0 on, of so many.
    #[must_use]
    pub const fn new(index: u32, count: u32) -> Self {
        Self { index, count }
    }

    /// Its number, from 0 on.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// How many there are.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// Whether it is all that the stored event is read as.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.count == 1
    }
}

impl<E> Envelope<E> {
    /// A decoded event and the record it was decoded from.
    ///
    /// [`Decoder::decode`](crate::Decoder::decode) makes envelopes; this is for tests of handlers.
    #[must_use]
    pub fn new(event: E, record: Arc<RecordedEvent>) -> Self {
        Self {
            event,
            record,
            part: Part::WHOLE,
        }
    }

    /// The same, as one of several that the record is read as.
    #[must_use]
    pub fn with_part(mut self, part: Part) -> Self {
        self.part = part;
        self
    }

    /// Which of the events that the record is read as.
    #[must_use]
    pub fn part(&self) -> Part {
        self.part
    }

    /// An id that is this part's alone, for keys of idempotency: the event's own id, and for the second part of a split and
    /// those after it one that is made from that and the number.
    ///
    /// It is not in the log: causes are named by [`id`](Self::id).
    #[must_use]
    pub fn part_id(&self) -> Uuid {
        let id = self.record.id();
        let id = id.as_uuid();
        match self.part.index {
            0 => *id,
            index => Uuid::new_v5(id, &index.to_be_bytes()),
        }
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &E {
        &self.event
    }

    /// The event alone.
    #[must_use]
    pub fn into_event(self) -> E {
        self.event
    }

    /// Everything the store knows of it.
    #[must_use]
    pub fn record(&self) -> &Arc<RecordedEvent> {
        &self.record
    }

    /// The event's id.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.record.id()
    }

    /// The stream it is in.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        self.record.stream()
    }

    /// Its place in the stream.
    #[must_use]
    pub fn version(&self) -> Version {
        self.record.version()
    }

    /// Its place in the log.
    #[must_use]
    pub fn position(&self) -> Position {
        self.record.position()
    }

    /// When it happened.
    #[must_use]
    pub fn occurred_at(&self) -> DateTime<Utc> {
        self.record.occurred_at()
    }

    /// When the store took it in.
    #[must_use]
    pub fn recorded_at(&self) -> DateTime<Utc> {
        self.record.recorded_at()
    }

    /// Who and what it goes back to.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        self.record.metadata()
    }
}
