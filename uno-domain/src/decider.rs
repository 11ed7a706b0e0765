//! [`Decider`]: the aggregate as two functions.

use uno_core::EventSet;

/// Decides by commands, in two pure functions: what a command brings about, and what an event changes.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use uno_core::{Event, EventSet};
/// use uno_domain::{Decider, DeciderExt, ensure};
///
/// #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
/// pub struct Switched { on: bool }
/// #[derive(EventSet, Debug, PartialEq)]
/// pub enum LampEvent { Switched(Switched) }
///
/// pub enum LampCommand { Switch { on: bool } }
///
/// pub enum Lamp {}
///
/// impl Decider for Lamp {
///     type Command = LampCommand;
///     type State = bool;
///     type Event = LampEvent;
///     type Error = &'static str;
///
///     fn decide(is_on: &bool, command: &LampCommand) -> Result<Vec<LampEvent>, &'static str> {
///         let LampCommand::Switch { on } = command;
///         ensure!(is_on != on, "it is so already");
///         Ok(vec![Switched { on: *on }.into()])
///     }
///
///     fn evolve(is_on: &mut bool, event: &LampEvent) {
///         let LampEvent::Switched(switched) = event;
///         *is_on = switched.on;
///     }
/// }
///
/// let history = [Switched { on: true }.into()];
/// assert_eq!(Lamp::run(&history, &LampCommand::Switch { on: false }), Ok(vec![Switched { on: false }.into()]));
/// assert_eq!(Lamp::run(&history, &LampCommand::Switch { on: true }), Err("it is so already"));
/// ```
///
/// With a category and an id it is an aggregate: see [`AggregateDecider`](crate::AggregateDecider).
///
/// # Contract
/// 1. Both functions depend on their arguments alone: no clock, no chance, no I/O. What a decision needs to know of
///    the world stands in the command.
/// 2. `evolve` never fails: the event has happened.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a decider",
    note = "implement `uno_domain::Decider`: what commands bring about, and what events change"
)]
pub trait Decider: 'static {
    /// What can be asked for: usually an enum.
    type Command;
    /// What must be known to decide. Its default is the state before the first event.
    type State: Default + Send + Sync + 'static;
    /// What can happen.
    type Event: EventSet;
    /// Why a command is refused.
    type Error;

    /// What the command brings about in this state; nothing, when it is carried out already.
    ///
    /// # Errors
    /// When the command is refused.
    fn decide(
        state: &Self::State,
        command: &Self::Command,
    ) -> Result<Vec<Self::Event>, Self::Error>;

    /// Takes an event in, whether it was decided just now or years ago.
    fn evolve(state: &mut Self::State, event: &Self::Event);
}

/// A decider over a history, without stream or store.
pub trait DeciderExt: Decider {
    /// The state that this history leads to.
    #[must_use]
    fn state_after<'e>(history: impl IntoIterator<Item = &'e Self::Event>) -> Self::State {
        let mut state = Self::State::default();
        for event in history {
            Self::evolve(&mut state, event);
        }
        state
    }

    /// What the command brings about after this history.
    ///
    /// # Errors
    /// When the command is refused.
    fn run<'e>(
        history: impl IntoIterator<Item = &'e Self::Event>,
        command: &Self::Command,
    ) -> Result<Vec<Self::Event>, Self::Error> {
        Self::decide(&Self::state_after(history), command)
    }
}

impl<D: Decider> DeciderExt for D {}
