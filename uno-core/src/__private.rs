//! What the derives expand to. Not part of the public interface.

mod member;

use serde_json::Value;

pub use serde_json::Error as JsonError;

pub use self::member::{CommandMember, EventMember};
pub use crate::{
    BoxError, Command, CommandDescriptor, CommandSet, EncodeError, EncodedCommand, Event,
    EventDescriptor, EventSet, IntoEvents, Payload, Refusal, SchemaVersion, UpcastResult, Upcaster,
};

/// Takes one step of an upcast chain. Being handed to a function, a closure learns the type of its argument.
///
/// # Errors
/// What the step said.
pub fn take_step<R: UpcastResult>(
    step: impl FnOnce(Value) -> R,
    payload: Value,
) -> Result<Value, BoxError> {
    step(payload).into_result()
}

/// Whether no event before the one at `index` has its stored name.
#[must_use]
pub const fn is_first_event(events: &[EventDescriptor], index: usize) -> bool {
    let mut i = 0;
    while i < index {
        if is_same(events[i].name(), events[index].name()) {
            return false;
        }
        i += 1;
    }
    true
}

/// Whether no command before the one at `index` has its name.
#[must_use]
pub const fn is_first_command(commands: &[CommandDescriptor], index: usize) -> bool {
    let mut i = 0;
    while i < index {
        if is_same(commands[i].name(), commands[index].name()) {
            return false;
        }
        i += 1;
    }
    true
}

/// `==` for strings, which can't be called in constants.
const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut i = 0;
    while i < one.len() {
        if one[i] != other[i] {
            return false;
        }
        i += 1;
    }
    true
}
