//! [`Documents`]: the documents that a projection keeps, for reading.

use std::{
    collections::BTreeMap,
    fmt,
    marker::PhantomData,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use uno_core::{
    Document, DocumentStore, EventStore, FieldValue, FindDocuments, FoundDocument, StoreError,
};
use uno_uow::CommandError;

use crate::{
    DocumentProjection, Finding, Generation, LiveQuery, Serving, ServingError,
    field::{Shapes, declared},
    stream_projection,
};

/// Reads the documents of a [`DocumentProjection`]. Cheap to clone.
///
/// ```
/// # use std::sync::Arc;
/// # use uno_core::{Envelope, Event};
/// # use uno_store_memory::MemoryStore;
/// # use serde::{Deserialize, Serialize};
/// # use uno_cqrs::DocumentProjection;
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { customer: u32, cents: i64 }
/// # #[derive(Debug)] struct Spending;
/// # impl DocumentProjection for Spending {
/// #     const NAME: &'static str = "spending";
/// #     type Event = OrderPlaced;
/// #     type Document = i64;
/// #     fn keys(&self, event: &Envelope<OrderPlaced>) -> Vec<String> { vec![event.event().customer.to_string()] }
/// #     fn apply(&self, _: &str, spent: Option<i64>, event: &Envelope<OrderPlaced>) -> Option<i64> { Some(spent.unwrap_or(0) + event.event().cents) }
/// # }
/// use uno_core::{EventStoreExt, ExpectedVersion, SubscriptionName};
/// use uno_cqrs::{DocumentProjector, Documents};
/// use uno_events::{Replay, Subscription, SubscriptionManager};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::new());
/// let projector = DocumentProjector::new(Spending, store.clone(), Default::default())?;
/// let manager = SubscriptionManager::new(store.clone(), store.clone());
/// manager.subscribe(Subscription::new(SubscriptionName::new("spending")?, Replay::Safe, Arc::new(projector)))?;
/// manager.start_all().await?;
///
/// let orders = [OrderPlaced { customer: 7, cents: 500 }, OrderPlaced { customer: 7, cents: 1499 }];
/// store.append_events("order-1742".parse()?, ExpectedVersion::NoStream, &orders).await?;
/// manager.until_idle().await?;
///
/// let spending = Documents::<Spending>::new(store);
/// assert_eq!(spending.get("7").await?, Some(1999));
/// assert_eq!(spending.scan(None, 10).await?, [("7".to_owned(), 1999)]);
/// # Ok(()) }
/// ```
///
/// They are read from the generation that serves, also while a [`ReadModel`](crate::ReadModel) is being swapped: each read costs a
/// second question to the store, which confirms that. The first page that is [found](Self::find) in a generation costs a third one. Clones
/// share what is known, so clone one rather than make several.
pub struct Documents<P> {
    store: Arc<dyn DocumentStore>,
    serving: Serving,
    known: Arc<Known>,
    projection: PhantomData<fn() -> P>,
}

impl<P: DocumentProjection> Documents<P> {
    /// The documents of `P` in this store.
    #[must_use]
    pub fn new(store: Arc<dyn DocumentStore>) -> Self {
        Self {
            serving: Serving::new(Arc::clone(&store), P::NAME, P::VERSION),
            store,
            known: Arc::default(),
            projection: PhantomData,
        }
    }

    /// The document with this key.
    ///
    /// # Errors
    /// When the store can't be read or the document does not have the projection's shape.
    pub async fn get(&self, key: &str) -> Result<Option<P::Document>, ReadDocumentError> {
        let keys = &[key.to_owned()];
        let read = |generation: Generation| async move {
            let collection = generation.name_of(P::NAME);
            let found = self.store.load_documents(&collection, keys).await?;
            Ok(found.first().map(decode::<P>).transpose()?.flatten())
        };
        self.serving.read(read).await
    }

    /// The documents with these keys, as far as they exist, by their keys. One read, of one state.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_many(
        &self,
        keys: &[String],
    ) -> Result<BTreeMap<String, P::Document>, ReadDocumentError> {
        let read = |generation: Generation| async move {
            let collection = generation.name_of(P::NAME);
            let found = self.store.load_documents(&collection, keys).await?;
            let documents = found
                .iter()
                .filter_map(|found| keyed::<P>(found).transpose());
            documents.collect()
        };
        self.serving.read(read).await
    }

    /// The documents after `after` in the order of their keys, at most `limit`, with their keys.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn scan(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, P::Document)>, ReadDocumentError> {
        let read = |generation: Generation| async move {
            let collection = generation.name_of(P::NAME);
            let (mut documents, mut after) = (Vec::new(), after.map(str::to_owned));
            // What is stored of a stream may say that there is no document, and does not count.
            while documents.len() < limit {
                let (wanted, from) = (limit - documents.len(), after.as_deref());
                let found = self.store.scan_documents(&collection, from, wanted).await?;
                for document in &found {
                    documents.extend(keyed::<P>(document)?);
                }
                let Some(last) = found.last().filter(|_| found.len() == wanted) else {
                    break;
                };
                after = Some(last.key().to_owned());
            }
            Ok(documents)
        };
        self.serving.read(read).await
    }

    /// The documents that a field lets find, one page of them: in the order of its values, and of one value in that of their keys.
    ///
    /// Each document is as it was at one moment, with the value that it had then. Of pages that follow one another, each is as of its
    /// own moment: a document whose value changes meanwhile may be seen twice or not at all, and one that does not is seen once.
    ///
    /// # Errors
    /// [`NotIndexed`](ReadDocumentError::NotIndexed) when the projection does not have this field, or when the documents that serve were
    /// written without it; and as [`get`](Self::get).
    pub async fn find(
        &self,
        finding: Finding<P::Document>,
        page: Page,
    ) -> Result<Found<P::Document>, ReadDocumentError> {
        let (finding, page) = (&finding, &page);
        let mut fields = P::FIELDS.iter();
        if !fields.any(|field| field.name() == finding.field && field.shape() == finding.shape) {
            return Err(not_indexed::<P>(finding.field));
        }
        let read = |generation: Generation| async move {
            let collection = &*generation.name_of(P::NAME);
            let mut find = FindDocuments::new(collection, finding.field)
                .within(finding.range.clone())
                .limit(page.limit);
            if page.is_backward {
                find = find.backward();
            }
            if let Some(PageEnd { value, key }) = &page.after {
                find = find.after(value.clone(), key.as_str());
            }
            let found = self.store.find_documents(find).await?;
            // After the read: what documents are written with stands there no later than they do.
            if !self.is_indexed(generation, collection, finding).await? {
                return Err(not_indexed::<P>(finding.field));
            }
            let end = found.last().map(PageEnd::of);
            let documents = found.iter().map(FoundDocument::document);
            let documents = documents.filter_map(|found| keyed::<P>(found).transpose());
            let documents = documents.collect::<Result<_, _>>()?;
            Ok(Found { documents, end })
        };
        self.serving.read(read).await
    }

    /// The document with this key, and again whenever it has changed: see [`LiveQuery`]. `None` while it does not exist.
    ///
    /// `changes` is the store that the documents are in.
    pub fn watch(
        &self,
        key: impl Into<String>,
        changes: Arc<dyn EventStore>,
    ) -> LiveQuery<Option<P::Document>, ReadDocumentError>
    where
        P::Document: Clone + PartialEq,
    {
        let (documents, key) = (self.clone(), key.into());
        LiveQuery::new(changes, move || {
            let (documents, key) = (documents.clone(), key.clone());
            async move { documents.get(&key).await }
        })
    }

    /// What is [found](Self::find), and again whenever that has changed: see [`LiveQuery`].
    ///
    /// `changes` is the store that the documents are in.
    pub fn watch_found(
        &self,
        finding: Finding<P::Document>,
        page: Page,
        changes: Arc<dyn EventStore>,
    ) -> LiveQuery<Found<P::Document>, ReadDocumentError>
    where
        P::Document: Clone + PartialEq,
    {
        let documents = self.clone();
        LiveQuery::new(changes, move || {
            let (documents, finding, page) = (documents.clone(), finding.clone(), page.clone());
            async move { documents.find(finding, page).await }
        })
    }

    /// Whether all documents of a generation were written with a field. If there are none, they were.
    async fn is_indexed(
        &self,
        generation: Generation,
        collection: &str,
        finding: &Finding<P::Document>,
    ) -> Result<bool, StoreError> {
        let is_among = |shapes: &Shapes| shapes.get(finding.field) == Some(&finding.shape);
        if self.known.of(generation, is_among) {
            return Ok(true);
        }
        if let Some(shapes) = declared(&*self.store, collection).await? {
            return Ok(self.known.keep(generation, shapes, is_among));
        }
        if self
            .store
            .scan_documents(collection, None, 1)
            .await?
            .is_empty()
        {
            return Ok(true);
        }
        // They came in between the two questions, and this with them; or they were written without any field.
        let shapes = declared(&*self.store, collection).await?;
        Ok(shapes.is_some_and(|shapes| self.known.keep(generation, shapes, is_among)))
    }
}

/// What the documents of a generation were written with, of the one that was asked for last. It stands there before the first document
/// does, and is never changed while the generation is there, whose number never comes back: so once it is known it need not be asked for
/// again. Only a yes is kept, since a no may be about a generation that has no documents yet.
#[derive(Default)]
struct Known(Mutex<Option<(Generation, Shapes)>>);

impl Known {
    /// Whether it is known of this generation.
    fn of(&self, generation: Generation, is_so: impl Fn(&Shapes) -> bool) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = known.as_ref().filter(|(of, _)| *of == generation);
        of.is_some_and(|(_, shapes)| is_so(shapes))
    }

    /// Keeps it if it is so, and says whether it is.
    fn keep(
        &self,
        generation: Generation,
        shapes: Shapes,
        is_so: impl Fn(&Shapes) -> bool,
    ) -> bool {
        let is_so = is_so(&shapes);
        if is_so {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((generation, shapes));
        }
        is_so
    }
}

fn not_indexed<P: DocumentProjection>(field: &'static str) -> ReadDocumentError {
    let projection = P::NAME;
    ReadDocumentError::NotIndexed { projection, field }
}

/// Which page of what is found: how many documents, after which place, and in which direction.
///
/// ```
/// use uno_cqrs::Page;
///
/// let newest = Page::of(20).backward();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    limit: usize,
    after: Option<PageEnd>,
    is_backward: bool,
}

impl Page {
    /// The first page, with at most so many documents.
    #[must_use]
    pub fn of(limit: usize) -> Self {
        Self {
            limit,
            after: None,
            is_backward: false,
        }
    }

    /// The page after this end of another one.
    #[must_use]
    pub fn after(mut self, end: PageEnd) -> Self {
        self.after = Some(end);
        self
    }

    /// From the greatest value on.
    #[must_use]
    pub fn backward(mut self) -> Self {
        self.is_backward = true;
        self
    }
}

/// Where a page ends: the next one goes on there, whatever has changed meanwhile. Opaque; as a text it may be handed to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageEnd {
    value: FieldValue,
    key: String,
}

impl PageEnd {
    fn of(found: &FoundDocument) -> Self {
        Self {
            value: found.value().clone(),
            key: found.document().key().to_owned(),
        }
    }
}

impl fmt::Display for PageEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.value.to_hex(), self.key)
    }
}

impl FromStr for PageEnd {
    type Err = NotAPageEnd;

    fn from_str(text: &str) -> Result<Self, NotAPageEnd> {
        let (hex, key) = text.split_once('.').ok_or(NotAPageEnd)?;
        let digits: Option<Vec<u8>> = hex
            .chars()
            .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
            .collect();
        let digits = digits.filter(|digits| digits.len() % 2 == 0);
        let pairs = digits.ok_or(NotAPageEnd)?;
        let bytes = pairs.chunks(2).map(|pair| (pair[0] << 4) | pair[1]);
        Ok(Self {
            value: FieldValue::from_stored(bytes.collect()),
            key: key.to_owned(),
        })
    }
}

/// A text is not the end of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not where a page ends")]
#[non_exhaustive]
pub struct NotAPageEnd;

/// A page of documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<D> {
    documents: Vec<(String, D)>,
    end: Option<PageEnd>,
}

impl<D> Found<D> {
    /// The documents with their keys, in order.
    #[must_use]
    pub fn documents(&self) -> &[(String, D)] {
        &self.documents
    }

    /// The documents with their keys, in order.
    #[must_use]
    pub fn into_documents(self) -> Vec<(String, D)> {
        self.documents
    }

    /// Where it ends; `None` if there is nothing on it.
    #[must_use]
    pub fn end(&self) -> Option<&PageEnd> {
        self.end.as_ref()
    }
}

/// `None`: what is stored says that there is no document.
fn keyed<P: DocumentProjection>(
    document: &Document,
) -> Result<Option<(String, P::Document)>, ReadDocumentError> {
    let found = decode::<P>(document)?;
    Ok(found.map(|found| (document.key().to_owned(), found)))
}

fn decode<P: DocumentProjection>(
    document: &Document,
) -> Result<Option<P::Document>, ReadDocumentError> {
    match stream_projection::decode::<P>(document.body()) {
        Ok(kept) => Ok(kept.document),
        Err(source) => Err(ReadDocumentError::Malformed {
            projection: P::NAME,
            key: document.key().to_owned(),
            source,
        }),
    }
}

impl<P> Clone for Documents<P> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            serving: self.serving.clone(),
            known: Arc::clone(&self.known),
            projection: PhantomData,
        }
    }
}

impl<P> fmt::Debug for Documents<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents")
            .field("store", &self.store)
            .finish()
    }
}

impl From<ReadDocumentError> for CommandError {
    fn from(error: ReadDocumentError) -> Self {
        match error {
            // As itself, so that a store that can't be reached is seen to be the reason.
            ReadDocumentError::Store(error) => error.into(),
            ReadDocumentError::Serving(ServingError::Store(error)) => error.into(),
            other => Self::failed(other),
        }
    }
}

/// Why a document can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadDocumentError {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not known which generation serves.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// Its documents can't be found by this field: the projection does not list it, or what serves was written without it. Then rebuild it.
    #[error("the documents of projection {projection} are not found by {field}")]
    NotIndexed {
        /// The projection.
        projection: &'static str,
        /// The field.
        field: &'static str,
    },
    /// It does not have the shape that the projection's code knows: rebuild the projection.
    #[error("document {key} of projection {projection} is malformed")]
    Malformed {
        /// The projection.
        projection: &'static str,
        /// The document.
        key: String,
        /// What serde says.
        source: serde_json::Error,
    },
}
