//! [`ReadModel`]: a projection in its generations, which can be rebuilt beside itself.

mod error;
mod kind;
mod load;
mod progress;
pub(crate) mod record;
mod serving;
mod switch;
mod way;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uno_core::{
    Backend, BoxError, Category, Commit, CommitError, Decoder, DocumentStore, DocumentWrite,
    EventStore, Position, Receipt, Stale, SubscriptionName,
};
use uno_events::{Replay, Subscription, SubscriptionError, SubscriptionManager, WaitError};

use self::{
    kind::{DocumentKind, Kind, RowKind},
    record::{CATALOGUE, Entry, Record},
    serving::load as load_record,
    way::Way,
};
use crate::{DocumentProjection, Generation, VersionedProjection};

pub use self::{
    error::{ReadModelError, RebuildError},
    progress::RebuildProgress,
    record::GenerationState,
    serving::{Serving, ServingError},
    switch::Switched,
};

/// A projection in its generations: runs those that are there, builds a new one from the log beside the one that serves, and
/// swaps them in one transaction.
///
/// Readers go by [`Documents`](crate::Documents) or [`Serving`], which find the generation that serves: they never fail because of a
/// rebuild, and never see rows of two generations together.
///
/// ```
/// # use std::sync::Arc;
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Envelope, Event, EventStoreExt, ExpectedVersion};
/// # use uno_cqrs::DocumentProjection;
/// # use uno_store_memory::MemoryStore;
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { customer: u32, cents: i64 }
/// # #[derive(Debug)] struct Spending;
/// # impl DocumentProjection for Spending {
/// #     const NAME: &'static str = "spending";
/// #     type Event = OrderPlaced;
/// #     type Document = i64;
/// #     fn keys(&self, event: &Envelope<OrderPlaced>) -> Vec<String> { vec![event.event().customer.to_string()] }
/// #     fn apply(&self, _: &str, spent: Option<i64>, event: &Envelope<OrderPlaced>) -> Option<i64> { Some(spent.unwrap_or(0) + event.event().cents) }
/// # }
/// use uno_cqrs::{Documents, ReadModel};
/// use uno_events::SubscriptionManager;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::new());
/// let manager = Arc::new(SubscriptionManager::new(store.clone(), store.clone()));
/// let model = ReadModel::documents(Spending, store.clone(), store.clone(), manager, Default::default())?;
/// model.start().await?;
/// let order = OrderPlaced { customer: 7, cents: 500 };
/// let receipt = store.append_events("order-1742".parse()?, ExpectedVersion::NoStream, &[order]).await?;
/// model.wait_for(&receipt, std::time::Duration::from_secs(5)).await?;
///
/// // Builds it anew, while the old one serves, and swaps.
/// let switched = model.rebuild().await?;
/// assert_eq!(switched.to().get(), 2);
/// assert_eq!(Documents::<Spending>::new(store).get("7").await?, Some(500));
/// // The old one is kept fed until it is dropped, so that there is a way back.
/// model.roll_back().await?;
/// # Ok(()) }
/// ```
///
/// # Contract
/// 1. **Beside.** While a generation is being built the one that serves goes on, and readers see nothing of the new one.
/// 2. **At once.** The swap is one transaction. It is refused while the new generation has not come as far as the old one, so what
///    was read before a swap is not unread after it, and while events of the new one are parked.
/// 3. **Back.** The old generation is kept fed until it is [dropped](Self::drop_generation), and one can [go back](Self::roll_back) to it.
/// 4. **Resumed.** A rebuild that was killed goes on where its last commit left it. Of two processes that build one generation at once, one
///    is told that it is [`Elsewhere`](RebuildError::Elsewhere).
/// 5. **Side effects** of each event are those of one generation: of the old one up to the place of the swap, of the new one after it.
pub struct ReadModel<B: Backend> {
    name: &'static str,
    version: u32,
    log: Arc<dyn EventStore>,
    backend: Arc<B>,
    manager: Arc<SubscriptionManager>,
    kind: Arc<dyn Kind<B>>,
    batch: usize,
    window: u64,
    subscription: Adjust,
    /// Those that this process feeds. Held across awaits, so that two calls do not start or stop one subscription at once.
    fed: tokio::sync::Mutex<BTreeSet<Generation>>,
    progress: watch::Sender<Option<RebuildProgress>>,
    way: Way,
}

type Adjust = Arc<dyn Fn(Subscription) -> Subscription + Send + Sync>;

impl<B: Backend> ReadModel<B> {
    /// How many events a rebuild projects in one transaction, unless it is said.
    pub const BATCH: usize = 2_000;

    /// A read model of documents, kept in `backend`, of the events of `log`, which may be another store.
    ///
    /// The manager has to read the same log, and to keep its checkpoints in `backend`.
    ///
    /// # Errors
    /// When the projection or one of its events has a name that can't be used.
    pub fn documents<P: DocumentProjection>(
        projection: P,
        log: Arc<dyn EventStore>,
        backend: Arc<B>,
        manager: Arc<SubscriptionManager>,
        decoder: Decoder,
    ) -> Result<Self, ReadModelError> {
        if let Some(category) = P::OF_STREAMS {
            Category::new(category)?;
        }
        let kind = DocumentKind::new(projection, Arc::clone(&backend), decoder)?;
        Self::new(P::NAME, P::VERSION, log, backend, manager, Arc::new(kind))
    }

    /// A read model of rows of one's own, kept in `backend`, of the events of `log`, which may be another store.
    ///
    /// The manager has to read the same log, and to keep its checkpoints in `backend`.
    ///
    /// # Errors
    /// When the projection or one of its events has a name that can't be used.
    pub fn rows<P: VersionedProjection<B>>(
        projection: P,
        log: Arc<dyn EventStore>,
        backend: Arc<B>,
        manager: Arc<SubscriptionManager>,
        decoder: Decoder,
    ) -> Result<Self, ReadModelError> {
        let kind = RowKind::new(projection, Arc::clone(&backend), decoder)?;
        Self::new(P::NAME, P::VERSION, log, backend, manager, Arc::new(kind))
    }

    fn new(
        name: &'static str,
        version: u32,
        log: Arc<dyn EventStore>,
        backend: Arc<B>,
        manager: Arc<SubscriptionManager>,
        kind: Arc<dyn Kind<B>>,
    ) -> Result<Self, ReadModelError> {
        if name.contains(Generation::MARK) {
            return Err(ReadModelError::Mark(name));
        }
        SubscriptionName::new(name)?;
        Ok(Self {
            name,
            version,
            log,
            backend,
            manager,
            kind,
            batch: Self::BATCH,
            window: load::WINDOW,
            subscription: Arc::new(|subscription| subscription),
            fed: tokio::sync::Mutex::default(),
            progress: watch::Sender::new(None),
            way: Way::default(),
        })
    }

    /// Projects so many events in one transaction when it is rebuilt. More is faster, and takes more memory.
    #[must_use]
    pub fn rebuild_batch(mut self, events: usize) -> Self {
        self.batch = events.max(1);
        self
    }

    /// Looks at no more than so many positions of the log in one question when it is rebuilt, so that events which are few and far
    /// between do not make one take long. 100,000 unless it is said.
    #[must_use]
    pub fn rebuild_window(mut self, positions: u64) -> Self {
        self.window = positions.max(1);
        self
    }

    /// Options for the subscriptions that feed the generations.
    #[must_use]
    pub fn subscription(
        mut self,
        adjust: impl Fn(Subscription) -> Subscription + Send + Sync + 'static,
    ) -> Self {
        self.subscription = Arc::new(adjust);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Who finds out which generation is to be read.
    #[must_use]
    pub fn serving(&self) -> Serving {
        Serving::new(Arc::clone(&self.backend) as _, self.name, self.version)
    }

    /// Makes the record of a read model that is new, and feeds the generations that are there.
    ///
    /// # Errors
    /// When the store can't be used, or a subscription of that name is not this read model's.
    pub async fn start(&self) -> Result<(), RebuildError> {
        while self.load().await?.is_none() {
            let record = Record::new(self.version, self.log.head().await?.position());
            let mut commit = self.put(&record, 0);
            let first = [
                self.kind.create(Generation::FIRST),
                self.kind.serve(Generation::FIRST),
            ];
            commit.work.extend(first.into_iter().flatten());
            match self.backend.commit(commit).await {
                // Somebody else was faster, or it is not known who was: look again.
                Ok(_) | Err(CommitError::Stale(_)) => {}
                Err(error) if is_unknown(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.sync().await
    }

    /// Feeds the generations that this code builds and that serve or are kept, and lets go of those that were dropped. To be called
    /// now and then by every process, since others swap and drop generations too; [`follow`](Self::follow) does.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn sync(&self) -> Result<(), RebuildError> {
        let mut fed = self.fed.lock().await;
        let Some((_, record)) = self.load().await? else {
            return Ok(());
        };
        self.way.set(record.hurries());
        let ours = record.entries().iter().filter(|entry| {
            entry.version == self.version && entry.state != GenerationState::Building
        });
        let ours: BTreeSet<Generation> = ours.map(|entry| entry.number).collect();
        for generation in &ours {
            if !fed.contains(generation) {
                let name = self.subscription_of(*generation)?;
                match self.manager.subscribe(self.feed_of(*generation)?) {
                    // A call before this one was dropped on its way to starting it.
                    Ok(()) | Err(SubscriptionError::Duplicate(_)) => {}
                    Err(error) => return Err(error.into()),
                }
                self.manager.start(&name).await?;
                fed.insert(*generation);
            }
        }
        let gone: Vec<Generation> = fed.difference(&ours).copied().collect();
        for generation in gone {
            self.manager
                .unsubscribe(&self.subscription_of(generation)?)
                .await?;
            if record.entry(generation).is_none() {
                // It may be long ago that it was dropped.
                self.kind.discard(generation).await?;
            }
            fed.remove(&generation);
        }
        // By everybody who notices, and after it was let go of: the last one who fed it leaves nothing behind.
        for dropped in record.dropped() {
            self.kind.discard(*dropped).await?;
        }
        Ok(())
    }

    /// Calls [`sync`](Self::sync) so often, until it is told to stop. What goes wrong is tried again the next time.
    pub async fn follow(&self, every: Duration, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.sync().await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(name: crate::telemetry::SYNC_FAILED, projection = self.name, error);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(every) => {}
            }
        }
    }

    /// Waits until the generation that serves has come to what a receipt tells of: read your own writes.
    ///
    /// # Errors
    /// When it does not come there in time or has stopped, when the receipt is from another log, or the store can't be read.
    pub async fn wait_for(&self, receipt: &Receipt, timeout: Duration) -> Result<(), RebuildError> {
        let generation = self.serving().generation().await?;
        if !self.fed.lock().await.contains(&generation) {
            self.sync().await?;
        }
        let name = self.subscription_of(generation)?;
        match self.manager.wait_for(&name, receipt, timeout).await {
            // It was dropped while it was waited for, so another one serves.
            Err(WaitError::Unknown(_)) if self.serving().generation().await? != generation => {
                Box::pin(self.wait_for(receipt, timeout)).await
            }
            Err(WaitError::Stopped { .. }) if self.serving().generation().await? != generation => {
                Box::pin(self.wait_for(receipt, timeout)).await
            }
            waited => {
                waited?;
                // A swap from here on does no harm: it is refused unless the new one has come as far. One during the wait does: the old
                // one may have come there only after it, and before the new one.
                if self.serving().generation().await? == generation {
                    return Ok(());
                }
                Box::pin(self.wait_for(receipt, timeout)).await
            }
        }
    }

    /// The generations that there are, and how far each has come.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn status(&self) -> Result<ReadModelStatus, RebuildError> {
        let head = self.log.head().await?.position();
        let mut generations = BTreeMap::new();
        if let Some((_, record)) = self.load().await? {
            for entry in record.entries() {
                let checkpoint = self.checkpoint_of(entry.number).await?;
                let status = GenerationStatus {
                    state: entry.state,
                    version: entry.version,
                    position: checkpoint
                        .map_or(Position::START, |checkpoint| checkpoint.position()),
                };
                generations.insert(entry.number, status);
            }
        }
        Ok(ReadModelStatus { head, generations })
    }

    /// How the rebuild that this process runs is going; `None` when it runs none.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Option<RebuildProgress>> {
        self.progress.subscribe()
    }

    async fn load(&self) -> Result<Option<(u64, Record)>, ServingError> {
        load_record(&*self.backend, self.name).await
    }

    /// The record, which has to be there.
    async fn existing(&self) -> Result<(u64, Record), RebuildError> {
        let found = self.load().await?;
        found.ok_or_else(|| ServingError::Unknown(self.name.to_owned()).into())
    }

    /// A commit that puts the record in place of the one with that revision.
    fn put(&self, record: &Record, revision: u64) -> Commit<B::Tx> {
        let mut commit = Commit::new();
        let put = DocumentWrite::put(CATALOGUE, self.name, record.encode());
        commit.documents.push(put.expecting(revision));
        commit
    }

    /// Changes the record, again and again until nobody else was faster.
    async fn change<T>(
        &self,
        mut change: impl FnMut(&mut Record) -> Result<Changed<T, B>, RebuildError>,
    ) -> Result<T, RebuildError> {
        loop {
            let (revision, mut record) = self.existing().await?;
            let (work, value) = match change(&mut record)? {
                Changed::Not(value) => return Ok(value),
                Changed::With(work, value) => (work, value),
            };
            let mut commit = self.put(&record, revision);
            commit.work.extend(work);
            match self.backend.commit(commit).await {
                Ok(_) => return Ok(value),
                Err(CommitError::Stale(Stale::Document { .. })) => {}
                // If it was carried out, the next turn finds it changed already.
                Err(error) if is_unknown(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What feeds a generation.
    fn feed_of(&self, generation: Generation) -> Result<Subscription, ReadModelError> {
        let (name, way) = (self.subscription_of(generation)?, self.way.clone());
        let subscription = Subscription::new(name, Replay::Safe, self.kind.consumer(generation))
            .rest(move || way.rest_of(generation));
        Ok((self.subscription)(subscription))
    }

    fn subscription_of(&self, generation: Generation) -> Result<SubscriptionName, ReadModelError> {
        Ok(SubscriptionName::new(
            generation.name_of(self.name).as_ref(),
        )?)
    }
}

/// What is stored of a generation.
pub(crate) enum OwnRecord {
    /// The read model has no record: there is a projector by itself.
    None,
    /// It has one, and this generation is not in it.
    Gone,
    /// The revision of the record, and what it says of the generation.
    Of(u64, Entry),
}

pub(crate) async fn own_record(
    store: &dyn DocumentStore,
    name: &str,
    generation: Generation,
) -> Result<OwnRecord, BoxError> {
    Ok(match load_record(store, name).await? {
        None => OwnRecord::None,
        Some((revision, record)) => match record.entry(generation) {
            None => OwnRecord::Gone,
            Some(entry) => OwnRecord::Of(revision, *entry),
        },
    })
}

/// The revision of the record, and the generations that code of this version builds; `None` if there is no record.
pub(crate) async fn own_generations(
    store: &dyn DocumentStore,
    name: &str,
    version: u32,
) -> Result<Option<(u64, Vec<Generation>)>, ServingError> {
    let found = load_record(store, name).await?;
    Ok(found.map(|(revision, record)| {
        let own = record
            .entries()
            .iter()
            .filter(|entry| entry.version == version);
        (revision, own.map(|entry| entry.number).collect())
    }))
}

/// What a change of the record came to.
enum Changed<T, B: Backend> {
    /// It is as it should be already.
    Not(T),
    /// It is to be stored, with this work in the same transaction.
    With(Option<uno_core::Work<B::Tx>>, T),
}

/// Whether it is not known if the commit was carried out.
fn is_unknown(error: &CommitError) -> bool {
    matches!(
        error,
        CommitError::Append(uno_core::AppendError::Unknown(_))
    )
}

impl<B: Backend> fmt::Debug for ReadModel<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadModel")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// How a read model stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReadModelStatus {
    /// The end of the log.
    pub head: Position,
    /// Its generations.
    pub generations: BTreeMap<Generation, GenerationStatus>,
}

/// How a generation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GenerationStatus {
    /// What it is for.
    pub state: GenerationState,
    /// The version of the code that builds it.
    pub version: u32,
    /// How far it has come, as far as that is saved.
    pub position: Position,
}
