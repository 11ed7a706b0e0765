//! [`Repository`]: a unit of work as the place where the aggregates of one type are found.

use std::{fmt, marker::PhantomData};

use uno_core::{Backend, ReadStream, Version};
use uno_domain::Aggregate;

use crate::{LoadError, Tracked, UnitOfWork};

/// The aggregates of one type, as the unit of work sees them: see [`UnitOfWork::repository`].
///
/// What it lends out belongs to the unit of work, which commits it; there is nothing to save.
/// [`StateRepository`](crate::StateRepository) has the same methods for what is kept as a state.
pub struct Repository<'u, A, B: Backend> {
    uow: &'u mut UnitOfWork<B>,
    aggregate: PhantomData<fn() -> A>,
}

impl<B: Backend> UnitOfWork<B> {
    /// The aggregates of this type.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use serde::{Deserialize, Serialize};
    /// # use uno_core::{Event, EventSet, Metadata};
    /// # use uno_domain::Aggregate;
    /// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced {}
    /// # #[derive(EventSet)] enum OrderEvent { Placed(OrderPlaced) }
    /// # #[derive(Default)] struct Order {}
    /// # impl Aggregate for Order {
    /// #     const CATEGORY: &'static str = "order";
    /// #     type Id = u32;
    /// #     type Event = OrderEvent;
    /// #     fn apply(&mut self, _: &OrderEvent) {}
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use uno_store_memory::MemoryStore;
    /// # use uno_uow::Runner;
    /// let runner = Runner::new(Arc::new(MemoryStore::new()));
    /// let mut uow = runner.begin(Metadata::new());
    /// let mut orders = uow.repository::<Order>();
    /// assert!(orders.find(&1742).await?.is_none());
    /// orders.create(&1742)?.record(OrderPlaced {});
    /// assert!(orders.exists(&1742).await?);
    /// runner.commit(uow).await?;
    /// # Ok(()) }
    /// ```
    pub fn repository<A: Aggregate>(&mut self) -> Repository<'_, A, B> {
        Repository {
            uow: self,
            aggregate: PhantomData,
        }
    }
}

impl<A: Aggregate, B: Backend> Repository<'_, A, B> {
    /// Loads an aggregate that exists.
    ///
    /// # Errors
    /// As [`UnitOfWork::load`].
    pub async fn load(&mut self, id: &A::Id) -> Result<Tracked<A>, LoadError> {
        self.uow.load(id).await
    }

    /// Loads an aggregate, if it exists.
    ///
    /// # Errors
    /// As [`UnitOfWork::load`], but for [`NotFound`](LoadError::NotFound).
    pub async fn find(&mut self, id: &A::Id) -> Result<Option<Tracked<A>>, LoadError> {
        found(self.uow.load(id).await)
    }

    /// A new aggregate. Nothing is read: that it does not exist is checked by the commit.
    ///
    /// # Errors
    /// As [`UnitOfWork::create`].
    pub fn create(&mut self, id: &A::Id) -> Result<Tracked<A>, LoadError> {
        self.uow.create(id)
    }

    /// Loads an aggregate, which is new when it does not exist.
    ///
    /// # Errors
    /// As [`UnitOfWork::load_or_new`].
    pub async fn load_or_new(&mut self, id: &A::Id) -> Result<Tracked<A>, LoadError> {
        self.uow.load_or_new(id).await
    }

    /// Whether the aggregate exists: it has events, stored or recorded in this unit of work.
    ///
    /// It is what was so when it was asked. A decision that relies on it loads the aggregate, and has it
    /// [asserted unchanged](Tracked::assert_unchanged).
    ///
    /// # Errors
    /// [`InUse`](LoadError::InUse) while a guard of it is alive, and when the store can't be read.
    pub async fn exists(&mut self, id: &A::Id) -> Result<bool, LoadError> {
        let stream = A::stream_id(id)?;
        if let Some(tracked) = self.uow.lend::<A>(&stream)? {
            return Ok(tracked.version() > Version::EMPTY);
        }
        let first = ReadStream::forward(stream).limit(1);
        Ok(!self.uow.backend().read_stream(first).await?.is_empty())
    }
}

/// What is not there is no error.
pub(crate) fn found<T>(loaded: Result<T, LoadError>) -> Result<Option<T>, LoadError> {
    match loaded {
        Ok(tracked) => Ok(Some(tracked)),
        Err(LoadError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl<A: Aggregate, B: Backend> fmt::Debug for Repository<'_, A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository")
            .field("category", &A::CATEGORY)
            .finish_non_exhaustive()
    }
}
