//! Events of all shapes in a catalogue: their schemas, samples, fields, and the forms that they are written in.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uno_core::{Event, EventDescriptor, EventSet, SchemaVersion};

use super::{AggregateEntry, Catalogue, CommandEntry, EventEntry, HandlerEntry, fields};

/// Something of every kind was stored.
///
/// And more.
#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "all_stored", version = 3, formerly("everything_stored"), upcast(1 = |old| old, 2: AllV2))]
struct All {
    /// A | in a text,
    /// on two lines.
    text: String,
    small: u8,
    letter: char,
    pair: (i32, String),
    map: BTreeMap<String, Option<bool>>,
    /// Parts within parts.
    parts: Vec<Part>,
    way: Way,
    maybe: Option<Part>,
    #[serde(default)]
    added: u32,
    far: Far,
}

/// A part.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Part {
    /// How heavy it is.
    grams: f64,
    within: Vec<Self>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum Way {
    Plain,
    Named { by: String },
    Counted(u64),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "what", deny_unknown_fields)]
enum Far {
    Away(#[schemars(range(min = -90, max = -45))] i32),
    Home,
}

/// It had a count only.
#[derive(Serialize, Deserialize, JsonSchema)]
struct AllV2 {
    /// How many.
    count: i64,
}

impl From<AllV2> for All {
    fn from(old: AllV2) -> Self {
        Self {
            text: old.count.to_string(),
            small: 0,
            letter: 'a',
            pair: (0, String::new()),
            map: BTreeMap::new(),
            parts: Vec::new(),
            way: Way::Plain,
            maybe: None,
            added: 0,
            far: Far::Home,
        }
    }
}

/// A light was switched.
#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(deprecated = "lamps do it themselves")]
#[schemars(example = Switched::On)]
enum Switched {
    Off,
    On,
}

/// It has no schema.
#[derive(Event, Serialize, Deserialize)]
struct Bare {}

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::new("all");
    let events = ["all_stored", "switched"];
    catalogue
        .aggregates
        .push(AggregateEntry::new("thing", events));
    catalogue
        .handlers
        .push(HandlerEntry::new("a handler", ["all_stored", "bare"]));
    for events in [All::EVENTS, Switched::EVENTS, Bare::EVENTS, All::EVENTS] {
        catalogue.add_events(events);
    }
    catalogue
}

fn entry<E: Event>() -> EventEntry {
    EventEntry::of(&E::DESCRIPTOR)
}

#[test]
fn schemas_are_those_of_the_types_there_are() {
    let all = &All::DESCRIPTOR;
    let title = |of: &EventDescriptor, version| {
        let schema = of.schema(SchemaVersion::new(version))?;
        Some(schema["title"].as_str().unwrap().to_owned())
    };
    assert_eq!(title(all, 3).unwrap(), "All");
    assert_eq!(title(all, 2).unwrap(), "AllV2");
    // The step from there is a function, and says nothing of a type.
    assert_eq!(
        (title(all, 1), title(all, 4), title(all, 0)),
        (None, None, None)
    );
    assert_eq!(title(&Bare::DESCRIPTOR, 1), None);
    // What a later addition has made optional is not required.
    let schema = all.schema(SchemaVersion::new(3)).unwrap();
    let required = schema["required"].as_array().unwrap();
    assert!(!required.contains(&json!("added")) && required.contains(&json!("text")));
}

#[test]
fn samples_fit_their_schemas() {
    for entry in [entry::<All>(), entry::<Switched>(), entry::<Bare>()] {
        for version in entry.versions {
            assert_eq!(version.schema.is_some(), version.sample.is_some());
            if let (Some(schema), Some(sample)) = (version.schema, version.sample) {
                assert!(jsonschema::draft202012::meta::is_valid(&schema));
                let validator = jsonschema::draft202012::new(&schema).unwrap();
                let error = validator.validate(&sample).err();
                assert!(error.is_none(), "{sample}: {error:?}");
                let other = json!({ "other": 1 });
                assert!(!validator.is_valid(&other), "{schema}");
            }
        }
    }
    // The example of the type, and not the first of its values.
    assert_eq!(entry::<Switched>().versions[0].sample, Some(json!("On")));
    // It is an event, and not only something that fits.
    let sample = entry::<All>().versions[2].sample.clone().unwrap();
    let all: All = serde_json::from_value(sample).unwrap();
    assert_eq!(all.pair.1, "text");
}

#[test]
fn fields_are_told_with_those_within_them() {
    let schema = entry::<All>().versions[2].schema.clone().unwrap();
    let fields = fields::of(&schema);
    let told = |path: &str| {
        let field = fields.iter().find(|field| field.path == path);
        let field = field.unwrap_or_else(|| panic!("{path}"));
        (field.kind.as_str(), field.required, field.doc.as_str())
    };
    assert_eq!(
        told("text"),
        ("string", true, "A | in a text,\non two lines.")
    );
    assert_eq!(told("small"), ("integer (uint8)", true, ""));
    assert_eq!(told("added"), ("integer (uint32)", false, ""));
    assert_eq!(
        told("parts"),
        ("array of object", true, "Parts within parts.")
    );
    assert_eq!(
        told("parts[].grams"),
        ("number (double)", true, "How heavy it is.")
    );
    assert_eq!(told("maybe"), ("object or null", false, "A part."));
    assert_eq!(told("way"), ("\"Plain\" or object", true, ""));
}

#[test]
fn who_publishes_and_who_handles_is_found_out() {
    let mut catalogue = catalogue();
    catalogue.commands.push(CommandEntry {
        name: "store".to_owned(),
        handler: "Storer".to_owned(),
        layers: Vec::new(),
        one_at_a_time: true,
        aggregate: Some("thing".to_owned()),
    });
    catalogue.complete();
    let parts = |parts: &[super::PartRef]| {
        let parts = parts
            .iter()
            .map(|part| format!("{} {}", part.kind, part.name));
        parts.collect::<Vec<_>>().join(", ")
    };
    let names: Vec<_> = catalogue.events.iter().map(|event| &*event.name).collect();
    assert_eq!(names, ["all_stored", "bare", "switched"]);
    let [all, bare, switched] = &catalogue.events[..] else {
        panic!("{names:?}")
    };
    assert_eq!(parts(&all.published_by), "aggregate thing, command store");
    assert_eq!(parts(&all.handled_by), "handler a handler");
    assert_eq!(parts(&bare.published_by), "");
    assert_eq!(parts(&bare.handled_by), "handler a handler");
    assert_eq!(parts(&switched.handled_by), "");
    let json = catalogue.to_json().unwrap();
    assert_eq!(Catalogue::from_json(&json).unwrap(), catalogue);
}

#[test]
fn the_page_keeps_within_its_tables() {
    let page = catalogue().to_markdown();
    for wanted in [
        "| [`all_stored`](#all_stored) | 3 | Something of every kind was stored. | aggregate `thing` | handler `a handler` |",
        "| [`switched`](#switched) (deprecated) | 1 | A light was switched. | aggregate `thing` | nobody that is known |",
        "**Deprecated**: lamps do it themselves",
        "Formerly `everything_stored`.",
        "| `text` | string |  | A \\| in a text, on two lines. |",
        "| `added` | integer (uint32) | optional |  |",
        "### all_stored version 2\n",
        "| `count` | integer (int64) |  | How many. |",
    ] {
        assert!(page.contains(wanted), "{wanted} in {page}");
    }
    // As many cells in every line of a table as in the one above it.
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    let lines: Vec<_> = page.lines().collect();
    for pair in lines
        .windows(2)
        .filter(|pair| pair.iter().all(|line| line.starts_with('|')))
    {
        assert_eq!(cells(pair[0]), cells(pair[1]), "{pair:?}");
    }
}

#[test]
fn the_asyncapi_document_has_schemas_of_draft_7() {
    let document = catalogue().to_asyncapi("2.1.0").unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["info"]["version"], "2.1.0");
    let text = document.to_string();
    assert!(
        !text.contains("$defs") && !text.contains("prefixItems"),
        "{text}"
    );
    let keys = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&document["channels"]), ["elsewhere", "thing"]);
    assert_eq!(
        keys(&document["operations"]),
        [
            "aggregate.thing",
            "handler.a_20_handler.elsewhere",
            "handler.a_20_handler.thing"
        ]
    );
    // What is not recorded any more is not sent, and nothing is in a version of before.
    let sent = &document["operations"]["aggregate.thing"]["messages"];
    assert_eq!(
        *sent,
        json!([{ "$ref": "#/channels/thing/messages/all_stored.v3" }])
    );
    let messages = &document["components"]["messages"];
    assert_eq!(messages["switched.v1"]["tags"][0]["name"], "deprecated");
    assert_eq!(
        messages["all_stored.v2"]["tags"][0]["name"],
        "former version"
    );
    assert_eq!(
        messages["all_stored.v3"]["x-former-names"],
        json!(["everything_stored"])
    );
    assert_eq!(messages["bare.v1"].get("payload"), None);
    let mut checked = 0;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(
            jsonschema::draft7::meta::is_valid(schema),
            "{name}: {schema}"
        );
        let mut root = schema.clone();
        root["components"] = document["components"].clone();
        let validator = jsonschema::draft7::new(&root).unwrap();
        let sample = &messages[name]["examples"][0]["payload"];
        assert!(validator.is_valid(sample), "{name}: {sample} {schema}");
        let other = json!({ "other": 1 });
        assert!(!validator.is_valid(&other), "{name}: {schema}");
        if let Some([number, text]) = sample["pair"].as_array().map(Vec::as_slice) {
            let mut odd = sample.clone();
            odd["pair"] = json!([text, number]);
            assert!(!validator.is_valid(&odd), "{name}");
        }
        checked += 1;
    }
    assert_eq!(checked, 3);
}

#[test]
fn the_check_tells_faults_from_warnings() {
    /// A part is there.
    #[derive(Event, Serialize, Deserialize, JsonSchema)]
    struct PartOrder {
        grams: u32,
    }
    #[derive(Event, Serialize, Deserialize)]
    struct Moved {}

    let mut catalogue = Catalogue::new("odd");
    catalogue.add_events(PartOrder::EVENTS);
    catalogue.add_events(Moved::EVENTS);
    let found = catalogue.check();
    assert_eq!(
        found.faults(),
        ["moved has no doc comment: say what it tells"]
    );
    let [schema, name, field] = found.warnings() else {
        panic!("{found}")
    };
    assert!(
        schema.starts_with("moved version 1 has no schema"),
        "{found}"
    );
    assert!(
        name.starts_with("part_order has no word in the past tense"),
        "{found}"
    );
    assert_eq!(field, "field grams of part_order has no doc comment");
    assert!(
        found.to_string().starts_with("1 faults and 3 warnings"),
        "{found}"
    );
}
