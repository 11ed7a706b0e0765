//! [`InlineDocuments`]: documents that are changed in the commit of the events themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use chrono::DateTime;
use uno_core::{
    Backend, Category, Commit, Decoder, DocumentStore, DocumentWrite, EventFilter, EventStore,
    ExpectedVersion, Position, ReadStream, RecordedEvent, StoreError, StreamAppend, StreamId,
    Version,
};
use uno_uow::{BeforeCommit, CommandError};

use crate::{
    DocumentProjection, Generation, ReadDocumentError, ReadModelError, StreamProjection,
    document_projection::{filter_of, put},
    field::{DeclareError, declare},
    read_model::{own_generations, record::CATALOGUE},
    stream_projection::decode,
};

/// Keeps the documents of a [`StreamProjection`] in the commits of a [`Runner`](uno_uow::Runner): whoever reads after a command sees what it
/// did, without waiting.
///
/// ```
/// # use std::sync::Arc;
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Event, EventSet, Metadata};
/// # use uno_domain::Aggregate;
/// # use uno_cqrs::{Fact, StreamProjection};
/// # use uno_store_memory::MemoryStore;
/// # #[derive(Event, Serialize, Deserialize)] struct ItemAdded { cents: i64 }
/// # #[derive(EventSet)] enum OrderEvent { Added(ItemAdded) }
/// # #[derive(Default)] struct Order {}
/// # impl Aggregate for Order {
/// #     const CATEGORY: &'static str = "order";
/// #     type Id = u32;
/// #     type Event = OrderEvent;
/// #     fn apply(&mut self, _: &OrderEvent) {}
/// # }
/// # #[derive(Debug)] struct OrderTotals;
/// # impl StreamProjection for OrderTotals {
/// #     const NAME: &'static str = "order_totals";
/// #     const CATEGORY: &'static str = "order";
/// #     type Event = ItemAdded;
/// #     type Document = i64;
/// #     fn fold(&self, total: Option<i64>, event: &Fact<'_, ItemAdded>) -> Option<i64> { Some(total.unwrap_or(0) + event.event().cents) }
/// # }
/// use uno_cqrs::{Documents, InlineDocuments, ReadModel};
/// use uno_events::SubscriptionManager;
/// use uno_uow::Runner;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::new());
/// // The same read model is followed by a subscription, for what others append, and is rebuilt as any other.
/// let manager = Arc::new(SubscriptionManager::new(store.clone(), store.clone()));
/// let model = ReadModel::documents(OrderTotals, store.clone(), store.clone(), manager, Default::default())?;
/// model.start().await?;
///
/// let inline = InlineDocuments::new(OrderTotals, Default::default())?;
/// let runner = Runner::new(store.clone()).with_before_commit(Arc::new(inline));
/// runner.run(Metadata::new(), |uow| Box::pin(async move {
///     uow.load_or_new::<Order>(&1742).await?.record(ItemAdded { cents: 500 });
///     Ok(())
/// })).await?;
/// assert_eq!(Documents::<OrderTotals>::new(store).get("1742").await?, Some(500));
/// # Ok(()) }
/// ```
///
/// # Contract
/// 1. **At once.** When a commit of such a runner is acknowledged, every read by code of the same [`VERSION`](StreamProjection::VERSION) sees
///    documents that have its events, whichever generation it reads, also while that is rebuilt, swapped and gone back from; once the read
///    model was [started](crate::ReadModel::start) in this store.
/// 2. **Once.** Each event takes effect on a document exactly once, in the order of its stream, whoever brings it there: the commit, the
///    subscription, or a rebuild. What others have appended, without such a runner, and the subscription has not handled yet, is caught up
///    with by the commit.
/// 3. **A conflict, not a lost change.** Two commits that change one document, and a commit across a change of generations, are conflicts
///    like those of streams: the unit of work decides again.
/// 4. **Its failure is the command's.** If a document can't be folded, read or stored, nothing is committed.
///
/// # What it costs
///
/// Each commit with events of the projection reads the record of the read model and its documents, and writes one document for each stream and
/// generation. Commits without such events cost nothing more. Runners that commit at the same time share the record, which on Postgres
/// puts them one group after the other.
pub struct InlineDocuments<P> {
    projection: P,
    category: Category,
    decoder: Decoder,
    filter: EventFilter,
    /// The generations of which it is stored what their documents are found by.
    declared: Mutex<BTreeSet<Generation>>,
}

impl<P: StreamProjection> InlineDocuments<P> {
    /// Keeps the documents of `projection`, in the store that commits are made in.
    ///
    /// # Errors
    /// When the category is none, one of its events has a name that can't be stored, or a chain of upcasters is not whole.
    pub fn new(projection: P, decoder: Decoder) -> Result<Self, ReadModelError> {
        Ok(Self {
            projection,
            category: Category::new(P::CATEGORY)?,
            filter: filter_of::<P>(&decoder)?,
            decoder,
            declared: Mutex::default(),
        })
    }

    /// The appends that concern the projection: their places in the commit.
    fn concerned<Tx>(&self, commit: &Commit<Tx>) -> Vec<usize> {
        let names = self.filter.wanted_names();
        let concerns = |append: &StreamAppend| {
            let mut events = append.events().iter();
            *append.stream().category() == self.category
                && events.any(|event| names.is_none_or(|names| names.contains(event.name())))
        };
        let appends = commit.appends.iter().enumerate();
        let concerned = appends.filter(|(_, append)| concerns(append));
        concerned.map(|(place, _)| place).collect()
    }

    /// The events of an append as they will be recorded, but for what only the store knows, which is not to be seen in a
    /// [`Fact`](crate::Fact).
    fn recorded(append: &StreamAppend, before: Version) -> Vec<Arc<RecordedEvent>> {
        let mut version = before;
        let record = |event| {
            version = version.next();
            let (at, time) = (Position::MAX, DateTime::UNIX_EPOCH);
            let record = RecordedEvent::record(event, append.stream().clone(), version, at, time);
            Arc::new(record)
        };
        append.events().iter().map(record).collect()
    }

    /// What one generation's documents are after the commit.
    async fn writes<S: EventStore + DocumentStore + ?Sized>(
        &self,
        store: &S,
        generation: Generation,
        appends: &[(StreamAppend, Version)],
    ) -> Result<Vec<DocumentWrite>, CommandError> {
        let collection = &*generation.name_of(<P as DocumentProjection>::NAME);
        let keys = appends.iter().map(|(append, _)| append.stream().key());
        let keys: Vec<String> = keys.map(str::to_owned).collect();
        let mut stored = BTreeMap::new();
        for document in store.load_documents(collection, &keys).await? {
            let kept = decode::<P>(document.body()).map_err(|source| {
                CommandError::failed(ReadDocumentError::Malformed {
                    projection: <P as DocumentProjection>::NAME,
                    key: document.key().to_owned(),
                    source,
                })
            })?;
            stored.insert(document.key().to_owned(), (document.revision(), kept));
        }
        let mut writes = Vec::with_capacity(appends.len() + 1);
        for (append, before) in appends {
            let key = append.stream().key();
            let (revision, mut document, reached) = match stored.remove(key) {
                Some((revision, kept)) => (revision, kept.document, kept.version),
                None => (0, None, Version::EMPTY),
            };
            if reached > *before {
                // The stream has gone on since it was loaded: the commit will be told so.
                continue;
            }
            if reached < *before {
                let missed = (reached.next(), *before);
                document = self
                    .catch_up(store, append.stream(), document, missed)
                    .await?;
            }
            let records = Self::recorded(append, *before);
            document = self.fold(document, &records)?;
            let after = records.last().map_or(*before, |last| last.version());
            let write = put::<P>(collection, key, document.as_ref(), after);
            // What is of one stream is always stored.
            let write = write.map_err(CommandError::failed)?;
            writes.extend(write.map(|write| write.expecting(revision)));
        }
        if !self.is_declared(generation) {
            match declare::<P, S>(store, collection).await {
                Ok(None) => self.set_declared(generation),
                Ok(Some(declaration)) => writes.push(declaration),
                Err(DeclareError::Store(error)) => return Err(error.into()),
                Err(DeclareError::Stop(error)) => return Err(CommandError::failed(error)),
            }
        }
        Ok(writes)
    }

    /// Folds what is stored between two versions of a stream, which nobody has brought to the document yet.
    async fn catch_up<S: EventStore + ?Sized>(
        &self,
        store: &S,
        stream: &StreamId,
        mut document: Option<P::Document>,
        (mut from, to): (Version, Version),
    ) -> Result<Option<P::Document>, CommandError> {
        loop {
            let read = ReadStream::forward(stream.clone()).from(from).to(to);
            let limit = read.max_events();
            let page = store.read_stream(read).await?;
            document = self.fold(document, &page)?;
            match page.last() {
                Some(last) if page.len() == limit => from = last.version().next(),
                _ => return Ok(document),
            }
        }
    }

    fn fold(
        &self,
        mut document: Option<P::Document>,
        records: &[Arc<RecordedEvent>],
    ) -> Result<Option<P::Document>, CommandError> {
        for record in records {
            if self.filter.matches(record) {
                for event in self
                    .decoder
                    .decode_matching::<<P as StreamProjection>::Event>(record)?
                {
                    document = self
                        .projection
                        .apply(record.stream().key(), document, &event);
                }
            }
        }
        Ok(document)
    }

    fn is_declared(&self, generation: Generation) -> bool {
        let declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        declared.contains(&generation)
    }

    fn set_declared(&self, generation: Generation) {
        let mut declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        declared.insert(generation);
    }
}

#[async_trait]
impl<P: StreamProjection, B: Backend> BeforeCommit<B> for InlineDocuments<P> {
    async fn complete(&self, backend: &B, commit: &mut Commit<B::Tx>) -> Result<(), CommandError> {
        let concerned = self.concerned(commit);
        if concerned.is_empty() {
            return Ok(());
        }
        let own = own_generations(
            backend,
            <P as DocumentProjection>::NAME,
            <P as DocumentProjection>::VERSION,
        );
        let Some((revision, generations)) = own.await.map_err(CommandError::failed)? else {
            // It was never started here: nobody reads it, and what is appended now is in the log for when it is.
            return Ok(());
        };
        let mut appends = Vec::with_capacity(concerned.len());
        for place in concerned {
            let append = &mut commit.appends[place];
            let before = match append.expected() {
                ExpectedVersion::Exact(version) => version,
                ExpectedVersion::NoStream => Version::EMPTY,
                ExpectedVersion::Any | ExpectedVersion::StreamExists => {
                    // The document is what the stream is up to a version, so that has to be known.
                    let version = last_version(backend, append.stream()).await?;
                    let (stream, events) = (append.stream().clone(), append.events().to_vec());
                    let expected = match version {
                        Version::EMPTY if append.expected() == ExpectedVersion::Any => {
                            ExpectedVersion::NoStream
                        }
                        // That it does not exist is for the store to say.
                        Version::EMPTY => continue,
                        version => ExpectedVersion::Exact(version),
                    };
                    *append = StreamAppend::new(stream, expected, events);
                    version
                }
            };
            appends.push((append.clone(), before));
        }
        for generation in generations {
            let writes = self.writes(backend, generation, &appends).await?;
            commit.documents.extend(writes);
        }
        // If a generation is begun, swapped or dropped in between, this is not carried out: it would miss one that is read.
        let fence = DocumentWrite::keep(CATALOGUE, <P as DocumentProjection>::NAME, revision);
        commit.documents.push(fence);
        Ok(())
    }
}

async fn last_version<S: EventStore + ?Sized>(
    store: &S,
    stream: &StreamId,
) -> Result<Version, StoreError> {
    let last = store
        .read_stream(ReadStream::backward(stream.clone()).limit(1))
        .await?;
    Ok(last.first().map_or(Version::EMPTY, |last| last.version()))
}

impl<P: fmt::Debug> fmt::Debug for InlineDocuments<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InlineDocuments")
            .field("projection", &self.projection)
            .finish_non_exhaustive()
    }
}
