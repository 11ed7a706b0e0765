//! A catalogue as a flowchart.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::Catalogue;

/// The flowchart. The ids of nodes are a letter and a number, so that no name can be taken for a part of the language.
pub(super) fn draw(catalogue: &Catalogue) -> String {
    let mut chart = Chart::default();
    chart.line(format_args!("flowchart LR"));
    let events = events(catalogue);

    let mut commands = BTreeMap::new();
    let sent = catalogue.sagas.iter().flat_map(|saga| &saga.sends);
    let handled = catalogue.commands.iter().map(|command| &command.name);
    for name in handled.chain(sent).collect::<BTreeSet<_>>() {
        let id = format!("c{}", commands.len());
        chart.node(&id, "[/", name, "/]");
        commands.insert(name, id);
    }
    let handlers: BTreeSet<_> = catalogue.commands.iter().map(|c| &c.handler).collect();
    let handlers: BTreeMap<_, _> = numbered('h', handlers);
    for (name, id) in &handlers {
        chart.node(id, "[", name, "]");
    }
    chart.node("log", "[(", "log", ")]");
    for (name, id) in &events {
        chart.node(id, "([", name, "])");
    }
    for command in &catalogue.commands {
        let (from, to) = (&commands[&command.name], &handlers[&command.handler]);
        // A command that waits for its turn has a thick arrow.
        let arrow = if command.one_at_a_time { "==>" } else { "-->" };
        chart.line(format_args!("    {from} {arrow} {to}"));
    }
    for id in handlers.values() {
        chart.line(format_args!("    {id} --> log"));
    }
    // A category is a part of the log: what an aggregate publishes comes by way of it.
    let categories = catalogue.aggregates.iter().map(|entry| &entry.name);
    let categories = numbered('r', categories.collect());
    for (name, id) in &categories {
        chart.node(id, "[[", name, "]]");
        chart.line(format_args!("    log --> {id}"));
    }
    for (name, id) in &events {
        let mut published = false;
        for aggregate in &catalogue.aggregates {
            if aggregate.events.contains(name) {
                published = true;
                chart.line(format_args!("    {} --> {id}", categories[&aggregate.name]));
            }
        }
        if !published {
            chart.line(format_args!("    log --> {id}"));
        }
    }
    for (number, projection) in catalogue.projections.iter().enumerate() {
        let id = format!("p{number}");
        chart.node(&id, "[(", &projection.name, ")]");
        chart.reads(&events, &projection.events, &id);
    }
    for (number, handler) in catalogue.handlers.iter().enumerate() {
        let id = format!("s{number}");
        chart.node(&id, "[", &handler.name, "]");
        chart.reads(&events, &handler.events, &id);
    }
    for (number, saga) in catalogue.sagas.iter().enumerate() {
        let id = format!("g{number}");
        chart.node(&id, "{{", &saga.name, "}}");
        chart.reads(&events, &saga.events, &id);
        for command in &saga.sends {
            chart.line(format_args!("    {id} -.-> {}", commands[command]));
        }
    }
    let answerers: BTreeSet<_> = catalogue.queries.iter().map(|q| &q.handler).collect();
    let answerers = numbered('a', answerers);
    for (name, id) in &answerers {
        chart.node(id, "[", name, "]");
    }
    for (number, query) in catalogue.queries.iter().enumerate() {
        let id = format!("q{number}");
        chart.node(&id, "[\\", &query.name, "\\]");
        chart.line(format_args!("    {id} --> {}", answerers[&query.handler]));
    }
    chart.text
}

/// The events that somebody publishes or reads, each with the id of its node.
fn events(catalogue: &Catalogue) -> BTreeMap<&String, String> {
    let projections = catalogue.projections.iter().map(|entry| &entry.events);
    let handlers = catalogue.handlers.iter().map(|entry| &entry.events);
    let sagas = catalogue.sagas.iter().map(|entry| &entry.events);
    let aggregates = catalogue.aggregates.iter().map(|entry| &entry.events);
    let all = projections.chain(handlers).chain(sagas).chain(aggregates);
    let all = all
        .flatten()
        .chain(catalogue.events.iter().map(|entry| &entry.name));
    numbered('e', all.collect())
}

fn numbered(letter: char, names: BTreeSet<&String>) -> BTreeMap<&String, String> {
    let with_id = |(number, name)| (name, format!("{letter}{number}"));
    names.into_iter().enumerate().map(with_id).collect()
}

#[derive(Default)]
struct Chart {
    text: String,
}

impl Chart {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn node(&mut self, id: &str, open: &str, name: &str, close: &str) {
        let label = quoted(name);
        self.line(format_args!("    {id}{open}{label}{close}"));
    }

    fn reads(&mut self, events: &BTreeMap<&String, String>, read: &[String], id: &str) {
        for event in read {
            if let Some(from) = events.get(event) {
                self.line(format_args!("    {from} --> {id}"));
            }
        }
    }
}

/// A text that is only a text to Mermaid: in quotes, with everything but letters, digits and underscores as character codes. A word
/// that closes blocks has one as well, since some versions find it within quotes too.
fn quoted(name: &str) -> String {
    let mut label = String::from("\"");
    for c in name.chars() {
        if (c.is_alphanumeric() && !name.eq_ignore_ascii_case("end")) || c == '_' {
            label.push(c);
        } else {
            let _ = write!(label, "#{};", u32::from(c));
        }
    }
    if name.is_empty() {
        label.push_str("#8709;");
    }
    label.push('"');
    label
}
