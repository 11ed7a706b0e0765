//! [`Watch`]: the log from a place on, and then what comes.

mod error;
mod item;
mod opening;
mod options;
mod reader;
mod typed;

use std::{
    collections::VecDeque,
    fmt,
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::{FusedStream, Stream};
use tokio::{runtime::Handle, task::JoinError};
use tokio_util::task::AbortOnDropHandle;
use uno_core::{Checkpoint, EventStore, RecordedEvent};

use self::reader::{Found, Reader};
use crate::LogFeed;

pub use self::{
    error::WatchError,
    item::Watched,
    options::{WatchFrom, WatchOptions},
    typed::TypedWatch,
};

/// A live feed: the events of the log from a place on, then those that are appended, for as long as it is kept. It has no
/// name and saves nothing.
///
/// ```
/// # use std::sync::Arc;
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Event, EventStoreExt, ExpectedVersion};
/// # use uno_events::{Watch, WatchOptions, Watched};
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { total_cents: i64 }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = Arc::new(uno_store_memory::MemoryStore::new());
/// let mut watch = Watch::open(store.clone(), WatchOptions::from_head()).await?;
/// store.append_events("order-1".parse()?, ExpectedVersion::NoStream, &[OrderPlaced { total_cents: 5 }]).await?;
///
/// while let Some(item) = watch.next().await {
///     match item? {
///         Watched::Event(event) => {
///             assert_eq!(event.name().as_str(), "order_placed");
///             break;
///         }
///         Watched::CaughtUp { .. } | Watched::FellBehind { .. } => {}
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Contract
/// 1. **No gap, no double.** Every committed event after the place that fits the filter is given once, in position order,
///    also where old events end and new ones begin.
/// 2. **Bounded.** It reads the log when it is asked for an item and has none, and never holds more than a page of
///    [`page_size`](WatchOptions::page_size) events, however slow its reader. What follows is in the log.
/// 3. **Harmless.** One that is kept without being polled holds up nobody.
/// 4. **Notices.** [`CaughtUp`](Watched::CaughtUp) comes when there was nothing more, first and after each
///    [`FellBehind`](Watched::FellBehind); that one comes before the events that it is behind by.
/// 5. **Outages** of the store are waited out, as long as they take. After an error of another kind there are a few more
///    attempts, then the error, and then the stream has ended.
/// 6. **Cancellation.** Dropping the future of [`next`](Self::next) loses nothing. Dropping the watch ends its reading.
pub struct Watch {
    /// Up to where everything was given.
    given: Checkpoint,
    /// What was read and is still to be given.
    page: VecDeque<Arc<RecordedEvent>>,
    /// Where that page ends, at or after its last event.
    end: Checkpoint,
    /// Who reads on, when nothing is being read. Without it and without a task the feed has ended.
    reader: Option<Box<Reader>>,
    /// A read that is under way. It is a task of its own, so that a watch that nobody polls does not hold the feed's lock.
    task: Option<AbortOnDropHandle<(Box<Reader>, Found)>>,
    runtime: Handle,
}

impl Watch {
    /// Opens a live feed of a store, with a reader of its own. To share one among many, see [`on`](Self::on) and
    /// [`SubscriptionManager::watch`](crate::SubscriptionManager::watch).
    ///
    /// With [`from_head`](WatchOptions::from_head), what is appended after this has returned is given.
    ///
    /// # Errors
    /// [`LogDiverged`](WatchError::LogDiverged) when the log does not have the place it is to begin at;
    /// [`Store`](WatchError::Store) when the store can't be read.
    ///
    /// # Panics
    /// Outside a runtime of tokio.
    pub async fn open(
        store: Arc<dyn EventStore>,
        options: WatchOptions,
    ) -> Result<Self, WatchError> {
        let feed = LogFeed::new(store, options.page, options.poll() / 2);
        Self::on(feed, options).await
    }

    /// Opens a live feed that reads through a [`LogFeed`], so that many who are at the end of the log ask the store as one does.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    ///
    /// # Panics
    /// Outside a runtime of tokio.
    pub async fn on(feed: LogFeed, options: WatchOptions) -> Result<Self, WatchError> {
        // The ring begins here at the latest, so that those who are opened before the first event comes find it there.
        feed.anchor().await?;
        let place = opening::place(&**feed.store(), options.from).await?;
        Ok(Self {
            given: place,
            page: VecDeque::new(),
            end: place,
            reader: Some(Box::new(Reader::new(feed, place, options))),
            task: None,
            runtime: Handle::current(),
        })
    }

    /// The next item, when it comes; `None` when the feed has ended, which only an error does.
    ///
    /// # Errors
    /// See [`WatchError`].
    ///
    /// # Cancellation
    /// Dropping the future loses nothing: the next call goes on.
    pub async fn next(&mut self) -> Option<Result<Watched, WatchError>> {
        poll_fn(|context| self.poll(context)).await
    }

    /// The place to open a watch at in order to go on behind what was given: send it along as the id of a message, and have
    /// it come back when the connection was lost.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.given
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Watched, WatchError>>> {
        loop {
            if let Some(event) = self.page.pop_front() {
                self.given = if self.page.is_empty() {
                    self.end
                } else {
                    Checkpoint::after(self.given.epoch(), event.position(), event.id())
                };
                return Poll::Ready(Some(Ok(Watched::Event(event))));
            }
            if let Some(reader) = self.reader.take() {
                self.task = Some(AbortOnDropHandle::new(self.runtime.spawn(reader.read())));
            }
            let Some(task) = &mut self.task else {
                return Poll::Ready(None);
            };
            let answer = ready!(Pin::new(task).poll(context));
            self.task = None;
            if let Some(item) = self.take_in(answer) {
                return Poll::Ready(Some(item));
            }
        }
    }

    /// What a read has come to: an item, or a page to give items of.
    fn take_in(
        &mut self,
        answer: Result<(Box<Reader>, Found), JoinError>,
    ) -> Option<Result<Watched, WatchError>> {
        let (reader, found) = match answer {
            Ok(answer) => answer,
            Err(error) => return Some(Err(WatchError::interrupted(error))),
        };
        let position = self.given.position();
        if !matches!(found, Found::Failed(_)) {
            self.reader = Some(reader);
        }
        match found {
            Found::Page { events, end, head } => {
                if events.is_empty() {
                    self.given = end;
                }
                self.page = events.into();
                self.end = end;
                head.map(|head| Ok(Watched::FellBehind { position, head }))
            }
            Found::CaughtUp => Some(Ok(Watched::CaughtUp { position })),
            Found::Outage(error) | Found::Failed(error) => Some(Err(error)),
        }
    }
}

impl Stream for Watch {
    type Item = Result<Watched, WatchError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(context)
    }
}

impl FusedStream for Watch {
    fn is_terminated(&self) -> bool {
        self.page.is_empty() && self.reader.is_none() && self.task.is_none()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("given", &self.given)
            .field("page", &self.page.len())
            .finish_non_exhaustive()
    }
}
