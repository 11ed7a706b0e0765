//! [`Broken`]: a store around one in memory, which passes everything on, but for its fault.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uno_core::{
    AppendError, Checkpoint, CheckpointStore, CheckpointWrite, Commit, CommitError, Document,
    DocumentStore, DueTimers, EventStore, FindDocuments, FoundDocument, Head, HistoryRecord,
    InboxRecord, InboxStore, Lane, LaneAttempt, LaneClaim, LaneGrant, LaneRecord, LaneRelease,
    LeaseStore, Limits, LogPage, ParkedEvent, ParkedGroup, ParkedKey, ParkingRequest, ParkingStore,
    Position, ProcessRecord, ProcessStatus, ProcessStore, QueuedMessage, ReadLog, ReadStream,
    Receipt, RecordedEvent, Snapshot, StoreChange, StoreError, StreamAppend, StreamId,
    SubscriptionName, Timer, TimerStore, Transactional,
};
use uno_store_memory::{MemoryStore, MemoryTx};
use uuid::Uuid;

use super::{Fault, notes::Notes};

#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) inner: MemoryStore,
    pub(crate) fault: Fault,
    pub(crate) notes: Notes,
    /// Whether it was opened again.
    pub(crate) again: bool,
}

impl Broken {
    pub(crate) fn new(inner: MemoryStore, fault: Fault) -> Self {
        Self {
            inner,
            fault,
            notes: Notes::default(),
            again: false,
        }
    }

    pub(crate) fn reopened(mut self) -> Self {
        self.again = true;
        self
    }

    /// The store to be spoiled.
    pub(crate) fn inner(fault: Fault) -> MemoryStore {
        let builder = MemoryStore::builder();
        match fault {
            Fault::CutsLargePayloads => builder
                .limits(Limits::default().with_max_payload(usize::MAX))
                .build(),
            Fault::ScansToANumber | Fault::HeadIsTheCount => builder.gaps(7).build(),
            _ => builder.build(),
        }
    }

    /// Whether it has just this fault.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl EventStore for Broken {
    async fn migrate(&self) -> Result<(), StoreError> {
        self.migrate_again().await
    }

    async fn append(&self, streams: Vec<StreamAppend>) -> Result<Receipt, AppendError> {
        let mut commit = Commit::new();
        commit.appends = streams;
        match self.write(commit).await {
            Ok(receipt) => Ok(receipt),
            Err(CommitError::Append(error)) => Err(error),
            Err(other) => Err(AppendError::Store(StoreError::Backend(other.into()))),
        }
    }

    async fn read_stream(&self, read: ReadStream) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
        self.stretch(&read).await
    }

    async fn read_log(&self, read: ReadLog) -> Result<LogPage, StoreError> {
        self.page(&read).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.end().await
    }

    fn change(&self) -> StoreChange {
        self.inner.change()
    }

    async fn changed(&self, since: StoreChange) {
        match self.fault {
            Fault::NeverTellsOfChanges => std::future::pending().await,
            Fault::ForgetsTheMark => self.inner.changed(self.inner.change()).await,
            _ => self.inner.changed(since).await,
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Transactional for Broken {
    type Tx = MemoryTx;

    async fn commit(&self, commit: Commit<MemoryTx>) -> Result<Receipt, CommitError> {
        self.write(commit).await
    }

    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>, StoreError> {
        self.snapshot(stream).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DocumentStore for Broken {
    async fn load_documents(
        &self,
        collection: &str,
        keys: &[String],
    ) -> Result<Vec<Document>, StoreError> {
        self.documents(collection, keys).await
    }

    async fn scan_documents(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, StoreError> {
        self.scan(collection, after, limit).await
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<FoundDocument>, StoreError> {
        self.find(&find).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl CheckpointStore for Broken {
    async fn load_checkpoint(
        &self,
        subscription: &SubscriptionName,
        lane: Lane,
    ) -> Result<Option<Checkpoint>, StoreError> {
        self.checkpoint(subscription, lane).await
    }

    async fn save_checkpoint(&self, write: CheckpointWrite) -> Result<(), CommitError> {
        let mut commit = Commit::new();
        commit.checkpoints.push(write);
        self.write(commit).await.map(drop)
    }

    async fn list_checkpoints(
        &self,
    ) -> Result<Vec<(SubscriptionName, Lane, Checkpoint)>, StoreError> {
        self.checkpoints().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl LeaseStore for Broken {
    async fn claim_lanes(&self, claim: LaneClaim) -> Result<LaneGrant, StoreError> {
        self.claim(claim).await
    }

    async fn release_lanes(&self, release: LaneRelease) -> Result<(), StoreError> {
        self.release(release).await
    }

    async fn note_attempt(&self, attempt: LaneAttempt) -> Result<(), CommitError> {
        self.note_try(attempt).await
    }

    async fn reset_lanes(
        &self,
        subscription: &SubscriptionName,
        to: Checkpoint,
    ) -> Result<(), StoreError> {
        self.reset(subscription, to).await
    }

    async fn list_lanes(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<LaneRecord>, StoreError> {
        self.lanes(subscription).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ParkingStore for Broken {
    async fn list_parked(
        &self,
        subscription: &SubscriptionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, StoreError> {
        self.parked(subscription, after, limit).await
    }

    async fn parked_key(
        &self,
        subscription: &SubscriptionName,
        key: &str,
    ) -> Result<Option<ParkedKey>, StoreError> {
        self.parked_one(subscription, key).await
    }

    async fn parked_events(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, StoreError> {
        self.events_parked(subscription, key, after, limit).await
    }

    async fn parked_groups(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<ParkedGroup>, StoreError> {
        self.groups(subscription).await
    }

    async fn count_parked(&self, subscription: &SubscriptionName) -> Result<u64, StoreError> {
        self.parked_count(subscription).await
    }

    async fn request(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        request: ParkingRequest,
    ) -> Result<bool, StoreError> {
        self.ask(subscription, key, request).await
    }

    async fn request_all(
        &self,
        subscription: &SubscriptionName,
        fingerprint: &str,
        request: ParkingRequest,
    ) -> Result<u64, StoreError> {
        self.ask_all(subscription, fingerprint, request).await
    }

    async fn list_requests(
        &self,
        subscription: &SubscriptionName,
        limit: usize,
    ) -> Result<Vec<(Arc<str>, ParkingRequest)>, StoreError> {
        self.asked(subscription, limit).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ProcessStore for Broken {
    async fn load_processes(
        &self,
        process: &str,
        keys: &[String],
    ) -> Result<Vec<ProcessRecord>, StoreError> {
        self.processes(process, keys).await
    }

    async fn list_processes(
        &self,
        process: &str,
        statuses: &[ProcessStatus],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ProcessRecord>, StoreError> {
        self.listed(process, statuses, after, limit).await
    }

    async fn read_queue(
        &self,
        queue: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        self.queue(queue, after, limit).await
    }

    async fn read_queue_of(
        &self,
        queue: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        self.queue_of(queue, key, after, limit).await
    }

    async fn read_history(
        &self,
        process: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<HistoryRecord>, StoreError> {
        self.history(process, key, after, limit).await
    }

    async fn queue_depth(&self, queue: &str) -> Result<(u64, Option<DateTime<Utc>>), StoreError> {
        self.depth(queue).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl TimerStore for Broken {
    async fn due_timers(&self, process: &str, limit: usize) -> Result<DueTimers, StoreError> {
        self.due(process, limit).await
    }

    async fn list_timers(&self, process: &str, key: &str) -> Result<Vec<Timer>, StoreError> {
        self.timers(process, key).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl InboxStore for Broken {
    async fn load_inbox(
        &self,
        consumer: &str,
        ids: &[Uuid],
    ) -> Result<Vec<InboxRecord>, StoreError> {
        self.handled(consumer, ids).await
    }

    async fn prune_inbox(&self, consumer: &str, older_than: Duration) -> Result<u64, StoreError> {
        self.prune(consumer, older_than).await
    }
}

impl Broken {
    async fn migrate_again(&self) -> Result<(), StoreError> {
        match self.fault {
            Fault::MigratingForgets => {
                let head = self.inner.head().await?.position();
                self.notes.get().floor = Some(head);
            }
            Fault::MigratingBeginsAnotherLife => self.notes.stuck.store(true, Ordering::SeqCst),
            Fault::MigratingFailsWhenBusy => {
                let others = self.notes.busy.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                self.notes.busy.fetch_sub(1, Ordering::SeqCst);
                if others > 0 {
                    return Err(StoreError::Backend("the schema is being changed".into()));
                }
            }
            _ => {}
        }
        self.inner.migrate().await
    }
}
