//! A catalogue as a page in Markdown.

use std::fmt::{self, Write as _};

use serde_json::Value;

use super::{Catalogue, EventEntry, EventVersionEntry, PartRef, fields, mermaid};

pub(super) fn write(catalogue: &Catalogue) -> String {
    let mut page = Page::default();
    page.line(format_args!("# Events of {}", catalogue.application));
    page.line(format_args!(""));
    page.line(format_args!(
        "This page is made from the code. Payloads are JSON."
    ));
    page.line(format_args!(""));
    page.line(format_args!(
        "| event | version | what it tells | published by | handled by |"
    ));
    page.line(format_args!("|---|---|---|---|---|"));
    for event in &catalogue.events {
        let name = &event.name;
        let old = if event.deprecated.is_some() {
            " (deprecated)"
        } else {
            ""
        };
        page.line(format_args!(
            "| [`{name}`](#{}){old} | {} | {} | {} | {} |",
            anchor(name),
            event.version,
            cell(first_paragraph(&event.doc)),
            parts(&event.published_by),
            parts(&event.handled_by),
        ));
    }
    page.line(format_args!(""));
    page.line(format_args!("```mermaid"));
    page.text.push_str(&mermaid::draw(catalogue));
    page.line(format_args!("```"));
    for event in &catalogue.events {
        page.event(event);
    }
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn paragraph(&mut self, text: fmt::Arguments<'_>) {
        self.line(format_args!(""));
        self.line(text);
    }

    fn event(&mut self, event: &EventEntry) {
        self.paragraph(format_args!("## {}", event.name));
        if let Some(note) = &event.deprecated {
            let colon = if note.is_empty() { "." } else { ": " };
            self.paragraph(format_args!("**Deprecated**{colon}{note}"));
        }
        if !event.doc.is_empty() {
            self.paragraph(format_args!("{}", event.doc));
        }
        let former: Vec<_> = event
            .formerly
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        if !former.is_empty() {
            self.paragraph(format_args!("Formerly {}.", former.join(", ")));
        }
        let (published, handled) = (parts(&event.published_by), parts(&event.handled_by));
        self.paragraph(format_args!(
            "Published by: {published}. Handled by: {handled}."
        ));
        for version in event.versions.iter().rev() {
            let now = if version.version == event.version {
                ", of now"
            } else {
                ""
            };
            self.paragraph(format_args!(
                "### {} version {}{now}",
                event.name, version.version
            ));
            self.version(event, version);
        }
    }

    fn version(&mut self, event: &EventEntry, version: &EventVersionEntry) {
        if let Some(schema) = &version.schema {
            let fields = fields::of(schema);
            if fields.is_empty() {
                let kind = fields::kind(schema, schema, 0);
                self.paragraph(format_args!(
                    "The payload has no fields that have names: {kind}."
                ));
            } else {
                self.paragraph(format_args!("| field | type | | what it is |"));
                self.line(format_args!("|---|---|---|---|"));
            }
            for field in fields {
                let optional = if field.required { "" } else { "optional" };
                let (path, kind, doc) = (field.path, cell(&field.kind), cell(&field.doc));
                self.line(format_args!("| `{path}` | {kind} | {optional} | {doc} |"));
            }
            let (name, number) = (&event.name, version.version);
            self.paragraph(format_args!("[JSON Schema](schemas/{name}.{number}.json)"));
        }
        if let Some(sample) = &version.sample {
            self.paragraph(format_args!("```json"));
            self.line(format_args!("{}", pretty(sample)));
            self.line(format_args!("```"));
        }
    }
}

fn pretty(sample: &Value) -> String {
    // Without the alternative form it is one line; serde_json's own trees can always be written.
    format!("{sample:#}")
}

fn parts(parts: &[PartRef]) -> String {
    if parts.is_empty() {
        return "nobody that is known".to_owned();
    }
    let parts: Vec<_> = parts
        .iter()
        .map(|part| format!("{} `{}`", part.kind, cell(&part.name)))
        .collect();
    parts.join(", ")
}

fn first_paragraph(doc: &str) -> &str {
    doc.split("\n\n").next().unwrap_or_default()
}

/// A text that stays within its cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

/// Where a heading can be linked to: as GitHub makes it of a name of ours, which has lower-case letters, digits, `_` and `.`.
fn anchor(name: &str) -> String {
    name.chars().filter(|&c| c != '.').collect()
}
