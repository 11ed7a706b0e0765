//! [`Projection`]: a read model of the user's own rows.

use std::{fmt, future::Future, panic::AssertUnwindSafe, sync::Arc};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tracing::Instrument as _;
use uno_core::{
    Backend, BoxError, Commit, CommitError, Decoder, Envelope, EventFilter, EventSet, Position,
    RegistrationError,
};
use uno_events::{Batch, ConsumeError, Consumer};

use crate::{Generation, document_projection::decode_all, enrich::not_enriched, telemetry};

/// A read model of rows that you write yourself, in the store's transaction. Write a plain `async fn`.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// use uno_core::{BoxError, Envelope, Event};
/// use uno_cqrs::Projection;
/// use uno_store_memory::{MemoryStore, MemoryTx};
///
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { customer: u32, cents: i64 }
/// #[derive(Debug)]
/// struct Spending;
///
/// impl Projection<MemoryStore> for Spending {
///     const NAME: &'static str = "spending";
///     type Event = OrderPlaced;
///
///     async fn project(&self, event: &Envelope<OrderPlaced>, tx: &mut MemoryTx) -> Result<(), BoxError> {
///         let customer = event.event().customer.to_string();
///         let spent: i64 = tx.row("spending", &customer).map_or(Ok(0), |cents| cents.parse())?;
///         tx.put_row("spending", customer, (spent + event.event().cents).to_string());
///         Ok(())
///     }
/// }
/// ```
///
/// # Contract
/// 1. All effects go through `tx`: they are committed together with the checkpoint, or not at all, so each event
///    takes effect exactly once.
/// 2. `project` must not use the store itself, whose transaction it is in.
/// 3. In a subscription with several lanes, events of different streams are projected at the same time: rows that several of them concern
///    are changed by one statement each, or locked.
pub trait Projection<B: Backend>: fmt::Debug + Send + Sync + Sized + 'static {
    /// The name of the projection and of its subscription.
    const NAME: &'static str;
    /// The events it reads.
    type Event: EventSet;

    /// The projection as it is to see these events, all of one batch, with what it needs to know of them beside: one question for what would
    /// be one for each event. `None`, unless you write it: as it is. It is asked before the transaction, once for each batch, also when
    /// the read model is rebuilt; see [`DocumentProjection::enrich`](crate::DocumentProjection::enrich).
    ///
    /// # Errors
    /// Whatever went wrong. A [`StoreError`](uno_core::StoreError) that may pass is waited for; else the batch is projected event by event,
    /// to find the one at fault.
    ///
    /// # Cancellation
    /// The future may be dropped at any await: it only reads.
    fn enrich(
        &self,
        events: &[Envelope<Self::Event>],
    ) -> impl Future<Output = Result<Option<Self>, BoxError>> + Send {
        let _ = events;
        std::future::ready(Ok(None))
    }

    /// Changes the rows that the event concerns.
    ///
    /// # Errors
    /// Whatever went wrong: nothing of the batch is committed, and the subscription names the event.
    ///
    /// # Cancellation
    /// The future may be dropped at any await, and the transaction with it.
    fn project(
        &self,
        event: &Envelope<Self::Event>,
        tx: &mut B::Tx,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// A [`Projection`] whose tables are named by their [`Generation`], so that a [`ReadModel`](crate::ReadModel) can rebuild it beside
/// itself.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{BoxError, Envelope, Event};
/// # use uno_store_memory::{MemoryStore, MemoryTx};
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { customer: u32, cents: i64 }
/// use uno_cqrs::{Generation, Projection, VersionedProjection};
///
/// #[derive(Debug)]
/// struct Spending { table: String }
///
/// impl Projection<MemoryStore> for Spending {
///     const NAME: &'static str = "spending";
///     type Event = OrderPlaced;
///
///     async fn project(&self, event: &Envelope<OrderPlaced>, tx: &mut MemoryTx) -> Result<(), BoxError> {
///         let customer = event.event().customer.to_string();
///         let spent: i64 = tx.row(&self.table, &customer).map_or(Ok(0), |cents| cents.parse())?;
///         tx.put_row(&self.table, customer, (spent + event.event().cents).to_string());
///         Ok(())
///     }
/// }
///
/// impl VersionedProjection<MemoryStore> for Spending {
///     fn of_generation(&self, generation: Generation) -> Self {
///         Self { table: generation.table("spending").into_owned() }
///     }
///
///     async fn create(&self, _: &mut MemoryTx) -> Result<(), BoxError> {
///         Ok(()) // In a database: CREATE TABLE IF NOT EXISTS …
///     }
///
///     async fn discard(&self, tx: &mut MemoryTx) -> Result<(), BoxError> {
///         for (key, _) in tx.rows(&self.table) { // In a database: DROP TABLE IF EXISTS …
///             tx.remove_row(&self.table, key);
///         }
///         Ok(())
///     }
/// }
/// ```
///
/// # Contract
/// 1. What it writes for one generation is apart from what it writes for all others.
/// 2. `create` and `discard` may be called again.
pub trait VersionedProjection<B: Backend>: Projection<B> {
    /// The version of the code: raise it when the same events are to make other rows. Until the read model is rebuilt, code of each
    /// version reads what its own has built.
    const VERSION: u32 = 1;

    /// The same, for the tables of this generation. See [`Generation::table`].
    fn of_generation(&self, generation: Generation) -> Self;

    /// Creates the tables, in the transaction that begins the generation.
    ///
    /// # Errors
    /// Whatever went wrong: then it is not begun.
    fn create(&self, tx: &mut B::Tx) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Lets people read the tables under a name that stays the same, such as that of a view, in the transaction that lets the
    /// generation serve. Needless when they read by [`Serving`](crate::Serving).
    ///
    /// # Errors
    /// Whatever went wrong: then it does not serve.
    fn serve(&self, tx: &mut B::Tx) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = tx;
        std::future::ready(Ok(()))
    }

    /// Removes the tables, as far as they are there.
    ///
    /// # Errors
    /// Whatever went wrong: it is tried again later.
    fn discard(&self, tx: &mut B::Tx) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// Keeps the rows of a projection: a consumer for a subscription.
///
/// A batch is one transaction: its rows and the checkpoint are committed together, so each event takes effect exactly once.
pub struct Projector<P, B> {
    projection: Arc<P>,
    backend: Arc<B>,
    decoder: Decoder,
    filter: EventFilter,
}

impl<B: Backend, P: Projection<B>> Projector<P, B> {
    /// Keeps the projection's rows in `backend`.
    ///
    /// # Errors
    /// When one of its events has a name that can't be stored, or a chain of upcasters that is not whole.
    pub fn new(
        projection: P,
        backend: Arc<B>,
        decoder: Decoder,
    ) -> Result<Self, RegistrationError> {
        let filter = decoder.filter::<P::Event>()?;
        Ok(Self::with_filter(projection, backend, decoder, filter))
    }

    pub(crate) fn with_filter(
        projection: P,
        backend: Arc<B>,
        decoder: Decoder,
        filter: EventFilter,
    ) -> Self {
        Self {
            projection: Arc::new(projection),
            backend,
            decoder,
            filter,
        }
    }
}

#[async_trait]
impl<B: Backend, P: Projection<B>> Consumer for Projector<P, B> {
    fn filter(&self) -> EventFilter {
        self.filter.clone()
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        let (records, checkpoint) = batch.into_parts();
        let events = decode_all::<P::Event>(&self.decoder, &records)?;
        let span = tracing::debug_span!(
            telemetry::PROJECT,
            projection = P::NAME,
            events = events.len()
        );
        let mut commit = Commit::new();
        commit.checkpoints.push(checkpoint);
        if !events.is_empty() {
            let enriched = self.projection.enrich(&events).await;
            let enriched = enriched.map_err(|error| not_enriched(&events, error))?;
            let projection = enriched.map_or_else(|| Arc::clone(&self.projection), Arc::new);
            commit.work.push(Box::new(move |tx| {
                Box::pin(async move { project_all(&*projection, &events, tx).await })
            }));
        }
        match self.backend.commit(commit).instrument(span).await {
            Ok(_) => Ok(()),
            Err(CommitError::Work(error)) => Err(match error.downcast::<ProjectFailure>() {
                Ok(failure) => ConsumeError::Handler {
                    position: failure.position,
                    source: failure.source,
                },
                Err(error) => ConsumeError::Commit(CommitError::Work(error)),
            }),
            Err(error) => Err(error.into()),
        }
    }
}

/// Within the transaction: the events one after the other, up to the first that fails.
async fn project_all<B: Backend, P: Projection<B>>(
    projection: &P,
    events: &[Envelope<P::Event>],
    tx: &mut B::Tx,
) -> Result<(), BoxError> {
    for event in events {
        let position = event.position();
        // A panic is caught here, where it is known which event it was about. The transaction is rolled back, so
        // nobody sees what it left half done.
        let projecting = async { projection.project(event, tx).await };
        let projected = AssertUnwindSafe(projecting).catch_unwind().await;
        projected
            .unwrap_or_else(|_| Err("the projection panicked".into()))
            .map_err(|source| ProjectFailure { position, source })?;
    }
    Ok(())
}

impl<P: fmt::Debug, B> fmt::Debug for Projector<P, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projector")
            .field("projection", &self.projection)
            .finish_non_exhaustive()
    }
}

/// Carries the place of a failure out of the transaction.
#[derive(Debug, thiserror::Error)]
#[error("the event at position {position} could not be projected")]
struct ProjectFailure {
    position: Position,
    source: BoxError,
}
