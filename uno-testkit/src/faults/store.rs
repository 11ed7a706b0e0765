//! [`FaultStore`]: a store that fails by plan.

#![expect(
    clippy::future_not_send,
    reason = "whatever is a store is Send and Sync, and with it the futures here"
)]

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::pending,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::{sync::watch, time::sleep};
use uno_core::{
    AppendError, BoxError, Commit, CommitError, DocumentWrite, EventStore, ExpectedVersion, Head,
    LogPage, ReadLog, ReadStream, Receipt, RecordedEvent, Snapshot, Stale, StoreChange, StoreError,
    StreamAppend, StreamId, Transactional, Version,
};

use super::{Call, Fault, Faults};

/// A store that passes every call on to another, but for those that a plan of faults picks.
///
/// A clone is the same store, with the same plan and the same counts. To go on after a "crash", put a new one around the
/// store within, as a new process would.
pub struct FaultStore<B> {
    pub(crate) inner: Arc<B>,
    shared: Arc<Shared>,
}

struct Shared {
    faults: Mutex<Faults>,
    counts: Mutex<HashMap<Call, u64>>,
    /// Writes that were acknowledged as unknown, and are carried out before the next one.
    late: Mutex<VecDeque<Late>>,
    crashed: watch::Sender<bool>,
}

pub(crate) type Late = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is to be done with a call.
pub(crate) enum Plan {
    /// Pass it on.
    Go,
    /// Pass it on, and then die.
    GoAndCrash,
    /// A write is treated in its own way.
    Write(Fault),
}

impl<B> FaultStore<B> {
    /// `inner`, with these faults.
    #[must_use]
    pub fn new(inner: Arc<B>, faults: Faults) -> Self {
        let shared = Shared {
            faults: Mutex::new(faults),
            counts: Mutex::default(),
            late: Mutex::default(),
            crashed: watch::Sender::new(false),
        };
        Self {
            inner,
            shared: Arc::new(shared),
        }
    }

    /// The store within.
    #[must_use]
    pub fn inner(&self) -> &Arc<B> {
        &self.inner
    }

    /// Takes another plan from now on. Calls go on being counted.
    pub fn set(&self, faults: Faults) {
        *lock(&self.shared.faults) = faults;
    }

    /// How many calls of this kind there were.
    #[must_use]
    pub fn calls(&self, call: Call) -> u64 {
        lock(&self.shared.counts)
            .get(&call)
            .copied()
            .unwrap_or_default()
    }

    /// Whether the "process" has died.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        *self.shared.crashed.borrow()
    }

    /// Returns once the "process" has died. Dropping it is safe.
    pub async fn crashed(&self) {
        // Fails only when the sender is gone, and `self` holds it.
        let mut crashed = self.shared.crashed.subscribe();
        let _crashed = crashed.wait_for(|crashed| *crashed).await;
    }

    /// Counts a call and does what is planned for it before it is passed on.
    pub(crate) async fn before(&self, call: Call) -> Result<Plan, StoreError> {
        if self.has_crashed() {
            pending::<()>().await;
        }
        let number = {
            let mut counts = lock(&self.shared.counts);
            let count = counts.entry(call).or_default();
            *count += 1;
            *count
        };
        let fault = lock(&self.shared.faults).pick(call, number);
        match fault {
            None => Ok(Plan::Go),
            Some(Fault::Unavailable) => Err(unavailable(call)),
            Some(Fault::Broken) => Err(StoreError::Backend(planned(call))),
            Some(Fault::Delay(time)) => {
                sleep(time).await;
                Ok(Plan::Go)
            }
            Some(Fault::Panic) => panic!("a planned panic at {call:?}"),
            Some(Fault::CrashBefore) => self.crash().await,
            Some(Fault::CrashAfter) => Ok(Plan::GoAndCrash),
            Some(fault) => Ok(Plan::Write(fault)),
        }
    }

    /// As [`before`](Self::before), for a read.
    pub(crate) async fn before_read(&self, call: Call) -> Result<Plan, StoreError> {
        match self.before(call).await? {
            Plan::Write(_) => Err(unavailable(call)),
            plan => Ok(plan),
        }
    }

    /// What is planned for a call after it was passed on.
    pub(crate) async fn after<T>(&self, plan: Plan, result: T) -> T {
        match plan {
            Plan::GoAndCrash => self.crash().await,
            Plan::Go | Plan::Write(_) => result,
        }
    }

    async fn crash<T>(&self) -> T {
        self.shared.crashed.send_replace(true);
        pending().await
    }

    /// Carries out the writes that are late.
    pub(crate) async fn catch_up(&self) {
        loop {
            // Taken out before it is awaited, so that no lock is held meanwhile.
            let next = lock(&self.shared.late).pop_front();
            match next {
                Some(late) => late.await,
                None => return,
            }
        }
    }

    pub(crate) fn later(&self, late: Late) {
        lock(&self.shared.late).push_back(late);
    }
}

impl<B: EventStore> FaultStore<B> {
    /// A conflict of one of these streams, with the version that it really has.
    async fn conflict(&self, appends: &[StreamAppend]) -> Result<Option<AppendError>, StoreError> {
        let Some(append) = appends.first() else {
            return Ok(None);
        };
        let (stream, expected) = (append.stream().clone(), append.expected());
        let newest = self
            .inner
            .read_stream(ReadStream::backward(stream.clone()).limit(1))
            .await?;
        let version = newest
            .first()
            .map_or(Version::EMPTY, |event| event.version());
        // Whoever lost has lost to somebody: a version that fits would be no conflict.
        let actual = if expected.allows(version) && expected != ExpectedVersion::StreamExists {
            version.next()
        } else {
            version
        };
        Ok(Some(AppendError::Conflict {
            stream,
            expected,
            actual,
        }))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: EventStore> EventStore for FaultStore<B> {
    async fn migrate(&self) -> Result<(), StoreError> {
        let plan = self.before_read(Call::Migrate).await?;
        let result = self.inner.migrate().await;
        self.after(plan, result).await
    }

    async fn append(&self, streams: Vec<StreamAppend>) -> Result<Receipt, AppendError> {
        let plan = self.before(Call::Append).await?;
        self.catch_up().await;
        let fault = match plan {
            Plan::Write(fault) => fault,
            plan => {
                let result = self.inner.append(streams).await;
                return self.after(plan, result).await;
            }
        };
        match fault {
            Fault::UnknownStored => {
                self.inner.append(streams).await?;
            }
            Fault::UnknownLate => {
                let inner = Arc::clone(&self.inner);
                self.later(Box::pin(async move {
                    let _nobody_hears = inner.append(streams).await;
                }));
            }
            Fault::Conflict => {
                return Err(self
                    .conflict(&streams)
                    .await?
                    .unwrap_or_else(|| unavailable(Call::Append).into()));
            }
            _ => {}
        }
        Err(AppendError::Unknown(planned(Call::Append)))
    }

    async fn read_stream(&self, read: ReadStream) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
        let plan = self.before_read(Call::ReadStream).await?;
        let result = self.inner.read_stream(read).await;
        self.after(plan, result).await
    }

    async fn read_log(&self, read: ReadLog) -> Result<LogPage, StoreError> {
        let plan = self.before_read(Call::ReadLog).await?;
        let result = self.inner.read_log(read).await;
        self.after(plan, result).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let plan = self.before_read(Call::Head).await?;
        let result = self.inner.head().await;
        self.after(plan, result).await
    }

    fn change(&self) -> StoreChange {
        self.inner.change()
    }

    async fn changed(&self, since: StoreChange) {
        if self.has_crashed() {
            pending::<()>().await;
        }
        self.inner.changed(since).await;
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<B: Transactional> Transactional for FaultStore<B> {
    type Tx = B::Tx;

    async fn commit(&self, commit: Commit<B::Tx>) -> Result<Receipt, CommitError> {
        let plan = self.before(Call::Commit).await?;
        self.catch_up().await;
        let fault = match plan {
            Plan::Write(fault) => fault,
            plan => {
                let result = self.inner.commit(commit).await;
                return self.after(plan, result).await;
            }
        };
        match fault {
            Fault::UnknownStored => {
                self.inner.commit(commit).await?;
            }
            Fault::UnknownLate => {
                let inner = Arc::clone(&self.inner);
                self.later(Box::pin(async move {
                    let _nobody_hears = inner.commit(commit).await;
                }));
            }
            Fault::Conflict => {
                let stale = stale(&commit);
                // Only the appends go on from here: a commit can't be shared between threads, since work can't.
                let appends = commit.appends;
                return Err(match (self.conflict(&appends).await?, stale) {
                    (Some(conflict), _) => CommitError::Append(conflict),
                    (None, Some(stale)) => CommitError::Stale(stale),
                    (None, None) => unavailable(Call::Commit).into(),
                });
            }
            _ => {}
        }
        Err(CommitError::Append(AppendError::Unknown(planned(
            Call::Commit,
        ))))
    }

    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>, StoreError> {
        let plan = self.before_read(Call::LoadSnapshot).await?;
        let result = self.inner.load_snapshot(stream).await;
        self.after(plan, result).await
    }
}

/// What of a commit somebody else could have moved.
fn stale<Tx>(commit: &Commit<Tx>) -> Option<Stale> {
    if let Some(write) = commit.checkpoints.first() {
        return Some(Stale::Checkpoint(write.subscription().clone()));
    }
    if let Some(write) = commit.processes.first() {
        return Some(Stale::Process {
            process: write.process().to_owned(),
            key: write.key().to_owned(),
        });
    }
    let guarded = |write: &&DocumentWrite| write.expected_revision().is_some();
    if let Some(write) = commit.documents.iter().find(guarded) {
        return Some(Stale::Document {
            collection: write.collection().to_owned(),
            key: write.key().to_owned(),
        });
    }
    let acknowledgement = commit.acknowledgements.first()?;
    Some(Stale::Message {
        queue: acknowledgement.queue().to_owned(),
        id: acknowledgement.id(),
    })
}

pub(crate) fn unavailable(call: Call) -> StoreError {
    StoreError::Unavailable {
        location: String::from("a plan of faults"),
        source: planned(call),
    }
}

pub(crate) fn planned(call: Call) -> BoxError {
    format!("a planned fault at {call:?}").into()
}

/// A std mutex, since nothing is awaited while one of these is held. One that was poisoned by a planned panic is taken all the same.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B> Clone for FaultStore<B> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<B: fmt::Debug> fmt::Debug for FaultStore<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultStore")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
