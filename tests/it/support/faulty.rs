//! [`Faulty`]: a store that fails as it is told to.

mod subscriptions;

use std::{
    fmt,
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use uno_core::{
    AppendError, Backend, Commit, CommitError, Document, DocumentStore, DueTimers, EventStore,
    ExpectedVersion, FindDocuments, FoundDocument, Head, HistoryRecord, InboxRecord, InboxStore,
    LogPage, ProcessRecord, ProcessStatus, ProcessStore, QueuedMessage, ReadLog, ReadStream,
    Receipt, RecordedEvent, Snapshot, Stale, StoreChange, StoreError, StreamAppend, StreamId,
    Timer, TimerStore, Transactional, Version,
};
use uuid::Uuid;

/// What goes wrong with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Somebody else was faster, says the store.
    Conflict,
    /// The store can't be reached.
    Unavailable,
    /// The link is lost after the commit was carried out.
    UnknownDone,
    /// The link is lost before the commit was carried out.
    UnknownLost,
    /// The link is lost, and the commit is carried out a little later: just before the next one.
    UnknownLate,
    /// The process dies before the commit is carried out.
    DiesBefore,
    /// The process dies after the commit was carried out.
    DiesAfter,
    /// The store panics, which it should not.
    Panics,
}

impl Fault {
    /// What a sound store can do to a sound process.
    pub(crate) const ALL: [Self; 7] = [
        Self::Conflict,
        Self::Unavailable,
        Self::UnknownDone,
        Self::UnknownLost,
        Self::UnknownLate,
        Self::DiesBefore,
        Self::DiesAfter,
    ];

    /// Whether nothing happens after it any more.
    pub(crate) fn is_death(self) -> bool {
        matches!(self, Self::DiesBefore | Self::DiesAfter)
    }
}

/// Which fault befalls the commit with this number, counted from 1.
type Plan = Box<dyn FnMut(usize) -> Option<Fault> + Send>;

/// One process's view of a store: commits fail as they are told to. When the process is to die, nothing that it calls
/// returns any more, and [`died`](Self::died) does.
pub(crate) struct Faulty<B: Backend> {
    inner: Arc<B>,
    plan: Mutex<Plan>,
    late: tokio::sync::Mutex<Vec<Commit<B::Tx>>>,
    commits: AtomicUsize,
    reads_fail: AtomicUsize,
    dead: watch::Sender<bool>,
}

impl<B: Backend> Faulty<B> {
    pub(crate) fn new(
        inner: &Arc<B>,
        plan: impl FnMut(usize) -> Option<Fault> + Send + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            plan: Mutex::new(Box::new(plan)),
            late: tokio::sync::Mutex::new(Vec::new()),
            commits: AtomicUsize::new(0),
            reads_fail: AtomicUsize::new(0),
            dead: watch::Sender::new(false),
        })
    }

    /// Only the commit with this number fails.
    pub(crate) fn at(inner: &Arc<B>, number: usize, fault: Fault) -> Arc<Self> {
        Self::new(inner, move |now| (now == number).then_some(fault))
    }

    /// Nothing fails.
    pub(crate) fn sound(inner: &Arc<B>) -> Arc<Self> {
        Self::new(inner, |_| None)
    }

    /// How many commits were asked for.
    pub(crate) fn commits(&self) -> usize {
        self.commits.load(Ordering::Relaxed)
    }

    /// So many reads from now on find the store away.
    pub(crate) fn fail_reads(&self, count: usize) {
        self.reads_fail.store(count, Ordering::Relaxed);
    }

    /// Returns once the process has died.
    pub(crate) async fn died(&self) {
        self.dead.subscribe().wait_for(|dead| *dead).await.unwrap();
    }

    /// Carries out what was late.
    pub(crate) async fn catch_up(&self) {
        for commit in self.late.lock().await.drain(..) {
            // It may be too late by now: then it fails as any other.
            let _ = self.inner.commit(commit).await;
        }
    }

    async fn alive(&self) {
        if *self.dead.borrow() {
            pending::<()>().await;
        }
    }

    async fn read(&self) -> Result<(), StoreError> {
        self.alive().await;
        // The await is what a real store has, and where a real caller is dropped.
        tokio::task::yield_now().await;
        let less = |left: usize| left.checked_sub(1);
        match self
            .reads_fail
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        {
            Ok(_) => Err(away()),
            Err(_) => Ok(()),
        }
    }

    async fn die(&self) -> ! {
        self.dead.send_replace(true);
        pending().await
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn away() -> StoreError {
    StoreError::Unavailable {
        location: "test".to_owned(),
        source: "away".into(),
    }
}

fn unknown() -> CommitError {
    AppendError::Unknown("the link is lost".into()).into()
}

/// What is told when somebody else was faster, by what is in the commit.
fn conflict<Tx>(commit: &Commit<Tx>) -> CommitError {
    if let Some(append) = commit.appends.first() {
        let conflict = AppendError::Conflict {
            stream: append.stream().clone(),
            expected: append.expected(),
            actual: Version::MAX,
        };
        return conflict.into();
    }
    if let Some((stream, version)) = commit.unchanged.first() {
        let conflict = AppendError::Conflict {
            stream: stream.clone(),
            expected: ExpectedVersion::Exact(*version),
            actual: Version::MAX,
        };
        return conflict.into();
    }
    if let Some(write) = commit.processes.first() {
        return CommitError::Stale(Stale::Process {
            process: write.process().to_owned(),
            key: write.key().to_owned(),
        });
    }
    let mut guarded = commit.documents.iter();
    if let Some(write) = guarded.find(|write| write.expected_revision().is_some()) {
        return CommitError::Stale(Stale::Document {
            collection: write.collection().to_owned(),
            key: write.key().to_owned(),
        });
    }
    match commit.checkpoints.first() {
        Some(write) => CommitError::Stale(Stale::Checkpoint(write.subscription().clone())),
        // A store that said so of a message that is there would lie.
        None => away().into(),
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Backend> Transactional for Faulty<B> {
    type Tx = B::Tx;

    async fn commit(&self, commit: Commit<B::Tx>) -> Result<Receipt, CommitError> {
        self.alive().await;
        tokio::task::yield_now().await;
        self.catch_up().await;
        let number = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        let fault = (self.plan())(number);
        match fault {
            None => self.inner.commit(commit).await,
            Some(Fault::Conflict) => Err(conflict(&commit)),
            Some(Fault::Unavailable) => Err(away().into()),
            Some(Fault::UnknownLost) => Err(unknown()),
            Some(Fault::UnknownDone) => {
                self.inner.commit(commit).await?;
                Err(unknown())
            }
            Some(Fault::UnknownLate) => {
                self.late.lock().await.push(commit);
                Err(unknown())
            }
            Some(Fault::DiesBefore) => self.die().await,
            Some(Fault::Panics) => panic!("as asked"),
            Some(Fault::DiesAfter) => {
                let _ = self.inner.commit(commit).await;
                self.die().await
            }
        }
    }

    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>, StoreError> {
        self.read().await?;
        self.inner.load_snapshot(stream).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Backend> EventStore for Faulty<B> {
    async fn migrate(&self) -> Result<(), StoreError> {
        self.inner.migrate().await
    }

    async fn append(&self, streams: Vec<StreamAppend>) -> Result<Receipt, AppendError> {
        self.alive().await;
        self.inner.append(streams).await
    }

    async fn read_stream(&self, read: ReadStream) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
        self.read().await?;
        self.inner.read_stream(read).await
    }

    async fn read_log(&self, read: ReadLog) -> Result<LogPage, StoreError> {
        self.read().await?;
        self.inner.read_log(read).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.alive().await;
        self.inner.head().await
    }

    fn change(&self) -> StoreChange {
        self.inner.change()
    }

    async fn changed(&self, since: StoreChange) {
        self.alive().await;
        self.inner.changed(since).await;
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Backend> DocumentStore for Faulty<B> {
    async fn load_documents(
        &self,
        collection: &str,
        keys: &[String],
    ) -> Result<Vec<Document>, StoreError> {
        self.read().await?;
        self.inner.load_documents(collection, keys).await
    }

    async fn scan_documents(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, StoreError> {
        self.read().await?;
        self.inner.scan_documents(collection, after, limit).await
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<FoundDocument>, StoreError> {
        self.read().await?;
        self.inner.find_documents(find).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Backend> ProcessStore for Faulty<B> {
    async fn load_processes(
        &self,
        process: &str,
        keys: &[String],
    ) -> Result<Vec<ProcessRecord>, StoreError> {
        self.read().await?;
        self.inner.load_processes(process, keys).await
    }

    async fn list_processes(
        &self,
        process: &str,
        statuses: &[ProcessStatus],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ProcessRecord>, StoreError> {
        self.read().await?;
        self.inner
            .list_processes(process, statuses, after, limit)
            .await
    }

    async fn read_queue(
        &self,
        queue: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        self.read().await?;
        self.inner.read_queue(queue, after, limit).await
    }

    async fn read_queue_of(
        &self,
        queue: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        self.read().await?;
        self.inner.read_queue_of(queue, key, after, limit).await
    }

    async fn read_history(
        &self,
        process: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<HistoryRecord>, StoreError> {
        self.read().await?;
        self.inner.read_history(process, key, after, limit).await
    }

    async fn queue_depth(&self, queue: &str) -> Result<(u64, Option<DateTime<Utc>>), StoreError> {
        self.alive().await;
        self.inner.queue_depth(queue).await
    }
}

#[async_trait]
impl<B: Backend> TimerStore for Faulty<B> {
    async fn due_timers(&self, process: &str, limit: usize) -> Result<DueTimers, StoreError> {
        self.read().await?;
        self.inner.due_timers(process, limit).await
    }

    async fn list_timers(&self, process: &str, key: &str) -> Result<Vec<Timer>, StoreError> {
        self.read().await?;
        self.inner.list_timers(process, key).await
    }
}

#[async_trait]
impl<B: Backend> InboxStore for Faulty<B> {
    async fn load_inbox(
        &self,
        consumer: &str,
        ids: &[Uuid],
    ) -> Result<Vec<InboxRecord>, StoreError> {
        self.read().await?;
        self.inner.load_inbox(consumer, ids).await
    }

    async fn prune_inbox(&self, consumer: &str, older_than: Duration) -> Result<u64, StoreError> {
        self.read().await?;
        self.inner.prune_inbox(consumer, older_than).await
    }
}

impl<B: Backend> fmt::Debug for Faulty<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
