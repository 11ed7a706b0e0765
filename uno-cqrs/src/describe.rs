//! [`Catalogue`]: what an application is made of, as data.

mod mermaid;

use std::{any::type_name, collections::BTreeSet};

use serde::{Deserialize, Serialize};
use uno_core::{Backend, CommandDescriptor, EventDescriptor, EventSet};

use crate::{CommandBus, DocumentProjection, Projection, QueryBus};

/// Everything that an application has registered: its commands, queries, event handlers, projections and sagas.
///
/// It is data: each part adds itself, and whoever has a part that nobody knows of adds that. As JSON it is for tools,
/// [as a drawing](Self::to_mermaid) for people.
///
/// # As JSON
/// The fields of this type and of its entries, under their names, and `format`, which is 1. Within a format, fields are only added; every
/// list is there, if empty, and in the order of names. The names of commands, events, projections, sagas and subscriptions are those
/// that are stored today; those that events were stored under before are told once for each, in `events`. The names of Rust types (`handler`, `layers`, and those of queries) are for people: they change when code
/// is renamed.
///
/// ```
/// use uno_cqrs::{Catalogue, SagaEntry};
///
/// let mut catalogue = Catalogue::new("shop");
/// catalogue.sagas.push(SagaEntry::new("invoicing", 1, ["order_placed"], ["send_invoice"]));
/// let json = catalogue.to_json()?;
/// assert_eq!(Catalogue::from_json(&json)?, catalogue);
/// assert!(json.contains(r#""sends": ["#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Catalogue {
    /// Which form the JSON has.
    format: u32,
    /// The name of the application.
    pub application: String,
    /// The commands that have a handler.
    pub commands: Vec<CommandEntry>,
    /// The queries that have a handler.
    pub queries: Vec<QueryEntry>,
    /// The handlers of events, each a durable subscription.
    pub handlers: Vec<HandlerEntry>,
    /// The read models.
    pub projections: Vec<ProjectionEntry>,
    /// The process managers.
    pub sagas: Vec<SagaEntry>,
    /// The events that are read, as far as their types are known.
    #[serde(default)]
    pub events: Vec<EventEntry>,
}

/// The form of the JSON that this code writes.
const FORMAT: u32 = 1;

impl Catalogue {
    /// A catalogue without entries.
    #[must_use]
    pub fn new(application: impl Into<String>) -> Self {
        Self {
            format: FORMAT,
            application: application.into(),
            commands: Vec::new(),
            queries: Vec::new(),
            handlers: Vec::new(),
            projections: Vec::new(),
            sagas: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Adds the commands of a bus.
    pub fn add_commands<B: Backend>(&mut self, bus: &CommandBus<B>) {
        let inner = &bus.inner;
        let outer: Vec<_> = inner.layers.iter().map(|(_, name)| *name).collect();
        self.commands.extend(inner.routes.values().map(|route| {
            let own = route.layers.iter().map(|(_, name)| *name);
            CommandEntry {
                name: route.name.to_owned(),
                handler: route.handler_name.to_owned(),
                layers: outer.iter().copied().chain(own).map(Into::into).collect(),
                one_at_a_time: route.lanes.is_some(),
            }
        }));
        self.sort();
    }

    /// Adds the queries of a bus.
    pub fn add_queries(&mut self, bus: &QueryBus) {
        let inner = &bus.inner;
        let outer: Vec<_> = inner.layers.iter().map(|(_, name)| *name).collect();
        self.queries.extend(inner.routes.values().map(|route| {
            let own = route.layers.iter().map(|(_, name)| *name);
            QueryEntry {
                name: short(route.name).to_owned(),
                handler: route.handler_name.to_owned(),
                layers: outer.iter().copied().chain(own).map(Into::into).collect(),
            }
        }));
        self.sort();
    }

    /// Adds the events of a set. One that is there already is not added again.
    pub fn add_events<S: EventSet>(&mut self) {
        for descriptor in S::EVENTS {
            let entry = EventEntry::of(descriptor);
            if !self.events.contains(&entry) {
                self.events.push(entry);
            }
        }
        self.sort();
    }

    /// As JSON.
    ///
    /// # Errors
    /// Never, as long as serde writes texts and numbers.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let mut sorted = self.clone();
        sorted.sort();
        serde_json::to_string_pretty(&sorted)
    }

    /// From JSON, of this program or an older one.
    ///
    /// # Errors
    /// When it is no catalogue, or is one in a form that this code does not know.
    pub fn from_json(json: &str) -> Result<Self, UnknownForm> {
        let catalogue: Self = serde_json::from_str(json).map_err(UnknownForm::Json)?;
        if catalogue.format == FORMAT {
            Ok(catalogue)
        } else {
            Err(UnknownForm::Format(catalogue.format))
        }
    }

    /// As a flowchart for Mermaid: commands to their handlers, from there into the log; its events to those who read them; and the
    /// commands that sagas send. Names are shown as they are, whatever characters they have.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut sorted = self.clone();
        sorted.sort();
        mermaid::draw(&sorted)
    }

    fn sort(&mut self) {
        self.commands.sort_by(|a, b| a.name.cmp(&b.name));
        self.queries.sort_by(|a, b| a.name.cmp(&b.name));
        self.handlers.sort_by(|a, b| a.name.cmp(&b.name));
        self.projections.sort_by(|a, b| a.name.cmp(&b.name));
        self.sagas.sort_by(|a, b| a.name.cmp(&b.name));
        self.events.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

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
        Self::new(name, E::EVENTS.iter().map(EventDescriptor::name))
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
        let events = P::Event::EVENTS.iter().map(EventDescriptor::name);
        Self::new(P::NAME, "documents", events)
    }

    /// A read model of rows of the user's own.
    #[must_use]
    pub fn rows<P: Projection<B>, B: Backend>() -> Self {
        let events = P::Event::EVENTS.iter().map(EventDescriptor::name);
        Self::new(P::NAME, "rows", events)
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
        let events = E::EVENTS.iter().map(EventDescriptor::name);
        Self::new(
            name,
            version,
            events,
            sends.iter().map(CommandDescriptor::name),
        )
    }
}

/// A type of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventEntry {
    /// Its stored name.
    pub name: String,
    /// The version of the shape that it is stored in today.
    pub version: u32,
    /// The names that it was stored under before, as its type says. What a decoder renames or splits at run time is not known here.
    pub formerly: Vec<String>,
    /// What it tells, in the words of its doc comment.
    pub doc: String,
}

impl EventEntry {
    /// What a type of events says of itself.
    #[must_use]
    pub fn of(event: &EventDescriptor) -> Self {
        Self {
            name: event.name().to_owned(),
            version: event.version().get(),
            formerly: sorted(event.former_names().iter().copied()),
            doc: event.doc().trim().to_owned(),
        }
    }
}

/// A text that is no catalogue that this code knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownForm {
    /// It is not the JSON of one.
    #[error("this is no catalogue")]
    Json(#[source] serde_json::Error),
    /// It is of another format.
    #[error("a catalogue of format {0} is not known here")]
    Format(u32),
}

fn sorted<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Vec<String> {
    let names: BTreeSet<String> = names.into_iter().map(Into::into).collect();
    names.into_iter().collect()
}

/// The name of a type without its path and its parameters.
pub(crate) fn short_name<T: ?Sized>() -> &'static str {
    short(type_name::<T>())
}

fn short(name: &'static str) -> &'static str {
    let plain = name.split('<').next().unwrap_or(name);
    plain.rsplit("::").next().unwrap_or(plain)
}
