//! [`Decoder`]: the one way from a stored event to a typed one.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::Arc,
};

use serde_json::Value;

use crate::{
    BoxError, Envelope, EventDescriptor, EventName, EventSet, NameError, Position, RecordedEvent,
    SchemaVersion, StreamId, UpcastFn,
};

/// Turns stored events into typed ones. Every reader goes through it, so that an old event is raised to
/// the current shape the same way on every path.
///
/// A decoder needs no registration for event types that carry their own upcasters. What is registered
/// with [`Decoder::builder`] is checked when it is built: a gap in a chain of upcasters is found at start-up.
///
/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Decoder {
    upcasters: Arc<BTreeMap<(EventName, SchemaVersion), UpcastFn>>,
}

impl Decoder {
    /// A decoder that knows only what event types say of themselves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a decoder that also knows upcasters that are registered by stored name.
    #[must_use]
    pub fn builder() -> DecoderBuilder {
        DecoderBuilder::default()
    }

    /// Decodes an event as one of the set.
    ///
    /// # Errors
    /// * [`UnknownEvent`](DecodeError::UnknownEvent) when the set has no event of that name;
    /// * [`NewerSchema`](DecodeError::NewerSchema) when the event was written by newer code;
    /// * [`NoUpcaster`](DecodeError::NoUpcaster) and [`Upcast`](DecodeError::Upcast) when an old event can't be raised;
    /// * [`Malformed`](DecodeError::Malformed) when the payload does not have the event's shape.
    pub fn decode<S: EventSet>(
        &self,
        record: &Arc<RecordedEvent>,
    ) -> Result<Envelope<S>, DecodeError> {
        let name = record.name().as_str();
        let Some(descriptor) = S::EVENTS
            .iter()
            .find(|descriptor| descriptor.name() == name)
        else {
            return Err(DecodeError::UnknownEvent(Fault::new(record)));
        };
        let event = match record.schema_version().cmp(&descriptor.version()) {
            std::cmp::Ordering::Equal => S::from_json(name, record.payload().as_str()),
            std::cmp::Ordering::Greater => {
                return Err(DecodeError::NewerSchema {
                    fault: Fault::new(record),
                    known: descriptor.version(),
                });
            }
            std::cmp::Ordering::Less => S::from_json(name, &self.raise(record, descriptor)?),
        };
        match event {
            Some(Ok(event)) => Ok(Envelope::new(event, Arc::clone(record))),
            Some(Err(source)) => Err(DecodeError::Malformed {
                fault: Fault::new(record),
                source: source.into(),
            }),
            None => Err(DecodeError::UnknownEvent(Fault::new(record))),
        }
    }

    /// The payload in the current shape, step by step.
    fn raise(
        &self,
        record: &RecordedEvent,
        descriptor: &EventDescriptor,
    ) -> Result<String, DecodeError> {
        let malformed = |source: serde_json::Error| DecodeError::Malformed {
            fault: Fault::new(record),
            source: source.into(),
        };
        let mut payload: Value =
            serde_json::from_str(record.payload().as_str()).map_err(malformed)?;
        let mut version = record.schema_version();
        while version < descriptor.version() {
            let own = descriptor
                .upcasters()
                .iter()
                .find(|upcaster| upcaster.from() == version);
            let raised = if let Some(upcaster) = own {
                upcaster.apply(payload)
            } else if let Some(upcaster) = self.upcasters.get(&(record.name().clone(), version)) {
                upcaster(payload)
            } else {
                return Err(DecodeError::NoUpcaster {
                    fault: Fault::new(record),
                    from: version,
                });
            };
            payload = raised.map_err(|source| DecodeError::Upcast {
                fault: Fault::new(record),
                from: version,
                source,
            })?;
            version = SchemaVersion::new(version.get() + 1);
        }
        serde_json::to_string(&payload).map_err(malformed)
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("upcasters", &self.upcasters.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Collects event sets and upcasters, and checks that they fit together.
#[derive(Default)]
pub struct DecoderBuilder {
    sets: Vec<&'static [EventDescriptor]>,
    upcasters: Vec<(String, SchemaVersion, UpcastFn)>,
}

impl DecoderBuilder {
    /// Has the chains of this set's events checked.
    #[must_use]
    pub fn events<S: EventSet>(mut self) -> Self {
        self.sets.push(S::EVENTS);
        self
    }

    /// Registers a step from version `from` of the event named `name` to the next.
    #[must_use]
    pub fn upcast<F>(mut self, name: impl Into<String>, from: u32, step: F) -> Self
    where
        F: Fn(Value) -> Result<Value, BoxError> + Send + Sync + 'static,
    {
        self.upcasters
            .push((name.into(), SchemaVersion::new(from), Arc::new(step)));
        self
    }

    /// The decoder.
    ///
    /// # Errors
    /// When two steps start from the same version of an event, or a registered event type has a version
    /// that no chain of steps leads from.
    pub fn build(self) -> Result<Decoder, RegistrationError> {
        let mut upcasters: BTreeMap<(EventName, SchemaVersion), UpcastFn> = BTreeMap::new();
        for (name, from, step) in self.upcasters {
            let name = EventName::new(name).map_err(RegistrationError::Name)?;
            match upcasters.entry((name, from)) {
                Entry::Vacant(place) => {
                    place.insert(step);
                }
                Entry::Occupied(taken) => {
                    return Err(RegistrationError::Duplicate {
                        name: taken.key().0.to_string(),
                        from,
                    });
                }
            }
        }
        for descriptor in self.sets.into_iter().flatten() {
            let name = EventName::new(descriptor.name()).map_err(RegistrationError::Name)?;
            for from in SchemaVersion::FIRST.get()..descriptor.version().get() {
                let from = SchemaVersion::new(from);
                let own = descriptor
                    .upcasters()
                    .iter()
                    .filter(|upcaster| upcaster.from() == from)
                    .count();
                let registered = usize::from(upcasters.contains_key(&(name.clone(), from)));
                match own + registered {
                    0 => {
                        return Err(RegistrationError::Gap {
                            name: name.to_string(),
                            from,
                            version: descriptor.version(),
                        });
                    }
                    1 => {}
                    _ => {
                        return Err(RegistrationError::Duplicate {
                            name: name.to_string(),
                            from,
                        });
                    }
                }
            }
        }
        Ok(Decoder {
            upcasters: Arc::new(upcasters),
        })
    }
}

impl fmt::Debug for DecoderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecoderBuilder")
            .field("sets", &self.sets)
            .finish_non_exhaustive()
    }
}

/// What is wrong with what was registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// The name can't be stored.
    #[error(transparent)]
    Name(NameError),
    /// Two steps start from the same version.
    #[error("two upcasters start from version {from} of event {name}")]
    Duplicate {
        /// The event's name.
        name: String,
        /// The version both start from.
        from: SchemaVersion,
    },
    /// No step leads on from a version.
    #[error("event {name} is at version {version}, but no upcaster starts from version {from}")]
    Gap {
        /// The event's name.
        name: String,
        /// The version that no step starts from.
        from: SchemaVersion,
        /// The version the type has now.
        version: SchemaVersion,
    },
}

/// Which stored event a [`DecodeError`] is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {name} version {schema_version} at position {position} in stream {stream}")]
pub struct Fault {
    name: EventName,
    schema_version: SchemaVersion,
    stream: StreamId,
    position: Position,
}

impl Fault {
    fn new(record: &RecordedEvent) -> Self {
        Self {
            name: record.name().clone(),
            schema_version: record.schema_version(),
            stream: record.stream().clone(),
            position: record.position(),
        }
    }
}

/// Why a stored event can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The set that is read has no event of that name.
    #[error("unknown {0}")]
    UnknownEvent(Fault),
    /// Newer code has written it.
    #[error("{fault} was written by newer code; this code knows version {known}")]
    NewerSchema {
        /// Which event.
        fault: Fault,
        /// The newest version that this code knows.
        known: SchemaVersion,
    },
    /// No upcaster starts from a version on the way.
    #[error("{fault} can't be raised: no upcaster starts from version {from}")]
    NoUpcaster {
        /// Which event.
        fault: Fault,
        /// Where the chain ends.
        from: SchemaVersion,
    },
    /// An upcaster failed.
    #[error("{fault} can't be raised from version {from}")]
    Upcast {
        /// Which event.
        fault: Fault,
        /// The step that failed.
        from: SchemaVersion,
        /// What it said.
        source: BoxError,
    },
    /// The payload does not have the event's shape.
    #[error("{fault} is malformed")]
    Malformed {
        /// Which event.
        fault: Fault,
        /// What serde says.
        source: BoxError,
    },
}

impl DecodeError {
    /// The place of the event in the log.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::UnknownEvent(fault)
            | Self::NewerSchema { fault, .. }
            | Self::NoUpcaster { fault, .. }
            | Self::Upcast { fault, .. }
            | Self::Malformed { fault, .. } => fault.position,
        }
    }
}
