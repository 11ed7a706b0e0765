//! [`Sink`]: a read model outside of every transaction of the store's: at least once, and harmless when it is more.

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc};

use async_trait::async_trait;
use serde::Serialize;
use tracing::Instrument as _;
use uno_core::{
    BoxError, CheckpointStore, Decoder, Envelope, EventFilter, EventSet, Payload, Position,
    Refusal, RegistrationError, Stale,
};
use uno_events::{Batch, ConsumeError, Consumer};

use crate::{document_projection::decode_all, enrich::unplaced, telemetry};

/// A read model that no commit of the store's can hold, such as the index of a search engine, or a database that keeps no checkpoint beside
/// its rows. **At least once**: after a crash events come again, and a process that was asleep may write what it had in hand when
/// another has long gone on. So all that it is given is whole values, each with a mark that rises, and it takes what is newer.
///
/// What lives in a store of Uno's is better kept by a [`DocumentProjection`](crate::DocumentProjection) or a
/// [`Projection`](crate::Projection), whose checkpoint is in the commit of the rows: exactly once. What is neither a value under a key nor
/// to be had again, such as a mail, is a message ([`MessageRelay`](crate::MessageRelay)) or the affair of a handler.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{BoxError, Envelope, Event};
/// use uno_cqrs::{Marked, Sink, Upsert};
///
/// # #[derive(Event, Serialize, Deserialize)] struct ProductListed { name: String, cents: i64 }
/// # #[derive(Debug)] struct Engine;
/// # impl Engine { async fn index(&self, _: &str, _: u64, _: Option<&str>) -> Result<(), BoxError> { Ok(()) } }
/// #[derive(Debug)]
/// struct Search { engine: Engine }
///
/// impl Sink for Search {
///     const NAME: &'static str = "search";
///     type Event = ProductListed;
///
///     fn upserts(&self, event: &Envelope<ProductListed>) -> Result<Vec<Upsert>, BoxError> {
///         Ok(vec![Upsert::put(event.stream().key(), event.event())?])
///     }
///
///     async fn take(&self, upserts: &[Marked]) -> Result<(), BoxError> {
///         for upsert in upserts {
///             // Engines know this as an external version: they take what has a higher one, and keep it of what is removed.
///             self.engine.index(upsert.key(), upsert.mark(), upsert.body().map(|body| body.as_str())).await?;
///         }
///         Ok(())
///     }
/// }
/// ```
///
/// # Contract
/// 1. `upserts` depends on the event alone, and says the whole value that is under a key from then on; not what is to be added to it.
///    What an event does not say can be folded as of its own position, by [`LiveDocuments`](crate::LiveDocuments), into an event of its own.
/// 2. `take` lets each take effect only if its mark is higher than that of what is under its key, put or removed, in one step. One whose
///    mark is the same is the same.
/// 3. When `take` succeeds they are durable.
/// 4. Marks are positions of one log. What follows another log, or is to be made anew by other code, is another sink under another name.
pub trait Sink: fmt::Debug + Send + Sync + 'static {
    /// The name of the sink and of its subscription.
    const NAME: &'static str;
    /// The events it reads.
    type Event: EventSet;

    /// What an event makes of what is out there. One of several of one key counts: the last.
    ///
    /// # Errors
    /// Whatever went wrong: the subscription names the event.
    fn upserts(&self, event: &Envelope<Self::Event>) -> Result<Vec<Upsert>, BoxError>;

    /// Takes what is newer. Each key is there once, with what the newest event of a batch makes of it.
    ///
    /// # Errors
    /// Whatever went wrong; some may have been taken. They come again.
    ///
    /// # Cancellation
    /// The future may be dropped at any await. They come again.
    fn take(&self, upserts: &[Marked]) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// A whole value under a key, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upsert {
    key: String,
    body: Option<Payload>,
}

impl Upsert {
    /// This value, new or instead of what is there.
    ///
    /// # Errors
    /// When it could not be read back equal, such as a number that is not finite.
    pub fn put<T: Serialize>(key: impl Into<String>, value: &T) -> Result<Self, Refusal> {
        Ok(Self {
            key: key.into(),
            body: Some(Payload::encode(value)?),
        })
    }

    /// No value.
    #[must_use]
    pub fn remove(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            body: None,
        }
    }
}

/// An [`Upsert`] with its mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    upsert: Upsert,
    position: Position,
}

impl Marked {
    /// Under which key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.upsert.key
    }

    /// The value; `None`: it is removed.
    #[must_use]
    pub fn body(&self) -> Option<&Payload> {
        self.upsert.body.as_ref()
    }

    /// How new it is: the [position](Position::get) of the event. It has 63 bits, and is never 0.
    #[must_use]
    pub fn mark(&self) -> u64 {
        self.position.get()
    }
}

/// Feeds a [`Sink`]: a consumer for a subscription. The checkpoint is saved after each batch is taken.
pub struct SinkFeed<S> {
    sink: S,
    checkpoints: Arc<dyn CheckpointStore>,
    decoder: Decoder,
    filter: EventFilter,
}

impl<S: Sink> SinkFeed<S> {
    /// Feeds `sink`. The checkpoint is kept in `checkpoints`, which is the store that the subscription's manager has.
    ///
    /// # Errors
    /// When one of its events has a name that can't be stored, or a chain of upcasters that is not whole.
    pub fn new(
        sink: S,
        checkpoints: Arc<dyn CheckpointStore>,
        decoder: Decoder,
    ) -> Result<Self, RegistrationError> {
        Ok(Self {
            filter: decoder.filter::<S::Event>()?,
            sink,
            checkpoints,
            decoder,
        })
    }

    /// What a batch makes of each key.
    fn upserts(&self, events: &[Envelope<S::Event>]) -> Result<Vec<Marked>, ConsumeError> {
        let mut newest = BTreeMap::new();
        for event in events {
            let position = event.position();
            let upserts = self.sink.upserts(event);
            for upsert in upserts.map_err(|source| ConsumeError::Handler { position, source })? {
                newest.insert(upsert.key.clone(), Marked { upsert, position });
            }
        }
        Ok(newest.into_values().collect())
    }
}

#[async_trait]
impl<S: Sink> Consumer for SinkFeed<S> {
    fn filter(&self) -> EventFilter {
        self.filter.clone()
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        let events = decode_all::<S::Event>(&self.decoder, batch.events())?;
        let upserts = self.upserts(&events)?;
        if !upserts.is_empty() {
            // Whoever lost the lease meanwhile does no harm, but need not try.
            if !batch.is_held() {
                return Err(ConsumeError::Stale(Stale::Lease {
                    subscription: batch.checkpoint().subscription().clone(),
                    lane: batch.checkpoint().of_lane(),
                }));
            }
            let (sink, count) = (S::NAME, upserts.len());
            let span = tracing::debug_span!(telemetry::SINK, sink, upserts = count);
            let taken = self.sink.take(&upserts).instrument(span).await;
            taken.map_err(|source| unplaced(&events, source))?;
        }
        Ok(self
            .checkpoints
            .save_checkpoint(batch.checkpoint().clone())
            .await?)
    }
}

impl<S: fmt::Debug> fmt::Debug for SinkFeed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkFeed")
            .field("sink", &self.sink)
            .finish_non_exhaustive()
    }
}
