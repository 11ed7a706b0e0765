//! [`StateRepository`]: a unit of work as the place where things that are kept as states are found.

use std::{fmt, marker::PhantomData, sync::Arc};

use uno_core::{Backend, Document, StreamId};
use uno_domain::StateStored;

use crate::{
    LoadError, TrackedState, UnitOfWork,
    repository::found,
    slot::{StateSlot, decode},
};

/// What is kept as a state, as the unit of work sees it: see [`UnitOfWork::state_repository`].
///
/// What it lends out belongs to the unit of work, which commits it; there is nothing to save. It has the methods of
/// [`Repository`](crate::Repository), and [`remove`](Self::remove).
pub struct StateRepository<'u, S, B: Backend> {
    uow: &'u mut UnitOfWork<B>,
    state: PhantomData<fn() -> S>,
}

impl<B: Backend> UnitOfWork<B> {
    /// The things of this type, which are kept as states and not as events.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use serde::{Deserialize, Serialize};
    /// use uno_core::{Event, Metadata};
    /// use uno_domain::StateStored;
    /// # use uno_store_memory::MemoryStore;
    /// # use uno_uow::Runner;
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Customer { name: String, blocked: bool }
    /// impl StateStored for Customer {
    ///     const CATEGORY: &'static str = "customer";
    ///     type Id = u32;
    /// }
    /// #[derive(Event, Serialize, Deserialize)]
    /// struct CustomerBlocked {}
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runner = Runner::new(Arc::new(MemoryStore::new()));
    /// let mut uow = runner.begin(Metadata::new());
    /// uow.state_repository().create(&7, Customer { name: "Ada".to_owned(), blocked: false })?;
    /// runner.commit(uow).await?;
    ///
    /// runner.run(Metadata::new(), |uow| Box::pin(async move {
    ///     let mut customer = uow.state_repository::<Customer>().load(&7).await?;
    ///     customer.blocked = true;                                  // another state, and an event that says so
    ///     customer.raise(CustomerBlocked {});                       // for those who follow the log: both or neither
    ///     Ok(())
    /// })).await?;
    /// # Ok(()) }
    /// ```
    pub fn state_repository<S: StateStored>(&mut self) -> StateRepository<'_, S, B> {
        StateRepository {
            uow: self,
            state: PhantomData,
        }
    }
}

impl<S: StateStored, B: Backend> StateRepository<'_, S, B> {
    /// Loads one that exists.
    ///
    /// # Errors
    /// [`NotFound`](LoadError::NotFound) when it does not; [`InUse`](LoadError::InUse) while a guard of it is alive;
    /// [`State`](LoadError::State) when what is stored has not the shape of `S`; and when the store can't be read.
    pub async fn load(&mut self, id: &S::Id) -> Result<TrackedState<S>, LoadError> {
        let stream = S::stream_id(id)?;
        if let Some(slot) = self.slot(&stream)? {
            return slot.lend()?.ok_or(LoadError::NotFound(stream));
        }
        let Some(document) = self.stored(&stream).await? else {
            // Not kept, so that it may still be created.
            return Err(LoadError::NotFound(stream));
        };
        let state = decode(&stream, document.body())?;
        let stored = Some((document.revision(), document.body().clone()));
        Ok(self.track(stream, state, stored))
    }

    /// Loads one, if it exists.
    ///
    /// # Errors
    /// As [`load`](Self::load), but for [`NotFound`](LoadError::NotFound).
    pub async fn find(&mut self, id: &S::Id) -> Result<Option<TrackedState<S>>, LoadError> {
        found(self.load(id).await)
    }

    /// A new one, in this state. Nothing is read: that it does not exist yet is checked by the commit, which is a
    /// conflict otherwise.
    ///
    /// # Errors
    /// [`AlreadyTracked`](LoadError::AlreadyTracked) when this unit of work has it already.
    pub fn create(&mut self, id: &S::Id, state: S) -> Result<TrackedState<S>, LoadError> {
        let stream = S::stream_id(id)?;
        match self.slot(&stream)? {
            Some(slot) => slot
                .lend_anew(state)
                .ok_or(LoadError::AlreadyTracked(stream)),
            None => Ok(self.track(stream, state, None)),
        }
    }

    /// Loads one, which is new and in the state that `new` makes when it does not exist.
    ///
    /// # Errors
    /// As [`load`](Self::load), but for [`NotFound`](LoadError::NotFound).
    pub async fn load_or_new(
        &mut self,
        id: &S::Id,
        new: impl FnOnce() -> S + Send,
    ) -> Result<TrackedState<S>, LoadError> {
        match self.find(id).await? {
            Some(tracked) => Ok(tracked),
            None => self.create(id, new()),
        }
    }

    /// Whether it exists, as stored or as this unit of work has made it.
    ///
    /// It is what was so when it was asked. A decision that relies on it loads it, and has it
    /// [asserted unchanged](TrackedState::assert_unchanged).
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn exists(&mut self, id: &S::Id) -> Result<bool, LoadError> {
        let stream = S::stream_id(id)?;
        match self.slot(&stream)? {
            Some(slot) => Ok(slot.exists()),
            None => Ok(self.stored(&stream).await?.is_some()),
        }
    }

    /// Removes one, unless somebody else has changed it meanwhile. What it raised is appended all the same.
    pub fn remove(&mut self, tracked: TrackedState<S>) {
        tracked.discard();
    }

    /// What this unit of work has already.
    fn slot(&self, stream: &StreamId) -> Result<Option<Arc<StateSlot<S>>>, LoadError> {
        let Some(slot) = self.uow.slot(stream) else {
            return Ok(None);
        };
        let slot = slot.as_any().downcast();
        slot.map(Some)
            .map_err(|_| LoadError::OtherType(stream.clone()))
    }

    async fn stored(&mut self, stream: &StreamId) -> Result<Option<Document>, LoadError> {
        let keys = [stream.key().to_owned()];
        let mut found = self
            .uow
            .backend()
            .load_documents(S::CATEGORY, &keys)
            .await?;
        Ok(found.pop())
    }

    fn track(
        &mut self,
        stream: StreamId,
        state: S,
        stored: Option<(u64, uno_core::Payload)>,
    ) -> TrackedState<S> {
        let (slot, tracked) = StateSlot::lend_new(stream.clone(), state, stored);
        self.uow.keep(stream, slot);
        tracked
    }
}

impl<S: StateStored, B: Backend> fmt::Debug for StateRepository<'_, S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateRepository")
            .field("category", &S::CATEGORY)
            .finish_non_exhaustive()
    }
}
