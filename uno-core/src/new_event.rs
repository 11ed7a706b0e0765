//! [`NewEvent`]: an event on its way into a store.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::{
    Clock, EventId, EventName, EventSet, Metadata, NameError, Payload, Refusal, SchemaVersion,
    SystemClock, truncate_to_micros,
};

/// An encoded event that has no place in the log yet.
///
/// It has its id from the beginning: appending the same `NewEvent` again after a doubtful outcome stores it once.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    id: EventId,
    name: EventName,
    schema_version: SchemaVersion,
    payload: Payload,
    occurred_at: DateTime<Utc>,
    metadata: Metadata,
    tags: Vec<Arc<str>>,
}

impl NewEvent {
    /// Encodes an event of a set, with a new id, as having occurred now.
    ///
    /// # Errors
    /// When serde can't serialize the event, or it could not be read back equal (NaN, NUL, nested too deep, …).
    pub fn encode<S: EventSet>(event: &S) -> Result<Self, EncodeError> {
        let descriptor = event.descriptor();
        let name = descriptor.name();
        event
            .check()
            .map_err(|source| EncodeError::Refused { name, source })?;
        let json = event
            .to_json()
            .map_err(|source| EncodeError::Serialize { name, source })?;
        let payload =
            Payload::from_json(json).map_err(|source| EncodeError::Refused { name, source })?;
        let event_name = EventName::new(name).map_err(EncodeError::Name)?;
        Ok(Self::from_payload(
            event_name,
            descriptor.version(),
            payload,
        ))
    }

    /// An event that is encoded already, for those who have no type for it, with a new id, as having occurred now.
    #[must_use]
    pub fn from_payload(name: EventName, schema_version: SchemaVersion, payload: Payload) -> Self {
        Self {
            id: EventId::new(),
            name,
            schema_version,
            payload,
            occurred_at: SystemClock::new().now(),
            metadata: Metadata::new(),
            tags: Vec::new(),
        }
    }

    /// The same, with this id.
    #[must_use]
    pub fn with_id(mut self, id: EventId) -> Self {
        self.id = id;
        self
    }

    /// The same, as having occurred then (in whole microseconds).
    #[must_use]
    pub fn with_occurred_at(mut self, time: DateTime<Utc>) -> Self {
        self.occurred_at = truncate_to_micros(time);
        self
    }

    /// The same, with this metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// The same, with these tags: business keys beside the stream, kept for consistency boundaries that span streams.
    #[must_use]
    pub fn with_tags<T: Into<Arc<str>>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// The event's id.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.id
    }

    /// The stored name of its type.
    #[must_use]
    pub fn name(&self) -> &EventName {
        &self.name
    }

    /// The version of the payload's shape.
    #[must_use]
    pub fn schema_version(&self) -> SchemaVersion {
        self.schema_version
    }

    /// What is stored of the event itself.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// When it happened, by the clock of who says so.
    #[must_use]
    pub fn occurred_at(&self) -> DateTime<Utc> {
        self.occurred_at
    }

    /// Who and what it goes back to.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Business keys beside the stream.
    #[must_use]
    pub fn tags(&self) -> &[Arc<str>] {
        &self.tags
    }
}

/// Why an event can't be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It could not be read back equal.
    #[error("event {name} can't be stored")]
    Refused {
        /// The event's name.
        name: &'static str,
        /// The field at fault and the reason.
        source: Refusal,
    },
    /// serde can't serialize it.
    #[error("event {name} can't be serialized")]
    Serialize {
        /// The event's name.
        name: &'static str,
        /// What serde says.
        source: serde_json::Error,
    },
    /// The type's name is not one that can be stored.
    #[error(transparent)]
    Name(NameError),
}
