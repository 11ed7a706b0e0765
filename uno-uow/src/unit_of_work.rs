//! [`UnitOfWork`]: what is loaded, decided and committed together.

use std::{collections::HashMap, fmt, pin::Pin, sync::Arc};

use serde::Serialize;
use uno_core::{
    Acknowledgement, Backend, BoxError, Command, Commit, Decoder, DocumentWrite, EncodeError,
    InboxWrite, Metadata, NewMessage, Payload, Refusal, Snapshot, StreamId, Version,
};
use uno_domain::{Aggregate, AggregateRoot};
use uuid::Uuid;

use crate::{
    load::{LoadError, Loaded, load},
    savepoint::Mark,
    slot::{AnySlot, CollectError, Slot, Tracked},
    snapshot_keeper::SnapshotKeeper,
    warm::Warm,
};

/// Aggregates, rows, documents and commands that become durable in one transaction, or not at all.
///
/// Handlers get one by reference from a [`Runner`](crate::Runner), which commits it when they succeed and drops it, with
/// everything that was recorded, when they do not.
///
/// Each aggregate is there once, whoever asks for it and however often:
///
/// ```
/// # use std::sync::Arc;
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Event, EventSet, Metadata};
/// # use uno_domain::Aggregate;
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced {}
/// # #[derive(EventSet)] enum OrderEvent { Placed(OrderPlaced) }
/// # #[derive(Default)] struct Order {}
/// # impl Aggregate for Order {
/// #     const CATEGORY: &'static str = "order";
/// #     type Id = u32;
/// #     type Event = OrderEvent;
/// #     fn apply(&mut self, _: &OrderEvent) {}
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use uno_store_memory::MemoryStore;
/// # use uno_uow::{LoadError, Runner};
/// let runner = Runner::new(Arc::new(MemoryStore::new()));
/// let mut uow = runner.begin(Metadata::new());
///
/// let mut order = uow.create::<Order>(&1742)?;
/// order.record(OrderPlaced {});
/// let again = uow.load::<Order>(&1742).await;       // wrong: `order` is still there
/// assert!(matches!(again, Err(LoadError::InUse(_))));
///
/// drop(order);
/// let again = uow.load::<Order>(&1742).await?;      // right: the same root, with what was recorded on it
/// assert_eq!(again.uncommitted().len(), 1);
///
/// drop(again);                                      // every guard is given back before the commit
/// runner.commit(uow).await?;
/// # Ok(()) }
/// ```
pub struct UnitOfWork<B: Backend> {
    pub(crate) backend: Arc<B>,
    pub(crate) decoder: Decoder,
    snapshots: Arc<SnapshotKeeper>,
    metadata: Metadata,
    /// In the order of loading, so that commits lock streams in an order that does not depend on hashing.
    pub(crate) slots: Slots<B>,
    /// The identity map: which slot holds which stream.
    pub(crate) places: HashMap<StreamId, usize>,
    pub(crate) commit: Commit<B::Tx>,
    /// The savepoints that can be come back to, oldest first.
    pub(crate) marks: Vec<Mark>,
    /// What completes the commit when all is collected.
    pub(crate) finishing: Vec<Finishing<B::Tx>>,
    /// What the unit of work before this one has left.
    pub(crate) warm: Warm,
    /// Whether anything of that was used, so that nothing of it all is true before the commit has proven it.
    pub(crate) relies_on_warm: bool,
}

/// The things of a unit of work.
pub(crate) type Slots<B> = Vec<Arc<dyn AnySlot<B>>>;

/// What a unit of work comes to.
pub(crate) struct Collection<B: Backend> {
    pub(crate) commit: Commit<B::Tx>,
    pub(crate) slots: Slots<B>,
    /// The snapshots that are to be stored once it is committed.
    pub(crate) afterwards: Vec<Snapshot>,
}

/// Completes a commit.
pub(crate) type Finishing<Tx> = Box<dyn FnOnce(&mut Commit<Tx>) -> Result<(), StagingError> + Send>;

impl<B: Backend> UnitOfWork<B> {
    pub(crate) fn new(
        backend: Arc<B>,
        decoder: Decoder,
        snapshots: Arc<SnapshotKeeper>,
        metadata: Metadata,
    ) -> Self {
        Self {
            backend,
            decoder,
            snapshots,
            metadata,
            slots: Vec::new(),
            places: HashMap::new(),
            commit: Commit::new(),
            marks: Vec::new(),
            finishing: Vec::new(),
            warm: Warm::default(),
            relies_on_warm: false,
        }
    }

    /// The store, for reading. What is read here is not part of the transaction.
    #[must_use]
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// What the events and commands of this unit of work go back to: they carry it all. In the handler of a command, the
    /// causation id is the command's own id, to be passed on as an idempotency key to the world outside.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Loads an aggregate that exists.
    ///
    /// # Errors
    /// [`NotFound`](LoadError::NotFound) when it does not; [`InUse`](LoadError::InUse) while a guard of it is alive;
    /// and when the store or an event can't be read.
    pub async fn load<A: Aggregate>(&mut self, id: &A::Id) -> Result<Tracked<A>, LoadError> {
        let stream = A::stream_id(id)?;
        let tracked = match self.lend::<A>(&stream)? {
            Some(tracked) => tracked,
            None => {
                let (loaded, warm) = self.fetch::<A>(id, &stream).await?;
                if loaded.root.version() == Version::EMPTY {
                    // Not kept, so that it may still be created.
                    return Err(LoadError::NotFound(stream));
                }
                self.track_fetched(stream.clone(), loaded, warm)
            }
        };
        if tracked.version() == Version::EMPTY {
            return Err(LoadError::NotFound(stream));
        }
        Ok(tracked)
    }

    /// Loads an aggregate, which is new when its stream has no events.
    ///
    /// # Errors
    /// As [`load`](Self::load), but for [`NotFound`](LoadError::NotFound).
    pub async fn load_or_new<A: Aggregate>(&mut self, id: &A::Id) -> Result<Tracked<A>, LoadError> {
        let stream = A::stream_id(id)?;
        if let Some(tracked) = self.lend::<A>(&stream)? {
            return Ok(tracked);
        }
        let (loaded, warm) = self.fetch::<A>(id, &stream).await?;
        Ok(self.track_fetched(stream, loaded, warm))
    }

    /// The aggregate as the unit of work before this one has left it, which is to be proven, or as it is stored.
    async fn fetch<A: Aggregate>(
        &mut self,
        id: &A::Id,
        stream: &StreamId,
    ) -> Result<(Loaded<A>, bool), LoadError> {
        if let Some(loaded) = self.warm.take::<A>(stream) {
            self.relies_on_warm = true;
            return Ok((loaded, true));
        }
        let loaded =
            load::<A, B>(&self.backend, &self.decoder, &self.snapshots, id, stream).await?;
        Ok((loaded, false))
    }

    fn track_fetched<A: Aggregate>(
        &mut self,
        stream: StreamId,
        loaded: Loaded<A>,
        warm: bool,
    ) -> Tracked<A> {
        let tracked = self.track(stream, loaded);
        if warm {
            // Also if nothing is recorded on it: nobody has looked whether this is what is stored.
            tracked.assert_unchanged();
        }
        tracked
    }

    /// Lends out what is here already.
    pub(crate) fn lend<A: Aggregate>(
        &self,
        stream: &StreamId,
    ) -> Result<Option<Tracked<A>>, LoadError> {
        let Some(slot) = self.slot(stream) else {
            return Ok(None);
        };
        let slot = slot.as_any().downcast::<Slot<A>>();
        let slot = slot.map_err(|_| LoadError::OtherType(stream.clone()))?;
        let tracked = slot
            .lend()
            .ok_or_else(|| LoadError::InUse(stream.clone()))?;
        Ok(Some(tracked))
    }

    /// A new aggregate. Nothing is read: that its stream has no events yet is checked by the commit, which is a
    /// conflict otherwise.
    ///
    /// # Errors
    /// [`AlreadyTracked`](LoadError::AlreadyTracked) when this unit of work has it already.
    pub fn create<A: Aggregate>(&mut self, id: &A::Id) -> Result<Tracked<A>, LoadError> {
        let stream = A::stream_id(id)?;
        if self.places.contains_key(&stream) {
            return Err(LoadError::AlreadyTracked(stream));
        }
        Ok(self.track(stream, Loaded::new(AggregateRoot::new(id.clone()))))
    }

    fn track<A: Aggregate>(&mut self, stream: StreamId, loaded: Loaded<A>) -> Tracked<A> {
        let (slot, tracked) = Slot::lend_new(stream.clone(), loaded, &self.snapshots);
        self.keep(stream, slot);
        tracked
    }

    /// What is here already.
    pub(crate) fn slot(&self, stream: &StreamId) -> Option<Arc<dyn AnySlot<B>>> {
        let place = self.places.get(stream)?;
        self.slots.get(*place).map(Arc::clone)
    }

    pub(crate) fn keep(&mut self, stream: StreamId, slot: Arc<dyn AnySlot<B>>) {
        self.places.insert(stream, self.slots.len());
        self.slots.push(slot);
    }

    /// Adds the caller's own work to the transaction: it runs when the unit of work commits, before the append.
    ///
    /// It must not use the store itself, whose transaction it is in, and should be short: on some stores it keeps
    /// other writers waiting.
    pub fn work<F>(&mut self, work: F)
    where
        F: for<'t> FnOnce(
                &'t mut B::Tx,
            )
                -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 't>>
            + Send
            + 'static,
    {
        self.commit.work.push(Box::new(work));
    }

    /// Puts a document, in the same transaction.
    ///
    /// The last writer wins. What is read before it is changed is better kept by a
    /// [`state_repository`](Self::state_repository), which notices when somebody else was faster.
    ///
    /// # Errors
    /// When the value can't be stored, such as a number that is not finite.
    pub fn put_document<T: Serialize>(
        &mut self,
        collection: &str,
        key: &str,
        value: &T,
    ) -> Result<(), StagingError> {
        let body = Payload::encode(value).map_err(StagingError::Refused)?;
        self.commit
            .documents
            .push(DocumentWrite::put(collection, key, body));
        Ok(())
    }

    /// Removes a document, in the same transaction.
    pub fn remove_document(&mut self, collection: &str, key: &str) {
        self.commit
            .documents
            .push(DocumentWrite::remove(collection, key));
    }

    /// Sends a command through a queue: it is stored in the same transaction, and handled after it, with effect once.
    ///
    /// Commands with the same `key` are handled in the order in which they were sent. The commit is refused while
    /// the queue has a message with this id.
    ///
    /// # Errors
    /// When the command can't be stored.
    pub fn send<C: Command>(
        &mut self,
        queue: &str,
        id: Uuid,
        key: &str,
        command: &C,
    ) -> Result<(), StagingError> {
        let payload = Payload::encode(command).map_err(StagingError::Refused)?;
        let message = NewMessage::new(queue, id, key, C::NAME, payload, self.metadata.clone());
        self.commit.messages.push(message);
        Ok(())
    }

    /// Adds an encoded message, in the same transaction. For those who keep protocols of their own.
    pub fn enqueue(&mut self, message: NewMessage) {
        self.commit.messages.push(message);
    }

    /// Acknowledges a queued message, in the same transaction: if somebody else did, nothing is committed.
    pub fn acknowledge(&mut self, acknowledgement: Acknowledgement) {
        self.commit.acknowledgements.push(acknowledgement);
    }

    /// The messages and commands that will be added to queues.
    #[must_use]
    pub fn messages(&self) -> &[NewMessage] {
        &self.commit.messages
    }

    /// Remembers, in the same transaction, that a message was handled: if it was before, nothing is committed.
    pub fn remember(&mut self, handled: InboxWrite) {
        self.commit.inbox.push(handled);
    }

    /// Has the commit completed by this when everything that was recorded is collected, in the order of these calls. For those who keep
    /// protocols of their own, such as a record of which events came of a message.
    pub fn before_commit<F>(&mut self, complete: F)
    where
        F: FnOnce(&mut Commit<B::Tx>) -> Result<(), StagingError> + Send + 'static,
    {
        self.finishing.push(Box::new(complete));
    }

    /// Collects what was recorded. Every guard must have been dropped.
    pub(crate) fn into_commit(mut self) -> Result<Collection<B>, StagingError> {
        let mut afterwards = Vec::new();
        for slot in &self.slots {
            let collected = slot.collect(&self.metadata).map_err(|error| match error {
                CollectError::StillLent(stream) => StagingError::StillLent(stream),
                CollectError::OutOfStep(stream) => StagingError::OutOfStep(stream),
                CollectError::Encode(error) => StagingError::Encode(error),
                CollectError::Refused(refusal) => StagingError::Refused(refusal),
            })?;
            self.commit.appends.extend(collected.append);
            self.commit.unchanged.extend(collected.unchanged);
            match collected.snapshot {
                Some(due) if due.in_background => afterwards.push(due.snapshot),
                due => self.commit.snapshots.extend(due.map(|due| due.snapshot)),
            }
            self.commit.documents.extend(collected.document);
        }
        for complete in self.finishing {
            complete(&mut self.commit)?;
        }
        Ok(Collection {
            commit: self.commit,
            slots: self.slots,
            afterwards,
        })
    }
}

impl<B: Backend> fmt::Debug for UnitOfWork<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnitOfWork")
            .field("streams", &self.places.keys())
            .field("commit", &self.commit)
            .finish_non_exhaustive()
    }
}

/// Why what a unit of work holds can't be committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StagingError {
    /// The guard of an aggregate is still alive, so what is recorded on it could be lost.
    #[error("{0} is still lent out: drop its guard before the unit of work ends")]
    StillLent(StreamId),
    /// The aggregate is not the one that was loaded, with what was recorded since: the root was replaced, or its events
    /// were taken out of it, and could be lost.
    #[error("{0} was replaced, or its events were taken out: leave them to the unit of work")]
    OutOfStep(StreamId),
    /// An event can't be encoded.
    #[error(transparent)]
    Encode(EncodeError),
    /// A document, state or command can't be serialized, or could not be read back equal.
    #[error("a value can't be stored")]
    Refused(#[source] Refusal),
}
