//! [`CommandLayer`]: what is done around the handlers of commands.

use std::{any::Any, fmt, future::Future, pin::Pin};

use uno_core::{Backend, Command, CommandId, Metadata, Receipt};

use crate::{
    ExecuteError, IdempotencyKey,
    command_bus::{Inner, Route},
    command_handler::{AnyCommand, Completion},
};

/// Something that is done around the handlers of commands: it may look at a command, change its metadata, refuse it, send
/// it on, and look at what came of it. Write a plain `async fn`.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use uno_core::{Backend, Receipt};
/// use uno_cqrs::{CommandCall, CommandLayer, CommandNext, ExecuteError};
///
/// /// Counts the commands that the domain has refused.
/// #[derive(Debug, Default)]
/// struct CountRefusals(AtomicU64);
///
/// impl<B: Backend> CommandLayer<B> for CountRefusals {
///     async fn execute(&self, call: CommandCall, next: CommandNext<'_, B>) -> Result<Receipt, ExecuteError> {
///         let result = next.run(call).await;
///         if result.as_ref().is_err_and(ExecuteError::is_rejection) {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///         result
///     }
/// }
/// ```
///
/// # Order
/// From the outside in: the layers of the bus ([`CommandBusBuilder::layer`](crate::CommandBusBuilder::layer)), then those of the command
/// ([`CommandOptions::layer`](crate::CommandOptions::layer)), each in the order in which they were added, so that what is written first
/// sees a command first and its result last. Within them all: the stored outcome of an [`IdempotencyKey`], the wait in the
/// [lane](crate::CommandOptions::one_at_a_time), and the unit of work with its retries on conflicts. A layer runs once for each call,
/// however often the handler does, and also for commands from a queue.
///
/// # Contract
/// 1. A layer that sends a call on returns what came of it: a commit can't be taken back by an error that is returned after it.
/// 2. It sends a call on once at most; what is to be tried again is the caller's affair, or the retry policy's.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer around commands on `{B}`",
    note = "implement `CommandLayer<B>` for it, generic over `B: Backend` or for one backend"
)]
pub trait CommandLayer<B: Backend>: Send + Sync + 'static {
    /// Carries out the call, or does not.
    ///
    /// # Errors
    /// What came of the call, or why it was not sent on.
    ///
    /// # Cancellation
    /// The future may be dropped at any await. What it has sent on then happens whole or not at all.
    fn execute(
        &self,
        call: CommandCall,
        next: CommandNext<'_, B>,
    ) -> impl Future<Output = Result<Receipt, ExecuteError>> + Send;
}

impl<B: Backend, L: CommandLayer<B>> CommandLayer<B> for std::sync::Arc<L> {
    fn execute(
        &self,
        call: CommandCall,
        next: CommandNext<'_, B>,
    ) -> impl Future<Output = Result<Receipt, ExecuteError>> + Send {
        L::execute(self, call, next)
    }
}

/// A command on its way to its handler.
pub struct CommandCall {
    pub(crate) name: &'static str,
    pub(crate) id: CommandId,
    pub(crate) command: AnyCommand,
    pub(crate) metadata: Metadata,
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) completion: Option<Completion>,
}

impl CommandCall {
    /// The name of the command.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The id of this call. The events name it as their cause, but for a command with an idempotency key, whose id is made of that, and
    /// one from a queue, which has the id of its message.
    #[must_use]
    pub fn id(&self) -> CommandId {
        self.id
    }

    /// The command, if it is of that type.
    #[must_use]
    pub fn command<C: Command>(&self) -> Option<&C> {
        self.command.downcast_ref()
    }

    /// On whose behalf it is, and because of what.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The same, with this metadata: what the events carry.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// The key under which its outcome is kept, if there is one.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref()
    }

    /// Whether it comes from a queue, where it was put in the transaction of what it is about.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        self.completion.is_some()
    }

    pub(crate) fn any(&self) -> &(dyn Any + Send + Sync) {
        &*self.command
    }
}

/// Shows what it is, not what it holds: that is the user's data and stays out of logs.
impl fmt::Debug for CommandCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandCall")
            .field("name", &self.name)
            .field("id", &self.id)
            .field("queued", &self.is_queued())
            .finish_non_exhaustive()
    }
}

/// The way from a layer inwards.
pub struct CommandNext<'a, B: Backend> {
    pub(crate) inner: &'a Inner<B>,
    pub(crate) route: &'a Route<B>,
    /// Those of the bus, and those of the command, that come yet.
    pub(crate) layers: [&'a [SharedLayer<B>]; 2],
}

impl<B: Backend> CommandNext<'_, B> {
    /// Sends a call on.
    ///
    /// # Errors
    /// What the layers further in, or the handler, say; or why its effects could not be committed.
    ///
    /// # Cancellation
    /// Dropping the future carries out the command whole or not at all.
    pub async fn run(self, call: CommandCall) -> Result<Receipt, ExecuteError> {
        let (inner, route) = (self.inner, self.route);
        let (layer, layers) = match self.layers {
            [[first, outer @ ..], own] => (first, [outer, own]),
            [[], [first, own @ ..]] => (first, [&[][..], own]),
            [[], []] => return inner.carry_out(route, call).await,
        };
        let next = CommandNext {
            inner,
            route,
            layers,
        };
        layer.0.erased(call, next).await
    }
}

impl<B: Backend> fmt::Debug for CommandNext<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandNext")
            .field("layers", &(self.layers[0].len() + self.layers[1].len()))
            .finish_non_exhaustive()
    }
}

type ExecuteFuture<'a> = Pin<Box<dyn Future<Output = Result<Receipt, ExecuteError>> + Send + 'a>>;

/// A layer of any type, and its name.
pub(crate) type SharedLayer<B> = (std::sync::Arc<dyn ErasedLayer<B>>, &'static str);

/// A layer of any type.
pub(crate) trait ErasedLayer<B: Backend>: Send + Sync {
    fn erased<'a>(&'a self, call: CommandCall, next: CommandNext<'a, B>) -> ExecuteFuture<'a>;
}

impl<B: Backend, L: CommandLayer<B>> ErasedLayer<B> for L {
    fn erased<'a>(&'a self, call: CommandCall, next: CommandNext<'a, B>) -> ExecuteFuture<'a> {
        Box::pin(self.execute(call, next))
    }
}
