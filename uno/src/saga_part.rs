//! Sagas of an application, of any type.

use std::{any::Any, pin::Pin, sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uno_core::{Backend, Decoder, SubscriptionName};
use uno_cqrs::{CommandBus, CommandWorker, SagaEntry, WorkerStatus};
use uno_events::{Replay, Subscription};
use uno_saga::{Saga, SagaCounts, SagaRunner, SagaRunnerStatus};

use crate::BuildError;

/// How a saga stands, beside its subscription.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SagaStatus {
    /// The saga's name.
    pub name: &'static str,
    /// The handling of outcomes and timeouts.
    pub outcomes: SagaRunnerStatus,
    /// The commands that were carried out.
    pub commands: WorkerStatus,
    /// What waits for a person, and what is to be done; `None` when the store can't be read.
    pub counts: Option<SagaCounts>,
}

/// Makes a saga's part and its subscription, once the store and the handlers are known.
pub(crate) type SagaFactory<B> = Box<
    dyn FnOnce(
            &Arc<B>,
            &Decoder,
            &CommandBus<B>,
        ) -> Result<(Box<dyn SagaPart<B>>, Subscription), BuildError>
        + Send,
>;

/// What a saga says of itself.
pub(crate) type StatusFuture<'s> = Pin<Box<dyn Future<Output = SagaStatus> + Send + 's>>;

/// A saga of any type.
pub(crate) trait SagaPart<B: Backend>: Send + Sync {
    /// Runs the worker and the handling of outcomes and timeouts until `stop`.
    fn spawn(&self, tasks: &TaskTracker, poll: Duration, stop: &CancellationToken);
    fn queues(&self) -> [String; 2];
    fn status(&self) -> StatusFuture<'_>;
    /// What the catalogue tells of it.
    fn describe(&self) -> SagaEntry;
    /// The [`SagaRunner`] itself.
    fn runner(&self) -> &(dyn Any + Send + Sync);
}

struct Typed<S, B: Backend> {
    runner: SagaRunner<S, B>,
    worker: CommandWorker<B>,
}

impl<B: Backend> dyn SagaPart<B> {
    pub(crate) fn factory<S: Saga>() -> SagaFactory<B> {
        Box::new(|backend, decoder, commands| {
            if let Some(command) = SagaRunner::<S, B>::missing_handlers(commands).next() {
                return Err(BuildError::UnhandledCommand {
                    saga: S::NAME,
                    command: command.name(),
                });
            }
            let runner = SagaRunner::<S, B>::new(Arc::clone(backend), decoder.clone())
                .map_err(|error| BuildError::of_saga(S::NAME, error))?;
            let worker = runner.worker(commands.clone());
            let name = SubscriptionName::new(format!("saga.{}", S::NAME))?;
            let subscription = Subscription::new(name, Replay::LiveOnly, Arc::new(runner.clone()));
            Ok((
                Box::new(Typed { runner, worker }) as Box<dyn SagaPart<B>>,
                subscription,
            ))
        })
    }
}

impl<S: Saga, B: Backend> SagaPart<B> for Typed<S, B> {
    fn spawn(&self, tasks: &TaskTracker, poll: Duration, stop: &CancellationToken) {
        let (runner, stopping) = (self.runner.clone(), stop.clone());
        tasks.spawn(async move { runner.run(poll, stopping).await });
        let (worker, stopping) = (self.worker.clone().with_poll_interval(poll), stop.clone());
        tasks.spawn(async move { worker.run(stopping).await });
    }

    fn queues(&self) -> [String; 2] {
        let (commands, outcomes) = self.runner.queues();
        [commands.to_owned(), outcomes.to_owned()]
    }

    fn status(&self) -> StatusFuture<'_> {
        Box::pin(async move {
            SagaStatus {
                name: S::NAME,
                outcomes: self.runner.status(),
                commands: self.worker.status(),
                counts: self.runner.counts().await.ok(),
            }
        })
    }

    fn describe(&self) -> SagaEntry {
        SagaRunner::<S, B>::describe()
    }

    fn runner(&self) -> &(dyn Any + Send + Sync) {
        &self.runner
    }
}
