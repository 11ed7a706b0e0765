//! [`EventStore`], the first tier: append and read.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::{AsOf, EventFilter, LogPage, ReadLog, ReadStream, Receipt, StreamAppend};
use crate::{
    AppendError, DecodeError, Decoder, EncodeError, Envelope, EventId, EventSet, ExpectedVersion,
    NewEvent, Position, RecordedEvent, StoreEpoch, StoreError, StreamId, Version,
};

/// Keeps events in streams and in one global order.
///
/// This is a contract between backends and the framework, and the least that is needed; what is convenient
/// is in [`EventStoreExt`]. Implement it, then prove it with the suites in `uno-testkit`.
///
/// # Contract
/// 1. **Atomic append.** All events of one `append` become visible together, or none does.
/// 2. **Expected versions.** An append succeeds only if every stream is as expected at the moment it takes
///    effect, however many append at once.
/// 3. **Versions without holes.** The events of a stream have versions 1, 2, 3, ….
/// 4. **One order.** Every reader of the log sees every committed event exactly in position order: once a reader has
///    seen a position, no event appears below it. Positions rise with versions.
/// 5. **Idempotent append.** Appending events that are all stored already, at the end that the expected version
///    names or, with [`Any`](ExpectedVersion::Any) and [`StreamExists`](ExpectedVersion::StreamExists), one after
///    the other in that stream, stores nothing and returns the first receipt. An id that is stored anywhere else
///    is [`DuplicateEvent`](AppendError::DuplicateEvent).
/// 6. **Honest conflicts.** [`Conflict`](AppendError::Conflict) names the stream, what was expected, and what is.
/// 7. **Honest doubt.** A commit whose outcome is not known is [`Unknown`](AppendError::Unknown), never a guess.
/// 8. **Read back equal.** What was accepted is read back equal, to the byte and the microsecond; what could not
///    be is [`Refused`](AppendError::Refused) by the rules of [`Limits`](crate::Limits), the same in every store.
/// 9. **Read your own append.** After `append` returned, every read through the same store sees it.
/// 10. **Cancellation.** Dropping a future of the store leaves no half append: the append happened or did not.
/// 11. **Recording time.** `recorded_at` never falls from one position to the next.
/// 12. **Append only.** No call changes or removes an event.
#[async_trait]
pub trait EventStore: fmt::Debug + Send + Sync + 'static {
    /// Makes the store ready: creates or upgrades its schema. Does nothing when that is done, and may be called by
    /// many processes at once.
    async fn migrate(&self) -> Result<(), StoreError>;

    /// Appends events to one or several streams, all or nothing.
    ///
    /// A stream may occur once, and must have at least one event; anything else is refused. An empty list appends nothing.
    async fn append(&self, streams: Vec<StreamAppend>) -> Result<Receipt, AppendError>;

    /// Reads a stretch of one stream. A stream that does not exist is an empty stretch.
    async fn read_stream(&self, read: ReadStream) -> Result<Vec<Arc<RecordedEvent>>, StoreError>;

    /// Reads a stretch of the log.
    async fn read_log(&self, read: ReadLog) -> Result<LogPage, StoreError>;

    /// The end of the log as it is visible now.
    async fn head(&self) -> Result<Head, StoreError>;

    /// A mark to pass to [`changed`](Self::changed). Take it *before* reading.
    fn change(&self) -> StoreChange;

    /// Returns once something was committed, here or elsewhere, after the mark was taken. A hint only: it may come for nothing,
    /// and what another process commits may never be told, so poll as well. Dropping it is always safe.
    async fn changed(&self, since: StoreChange);
}

const _: fn(&dyn EventStore) = |_| {};

/// A moment in the sequence of a store's changes, as seen by one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreChange(u64);

impl StoreChange {
    /// The mark with this number. For stores.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// The end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    epoch: StoreEpoch,
    last: Option<(Position, EventId)>,
}

impl Head {
    /// The end of a log. For stores.
    #[must_use]
    pub const fn new(epoch: StoreEpoch, last: Option<(Position, EventId)>) -> Self {
        Self { epoch, last }
    }

    /// Which life of the store.
    #[must_use]
    pub const fn epoch(&self) -> StoreEpoch {
        self.epoch
    }

    /// The position of the last event; [`Position::START`] when there is none.
    #[must_use]
    pub fn position(&self) -> Position {
        self.last.map_or(Position::START, |(position, _)| position)
    }

    /// The last event's position and id.
    #[must_use]
    pub const fn last(&self) -> Option<(Position, EventId)> {
        self.last
    }
}

/// What users of a store call: typed, and in pages of bounded size.
pub trait EventStoreExt: EventStore {
    /// Appends typed events to one stream.
    ///
    /// # Errors
    /// As [`EventStore::append`]; an event that can't be encoded is [`Refused`](AppendError::Refused).
    fn append_events<S: EventSet>(
        &self,
        stream: StreamId,
        expected: ExpectedVersion,
        events: &[S],
    ) -> impl Future<Output = Result<Receipt, AppendError>> + Send {
        let encoded: Result<Vec<NewEvent>, EncodeError> =
            events.iter().map(NewEvent::encode).collect();
        async move {
            let events = encoded.map_err(AppendError::from)?;
            self.append(vec![StreamAppend::new(stream, expected, events)])
                .await
        }
    }

    /// Reads a whole stream, decoded. Events that the decoder drops are missing, and split ones are there in parts.
    ///
    /// # Errors
    /// When the store can't be read, or an event can't be decoded.
    fn read_events<S: EventSet>(
        &self,
        stream: &StreamId,
        decoder: &Decoder,
    ) -> impl Future<Output = Result<Vec<Envelope<S>>, ReadEventsError>> + Send {
        self.read_events_as_of(stream, None, decoder)
    }

    /// Reads a whole stream as it was at a moment, decoded.
    ///
    /// # Errors
    /// When the store can't be read, or an event can't be decoded.
    fn read_events_as_of<S: EventSet>(
        &self,
        stream: &StreamId,
        moment: Option<AsOf>,
        decoder: &Decoder,
    ) -> impl Future<Output = Result<Vec<Envelope<S>>, ReadEventsError>> + Send {
        async move {
            let mut envelopes = Vec::new();
            let mut from = Version::EMPTY.next();
            loop {
                let mut read = ReadStream::forward(stream.clone()).from(from);
                if let Some(moment) = moment {
                    read = read.as_of(moment);
                }
                let limit = read.max_events();
                let page = self.read_stream(read).await?;
                for record in &page {
                    envelopes.extend(decoder.decode_all(record)?);
                    from = record.version().next();
                }
                if page.len() < limit {
                    return Ok(envelopes);
                }
            }
        }
    }

    /// The log from a position on, page by page, with bounded memory.
    fn pages(&self, after: Position, filter: EventFilter, page: usize) -> LogPager<'_, Self> {
        LogPager {
            store: self,
            after,
            filter,
            page,
        }
    }
}

impl<S: EventStore + ?Sized> EventStoreExt for S {}

/// Goes through the log page by page.
#[derive(Debug)]
pub struct LogPager<'s, S: EventStore + ?Sized> {
    store: &'s S,
    after: Position,
    filter: EventFilter,
    page: usize,
}

impl<S: EventStore + ?Sized> LogPager<'_, S> {
    /// The next page; `None` at the end of the log as it is now.
    ///
    /// # Errors
    /// When the store can't be read. The pager stays where it was, so that the call may be repeated.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Arc<RecordedEvent>>>, StoreError> {
        loop {
            let read = ReadLog::after(self.after)
                .filter(self.filter.clone())
                .limit(self.page);
            let page = self.store.read_log(read).await?;
            let Some((scanned, _)) = page.scanned() else {
                return Ok(None);
            };
            self.after = scanned;
            if !page.events().is_empty() {
                return Ok(Some(page.into_events()));
            }
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn position(&self) -> Position {
        self.after
    }
}

/// Why typed events could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadEventsError {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event can't be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}
