//! Aggregates, deciders, entities, value objects and specifications: pure, synchronous domain code.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use uno_core::{Event, EventSet};
//! use uno_domain::{Aggregate, AggregateRoot, ensure};
//!
//! #[derive(Event, Serialize, Deserialize)]
//! struct DoorOpened {}
//! #[derive(EventSet)]
//! enum DoorEvent { Opened(DoorOpened) }
//!
//! #[derive(Default)]
//! struct Door { open: bool }
//!
//! impl Aggregate for Door {
//!     const CATEGORY: &'static str = "door";
//!     type Id = u32;
//!     type Event = DoorEvent;
//!     fn apply(&mut self, event: &DoorEvent) { match event { DoorEvent::Opened(_) => self.open = true } }
//! }
//! impl Door {
//!     fn open(&self) -> Result<DoorOpened, &'static str> { ensure!(!self.open, "it is open"); Ok(DoorOpened {}) }
//! }
//!
//! let mut door = AggregateRoot::<Door>::new(7);
//! door.decide(Door::open)?;
//! assert_eq!(door.decide(Door::open), Err("it is open"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The ideas
//!
//! * An [`Aggregate`] is a state with **one** way to change: `apply` takes an event in, a new one and an old one alike.
//! * A decision is a method of the state that returns events, or refuses. It changes nothing; the
//!   [`AggregateRoot`] records what it returns.
//! * What has no history worth keeping is [`StateStored`]: kept as the state it is in.
//! * Those who prefer commands and functions write a [`Decider`], and can run it as an aggregate.
//! * [`Entity`], [`value_object!`], [`typed_id!`] and [`Specification`] are for the rest of the model.
//!
//! # What it does not do
//!
//! It loads and stores nothing (`uno-uow` does), has no clock, and makes no ids but where it is told to
//! ([`typed_id!`]). Nothing here is async.

mod aggregate;
mod aggregate_root;
mod decider;
mod decider_aggregate;
mod ensure;
mod entity;
mod snapshots;
mod specification;
mod state_stored;
mod typed_id;
mod value_object;

pub use crate::{
    aggregate::Aggregate,
    aggregate_root::{AggregateRoot, ReplayError, SnapshotError, VersionMismatch},
    decider::{Decider, DeciderExt},
    decider_aggregate::{AggregateDecider, DeciderAggregate},
    entity::{ById, Entity},
    snapshots::{Occasion, Snapshots},
    specification::{All, And, Any, Not, Or, Specification, all, any},
    state_stored::StateStored,
    typed_id::InvalidId,
    value_object::ValueObject,
};

/// What the macros expand to. Not part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use serde;
    pub use uuid::Uuid;

    pub use crate::{
        typed_id::{new_uuid, parse_uuid},
        value_object::make,
    };
}
