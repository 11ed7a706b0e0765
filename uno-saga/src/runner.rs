//! [`SagaRunner`]: runs the instances of a saga on a store.

mod error;
mod events;
mod outcomes;
mod part;
mod status;

use std::{fmt, marker::PhantomData, sync::Arc};

use tokio::sync::Mutex;
use uno_core::{
    Backend, CommandDescriptor, CommandSet, Decoder, EventFilter, EventName, EventSet, NameError,
    ProcessRecord, ProcessStatus,
};
use uno_cqrs::{CommandBus, CommandWorker};

use self::status::Report;
use crate::{InstanceView, Saga};

pub use self::{error::SagaError, status::SagaRunnerStatus};

/// Runs the instances of a saga: feeds them events (as a consumer of a subscription) and outcomes
/// ([`run_outcomes`](Self::run_outcomes)), each batch in one transaction with the commands that come of it.
/// Cheap to clone.
///
/// The facade `uno` puts it together with its subscription and its worker; by hand, that is:
///
/// ```
/// # use std::{sync::Arc, time::Duration};
/// # use serde::{Deserialize, Serialize};
/// # use tokio_util::sync::CancellationToken;
/// # use uno_core::{Backend, Command, Decoder, Envelope, Event, EventStoreExt, ExpectedVersion, ProcessStatus, SubscriptionName};
/// # use uno_cqrs::{CommandBus, CommandHandler};
/// # use uno_events::{Replay, Subscription, SubscriptionManager};
/// # use uno_saga::{Input, Outputs, Route, Saga, SagaRunner};
/// # use uno_store_memory::MemoryStore;
/// # use uno_uow::{CommandError, Runner, UnitOfWork};
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { order: u64 }
/// # #[derive(Command, Serialize, Deserialize)] struct SendInvoice { order: u64 }
/// # struct Invoices;
/// # impl<B: Backend> CommandHandler<SendInvoice, B> for Invoices {
/// #     async fn handle(&self, _: &SendInvoice, _: &mut UnitOfWork<B>) -> Result<(), CommandError> { Ok(()) }
/// # }
/// #[derive(Serialize, Deserialize, Default, Clone, Debug)]
/// struct Invoicing {}
///
/// impl Saga for Invoicing {
///     const NAME: &'static str = "invoicing";
///     type Event = OrderPlaced;
///     type Command = SendInvoice;
///
///     fn route(event: &Envelope<OrderPlaced>) -> Route {
///         Route::Start(event.event().order.to_string())
///     }
///
///     fn react(&mut self, input: Input<'_, OrderPlaced>) -> Outputs<SendInvoice> {
///         match input {
///             Input::Event(event) => Outputs::send(SendInvoice { order: event.event().order }).and_complete(),
///             _ => Outputs::none(),
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::new());
/// let saga = SagaRunner::<Invoicing, _>::new(store.clone(), Decoder::new())?;
/// let bus = CommandBus::builder(Runner::new(store.clone())).handler::<SendInvoice>(Invoices).build()?;
/// assert!(SagaRunner::<Invoicing, _>::missing_handlers(&bus).next().is_none());
///
/// // Three things run: the subscription, the worker, and the handling of outcomes.
/// let (stop, poll) = (CancellationToken::new(), Duration::from_millis(500));
/// let manager = SubscriptionManager::new(store.clone(), store.clone());
/// let name = SubscriptionName::new("saga.invoicing")?;
/// manager.subscribe(Subscription::new(name, Replay::LiveOnly, Arc::new(saga.clone())))?;
/// manager.start_all().await?;
/// let worker = saga.worker(bus);
/// tokio::spawn({ let stop = stop.clone(); async move { worker.run(stop).await } });
/// tokio::spawn({ let (saga, stop) = (saga.clone(), stop.clone()); async move { saga.run_outcomes(poll, stop).await } });
///
/// store.append_events("order-1742".parse()?, ExpectedVersion::NoStream, &[OrderPlaced { order: 1742 }]).await?;
/// while saga.instance("1742").await?.is_none_or(|instance| instance.status() != ProcessStatus::Completed) {
///     tokio::task::yield_now().await;
/// }
/// stop.cancel();
/// manager.stop_all().await;
/// # Ok(()) }
/// ```
pub struct SagaRunner<S, B> {
    inner: Arc<Inner<B>>,
    saga: PhantomData<fn() -> S>,
}

struct Inner<B> {
    backend: Arc<B>,
    decoder: Decoder,
    filter: EventFilter,
    commands: Arc<str>,
    outcomes: Arc<str>,
    /// Events and outcomes of one saga are handled one batch at a time, so that they do not make each other stale.
    /// A tokio mutex, because it is held across the transaction. Dropping a future that holds it lets it go.
    turn: Mutex<()>,
    status: Report,
}

impl<S: Saga, B: Backend> SagaRunner<S, B> {
    /// A runner on this store.
    ///
    /// # Errors
    /// When one of the saga's events has a name that can't be stored.
    pub fn new(backend: Arc<B>, decoder: Decoder) -> Result<Self, NameError> {
        let names = S::Event::EVENTS
            .iter()
            .map(|event| EventName::new(event.name()));
        let filter = EventFilter::all().names(names.collect::<Result<Vec<_>, _>>()?);
        let inner = Inner {
            backend,
            decoder,
            filter,
            commands: format!("saga.{}.commands", S::NAME).into(),
            outcomes: format!("saga.{}.outcomes", S::NAME).into(),
            turn: Mutex::new(()),
            status: Report::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
            saga: PhantomData,
        })
    }

    /// The commands it may send that `bus` has no handler for.
    pub fn missing_handlers(bus: &CommandBus<B>) -> impl Iterator<Item = CommandDescriptor> + '_ {
        S::Command::COMMANDS
            .iter()
            .copied()
            .filter(|command| !bus.handles(*command))
    }

    /// A worker that carries out the commands it sends.
    #[must_use]
    pub fn worker(&self, bus: CommandBus<B>) -> CommandWorker<B> {
        CommandWorker::new(bus, &*self.inner.commands).with_outcomes(&*self.inner.outcomes)
    }

    /// The queue of the commands it sends, and that of their outcomes.
    #[must_use]
    pub fn queues(&self) -> (&str, &str) {
        (&self.inner.commands, &self.inner.outcomes)
    }

    /// How the handling of outcomes stands.
    #[must_use]
    pub fn status(&self) -> SagaRunnerStatus {
        self.inner.status.read()
    }

    /// One instance.
    ///
    /// # Errors
    /// When the store or the instance can't be read.
    pub async fn instance(&self, key: &str) -> Result<Option<InstanceView<S>>, SagaError> {
        let keys = [key.to_owned()];
        let found = self.inner.backend.load_processes(S::NAME, &keys).await?;
        found.first().map(Self::view).transpose()
    }

    /// The instances in these states (all, when empty), in the order of their keys, after `after`, at most `limit`.
    ///
    /// # Errors
    /// When the store or an instance can't be read.
    pub async fn instances(
        &self,
        statuses: &[ProcessStatus],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<InstanceView<S>>, SagaError> {
        let backend = &self.inner.backend;
        let found = backend
            .list_processes(S::NAME, statuses, after, limit)
            .await?;
        found.iter().map(Self::view).collect()
    }

    fn view(record: &ProcessRecord) -> Result<InstanceView<S>, SagaError> {
        let instance = part::decode::<S>(record)?;
        Ok(InstanceView::new(record.key().to_owned(), instance))
    }
}

impl<S, B> Clone for SagaRunner<S, B> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            saga: PhantomData,
        }
    }
}

impl<S: Saga, B> fmt::Debug for SagaRunner<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SagaRunner")
            .field("saga", &S::NAME)
            .finish_non_exhaustive()
    }
}
