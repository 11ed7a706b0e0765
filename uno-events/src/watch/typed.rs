//! [`TypedWatch`]: a live feed of decoded events.

use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::{FusedStream, Stream};
use uno_core::{Checkpoint, Decoder, Envelope, EventSet, EventStore};

use super::{Watch, WatchError, WatchOptions, Watched};
use crate::LogFeed;

/// A [`Watch`] over the events of a set, decoded: an enum of event types, or one event type.
///
/// An event that can't be decoded is an item too, [`Decode`](WatchError::Decode), and the next item is the one after it.
///
/// ```
/// # use std::sync::Arc;
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Decoder, Event, EventStoreExt, ExpectedVersion};
/// # use uno_events::{TypedWatch, WatchOptions, Watched};
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { total_cents: i64 }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = Arc::new(uno_store_memory::MemoryStore::new());
/// # store.append_events("order-1".parse()?, ExpectedVersion::NoStream, &[OrderPlaced { total_cents: 5 }]).await?;
/// let mut placed = TypedWatch::<OrderPlaced>::open(store, Decoder::new(), WatchOptions::from_start()).await?;
///
/// let Some(Ok(Watched::Event(order))) = placed.next().await else { panic!("one is in the log") };
/// assert_eq!(order.event().total_cents, 5);
/// # Ok(())
/// # }
/// ```
pub struct TypedWatch<E> {
    watch: Watch,
    decoder: Decoder,
    events: PhantomData<fn() -> E>,
}

impl<E: EventSet> TypedWatch<E> {
    /// Opens a live feed with a reader of its own, as [`Watch::open`] does. The names that the filter asks for are those of the set.
    ///
    /// # Errors
    /// As [`Watch::open`].
    ///
    /// # Panics
    /// Outside a runtime of tokio.
    pub async fn open(
        store: Arc<dyn EventStore>,
        decoder: Decoder,
        options: WatchOptions,
    ) -> Result<Self, WatchError> {
        Ok(Self::over(
            Watch::open(store, options.events_of::<E>()).await?,
            decoder,
        ))
    }

    /// Opens a live feed that shares its reader, as [`Watch::on`] does. The names that the filter asks for are those of the set.
    ///
    /// # Errors
    /// As [`Watch::open`].
    ///
    /// # Panics
    /// Outside a runtime of tokio.
    pub async fn on(
        feed: LogFeed,
        decoder: Decoder,
        options: WatchOptions,
    ) -> Result<Self, WatchError> {
        Ok(Self::over(
            Watch::on(feed, options.events_of::<E>()).await?,
            decoder,
        ))
    }

    fn over(watch: Watch, decoder: Decoder) -> Self {
        Self {
            watch,
            decoder,
            events: PhantomData,
        }
    }

    /// The next item, as [`Watch::next`] gives it.
    ///
    /// # Errors
    /// See [`WatchError`].
    ///
    /// # Cancellation
    /// Dropping the future loses nothing: the next call goes on.
    pub async fn next(&mut self) -> Option<Result<Watched<Envelope<E>>, WatchError>> {
        let item = self.watch.next().await?;
        Some(self.decode(item))
    }

    /// The place to open a watch at in order to go on behind what was given.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.watch.checkpoint()
    }

    fn decode(
        &self,
        item: Result<Watched, WatchError>,
    ) -> Result<Watched<Envelope<E>>, WatchError> {
        Ok(match item? {
            Watched::Event(event) => Watched::Event(self.decoder.decode(&event)?),
            Watched::CaughtUp { position } => Watched::CaughtUp { position },
            Watched::FellBehind { position, head } => Watched::FellBehind { position, head },
        })
    }
}

impl<E: EventSet> Stream for TypedWatch<E> {
    type Item = Result<Watched<Envelope<E>>, WatchError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let item = ready!(Pin::new(&mut this.watch).poll_next(context));
        Poll::Ready(item.map(|item| this.decode(item)))
    }
}

impl<E: EventSet> FusedStream for TypedWatch<E> {
    fn is_terminated(&self) -> bool {
        self.watch.is_terminated()
    }
}

impl<E> fmt::Debug for TypedWatch<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedWatch")
            .field("watch", &self.watch)
            .finish_non_exhaustive()
    }
}
