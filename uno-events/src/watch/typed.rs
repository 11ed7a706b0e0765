//! [`TypedWatch`]: a live feed of decoded events.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::{FusedStream, Stream};
use uno_core::{Checkpoint, DecodedIter, Decoder, Envelope, EventSet, EventStore};

use super::{Watch, WatchError, WatchOptions, Watched};
use crate::LogFeed;

/// A [`Watch`] over the events of a set, decoded: an enum of event types, or one event type.
///
/// An event that can't be decoded is an item too, [`Decode`](WatchError::Decode), and the next item is the one after it.
/// One that was split is as many items as it has parts in the set, one after the other; one that was dropped is none.
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
    /// Up to where everything was given, with all of its parts.
    given: Checkpoint,
    /// The parts of the last event that are still to be given.
    parts: Option<DecodedIter<E>>,
}

impl<E: EventSet> TypedWatch<E> {
    /// Opens a live feed with a reader of its own, as [`Watch::open`] does. The names that the filter asks for are those
    /// that events of the set are stored under, as the decoder knows them.
    ///
    /// # Errors
    /// As [`Watch::open`], and [`Events`](WatchError::Events) when old versions of an event can't be read.
    ///
    /// # Panics
    /// Outside a runtime of tokio.
    pub async fn open(
        store: Arc<dyn EventStore>,
        decoder: Decoder,
        options: WatchOptions,
    ) -> Result<Self, WatchError> {
        let options = options.events_of::<E>(&decoder)?;
        Ok(Self::over(Watch::open(store, options).await?, decoder))
    }

    /// Opens a live feed that shares its reader, as [`Watch::on`] does. The names that the filter asks for are those
    /// that events of the set are stored under, as the decoder knows them.
    ///
    /// # Errors
    /// As [`Watch::open`], and [`Events`](WatchError::Events) when old versions of an event can't be read.
    ///
    /// # Panics
    /// Outside a runtime of tokio.
    pub async fn on(
        feed: LogFeed,
        decoder: Decoder,
        options: WatchOptions,
    ) -> Result<Self, WatchError> {
        let options = options.events_of::<E>(&decoder)?;
        Ok(Self::over(Watch::on(feed, options).await?, decoder))
    }

    fn over(watch: Watch, decoder: Decoder) -> Self {
        let given = watch.checkpoint();
        Self {
            watch,
            decoder,
            given,
            parts: None,
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
        poll_fn(|context| self.poll(context)).await
    }

    /// The place to open a watch at in order to go on behind what was given. Between two parts of one event it is the one before the
    /// event, so that none of them is lost: those that were given are given again.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        match self.parts {
            Some(_) => self.given,
            None => self.watch.checkpoint(),
        }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Watched<Envelope<E>>, WatchError>>> {
        loop {
            if let Some(part) = self.next_part() {
                return Poll::Ready(Some(Ok(Watched::Event(part))));
            }
            self.given = self.watch.checkpoint();
            let item = match ready!(Pin::new(&mut self.watch).poll_next(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => Err(error),
                Some(Ok(Watched::Event(event))) => match self.decoder.decode_matching(&event) {
                    Ok(parts) => {
                        self.parts = Some(parts.into_iter());
                        continue;
                    }
                    Err(error) => Err(error.into()),
                },
                Some(Ok(Watched::CaughtUp { position })) => Ok(Watched::CaughtUp { position }),
                Some(Ok(Watched::FellBehind { position, head })) => {
                    Ok(Watched::FellBehind { position, head })
                }
            };
            return Poll::Ready(Some(item));
        }
    }

    /// The next part of the event that was read last. With the last one the event is given.
    fn next_part(&mut self) -> Option<Envelope<E>> {
        let parts = self.parts.as_mut()?;
        let part = parts.next();
        if parts.len() == 0 {
            self.parts = None;
        }
        part
    }
}

/// Nothing of it is pinned: parts are moved out.
impl<E> Unpin for TypedWatch<E> {}

impl<E: EventSet> Stream for TypedWatch<E> {
    type Item = Result<Watched<Envelope<E>>, WatchError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(context)
    }
}

impl<E: EventSet> FusedStream for TypedWatch<E> {
    fn is_terminated(&self) -> bool {
        self.parts.is_none() && self.watch.is_terminated()
    }
}

impl<E> fmt::Debug for TypedWatch<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedWatch")
            .field("watch", &self.watch)
            .finish_non_exhaustive()
    }
}
