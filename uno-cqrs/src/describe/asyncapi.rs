//! A catalogue as an AsyncAPI 3 document.
//!
//! Its schemas are those of JSON Schema draft 7, the only ones that every tool for AsyncAPI reads, so what we have is brought there.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Catalogue, EventEntry, EventVersionEntry, PartRef};

/// The channel of events that no aggregate has that is known.
const ELSEWHERE: &str = "elsewhere";

pub(super) fn document(catalogue: &Catalogue, version: &str) -> Value {
    let channels = channels(catalogue);
    let all = || {
        let events = catalogue.events.iter();
        events.flat_map(|event| event.versions.iter().map(move |version| (event, version)))
    };
    let messages: Map<_, _> = all()
        .map(|(event, version)| (message_key(event, version), message(event, version)))
        .collect();
    let schemas: Map<_, _> = all()
        .filter_map(|(event, version)| {
            let key = message_key(event, version);
            let schema = draft_7(
                version.schema.as_ref()?,
                &pointer(&["components", "schemas", &key]),
            );
            Some((key, schema))
        })
        .collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": catalogue.application,
            "version": version,
            "description": format!("The events of {}.", catalogue.application),
        },
        "defaultContentType": "application/json",
        "channels": channels.iter().map(|(name, events)| (key(name), channel(name, events))).collect::<Map<_, _>>(),
        "operations": operations(catalogue, &channels),
        "components": { "messages": messages, "schemas": schemas },
    })
}

/// Of each channel, the events that are in it.
type Channels<'c> = BTreeMap<&'c str, Vec<&'c EventEntry>>;

fn channels(catalogue: &Catalogue) -> Channels<'_> {
    let mut channels = Channels::new();
    for event in &catalogue.events {
        let has = |events: &[String]| events.contains(&event.name);
        let aggregates = catalogue
            .aggregates
            .iter()
            .filter(|entry| has(&entry.events));
        let mut names: Vec<_> = aggregates.map(|entry| entry.name.as_str()).collect();
        if names.is_empty() {
            names.push(ELSEWHERE);
        }
        for name in names {
            channels.entry(name).or_default().push(event);
        }
    }
    channels
}

fn channel(name: &str, events: &[&EventEntry]) -> Value {
    let versions = events
        .iter()
        .flat_map(|event| event.versions.iter().map(move |version| (event, version)));
    let messages: Map<_, _> = versions
        .map(|(event, version)| {
            let key = message_key(event, version);
            let message = reference(&["components", "messages", &key]);
            (key, message)
        })
        .collect();
    if name == ELSEWHERE {
        let description = "Streams of aggregates that the catalogue does not know.";
        return json!({ "address": null, "description": description, "messages": messages });
    }
    json!({
        "address": format!("{name}-{{key}}"),
        "description": format!("The streams of category {name}, one for each aggregate."),
        "parameters": { "key": { "description": format!("Which {name}.") } },
        "messages": messages,
    })
}

fn operations(catalogue: &Catalogue, channels: &Channels<'_>) -> Value {
    let mut operations = Map::new();
    for (name, events) in channels {
        if *name == ELSEWHERE {
            continue;
        }
        // What is recorded now, and nothing that is not recorded any more.
        let events = events.iter().filter(|event| event.deprecated.is_none());
        let current = events.flat_map(|event| {
            let versions = event.versions.iter();
            versions
                .filter(|version| version.version == event.version)
                .map(|version| message_key(event, version))
        });
        let title = format!("The aggregate {name} publishes");
        add(
            &mut operations,
            "send",
            &PartRef::new("aggregate", name),
            name,
            &title,
            &current.collect::<Vec<_>>(),
        );
    }
    for (reader, read) in catalogue.all_readers() {
        for (name, events) in channels {
            let events = events.iter().filter(|event| read.contains(&event.name));
            // What is in the log is handled in whichever version it was stored.
            let stored = events.flat_map(|event| {
                event
                    .versions
                    .iter()
                    .map(|version| message_key(event, version))
            });
            let title = format!("The {} {} handles", reader.kind, reader.name);
            add(
                &mut operations,
                "receive",
                &reader,
                name,
                &title,
                &stored.collect::<Vec<_>>(),
            );
        }
    }
    operations.into()
}

fn add(
    operations: &mut Map<String, Value>,
    action: &str,
    part: &PartRef,
    channel: &str,
    title: &str,
    messages: &[String],
) {
    if messages.is_empty() {
        return;
    }
    let channel_key = key(channel);
    let messages = messages
        .iter()
        .map(|message| reference(&["channels", &channel_key, "messages", message]));
    let name = match action {
        "send" => key(&format!("{}.{}", part.kind, part.name)),
        _ => key(&format!("{}.{}.{channel}", part.kind, part.name)),
    };
    let operation = json!({
        "action": action,
        "title": title,
        "channel": reference(&["channels", &channel_key]),
        "messages": messages.collect::<Vec<_>>(),
    });
    operations.insert(name, operation);
}

fn message(event: &EventEntry, version: &EventVersionEntry) -> Value {
    let mut message = Map::new();
    let mut set = |key: &str, value: Value| message.insert(key.to_owned(), value);
    set("name", event.name.as_str().into());
    set(
        "title",
        format!("{} version {}", event.name, version.version).into(),
    );
    if !event.doc.is_empty() {
        set(
            "summary",
            event.doc.lines().next().unwrap_or_default().into(),
        );
        set("description", event.doc.as_str().into());
    }
    set("contentType", "application/json".into());
    if version.schema.is_some() {
        set(
            "payload",
            reference(&["components", "schemas", &message_key(event, version)]),
        );
    }
    if let Some(sample) = &version.sample {
        set("examples", json!([{ "payload": sample }]));
    }
    let mut tags = Vec::new();
    if let Some(note) = &event.deprecated {
        let note = if note.is_empty() {
            "It is not recorded any more."
        } else {
            note
        };
        tags.push(json!({ "name": "deprecated", "description": note }));
    }
    if version.version != event.version {
        let description = format!("It is recorded as version {} now.", event.version);
        tags.push(json!({ "name": "former version", "description": description }));
    }
    if !tags.is_empty() {
        set("tags", tags.into());
    }
    set("x-schema-version", version.version.into());
    if !event.formerly.is_empty() {
        set("x-former-names", event.formerly.clone().into());
    }
    message.into()
}

fn message_key(event: &EventEntry, version: &EventVersionEntry) -> String {
    key(&format!("{}.v{}", event.name, version.version))
}

/// A name as a key of the document: letters, digits, `.`, `-` and `_` as they are, anything else as a number.
fn key(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
            key.push(c);
        } else {
            key.push_str(&format!("_{:x}_", u32::from(c)));
        }
    }
    key
}

fn pointer(parts: &[&str]) -> String {
    let parts = parts
        .iter()
        .map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1")));
    format!("#{}", parts.collect::<String>())
}

fn reference(parts: &[&str]) -> Value {
    json!({ "$ref": pointer(parts) })
}

/// A schema of draft 2020-12 as one of draft 7 that stands in a larger document, where `at` points to.
fn draft_7(schema: &Value, at: &str) -> Value {
    match schema {
        Value::Object(object) => draft_7_object(object, at).into(),
        Value::Array(items) => items.iter().map(|item| draft_7(item, at)).collect(),
        other => other.clone(),
    }
}

fn draft_7_object(schema: &Map<String, Value>, at: &str) -> Map<String, Value> {
    let mut old = Map::new();
    for (key, value) in schema {
        let (key, value) = match (key.as_str(), value) {
            ("$schema", _) => continue,
            ("$defs", Value::Object(of)) => ("definitions", named(of, at)),
            ("properties" | "patternProperties", Value::Object(of)) => {
                (key.as_str(), named(of, at))
            }
            // Data, whatever it looks like.
            ("const" | "enum" | "default" | "examples", value) => (key.as_str(), value.clone()),
            ("$ref", Value::String(target)) => {
                let target = target.strip_prefix('#').map_or_else(
                    || target.clone(),
                    |pointer| {
                        let pointer = pointer
                            .strip_prefix("/$defs/")
                            .map(|rest| format!("/definitions/{rest}"))
                            .unwrap_or_else(|| pointer.to_owned());
                        format!("{at}{pointer}")
                    },
                );
                ("$ref", target.into())
            }
            ("items", of) if schema.contains_key("prefixItems") => {
                ("additionalItems", draft_7(of, at))
            }
            ("prefixItems", of) => ("items", draft_7(of, at)),
            (key, value) => (key, draft_7(value, at)),
        };
        old.insert(key.to_owned(), value);
    }
    // What stands beside a reference is not seen in draft 7.
    if old.len() > 1
        && let Some(target) = old.remove("$ref")
    {
        let target = json!({ "$ref": target });
        match old.get_mut("allOf").and_then(Value::as_array_mut) {
            Some(all) => all.push(target),
            None => {
                old.insert("allOf".to_owned(), json!([target]));
            }
        }
    }
    old
}

fn named(of: &Map<String, Value>, at: &str) -> Value {
    let of = of
        .iter()
        .map(|(name, schema)| (name.clone(), draft_7(schema, at)));
    Value::Object(of.collect())
}
