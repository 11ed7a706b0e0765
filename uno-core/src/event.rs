//! [`Event`]: a fact with a stable stored name and a schema version.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{EventSchema, SchemaVersion, Upcaster};

/// A fact: something that has happened, named in the past tense.
///
/// Derive it. The stored name comes from the type's name unless it is given:
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use uno_core::Event;
///
/// #[derive(Event, Serialize, Deserialize)]
/// struct OrderPlaced { total_cents: i64 }                 // "order_placed", version 1
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(name = "parcel_sent", version = 2, upcast(1 = rename_weight))]
/// struct ParcelSent { grams: u32 }
///
/// fn rename_weight(mut old: serde_json::Value) -> serde_json::Value {
///     if let Some(map) = old.as_object_mut() {
///         if let Some(weight) = map.remove("weight") { map.insert("grams".into(), weight); }
///     }
///     old
/// }
///
/// assert_eq!(OrderPlaced::NAME, "order_placed");
/// assert_eq!(ParcelSent::DESCRIPTOR.version().get(), 2);
/// ```
///
/// # Contract
/// 1. `NAME` never changes once an event was stored, and no other type has it. The type's own name may change.
/// 2. A value that was written reads back equal: `deserialize(serialize(event)) == event`.
/// 3. When the stored shape changes in a way that old data can't be read with, `VERSION` goes up by one
///    and `UPCASTERS` gets the step from the version before.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    note = "derive it: `#[derive(Event, Serialize, Deserialize)]`"
)]
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name the event is stored under.
    const NAME: &'static str;
    /// The version of the shape that this type has.
    const VERSION: SchemaVersion = SchemaVersion::FIRST;
    /// The steps from older shapes to this one: from version 1 to 2, from 2 to 3, and so on.
    const UPCASTERS: &'static [Upcaster] = &[];
    /// Names that it was stored under before, in the same versions of its shape.
    const FORMER_NAMES: &'static [&'static str] = &[];
    /// What it tells, for those who look it up: the type's doc comment.
    const DOC: &'static str = "";
    /// Why it is not recorded any more, if it is not: the note of `#[deprecated]`.
    const DEPRECATED: Option<&'static str> = None;
    /// The JSON Schemas of its versions, as far as there are types for them.
    const SCHEMAS: &'static [EventSchema] = &[];
    /// All of it in one value.
    const DESCRIPTOR: EventDescriptor = EventDescriptor {
        name: Self::NAME,
        version: Self::VERSION,
        upcasters: Self::UPCASTERS,
        former_names: Self::FORMER_NAMES,
        doc: Self::DOC,
        deprecated: Self::DEPRECATED,
        schemas: Self::SCHEMAS,
    };

    /// The event from a payload of an older version, if all steps from there on are between types; `None` when they are not.
    ///
    /// It gives what [`UPCASTERS`](Self::UPCASTERS) give, without a tree between the steps.
    #[must_use]
    fn from_older(
        version: SchemaVersion,
        payload: &str,
    ) -> Option<Result<Self, serde_json::Error>> {
        let _ = (version, payload);
        None
    }
}

/// What is known about an event type without a value of it.
#[derive(Clone, Copy, Debug)]
pub struct EventDescriptor {
    name: &'static str,
    version: SchemaVersion,
    upcasters: &'static [Upcaster],
    former_names: &'static [&'static str],
    doc: &'static str,
    deprecated: Option<&'static str>,
    schemas: &'static [EventSchema],
}

impl EventDescriptor {
    /// The name the event is stored under.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The version of the shape that the type has now.
    #[must_use]
    pub const fn version(&self) -> SchemaVersion {
        self.version
    }

    /// The steps from older shapes.
    #[must_use]
    pub const fn upcasters(&self) -> &'static [Upcaster] {
        self.upcasters
    }

    /// Names that it was stored under before.
    #[must_use]
    pub const fn former_names(&self) -> &'static [&'static str] {
        self.former_names
    }

    /// What it tells, in the words of the type's doc comment.
    #[must_use]
    pub const fn doc(&self) -> &'static str {
        self.doc
    }

    /// Why it is not recorded any more; `None` when it is. The text may be empty.
    #[must_use]
    pub const fn deprecated(&self) -> Option<&'static str> {
        self.deprecated
    }

    /// The JSON Schema of the payload in this version; `None` when no type of that version is a `schemars::JsonSchema`, or the
    /// feature `schema` is off.
    #[must_use]
    pub fn schema(&self, version: SchemaVersion) -> Option<Value> {
        let mut schemas = self.schemas.iter();
        schemas.find(|schema| schema.version() == version)?.make()
    }

    /// Whether what is stored under this name is an event of the type.
    #[must_use]
    pub fn is_stored_as(&self, name: &str) -> bool {
        self.name == name || self.former_names.contains(&name)
    }
}
