//! [`Snapshots`]: when the state of an aggregate is remembered, and in which shape.

use std::{any::type_name, fmt};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uno_core::{Payload, Refusal, Version};

/// When and how the state of `A` is remembered.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use uno_core::Version;
/// use uno_domain::Snapshots;
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Account { balance: i64 }
///
/// let snapshots = Snapshots::<Account>::every(100).shape("account/1");
/// let version = |number| Version::new(number);
/// assert!(!snapshots.is_due(version(0)?, version(99)?));
/// assert!(snapshots.is_due(version(0)?, version(103)?)); // no multiple of 100 need be met
/// assert!(!snapshots.is_due(version(103)?, version(200)?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # The shape
/// A snapshot is believed only by code whose shape is that of the code that wrote it. Unless
/// [`shape`](Self::shape) says otherwise, it is the path of the type with a fingerprint of the fields that its default value
/// has, so that adding, removing or renaming a field turns the old snapshots down by itself.
///
/// What the fingerprint can't see must be said with a new shape: a change within what is not there by default
/// (the elements of an empty list, the content of a `None`), and a change of what `apply` *means*, such as a total
/// that from now on includes tax. A shape that was changed without need costs one replay for each aggregate.
pub struct Snapshots<A> {
    every: u64,
    shape: Option<&'static str>,
    fingerprint: fn() -> String,
    encode: fn(&A) -> Result<Payload, Refusal>,
    decode: fn(&str) -> Result<A, serde_json::Error>,
}

impl<A: Default + Serialize + DeserializeOwned> Snapshots<A> {
    /// A snapshot whenever this many events were recorded since the last one. 0 is taken as 1.
    #[must_use]
    pub fn every(events: u64) -> Self {
        Self {
            every: events.max(1),
            shape: None,
            fingerprint: fingerprint::<A>,
            encode: |state| Payload::encode(state),
            decode: |text| serde_json::from_str(text),
        }
    }
}

impl<A> Snapshots<A> {
    /// The same, with this text as the shape: change it whenever the state, or what it means, changes.
    #[must_use]
    pub fn shape(mut self, shape: &'static str) -> Self {
        self.shape = Some(shape);
        self
    }

    /// How many events lie between two snapshots, or more when several are recorded at once.
    #[must_use]
    pub fn interval(&self) -> u64 {
        self.every
    }

    /// Whether a stream that is at `version` wants a snapshot, when the last one was made at `last`
    /// ([`Version::EMPTY`] when there is none).
    #[must_use]
    pub fn is_due(&self, last: Version, version: Version) -> bool {
        version.get().saturating_sub(last.get()) >= self.every
    }

    /// The shape that a snapshot must have to be believed.
    #[must_use]
    pub fn shape_text(&self) -> String {
        self.shape.map_or_else(self.fingerprint, str::to_owned)
    }

    pub(crate) fn encode(&self, state: &A) -> Result<Payload, Refusal> {
        (self.encode)(state)
    }

    pub(crate) fn decode(&self, text: &str) -> Result<A, serde_json::Error> {
        (self.decode)(text)
    }
}

impl<A> Clone for Snapshots<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Snapshots<A> {}

impl<A> fmt::Debug for Snapshots<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots")
            .field("every", &self.every)
            .field("shape", &self.shape_text())
            .finish()
    }
}

/// The path of the type and a sum over the fields of its default value.
fn fingerprint<A: Default + Serialize>() -> String {
    // A default that can't be serialized has no fields to look at, and will not make a snapshot either.
    let mut skeleton = String::new();
    if let Ok(value) = serde_json::to_value(A::default()) {
        draw(&value, &mut skeleton);
    }
    // FNV-1a with 64 bits, as `Snapshot` has it: the sum must be the same in every build, which std's hashers do not promise.
    let sum = skeleton
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{}#{sum:016x}", type_name::<A>())
}

/// Writes down which fields there are and of which kind, and none of their values.
fn draw(value: &Value, skeleton: &mut String) {
    match value {
        Value::Null => skeleton.push('0'),
        Value::Bool(_) => skeleton.push('b'),
        Value::Number(_) => skeleton.push('n'),
        Value::String(_) => skeleton.push('s'),
        Value::Array(elements) => {
            skeleton.push('[');
            elements.iter().for_each(|element| draw(element, skeleton));
            skeleton.push(']');
        }
        Value::Object(fields) => {
            skeleton.push('{');
            // Sorted, because a feature of serde_json that anybody may switch on keeps the order of insertion.
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            for (name, field) in fields {
                skeleton.push_str(name);
                skeleton.push(':');
                draw(field, skeleton);
                skeleton.push(',');
            }
            skeleton.push('}');
        }
    }
}
