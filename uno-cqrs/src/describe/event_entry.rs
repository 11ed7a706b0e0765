//! [`EventEntry`]: an event in a catalogue.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uno_core::{EventDescriptor, SchemaVersion};

use super::sample;

/// An event type, in all its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventEntry {
    /// Its stored name.
    pub name: String,
    /// The version of the shape that it has now.
    pub version: u32,
    /// Names that it was stored under before.
    pub formerly: Vec<String>,
    /// What it tells, in the words of its doc comment; empty if it has none.
    pub doc: String,
    /// Why it is not recorded any more, if it is not.
    pub deprecated: Option<String>,
    /// Who publishes it: found out by the catalogue, whatever stands here.
    pub published_by: Vec<PartRef>,
    /// Who handles it: found out by the catalogue, whatever stands here.
    pub handled_by: Vec<PartRef>,
    /// Its versions, from the first to that of now.
    pub versions: Vec<EventVersionEntry>,
}

impl EventEntry {
    /// An event by what its type says of itself.
    #[must_use]
    pub fn of(event: &EventDescriptor) -> Self {
        let current = event.version().get();
        let versions = (1..=current).map(|version| {
            let schema = event.schema(SchemaVersion::new(version)).map(|mut schema| {
                if let (Some(_), Some(schema)) = (event.deprecated(), schema.as_object_mut()) {
                    schema.insert("deprecated".to_owned(), true.into());
                }
                schema
            });
            EventVersionEntry::new(version, schema)
        });
        Self {
            name: event.name().to_owned(),
            version: current,
            formerly: event
                .former_names()
                .iter()
                .map(|&name| name.into())
                .collect(),
            doc: event.doc().to_owned(),
            deprecated: event.deprecated().map(Into::into),
            published_by: Vec::new(),
            handled_by: Vec::new(),
            versions: versions.collect(),
        }
    }
}

/// One version of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventVersionEntry {
    /// The version.
    pub version: u32,
    /// The JSON Schema of its payload, draft 2020-12, if it is known.
    pub schema: Option<Value>,
    /// A payload of this version, if there is one.
    pub sample: Option<Value>,
}

impl EventVersionEntry {
    /// A version with this schema, and a sample that is the schema's first example, or else is made from the schema.
    #[must_use]
    pub fn new(version: u32, schema: Option<Value>) -> Self {
        let mut entry = Self {
            version,
            schema: None,
            sample: None,
        };
        entry.set_schema(schema);
        entry
    }

    /// Sets another schema, and the sample with it.
    pub fn set_schema(&mut self, schema: Option<Value>) {
        self.schema = schema.map(in_order);
        self.sample = self.schema.as_ref().and_then(sample::of).map(in_order);
    }

    /// Sets another sample, such as a payload that was stored.
    pub fn set_sample(&mut self, sample: Value) {
        self.sample = Some(in_order(sample));
    }
}

/// A part of the application, by the list in which it stands and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartRef {
    /// What it is: `aggregate`, `command`, `projection`, `saga` or `handler`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl PartRef {
    pub(super) fn new(kind: &str, name: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// A tree with the keys of its objects in order: a feature of serde_json that anybody may switch on keeps the order of insertion, and what is
/// checked in must not depend on it.
pub(super) fn in_order(tree: Value) -> Value {
    match tree {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().collect();
            fields.sort_by(|(one, _), (other, _)| one.cmp(other));
            let fields = fields
                .into_iter()
                .map(|(key, value)| (key, in_order(value)));
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.into_iter().map(in_order).collect(),
        other => other,
    }
}
