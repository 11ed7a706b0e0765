//! [`SagaRunner`]: runs the instances of a saga on a store.

mod arrival;
mod error;
mod events;
mod look;
mod outcomes;
mod parked;
mod part;
mod status;
mod timers;
mod verbs;
mod waiting;

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use uno_core::{
    AppendError, Backend, CommandDescriptor, CommandSet, CommitError, Decoder, EventFilter,
};
use uno_cqrs::{CommandBus, CommandWorker, SagaEntry};
use uno_uow::RetryPolicy;

use self::{arrival::Queues, part::Part, status::Report};
use crate::{DefinitionError, Saga, telemetry};

pub use self::{
    error::{SagaError, VerbError},
    look::InstanceSummary,
    parked::{ParkedInput, ParkedInstance, Retried},
    status::{SagaCounts, SagaRunnerStatus},
    timers::Fired,
    verbs::Intervention,
};

/// Pauses while outcomes or timers can't be handled: from 10 ms up to 10 s.
const PAUSES: RetryPolicy = RetryPolicy::none()
    .with_attempts(u32::MAX)
    .with_pauses(Duration::from_millis(10), Duration::from_secs(10));

/// Runs the instances of a saga: feeds them events (as a consumer of a subscription), outcomes and timeouts
/// ([`run`](Self::run)), each batch in one transaction with the commands that come of it. Cheap to clone.
///
/// What an instance can't take is [parked](Self::parked) with it, and keeps no other waiting.
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
/// # use uno_saga::{Input, NoTimeout, Outputs, Route, Saga, SagaRunner};
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
///     type Timeout = NoTimeout;
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
/// // Three things run: the subscription, the worker, and the handling of outcomes and timeouts.
/// let (stop, poll) = (CancellationToken::new(), Duration::from_millis(500));
/// let manager = SubscriptionManager::new(store.clone(), store.clone());
/// let name = SubscriptionName::new("saga.invoicing")?;
/// manager.subscribe(Subscription::new(name, Replay::LiveOnly, Arc::new(saga.clone())))?;
/// manager.start_all().await?;
/// let worker = saga.worker(bus);
/// tokio::spawn({ let stop = stop.clone(); async move { worker.run(stop).await } });
/// tokio::spawn({ let (saga, stop) = (saga.clone(), stop.clone()); async move { saga.run(poll, stop).await } });
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
    parked_limit: u64,
    saga: PhantomData<fn() -> S>,
}

struct Inner<B> {
    backend: Arc<B>,
    decoder: Decoder,
    filter: EventFilter,
    commands: Arc<str>,
    outcomes: Arc<str>,
    parked: Arc<str>,
    /// Rung when this process has set a timer, which may be due before the one that is waited for.
    timer_set: Notify,
    /// Events, outcomes and timers of one saga are handled one batch at a time, so that they do not make each other stale.
    /// A tokio mutex, because it is held across the transaction. Dropping a future that holds it lets it go.
    turn: Mutex<()>,
    status: Report,
}

impl<S: Saga, B: Backend> SagaRunner<S, B> {
    /// How many inputs may be parked, unless it is said.
    pub const PARKED_LIMIT: u64 = 10_000;

    /// A runner on this store.
    ///
    /// # Errors
    /// When the saga's definition can't be run, or one of its events has a name that can't be stored.
    pub fn new(backend: Arc<B>, decoder: Decoder) -> Result<Self, DefinitionError> {
        S::check()?;
        let filter = decoder.filter::<S::Event>()?;
        let inner = Inner {
            backend,
            decoder,
            filter,
            commands: format!("saga.{}.commands", S::NAME).into(),
            outcomes: format!("saga.{}.outcomes", S::NAME).into(),
            parked: format!("saga.{}.parked", S::NAME).into(),
            timer_set: Notify::new(),
            turn: Mutex::new(()),
            status: Report::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
            parked_limit: Self::PARKED_LIMIT,
            saga: PhantomData,
        })
    }

    /// The same, with at most this many inputs parked, of all instances together. Beyond that the subscription stops, and
    /// outcomes and timers wait.
    #[must_use]
    pub fn with_parked_limit(mut self, inputs: u64) -> Self {
        self.parked_limit = inputs;
        self
    }

    /// The commands it may send that `bus` has no handler for.
    pub fn missing_handlers(bus: &CommandBus<B>) -> impl Iterator<Item = CommandDescriptor> + '_ {
        S::Command::COMMANDS
            .iter()
            .copied()
            .filter(|command| !bus.handles(*command))
    }

    /// What a [catalogue](uno_cqrs::Catalogue) tells of the saga.
    #[must_use]
    pub fn describe() -> SagaEntry {
        SagaEntry::of::<S::Event>(S::NAME, S::VERSION, S::Command::COMMANDS)
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

    /// The queue of the inputs that are parked.
    #[must_use]
    pub fn parked_queue(&self) -> &str {
        &self.inner.parked
    }

    /// Handles outcomes and fires timers until it is cancelled: [`run_outcomes`](Self::run_outcomes) and
    /// [`run_timers`](Self::run_timers) side by side, so that neither waits for the other.
    ///
    /// # Cancellation
    /// Dropping the future leaves each input handled, or where it was.
    pub async fn run(&self, poll: Duration, stop: CancellationToken) {
        tokio::join!(
            self.run_outcomes(poll, stop.clone()),
            self.run_timers(poll, stop)
        );
    }

    fn arrival_queues(&self) -> Queues<'_> {
        Queues {
            outcomes: &self.inner.outcomes,
            parked: &self.inner.parked,
        }
    }

    /// Whether a part may park what it wants to, when so many inputs are to be parked at once.
    async fn room(&self, key: &str, part: &Part, count: usize) -> Result<(), SagaError> {
        if part.parked == 0 {
            return Ok(());
        }
        let (depth, _) = self.inner.backend.queue_depth(&self.inner.parked).await?;
        if depth.saturating_add(count as u64) <= self.parked_limit {
            return Ok(());
        }
        let reason = part.reason.clone();
        Err(SagaError::TooManyParked {
            key: key.to_owned(),
            limit: self.parked_limit,
            reason: reason.unwrap_or_else(|| "others are before it".to_owned()),
        })
    }

    /// Reports what a part has done, now that it is committed.
    fn told(&self, key: &str, part: &Part) {
        let saga = S::NAME;
        for command_id in &part.orphans {
            tracing::warn!(name: telemetry::OUTCOME_WITHOUT_INSTANCE, saga, %command_id, "ignored");
        }
        if part.discarded > 0 {
            let count = part.discarded;
            tracing::warn!(name: telemetry::EVENT_DISCARDED, saga, key, count, "there is no instance");
        }
        if part.parked > 0 {
            let count = part.parked;
            tracing::error!(name: telemetry::PARKED, saga, key, count, "parked");
        }
        self.inner.status.note(|status| {
            status.parked += part.parked as u64;
            status.discarded += part.discarded;
        });
        if part.sets_timers() {
            self.inner.timer_set.notify_one();
        }
    }
}

/// Whether it is what is in the commit that is at fault, so that another one may succeed.
fn is_refusal(error: &CommitError) -> bool {
    matches!(error, CommitError::Append(AppendError::Refused(_)))
}

impl<S, B> Clone for SagaRunner<S, B> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            parked_limit: self.parked_limit,
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
