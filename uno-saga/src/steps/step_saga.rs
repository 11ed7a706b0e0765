//! [`StepSaga`]: what users write.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use uno_core::{BoxError, CommandSet, Envelope, EventSet};

use super::Steps;

/// A process as a list of [`Steps`]. It runs as [`Stepwise<Self>`](super::Stepwise), which is a [`Saga`](crate::Saga).
///
/// The implementing type is the data of one instance: what its commands are made of. It is stored as JSON: version with care.
///
/// # Contract
/// 1. All functions, and those in the steps, depend on their arguments alone: no clock, no randomness, no I/O.
/// 2. `steps` gives the same definition each time. It is called for every input, so it does nothing else.
/// 3. `VERSION` rises when the shape of the data changes, or a step at which instances may be is renamed, removed, or turned from
///    a command into a wait or back. Steps may be added without: instances find where they are by name, and go on from there.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a saga of steps",
    note = "implement `StepSaga` for the data of one instance"
)]
pub trait StepSaga:
    Serialize + DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static
{
    /// The name of the process: of its subscription, its instances and its queues.
    const NAME: &'static str;
    /// The version of this definition, from 1 on. An instance remembers the one that saved it.
    const VERSION: u32 = 1;
    /// The oldest version that [`upgrade`](Self::upgrade) can bring up to this one.
    const OLDEST: u32 = 1;
    /// The events that start it or that it waits for.
    type Event: EventSet;
    /// The commands it sends. Each must have a handler, or the application does not start.
    type Command: CommandSet;

    /// Which instance an event belongs to, by a correlation key such as the order's id: 1 to 512 bytes; `None` when it is of no
    /// interest.
    fn key(event: &Envelope<Self::Event>) -> Option<String>;

    /// The data of the instance that an event starts, if it does. Where there is an instance with this key already, the event
    /// is one like others.
    fn start(event: &Envelope<Self::Event>) -> Option<Self>;

    /// What is to be done, in order.
    fn steps() -> Steps<Self>;

    /// The state of version `from`, as it would have been stored by version `from + 1`: an object whose `data` is this type, and
    /// whose `at` is an array of the steps that are under way, each with its name in `step`.
    ///
    /// # Errors
    /// When it can't be brought up; the instance is parked as it is.
    fn upgrade(from: u32, state: Value) -> Result<Value, BoxError> {
        drop(state);
        Err(format!("there is no upgrade from version {from}").into())
    }
}

/// What a wait was waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "an answer is a yes or a no")]
pub enum Answer {
    /// The process goes on.
    Accepted,
    /// The process goes on as if a command had been rejected.
    Refused,
}
