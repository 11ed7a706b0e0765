//! The read models of an application: fed, followed, and brought up to the version of the code.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uno_core::{Backend, Decoder};
use uno_cqrs::{
    ReadModel, ReadModelError, ReadModelStatus, RebuildError, RebuildProgress, ServingError,
};
use uno_events::SubscriptionManager;

use crate::{BuildError, StartError};

/// Makes a read model, once the store, the decoder and the manager are known.
pub(crate) type ReadModelFactory<B> = Box<
    dyn FnOnce(&Arc<B>, &Arc<SubscriptionManager>, &Decoder) -> Result<ReadModel<B>, ReadModelError>
        + Send,
>;

/// A read model, and how far it is from what the code reads.
pub(crate) struct ReadModelPart<B: Backend> {
    pub(crate) model: Arc<ReadModel<B>>,
    upkeep: watch::Sender<Upkeep>,
}

/// Whether the code can read a read model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Upkeep {
    /// It can, or it is not known yet that it can't.
    Current,
    /// What is there was built by older code, and is being rebuilt, here or by another process.
    Rebuilding,
    /// It can't, and nobody does anything about it: a rebuild failed, or what is there was built by newer code.
    Stuck,
}

/// How a read model stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReadModelReport {
    /// Its name.
    pub name: &'static str,
    /// Whether the code can read it.
    pub upkeep: Upkeep,
    /// Its generations; `None` when the store can't be read.
    pub generations: Option<ReadModelStatus>,
    /// How far a rebuild by this process has come.
    pub rebuild: Option<RebuildProgress>,
}

impl<B: Backend> ReadModelPart<B> {
    pub(crate) fn make(
        make: ReadModelFactory<B>,
        backend: &Arc<B>,
        manager: &Arc<SubscriptionManager>,
        decoder: &Decoder,
    ) -> Result<Self, BuildError> {
        let model = make(backend, manager, decoder).map_err(|error| match error {
            ReadModelError::Subscription(error) => BuildError::SubscriptionName(error),
            ReadModelError::Event(error) => BuildError::Events(error),
            other => BuildError::ReadModel(other),
        })?;
        Ok(Self {
            model: Arc::new(model),
            upkeep: watch::Sender::new(Upkeep::Current),
        })
    }

    /// Feeds the generations that are there, and goes on in the background until `stop`.
    pub(crate) async fn start(
        &self,
        tasks: &TaskTracker,
        every: Duration,
        stop: &CancellationToken,
    ) -> Result<(), StartError> {
        let name = self.model.name();
        let failed = |source| StartError::ReadModel { name, source };
        self.model.start().await.map_err(failed)?;
        // Found out before anybody is told that the application runs, so that whoever waits for it to be idle waits for the rebuild.
        if self.wants_rebuild().await.map_err(failed)? {
            self.upkeep.send_replace(Upkeep::Rebuilding);
            let (part, stop) = (self.clone(), stop.clone());
            tasks.spawn(async move {
                tokio::select! {
                    // Dropped on its way, a rebuild is gone on with at the next start.
                    () = stop.cancelled() => {}
                    () = part.bring_up(every) => {}
                }
            });
        }
        let (model, stop) = (Arc::clone(&self.model), stop.clone());
        tasks.spawn(async move { model.follow(every, stop).await });
        Ok(())
    }

    /// Rebuilds until there is a generation that this code reads.
    async fn bring_up(&self, every: Duration) {
        let upkeep = loop {
            let rebuilt = match self.wants_rebuild().await {
                Ok(true) => self.model.rebuild().await.map(|_| ()),
                Ok(false) if *self.upkeep.borrow() == Upkeep::Rebuilding => break Upkeep::Current,
                Ok(false) => return,
                Err(error) => Err(error),
            };
            match rebuilt {
                Ok(()) => break Upkeep::Current,
                // Another process is at it, or the store is away: look again.
                Err(RebuildError::Elsewhere(_) | RebuildError::AlreadyBuilding { .. }) => {}
                Err(error) if error.is_transient() => {}
                // The same code would fail at the same event again.
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(
                        target: "uno.read_models",
                        read_model = self.model.name(),
                        error,
                        "the read model was built by older code and could not be rebuilt"
                    );
                    break Upkeep::Stuck;
                }
            }
            tokio::time::sleep(every).await;
        };
        self.upkeep.send_replace(upkeep);
    }

    /// Whether what is there was built by older code. Older code never rebuilds what newer code has built: in a rolling deployment the two
    /// would take turns.
    async fn wants_rebuild(&self) -> Result<bool, RebuildError> {
        match self.model.serving().generation().await {
            Ok(_) => Ok(false),
            Err(ServingError::OtherVersion {
                wanted, serving, ..
            }) => {
                let older = serving.is_none_or(|serving| serving < wanted);
                if !older {
                    self.upkeep.send_replace(Upkeep::Stuck);
                }
                Ok(older)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns when no rebuild that began with the application is under way.
    pub(crate) async fn rested(&self) {
        let mut upkeep = self.upkeep.subscribe();
        // The sender is in `self`.
        let _ = upkeep
            .wait_for(|upkeep| *upkeep != Upkeep::Rebuilding)
            .await;
    }

    pub(crate) async fn report(&self) -> ReadModelReport {
        let generations = self.model.status().await.ok();
        ReadModelReport {
            name: self.model.name(),
            upkeep: *self.upkeep.borrow(),
            generations,
            rebuild: *self.model.progress().borrow(),
        }
    }
}

impl<B: Backend> Clone for ReadModelPart<B> {
    fn clone(&self) -> Self {
        Self {
            model: Arc::clone(&self.model),
            upkeep: self.upkeep.clone(),
        }
    }
}
