//! [`Savepoint`]: a place in a unit of work to come back to.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use uno_core::{Backend, EncodeError, Refusal, StreamId};

use crate::{
    LoadError, UnitOfWork,
    slot::{CollectError, SlotMark},
};

/// A place in a unit of work to come back to: see [`UnitOfWork::savepoint`].
#[derive(Debug)]
pub struct Savepoint {
    number: u64,
}

/// What a unit of work was like at a savepoint.
pub(crate) struct Mark {
    number: u64,
    /// Of the slots that there were.
    slots: Vec<SlotMark>,
    /// How much was added to the commit besides.
    added: Added,
}

/// How much there is of what is only ever added.
struct Added {
    work: usize,
    documents: usize,
    messages: usize,
    acknowledgements: usize,
    inbox: usize,
    finishing: usize,
}

/// One after the other in the whole program, so that no savepoint is taken for that of another unit of work.
static NUMBER: AtomicU64 = AtomicU64::new(0);

impl<B: Backend> UnitOfWork<B> {
    /// Remembers what the unit of work holds, so that everything that follows can be taken back.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use serde::{Deserialize, Serialize};
    /// # use uno_core::{Event, EventSet, Metadata};
    /// # use uno_domain::Aggregate;
    /// # #[derive(Event, Serialize, Deserialize)] struct ItemAdded {}
    /// # #[derive(EventSet)] enum OrderEvent { Added(ItemAdded) }
    /// # #[derive(Default)] struct Order { items: u32 }
    /// # impl Aggregate for Order {
    /// #     const CATEGORY: &'static str = "order";
    /// #     type Id = u32;
    /// #     type Event = OrderEvent;
    /// #     fn apply(&mut self, _: &OrderEvent) { self.items += 1; }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use uno_store_memory::MemoryStore;
    /// # use uno_uow::Runner;
    /// let runner = Runner::new(Arc::new(MemoryStore::new()));
    /// let mut uow = runner.begin(Metadata::new());
    /// uow.create::<Order>(&1742)?.record(ItemAdded {});
    ///
    /// let before = uow.savepoint()?;
    /// uow.load::<Order>(&1742).await?.record(ItemAdded {});
    /// uow.create::<Order>(&1743)?.record(ItemAdded {});
    /// uow.rollback_to(&before).await?;
    ///
    /// assert_eq!(uow.load::<Order>(&1742).await?.state().items, 1);
    /// assert_eq!(runner.commit(uow).await?.streams().len(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`StillLent`](SavepointError::StillLent) while a guard is alive: what is done through it would be neither before
    /// nor after.
    pub fn savepoint(&mut self) -> Result<Savepoint, SavepointError> {
        let slots = self.slots.iter().map(|slot| slot.mark());
        let mark = Mark {
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            slots: slots.collect::<Result<_, _>>()?,
            added: Added {
                work: self.commit.work.len(),
                documents: self.commit.documents.len(),
                messages: self.commit.messages.len(),
                acknowledgements: self.commit.acknowledgements.len(),
                inbox: self.commit.inbox.len(),
                finishing: self.finishing.len(),
            },
        };
        let number = mark.number;
        self.marks.push(mark);
        Ok(Savepoint { number })
    }

    /// Takes back everything since a savepoint: what was recorded, raised and changed, the aggregates that were created
    /// or loaded, rows of the caller's own, documents, commands, acknowledgements and messages remembered as handled.
    ///
    /// Aggregates have the state that they had then. One that has recorded events since is folded from its stream again, at the
    /// version that it was loaded at. Savepoints that were made later are gone; this one remains.
    ///
    /// # Errors
    /// [`StillLent`](SavepointError::StillLent) while a guard is alive, and when an aggregate can't be read again. Then
    /// nothing is taken back.
    ///
    /// # Cancellation
    /// Dropping the future takes back everything, or nothing.
    pub async fn rollback_to(&mut self, savepoint: &Savepoint) -> Result<(), SavepointError> {
        let marks = &self.marks;
        let place = marks
            .iter()
            .position(|mark| mark.number == savepoint.number);
        let place = place.ok_or(SavepointError::Gone)?;
        let mark = &self.marks[place];
        for (number, slot) in self.slots.iter().enumerate() {
            slot.check(mark.slots.get(number))?;
        }
        // Everything that may fail comes first.
        let mut restores = Vec::with_capacity(mark.slots.len());
        for (slot, mark) in self.slots.iter().zip(&mark.slots) {
            let restore = Arc::clone(slot).prepare(mark, &self.backend, &self.decoder);
            restores.push(restore.await.map_err(SavepointError::Load)?);
        }
        for restore in restores {
            restore();
        }
        self.slots.truncate(mark.slots.len());
        let kept = self.slots.len();
        self.places.retain(|_, place| *place < kept);
        self.commit.work.truncate(mark.added.work);
        self.commit.documents.truncate(mark.added.documents);
        self.commit.messages.truncate(mark.added.messages);
        self.commit
            .acknowledgements
            .truncate(mark.added.acknowledgements);
        self.commit.inbox.truncate(mark.added.inbox);
        self.finishing.truncate(mark.added.finishing);
        self.marks.truncate(place + 1);
        Ok(())
    }
}

/// Why there is no savepoint, or no way back to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavepointError {
    /// A guard is alive.
    #[error("{0} is lent out: drop its guard first")]
    StillLent(StreamId),
    /// The aggregate is not the one that was loaded, with what was recorded since.
    #[error("{0} was replaced, or its events were taken out")]
    OutOfStep(StreamId),
    /// The savepoint is of another unit of work, or was made after one that was come back to.
    #[error("there is no such savepoint in this unit of work any more")]
    Gone,
    /// A state can't be remembered, since it could not be stored.
    #[error("a state can't be stored")]
    Refused(#[source] Refusal),
    /// An event can't be encoded.
    #[error(transparent)]
    Encode(EncodeError),
    /// An aggregate can't be read again.
    #[error(transparent)]
    Load(LoadError),
}

impl From<CollectError> for SavepointError {
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::StillLent(stream) => Self::StillLent(stream),
            CollectError::OutOfStep(stream) => Self::OutOfStep(stream),
            CollectError::Encode(error) => Self::Encode(error),
            CollectError::Refused(refusal) => Self::Refused(refusal),
        }
    }
}
