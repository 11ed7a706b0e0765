//! A tree as a Mermaid flowchart.

use std::{collections::HashMap, fmt::Write as _};

use super::{Beginning, CausationTree, through};
use crate::{EventId, RecordedEvent};

/// The longest part of a label, in characters: keys may have hundreds.
const LONGEST: usize = 80;

pub(super) fn draw(tree: &CausationTree) -> String {
    let mut chart = Chart {
        text: "flowchart TD\n".to_owned(),
        nodes: HashMap::new(),
    };
    // What the next event down hangs from: of the chain of causes, each on the one before.
    let mut above: Option<EventId> = None;
    let chain = tree.causes.iter().chain([tree.event()]);
    for event in chain {
        chart.event(event, event.id() == tree.event().id());
        match above {
            Some(cause) => chart.step(event, cause),
            None => chart.beginning(tree.beginning, event),
        }
        above = Some(event.id());
    }
    for effect in &tree.events {
        if let Some(cause) = effect.cause {
            chart.event(&effect.event, false);
            chart.step(&effect.event, cause);
        }
    }
    if tree.cut {
        chart.line(format_args!(
            "more([\"{}\"])",
            text("there are more effects")
        ));
    }
    chart.line(format_args!("classDef asked stroke-width:3px"));
    chart.text
}

struct Chart {
    text: String,
    /// The number of each event's node.
    nodes: HashMap<EventId, usize>,
}

impl Chart {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "    {line}");
    }

    fn event(&mut self, event: &RecordedEvent, is_asked_for: bool) {
        let node = self.nodes.len();
        // Where causes go in a circle, an event may be above and below the one that was asked for: it is drawn once.
        if self.nodes.contains_key(&event.id()) {
            return;
        }
        self.nodes.insert(event.id(), node);
        let (name, stream) = (
            text(event.name().as_str()),
            text(&event.stream().to_string()),
        );
        let (version, position) = (event.version(), event.position());
        let class = if is_asked_for { ":::asked" } else { "" };
        self.line(format_args!(
            "e{node}[\"{name}<br/>{stream}, version {version}<br/>position {position}\"]{class}"
        ));
    }

    fn step(&mut self, event: &RecordedEvent, cause: EventId) {
        let (Some(from), Some(to)) = (self.nodes.get(&cause), self.nodes.get(&event.id())) else {
            return;
        };
        let (from, to) = (*from, *to);
        match through(event, cause) {
            Some(id) => self.line(format_args!(
                "e{from} -->|\"{}\"| e{to}",
                text(&id.to_string())
            )),
            None => self.line(format_args!("e{from} --> e{to}")),
        }
    }

    /// What is above the first event.
    fn beginning(&mut self, beginning: Beginning, first: &RecordedEvent) {
        let (what, node) = match beginning {
            Beginning::Uncaused => return,
            Beginning::Outside(id) => (id.to_string(), first.id()),
            Beginning::Loop(id) => (format!("{id} is among its own causes"), first.id()),
            Beginning::Cut => ("there are more causes".to_owned(), first.id()),
        };
        let Some(node) = self.nodes.get(&node).copied() else {
            return;
        };
        self.line(format_args!("outside([\"{}\"]) --> e{node}", text(&what)));
    }
}

/// A text that is only a text to Mermaid: everything but letters, digits and underscores as character codes, also a word that closes
/// blocks, which some versions find within quotes too.
fn text(raw: &str) -> String {
    let has_end = raw.to_ascii_lowercase().contains("end");
    let mut safe = String::new();
    for (number, c) in raw.chars().enumerate() {
        if number == LONGEST {
            safe.push('…');
            break;
        }
        if (c.is_alphanumeric() && !(has_end && c.eq_ignore_ascii_case(&'e'))) || c == '_' {
            safe.push(c);
        } else {
            // Writing to a string does not fail.
            let _ = write!(safe, "#{};", u32::from(c));
        }
    }
    safe
}
