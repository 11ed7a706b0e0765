//! [`DocumentProjection`]: a read model of JSON documents, on any store.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};
use tracing::Instrument as _;
use uno_core::{
    Backend, BoxError, Category, Commit, Decoder, DocumentWrite, Envelope, EventFilter, EventSet,
    NewMessage, Position, RecordedEvent, Refusal, RegistrationError, Version,
};
use uno_events::{Batch, ConsumeError, Consumer};

use crate::{
    AnyField, Generation,
    enrich::{enriched, not_enriched},
    field::{DeclareError, declare},
    read_model::{OwnRecord, record::CATALOGUE},
    stream_projection::{decode, encode},
    telemetry,
};

/// A read model of documents: which documents an event concerns, and what it makes of each. Pure, so it is tested as a function.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use uno_core::{Envelope, Event};
/// use uno_cqrs::DocumentProjection;
///
/// #[derive(Event, Serialize, Deserialize)]
/// struct OrderPlaced { customer: u32, cents: i64 }
///
/// #[derive(Debug)]
/// struct Spending;
///
/// impl DocumentProjection for Spending {
///     const NAME: &'static str = "spending";
///     type Event = OrderPlaced;
///     type Document = i64;
///
///     fn keys(&self, event: &Envelope<OrderPlaced>) -> Vec<String> {
///         vec![event.event().customer.to_string()]
///     }
///
///     fn apply(&self, _key: &str, spent: Option<i64>, event: &Envelope<OrderPlaced>) -> Option<i64> {
///         Some(spent.unwrap_or(0) + event.event().cents)
///     }
/// }
/// ```
///
/// # Contract
/// 1. `keys` and `apply` depend on their arguments, and on what [`enrich`](Self::enrich) has put into `self`, alone: a batch that was not
///    committed is projected again.
/// 2. `NAME` names the subscription and the collection; it does not change while the read model is to be kept.
/// 3. Nobody else writes to the collection.
pub trait DocumentProjection: fmt::Debug + Send + Sync + Sized + 'static {
    /// The name of the projection: of its subscription and of its collection.
    const NAME: &'static str;
    /// The version of the code: raise it when the same events are to make other documents, and [rebuild](crate::ReadModel) what the
    /// version before has built. Until then, code of each version reads what its own has built.
    const VERSION: u32 = 1;
    /// Whether it [sends messages](Self::messages). One that does not is spared a question to the store for each batch.
    const SENDS: bool = false;
    /// What its documents are [found by](crate::Documents::find). They are part of the code whose version [`VERSION`](Self::VERSION) is: a
    /// projection whose documents were written with other fields stops with [`FieldsChanged`](crate::FieldsChanged).
    const FIELDS: &'static [&'static dyn AnyField<Self::Document>] = &[];
    /// The category of the streams, if each document is a fold of one stream, under its key. A [`StreamProjection`](crate::StreamProjection)
    /// has it; leave it alone otherwise. It decides how documents are stored.
    const OF_STREAMS: Option<&'static str> = None;
    /// The events it reads.
    type Event: EventSet;
    /// What it keeps under each key.
    type Document: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The projection as it is to see these events, all of one batch, with what it needs to know of them beside: one question for what would
    /// be one for each event. `None`, unless you write it: as it is.
    ///
    /// It is asked once for each batch, before the first of them is looked at, also when the read model is rebuilt or folded live. What is
    /// loaded is as of now, and not as of the events, so a rebuild may come to other documents: let it be what does not change, or what
    /// is wanted as it is.
    ///
    /// ```
    /// # use std::{collections::BTreeMap, sync::Arc};
    /// # use serde::{Deserialize, Serialize};
    /// # use uno_core::{BoxError, Envelope, Event};
    /// # use uno_cqrs::{DocumentProjection, Documents};
    /// # #[derive(Event, Serialize, Deserialize)] struct ProductListed { name: String }
    /// # #[derive(Event, Serialize, Deserialize)] struct ItemSold { product: String, cents: i64 }
    /// # #[derive(Debug)] struct ProductNames;
    /// # impl DocumentProjection for ProductNames {
    /// #     const NAME: &'static str = "product_names";
    /// #     type Event = ProductListed;
    /// #     type Document = String;
    /// #     fn keys(&self, event: &Envelope<ProductListed>) -> Vec<String> { vec![event.stream().key().to_owned()] }
    /// #     fn apply(&self, _: &str, _: Option<String>, event: &Envelope<ProductListed>) -> Option<String> { Some(event.event().name.clone()) }
    /// # }
    /// #[derive(Debug)]
    /// struct SalesByName { products: Documents<ProductNames>, names: BTreeMap<String, String> }
    ///
    /// impl DocumentProjection for SalesByName {
    ///     const NAME: &'static str = "sales_by_name";
    ///     type Event = ItemSold;
    ///     type Document = i64;
    ///
    ///     async fn enrich(&self, events: &[Envelope<ItemSold>]) -> Result<Option<Self>, BoxError> {
    ///         let products: Vec<String> = events.iter().map(|event| event.event().product.clone()).collect();
    ///         let names = self.products.get_many(&products).await?;           // one question, however many events
    ///         Ok(Some(Self { products: self.products.clone(), names }))
    ///     }
    ///
    ///     fn keys(&self, event: &Envelope<ItemSold>) -> Vec<String> {
    ///         let product = &event.event().product;
    ///         vec![self.names.get(product).unwrap_or(product).clone()]
    ///     }
    ///
    ///     fn apply(&self, _: &str, sold: Option<i64>, event: &Envelope<ItemSold>) -> Option<i64> {
    ///         Some(sold.unwrap_or(0) + event.event().cents)
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Whatever went wrong. A [`StoreError`](uno_core::StoreError) that may pass is waited for; else the batch is projected event by event, to find the one at
    /// fault.
    ///
    /// # Cancellation
    /// The future may be dropped at any await: it only reads.
    fn enrich(
        &self,
        events: &[Envelope<Self::Event>],
    ) -> impl Future<Output = Result<Option<Self>, BoxError>> + Send {
        let _ = events;
        std::future::ready(Ok(None))
    }

    /// The keys of the documents that an event concerns. A key that is named twice counts once.
    fn keys(&self, event: &Envelope<Self::Event>) -> Vec<String>;

    /// The document after the event; `None` removes it.
    fn apply(
        &self,
        key: &str,
        document: Option<Self::Document>,
        event: &Envelope<Self::Event>,
    ) -> Option<Self::Document>;

    /// Messages that go out because of the event, put into their queues in the transaction of the documents. Only asked for when
    /// [`SENDS`](Self::SENDS).
    ///
    /// In a [`ReadModel`](crate::ReadModel) each event's messages are sent once, however often it is rebuilt: by the generation that
    /// serves. What was in the log before the read model was first started sends none. A [`DocumentProjector`] by itself, without a
    /// `ReadModel`, knows no rebuilds and sends those of all events.
    fn messages(&self, event: &Envelope<Self::Event>) -> Vec<NewMessage> {
        let _ = event;
        Vec::new()
    }
}

/// Keeps the documents of a projection: a consumer for a subscription.
///
/// A batch costs one read and one commit, however many events and documents it has. Documents and checkpoint are
/// committed together: each event takes effect exactly once.
pub struct DocumentProjector<P, B> {
    projection: Arc<P>,
    backend: Arc<B>,
    decoder: Decoder,
    filter: EventFilter,
    generation: Generation,
    collection: String,
    /// Whether it is stored what the documents are found by.
    is_declared: AtomicBool,
}

impl<P: DocumentProjection, B: Backend> DocumentProjector<P, B> {
    /// Keeps the projection's documents in `backend`.
    ///
    /// # Errors
    /// When one of its events has a name that can't be stored, or a chain of upcasters that is not whole.
    pub fn new(
        projection: P,
        backend: Arc<B>,
        decoder: Decoder,
    ) -> Result<Self, RegistrationError> {
        let filter = filter_of::<P>(&decoder)?;
        let (projection, first) = (Arc::new(projection), Generation::FIRST);
        Ok(Self::of_generation(
            projection, backend, decoder, filter, first,
        ))
    }

    pub(crate) fn of_generation(
        projection: Arc<P>,
        backend: Arc<B>,
        decoder: Decoder,
        filter: EventFilter,
        generation: Generation,
    ) -> Self {
        Self {
            projection,
            backend,
            decoder,
            filter,
            generation,
            collection: generation.name_of(P::NAME).into_owned(),
            is_declared: AtomicBool::new(P::FIELDS.is_empty()),
        }
    }

    /// The documents that the events concern, as they are.
    async fn load(
        &self,
        events: &[Envelope<P::Event>],
        keys: &[Vec<String>],
    ) -> Result<BTreeMap<String, Slot<P::Document>>, ConsumeError> {
        let mut slots = BTreeMap::new();
        for (event, keys) in events.iter().zip(keys) {
            for key in keys {
                // The first event that needs the document is the one that fails if it can't be read.
                slots
                    .entry(key.clone())
                    .or_insert_with(|| Slot::new(event.position()));
            }
        }
        let wanted: Vec<String> = slots.keys().cloned().collect();
        if wanted.is_empty() {
            return Ok(slots);
        }
        for found in self
            .backend
            .load_documents(&self.collection, &wanted)
            .await?
        {
            if let Some(slot) = slots.get_mut(found.key()) {
                let kept = decode::<P>(found.body()).map_err(|error| slot.failed(error.into()))?;
                (slot.document, slot.version) = (kept.document, kept.version);
                slot.revision = found.revision();
            }
        }
        Ok(slots)
    }

    /// What the events make of them.
    fn fold(
        &self,
        events: &[Envelope<P::Event>],
        keys: &[Vec<String>],
        projection: &P,
        mut slots: BTreeMap<String, Slot<P::Document>>,
        is_alone: bool,
    ) -> Result<Vec<DocumentWrite>, ConsumeError> {
        for (event, keys) in events.iter().zip(keys) {
            for key in keys {
                if let Some(slot) = slots.get_mut(key) {
                    if P::OF_STREAMS.is_some() {
                        // Whoever committed the event may have brought it already.
                        if event.version() <= slot.version {
                            continue;
                        }
                        slot.reached = event.version();
                    }
                    slot.position = event.position();
                    slot.document = projection.apply(key, slot.document.take(), event);
                }
            }
        }
        let collection = self.collection.as_str();
        let mut writes = Vec::with_capacity(slots.len());
        for (key, slot) in slots {
            if P::OF_STREAMS.is_some() && slot.reached == Version::EMPTY {
                continue;
            }
            let put = put::<P>(collection, &key, slot.document.as_ref(), slot.reached);
            match put.map_err(|error| slot.failed(error.into()))? {
                Some(write) => writes.push(slot.only(write, is_alone)),
                None if slot.revision > 0 => {
                    writes.push(slot.only(DocumentWrite::remove(collection, key), is_alone));
                }
                None if is_alone => {}
                // That it is not there was taken for granted.
                None => writes.push(DocumentWrite::keep(collection, key, 0)),
            }
        }
        Ok(writes)
    }

    /// Adds the messages that belong to this generation, and what that is taken from.
    async fn send(
        &self,
        projection: &P,
        events: &[Envelope<P::Event>],
        commit: &mut Commit<B::Tx>,
    ) -> Result<(), ConsumeError> {
        let record = crate::read_model::own_record(&*self.backend, P::NAME, self.generation);
        let record = record.await.map_err(|source| ConsumeError::Handler {
            position: events.first().map_or(Position::START, Envelope::position),
            source,
        })?;
        let (revision, entry) = match record {
            OwnRecord::None => (0, None),
            // It was dropped, or is not known to be there: whatever it does is nobody's.
            OwnRecord::Gone => return Ok(()),
            OwnRecord::Of(revision, entry) => (revision, Some(entry)),
        };
        let live = |event: &&Envelope<P::Event>| {
            entry.is_none_or(|entry| entry.is_live_at(event.position()))
        };
        for event in events.iter().filter(live) {
            commit.messages.extend(projection.messages(event));
        }
        // A swap in between makes this stale, and the batch is projected again with what is so then.
        commit
            .documents
            .push(DocumentWrite::keep(CATALOGUE, P::NAME, revision));
        Ok(())
    }

    async fn project(&self, batch: Batch) -> Result<(), ConsumeError> {
        // Those who commit events may bring them to what is of one stream at any time.
        let is_alone = batch.lanes().get() == 1 && P::OF_STREAMS.is_none();
        let (records, checkpoint) = batch.into_parts();
        let mut commit = Commit::new();
        commit.checkpoints.push(checkpoint);
        let events = decode_all::<P::Event>(&self.decoder, &records)?;
        let enriching = enriched(&self.projection, &events);
        let projection = enriching
            .await
            .map_err(|error| not_enriched(&events, error))?;
        let keys = events.iter().map(|event| keys_of(&*projection, event));
        let keys: Vec<Vec<String>> = keys.collect();
        let slots = self.load(&events, &keys).await?;
        // The checkpoint moves only if it is where it was when the documents were read: nobody else has changed them, if there is
        // one lane. Events of several lanes may concern one document.
        commit.documents = self.fold(&events, &keys, &projection, slots, is_alone)?;
        if P::SENDS && !events.is_empty() {
            self.send(&projection, &events, &mut commit).await?;
        }
        let declares = !self.is_declared.load(Ordering::Relaxed);
        if declares && let Some(first) = events.first() {
            let declaration = declare::<P, _>(&*self.backend, &self.collection).await;
            commit
                .documents
                .extend(declaration.map_err(|error| match error {
                    DeclareError::Store(error) => ConsumeError::Store(error),
                    DeclareError::Stop(source) => ConsumeError::Stop {
                        position: first.position(),
                        source,
                    },
                })?);
        }
        self.backend.commit(commit).await?;
        if declares && !events.is_empty() {
            self.is_declared.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The keys of an event, each once: it takes effect once on each document.
pub(crate) fn keys_of<P: DocumentProjection>(
    projection: &P,
    event: &Envelope<P::Event>,
) -> Vec<String> {
    let mut keys = projection.keys(event);
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// A document that a batch concerns.
struct Slot<D> {
    document: Option<D>,
    /// Its revision in the store; 0 when it is not there.
    revision: u64,
    /// The version of its stream that it has come to in the store, and with this batch; nothing unless it is of one stream.
    version: Version,
    reached: Version,
    /// The event that was, or is to be, applied last.
    position: Position,
}

impl<D> Slot<D> {
    fn new(position: Position) -> Self {
        Self {
            document: None,
            revision: 0,
            version: Version::EMPTY,
            reached: Version::EMPTY,
            position,
        }
    }

    /// The same change; unless this lane is the only one, only if no other one has changed the document since it was read.
    fn only(&self, write: DocumentWrite, is_alone: bool) -> DocumentWrite {
        if is_alone {
            write
        } else {
            write.expecting(self.revision)
        }
    }

    fn failed(&self, source: BoxError) -> ConsumeError {
        ConsumeError::Handler {
            position: self.position,
            source,
        }
    }
}

#[async_trait]
impl<P: DocumentProjection, B: Backend> Consumer for DocumentProjector<P, B> {
    fn filter(&self) -> EventFilter {
        self.filter.clone()
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        let (projection, events) = (P::NAME, batch.events().len());
        let span = tracing::debug_span!(telemetry::PROJECT, projection, events);
        self.project(batch).instrument(span).await
    }
}

impl<P: fmt::Debug, B> fmt::Debug for DocumentProjector<P, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentProjector")
            .field("projection", &self.projection)
            .finish_non_exhaustive()
    }
}

/// The filter for the events that a projection reads.
pub(crate) fn filter_of<P: DocumentProjection>(
    decoder: &Decoder,
) -> Result<EventFilter, RegistrationError> {
    let filter = decoder.filter::<P::Event>()?;
    // What is no category is that of no stream, and is told when the read model is made.
    let category = P::OF_STREAMS.and_then(|category| Category::new(category).ok());
    Ok(match category {
        Some(category) => filter.categories([category]),
        None => filter,
    })
}

/// Puts a document with what it is found by; `None` if there is nothing to be stored.
pub(crate) fn put<P: DocumentProjection>(
    collection: &str,
    key: &str,
    document: Option<&P::Document>,
    version: Version,
) -> Result<Option<DocumentWrite>, Refusal> {
    let Some(body) = encode::<P>(document, version)? else {
        return Ok(None);
    };
    let mut write = DocumentWrite::put(collection, key, body);
    for field in P::FIELDS {
        if let Some(value) = document.and_then(|document| field.value(document)) {
            write = write.with_field(field.name(), value);
        }
    }
    Ok(Some(write))
}

/// The events of a batch, decoded.
pub(crate) fn decode_all<S: EventSet>(
    decoder: &Decoder,
    records: &[Arc<RecordedEvent>],
) -> Result<Vec<Envelope<S>>, ConsumeError> {
    let mut events = Vec::with_capacity(records.len());
    for record in records {
        events.extend(decoder.decode_matching(record)?);
    }
    Ok(events)
}
