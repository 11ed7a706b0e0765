//! [`Uno`]: an application that is put together, and not started yet.

use std::{fmt, sync::Arc, time::Duration};

use uno_core::{Backend, EventDescriptor, StoreError};
use uno_cqrs::{Catalogue, CommandBus, QueryBus, ReadModel};
use uno_events::{EventBus, Subscription, SubscriptionManager};

#[cfg(feature = "saga")]
use crate::saga_part::SagaPart;
use crate::{App, StartError, UnoBuilder, read_model_part::ReadModelPart};

/// An application, put together and checked.
///
/// ```
/// use std::sync::Arc;
/// use uno::prelude::*;
///
/// # #[tokio::main]
/// # async fn main() -> anyhow::Result<()> {
/// let uno = Uno::builder(Arc::new(MemoryStore::new())).build()?;
/// uno.migrate().await?;             // creates or upgrades the store's schema
/// let app = uno.start().await?;     // subscriptions, sagas and workers run from here on
/// app.stop().await;                // finishes what is in hand
/// # Ok(()) }
/// ```
pub struct Uno<B: Backend> {
    pub(crate) backend: Arc<B>,
    pub(crate) poll: Duration,
    pub(crate) outcomes_kept: Option<Duration>,
    pub(crate) manager: Arc<SubscriptionManager>,
    pub(crate) commands: CommandBus<B>,
    pub(crate) queries: QueryBus,
    pub(crate) bus: EventBus,
    pub(crate) catalogue: Catalogue,
    pub(crate) events: Vec<&'static [EventDescriptor]>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) read_models: Vec<ReadModelPart<B>>,
    #[cfg(feature = "saga")]
    pub(crate) sagas: Vec<Box<dyn SagaPart<B>>>,
}

impl<B: Backend> Uno<B> {
    /// Starts putting an application together on a store.
    #[must_use]
    pub fn builder(store: Arc<B>) -> UnoBuilder<B> {
        UnoBuilder::new(store)
    }

    /// What the application is made of, under a name of its own: for a tool as [JSON](Catalogue::to_json) or
    /// [AsyncAPI](Catalogue::to_asyncapi), for people as a [drawing](Catalogue::to_mermaid) or a [page](Catalogue::to_markdown).
    /// Nothing is asked of the store.
    ///
    /// Events have JSON Schemas with the feature `schema`, where their types are `schemars::JsonSchema`.
    #[must_use]
    pub fn describe(&self, application: &str) -> Catalogue {
        let mut catalogue = self.catalogue.clone();
        application.clone_into(&mut catalogue.application);
        // Schemas are made here, so that an application which does not ask does not pay for them.
        catalogue.add_events(&self.events.concat());
        catalogue
    }

    /// Makes the store ready: creates or upgrades its schema. May be called by many processes at once.
    ///
    /// # Errors
    /// When the store can't be reached or written, or newer code has migrated it.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        self.backend.migrate().await
    }

    /// Its read models, by themselves: for a tool that rebuilds one beside an application that runs elsewhere. Once one has let another
    /// generation serve it is fed here as well, until the application is dropped.
    pub fn read_models(&self) -> impl Iterator<Item = &Arc<ReadModel<B>>> {
        self.read_models.iter().map(|part| &part.model)
    }

    /// The subscriptions that feed them, to be [stopped](SubscriptionManager::stop_all) when such a tool is done.
    #[must_use]
    pub fn subscriptions(&self) -> &SubscriptionManager {
        &self.manager
    }

    /// Starts everything: subscriptions, sagas and workers, and what feeds read models. One that was built by an older version of its code
    /// is rebuilt in the background, while processes that run the older code go on with what they have.
    ///
    /// # Errors
    /// [`StoreError::NotMigrated`] when the store has no schema yet, and whatever else keeps the store from being used.
    pub async fn start(self) -> Result<App<B>, StartError> {
        // Asked first, so that a store that can't be used is told here, and not by every subscription.
        let head = self.backend.head().await?;
        App::start(self, head).await
    }
}

impl<B: Backend> fmt::Debug for Uno<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uno")
            .field("backend", &self.backend)
            .field("commands", &self.commands)
            .field("queries", &self.queries)
            .field("subscriptions", &self.subscriptions)
            .finish_non_exhaustive()
    }
}
