//! [`EventSchema`]: the JSON Schema of one version of an event.

use std::fmt;

use serde_json::Value;

use crate::SchemaVersion;

/// The JSON Schema of one version of an event, made when it is asked for. The derive of `Event` makes these.
#[derive(Clone, Copy)]
pub struct EventSchema {
    version: SchemaVersion,
    make: fn() -> Option<Value>,
}

impl EventSchema {
    /// The schema of a version; the function returns `None` when there is none.
    #[must_use]
    pub const fn new(version: u32, make: fn() -> Option<Value>) -> Self {
        Self {
            version: SchemaVersion::new(version),
            make,
        }
    }

    /// The version that it is about.
    #[must_use]
    pub const fn version(&self) -> SchemaVersion {
        self.version
    }

    /// The schema, as JSON Schema of draft 2020-12.
    ///
    /// It says what may be read: what a later addition has made optional is not required.
    #[must_use]
    pub fn make(&self) -> Option<Value> {
        (self.make)()
    }
}

impl fmt::Debug for EventSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventSchema({})", self.version)
    }
}
