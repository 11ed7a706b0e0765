//! [`LiveDocuments`]: the documents of a projection, folded from the log when they are asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use chrono::TimeDelta;
use uno_core::{
    AsOf, BoxError, DecodeError, Decoder, Envelope, EventFilter, EventStore, Position, ReadLog,
    ReadStream, RecordedEvent, RegistrationError, StoreError, StreamId, StreamIdError, Version,
};
use uno_uow::CommandError;

use crate::{
    DocumentProjection,
    document_projection::{filter_of, keys_of},
    enrich::{enriched, store_error},
};

/// How many positions are looked at in one question: a store that has no index for the filter is not asked to look through the whole log.
const WINDOW: u64 = 100_000;

/// The documents of a [`DocumentProjection`], folded from the log when they are asked for, with nothing stored: right at once, as of any
/// moment, and as dear as there are events to read. Cheap to clone.
///
/// ```
/// # use std::sync::Arc;
/// # use uno_core::{AsOf, Envelope, Event, EventStoreExt, ExpectedVersion};
/// # use uno_store_memory::MemoryStore;
/// # use serde::{Deserialize, Serialize};
/// # use uno_cqrs::{Fact, StreamProjection};
/// # #[derive(Event, Serialize, Deserialize)] struct ItemAdded { cents: i64 }
/// # #[derive(Debug)] struct OrderTotals;
/// # impl StreamProjection for OrderTotals {
/// #     const NAME: &'static str = "order_totals";
/// #     const CATEGORY: &'static str = "order";
/// #     type Event = ItemAdded;
/// #     type Document = i64;
/// #     fn fold(&self, total: Option<i64>, event: &Fact<'_, ItemAdded>) -> Option<i64> { Some(total.unwrap_or(0) + event.event().cents) }
/// # }
/// use uno_cqrs::LiveDocuments;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::new());
/// let totals = LiveDocuments::new(OrderTotals, store.clone(), Default::default())?;
///
/// let first = store.append_events("order-1742".parse()?, ExpectedVersion::NoStream, &[ItemAdded { cents: 500 }]).await?;
/// store.append_events("order-1742".parse()?, ExpectedVersion::Any, &[ItemAdded { cents: 1499 }]).await?;
/// assert_eq!(totals.get("1742").await?, Some(1999));
///
/// let before = totals.as_of(AsOf::Position(first.position().ok_or("nothing was appended")?));
/// assert_eq!(before.get("1742").await?, Some(500));
/// # Ok(()) }
/// ```
///
/// # What it costs
///
/// Of a [`StreamProjection`](crate::StreamProjection), [`get`](Self::get) reads the one stream. Everything else reads all events of the
/// projection's set from the beginning of the log, in pages: keep such a projection as a [`ReadModel`](crate::ReadModel) if it is asked
/// often, or of much. What is read can be [narrowed](Self::narrowed) if you know more.
///
/// # Contract
/// An answer is the fold of the events up to one moment: of those that are committed when it is asked for, or [as of](Self::as_of) one. It
/// is what the same projection has stored when it has come to there.
pub struct LiveDocuments<P> {
    projection: Arc<P>,
    log: Arc<dyn EventStore>,
    decoder: Decoder,
    filter: EventFilter,
    moment: Option<AsOf>,
}

impl<P: DocumentProjection> LiveDocuments<P> {
    /// Folds the events of this log.
    ///
    /// # Errors
    /// When one of its events has a name that can't be stored, or a chain of upcasters that is not whole.
    pub fn new(
        projection: P,
        log: Arc<dyn EventStore>,
        decoder: Decoder,
    ) -> Result<Self, RegistrationError> {
        Ok(Self {
            filter: filter_of::<P>(&decoder)?,
            projection: Arc::new(projection),
            log,
            decoder,
            moment: None,
        })
    }

    /// The same, as of a moment.
    #[must_use]
    pub fn as_of(&self, moment: AsOf) -> Self {
        Self {
            moment: Some(moment),
            ..self.clone()
        }
    }

    /// The same, reading fewer events: `narrow` makes the filter for the projection's events narrower, by categories or a correlation id, say.
    /// What it leaves out must not concern the documents that are asked for.
    #[must_use]
    pub fn narrowed(mut self, narrow: impl FnOnce(EventFilter) -> EventFilter) -> Self {
        self.filter = narrow(self.filter);
        self
    }

    /// The document with this key; `None` if there is none.
    ///
    /// # Errors
    /// When the log can't be read, an event can't be decoded, or the key can't be that of a stream.
    pub async fn get(&self, key: &str) -> Result<Option<P::Document>, LiveError> {
        if let Some(category) = P::OF_STREAMS {
            return self.fold_stream(StreamId::new(category, key)?, key).await;
        }
        let mut documents = self.get_many(&[key.to_owned()]).await?;
        Ok(documents.remove(key))
    }

    /// The documents with these keys, as far as they exist, by their keys: of one state.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_many(
        &self,
        keys: &[String],
    ) -> Result<BTreeMap<String, P::Document>, LiveError> {
        let wanted: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
        self.fold_log(|key| wanted.contains(key)).await
    }

    /// All documents, by their keys: of one state, and all in memory.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn all(&self) -> Result<BTreeMap<String, P::Document>, LiveError> {
        self.fold_log(|_| true).await
    }

    async fn fold_stream(
        &self,
        stream: StreamId,
        key: &str,
    ) -> Result<Option<P::Document>, LiveError> {
        // A page that is read later may have more than there was at first: the stream up to there is a moment too.
        let (mut document, mut from) = (None, Version::EMPTY.next());
        loop {
            let mut read = ReadStream::forward(stream.clone()).from(from);
            if let Some(moment) = self.moment {
                read = read.as_of(moment);
            }
            let limit = read.max_events();
            let page = self.log.read_stream(read).await?;
            let (projection, events) = self.decode(&page).await?;
            for event in &events {
                document = projection.apply(key, document, event);
            }
            match page.last() {
                Some(last) if page.len() == limit => from = last.version().next(),
                _ => return Ok(document),
            }
        }
    }

    async fn fold_log(
        &self,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, P::Document>, LiveError> {
        // The end is fixed before the first page, or a log that is written to all the time would have none.
        let head = self.log.head().await?.position();
        let (end, filter) = match self.moment {
            None => (head, self.filter.clone()),
            Some(AsOf::Position(position)) => (position.min(head), self.filter.clone()),
            // Times are in whole microseconds, and the moment itself belongs to it.
            Some(AsOf::Time(time)) => {
                let after = time.checked_add_signed(TimeDelta::microseconds(1));
                let filter = self.filter.clone();
                let filter = after.map_or(filter.clone(), |after| filter.recorded_before(after));
                (head, filter)
            }
        };
        let mut documents = BTreeMap::new();
        let mut position = Position::START;
        while position < end {
            let until = position.checked_add(WINDOW).map_or(end, |to| to.min(end));
            let read = ReadLog::after(position)
                .as_of(AsOf::Position(until))
                .filter(filter.clone());
            let page = self.log.read_log(read).await?;
            let (projection, events) = self.decode(page.events()).await?;
            fold(&*projection, &events, &is_wanted, &mut documents);
            // Beyond what was looked at there is nothing up to `until`, once a page has nothing more.
            position = page.scanned().map_or(until, |(scanned, _)| scanned);
        }
        Ok(documents)
    }

    /// The events that the projection reads, and the projection as it is to see them.
    async fn decode(&self, records: &[Arc<RecordedEvent>]) -> Result<Enriched<P>, LiveError> {
        let mut events = Vec::with_capacity(records.len());
        // A stream is read whole, with what is not in the set.
        for record in records.iter().filter(|record| self.filter.matches(record)) {
            events.extend(self.decoder.decode_matching(record)?);
        }
        match enriched(&self.projection, &events).await {
            Ok(projection) => Ok((projection, events)),
            Err(error) => Err(match store_error(error) {
                Ok(error) => LiveError::Store(error),
                Err(error) => LiveError::Enrich(error),
            }),
        }
    }
}

/// A projection as it is to see these events.
type Enriched<P> = (Arc<P>, Vec<Envelope<<P as DocumentProjection>::Event>>);

/// What events make of the documents that are wanted.
fn fold<P: DocumentProjection>(
    projection: &P,
    events: &[Envelope<P::Event>],
    is_wanted: impl Fn(&str) -> bool,
    documents: &mut BTreeMap<String, P::Document>,
) {
    for event in events {
        for key in keys_of(projection, event) {
            if is_wanted(&key) {
                let before = documents.remove(&key);
                if let Some(document) = projection.apply(&key, before, event) {
                    documents.insert(key, document);
                }
            }
        }
    }
}

impl<P> Clone for LiveDocuments<P> {
    fn clone(&self) -> Self {
        Self {
            projection: Arc::clone(&self.projection),
            log: Arc::clone(&self.log),
            decoder: self.decoder.clone(),
            filter: self.filter.clone(),
            moment: self.moment,
        }
    }
}

impl<P: fmt::Debug> fmt::Debug for LiveDocuments<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveDocuments")
            .field("projection", &self.projection)
            .field("moment", &self.moment)
            .finish_non_exhaustive()
    }
}

/// Why documents can't be folded from the log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The log can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event can't be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// What is needed beside the events could not be loaded.
    #[error("a page of events could not be enriched")]
    Enrich(#[source] BoxError),
    /// The key can't be that of a stream.
    #[error(transparent)]
    Key(#[from] StreamIdError),
}

impl From<LiveError> for CommandError {
    fn from(error: LiveError) -> Self {
        match error {
            // As itself, so that a store that can't be reached is seen to be the reason.
            LiveError::Store(error) => error.into(),
            other => Self::failed(other),
        }
    }
}
