//! [`ProcessStore`], the fourth tier: instances of processes, and queues of messages.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Metadata, Payload, StoreError};

/// Keeps the instances of processes (sagas) and queues of messages that wait to be handled. All are written in a
/// [`Commit`](crate::Commit).
///
/// # Contract
/// 1. A [`ProcessWrite`] takes effect only if the instance has the expected revision; else the whole commit is
///    [`Stale`](crate::Stale::Process). Revisions start at 1 and rise by 1.
/// 2. Messages of a queue are read in the order in which their commits took effect, and within a commit in its order.
///    Once a reader has seen a message, none appears before it.
/// 3. A message stays until it is acknowledged. Acknowledging one that is not there makes the whole commit
///    [`Stale`](crate::Stale::Message): a message is handled with effect once, however many try.
/// 4. A message id occurs once in a queue; adding it again while it is there is refused.
/// 5. The entries of history in a [`ProcessWrite`] are kept exactly if it takes effect, with the store's time, and are never
///    changed: one whose number is taken is not kept. Their numbers are the writer's, from 1 on, who has them from the record
///    that the revision guards.
#[async_trait]
pub trait ProcessStore: fmt::Debug + Send + Sync + 'static {
    /// The instances with these keys, as far as they exist, in any order.
    async fn load_processes(
        &self,
        process: &str,
        keys: &[String],
    ) -> Result<Vec<ProcessRecord>, StoreError>;

    /// The instances with one of these states (any, when empty), by key, after `after`, at most `limit`.
    async fn list_processes(
        &self,
        process: &str,
        statuses: &[ProcessStatus],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ProcessRecord>, StoreError>;

    /// The messages of a queue with a number above `after`, oldest first, at most `limit`.
    async fn read_queue(
        &self,
        queue: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError>;

    /// The messages of a queue with this key and a number above `after`, oldest first, at most `limit`.
    async fn read_queue_of(
        &self,
        queue: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError>;

    /// The history of an instance: the entries with a number above `after`, in order, at most `limit`.
    async fn read_history(
        &self,
        process: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<HistoryRecord>, StoreError>;

    /// How many messages wait in a queue, and since when the oldest does.
    async fn queue_depth(&self, queue: &str) -> Result<(u64, Option<DateTime<Utc>>), StoreError>;
}

const _: fn(&dyn ProcessStore) = |_| {};

/// How an instance of a process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProcessStatus {
    /// Under way.
    Running,
    /// Undoing what it did.
    Compensating,
    /// Ended as it was meant to.
    Completed,
    /// Ended with everything undone.
    Compensated,
    /// Waiting for a person: what it did can't be undone by itself.
    Stuck,
    /// Waiting for a person: an input could not be handled, and what comes later waits behind it.
    Parked,
    /// Ended by a person, with whatever was done left as it was.
    Cancelled,
}

impl ProcessStatus {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Running,
        Self::Compensating,
        Self::Completed,
        Self::Compensated,
        Self::Stuck,
        Self::Parked,
        Self::Cancelled,
    ];

    /// How it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Compensating => "compensating",
            Self::Completed => "completed",
            Self::Compensated => "compensated",
            Self::Stuck => "stuck",
            Self::Parked => "parked",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state that is stored as this text.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether it has come to its end.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Compensated | Self::Cancelled)
    }
}

impl fmt::Display for ProcessStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An instance of a process as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessRecord {
    key: String,
    revision: u64,
    status: ProcessStatus,
    body: Payload,
}

impl ProcessRecord {
    /// An instance. For stores.
    #[must_use]
    pub fn new(key: String, revision: u64, status: ProcessStatus, body: Payload) -> Self {
        Self {
            key,
            revision,
            status,
            body,
        }
    }

    /// Which instance.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How often it was saved.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> ProcessStatus {
        self.status
    }

    /// What the engine remembers of it.
    #[must_use]
    pub fn body(&self) -> &Payload {
        &self.body
    }
}

/// A save of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessWrite {
    process: String,
    key: String,
    expected_revision: u64,
    status: ProcessStatus,
    body: Payload,
    first_entry: u64,
    history: Vec<Payload>,
}

impl ProcessWrite {
    /// Saves an instance that has `expected_revision` now; 0 when it is new.
    #[must_use]
    pub fn new(
        process: impl Into<String>,
        key: impl Into<String>,
        expected_revision: u64,
        status: ProcessStatus,
        body: Payload,
    ) -> Self {
        Self {
            process: process.into(),
            key: key.into(),
            expected_revision,
            status,
            body,
            first_entry: 0,
            history: Vec::new(),
        }
    }

    /// The same, adding these entries to the instance's history, numbered from `first` on, which is at least 1.
    #[must_use]
    pub fn with_history(mut self, first: u64, entries: Vec<Payload>) -> Self {
        self.first_entry = first;
        self.history = entries;
        self
    }

    /// Of which process.
    #[must_use]
    pub fn process(&self) -> &str {
        &self.process
    }

    /// Which instance.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The revision it must have now; 0 when it must not exist.
    #[must_use]
    pub fn expected_revision(&self) -> u64 {
        self.expected_revision
    }

    /// How it stands from now on.
    #[must_use]
    pub fn status(&self) -> ProcessStatus {
        self.status
    }

    /// What the engine remembers of it.
    #[must_use]
    pub fn body(&self) -> &Payload {
        &self.body
    }

    /// The number of the first entry of [`history`](Self::history).
    #[must_use]
    pub fn first_entry(&self) -> u64 {
        self.first_entry
    }

    /// What is added to the instance's history.
    #[must_use]
    pub fn history(&self) -> &[Payload] {
        &self.history
    }
}

/// An entry in the history of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRecord {
    number: u64,
    recorded_at: DateTime<Utc>,
    entry: Payload,
}

impl HistoryRecord {
    /// An entry. For stores.
    #[must_use]
    pub fn new(number: u64, recorded_at: DateTime<Utc>, entry: Payload) -> Self {
        Self {
            number,
            recorded_at,
            entry,
        }
    }

    /// Its place in the history.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When it was recorded, by the store's clock.
    #[must_use]
    pub fn recorded_at(&self) -> DateTime<Utc> {
        self.recorded_at
    }

    /// What it says.
    #[must_use]
    pub fn entry(&self) -> &Payload {
        &self.entry
    }
}

/// A message to be added to a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    queue: String,
    id: Uuid,
    key: String,
    name: String,
    payload: Payload,
    metadata: Metadata,
}

impl NewMessage {
    /// A message. Those with the same `key` are handled one after the other.
    #[must_use]
    pub fn new(
        queue: impl Into<String>,
        id: Uuid,
        key: impl Into<String>,
        name: impl Into<String>,
        payload: Payload,
        metadata: Metadata,
    ) -> Self {
        Self {
            queue: queue.into(),
            id,
            key: key.into(),
            name: name.into(),
            payload,
            metadata,
        }
    }

    /// To which queue.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// Its id, by which it is acknowledged.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What it is ordered by.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What kind of message it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// What it goes back to.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

/// A message in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedMessage {
    number: u64,
    message: NewMessage,
    enqueued_at: DateTime<Utc>,
}

impl QueuedMessage {
    /// A message in its place. For stores. Numbers rise along the queue, with holes.
    #[must_use]
    pub fn new(number: u64, message: NewMessage, enqueued_at: DateTime<Utc>) -> Self {
        Self {
            number,
            message,
            enqueued_at,
        }
    }

    /// Its place in the queue.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &NewMessage {
        &self.message
    }

    /// Since when it waits.
    #[must_use]
    pub fn enqueued_at(&self) -> DateTime<Utc> {
        self.enqueued_at
    }
}

/// Takes a message off its queue: it has been handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    queue: String,
    id: Uuid,
}

impl Acknowledgement {
    /// Acknowledges the message with this id.
    #[must_use]
    pub fn new(queue: impl Into<String>, id: Uuid) -> Self {
        Self {
            queue: queue.into(),
            id,
        }
    }

    /// In which queue.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// Which message.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }
}
