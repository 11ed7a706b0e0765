//! [`App`]: an application that runs.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uno_core::{
    Backend, CausationLimits, CausationTree, Command, EventId, EventStore, EventStoreExt as _,
    Head, LogPager, Metadata, ReadLog, Receipt, RegistrationError, StoreError, SubscriptionName,
};
use uno_cqrs::{
    CommandBus, DocumentProjection, Documents, ExecuteError, IdempotencyKey, LiveDocuments, Query,
    QueryBus, QueryError, ReadModel,
};
use uno_events::{EventBus, RangeReplay, SubscriptionManager, SubscriptionStatus, WaitError};
use uno_uow::{CommandError, RunError, UnitOfWork};

#[cfg(feature = "saga")]
use crate::saga_part::{SagaPart, SagaStatus};
use crate::{
    AwaitError, StartError, Uno, bus_feed, outcomes,
    read_model_part::{ReadModelPart, ReadModelReport},
};

/// An application that runs. Cheap to clone; it runs until it is [stopped](App::stop) or the last clone is dropped.
pub struct App<B: Backend> {
    inner: Arc<Inner<B>>,
}

struct Inner<B: Backend> {
    backend: Arc<B>,
    commands: CommandBus<B>,
    queries: QueryBus,
    bus: EventBus,
    manager: Arc<SubscriptionManager>,
    read_models: Vec<ReadModelPart<B>>,
    #[cfg(feature = "saga")]
    sagas: Vec<Box<dyn SagaPart<B>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<B: Backend> Drop for Inner<B> {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl<B: Backend> App<B> {
    pub(crate) async fn start(uno: Uno<B>, head: Head) -> Result<Self, StartError> {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        // If something does not start, what has been started ends.
        let not_started = stop.clone().drop_guard();
        let manager = uno.manager;
        for subscription in uno.subscriptions {
            manager
                .subscribe(subscription)
                .map_err(|error| StartError::Subscriptions(error.into()))?;
        }
        manager
            .start_all()
            .await
            .map_err(|error| StartError::Subscriptions(error.into()))?;
        for part in &uno.read_models {
            part.start(&tasks, uno.poll, &stop).await?;
        }
        if let Some(kept) = uno.outcomes_kept {
            tasks.spawn(outcomes::prune(uno.commands.clone(), kept, stop.clone()));
        }
        let store: Arc<dyn EventStore> = Arc::clone(&uno.backend) as _;
        tasks.spawn(bus_feed::run(
            store,
            uno.bus.clone(),
            head.position(),
            uno.poll,
            stop.clone(),
        ));
        #[cfg(feature = "saga")]
        for saga in &uno.sagas {
            saga.spawn(&tasks, uno.poll, &stop);
        }
        not_started.disarm();
        let inner = Inner {
            backend: uno.backend,
            commands: uno.commands,
            queries: uno.queries,
            bus: uno.bus,
            manager,
            read_models: uno.read_models,
            #[cfg(feature = "saga")]
            sagas: uno.sagas,
            tasks,
            stop,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Carries out a command. When it returns, its events are durable; read models follow ([`wait_for`](Self::wait_for)).
    ///
    /// # Errors
    /// When nobody handles it, the domain refuses it, or its effects can't be committed.
    pub async fn execute<C: Command>(&self, command: C) -> Result<Receipt, ExecuteError> {
        self.inner.commands.execute(command).await
    }

    /// Carries out a command on behalf of somebody: its events, and what they cause, carry this metadata.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn execute_as<C: Command>(
        &self,
        command: C,
        metadata: Metadata,
    ) -> Result<Receipt, ExecuteError> {
        self.inner.commands.execute_as(command, metadata).await
    }

    /// Carries out a command, unless one with this key was carried out or rejected before: then its outcome is given back.
    ///
    /// # Errors
    /// As [`execute`](Self::execute), and when the other one was another command.
    pub async fn execute_once<C: Command>(
        &self,
        key: IdempotencyKey,
        command: C,
    ) -> Result<Receipt, ExecuteError> {
        self.inner.commands.execute_once(key, command).await
    }

    /// The same, on behalf of somebody. The key is one within the tenant that the metadata names.
    ///
    /// # Errors
    /// As [`execute_once`](Self::execute_once).
    pub async fn execute_once_as<C: Command>(
        &self,
        key: IdempotencyKey,
        command: C,
        metadata: Metadata,
    ) -> Result<Receipt, ExecuteError> {
        let commands = &self.inner.commands;
        commands.execute_once_as(key, command, metadata).await
    }

    /// The commands, for what there is no method of here.
    #[must_use]
    pub fn commands(&self) -> &CommandBus<B> {
        &self.inner.commands
    }

    /// Runs a unit of work without a command.
    ///
    /// # Errors
    /// What the closure returned, or why the commit failed.
    pub async fn unit_of_work<T, F>(&self, work: F) -> Result<(T, Receipt), RunError>
    where
        F: for<'u> FnMut(
                &'u mut UnitOfWork<B>,
            )
                -> Pin<Box<dyn Future<Output = Result<T, CommandError>> + Send + 'u>>
            + Send,
        T: Send,
    {
        self.inner
            .commands
            .runner()
            .run(Metadata::new(), work)
            .await
    }

    /// Asks a query.
    ///
    /// # Errors
    /// When nobody handles it, or its handler failed.
    pub async fn ask<Q: Query>(&self, query: Q) -> Result<Q::Output, QueryError> {
        self.inner.queries.ask(query).await
    }

    /// Asks a query on behalf of somebody: layers see the metadata.
    ///
    /// # Errors
    /// As [`ask`](Self::ask), and when a layer refuses.
    pub async fn ask_as<Q: Query>(
        &self,
        query: Q,
        metadata: Metadata,
    ) -> Result<Q::Output, QueryError> {
        self.inner.queries.ask_as(query, metadata).await
    }

    /// The documents of a projection.
    #[must_use]
    pub fn documents<P: DocumentProjection>(&self) -> Documents<P> {
        Documents::new(Arc::clone(&self.inner.backend) as _)
    }

    /// The documents of a projection, folded from the log when they are asked for: nothing need be registered, and nothing is stored.
    ///
    /// # Errors
    /// When one of its events has a name that can't be stored, or a chain of upcasters that is not whole.
    pub fn live<P: DocumentProjection>(
        &self,
        projection: P,
    ) -> Result<LiveDocuments<P>, RegistrationError> {
        let decoder = self.inner.commands.runner().decoder().clone();
        LiveDocuments::new(projection, Arc::clone(&self.inner.backend) as _, decoder)
    }

    /// The read model of this name, for rebuilding it, going back and dropping generations; `None` when the application has no such read
    /// model. It is fed by the application: [`sync`](ReadModel::sync) and [`follow`](ReadModel::follow) need not be called.
    #[must_use]
    pub fn read_model(&self, name: &str) -> Option<&Arc<ReadModel<B>>> {
        self.read_models().find(|model| model.name() == name)
    }

    /// All read models.
    pub fn read_models(&self) -> impl Iterator<Item = &Arc<ReadModel<B>>> {
        self.inner.read_models.iter().map(|part| &part.model)
    }

    /// The runner of a saga, for looking at its instances and their histories, and for helping those that are stuck or parked; `None` when the application has no such saga.
    #[cfg(feature = "saga")]
    #[must_use]
    pub fn saga<S: uno_saga::Saga>(&self) -> Option<&uno_saga::SagaRunner<S, B>> {
        self.inner
            .sagas
            .iter()
            .find_map(|saga| saga.runner().downcast_ref())
    }

    /// The in-process bus: told of every event that is committed while the application runs, also by other processes.
    #[must_use]
    pub fn bus(&self) -> &EventBus {
        &self.inner.bus
    }

    /// The store.
    #[must_use]
    pub fn backend(&self) -> &Arc<B> {
        &self.inner.backend
    }

    /// A stretch of the log, page by page: who did what, and when. The limit of `read` is that of one page.
    #[must_use]
    pub fn log(&self, read: ReadLog) -> LogPager<'_, B> {
        self.inner.backend.read_pages(read)
    }

    /// What an event goes back to and what came of it, across commands and sagas; `None` when there is no such event.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use serde::{Deserialize, Serialize};
    /// use uno::{
    ///     core::{CausationLimits, NewEvent, StreamAppend},
    ///     prelude::*,
    /// };
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// struct DoorOpened { door: u8 }
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// struct LightTurnedOn { lamp: u8 }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let uno = Uno::builder(Arc::new(MemoryStore::new())).build()?;
    /// uno.migrate().await?;
    /// let app = uno.start().await?;
    /// let append = |stream: &str, event| {
    ///     let stream = stream.parse().expect("a stream");
    ///     app.backend().append(vec![StreamAppend::new(stream, ExpectedVersion::Any, vec![event])])
    /// };
    /// append("door-1", NewEvent::encode(&DoorOpened { door: 1 })?).await?;
    /// let newest = app.log(ReadLog::before(Position::MAX).limit(1)).next_page().await?;
    /// let door = newest.ok_or("there is an event")?.remove(0);
    ///
    /// // What a saga or a handler does with a command has this metadata by itself.
    /// let light = NewEvent::encode(&LightTurnedOn { lamp: 7 })?.with_metadata(Metadata::caused_by(&door));
    /// let id = light.id();
    /// append("lamp-7", light).await?;
    ///
    /// let tree = app.causation_of(id, CausationLimits::new()).await?.ok_or("it is there")?;
    /// assert_eq!(tree.causes(), [door]);
    /// # app.stop().await;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn causation_of(
        &self,
        event: EventId,
        limits: CausationLimits,
    ) -> Result<Option<CausationTree>, StoreError> {
        self.inner.backend.causation_of(event, limits).await
    }

    /// Feeds a stretch of the log once more to handlers that are given to it, with the decoder of the application. Those that are live-only are not called.
    #[must_use]
    pub fn replay_range(&self) -> RangeReplay {
        let decoder = self.inner.commands.runner().decoder();
        RangeReplay::new(Arc::clone(&self.inner.backend) as _, decoder.clone())
    }

    /// The durable subscriptions.
    #[must_use]
    pub fn subscriptions(&self) -> &SubscriptionManager {
        &self.inner.manager
    }

    /// Waits until a read model or handler has come to what a command did: read your own writes. Of a read model, that is the generation
    /// which serves.
    ///
    /// # Errors
    /// When it does not come there in time or has stopped, the receipt is from another store, or the read model can't be read.
    pub async fn wait_for(
        &self,
        name: &SubscriptionName,
        receipt: &Receipt,
        timeout: Duration,
    ) -> Result<(), AwaitError> {
        match self.read_model(name.as_str()) {
            Some(model) => model
                .wait_for(receipt, timeout)
                .await
                .map_err(AwaitError::of_read_model),
            None => Ok(self.inner.manager.wait_for(name, receipt, timeout).await?),
        }
    }

    /// Waits until nothing moves any more: every subscription has come to the end of the log, no command or outcome
    /// waits, and what older code had built is rebuilt. For tests and imports; a busy application may never be idle.
    ///
    /// # Errors
    /// When a subscription has stopped because of a failure, or the store can't be read.
    pub async fn until_idle(&self) -> Result<(), WaitError> {
        loop {
            let mark = self.inner.backend.change();
            let before = self.inner.backend.head().await?.position();
            for part in &self.inner.read_models {
                part.rested().await;
            }
            self.inner.manager.until_idle().await?;
            let waiting = self.waiting().await?;
            if waiting == 0 && self.inner.backend.head().await?.position() == before {
                return Ok(());
            }
            tokio::select! {
                () = self.inner.backend.changed(mark) => {}
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    }

    /// How many messages wait in the queues of sagas.
    async fn waiting(&self) -> Result<u64, StoreError> {
        let mut waiting = 0;
        #[cfg(feature = "saga")]
        for queue in self.inner.sagas.iter().flat_map(|saga| saga.queues()) {
            waiting += self.inner.backend.queue_depth(&queue).await?.0;
        }
        let _: &mut u64 = &mut waiting;
        Ok(waiting)
    }

    /// How everything stands.
    pub async fn status(&self) -> AppStatus {
        #[cfg(feature = "saga")]
        let mut sagas = Vec::with_capacity(self.inner.sagas.len());
        #[cfg(feature = "saga")]
        for saga in &self.inner.sagas {
            sagas.push(saga.status().await);
        }
        let mut read_models = Vec::with_capacity(self.inner.read_models.len());
        for part in &self.inner.read_models {
            read_models.push(part.report().await);
        }
        AppStatus {
            subscriptions: self.inner.manager.status().await,
            read_models,
            #[cfg(feature = "saga")]
            sagas,
        }
    }

    /// Stops: finishes what is in hand, saves checkpoints, and takes up nothing new. What was not finished goes on at
    /// the next start.
    ///
    /// # Cancellation
    /// Dropping the future leaves everything stopping; nothing is lost.
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        self.inner.manager.stop_all().await;
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        // A read model that was just following a swap may have begun to feed another generation after the first call.
        self.inner.manager.stop_all().await;
    }
}

impl<B: Backend> Clone for App<B> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<B: Backend> fmt::Debug for App<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("backend", &self.inner.backend)
            .finish_non_exhaustive()
    }
}

/// How an application stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AppStatus {
    /// Every durable subscription: read models, sagas and handlers.
    pub subscriptions: Vec<SubscriptionStatus>,
    /// The read models, beside their subscriptions.
    pub read_models: Vec<ReadModelReport>,
    /// The sagas, beside their subscriptions.
    #[cfg(feature = "saga")]
    pub sagas: Vec<SagaStatus>,
}
