//! [`DeciderAggregate`]: a decider run as an aggregate.

use std::{
    fmt::{self, Display},
    ops::Deref,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Aggregate, AggregateRoot, Decider, Snapshots};

/// A decider whose events are kept in streams: what an [`Aggregate`] says of itself beside its two functions.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Event, EventSet};
/// # use uno_domain::{Decider, ensure};
/// # #[derive(Event, Serialize, Deserialize)] pub struct Switched { on: bool }
/// # #[derive(EventSet)] pub enum LampEvent { Switched(Switched) }
/// # pub enum LampCommand { Switch { on: bool } }
/// # pub enum Lamp {}
/// # impl Decider for Lamp {
/// #     type Command = LampCommand;
/// #     type State = bool;
/// #     type Event = LampEvent;
/// #     type Error = &'static str;
/// #     fn decide(is_on: &bool, command: &LampCommand) -> Result<Vec<LampEvent>, &'static str> {
/// #         let LampCommand::Switch { on } = command;
/// #         ensure!(is_on != on, "it is so already");
/// #         Ok(vec![Switched { on: *on }.into()])
/// #     }
/// #     fn evolve(is_on: &mut bool, event: &LampEvent) {
/// #         let LampEvent::Switched(switched) = event;
/// #         *is_on = switched.on;
/// #     }
/// # }
/// use uno_domain::{AggregateDecider, AggregateRoot, DeciderAggregate};
///
/// impl AggregateDecider for Lamp {
///     const CATEGORY: &'static str = "lamp";
///     type Id = u32;
/// }
///
/// let mut lamp = AggregateRoot::<DeciderAggregate<Lamp>>::new(1);
/// lamp.execute(&LampCommand::Switch { on: true })?;
/// assert!(**lamp.state());
/// assert_eq!(lamp.execute(&LampCommand::Switch { on: true }), Err("it is so already"));
/// # Ok::<(), &'static str>(())
/// ```
pub trait AggregateDecider: Decider + Sized {
    /// What all streams of this type share, such as `order`.
    const CATEGORY: &'static str;

    /// Which one of them.
    type Id: Display + Clone + Send + Sync + 'static;

    /// When and how its state is remembered as a shortcut; never, unless this says so.
    #[must_use]
    fn snapshots() -> Option<Snapshots<DeciderAggregate<Self>>> {
        None
    }
}

/// The state of a decider, as an [`Aggregate`]. It derefs to the state.
pub struct DeciderAggregate<D: Decider>(D::State);

impl<D: AggregateDecider> Aggregate for DeciderAggregate<D> {
    const CATEGORY: &'static str = D::CATEGORY;
    type Id = D::Id;
    type Event = D::Event;

    fn apply(&mut self, event: &D::Event) {
        D::evolve(&mut self.0, event);
    }

    fn snapshots() -> Option<Snapshots<Self>> {
        D::snapshots()
    }
}

impl<D: AggregateDecider> AggregateRoot<DeciderAggregate<D>> {
    /// Decides about a command, and records what it brings about.
    ///
    /// # Errors
    /// When the command is refused; then nothing is recorded.
    pub fn execute(&mut self, command: &D::Command) -> Result<(), D::Error> {
        let events = D::decide(self.state(), command)?;
        self.record_all(events);
        Ok(())
    }
}

impl<D: Decider> Deref for DeciderAggregate<D> {
    type Target = D::State;

    fn deref(&self) -> &D::State {
        &self.0
    }
}

impl<D: Decider> Default for DeciderAggregate<D> {
    fn default() -> Self {
        Self(D::State::default())
    }
}

impl<D: Decider<State: Clone>> Clone for DeciderAggregate<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D: Decider<State: PartialEq>> PartialEq for DeciderAggregate<D> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<D: Decider<State: fmt::Debug>> fmt::Debug for DeciderAggregate<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// As the state alone, so that a snapshot does not tell how it is decided.
impl<D: Decider<State: Serialize>> Serialize for DeciderAggregate<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, D: Decider<State: Deserialize<'de>>> Deserialize<'de> for DeciderAggregate<D> {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
        D::State::deserialize(deserializer).map(Self)
    }
}
