//! [`Saga`]: what users write.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};
use uno_core::{CommandSet, Envelope, EventSet};
use uno_cqrs::CommandOutcome;

use crate::Outputs;

/// A process that spans several aggregates: which instance an input belongs to, and what it does about it.
///
/// The saga itself is the state of one instance. It is stored as JSON: version with care.
///
/// # Contract
/// 1. `route` and `react` depend on their arguments alone: no clock, no randomness, no I/O. After a crash an input may be
///    handled again from the same state, and must give the same outputs.
/// 2. `NAME` does not change while instances are under way.
/// 3. Each command that is sent tolerates being undone although it had no effect, and its compensation tolerates that too:
///    what may have run is undone.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a saga",
    note = "implement `Saga` for the state of one instance"
)]
pub trait Saga:
    Serialize + DeserializeOwned + Default + Clone + fmt::Debug + Send + Sync + 'static
{
    /// The name of the process: of its subscription, its instances and its queues.
    const NAME: &'static str;
    /// The events it reads.
    type Event: EventSet;
    /// The commands it sends. Each must have a handler, or the application does not start.
    type Command: CommandSet;

    /// Which instance an event belongs to, by a correlation key such as the order's id.
    fn route(event: &Envelope<Self::Event>) -> Route;

    /// What the instance does about an input, and what it remembers of it.
    fn react(&mut self, input: Input<'_, Self::Event>) -> Outputs<Self::Command>;
}

/// What an instance reacts to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a, E> {
    /// An event that was routed to it.
    Event(&'a Envelope<E>),
    /// What became of a command that it sent. Outcomes of compensations go to the engine alone.
    Outcome(&'a CommandOutcome),
}

/// Which instance an event belongs to, and whether there must be one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the six ways are the whole of routing"
)]
pub enum Route {
    /// Starts an instance, or goes on with the one that is there.
    Start(String),
    /// Starts an instance; it is an error if there is one.
    StartStrict(String),
    /// Goes on with an instance; without one, the event is of no interest.
    Continue(String),
    /// Goes on with an instance; it is an error if there is none.
    ContinueStrict(String),
    /// Goes on with an instance, and ends it.
    Stop(String),
    /// The event is of no interest.
    Ignore,
}

impl Route {
    /// The correlation key, unless the event is ignored.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Start(key)
            | Self::StartStrict(key)
            | Self::Continue(key)
            | Self::ContinueStrict(key)
            | Self::Stop(key) => Some(key),
            Self::Ignore => None,
        }
    }
}
