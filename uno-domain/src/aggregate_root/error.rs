//! Why an aggregate can't be made from what is stored.

use uno_core::{BoxError, Refusal, StreamId, StreamIdError, Version};

/// Why recorded events can't be taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The event belongs to another aggregate.
    #[error("an event of stream {actual} can't be replayed on {expected}")]
    WrongStream {
        /// The stream of the aggregate.
        expected: StreamId,
        /// The stream of the event.
        actual: StreamId,
    },
    /// The event is not the next one: one is missing, or comes twice.
    #[error("version {expected} of stream {stream} was to be replayed, not version {actual}")]
    Hole {
        /// The stream.
        stream: StreamId,
        /// The version that comes next.
        expected: Version,
        /// The version of the event.
        actual: Version,
    },
    /// The event was split, and this is not the part that comes next: one is missing, or comes twice.
    #[error("part {part} of version {version} of stream {stream} is not what was to be replayed")]
    Part {
        /// The stream.
        stream: StreamId,
        /// The version of the event.
        version: Version,
        /// The number of the part.
        part: u32,
    },
    /// Recorded events come before those that are not stored yet.
    #[error(
        "the aggregate of stream {stream} has {count} uncommitted events, which recorded ones can't come after"
    )]
    Uncommitted {
        /// The stream.
        stream: StreamId,
        /// How many there are.
        count: usize,
    },
    /// The stream is so long that recording could exceed the highest version.
    #[error("stream {stream} is at version {version}, which leaves no room for more events")]
    NoRoom {
        /// The stream.
        stream: StreamId,
        /// The version it is at.
        version: Version,
    },
    /// The id can't be the key of a stream.
    #[error(transparent)]
    Id(StreamIdError),
}

/// Why a snapshot can't be made, or is not believed. A snapshot is a cache: whoever gets this while loading replays
/// the events instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The aggregate keeps no snapshots, or no longer.
    #[error("aggregates of category {category} keep no snapshots")]
    NotKept {
        /// Its category.
        category: &'static str,
    },
    /// It is the snapshot of another aggregate.
    #[error("a snapshot of stream {actual} is not one of {expected}")]
    WrongStream {
        /// The stream of the aggregate.
        expected: StreamId,
        /// The stream of the snapshot.
        actual: StreamId,
    },
    /// Other code has written it.
    #[error("the snapshot of stream {stream} has the shape {actual:?}, but {expected:?} is wanted")]
    Shape {
        /// The stream.
        stream: StreamId,
        /// The shape that this code writes and reads.
        expected: String,
        /// The shape of the snapshot.
        actual: String,
    },
    /// The checksum does not fit, or it is the snapshot of an empty stream.
    #[error("the snapshot of stream {stream} is damaged")]
    Corrupt {
        /// The stream.
        stream: StreamId,
    },
    /// The stream is so long that recording could exceed the highest version.
    #[error(
        "the snapshot of stream {stream} is at version {version}, which leaves no room for more events"
    )]
    NoRoom {
        /// The stream.
        stream: StreamId,
        /// The version it is at.
        version: Version,
    },
    /// The body does not have the shape of the state, though it says so.
    #[error("the snapshot of stream {stream} can't be read")]
    Decode {
        /// The stream.
        stream: StreamId,
        /// What serde says.
        source: BoxError,
    },
    /// The state can't be encoded, or could not be read back equal.
    #[error("the state of {stream} can't be kept as a snapshot")]
    Encode {
        /// The stream.
        stream: StreamId,
        /// The field at fault.
        source: Refusal,
    },
    /// The id can't be the key of a stream.
    #[error(transparent)]
    Id(StreamIdError),
}

/// What was stored is not what the aggregate has recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the aggregate is at version {expected}, but its stream is at version {actual}")]
pub struct VersionMismatch {
    pub(super) expected: Version,
    pub(super) actual: Version,
}

impl VersionMismatch {
    /// The version that the aggregate has.
    #[must_use]
    pub const fn expected(&self) -> Version {
        self.expected
    }

    /// The version that its stream is said to have.
    #[must_use]
    pub const fn actual(&self) -> Version {
        self.actual
    }
}
