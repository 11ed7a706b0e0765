//! Errors of the ports, by what the caller can do about them.

use crate::{
    EncodeError, EventId, ExpectedVersion, Lane, Refusal, StreamId, SubscriptionName, Version,
};

/// Any error, for what the ports can't know.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Why a store can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store has no schema yet: migrate it.
    #[error("the store at {location} has not been migrated; run its migrate() first")]
    NotMigrated {
        /// Where the store is, without secrets.
        location: String,
    },
    /// Newer code has migrated the store: upgrade this program.
    #[error(
        "the store at {location} has schema version {found}, and this program knows only version {known}"
    )]
    NewerSchema {
        /// Where the store is, without secrets.
        location: String,
        /// The version in the store.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// The store can only be read.
    #[error("the store at {location} is read-only")]
    ReadOnly {
        /// Where the store is, without secrets.
        location: String,
    },
    /// The store can't be reached or did not answer: try again later.
    #[error("the store at {location} is not available")]
    Unavailable {
        /// Where the store is, without secrets.
        location: String,
        /// What the driver said.
        source: BoxError,
    },
    /// The store is set up so that it could lose what it acknowledged.
    #[error("the store at {location} would not be durable: {reason}")]
    NotDurable {
        /// Where the store is, without secrets.
        location: String,
        /// The setting at fault.
        reason: String,
    },
    /// A record in the store is not what it must be.
    #[error("the store has a record that can't be read: {what}")]
    Corrupt {
        /// Which record, and what is wrong with it.
        what: String,
    },
    /// The backend can't do this.
    #[error("this store does not support {what}")]
    Unsupported {
        /// What it can't do.
        what: &'static str,
    },
    /// Anything else.
    #[error("the store failed")]
    Backend(#[source] BoxError),
}

impl StoreError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Why events were not appended. Nothing was, but for [`Unknown`](Self::Unknown).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A stream was not at the expected version: load it again and decide again.
    #[error("stream {stream} is at version {actual}, but {expected} was expected")]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// What the caller took for granted.
        expected: ExpectedVersion,
        /// What it is.
        actual: Version,
    },
    /// An event with this id is stored already, and not at this place.
    #[error("event {id} is stored already, elsewhere than in this place of stream {stream}")]
    DuplicateEvent {
        /// The stream that was to be appended to.
        stream: StreamId,
        /// The id.
        id: EventId,
    },
    /// The request is not one that any store could carry out.
    #[error("the append is refused")]
    Refused(#[source] Refusal),
    /// The connection was lost while the store was committing: the events are stored or will be, or never.
    ///
    /// Append the same events, with the same ids, again: that is definite, and stores them once.
    #[error("the outcome of the append is unknown; append the same events again to know it")]
    Unknown(#[source] BoxError),
    /// The store can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<EncodeError> for AppendError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::Refused { source, .. } => Self::Refused(source),
            EncodeError::Serialize { name, source } => {
                Self::Refused(Refusal::new(name, source.to_string()))
            }
            EncodeError::Name(error) => Self::Refused(Refusal::new("name", error.to_string())),
        }
    }
}

impl AppendError {
    /// Whether somebody else was faster.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

/// A record that was not as the commit took it to be: somebody else has moved on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stale {
    /// Another process has moved the checkpoint.
    #[error("the checkpoint of subscription {0} was moved by somebody else")]
    Checkpoint(SubscriptionName),
    /// Another process has the lane on lease, or this one has it no longer.
    #[error("lane {lane} of subscription {subscription} is not on this lease")]
    Lease {
        /// The subscription.
        subscription: SubscriptionName,
        /// Its lane.
        lane: Lane,
    },
    /// The event, or its key, is not parked any more.
    #[error("key {key} of subscription {subscription} is not parked as was thought")]
    Parked {
        /// The subscription.
        subscription: SubscriptionName,
        /// The key.
        key: String,
    },
    /// Another process has changed the process instance.
    #[error("instance {key} of process {process} was changed by somebody else")]
    Process {
        /// The process.
        process: String,
        /// Its instance.
        key: String,
    },
    /// Somebody else has changed the document.
    #[error("document {key} of collection {collection} was changed by somebody else")]
    Document {
        /// The collection.
        collection: String,
        /// Its document.
        key: String,
    },
    /// Another process has acknowledged the message.
    #[error("message {id} of queue {queue} was acknowledged by somebody else")]
    Message {
        /// The queue.
        queue: String,
        /// The message's id.
        id: uuid::Uuid,
    },
    /// The timer was fired or cancelled by somebody else.
    #[error("timer {id} of process {process} was fired or cancelled by somebody else")]
    Timer {
        /// The process.
        process: String,
        /// The timer's id.
        id: uuid::Uuid,
    },
    /// The consumer has handled the message already.
    #[error("message {id} was handled by {consumer} already")]
    Inbox {
        /// The consumer.
        consumer: String,
        /// The message's id.
        id: uuid::Uuid,
    },
}

/// Why a commit was not carried out. Nothing of it was, but for an unknown append.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The events could not be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A checkpoint, process, document, message or timer was not as expected.
    #[error(transparent)]
    Stale(Stale),
    /// The caller's own work in the transaction failed.
    #[error("the work in the transaction failed")]
    Work(#[source] BoxError),
}

impl CommitError {
    /// Whether somebody else was faster: load again and decide again.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Append(error) => error.is_conflict(),
            // The others are moved by one process at a time: it has lost its place, and not just a race.
            Self::Stale(stale) => matches!(stale, Stale::Document { .. }),
            Self::Work(_) => false,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Append(error) if error.is_transient())
    }
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        Self::Append(AppendError::Store(error))
    }
}
