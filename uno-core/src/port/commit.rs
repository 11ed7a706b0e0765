//! [`Commit`]: what becomes durable together.

use std::{fmt, future::Future, pin::Pin};

use super::{
    Acknowledgement, CheckpointWrite, DocumentWrite, InboxWrite, NewMessage, ProcessWrite,
    Snapshot, TimerWrite,
};
use crate::{BoxError, ExpectedVersion, NewEvent, Position, StoreEpoch, StreamId, Version};

/// Events for one stream, and what is taken for granted about it.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamAppend {
    stream: StreamId,
    expected: ExpectedVersion,
    events: Vec<NewEvent>,
}

impl StreamAppend {
    /// An append of `events`, in this order, to the end of `stream`.
    #[must_use]
    pub fn new(stream: StreamId, expected: ExpectedVersion, events: Vec<NewEvent>) -> Self {
        Self {
            stream,
            expected,
            events,
        }
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// What is taken for granted.
    #[must_use]
    pub fn expected(&self) -> ExpectedVersion {
        self.expected
    }

    /// The events.
    #[must_use]
    pub fn events(&self) -> &[NewEvent] {
        &self.events
    }
}

/// The caller's own work within a transaction, on the backend's transaction type.
pub type Work<Tx> = Box<
    dyn for<'t> FnOnce(
            &'t mut Tx,
        ) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 't>>
        + Send,
>;

/// Everything that a [`Transactional`](super::Transactional) store makes durable in one transaction, as data.
///
/// Being data, it can be grouped with other commits, is carried out whole even when the caller goes away,
/// and holds no transaction open while user code thinks.
///
/// Within the transaction, `work` runs first and the append is last, so that nothing waits while positions are held.
#[non_exhaustive]
pub struct Commit<Tx> {
    /// Events to append. A stream may occur once.
    pub appends: Vec<StreamAppend>,
    /// Streams that must still be at this version, though nothing is appended to them.
    pub unchanged: Vec<(StreamId, Version)>,
    /// The caller's own work, in this order.
    pub work: Vec<Work<Tx>>,
    /// Snapshots to keep: the newest of a stream replaces older ones.
    pub snapshots: Vec<Snapshot>,
    /// Documents to put, remove or take for granted, in this order.
    pub documents: Vec<DocumentWrite>,
    /// Checkpoints to move.
    pub checkpoints: Vec<CheckpointWrite>,
    /// Process instances to save.
    pub processes: Vec<ProcessWrite>,
    /// Messages to add to queues, in this order.
    pub messages: Vec<NewMessage>,
    /// Messages to take off their queues.
    pub acknowledgements: Vec<Acknowledgement>,
    /// Timers to set, cancel or fire.
    pub timers: Vec<TimerWrite>,
    /// Messages to remember as handled.
    pub inbox: Vec<InboxWrite>,
}

impl<Tx> Commit<Tx> {
    /// A commit of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            appends: Vec::new(),
            unchanged: Vec::new(),
            work: Vec::new(),
            snapshots: Vec::new(),
            documents: Vec::new(),
            checkpoints: Vec::new(),
            processes: Vec::new(),
            messages: Vec::new(),
            acknowledgements: Vec::new(),
            timers: Vec::new(),
            inbox: Vec::new(),
        }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.appends.is_empty()
            && self.unchanged.is_empty()
            && self.work.is_empty()
            && self.snapshots.is_empty()
            && self.documents.is_empty()
            && self.checkpoints.is_empty()
            && self.processes.is_empty()
            && self.messages.is_empty()
            && self.acknowledgements.is_empty()
            && self.timers.is_empty()
            && self.inbox.is_empty()
    }
}

impl<Tx> Default for Commit<Tx> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Tx> fmt::Debug for Commit<Tx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commit")
            .field("appends", &self.appends)
            .field("unchanged", &self.unchanged)
            .field("work", &self.work.len())
            .field("snapshots", &self.snapshots)
            .field("documents", &self.documents)
            .field("checkpoints", &self.checkpoints)
            .field("processes", &self.processes)
            .field("messages", &self.messages)
            .field("acknowledgements", &self.acknowledgements)
            .field("timers", &self.timers)
            .field("inbox", &self.inbox)
            .finish()
    }
}

/// What an append or a commit gives back: where its events are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    epoch: StoreEpoch,
    position: Option<Position>,
    streams: Vec<StreamAppended>,
}

impl Receipt {
    /// A receipt. For stores. `position` is that of the last event, `None` when no event was appended.
    #[must_use]
    pub fn new(
        epoch: StoreEpoch,
        position: Option<Position>,
        streams: Vec<StreamAppended>,
    ) -> Self {
        Self {
            epoch,
            position,
            streams,
        }
    }

    /// Which life of the store the position belongs to.
    #[must_use]
    pub fn epoch(&self) -> StoreEpoch {
        self.epoch
    }

    /// The position of the last event; `None` when no event was appended.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// What became of each stream, in the order of the request.
    #[must_use]
    pub fn streams(&self) -> &[StreamAppended] {
        &self.streams
    }
}

/// What an append did to one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamAppended {
    stream: StreamId,
    first: Version,
    last: Version,
}

impl StreamAppended {
    /// The versions that the events got. For stores.
    #[must_use]
    pub fn new(stream: StreamId, first: Version, last: Version) -> Self {
        Self {
            stream,
            first,
            last,
        }
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The version of the first event of the append.
    #[must_use]
    pub fn first(&self) -> Version {
        self.first
    }

    /// The version of the last event of the append: the stream's version after it.
    #[must_use]
    pub fn last(&self) -> Version {
        self.last
    }
}
