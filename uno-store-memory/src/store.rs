//! [`MemoryStore`]: the store itself, and its log.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::{self, watch};
use uno_core::{
    AppendError, Clock, Commit, CommitError, Document, DocumentStore, DueTimers, EventStore,
    FindDocuments, FoundDocument, Head, HistoryRecord, InboxRecord, InboxStore, Limits, LogPage,
    ProcessRecord, ProcessStatus, ProcessStore, QueuedMessage, ReadLog, ReadStream, Receipt,
    RecordedEvent, Snapshot, StoreChange, StoreEpoch, StoreError, StreamAppend, StreamId, Timer,
    TimerStore, truncate_to_micros,
};
use uuid::Uuid;

use crate::{MemoryStoreBuilder, MemoryTx, log::Log, nesting, state::State, tx::Rows};

/// A store in memory. A clone is the same store.
///
/// It implements every port of `uno-core`, so it is a [`Backend`](uno_core::Backend).
///
/// # Design
///
/// One lock guards everything, and a commit is carried out under it in one go: first every part is checked, then every
/// part is changed. So it is plain to see that a commit is atomic, that there is one order, and that a reader sees
/// whole commits only. It is a `std` mutex, since nothing is awaited while it is held.
///
/// The caller's own work is awaited, so it runs without that lock, on changes that are set aside; the work of one commit
/// at a time. Appends, and commits without work, do not wait for it.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    epoch: StoreEpoch,
    clock: Arc<dyn Clock>,
    limits: Limits,
    state: Mutex<State>,
    /// Held by the commit whose work runs, until it is done. An async mutex, since work is awaited.
    working: sync::Mutex<()>,
    /// Counts commits.
    changes: watch::Sender<u64>,
}

impl MemoryStore {
    /// An empty store, with the clock of the operating system.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Starts a store with a clock, limits or holes of your choice.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder::new()
    }

    pub(crate) fn with(clock: Arc<dyn Clock>, limits: Limits, log: Log) -> Self {
        let epoch = StoreEpoch::new();
        Self {
            shared: Arc::new(Shared {
                epoch,
                clock,
                limits,
                state: Mutex::new(State::new(epoch, log)),
                working: sync::Mutex::const_new(()),
                changes: watch::Sender::new(0),
            }),
        }
    }

    /// A row that the work of a commit has written, if it exists.
    #[must_use]
    pub fn row(&self, table: &str, key: &str) -> Option<String> {
        self.state().records.row(table, key).cloned()
    }

    /// All rows of a table, by key.
    #[must_use]
    pub fn rows(&self, table: &str) -> BTreeMap<String, String> {
        self.state().records.rows(table)
    }

    pub(crate) fn document(&self, collection: &str, key: &str) -> Option<Document> {
        self.state().records.document(collection, key)
    }

    pub(crate) fn snapshot(&self, stream: &StreamId) -> Option<Snapshot> {
        self.state().records.snapshot(stream).cloned()
    }

    pub(crate) fn epoch(&self) -> StoreEpoch {
        self.shared.epoch
    }

    pub(crate) fn limits(&self) -> Limits {
        self.shared.limits
    }

    /// The right to run the work of a commit.
    pub(crate) async fn turn(&self) -> sync::MutexGuard<'_, ()> {
        self.shared.working.lock().await
    }

    /// Carries out a commit whose work is done, and tells those who wait for a change.
    pub(crate) fn carry_out(
        &self,
        commit: Commit<MemoryTx>,
        rows: Rows,
    ) -> Result<Receipt, CommitError> {
        // Commits that overtake each other here are put right by the log.
        let now = self.now();
        let receipt = self.state().carry_out(commit, rows, now)?;
        self.tell();
        Ok(receipt)
    }

    /// Tells those who wait for a change.
    pub(crate) fn tell(&self) {
        self.shared.changes.send_modify(|number| *number += 1);
    }

    /// The time. Never asked under the lock, since the clock is not ours.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        truncate_to_micros(self.shared.clock.now())
    }

    /// A lock that was poisoned is taken all the same: nothing panics between a first and a last change.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows how much is stored, not what.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("epoch", &self.shared.epoch)
            .field("events", &self.state().log.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl EventStore for MemoryStore {
    /// There is nothing to make ready.
    async fn migrate(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn append(&self, streams: Vec<StreamAppend>) -> Result<Receipt, AppendError> {
        nesting::refuse(self.epoch())?;
        self.shared
            .limits
            .check_appends(&streams)
            .map_err(AppendError::Refused)?;
        let mut commit = Commit::new();
        commit.appends = streams;
        match self.carry_out(commit, Rows::new()) {
            Ok(receipt) => Ok(receipt),
            Err(CommitError::Append(error)) => Err(error),
            // A commit of nothing but events has nothing else that can fail.
            Err(other) => Err(AppendError::Store(StoreError::Backend(other.into()))),
        }
    }

    async fn read_stream(&self, read: ReadStream) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
        Ok(self.state().log.read_stream(&read))
    }

    async fn read_log(&self, read: ReadLog) -> Result<LogPage, StoreError> {
        Ok(self.state().log.read_log(&read))
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let last = self
            .state()
            .log
            .last()
            .map(|event| (event.position(), event.id()));
        Ok(Head::new(self.shared.epoch, last))
    }

    fn change(&self) -> StoreChange {
        StoreChange::new(*self.shared.changes.borrow())
    }

    async fn changed(&self, since: StoreChange) {
        let mut changes = self.shared.changes.subscribe();
        // Fails only when the sender is gone, and `self` holds it.
        let _told = changes.wait_for(|number| *number > since.get()).await;
    }
}

#[async_trait]
impl DocumentStore for MemoryStore {
    async fn load_documents(
        &self,
        collection: &str,
        keys: &[String],
    ) -> Result<Vec<Document>, StoreError> {
        let keys: BTreeSet<&String> = keys.iter().collect();
        let state = self.state();
        Ok(keys
            .into_iter()
            .filter_map(|key| state.records.document(collection, key))
            .collect())
    }

    async fn scan_documents(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, StoreError> {
        Ok(self
            .state()
            .records
            .scan_documents(collection, after, limit))
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<FoundDocument>, StoreError> {
        Ok(self.state().records.find_documents(&find))
    }
}

#[async_trait]
impl ProcessStore for MemoryStore {
    async fn load_processes(
        &self,
        process: &str,
        keys: &[String],
    ) -> Result<Vec<ProcessRecord>, StoreError> {
        let keys: BTreeSet<&String> = keys.iter().collect();
        let state = self.state();
        Ok(keys
            .into_iter()
            .filter_map(|key| state.records.process(process, key))
            .collect())
    }

    async fn list_processes(
        &self,
        process: &str,
        statuses: &[ProcessStatus],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ProcessRecord>, StoreError> {
        Ok(self
            .state()
            .records
            .list_processes(process, statuses, after, limit))
    }

    async fn read_queue(
        &self,
        queue: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        Ok(self.state().queues.read(queue, after, limit))
    }

    async fn read_queue_of(
        &self,
        queue: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        Ok(self.state().queues.read_of(queue, key, after, limit))
    }

    async fn read_history(
        &self,
        process: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<HistoryRecord>, StoreError> {
        Ok(self.state().records.history(process, key, after, limit))
    }

    async fn queue_depth(&self, queue: &str) -> Result<(u64, Option<DateTime<Utc>>), StoreError> {
        Ok(self.state().queues.depth(queue))
    }
}

#[async_trait]
impl TimerStore for MemoryStore {
    async fn due_timers(&self, process: &str, limit: usize) -> Result<DueTimers, StoreError> {
        let now = self.now();
        Ok(self.state().timers.due(process, now, limit))
    }

    async fn list_timers(&self, process: &str, key: &str) -> Result<Vec<Timer>, StoreError> {
        Ok(self.state().timers.of(process, key))
    }
}

#[async_trait]
impl InboxStore for MemoryStore {
    async fn load_inbox(
        &self,
        consumer: &str,
        ids: &[Uuid],
    ) -> Result<Vec<InboxRecord>, StoreError> {
        Ok(self.state().inbox.load(consumer, ids))
    }

    async fn prune_inbox(&self, consumer: &str, older_than: Duration) -> Result<u64, StoreError> {
        let now = self.now();
        Ok(self.state().inbox.prune(consumer, older_than, now))
    }
}
