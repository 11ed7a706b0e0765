//! [`CommandHandler`]: what users write for each command.

use std::{any::Any, future::Future, marker::PhantomData, pin::Pin, sync::Arc};

use uno_core::{
    Acknowledgement, Backend, BoxError, Command, Commit, Metadata, NewMessage, Payload, Receipt,
    Transactional,
};
use uno_uow::{CommandError, Handover, RunError, Runner, StagingError, UnitOfWork};

/// Handles one type of command in a unit of work. Write a plain `async fn`, as in the example of
/// [`CommandBus`](crate::CommandBus).
///
/// # Contract
/// 1. A handler may run several times for one command: on a conflict it runs again on fresh state, and a queued command
///    may be taken up by several workers. What it does goes through the unit of work; a call to the outside world carries
///    the command's id, `uow.metadata().causation_id()`, as its idempotency key.
/// 2. An error of the domain is a rejection and final; any other error, and a panic, may be tried again.
/// 3. A rejection has no effect, neither here nor in the world outside.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Backend, Command};
/// # use uno_cqrs::CommandHandler;
/// # use uno_uow::{CommandError, UnitOfWork};
/// # #[derive(Command, Serialize, Deserialize)] struct ChargeCard { cents: i64 }
/// # struct Bank;
/// # impl Bank { async fn charge(&self, _key: &str, _cents: i64) -> Result<(), std::io::Error> { Ok(()) } }
/// struct Payments { bank: Bank }
///
/// impl<B: Backend> CommandHandler<ChargeCard, B> for Payments {
///     async fn handle(&self, command: &ChargeCard, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
///         // wrong: `Uuid::new_v4()` as the key; the second attempt would charge a second time
///         let id = uow.metadata().causation_id().ok_or_else(|| CommandError::failed("no id"))?;
///         self.bank.charge(&id.to_string(), command.cents).await.map_err(CommandError::failed)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle the command `{C}` on `{B}`",
    note = "implement `CommandHandler<{C}, B>` for it, generic over `B: Backend` or for one backend"
)]
pub trait CommandHandler<C: Command, B: Backend>: Send + Sync + 'static {
    /// Handles the command; the unit of work is committed when it returns `Ok`, and dropped when it does not.
    ///
    /// # Errors
    /// A [rejection](CommandError::Rejected) when the domain refuses; anything else may be tried again.
    ///
    /// # Cancellation
    /// The future may be dropped at any await, when the caller goes away or the attempt takes too long.
    fn handle(
        &self,
        command: &C,
        uow: &mut UnitOfWork<B>,
    ) -> impl Future<Output = Result<(), CommandError>> + Send;
}

impl<C: Command, B: Backend, H: CommandHandler<C, B>> CommandHandler<C, B> for Arc<H> {
    fn handle(
        &self,
        command: &C,
        uow: &mut UnitOfWork<B>,
    ) -> impl Future<Output = Result<(), CommandError>> + Send {
        H::handle(self, command, uow)
    }
}

/// What is committed together with the effects of a queued command: that it is handled, and what became of it.
#[derive(Clone, Debug)]
pub struct Completion {
    acknowledgement: Acknowledgement,
    outcome: Option<NewMessage>,
}

impl Completion {
    /// Takes the message off its queue, and sends the outcome if anybody wants to know it.
    #[must_use]
    pub fn new(acknowledgement: Acknowledgement, outcome: Option<NewMessage>) -> Self {
        Self {
            acknowledgement,
            outcome,
        }
    }

    pub(crate) fn add_to<B: Backend>(self, uow: &mut UnitOfWork<B>) {
        uow.acknowledge(self.acknowledgement);
        if let Some(outcome) = self.outcome {
            uow.enqueue(outcome);
        }
    }
}

pub(crate) type AnyCommand = Arc<dyn Any + Send + Sync>;
type RunFuture<'a> = Pin<Box<dyn Future<Output = Result<Receipt, RunError>> + Send + 'a>>;

/// What is committed together with the effects of a command.
pub(crate) struct Ending<B: Backend> {
    /// For one from a queue.
    pub(crate) completion: Option<Completion>,
    /// For one with an idempotency key.
    pub(crate) remember: Option<Remember<B>>,
}

/// Adds the outcome to a commit, of which everything else is known.
pub(crate) type Remember<B> =
    Arc<dyn Fn(&mut Commit<<B as Transactional>::Tx>) -> Result<(), StagingError> + Send + Sync>;

/// A handler of any command type.
pub(crate) trait ErasedHandler<B: Backend>: Send + Sync {
    fn decode(&self, payload: &str) -> Result<AnyCommand, BoxError>;

    fn encode(&self, command: &AnyCommand) -> Result<Payload, BoxError>;

    /// Runs it in a unit of work, with what is handed on, if there is anything.
    fn run<'a>(
        &'a self,
        runner: &'a Runner<B>,
        command: AnyCommand,
        metadata: Metadata,
        ending: Ending<B>,
        handover: Option<&'a mut dyn Handover>,
    ) -> RunFuture<'a>;
}

/// Ties a handler to one of the command types that it handles.
pub(crate) struct Shim<C, H> {
    handler: Arc<H>,
    command: PhantomData<fn(C)>,
}

impl<C, H> Shim<C, H> {
    pub(crate) fn new(handler: H) -> Self {
        Self {
            handler: Arc::new(handler),
            command: PhantomData,
        }
    }
}

const NOT_OF_THE_TYPE: &str = "the command is not of the type its name says";

impl<C: Command, B: Backend, H: CommandHandler<C, B>> ErasedHandler<B> for Shim<C, H> {
    fn decode(&self, payload: &str) -> Result<AnyCommand, BoxError> {
        Ok(Arc::new(serde_json::from_str::<C>(payload)?))
    }

    fn encode(&self, command: &AnyCommand) -> Result<Payload, BoxError> {
        let command = command.downcast_ref::<C>().ok_or(NOT_OF_THE_TYPE)?;
        Ok(Payload::encode(command)?)
    }

    fn run<'a>(
        &'a self,
        runner: &'a Runner<B>,
        command: AnyCommand,
        metadata: Metadata,
        ending: Ending<B>,
        handover: Option<&'a mut dyn Handover>,
    ) -> RunFuture<'a> {
        Box::pin(async move {
            let Ok(command) = command.downcast::<C>() else {
                return Err(RunError::Command(CommandError::failed(NOT_OF_THE_TYPE)));
            };
            let handler = Arc::clone(&self.handler);
            let ((), receipt) = match handover {
                Some(handover) => {
                    let run = runner.run_warm(metadata, handover, move |uow| {
                        attempt(&handler, &command, &ending, uow)
                    });
                    run.await?
                }
                None => {
                    let run = runner.run(metadata, move |uow| {
                        attempt(&handler, &command, &ending, uow)
                    });
                    run.await?
                }
            };
            Ok(receipt)
        })
    }
}

type Attempt<'u> = Pin<Box<dyn Future<Output = Result<(), CommandError>> + Send + 'u>>;

/// One run of the handler.
fn attempt<'u, C: Command, B: Backend, H: CommandHandler<C, B>>(
    handler: &Arc<H>,
    command: &Arc<C>,
    ending: &Ending<B>,
    uow: &'u mut UnitOfWork<B>,
) -> Attempt<'u> {
    let (handler, command) = (Arc::clone(handler), Arc::clone(command));
    let (completion, remember) = (ending.completion.clone(), ending.remember.clone());
    Box::pin(async move {
        handler.handle(&command, uow).await?;
        if let Some(completion) = completion {
            completion.add_to(uow);
        }
        if let Some(remember) = remember {
            uow.before_commit(move |commit| remember(commit));
        }
        Ok(())
    })
}
