//! The entries of a catalogue.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uno_core::{Backend, CommandDescriptor, EventDescriptor, EventSet};
use uno_domain::Aggregate;

use crate::{DocumentProjection, Projection, Sink};

/// A command that has a handler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CommandEntry {
    /// Its stored name.
    pub name: String,
    /// The type of its handler.
    pub handler: String,
    /// The types of the layers around it, from the outside in.
    pub layers: Vec<String>,
    /// Whether those on one stream are carried out one after the other.
    pub one_at_a_time: bool,
    /// The category of the aggregate on which they are, if it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<String>,
}

/// A query that has a handler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueryEntry {
    /// Its type.
    pub name: String,
    /// The type of its handler.
    pub handler: String,
    /// The types of the layers around it, from the outside in.
    pub layers: Vec<String>,
}

/// A handler of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HandlerEntry {
    /// The name of its subscription.
    pub name: String,
    /// The events that it handles; none when it says so event by event.
    pub events: Vec<String>,
}

impl HandlerEntry {
    /// A handler of these events.
    #[must_use]
    pub fn new<T: Into<String>>(
        name: impl Into<String>,
        events: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            name: name.into(),
            events: sorted(events),
        }
    }

    /// A handler of the events of a set.
    #[must_use]
    pub fn of<E: EventSet>(name: impl Into<String>) -> Self {
        Self::new(name, names::<E>())
    }
}

/// A read model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProjectionEntry {
    /// The name of the projection, and of its subscription.
    pub name: String,
    /// What it keeps: `documents`, `rows`, or whatever its kind is called.
    pub kind: String,
    /// The events that it reads.
    pub events: Vec<String>,
}

impl ProjectionEntry {
    /// A read model of these events.
    #[must_use]
    pub fn new<T: Into<String>>(
        name: impl Into<String>,
        kind: impl Into<String>,
        events: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            events: sorted(events),
        }
    }

    /// A read model of documents.
    #[must_use]
    pub fn documents<P: DocumentProjection>() -> Self {
        Self::new(P::NAME, "documents", names::<P::Event>())
    }

    /// A read model outside of the store.
    #[must_use]
    pub fn sink<S: Sink>() -> Self {
        Self::new(S::NAME, "sink", names::<S::Event>())
    }

    /// A read model of rows of the user's own.
    #[must_use]
    pub fn rows<P: Projection<B>, B: Backend>() -> Self {
        Self::new(P::NAME, "rows", names::<P::Event>())
    }
}

/// A process manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SagaEntry {
    /// Its name.
    pub name: String,
    /// The version of its definition.
    pub version: u32,
    /// The events that it reads.
    pub events: Vec<String>,
    /// The commands that it sends.
    pub sends: Vec<String>,
}

impl SagaEntry {
    /// A saga that reads these events and sends these commands.
    #[must_use]
    pub fn new<E: Into<String>, C: Into<String>>(
        name: impl Into<String>,
        version: u32,
        events: impl IntoIterator<Item = E>,
        sends: impl IntoIterator<Item = C>,
    ) -> Self {
        Self {
            name: name.into(),
            version,
            events: sorted(events),
            sends: sorted(sends),
        }
    }

    /// The same by what its types say of themselves.
    #[must_use]
    pub fn of<E: EventSet>(name: &str, version: u32, sends: &[CommandDescriptor]) -> Self {
        let sends = sends.iter().map(CommandDescriptor::name);
        Self::new(name, version, names::<E>(), sends)
    }
}

/// An aggregate, which publishes the events of its set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AggregateEntry {
    /// The category of its streams.
    pub name: String,
    /// The events that can happen to it.
    pub events: Vec<String>,
}

impl AggregateEntry {
    /// An aggregate with these events.
    #[must_use]
    pub fn new<T: Into<String>>(
        name: impl Into<String>,
        events: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            name: name.into(),
            events: sorted(events),
        }
    }

    /// An aggregate by what its type says of itself.
    #[must_use]
    pub fn of<A: Aggregate>() -> Self {
        Self::new(A::CATEGORY, names::<A::Event>())
    }
}

/// The names that the events of a set are stored under now.
fn names<E: EventSet>() -> impl Iterator<Item = &'static str> {
    E::EVENTS.iter().map(EventDescriptor::name)
}

fn sorted<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Vec<String> {
    let names: BTreeSet<String> = names.into_iter().map(Into::into).collect();
    names.into_iter().collect()
}
