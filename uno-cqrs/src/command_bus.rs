//! [`CommandBus`]: takes each command to its one handler.

mod builder;
mod carry_out;

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use tracing::Instrument as _;
use uno_core::{
    Backend, Command, CommandDescriptor, CommandId, CorrelationId, Metadata, Receipt, StoreError,
};
use uno_uow::{CommandError, RunError, Runner};

use crate::{
    CommandCall, CommandNext, ExecuteError, IdempotencyKey, command_handler::Completion,
    command_lanes::CommandLanes, command_layer::SharedLayer, telemetry,
};

pub(crate) use self::builder::Route;
pub use self::builder::{CommandBusBuilder, RegisterError};

/// Takes commands to their handlers, each in a unit of work of its own. Cheap to clone.
///
/// ```
/// # use std::sync::Arc;
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Backend, Event, EventSet};
/// # use uno_domain::Aggregate;
/// # use uno_store_memory::MemoryStore;
/// use uno_core::Command;
/// use uno_cqrs::{CommandBus, CommandHandler};
/// use uno_uow::{CommandError, Runner, UnitOfWork};
///
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced {}
/// # #[derive(EventSet)] enum OrderEvent { Placed(OrderPlaced) }
/// # #[derive(Default)] struct Order { placed: bool }
/// # impl Aggregate for Order {
/// #     const CATEGORY: &'static str = "order";
/// #     type Id = u64;
/// #     type Event = OrderEvent;
/// #     fn apply(&mut self, _: &OrderEvent) { self.placed = true; }
/// # }
/// # impl Order {
/// #     fn place(&self) -> Result<OrderPlaced, CommandError> {
/// #         if self.placed { Err(CommandError::rejected("it is placed already")) } else { Ok(OrderPlaced {}) }
/// #     }
/// # }
/// #[derive(Command, Serialize, Deserialize)]
/// struct PlaceOrder { order: u64 }
///
/// struct Orders;
///
/// impl<B: Backend> CommandHandler<PlaceOrder, B> for Orders {
///     async fn handle(&self, command: &PlaceOrder, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
///         let mut order = uow.load_or_new::<Order>(&command.order).await?;
///         order.decide(Order::place)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = CommandBus::builder(Runner::new(Arc::new(MemoryStore::new())))
///     .handler::<PlaceOrder>(Orders)
///     .build()?;
/// let receipt = bus.execute(PlaceOrder { order: 1742 }).await?;
/// assert_eq!(receipt.streams()[0].stream().to_string(), "order-1742");
///
/// let again = bus.execute(PlaceOrder { order: 1742 }).await.unwrap_err();
/// assert!(again.is_rejection());
/// assert_eq!(again.to_string(), "it is placed already");
/// # Ok(()) }
/// ```
pub struct CommandBus<B: Backend> {
    pub(crate) inner: Arc<Inner<B>>,
}

pub(crate) struct Inner<B: Backend> {
    runner: Runner<B>,
    pub(crate) routes: BTreeMap<&'static str, Route<B>>,
    pub(crate) layers: Vec<SharedLayer<B>>,
    /// Where commands on one stream wait for one another.
    lanes: CommandLanes,
    /// Where calls with one idempotency key wait for one another.
    keys: CommandLanes,
}

impl<B: Backend> CommandBus<B> {
    /// Starts a bus whose commands run in units of work of `runner`.
    #[must_use]
    pub fn builder(runner: Runner<B>) -> CommandBusBuilder<B> {
        CommandBusBuilder::new(runner)
    }

    /// Runs units of work.
    #[must_use]
    pub fn runner(&self) -> &Runner<B> {
        &self.inner.runner
    }

    /// Carries out a command that nothing else set off.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    ///
    /// # Cancellation
    /// Dropping the future carries out the command whole or not at all.
    pub async fn execute<C: Command>(&self, command: C) -> Result<Receipt, ExecuteError> {
        self.execute_as(command, Metadata::new()).await
    }

    /// Carries out a command on behalf of somebody, or because of something.
    ///
    /// The events carry this metadata, with the command as their cause; without a correlation id, one starts here.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    ///
    /// # Cancellation
    /// As [`execute`](Self::execute).
    pub async fn execute_as<C: Command>(
        &self,
        command: C,
        metadata: Metadata,
    ) -> Result<Receipt, ExecuteError> {
        self.execute_new(None, command, metadata).await
    }

    /// Carries out a command that nothing else set off, unless one with this key was carried out or rejected before: then its outcome is
    /// given back, and nothing happens.
    ///
    /// # Errors
    /// See [`ExecuteError`]: [`KeyReused`](ExecuteError::KeyReused) when the other one was another command. A rejection that was
    /// kept is a [`StoredRejection`](crate::StoredRejection).
    ///
    /// # Cancellation
    /// As [`execute`](Self::execute). The outcome is kept exactly if the command took effect, or was rejected and that was
    /// told the store in time.
    pub async fn execute_once<C: Command>(
        &self,
        key: IdempotencyKey,
        command: C,
    ) -> Result<Receipt, ExecuteError> {
        self.execute_once_as(key, command, Metadata::new()).await
    }

    /// The same, on behalf of somebody. The key is one within the tenant that the metadata names.
    ///
    /// # Errors
    /// As [`execute_once`](Self::execute_once).
    ///
    /// # Cancellation
    /// As [`execute_once`](Self::execute_once).
    pub async fn execute_once_as<C: Command>(
        &self,
        key: IdempotencyKey,
        command: C,
        metadata: Metadata,
    ) -> Result<Receipt, ExecuteError> {
        self.execute_new(Some(key), command, metadata).await
    }

    /// Forgets the outcomes that were kept longer ago than this, by the store's clock; how many those were. A key whose
    /// outcome is forgotten is as good as new, so this is longer than anybody sends a command again after.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn prune_outcomes(&self, older_than: Duration) -> Result<u64, StoreError> {
        let backend = self.inner.runner.backend();
        backend.prune_inbox(carry_out::CONSUMER, older_than).await
    }

    async fn execute_new<C: Command>(
        &self,
        key: Option<IdempotencyKey>,
        command: C,
        metadata: Metadata,
    ) -> Result<Receipt, ExecuteError> {
        let id = match &key {
            Some(key) => key.command_id(metadata.tenant()),
            None => CommandId::new(),
        };
        let metadata = match metadata.correlation_id() {
            Some(_) => metadata,
            None => metadata.with_correlation_id(CorrelationId::from_uuid(*id.as_uuid())),
        };
        let route = self.route(C::NAME)?;
        let call = CommandCall {
            name: C::NAME,
            id,
            command: Arc::new(command),
            metadata: metadata.with_causation_id(*id.as_uuid()),
            key,
            completion: None,
        };
        self.run(route, call).await
    }

    /// Carries out an encoded command, such as one from a queue; its acknowledgement and outcome are committed with its effects.
    ///
    /// The events carry `metadata` as it is: whoever dispatches a command says in it what their cause is.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    ///
    /// # Cancellation
    /// As [`execute`](Self::execute).
    pub async fn dispatch(
        &self,
        name: &str,
        payload: &str,
        metadata: Metadata,
        completion: Completion,
    ) -> Result<Receipt, ExecuteError> {
        let route = self.route(name)?;
        // Decoding is code of the user's too.
        let decoded = catch_unwind(AssertUnwindSafe(|| route.handler.decode(payload)));
        let command = decoded
            .unwrap_or_else(|_| Err("decoding it panicked".into()))
            .map_err(|source| ExecuteError::Malformed {
                name: name.to_owned(),
                source,
            })?;
        let call = CommandCall {
            name: route.name,
            id: metadata
                .causation_id()
                .map_or_else(CommandId::new, CommandId::from_uuid),
            command,
            metadata,
            key: None,
            completion: Some(completion),
        };
        self.run(route, call).await
    }

    /// Whether a command of that name has a handler.
    #[must_use]
    pub fn handles(&self, command: CommandDescriptor) -> bool {
        self.inner.routes.contains_key(command.name())
    }

    /// The names of all commands that have a handler.
    pub fn commands(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.inner.routes.keys().copied()
    }

    /// On how many streams commands are carried out, or wait, at this moment. Streams on which nothing happens take up no room.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.inner.lanes.len()
    }

    fn route(&self, name: &str) -> Result<&Route<B>, ExecuteError> {
        self.inner
            .routes
            .get(name)
            .ok_or_else(|| ExecuteError::UnknownCommand(name.to_owned()))
    }

    async fn run(&self, route: &Route<B>, call: CommandCall) -> Result<Receipt, ExecuteError> {
        let name = route.name;
        let span = tracing::debug_span!(telemetry::COMMAND, command = name);
        let next = CommandNext {
            inner: &self.inner,
            route,
            layers: [&self.inner.layers, &route.layers],
        };
        // In an async block, so that a panic before the first await is caught too. A panic is the command's own affair,
        // wherever it comes from: a layer, the handler, the aggregate, serialization, or work in the transaction. The unit of
        // work is dropped with it, so nobody sees it half changed.
        let running = async { next.run(call).await };
        match AssertUnwindSafe(running.instrument(span))
            .catch_unwind()
            .await
        {
            Ok(result) => result,
            Err(_) => {
                let panicked = Panicked(name.to_owned());
                Err(RunError::Command(CommandError::failed(panicked)).into())
            }
        }
    }
}

/// The message went to the panic hook.
#[derive(Debug, thiserror::Error)]
#[error("the handler of {0} panicked")]
struct Panicked(String);

impl<B: Backend> Clone for CommandBus<B> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<B: Backend> fmt::Debug for CommandBus<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandBus")
            .field("commands", &self.inner.routes.keys())
            .finish_non_exhaustive()
    }
}
