//! [`Envelope`]: a decoded event together with everything the store knows of it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

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
}

impl<E> Envelope<E> {
    /// A decoded event and the record it was decoded from.
    ///
    /// [`Decoder::decode`](crate::Decoder::decode) makes envelopes; this is for tests of handlers.
    #[must_use]
    pub fn new(event: E, record: Arc<RecordedEvent>) -> Self {
        Self { event, record }
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
