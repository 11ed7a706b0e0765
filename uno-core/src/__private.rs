//! What the derives expand to. Not part of the public interface.

mod member;
mod probe;

pub use serde_json::{Error as JsonError, Value};

pub use self::{
    member::{CommandMember, EventMember},
    probe::{HasSchema, NoSchema, Probe},
};
pub use crate::{
    BoxError, Command, CommandDescriptor, CommandSet, EncodeError, EncodedCommand, Event,
    EventDescriptor, EventSchema, EventSet, IntoEvents, Payload, Refusal, SchemaVersion,
    UpcastResult, Upcaster,
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

/// Whether no event before the one at `index` has a stored name of it, of today or of before.
#[must_use]
pub const fn is_first_event(events: &[EventDescriptor], index: usize) -> bool {
    let mut i = 0;
    while i < index {
        if share_a_name(&events[i], &events[index]) {
            return false;
        }
        i += 1;
    }
    true
}

const fn share_a_name(one: &EventDescriptor, other: &EventDescriptor) -> bool {
    let mut i = 0;
    while i <= one.former_names().len() {
        let mut j = 0;
        while j <= other.former_names().len() {
            if is_same(nth_name(one, i), nth_name(other, j)) {
                return true;
            }
            j += 1;
        }
        i += 1;
    }
    false
}

const fn nth_name(event: &EventDescriptor, n: usize) -> &'static str {
    match n {
        0 => event.name(),
        n => event.former_names()[n - 1],
    }
}

/// Whether a stored name is one that an event of the set has, of today or of before.
#[must_use]
pub const fn is_event(events: &[EventDescriptor], name: &str) -> bool {
    let mut i = 0;
    while i < events.len() {
        let mut j = 0;
        while j <= events[i].former_names().len() {
            if is_same(nth_name(&events[i], j), name) {
                return true;
            }
            j += 1;
        }
        i += 1;
    }
    false
}

/// A step between two types, on the JSON tree.
///
/// # Errors
/// When the payload does not have the old type's shape.
pub fn typed_step<Old, New>(payload: Value) -> Result<Value, BoxError>
where
    Old: serde::de::DeserializeOwned + Into<New>,
    New: serde::Serialize,
{
    crate::upcast::<Old, New>(payload)
}

/// An old payload as the type that it had.
///
/// # Errors
/// When the payload does not have that shape.
pub fn from_json<Old: serde::de::DeserializeOwned>(payload: &str) -> Result<Old, JsonError> {
    serde_json::from_str(payload)
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
