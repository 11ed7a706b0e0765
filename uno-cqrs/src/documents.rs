//! [`Documents`]: the documents that a projection keeps, for reading.

use std::{collections::BTreeMap, fmt, marker::PhantomData, sync::Arc};

use uno_core::{Document, DocumentStore, StoreError};
use uno_uow::CommandError;

use crate::{DocumentProjection, Serving, ServingError};

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
/// second question to the store, which confirms that.
pub struct Documents<P> {
    store: Arc<dyn DocumentStore>,
    serving: Serving,
    projection: PhantomData<fn() -> P>,
}

impl<P: DocumentProjection> Documents<P> {
    /// The documents of `P` in this store.
    #[must_use]
    pub fn new(store: Arc<dyn DocumentStore>) -> Self {
        Self {
            serving: Serving::new(Arc::clone(&store), P::NAME, P::VERSION),
            store,
            projection: PhantomData,
        }
    }

    /// The document with this key.
    ///
    /// # Errors
    /// When the store can't be read or the document does not have the projection's shape.
    pub async fn get(&self, key: &str) -> Result<Option<P::Document>, ReadDocumentError> {
        let keys = &[key.to_owned()];
        self.serving
            .read(|generation| async move {
                let collection = generation.name_of(P::NAME);
                let found = self.store.load_documents(&collection, keys).await?;
                found.first().map(decode::<P>).transpose()
            })
            .await
    }

    /// The documents with these keys, as far as they exist, by their keys. One read, of one state.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_many(
        &self,
        keys: &[String],
    ) -> Result<BTreeMap<String, P::Document>, ReadDocumentError> {
        self.serving
            .read(|generation| async move {
                let collection = generation.name_of(P::NAME);
                let found = self.store.load_documents(&collection, keys).await?;
                found.iter().map(keyed::<P>).collect()
            })
            .await
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
        self.serving
            .read(|generation| async move {
                let collection = generation.name_of(P::NAME);
                let found = self.store.scan_documents(&collection, after, limit).await?;
                found.iter().map(keyed::<P>).collect()
            })
            .await
    }
}

fn keyed<P: DocumentProjection>(
    document: &Document,
) -> Result<(String, P::Document), ReadDocumentError> {
    Ok((document.key().to_owned(), decode::<P>(document)?))
}

fn decode<P: DocumentProjection>(document: &Document) -> Result<P::Document, ReadDocumentError> {
    serde_json::from_str(document.body().as_str()).map_err(|source| ReadDocumentError::Malformed {
        projection: P::NAME,
        key: document.key().to_owned(),
        source,
    })
}

impl<P> Clone for Documents<P> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            serving: self.serving.clone(),
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
