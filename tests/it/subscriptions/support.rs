//! Events, handlers and a store that fails on demand.
//!
//! Long because the store hands on every call of six ports.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use uno_core::{
    AppendError, BoxError, Checkpoint, CheckpointStore, CheckpointWrite, Clock, CommitError,
    Envelope, Event, EventSet, EventStore, EventStoreExt, ExpectedVersion, Head, Lane, LaneAttempt,
    LaneClaim, LaneGrant, LaneRecord, LaneRelease, LeaseStore, LogPage, ParkedEvent, ParkedGroup,
    ParkedKey, ParkingRequest, ParkingStore, Position, ReadLog, ReadStream, Receipt, RecordedEvent,
    StoreChange, StoreError, StreamAppend, SubscriptionName, SubscriptionStore,
};
use uno_events::{
    EventHandler, Group, Replay, RetryPolicy, StopReason, Subscription, SubscriptionManager,
    SubscriptionState, SubscriptionStatus,
};
use uno_store_memory::MemoryStore;

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Noted {
    pub(crate) n: u32,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Ignored {
    pub(crate) n: u32,
}

/// Has the stored name of [`Noted`], but not its shape.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[event(name = "noted")]
pub(crate) struct Mangled {
    pub(crate) text: String,
}

pub(crate) fn name(name: &str) -> SubscriptionName {
    SubscriptionName::new(name).unwrap()
}

pub(crate) fn group(name: &str) -> Group {
    name.into()
}

/// Retries that take no noticeable time.
pub(crate) fn quick() -> RetryPolicy {
    RetryPolicy::new().base(Duration::from_millis(1))
}

pub(crate) async fn append<E: EventSet>(store: &dyn EventStore, events: &[E]) -> Receipt {
    store
        .append_events("thing-1".parse().unwrap(), ExpectedVersion::Any, events)
        .await
        .unwrap()
}

pub(crate) async fn note(
    store: &dyn EventStore,
    numbers: impl IntoIterator<Item = u32>,
) -> Receipt {
    let events: Vec<Noted> = numbers.into_iter().map(|n| Noted { n }).collect();
    append(store, &events).await
}

/// Appends to a stream of its own.
pub(crate) async fn note_in(store: &dyn EventStore, stream: &str, n: u32) -> Receipt {
    store
        .append_events(
            stream.parse().unwrap(),
            ExpectedVersion::Any,
            &[Noted { n }],
        )
        .await
        .unwrap()
}

pub(crate) async fn ignore(
    store: &dyn EventStore,
    numbers: impl IntoIterator<Item = u32>,
) -> Receipt {
    let events: Vec<Ignored> = numbers.into_iter().map(|n| Ignored { n }).collect();
    append(store, &events).await
}

/// What was handled, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<u32>>>);

impl Seen {
    pub(crate) fn push(&self, n: u32) {
        self.0.lock().unwrap().push(n);
    }

    pub(crate) fn all(&self) -> Vec<u32> {
        self.0.lock().unwrap().clone()
    }

    /// A subscription that notes what it handles.
    pub(crate) fn subscription(&self, subscription: &str) -> Subscription {
        Subscription::handler(name(subscription), Replay::Safe, Noter(self.clone())).retry(quick())
    }
}

struct Noter(Seen);

impl EventHandler<Noted> for Noter {
    async fn handle(&self, event: &Envelope<Noted>) -> Result<(), BoxError> {
        self.0.push(event.event().n);
        Ok(())
    }
}

/// A handler that fails, or panics, at certain numbers until it is mended.
#[derive(Clone, Default)]
pub(crate) struct Fragile {
    pub(crate) seen: Seen,
    /// Every call, also those that fail.
    pub(crate) calls: Seen,
    failing: Arc<Mutex<Vec<u32>>>,
    pub(crate) panics: Arc<AtomicBool>,
}

impl Fragile {
    pub(crate) fn at(numbers: impl IntoIterator<Item = u32>) -> Self {
        let fragile = Self::default();
        fragile.failing.lock().unwrap().extend(numbers);
        fragile
    }

    pub(crate) fn mend(&self) {
        self.failing.lock().unwrap().clear();
    }

    pub(crate) fn mend_only(&self, number: u32) {
        self.failing.lock().unwrap().retain(|n| *n != number);
    }

    pub(crate) fn subscription(&self, subscription: &str) -> Subscription {
        self.parking(subscription).no_parking()
    }

    /// One that parks.
    pub(crate) fn parking(&self, subscription: &str) -> Subscription {
        Subscription::handler(name(subscription), Replay::Safe, self.clone()).retry(quick())
    }
}

impl EventHandler<Noted> for Fragile {
    async fn handle(&self, event: &Envelope<Noted>) -> Result<(), BoxError> {
        let n = event.event().n;
        self.calls.push(n);
        let fails = self.failing.lock().unwrap().contains(&n);
        if fails && self.panics.load(Ordering::Relaxed) {
            panic!("at {n}");
        }
        if fails {
            return Err(format!("can't note {n}").into());
        }
        self.seen.push(n);
        Ok(())
    }
}

/// Lets a handler through when it is told to.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    entered: Arc<Notify>,
    open: watch::Sender<bool>,
}

impl Gate {
    pub(crate) fn closed() -> Self {
        Self {
            entered: Arc::default(),
            open: watch::Sender::new(false),
        }
    }

    /// For the handler: waits until the gate is open.
    pub(crate) async fn pass(&self) {
        self.entered.notify_one();
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
    }

    /// For the test: waits until a handler is at the gate.
    pub(crate) async fn entered(&self) {
        self.entered.notified().await;
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }
}

/// The store in memory, which fails, hangs and counts as it is told.
#[derive(Clone, Default)]
pub(crate) struct TestStore {
    inner: MemoryStore,
    faults: Arc<Faults>,
}

#[derive(Default)]
pub(crate) struct Faults {
    /// How many of the next reads of the log fail for now.
    pub(crate) unavailable: AtomicU32,
    /// How many of the next reads of the log fail for good.
    pub(crate) corrupt: AtomicU32,
    /// How many of the next claims of lanes fail for now.
    pub(crate) claims_unavailable: AtomicU32,
    /// So many claims are made, and nobody hears of it.
    pub(crate) claims_unheard: AtomicU32,
    /// How many of the next saves of a checkpoint fail for now.
    pub(crate) saves_unavailable: AtomicU32,
    /// How many of the next saves of a checkpoint take effect, but say that this is not known.
    pub(crate) saves_unknown: AtomicU32,
    /// Whether commits are told of.
    pub(crate) silent: AtomicBool,
    /// Whether reads of the log panic.
    pub(crate) panics: AtomicBool,
    /// Whether nothing about leases gets through any more, as from a process that has died.
    pub(crate) cut_off: AtomicBool,
    pub(crate) claims: AtomicUsize,
    /// How often it was asked for requests.
    pub(crate) requests_listed: AtomicUsize,
    pub(crate) reads: AtomicUsize,
    pub(crate) saves: AtomicUsize,
    pub(crate) events_read: AtomicUsize,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A store with holes between positions.
    pub(crate) fn with_gaps(seed: u64) -> Self {
        Self {
            inner: MemoryStore::builder().gaps(seed).build(),
            faults: Arc::default(),
        }
    }

    /// A store whose clock is that of the runtime: in a test with paused time, leases run out without anybody waiting.
    pub(crate) fn timed() -> Self {
        Self {
            inner: MemoryStore::builder()
                .clock(Arc::new(TokioClock::new()))
                .build(),
            faults: Arc::default(),
        }
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    pub(crate) fn memory(&self) -> &MemoryStore {
        &self.inner
    }

    pub(crate) fn manager(&self) -> SubscriptionManager {
        SubscriptionManager::new(self.events(), self.checkpoints())
    }

    pub(crate) fn events(&self) -> Arc<dyn EventStore> {
        Arc::new(self.clone())
    }

    pub(crate) fn checkpoints(&self) -> Arc<dyn SubscriptionStore> {
        Arc::new(self.clone())
    }

    /// The same store, with faults of its own: as another process sees it.
    pub(crate) fn elsewhere(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            faults: Arc::default(),
        }
    }

    pub(crate) async fn checkpoint(&self, subscription: &str) -> Option<u64> {
        let saved = self
            .inner
            .load_checkpoint(&name(subscription), Lane::FIRST)
            .await
            .unwrap();
        saved.map(|checkpoint| checkpoint.position().get())
    }
}

/// Goes with the runtime's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokioClock(DateTime<Utc>, Instant);

impl TokioClock {
    pub(crate) fn new() -> Self {
        Self("2026-01-01T00:00:00Z".parse().unwrap(), Instant::now())
    }
}

impl Clock for TokioClock {
    fn now(&self) -> DateTime<Utc> {
        self.0 + self.1.elapsed()
    }
}

/// Takes one of what is left, if anything is.
pub(crate) fn take(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
        .is_ok()
}

fn unavailable() -> StoreError {
    StoreError::Unavailable {
        location: "test".into(),
        source: "down".into(),
    }
}

impl fmt::Debug for TestStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl EventStore for TestStore {
    async fn migrate(&self) -> Result<(), StoreError> {
        self.inner.migrate().await
    }

    async fn append(&self, streams: Vec<StreamAppend>) -> Result<Receipt, AppendError> {
        self.inner.append(streams).await
    }

    async fn read_stream(&self, read: ReadStream) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
        self.inner.read_stream(read).await
    }

    async fn read_log(&self, read: ReadLog) -> Result<LogPage, StoreError> {
        assert!(
            !self.faults.panics.load(Ordering::Relaxed),
            "the store panics"
        );
        if take(&self.faults.unavailable) {
            return Err(unavailable());
        }
        if take(&self.faults.corrupt) {
            return Err(StoreError::Corrupt {
                what: "test".into(),
            });
        }
        self.faults.reads.fetch_add(1, Ordering::Relaxed);
        let page = self.inner.read_log(read).await?;
        self.faults
            .events_read
            .fetch_add(page.events().len(), Ordering::Relaxed);
        // So that reads of several tasks can come between one another.
        tokio::task::yield_now().await;
        Ok(page)
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.inner.head().await
    }

    fn change(&self) -> StoreChange {
        if self.faults.silent.load(Ordering::Relaxed) {
            return StoreChange::default();
        }
        self.inner.change()
    }

    async fn changed(&self, since: StoreChange) {
        if self.faults.silent.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.inner.changed(since).await;
    }
}

#[async_trait]
impl CheckpointStore for TestStore {
    async fn load_checkpoint(
        &self,
        subscription: &SubscriptionName,
        lane: Lane,
    ) -> Result<Option<Checkpoint>, StoreError> {
        self.inner.load_checkpoint(subscription, lane).await
    }

    async fn save_checkpoint(&self, write: CheckpointWrite) -> Result<(), CommitError> {
        if take(&self.faults.saves_unavailable) {
            return Err(unavailable().into());
        }
        self.faults.saves.fetch_add(1, Ordering::Relaxed);
        self.inner.save_checkpoint(write).await?;
        if take(&self.faults.saves_unknown) {
            return Err(CommitError::Append(AppendError::Unknown(
                "link lost".into(),
            )));
        }
        Ok(())
    }

    async fn list_checkpoints(
        &self,
    ) -> Result<Vec<(SubscriptionName, Lane, Checkpoint)>, StoreError> {
        self.inner.list_checkpoints().await
    }
}

impl TestStore {
    async fn reach(&self) -> Result<(), StoreError> {
        if self.faults.cut_off.load(Ordering::Relaxed) {
            return Err(unavailable());
        }
        Ok(())
    }
}

#[async_trait]
impl LeaseStore for TestStore {
    async fn claim_lanes(&self, claim: LaneClaim) -> Result<LaneGrant, StoreError> {
        self.reach().await?;
        if take(&self.faults.claims_unavailable) {
            return Err(unavailable());
        }
        self.faults.claims.fetch_add(1, Ordering::Relaxed);
        let grant = self.inner.claim_lanes(claim).await?;
        if take(&self.faults.claims_unheard) {
            return Err(unavailable());
        }
        Ok(grant)
    }

    async fn release_lanes(&self, release: LaneRelease) -> Result<(), StoreError> {
        self.reach().await?;
        self.inner.release_lanes(release).await
    }

    async fn note_attempt(&self, attempt: LaneAttempt) -> Result<(), CommitError> {
        self.reach().await?;
        self.inner.note_attempt(attempt).await
    }

    async fn reset_lanes(
        &self,
        subscription: &SubscriptionName,
        to: Checkpoint,
    ) -> Result<(), StoreError> {
        self.inner.reset_lanes(subscription, to).await
    }

    async fn list_lanes(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<LaneRecord>, StoreError> {
        self.inner.list_lanes(subscription).await
    }
}

#[async_trait]
impl ParkingStore for TestStore {
    async fn list_parked(
        &self,
        subscription: &SubscriptionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, StoreError> {
        self.inner.list_parked(subscription, after, limit).await
    }

    async fn parked_key(
        &self,
        subscription: &SubscriptionName,
        key: &str,
    ) -> Result<Option<ParkedKey>, StoreError> {
        self.inner.parked_key(subscription, key).await
    }

    async fn parked_events(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, StoreError> {
        let parked = self.inner.parked_events(subscription, key, after, limit);
        parked.await
    }

    async fn parked_groups(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<ParkedGroup>, StoreError> {
        self.inner.parked_groups(subscription).await
    }

    async fn count_parked(&self, subscription: &SubscriptionName) -> Result<u64, StoreError> {
        self.inner.count_parked(subscription).await
    }

    async fn request(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        request: ParkingRequest,
    ) -> Result<bool, StoreError> {
        self.inner.request(subscription, key, request).await
    }

    async fn request_all(
        &self,
        subscription: &SubscriptionName,
        fingerprint: &str,
        request: ParkingRequest,
    ) -> Result<u64, StoreError> {
        let asking = self.inner.request_all(subscription, fingerprint, request);
        asking.await
    }

    async fn list_requests(
        &self,
        subscription: &SubscriptionName,
        limit: usize,
    ) -> Result<Vec<(Arc<str>, ParkingRequest)>, StoreError> {
        self.faults.requests_listed.fetch_add(1, Ordering::Relaxed);
        self.inner.list_requests(subscription, limit).await
    }
}

pub(crate) async fn status(
    manager: &SubscriptionManager,
    subscription: &str,
) -> SubscriptionStatus {
    manager.status_of(&name(subscription)).await.unwrap()
}

/// Waits until something is so.
pub(crate) async fn until(mut so: impl AsyncFnMut() -> bool) {
    while !so().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The lanes of a subscription that a manager runs.
pub(crate) async fn lanes_here(manager: &SubscriptionManager, subscription: &str) -> Vec<u16> {
    let status = status(manager, subscription).await;
    let here = status.lanes().iter().filter(|lane| lane.is_here());
    here.map(|lane| lane.lane().get()).collect()
}

/// Waits until the subscription has stopped, and says why.
pub(crate) async fn stopped(manager: &SubscriptionManager, subscription: &str) -> StopReason {
    loop {
        if let SubscriptionState::Stopped { why, .. } = status(manager, subscription).await.state()
        {
            return why.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
