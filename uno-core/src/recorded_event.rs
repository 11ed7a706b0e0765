//! [`RecordedEvent`]: an event as a store gives it back, not yet decoded.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::{
    EventId, EventName, Metadata, NewEvent, Payload, Position, SchemaVersion, StreamId, Version,
};

/// A stored event with its place in its stream and in the log. It can't be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedEvent {
    parts: RecordedParts,
}

/// What a store knows of an event, to make a [`RecordedEvent`] from.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores must give every part; a new part is meant to break them"
)]
pub struct RecordedParts {
    /// The event's id.
    pub id: EventId,
    /// The stream it is in.
    pub stream: StreamId,
    /// Its place in the stream.
    pub version: Version,
    /// Its place in the log.
    pub position: Position,
    /// The stored name of its type.
    pub name: EventName,
    /// The version of the payload's shape.
    pub schema_version: SchemaVersion,
    /// The payload as it was appended.
    pub payload: Payload,
    /// When it happened, by the clock of who said so.
    pub occurred_at: DateTime<Utc>,
    /// When the store took it in, by the store's clock.
    pub recorded_at: DateTime<Utc>,
    /// Who and what it goes back to.
    pub metadata: Metadata,
    /// Business keys beside the stream.
    pub tags: Vec<Arc<str>>,
}

impl RecordedEvent {
    /// The event with these parts. For stores.
    #[must_use]
    pub fn from_parts(parts: RecordedParts) -> Self {
        Self { parts }
    }

    /// `event`, recorded at this place. For stores that keep events as they are given.
    #[must_use]
    pub fn record(
        event: &NewEvent,
        stream: StreamId,
        version: Version,
        position: Position,
        recorded_at: DateTime<Utc>,
    ) -> Self {
        Self::from_parts(RecordedParts {
            id: event.id(),
            stream,
            version,
            position,
            name: event.name().clone(),
            schema_version: event.schema_version(),
            payload: event.payload().clone(),
            occurred_at: event.occurred_at(),
            recorded_at,
            metadata: event.metadata().clone(),
            tags: event.tags().to_vec(),
        })
    }

    /// The event's id.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.parts.id
    }

    /// The stream it is in.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.parts.stream
    }

    /// Its place in the stream.
    #[must_use]
    pub fn version(&self) -> Version {
        self.parts.version
    }

    /// Its place in the log.
    #[must_use]
    pub fn position(&self) -> Position {
        self.parts.position
    }

    /// The stored name of its type.
    #[must_use]
    pub fn name(&self) -> &EventName {
        &self.parts.name
    }

    /// The version of the payload's shape.
    #[must_use]
    pub fn schema_version(&self) -> SchemaVersion {
        self.parts.schema_version
    }

    /// The payload as it was appended.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.parts.payload
    }

    /// When it happened, by the clock of who said so.
    #[must_use]
    pub fn occurred_at(&self) -> DateTime<Utc> {
        self.parts.occurred_at
    }

    /// When the store took it in, by the store's clock. Never falls from one position to the next.
    #[must_use]
    pub fn recorded_at(&self) -> DateTime<Utc> {
        self.parts.recorded_at
    }

    /// Who and what it goes back to.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.parts.metadata
    }

    /// Business keys beside the stream.
    #[must_use]
    pub fn tags(&self) -> &[Arc<str>] {
        &self.parts.tags
    }
}
