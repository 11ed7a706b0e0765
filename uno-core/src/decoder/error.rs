//! [`DecodeError`]: why a stored event can't be read, and which one it is.

use crate::{
    BoxError, EventId, EventName, Position, RecordedEvent, SchemaVersion, StreamId, Version,
};

/// Which stored event a [`DecodeError`] is about.
// In a box, because it is in every error and results of decoding are returned by value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "event {} version {} at position {}, the one with version {} in stream {},",
    .0.name, .0.schema_version, .0.position, .0.version, .0.stream
)]
pub struct Fault(Box<Place>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    id: EventId,
    name: EventName,
    schema_version: SchemaVersion,
    stream: StreamId,
    version: Version,
    position: Position,
}

impl Fault {
    pub(super) fn new(record: &RecordedEvent) -> Self {
        Self(Box::new(Place {
            id: record.id(),
            name: record.name().clone(),
            schema_version: record.schema_version(),
            stream: record.stream().clone(),
            version: record.version(),
            position: record.position(),
        }))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.0.id
    }

    /// The name it is stored under.
    #[must_use]
    pub fn name(&self) -> &EventName {
        &self.0.name
    }

    /// The version of the shape it is stored in.
    #[must_use]
    pub fn schema_version(&self) -> SchemaVersion {
        self.0.schema_version
    }

    /// The stream it is in.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.0.stream
    }

    /// Its place in the stream.
    #[must_use]
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// Its place in the log.
    #[must_use]
    pub fn position(&self) -> Position {
        self.0.position
    }
}

/// Why a stored event can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The set that is read has no event of that name.
    #[error("{0} is unknown")]
    UnknownEvent(Fault),
    /// It is split, and the set that is read has no event of the name of a part.
    #[error("{fault} is split, and its part {part} is unknown")]
    UnknownPart {
        /// Which event.
        fault: Fault,
        /// The name of the part.
        part: String,
    },
    /// Newer code has written it.
    #[error("{fault} was written by newer code; this code knows version {known}")]
    NewerSchema {
        /// Which event.
        fault: Fault,
        /// The newest version that this code knows.
        known: SchemaVersion,
    },
    /// No upcaster starts from a version on the way.
    #[error("{fault} can't be raised: no upcaster starts from version {from} of {name}")]
    NoUpcaster {
        /// Which event.
        fault: Fault,
        /// The name that the chain has come to.
        name: String,
        /// Where the chain ends.
        from: SchemaVersion,
    },
    /// An upcaster failed or panicked.
    #[error("{fault} can't be raised from version {from} of {name}")]
    Upcast {
        /// Which event.
        fault: Fault,
        /// The name that the chain has come to.
        name: String,
        /// The step that failed.
        from: SchemaVersion,
        /// What it said.
        source: BoxError,
    },
    /// It is read as several events, or as none, where one was asked for.
    #[error("{fault} is read as {count} events, and one was asked for")]
    NotOne {
        /// Which event.
        fault: Fault,
        /// How many events it is read as.
        count: usize,
    },
    /// The payload does not have the event's shape.
    #[error("{fault} is malformed")]
    Malformed {
        /// Which event.
        fault: Fault,
        /// What serde says.
        source: BoxError,
    },
}

impl DecodeError {
    /// Which event it is about.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        match self {
            Self::UnknownEvent(fault)
            | Self::UnknownPart { fault, .. }
            | Self::NewerSchema { fault, .. }
            | Self::NoUpcaster { fault, .. }
            | Self::Upcast { fault, .. }
            | Self::NotOne { fault, .. }
            | Self::Malformed { fault, .. } => fault,
        }
    }

    /// The place of the event in the log.
    #[must_use]
    pub fn position(&self) -> Position {
        self.fault().position()
    }
}

/// A step that panicked.
#[derive(Debug, thiserror::Error)]
#[error("the step panicked: {0}")]
pub(super) struct Panicked(pub(super) String);

/// A split that returned what it has not declared.
#[derive(Debug, thiserror::Error)]
#[error("the split has returned {name} version {version}, which it has not declared")]
pub(super) struct Undeclared {
    pub(super) name: String,
    pub(super) version: SchemaVersion,
}
