//! What an application tells of itself: as JSON that stays as it is, and as a drawing whose names are only names.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use uno::{
    BuildError,
    cqrs::{
        AggregateEntry, Catalogue, CommandEntry, HandlerEntry, ProjectionEntry, QueryEntry,
        SagaEntry, Trace,
    },
    prelude::*,
};

use super::account::{Account, Balances, Bank, Deposit, Presents};

fn built() -> Catalogue {
    let uno = Uno::builder(Arc::new(MemoryStore::new()))
        .command_layer(Trace::new())
        .command_with::<Deposit, _>(Bank, |options| {
            options
                .validate_by(|_| Ok(()))
                .one_at_a_time_on(|_| Vec::new())
        })
        .aggregate::<Account>()
        .documents(Balances)
        .saga::<Presents>()
        .build();
    uno.unwrap().describe("bank")
}

#[test]
fn the_json_is_as_it_was() {
    let catalogue = built();
    let json = catalogue.to_json().unwrap();
    let golden = include_str!("../../golden/commands/catalogue.json");
    assert_eq!(json, golden.trim_end());
    assert_eq!(Catalogue::from_json(golden).unwrap(), catalogue);
    let newer = golden.replace("\"format\": 1", "\"format\": 2");
    let error = Catalogue::from_json(&newer).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a catalogue of format 2 is not known here"
    );
    assert!(Catalogue::from_json("{}").is_err());
    // A text of before there were events in it.
    let mut older: serde_json::Value = serde_json::from_str(golden).unwrap();
    older.as_object_mut().unwrap().remove("events").unwrap();
    let mut expected = catalogue;
    expected.events.clear();
    let older = Catalogue::from_json(&older.to_string()).unwrap();
    assert_eq!(older, expected);
}

#[test]
fn what_is_required_and_not_there_is_told_by_build() {
    let built = Uno::builder(Arc::new(MemoryStore::new()))
        .requires("the counter", &[Deposit::DESCRIPTOR])
        .build();
    let error = built.unwrap_err();
    assert!(matches!(error, BuildError::Register(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the command deposit has no handler, and the counter sends it"
    );
}

#[test]
fn two_aggregates_cannot_share_a_category() {
    let built = Uno::builder(Arc::new(MemoryStore::new()))
        .aggregate::<Account>()
        .aggregate::<Account>()
        .build();
    let error = built.unwrap_err();
    assert!(
        matches!(error, BuildError::DuplicateAggregate(_)),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "two aggregates have the category account"
    );
}

/// What an older program has written has no aggregates and no events.
#[test]
fn a_catalogue_of_before_is_read() {
    let mut old: serde_json::Value = serde_json::from_str(&built().to_json().unwrap()).unwrap();
    let fields = old.as_object_mut().unwrap();
    fields.remove("aggregates");
    fields.remove("events");
    let old = Catalogue::from_json(&old.to_string()).unwrap();
    assert!(old.aggregates.is_empty() && old.events.is_empty());
    assert_eq!(old.projections, built().projections);
}

/// Names that mean something to Mermaid.
const NASTY: [&str; 10] = [
    r#"a"] --> b["c"#,
    "one\ntwo\r\nend",
    "%% comment %%{init: {}}%%",
    "end",
    "END",
    "`md` **bold**",
    "#quot;#35;",
    "<b>&amp;</b>",
    "click c0 href \"x\"",
    "größe 数量 ;|{}()[]/\\",
];

#[test]
fn names_are_only_names() {
    let mut catalogue = Catalogue::new("nasty");
    for name in NASTY {
        let with = |kind: &str| format!("{kind}{name}");
        let events = [with("event "), "plain".to_owned()];
        let sends = [with("command "), with("sent ")];
        catalogue
            .sagas
            .push(SagaEntry::new(with("saga "), 1, events.clone(), sends));
        catalogue
            .handlers
            .push(HandlerEntry::new(name, [with("event ")]));
        let of_aggregate = [with("event "), with("unread ")];
        let aggregate = AggregateEntry::new(with("category "), of_aggregate);
        catalogue.aggregates.push(aggregate);
        let projection = ProjectionEntry::new(with("rows "), "rows", events);
        catalogue.projections.push(projection);
    }
    let mut json: serde_json::Value = serde_json::from_str(&catalogue.to_json().unwrap()).unwrap();
    let commands = NASTY.map(|name| {
        serde_json::json!({"name": format!("command {name}"), "handler": name, "layers": [], "one_at_a_time": true})
    });
    let queries = NASTY.map(
        |name| serde_json::json!({"name": format!("query {name}"), "handler": name, "layers": []}),
    );
    json["commands"] = commands.to_vec().into();
    json["queries"] = queries.to_vec().into();
    check(&Catalogue::from_json(&json.to_string()).unwrap());
    check(&built());
    check(&Catalogue::new("empty"));
}

/// Reads the drawing by a grammar of the few forms that it is made of, and finds all names and all arrows of the catalogue, and no others.
fn check(catalogue: &Catalogue) {
    let drawn = catalogue.to_mermaid();
    let mut lines = drawn.lines();
    assert_eq!(lines.next(), Some("flowchart LR"));
    let (mut nodes, mut arrows) = (BTreeMap::new(), BTreeSet::new());
    for line in lines {
        let line = line.strip_prefix("    ").unwrap();
        if let Some(quote) = line.find('"') {
            let letters = line.find(|c: char| !c.is_ascii_alphanumeric()).unwrap();
            let (id, open) = (&line[..letters], &line[letters..quote]);
            let (label, close) = line[quote + 1..].split_once('"').unwrap();
            let shape = [
                ("[", "]"),
                ("[/", "/]"),
                ("([", "])"),
                ("[(", ")]"),
                ("{{", "}}"),
                ("[[", "]]"),
                ("[\\", "\\]"),
            ];
            assert!(shape.contains(&(open, close)), "{line}");
            let kind = id.trim_end_matches(|c: char| c.is_ascii_digit());
            let node = (kind.to_owned(), decoded(label));
            assert!(nodes.insert(id.to_owned(), node).is_none(), "{line}");
        } else {
            let words: Vec<_> = line.split(' ').collect();
            let &[from, arrow, to] = words.as_slice() else {
                panic!("{line}");
            };
            assert!(["-->", "==>", "-.->"].contains(&arrow), "{line}");
            let (from, to) = (nodes[from].clone(), nodes[to].clone());
            assert!(arrows.insert((from, arrow.to_owned(), to)), "{line}");
        }
    }
    assert_eq!(arrows, expected(catalogue));
}

type Node = (String, String);

fn expected(catalogue: &Catalogue) -> BTreeSet<(Node, String, Node)> {
    let node = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
    let mut arrows = BTreeSet::new();
    let mut comes_from = |event: &String| {
        let of = catalogue.aggregates.iter();
        let of = of.filter(|aggregate| aggregate.events.contains(event));
        let mut from: Vec<_> = of.map(|aggregate| node("r", &aggregate.name)).collect();
        for category in &from {
            let log = (node("log", "log"), "-->".to_owned(), category.clone());
            arrows.insert(log);
        }
        if from.is_empty() {
            from.push(node("log", "log"));
        }
        for from in from {
            arrows.insert((from, "-->".to_owned(), node("e", event)));
        }
    };
    let aggregates = catalogue.aggregates.iter().flat_map(|entry| &entry.events);
    aggregates.for_each(&mut comes_from);
    let known = catalogue.events.iter().map(|entry| &entry.name);
    known.for_each(&mut comes_from);
    let read = catalogue.projections.iter().flat_map(|entry| &entry.events);
    let read = read.chain(catalogue.handlers.iter().flat_map(|entry| &entry.events));
    let read = read.chain(catalogue.sagas.iter().flat_map(|entry| &entry.events));
    read.for_each(&mut comes_from);
    let mut reads = |events: &[String], reader: Node| {
        for event in events {
            let event = node("e", event);
            arrows.insert((event, "-->".to_owned(), reader.clone()));
        }
    };
    for ProjectionEntry { name, events, .. } in &catalogue.projections {
        reads(events, node("p", name));
    }
    for HandlerEntry { name, events, .. } in &catalogue.handlers {
        reads(events, node("s", name));
    }
    for SagaEntry { name, events, .. } in &catalogue.sagas {
        reads(events, node("g", name));
    }
    for SagaEntry { name, sends, .. } in &catalogue.sagas {
        for command in sends {
            arrows.insert((node("g", name), "-.->".to_owned(), node("c", command)));
        }
    }
    for CommandEntry {
        name,
        handler,
        one_at_a_time,
        ..
    } in &catalogue.commands
    {
        let arrow = if *one_at_a_time { "==>" } else { "-->" };
        arrows.insert((node("c", name), arrow.to_owned(), node("h", handler)));
        let into = (node("h", handler), "-->".to_owned(), node("log", "log"));
        arrows.insert(into);
    }
    for QueryEntry { name, handler, .. } in &catalogue.queries {
        arrows.insert((node("q", name), "-->".to_owned(), node("a", handler)));
    }
    arrows
}

/// A label as a person sees it. Outside of character codes it holds nothing but letters, digits and underscores.
fn decoded(label: &str) -> String {
    let mut text = String::new();
    let mut rest = label;
    while let Some(c) = rest.chars().next() {
        if let Some(code) = rest.strip_prefix('#') {
            let (code, after) = code.split_once(';').unwrap();
            text.push(char::from_u32(code.parse().unwrap()).unwrap());
            rest = after;
        } else {
            assert!(c.is_alphanumeric() || c == '_', "{label}");
            text.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    assert!(!label.eq_ignore_ascii_case("end"));
    text
}
