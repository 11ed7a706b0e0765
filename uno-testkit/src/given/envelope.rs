//! [`envelope`]: events as handlers, projections and sagas get them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uno_core::{
    Envelope, EventId, EventSet, Metadata, NewEvent, Position, RecordedEvent, RecordedParts,
    StreamId, Version,
};

/// An event as it comes from a store: version 1 of the stream `test-1`, at position 1. For tests of handlers,
/// projections and sagas.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::Event;
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { total: i64 }
/// use uno_testkit::envelope;
///
/// let envelope = envelope(OrderPlaced { total: 500 });
/// assert_eq!(envelope.event().total, 500);
/// assert_eq!(envelope.record().name().as_str(), "order_placed");
/// ```
///
/// # Panics
/// When the event can't be encoded.
#[must_use]
#[track_caller]
pub fn envelope<E: EventSet>(event: E) -> Envelope<E> {
    EnvelopeBuilder::new(event).build()
}

/// An event as it comes from a store, from a place of your choice.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::Event;
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { total: i64 }
/// use uno_testkit::EnvelopeBuilder;
///
/// let envelope = EnvelopeBuilder::new(OrderPlaced { total: 500 }).stream("order-1742").version(3).position(90).build();
/// assert_eq!((envelope.stream().key(), envelope.version().get()), ("1742", 3));
/// ```
#[derive(Debug)]
#[must_use]
pub struct EnvelopeBuilder<E> {
    event: E,
    parts: RecordedParts,
}

impl<E: EventSet> EnvelopeBuilder<E> {
    /// An event in version 1 of the stream `test-1`, at position 1.
    ///
    /// # Panics
    /// When the event can't be encoded.
    #[track_caller]
    pub fn new(event: E) -> Self {
        let parts = parts_of(&event);
        Self { event, parts }
    }

    /// The record of an event, without the event.
    #[track_caller]
    pub(super) fn record_of(event: &E) -> Arc<RecordedEvent> {
        Arc::new(RecordedEvent::from_parts(parts_of(event)))
    }

    /// In this stream, such as `order-1742`.
    ///
    /// # Panics
    /// When there can't be such a stream.
    #[track_caller]
    pub fn stream(mut self, stream: &str) -> Self {
        self.parts.stream = stream_id(stream);
        self
    }

    /// The stream that it is in.
    pub(crate) fn stream_id(&self) -> &StreamId {
        &self.parts.stream
    }

    /// With this version in its stream.
    ///
    /// # Panics
    /// When there can't be such a version.
    #[track_caller]
    pub fn version(mut self, version: u64) -> Self {
        self.parts.version = match Version::new(version) {
            Ok(version) => version,
            Err(error) => panic!("{error}"),
        };
        self
    }

    /// At this position in the log.
    ///
    /// # Panics
    /// When there can't be such a position.
    #[track_caller]
    pub fn position(mut self, position: u64) -> Self {
        self.parts.position = match Position::new(position) {
            Ok(position) => position,
            Err(error) => panic!("{error}"),
        };
        self
    }

    /// With this id.
    pub fn id(mut self, id: EventId) -> Self {
        self.parts.id = id;
        self
    }

    /// As having occurred, and been recorded, then.
    pub fn at(mut self, time: DateTime<Utc>) -> Self {
        self.parts.occurred_at = time;
        self.parts.recorded_at = time;
        self
    }

    /// With this metadata.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.parts.metadata = metadata;
        self
    }

    /// The envelope.
    #[must_use]
    pub fn build(self) -> Envelope<E> {
        let record = RecordedEvent::from_parts(self.parts);
        Envelope::new(self.event, Arc::new(record))
    }
}

#[track_caller]
fn parts_of<E: EventSet>(event: &E) -> RecordedParts {
    let new = match NewEvent::encode(event) {
        Ok(new) => new,
        Err(error) => panic!(
            "the event can't be stored: {error}: {:?}",
            std::error::Error::source(&error)
        ),
    };
    RecordedParts {
        id: new.id(),
        stream: stream_id("test-1"),
        version: Version::EMPTY.next(),
        position: Position::START.next(),
        name: new.name().clone(),
        schema_version: new.schema_version(),
        payload: new.payload().clone(),
        occurred_at: new.occurred_at(),
        recorded_at: new.occurred_at(),
        metadata: Metadata::new(),
        tags: Vec::new(),
    }
}

#[track_caller]
fn stream_id(text: &str) -> StreamId {
    match text.parse() {
        Ok(stream) => stream,
        Err(error) => panic!("{text:?} is not a stream: {error}"),
    }
}
