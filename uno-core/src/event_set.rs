//! [`EventSet`]: the closed set of events that something handles.

use serde_json::Value;

use crate::{Event, EventDescriptor, Refusal, SchemaVersion, check};

/// The events that an aggregate, a projection, a saga or a handler knows: an enum with one variant for
/// each event type, matched exhaustively, or one event type alone.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Event, EventSet};
/// # #[derive(Event, Serialize, Deserialize, Debug, PartialEq)] pub struct OrderPlaced {}
/// # #[derive(Event, Serialize, Deserialize, Debug, PartialEq)] pub struct OrderShipped {}
/// #[derive(EventSet, Debug, PartialEq)]
/// pub enum OrderEvent { Placed(OrderPlaced), Shipped(OrderShipped) }
///
/// assert_eq!(OrderEvent::from(OrderPlaced {}), OrderEvent::Placed(OrderPlaced {}));
/// assert_eq!(OrderEvent::EVENTS.len(), 2);
/// ```
///
/// # Contract
/// 1. `descriptor()` of a value is one of `EVENTS`, and no two of `EVENTS` have a name in common, former names included.
/// 2. `from_json(descriptor().name(), to_json())` gives the value back.
/// 3. `from_json` and `from_tree` are `None` exactly for the names that are not in `EVENTS`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a set of events",
    note = "an event type is one by itself; for several, derive it on an enum: `#[derive(EventSet)] enum OrderEvent {{ Placed(OrderPlaced) }}`"
)]
pub trait EventSet: Sized + Send + Sync + 'static {
    /// The event types of the set.
    const EVENTS: &'static [EventDescriptor];

    /// Stored names that are none of the set's, and that whoever reads a whole stream of the set passes over.
    const IGNORED: &'static [&'static str] = &[];

    /// The type of this event.
    fn descriptor(&self) -> EventDescriptor;

    /// This event as JSON.
    ///
    /// # Errors
    /// When serde can't serialize it.
    fn to_json(&self) -> Result<String, serde_json::Error>;

    /// The event of that name from a payload **of the current schema version**; `None` when the set has no such event.
    ///
    /// Use [`Decoder`](crate::Decoder), which also checks and raises the version.
    ///
    /// # Errors
    /// When the payload does not have the event's shape.
    fn from_json(name: &str, payload: &str) -> Option<Result<Self, serde_json::Error>>;

    /// The event of that name from a payload of an older version, if all steps from there on are between types.
    ///
    /// # Errors
    /// When the payload does not have the shape of that version.
    fn from_older(
        name: &str,
        version: SchemaVersion,
        payload: &str,
    ) -> Option<Result<Self, serde_json::Error>>;

    /// The event of that name from a payload of the current schema version that is a tree already.
    ///
    /// # Errors
    /// When the payload does not have the event's shape.
    fn from_tree(name: &str, payload: Value) -> Option<Result<Self, serde_json::Error>>;

    /// Whether every number in the event can be written as JSON: `Err` names the field that can't.
    ///
    /// # Errors
    /// When a float is NaN or infinite.
    fn check(&self) -> Result<(), Refusal>;
}

impl<E: Event> EventSet for E {
    const EVENTS: &'static [EventDescriptor] = &[E::DESCRIPTOR];

    fn descriptor(&self) -> EventDescriptor {
        E::DESCRIPTOR
    }

    fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    fn from_json(name: &str, payload: &str) -> Option<Result<Self, serde_json::Error>> {
        (name == E::NAME).then(|| serde_json::from_str(payload))
    }

    fn from_older(
        name: &str,
        version: SchemaVersion,
        payload: &str,
    ) -> Option<Result<Self, serde_json::Error>> {
        if name != E::NAME {
            return None;
        }
        <E as Event>::from_older(version, payload)
    }

    fn from_tree(name: &str, payload: Value) -> Option<Result<Self, serde_json::Error>> {
        (name == E::NAME).then(|| serde_json::from_value(payload))
    }

    fn check(&self) -> Result<(), Refusal> {
        check::finite(self)
    }
}
