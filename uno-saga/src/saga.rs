//! [`Saga`]: what users write.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use uno_core::{BoxError, CommandSet, Envelope, EventSet, ProcessStatus};
use uno_cqrs::CommandOutcome;

use crate::{DefinitionError, Outputs};

/// A process that spans several aggregates: which instance an input belongs to, and what it does about it.
///
/// The saga itself is the state of one instance. It is stored as JSON: version with care.
///
/// # Contract
/// 1. `route`, `react` and `on_late` depend on their arguments alone: no clock, no randomness, no I/O. After a crash an input
///    may be handled again from the same state, and must give the same outputs.
/// 2. `NAME` does not change while instances are under way, and `VERSION` rises when the shape of the state changes.
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
    /// The version of this definition: of the shape of its state, from 1 on. An instance remembers the one that saved it.
    const VERSION: u32 = 1;
    /// The oldest version that [`upgrade`](Self::upgrade) can bring up to this one.
    const OLDEST: u32 = 1;
    /// What follows when an event is routed to an instance that must be there, and there is none.
    const MISSING: Missing = Missing::Park;
    /// The events it reads.
    type Event: EventSet;
    /// The commands it sends. Each must have a handler, or the application does not start.
    type Command: CommandSet;
    /// The timeouts it sets; [`NoTimeout`] when it sets none. Stored as JSON: version with care. Two whose JSON is equal are
    /// the same timeout.
    type Timeout: Serialize + DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static;

    /// Whether the definition can be run; asked when a runner is made. Nothing is wrong, unless it is written.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check() -> Result<(), DefinitionError> {
        Ok(())
    }

    /// Which instance an event belongs to, by a correlation key such as the order's id: 1 to 512 bytes.
    fn route(event: &Envelope<Self::Event>) -> Route;

    /// What the instance does about an input, and what it remembers of it.
    fn react(
        &mut self,
        input: Input<'_, Self::Event, Self::Timeout>,
    ) -> Outputs<Self::Command, Self::Timeout>;

    /// What an instance that has ended does about an event that is routed to it, or the outcome of a command that it sent.
    /// It may send commands and messages; any other output is an error. Nothing, unless it is written.
    fn on_late(
        &mut self,
        input: Input<'_, Self::Event, Self::Timeout>,
        ended: ProcessStatus,
    ) -> Outputs<Self::Command, Self::Timeout> {
        let _ = (input, ended);
        Outputs::none()
    }

    /// The state of version `from`, as it would have been stored by version `from + 1`.
    ///
    /// # Errors
    /// When it can't be brought up; the instance is parked as it is.
    fn upgrade(from: u32, state: Value) -> Result<Value, BoxError> {
        drop(state);
        Err(format!("there is no upgrade from version {from}").into())
    }
}

/// What an instance reacts to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a, E, T = NoTimeout> {
    /// An event that was routed to it.
    Event(&'a Envelope<E>),
    /// What became of a command that it sent. Outcomes of compensations go to the engine alone.
    Outcome(&'a CommandOutcome),
    /// A timeout that it has set, and not cancelled since.
    Timeout(&'a T),
}

/// The timeout of sagas that set none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "there is none, and never will be")]
pub enum NoTimeout {}

/// What follows when an event is routed by [`Route::ContinueStrict`] to an instance that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// It is tried again by the subscription's policy, which holds up everything behind it, and then parked.
    Retry,
    /// It is left out. That is counted in the runner's status.
    Discard,
    /// It is parked under its key, and waits for a person.
    Park,
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
    /// Goes on with an instance; if there is none, [`Saga::MISSING`] says what follows.
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
