//! [`CommandBus`]: takes each command to its one handler.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use futures_util::FutureExt as _;
use tracing::Instrument as _;
use uno_core::{
    Backend, BoxError, Command, CommandDescriptor, CommandId, CorrelationId, Metadata, Receipt,
};
use uno_uow::{CommandError, RunError, Runner};

use crate::{
    command_handler::{AnyCommand, CommandHandler, Completion, ErasedHandler, Shim},
    telemetry,
};

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
    inner: Arc<Inner<B>>,
}

struct Inner<B: Backend> {
    runner: Runner<B>,
    handlers: BTreeMap<&'static str, Arc<dyn ErasedHandler<B>>>,
}

impl<B: Backend> CommandBus<B> {
    /// Starts a bus whose commands run in units of work of `runner`.
    #[must_use]
    pub fn builder(runner: Runner<B>) -> CommandBusBuilder<B> {
        CommandBusBuilder {
            runner,
            handlers: BTreeMap::new(),
            duplicate: None,
        }
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
        let id = CommandId::new();
        let metadata = match metadata.correlation_id() {
            Some(_) => metadata,
            None => metadata.with_correlation_id(CorrelationId::from_uuid(*id.as_uuid())),
        };
        let handler = self.handler(C::NAME)?;
        self.run(
            C::NAME,
            handler,
            Arc::new(command),
            metadata.with_causation_id(*id.as_uuid()),
            None,
        )
        .await
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
        let handler = self.handler(name)?;
        // Decoding is code of the user's too.
        let decoded = catch_unwind(AssertUnwindSafe(|| handler.decode(payload)));
        let command = decoded
            .unwrap_or_else(|_| Err("decoding it panicked".into()))
            .map_err(|source| ExecuteError::Malformed {
                name: name.to_owned(),
                source,
            })?;
        self.run(name, handler, command, metadata, Some(completion))
            .await
    }

    /// Whether a command of that name has a handler.
    #[must_use]
    pub fn handles(&self, command: CommandDescriptor) -> bool {
        self.inner.handlers.contains_key(command.name())
    }

    /// The names of all commands that have a handler.
    pub fn commands(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.inner.handlers.keys().copied()
    }

    fn handler(&self, name: &str) -> Result<&Arc<dyn ErasedHandler<B>>, ExecuteError> {
        self.inner
            .handlers
            .get(name)
            .ok_or_else(|| ExecuteError::UnknownCommand(name.to_owned()))
    }

    async fn run(
        &self,
        name: &str,
        handler: &Arc<dyn ErasedHandler<B>>,
        command: AnyCommand,
        metadata: Metadata,
        completion: Option<Completion>,
    ) -> Result<Receipt, ExecuteError> {
        let span = tracing::debug_span!(telemetry::COMMAND, command = name);
        // In an async block, so that a panic before the first await is caught too. A panic is the command's own affair,
        // wherever it comes from: the handler, the aggregate, serialization, or work in the transaction. The unit of
        // work is dropped with it, so nobody sees it half changed.
        let running = async {
            handler
                .run(&self.inner.runner, command, metadata, completion)
                .await
        };
        match AssertUnwindSafe(running.instrument(span))
            .catch_unwind()
            .await
        {
            Ok(result) => Ok(result?),
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
            .field("commands", &self.inner.handlers.keys())
            .finish_non_exhaustive()
    }
}

/// Registers handlers.
pub struct CommandBusBuilder<B: Backend> {
    runner: Runner<B>,
    handlers: BTreeMap<&'static str, Arc<dyn ErasedHandler<B>>>,
    duplicate: Option<&'static str>,
}

impl<B: Backend> CommandBusBuilder<B> {
    /// Registers the handler of a command. Share one handler between commands by cloning it, or an `Arc` of it.
    #[must_use]
    pub fn handler<C: Command>(mut self, handler: impl CommandHandler<C, B>) -> Self {
        match self.handlers.entry(C::NAME) {
            Entry::Vacant(place) => {
                place.insert(Arc::new(Shim::<C, _>::new(handler)));
            }
            Entry::Occupied(_) => self.duplicate = self.duplicate.or(Some(C::NAME)),
        }
        self
    }

    /// Runs the commands in units of work of this runner instead.
    #[must_use]
    pub fn runner(mut self, runner: Runner<B>) -> Self {
        self.runner = runner;
        self
    }

    /// The bus.
    ///
    /// # Errors
    /// When two handlers were registered for commands of the same name.
    pub fn build(self) -> Result<CommandBus<B>, RegisterError> {
        match self.duplicate {
            Some(name) => Err(RegisterError {
                what: "command",
                name: name.to_owned(),
            }),
            None => Ok(CommandBus {
                inner: Arc::new(Inner {
                    runner: self.runner,
                    handlers: self.handlers,
                }),
            }),
        }
    }
}

impl<B: Backend> fmt::Debug for CommandBusBuilder<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandBusBuilder")
            .field("commands", &self.handlers.keys())
            .finish_non_exhaustive()
    }
}

/// Two handlers for the same thing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} {name} has two handlers")]
pub struct RegisterError {
    pub(crate) what: &'static str,
    pub(crate) name: String,
}

/// Why a command had no effect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// Nobody handles it.
    #[error("the command {0} has no handler")]
    UnknownCommand(String),
    /// It does not have the shape of its type.
    #[error("the command {name} is malformed")]
    Malformed {
        /// Its name.
        name: String,
        /// What serde says.
        source: BoxError,
    },
    /// The handler refused or failed, or its effects could not be committed.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl ExecuteError {
    /// Whether the domain refused: trying again does not help.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        matches!(self, Self::Run(error) if error.is_rejection())
    }

    /// Whether others were faster.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Run(error) if error.is_conflict())
    }

    /// Whether the same call may succeed later: the store can't be reached at present.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Run(error) if error.is_transient())
    }
}
