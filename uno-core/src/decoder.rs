//! [`Decoder`]: the one way from a stored event to a typed one.

mod builder;
mod check;
mod decoded;
mod error;
mod raise;
mod rules;

use std::{collections::BTreeSet, fmt, sync::Arc};

use crate::{Envelope, EventFilter, EventName, EventSet, RecordedEvent, SchemaVersion};

use self::{
    check::check_one,
    raise::{Outside, Raise},
    rules::{OfName, Rules},
};

pub use self::{
    builder::DecoderBuilder,
    check::RegistrationError,
    decoded::{Decoded, DecodedIter},
    error::{DecodeError, Fault},
};

/// Turns stored events into typed ones. Every reader goes through it, so that an old event is raised to
/// the current shape the same way on every path.
///
/// A decoder needs no registration for event types that carry their own upcasters. What is registered
/// with [`Decoder::builder`] is checked when it is built, and again by every reader that is made with it: a gap in a chain is
/// found at start-up.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use uno_core::{Decoder, Event};
///
/// #[derive(Serialize, Deserialize)]
/// struct OrderPlacedV1 { total_amount: f64 }              // in dollars
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(version = 2, upcast(1: OrderPlacedV1))]
/// struct OrderPlaced { total_cents: i64, item_count: u32 }
///
/// impl From<OrderPlacedV1> for OrderPlaced {
///     fn from(old: OrderPlacedV1) -> Self {
///         Self { total_cents: (old.total_amount * 100.0).round() as i64, item_count: 0 }
///     }
/// }
///
/// Decoder::new().check::<OrderPlaced>()?;
/// # Ok::<(), uno_core::RegistrationError>(())
/// ```
///
/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Decoder {
    rules: Arc<Rules>,
}

impl Decoder {
    /// A decoder that knows only what event types say of themselves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a decoder that also knows what is registered by stored name.
    #[must_use]
    pub fn builder() -> DecoderBuilder {
        DecoderBuilder::default()
    }

    /// Decodes an event that is read as one event of the set, as nearly all are.
    ///
    /// # Errors
    /// As [`decode_all`](Self::decode_all), and [`NotOne`](DecodeError::NotOne) when the event was split or dropped.
    pub fn decode<S: EventSet>(
        &self,
        record: &Arc<RecordedEvent>,
    ) -> Result<Envelope<S>, DecodeError> {
        self.decode_all(record)?
            .into_one()
            .map_err(|count| DecodeError::NotOne {
                fault: Fault::new(record),
                count,
            })
    }

    /// Decodes an event as what it is read as: for those who read whole streams, and must know every event.
    ///
    /// # Errors
    /// * [`UnknownEvent`](DecodeError::UnknownEvent) and [`UnknownPart`](DecodeError::UnknownPart) when the set has no event of
    ///   that name, and does not [ignore](EventSet::IGNORED) it;
    /// * [`NewerSchema`](DecodeError::NewerSchema) when the event was written by newer code;
    /// * [`NoUpcaster`](DecodeError::NoUpcaster) and [`Upcast`](DecodeError::Upcast) when an old event can't be raised;
    /// * [`Malformed`](DecodeError::Malformed) when the payload does not have the event's shape.
    pub fn decode_all<S: EventSet>(
        &self,
        record: &Arc<RecordedEvent>,
    ) -> Result<Decoded<S>, DecodeError> {
        Raise::new(&self.rules, record, Outside::Unknown).decode()
    }

    /// Decodes an event for a reader that asks for the events of the set alone, by the [filter](Self::filter): parts of a split
    /// that are not in the set are left out.
    ///
    /// # Errors
    /// As [`decode_all`](Self::decode_all), but for [`UnknownPart`](DecodeError::UnknownPart).
    pub fn decode_matching<S: EventSet>(
        &self,
        record: &Arc<RecordedEvent>,
    ) -> Result<Decoded<S>, DecodeError> {
        Raise::new(&self.rules, record, Outside::Skipped).decode()
    }

    /// The filter for all stored events that are read as events of the set, wholly or in part, under whatever name.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn filter<S: EventSet>(&self) -> Result<EventFilter, RegistrationError> {
        self.check::<S>()?;
        Ok(EventFilter::all().names(self.stored_names::<S>()))
    }

    /// The names under which events of the set are stored, wholly or in part. A name that can't be stored is that of no event.
    #[must_use]
    pub fn stored_names<S: EventSet>(&self) -> BTreeSet<EventName> {
        let mut names = BTreeSet::new();
        for descriptor in S::EVENTS {
            for name in [descriptor.name()].iter().chain(descriptor.former_names()) {
                if let Ok(name) = EventName::new(*name) {
                    self.rules.sources(&name, &mut names);
                }
            }
        }
        names
    }

    /// Checks that every older version of the set's events leads to the current one.
    ///
    /// # Errors
    /// When a chain has a gap or a place with two steps, or leads beyond the event, or an event was renamed or retired.
    pub fn check<S: EventSet>(&self) -> Result<(), RegistrationError> {
        S::EVENTS
            .iter()
            .try_for_each(|descriptor| check_one(&self.rules, descriptor))
    }

    /// The stored names that are dropped, each with the reason.
    pub fn retired(&self) -> impl Iterator<Item = (&EventName, &str)> {
        self.rules
            .iter()
            .filter_map(|(name, of_name)| match of_name {
                OfName::Retired(reason) => Some((name, &**reason)),
                OfName::Renamed(_) | OfName::Steps(_) => None,
            })
    }

    /// Whether it has a rule for what is stored under this name, in some version.
    #[must_use]
    pub fn has_rule(&self, name: &str) -> bool {
        self.rules.get(name).is_some()
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (name, of_name) in self.rules.iter() {
            map.key(&name.as_str());
            match of_name {
                OfName::Renamed(to) => map.value(&format_args!("renamed to {to}")),
                OfName::Retired(reason) => map.value(&format_args!("retired: {reason}")),
                OfName::Steps(steps) => map.value(
                    &steps
                        .keys()
                        .copied()
                        .map(SchemaVersion::get)
                        .collect::<Vec<_>>(),
                ),
            };
        }
        map.finish()
    }
}
