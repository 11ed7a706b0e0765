//! [`EventStore`], the first tier: append and read.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{AsOf, EventFilter, LogPage, ReadLog, ReadStream, Receipt, StreamAppend};
use crate::{
    AppendError, CausationLimits, CausationTree, DecodeError, Decoder, EncodeError, Envelope,
    EventId, EventSet, ExpectedVersion, NewEvent, Position, RecordedEvent, StoreEpoch, StoreError,
    StreamId, Version, causation,
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
        self.read_pages(ReadLog::after(after).filter(filter).limit(page))
    }

    /// A stretch of the log, page by page, with bounded memory: in either direction, filtered, as of a moment. The limit of `read` is that
    /// of one page.
    ///
    /// This is how an audit asks: who, what, when, the newest first.
    ///
    /// ```no_run
    /// # use chrono::{DateTime, Utc};
    /// # use uno_core::{EventFilter, EventStore, EventStoreExt as _, Position, ReadLog};
    /// # async fn example(store: &dyn EventStore, monday: DateTime<Utc>) -> Result<(), Box<dyn std::error::Error>> {
    /// let by_ada = EventFilter::all().actor("ada").recorded_from(monday);
    /// let mut pages = store.read_pages(ReadLog::before(Position::MAX).filter(by_ada).limit(50));
    /// while let Some(page) = pages.next_page().await? {
    ///     for event in page {
    ///         println!("{} {}", event.recorded_at(), event.name());
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    fn read_pages(&self, read: ReadLog) -> LogPager<'_, Self> {
        LogPager { store: self, read }
    }

    /// Where the log was at a time: at the last event that was recorded up to and with it. To read the log as it was then, read it
    /// [as of](ReadLog::as_of) that position.
    ///
    /// # Errors
    /// When the store can't be read.
    fn log_at(
        &self,
        time: DateTime<Utc>,
    ) -> impl Future<Output = Result<LogAt, StoreError>> + Send {
        async move {
            let by_then = ReadLog::before(Position::MAX).as_of(AsOf::Time(time));
            let page = self.read_log(by_then.limit(1)).await?;
            let mut last = page.events().first().cloned();
            loop {
                let after = last
                    .as_ref()
                    .map_or(Position::START, |event| event.position());
                let page = self.read_log(ReadLog::after(after).limit(1)).await?;
                let next = page.into_events().pop();
                match next {
                    // It has become visible in the meantime.
                    Some(next) if next.recorded_at() <= time => last = Some(next),
                    next => {
                        return Ok(LogAt {
                            last: last.map(|event| (event.position(), event.id())),
                            is_settled: next.is_some(),
                        });
                    }
                }
            }
        }
    }

    /// What an event goes back to and what came of it: `None` when there is no such event.
    ///
    /// A question or two for each step up and for each level down, however many events there are at it.
    ///
    /// ```no_run
    /// # use uno_core::{CausationLimits, EventId, EventStore, EventStoreExt as _};
    /// # async fn example(store: &dyn EventStore, event: EventId) -> Result<(), Box<dyn std::error::Error>> {
    /// if let Some(tree) = store.causation_of(event, CausationLimits::new()).await? {
    ///     println!("{} events came before, {} after", tree.causes().len(), tree.events().len() - 1);
    ///     println!("{}", tree.to_mermaid());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the store can't be read.
    fn causation_of(
        &self,
        event: EventId,
        limits: CausationLimits,
    ) -> impl Future<Output = Result<Option<CausationTree>, StoreError>> + Send {
        causation::search(self, event, limits)
    }
}

impl<S: EventStore + ?Sized> EventStoreExt for S {}

/// Where the log was at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogAt {
    last: Option<(Position, EventId)>,
    is_settled: bool,
}

impl LogAt {
    /// The position of the last event that was recorded by then; [`Position::START`] when there was none.
    #[must_use]
    pub fn position(&self) -> Position {
        self.last.map_or(Position::START, |(position, _)| position)
    }

    /// The position and id of the last event that was recorded by then.
    #[must_use]
    pub const fn last(&self) -> Option<(Position, EventId)> {
        self.last
    }

    /// Whether that is how it stays: the log goes on with an event that was recorded later, and no event appears below one that was seen. A
    /// time that has not passed, or has just passed, may not be settled.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.is_settled
    }
}

/// Goes through the log page by page.
#[derive(Debug)]
pub struct LogPager<'s, S: EventStore + ?Sized> {
    store: &'s S,
    /// What is still to be read.
    read: ReadLog,
}

impl<S: EventStore + ?Sized> LogPager<'_, S> {
    /// The next page; `None` at the end of the log as it is now, or at its beginning when it is read backward.
    ///
    /// # Errors
    /// When the store can't be read. The pager stays where it was, so that the call may be repeated.
    ///
    /// # Cancellation
    /// A page that was not returned comes with the next call.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Arc<RecordedEvent>>>, StoreError> {
        loop {
            let page = self.store.read_log(self.read.clone()).await?;
            let Some((scanned, _)) = page.scanned() else {
                return Ok(None);
            };
            self.read = self.read.clone().starting_at(scanned);
            if !page.events().is_empty() {
                return Ok(Some(page.into_events()));
            }
        }
    }

    /// The next page, decoded: of the events on it, those that the set has.
    ///
    /// # Errors
    /// When the store can't be read, or an event can't be decoded. The pager stays where it was.
    ///
    /// # Cancellation
    /// As [`next_page`](Self::next_page).
    pub async fn next_events<E: EventSet>(
        &mut self,
        decoder: &Decoder,
    ) -> Result<Option<Vec<Envelope<E>>>, ReadEventsError> {
        let (before, names) = (self.read.start(), decoder.stored_names::<E>());
        let Some(page) = self.next_page().await? else {
            return Ok(None);
        };
        let mut envelopes = Vec::new();
        for event in page.iter().filter(|event| names.contains(event.name())) {
            match decoder.decode_matching(event) {
                Ok(decoded) => envelopes.extend(decoded),
                Err(error) => {
                    self.read = self.read.clone().starting_at(before);
                    return Err(error.into());
                }
            }
        }
        Ok(Some(envelopes))
    }

    /// How far it has come.
    #[must_use]
    pub fn position(&self) -> Position {
        self.read.start()
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
