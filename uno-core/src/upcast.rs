//! [`Upcaster`]: one step from an older shape of an event to the next; and [`EventPart`]: what a stored event is split into.

use std::{fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{BoxError, Event, SchemaVersion};

/// One step that is known at compile time: from one schema version to the next, on the JSON tree.
#[derive(Clone, Copy)]
pub struct Upcaster {
    from: SchemaVersion,
    apply: fn(Value) -> Result<Value, BoxError>,
}

impl Upcaster {
    /// The step from version `from` to the next.
    #[must_use]
    pub const fn new(from: u32, apply: fn(Value) -> Result<Value, BoxError>) -> Self {
        Self {
            from: SchemaVersion::new(from),
            apply,
        }
    }

    /// The version it starts from.
    #[must_use]
    pub const fn from(&self) -> SchemaVersion {
        self.from
    }

    /// Takes the step.
    ///
    /// # Errors
    /// When the old payload is not what the step expects.
    pub fn apply(&self, payload: Value) -> Result<Value, BoxError> {
        (self.apply)(payload)
    }
}

impl fmt::Debug for Upcaster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Upcaster({} -> {})",
            self.from,
            self.from.get().saturating_add(1)
        )
    }
}

/// A step that is registered at run time, by stored name.
pub type UpcastFn = Arc<dyn Fn(Value) -> Result<Value, BoxError> + Send + Sync>;

/// A split that is registered at run time, by stored name.
pub type SplitFn = Arc<dyn Fn(Value) -> Result<Vec<EventPart>, BoxError> + Send + Sync>;

/// One of the events that an old event is split into.
#[derive(Clone, Debug, PartialEq)]
pub struct EventPart {
    name: String,
    version: SchemaVersion,
    payload: Value,
}

impl EventPart {
    /// A part of this name and version, with this payload.
    #[must_use]
    pub fn new(name: impl Into<String>, version: SchemaVersion, payload: Value) -> Self {
        Self {
            name: name.into(),
            version,
            payload,
        }
    }

    /// A part that is this event of today.
    ///
    /// # Errors
    /// When serde can't serialize it.
    pub fn of<E: Event>(event: &E) -> Result<Self, BoxError> {
        Ok(Self::new(E::NAME, E::VERSION, serde_json::to_value(event)?))
    }

    /// The stored name of its type.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of its shape.
    #[must_use]
    pub fn version(&self) -> SchemaVersion {
        self.version
    }

    pub(crate) fn into_payload(self) -> Value {
        self.payload
    }
}

/// What a function that takes a step may return: the new tree, or a result of it.
#[diagnostic::on_unimplemented(
    message = "an upcast step can't return `{Self}`",
    note = "it returns a `serde_json::Value`, or a `Result` of one"
)]
pub trait UpcastResult {
    /// The result.
    ///
    /// # Errors
    /// What the function said.
    fn into_result(self) -> Result<Value, BoxError>;
}

impl UpcastResult for Value {
    fn into_result(self) -> Result<Value, BoxError> {
        Ok(self)
    }
}

impl<E: Into<BoxError>> UpcastResult for Result<Value, E> {
    fn into_result(self) -> Result<Value, BoxError> {
        self.map_err(Into::into)
    }
}

/// A step between two types on the JSON tree, for `#[event(upcast(1 = uno_core::upcast::<OrderPlacedV1, OrderPlacedV2>))]`.
///
/// `upcast(1: OrderPlacedV1)` is shorter and faster, where the steps after it are typed too.
///
/// # Errors
/// When the payload does not have the old type's shape.
pub fn typed<Old, New>(payload: Value) -> Result<Value, BoxError>
where
    Old: DeserializeOwned + Into<New>,
    New: Serialize,
{
    let old: Old = serde_json::from_value(payload)?;
    Ok(serde_json::to_value(old.into())?)
}
