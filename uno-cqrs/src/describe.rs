//! [`Catalogue`]: what an application is made of, as data.

mod asyncapi;
mod check;
mod entries;
mod event_entry;
mod fields;
mod markdown;
mod mermaid;
mod sample;

use std::any::type_name;

use serde::{Deserialize, Serialize};
use uno_core::{Backend, EventDescriptor};

use crate::{CommandBus, QueryBus};

pub use self::{
    check::CatalogueFindings,
    entries::{AggregateEntry, CommandEntry, HandlerEntry, ProjectionEntry, QueryEntry, SagaEntry},
    event_entry::{EventEntry, EventVersionEntry, PartRef},
};

/// Everything that an application has registered: its commands, queries, event handlers, projections and sagas, and its events: which versions
/// they have, what their fields mean, who publishes them and who handles them.
///
/// It is data: each part adds itself, and whoever has a part that nobody knows of adds that. As JSON it is for tools,
/// [as a drawing](Self::to_mermaid) and [as a page](Self::to_markdown) for people, [as AsyncAPI](Self::to_asyncapi) for the world outside.
///
/// # As JSON
/// The fields of this type and of its entries, under their names, and `format`, which is 1. Within a format, fields are only added; every
/// list is there, if empty, and in the order of names. The names of commands, events, projections, sagas and subscriptions are those
/// that are stored. The names of Rust types (`handler`, `layers`, and those of queries) are for people: they change when code
/// is renamed. The lists of aggregates and events may be missing in what older programs have written.
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
    /// The aggregates.
    #[serde(default)]
    pub aggregates: Vec<AggregateEntry>,
    /// The events, as far as their types are known.
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
            aggregates: Vec::new(),
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
                aggregate: route.aggregate.map(Into::into),
            }
        }));
        self.complete();
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
        self.complete();
    }

    /// Adds event types, each once, with the schemas that they have and samples that fit them.
    pub fn add_events(&mut self, events: &[EventDescriptor]) {
        for event in events {
            if self.events.iter().all(|entry| entry.name != event.name()) {
                self.events.push(EventEntry::of(event));
            }
        }
        self.complete();
    }

    /// Who publishes the event of this name: the aggregates that have it in their sets, and the commands that are on one of them.
    #[must_use]
    pub fn publishers(&self, event: &str) -> Vec<PartRef> {
        let has = |aggregate: &&AggregateEntry| aggregate.events.iter().any(|name| name == event);
        let aggregates: Vec<_> = self.aggregates.iter().filter(has).collect();
        let on = |command: &&CommandEntry| {
            let on = command.aggregate.as_deref();
            aggregates
                .iter()
                .any(|aggregate| on == Some(&*aggregate.name))
        };
        let commands = self.commands.iter().filter(on);
        let aggregates = aggregates
            .iter()
            .map(|entry| PartRef::new("aggregate", &entry.name));
        let commands = commands.map(|entry| PartRef::new("command", &entry.name));
        aggregates.chain(commands).collect()
    }

    /// Who handles the event of this name: the projections, sagas and handlers that have it in their sets.
    #[must_use]
    pub fn readers(&self, event: &str) -> Vec<PartRef> {
        let readers = self.all_readers().into_iter();
        let readers = readers.filter(|(_, events)| events.iter().any(|name| name == event));
        readers.map(|(reader, _)| reader).collect()
    }

    /// Every reader, with the events that it handles.
    fn all_readers(&self) -> Vec<(PartRef, &[String])> {
        let projections = self.projections.iter();
        let projections = projections.map(|e| (PartRef::new("projection", &e.name), &*e.events));
        let sagas = self
            .sagas
            .iter()
            .map(|e| (PartRef::new("saga", &e.name), &*e.events));
        let handlers = self.handlers.iter();
        let handlers = handlers.map(|e| (PartRef::new("handler", &e.name), &*e.events));
        projections.chain(sagas).chain(handlers).collect()
    }

    /// What is missing, and what looks wrong: events without a doc comment, and so on.
    #[must_use]
    pub fn check(&self) -> CatalogueFindings {
        check::check(self)
    }

    /// As a page in Markdown: the flow, and each event with its fields, versions, samples, publishers and readers.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        markdown::write(&self.completed())
    }

    /// As an AsyncAPI 3 document in JSON, for this version of the application.
    ///
    /// Aggregates send what they publish; projections, sagas and handlers receive, in all versions that there ever were.
    ///
    /// # Errors
    /// Never, as long as serde writes texts and numbers.
    pub fn to_asyncapi(&self, version: &str) -> Result<String, serde_json::Error> {
        let document = asyncapi::document(&self.completed(), version);
        let document = event_entry::in_order(document);
        serde_json::to_string_pretty(&document)
    }

    /// All of it as files, to be kept beside the code: the path of each below some folder, and its text.
    ///
    /// They are `README.md`, `catalogue.json`, `asyncapi.json` and, for each version of each event, `schemas/order_placed.3.json`.
    ///
    /// # Errors
    /// Never, as long as serde writes texts and numbers.
    pub fn pages(&self, version: &str) -> Result<Vec<(String, String)>, serde_json::Error> {
        let mut pages = vec![
            ("README.md".to_owned(), self.to_markdown()),
            (
                "asyncapi.json".to_owned(),
                self.to_asyncapi(version)? + "\n",
            ),
            ("catalogue.json".to_owned(), self.to_json()? + "\n"),
        ];
        for event in &self.events {
            for version in &event.versions {
                if let Some(schema) = &version.schema {
                    let path = format!("schemas/{}.{}.json", event.name, version.version);
                    pages.push((path, serde_json::to_string_pretty(schema)? + "\n"));
                }
            }
        }
        Ok(pages)
    }

    /// As JSON.
    ///
    /// # Errors
    /// Never, as long as serde writes texts and numbers.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(&self.completed())
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
        mermaid::draw(&self.completed())
    }

    /// The same, whatever was put into its lists.
    fn completed(&self) -> Self {
        let mut completed = self.clone();
        completed.complete();
        completed
    }

    /// Brings everything into order, and notes with each event who publishes and who handles it.
    fn complete(&mut self) {
        self.commands.sort_by(|a, b| a.name.cmp(&b.name));
        self.queries.sort_by(|a, b| a.name.cmp(&b.name));
        self.handlers.sort_by(|a, b| a.name.cmp(&b.name));
        self.projections.sort_by(|a, b| a.name.cmp(&b.name));
        self.sagas.sort_by(|a, b| a.name.cmp(&b.name));
        self.aggregates.sort_by(|a, b| a.name.cmp(&b.name));
        self.events.sort_by(|a, b| a.name.cmp(&b.name));
        let mut events = std::mem::take(&mut self.events);
        for event in &mut events {
            event.published_by = self.publishers(&event.name);
            event.handled_by = self.readers(&event.name);
        }
        self.events = events;
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

/// The name of a type without its path and its parameters.
pub(crate) fn short_name<T: ?Sized>() -> &'static str {
    short(type_name::<T>())
}

fn short(name: &'static str) -> &'static str {
    let plain = name.split('<').next().unwrap_or(name);
    plain.rsplit("::").next().unwrap_or(plain)
}

#[cfg(test)]
mod tests;
