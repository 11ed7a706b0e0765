//! [`UnoBuilder`]: collects what an application is made of.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use uno_core::{
    Backend, Command, CommandDescriptor, Decoder, EventDescriptor, EventSet, EventStore,
    RegistrationError, SubscriptionName, SubscriptionStore,
};
use uno_cqrs::{
    AggregateEntry, Catalogue, CommandBus, CommandBusBuilder, CommandHandler, CommandLayer,
    CommandOptions, DocumentProjection, HandlerEntry, InlineDocuments, Projection, ProjectionEntry,
    Projector, Query, QueryBus, QueryBusBuilder, QueryHandler, QueryLayer, QueryOptions, ReadModel,
    Sink, SinkFeed, StreamProjection, VersionedProjection,
};
use uno_domain::Aggregate;
use uno_events::{EventBus, IntoEventHandler, Replay, Subscription, SubscriptionManager};
use uno_uow::{BeforeCommit, RetryBudget, RetryPolicy, Runner};

#[cfg(feature = "saga")]
use crate::saga_part::{SagaFactory, SagaPart};
use crate::{
    BuildError, Uno, outcomes,
    read_model_part::{ReadModelFactory, ReadModelPart},
};

/// Collects the handlers, read models, sagas and subscriptions of an application.
///
/// What is wrong with them is told by [`build`](Self::build).
pub struct UnoBuilder<B: Backend> {
    backend: Arc<B>,
    decoder: Decoder,
    poll: Duration,
    lease: Option<Duration>,
    instance: Option<Arc<str>>,
    outcomes_kept: Option<Duration>,
    conflicts: RetryPolicy,
    budget: RetryBudget,
    commands: CommandBusBuilder<B>,
    queries: QueryBusBuilder,
    parts: Vec<Part<B>>,
    read_models: Vec<ReadModelFactory<B>>,
    inline: Vec<InlineFactory<B>>,
    /// What is known of the parts before they are made.
    catalogue: Catalogue,
    events: Vec<&'static [EventDescriptor]>,
    /// What is checked of each aggregate, once the decoder is known.
    aggregates: Vec<AggregateCheck>,
    #[cfg(feature = "saga")]
    sagas: Vec<SagaFactory<B>>,
}

/// A subscription that is made when the store and the decoder are known.
type Part<B> = Box<dyn FnOnce(&Arc<B>, &Decoder) -> Result<Subscription, BuildError> + Send>;

/// What completes the commits of commands, made when the decoder is known.
type InlineFactory<B> =
    Box<dyn FnOnce(&Decoder) -> Result<Arc<dyn BeforeCommit<B>>, BuildError> + Send>;

/// Whether all events of an aggregate can be read, in all versions that there ever were.
type AggregateCheck = fn(&Decoder) -> Result<(), RegistrationError>;

impl<B: Backend> UnoBuilder<B> {
    pub(crate) fn new(backend: Arc<B>) -> Self {
        Self {
            commands: CommandBus::builder(Runner::new(Arc::clone(&backend))),
            backend,
            decoder: Decoder::new(),
            poll: Duration::from_millis(500),
            lease: None,
            instance: None,
            outcomes_kept: Some(outcomes::KEPT),
            conflicts: RetryPolicy::default(),
            budget: RetryBudget::default(),
            queries: QueryBus::builder(),
            parts: Vec::new(),
            read_models: Vec::new(),
            inline: Vec::new(),
            catalogue: Catalogue::new(""),
            events: Vec::new(),
            aggregates: Vec::new(),
            #[cfg(feature = "saga")]
            sagas: Vec::new(),
        }
    }

    /// Decodes events with this decoder, which may know upcasters by name.
    #[must_use]
    pub fn decoder(mut self, decoder: Decoder) -> Self {
        self.decoder = decoder;
        self
    }

    /// Looks for what other processes have committed this often. What this process commits is noticed at once.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll = interval;
        self
    }

    /// The name of this process among those that run the application: what others are told of who does what. A later run that bears the
    /// same name takes over what this one had in hand at once, without waiting for its leases to run out, so no two
    /// that live at the same time may have one. Unless it is said, nothing is taken over before its time.
    #[must_use]
    pub fn instance(mut self, name: impl Into<Arc<str>>) -> Self {
        self.instance = Some(name.into());
        self
    }

    /// For how long lanes of subscriptions are on lease: after so long, other processes take over from one that died. Five seconds
    /// unless it is said.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// Forgets the outcome of a command under its [idempotency key](uno_cqrs::IdempotencyKey) after so long, by the store's clock; 30 days unless
    /// it is said. From then on the key is as good as new, so this is longer than anybody sends a command again after.
    #[must_use]
    pub fn keep_outcomes(mut self, kept: Duration) -> Self {
        self.outcomes_kept = Some(kept);
        self
    }

    /// Never forgets the outcome of a command under its idempotency key: what is kept of them grows for as long as the application lives.
    #[must_use]
    pub fn keep_outcomes_for_good(mut self) -> Self {
        self.outcomes_kept = None;
        self
    }

    /// Tries commands again by this policy when others were faster.
    #[must_use]
    pub fn retry_conflicts(mut self, policy: RetryPolicy) -> Self {
        self.conflicts = policy;
        self
    }

    /// Keeps what is tried again for conflicts within this budget, all commands and units of work together.
    #[must_use]
    pub fn retry_budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Registers the handler of a command.
    #[must_use]
    pub fn command<C: Command>(mut self, handler: impl CommandHandler<C, B>) -> Self {
        self.commands = self.commands.handler::<C>(handler);
        self
    }

    /// Registers the handler of a command, with what is to be done around it: layers, validation, the lane of its aggregate.
    #[must_use]
    pub fn command_with<C: Command, H: CommandHandler<C, B>>(
        mut self,
        handler: H,
        options: impl FnOnce(CommandOptions<C, B>) -> CommandOptions<C, B>,
    ) -> Self {
        self.commands = self.commands.handler_with::<C, H>(handler, options);
        self
    }

    /// Puts a layer around all commands, within those that are there ([order](CommandLayer)).
    #[must_use]
    pub fn command_layer<L: CommandLayer<B>>(mut self, layer: L) -> Self {
        self.commands = self.commands.layer(layer);
        self
    }

    /// Says that `sender` sends these commands, such as a handler of events or a client: the application is not built unless
    /// each has a handler. Sagas say it of themselves.
    #[must_use]
    pub fn requires(mut self, sender: &str, commands: &[CommandDescriptor]) -> Self {
        self.commands = self.commands.requires(sender, commands);
        self
    }

    /// Registers the handler of a query.
    #[must_use]
    pub fn query<Q: Query>(mut self, handler: impl QueryHandler<Q>) -> Self {
        self.queries = self.queries.handler::<Q>(handler);
        self
    }

    /// Registers the handler of a query, with what is to be done around it.
    #[must_use]
    pub fn query_with<Q: Query, H: QueryHandler<Q>>(
        mut self,
        handler: H,
        options: impl FnOnce(QueryOptions<Q>) -> QueryOptions<Q>,
    ) -> Self {
        self.queries = self.queries.handler_with::<Q, H>(handler, options);
        self
    }

    /// Puts a layer around all queries, within those that are there.
    #[must_use]
    pub fn query_layer<L: QueryLayer>(mut self, layer: L) -> Self {
        self.queries = self.queries.layer(layer);
        self
    }

    /// Tells of an aggregate: the catalogue has it as the publisher of its events, and the application is not built unless its events can be
    /// read in all versions that there ever were, and no other aggregate has its category.
    ///
    /// Aggregates that are not told of work as well; of them, it is said when the first one is loaded.
    #[must_use]
    pub fn aggregate<A: Aggregate>(mut self) -> Self {
        self.catalogue.aggregates.push(AggregateEntry::of::<A>());
        self.events.push(A::Event::EVENTS);
        self.aggregates.push(Decoder::check::<A::Event>);
        self
    }

    /// Keeps a [read model](ReadModel) of documents, under the projection's name: the application feeds it, reads it by
    /// [`App::documents`](crate::App::documents), and rebuilds it beside itself when its code has a higher `VERSION`, or when it is
    /// [told to](crate::App::read_model).
    #[must_use]
    pub fn documents<P: DocumentProjection>(self, projection: P) -> Self {
        self.documents_with(projection, |model| model)
    }

    /// The same with options, for rebuilding and for the subscriptions that feed it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use serde::{Deserialize, Serialize};
    /// # use uno::prelude::*;
    /// # #[derive(Event, Serialize, Deserialize)] struct Deposited { account: String, cents: i64 }
    /// # #[derive(Debug)] struct Balances;
    /// # impl DocumentProjection for Balances {
    /// #     const NAME: &'static str = "balances";
    /// #     type Event = Deposited;
    /// #     type Document = i64;
    /// #     fn keys(&self, event: &Envelope<Deposited>) -> Vec<String> { vec![event.event().account.clone()] }
    /// #     fn apply(&self, _: &str, sum: Option<i64>, event: &Envelope<Deposited>) -> Option<i64> { Some(sum.unwrap_or(0) + event.event().cents) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let uno = Uno::builder(Arc::new(MemoryStore::new()))
    ///     .documents_with(Balances, |model| model.rebuild_batch(10_000))
    ///     .build()?;
    /// uno.migrate().await?;
    /// let app = uno.start().await?;
    /// let balances = app.read_model(Balances::NAME).expect("it was registered above");
    /// balances.rebuild().await?;          // beside the one that serves; then swaps
    /// balances.roll_back().await?;        // the old one is kept fed until it is dropped
    /// # app.stop().await;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn documents_with<P: DocumentProjection>(
        mut self,
        projection: P,
        options: impl FnOnce(ReadModel<B>) -> ReadModel<B> + Send + 'static,
    ) -> Self {
        self.reads(ProjectionEntry::documents::<P>(), P::Event::EVENTS);
        self.read_models.push(Box::new(|backend, manager, decoder| {
            let (log, backend) = (Arc::clone(backend) as _, Arc::clone(backend));
            let (manager, decoder) = (Arc::clone(manager), decoder.clone());
            ReadModel::documents(projection, log, backend, manager, decoder).map(options)
        }));
        self
    }

    /// Keeps a read model of documents in the commits of commands and units of work: whoever reads after a command sees what it did, and
    /// need not [wait](crate::App::wait_for). For the rest it is like [`documents`](Self::documents): what others append is followed, and
    /// it is rebuilt beside itself. See [`InlineDocuments`] for what is promised, and what it costs.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use serde::{Deserialize, Serialize};
    /// # use uno::{cqrs::{Fact, StreamProjection}, prelude::*};
    /// # #[derive(Event, Serialize, Deserialize)] struct Deposited { cents: i64 }
    /// # #[derive(EventSet)] enum AccountEvent { Deposited(Deposited) }
    /// # #[derive(Default)] struct Account {}
    /// # impl Aggregate for Account {
    /// #     const CATEGORY: &'static str = "account";
    /// #     type Id = String;
    /// #     type Event = AccountEvent;
    /// #     fn apply(&mut self, _: &AccountEvent) {}
    /// # }
    /// # #[derive(Clone, Debug)] struct Balances;
    /// # impl StreamProjection for Balances {
    /// #     const NAME: &'static str = "balances";
    /// #     const CATEGORY: &'static str = "account";
    /// #     type Event = Deposited;
    /// #     type Document = i64;
    /// #     fn fold(&self, sum: Option<i64>, event: &Fact<'_, Deposited>) -> Option<i64> { Some(sum.unwrap_or(0) + event.event().cents) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> anyhow::Result<()> {
    /// let uno = Uno::builder(Arc::new(MemoryStore::new())).inline(Balances).build()?;
    /// uno.migrate().await?;
    /// let app = uno.start().await?;
    /// app.unit_of_work(|uow| Box::pin(async move {
    ///     uow.load_or_new::<Account>(&"ada".to_owned()).await?.record(Deposited { cents: 500 });
    ///     Ok(())
    /// })).await?;
    /// assert_eq!(app.documents::<Balances>().get("ada").await?, Some(500));
    /// # app.stop().await;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn inline<P: StreamProjection + Clone>(mut self, projection: P) -> Self {
        let inline = projection.clone();
        self.inline.push(Box::new(|decoder| {
            let inline = InlineDocuments::new(inline, decoder.clone());
            Ok(Arc::new(inline.map_err(BuildError::ReadModel)?))
        }));
        self.documents(projection)
    }

    /// Keeps what is outside of the store, such as the index of a search engine, up to date: [at least once](Sink), as a
    /// durable subscription under the sink's name.
    #[must_use]
    pub fn sink<S: Sink>(mut self, sink: S) -> Self {
        self.reads(ProjectionEntry::sink::<S>(), S::Event::EVENTS);
        self.parts.push(Box::new(move |backend, decoder| {
            let name = SubscriptionName::new(S::NAME)?;
            let feed = SinkFeed::new(sink, Arc::clone(backend) as _, decoder.clone())
                .map_err(BuildError::Events)?;
            Ok(Subscription::new(name, Replay::Safe, Arc::new(feed)))
        }));
        self
    }

    /// Keeps a [read model](ReadModel) of your own rows, in tables that are named by their generation: like
    /// [`documents`](Self::documents) it is rebuilt beside itself.
    #[must_use]
    pub fn rows<P: VersionedProjection<B>>(self, projection: P) -> Self {
        self.rows_with(projection, |model| model)
    }

    /// The same with options, for rebuilding and for the subscriptions that feed it.
    #[must_use]
    pub fn rows_with<P: VersionedProjection<B>>(
        mut self,
        projection: P,
        options: impl FnOnce(ReadModel<B>) -> ReadModel<B> + Send + 'static,
    ) -> Self {
        self.reads(ProjectionEntry::rows::<P, B>(), P::Event::EVENTS);
        self.read_models.push(Box::new(|backend, manager, decoder| {
            let (log, backend) = (Arc::clone(backend) as _, Arc::clone(backend));
            let (manager, decoder) = (Arc::clone(manager), decoder.clone());
            ReadModel::rows(projection, log, backend, manager, decoder).map(options)
        }));
        self
    }

    /// Keeps your own rows in tables that are there once: to rebuild them is your affair. See [`rows`](Self::rows) for the other kind.
    #[must_use]
    pub fn projection<P: Projection<B>>(mut self, projection: P) -> Self {
        self.reads(ProjectionEntry::rows::<P, B>(), P::Event::EVENTS);
        self.parts.push(Box::new(move |backend, decoder| {
            let name = SubscriptionName::new(P::NAME)?;
            let projector = Projector::new(projection, Arc::clone(backend), decoder.clone())
                .map_err(BuildError::Events)?;
            Ok(Subscription::new(name, Replay::Safe, Arc::new(projector)))
        }));
        self
    }

    /// Runs a process manager.
    #[cfg(feature = "saga")]
    #[must_use]
    pub fn saga<S: uno_saga::Saga>(mut self) -> Self {
        self.sagas.push(<dyn SagaPart<B>>::factory::<S>());
        self.events.push(S::Event::EVENTS);
        self
    }

    /// Runs a process manager that is written as a list of steps.
    #[cfg(feature = "saga")]
    #[must_use]
    pub fn steps<S: uno_saga::StepSaga>(self) -> Self {
        self.saga::<uno_saga::Stepwise<S>>()
    }

    /// Calls a handler for every event of a set, at least once, in order, from a durable subscription of this name.
    #[must_use]
    pub fn handler<E: EventSet, Form>(
        mut self,
        name: &str,
        replay: Replay,
        handler: impl IntoEventHandler<E, Form> + Send + 'static,
    ) -> Self {
        self.catalogue.handlers.push(HandlerEntry::of::<E>(name));
        self.events.push(E::EVENTS);
        let name = name.to_owned();
        self.parts.push(Box::new(move |_, decoder| {
            decoder.check::<E>()?;
            Ok(Subscription::handler(
                SubscriptionName::new(name)?,
                replay,
                handler,
            ))
        }));
        self
    }

    /// Adds a subscription with options of its own.
    #[must_use]
    pub fn subscription(mut self, subscription: Subscription) -> Self {
        let name = subscription.name().as_str();
        let entry = HandlerEntry::new::<String>(name, []);
        self.catalogue.handlers.push(entry);
        self.parts.push(Box::new(move |_, _| Ok(subscription)));
        self
    }

    /// The application, ready to be migrated and started.
    ///
    /// # Errors
    /// When a command or query has two handlers, a name can't be used or is used twice, or something that is
    /// [required](Self::requires), or that a saga sends, has no handler.
    pub fn build(self) -> Result<Uno<B>, BuildError> {
        self.check_aggregates()?;
        let mut runner = Runner::new(Arc::clone(&self.backend))
            .with_decoder(self.decoder.clone())
            .with_retry(self.conflicts)
            .with_retry_budget(self.budget);
        for make in self.inline {
            runner = runner.with_before_commit(make(&self.decoder)?);
        }
        let commands = self.commands.runner(runner).build()?;
        let mut subscriptions = Vec::new();
        for part in self.parts {
            subscriptions.push(part(&self.backend, &self.decoder)?);
        }
        #[cfg(feature = "saga")]
        let mut sagas = Vec::new();
        #[cfg(feature = "saga")]
        for make in self.sagas {
            let (saga, subscription) = make(&self.backend, &self.decoder, &commands)?;
            sagas.push(saga);
            subscriptions.push(subscription);
        }
        let manager = Arc::new(manager(
            &self.backend,
            &self.decoder,
            self.poll,
            self.lease,
            self.instance,
        ));
        let mut read_models = Vec::new();
        for make in self.read_models {
            read_models.push(ReadModelPart::make(
                make,
                &self.backend,
                &manager,
                &self.decoder,
            )?);
        }
        let mut names = BTreeSet::new();
        let of_models = read_models.iter().map(|part| part.model.name());
        for name in subscriptions
            .iter()
            .map(|subscription| subscription.name().as_str())
            .chain(of_models)
        {
            if !names.insert(name) {
                return Err(BuildError::DuplicateSubscription(SubscriptionName::new(
                    name,
                )?));
            }
        }
        let queries = self.queries.build()?;
        let mut catalogue = self.catalogue;
        catalogue.add_commands(&commands);
        catalogue.add_queries(&queries);
        #[cfg(feature = "saga")]
        catalogue
            .sagas
            .extend(sagas.iter().map(|saga| saga.describe()));
        let bus = EventBus::builder().decoder(self.decoder.clone()).build();
        Ok(Uno {
            backend: self.backend,
            poll: self.poll,
            outcomes_kept: self.outcomes_kept,
            manager,
            commands,
            queries,
            catalogue,
            events: self.events,
            bus,
            subscriptions,
            read_models,
            #[cfg(feature = "saga")]
            sagas,
        })
    }
}

/// What runs the subscriptions.
fn manager<B: Backend>(
    backend: &Arc<B>,
    decoder: &Decoder,
    poll: Duration,
    lease: Option<Duration>,
    instance: Option<Arc<str>>,
) -> SubscriptionManager {
    let store: Arc<dyn EventStore> = Arc::clone(backend) as _;
    let subscriptions: Arc<dyn SubscriptionStore> = Arc::clone(backend) as _;
    let mut manager = SubscriptionManager::builder(store, subscriptions)
        .decoder(decoder.clone())
        .poll_interval(poll);
    if let Some(lease) = lease {
        manager = manager.lease(lease);
    }
    if let Some(name) = instance {
        manager = manager.instance(name);
    }
    manager.build()
}

impl<B: Backend> UnoBuilder<B> {
    /// Tells of a projection and of the events that it reads.
    fn reads(&mut self, projection: ProjectionEntry, events: &'static [EventDescriptor]) {
        self.catalogue.projections.push(projection);
        self.events.push(events);
    }

    fn check_aggregates(&self) -> Result<(), BuildError> {
        for check in &self.aggregates {
            check(&self.decoder)?;
        }
        let mut categories = BTreeSet::new();
        for aggregate in &self.catalogue.aggregates {
            if !categories.insert(&aggregate.name) {
                return Err(BuildError::DuplicateAggregate(aggregate.name.clone()));
            }
        }
        Ok(())
    }
}

impl<B: Backend> fmt::Debug for UnoBuilder<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnoBuilder")
            .field("backend", &self.backend)
            .field("commands", &self.commands)
            .field("queries", &self.queries)
            .finish_non_exhaustive()
    }
}
