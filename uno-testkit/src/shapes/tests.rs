//! What is kept, what is taken in, and what is not.

use std::{collections::BTreeMap, fs, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::TempDir;
use uno_core::{Decoder, Event, EventPart, EventSet as _, SchemaVersion};
use uno_cqrs::Catalogue;

use super::{
    EventShapes,
    notation::{of_schema, to_schema},
};

/// With every kind of field.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone)]
struct Placed {
    order: String,
    cents: i64,
    note: Option<String>,
    form: Form,
    lines: Vec<Line>,
    rates: BTreeMap<String, f64>,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone)]
enum Form {
    Plain,
    Gift { to: String },
}

#[derive(Serialize, Deserialize, JsonSchema, Clone)]
struct Line(String, u32);

fn placed() -> Placed {
    Placed {
        order: "a".into(),
        cents: 1999,
        note: None,
        form: Form::Gift { to: "b".into() },
        lines: vec![Line("cd".into(), 2)],
        rates: [("vat".into(), 0.25)].into(),
    }
}

/// A folder in which [`Placed`] is locked.
fn locked() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    EventShapes::new()
        .of([placed()])
        .check(folder.path(), true)
        .unwrap();
    EventShapes::new()
        .of([placed()])
        .check(folder.path(), false)
        .unwrap();
    folder
}

fn faults(shapes: &EventShapes, folder: &Path, write: bool) -> Vec<String> {
    shapes
        .check(folder, write)
        .err()
        .map_or_else(Vec::new, |faults| faults.faults().to_vec())
}

/// One fault, which says this.
#[track_caller]
fn check(shapes: &EventShapes, folder: &Path, write: bool, expected: &str) {
    let found = faults(shapes, folder, write);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains(expected), "{}", found[0]);
}

fn text(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap()
}

#[test]
fn what_is_kept_reads_well() {
    let folder = locked();
    let lock: serde_json::Value =
        serde_json::from_str(&text(folder.path(), "events.lock.json")).unwrap();
    let form =
        json!({ "$one_of": [{ "$closed": true, "Gift": { "to": "text" } }, { "$is": "Plain" }] });
    assert_eq!(
        lock,
        json!({ "format": 1, "events": { "placed": { "1": {
            "cents": "integer",
            "form": form,
            "lines": [{ "$tuple": ["text", "integer"] }],
            "note?": { "$one_of": ["null", "text"] },
            "order": "text",
            "rates": { "$map": "number" },
        } } } })
    );
    let stored = r#"{"order":"a","cents":1999,"note":null,"form":{"Gift":{"to":"b"}},"lines":[["cd",2]],"rates":{"vat":0.25}}"#;
    assert_eq!(
        text(folder.path(), "placed.1.txt"),
        format!("{stored}\n  -> 1. placed 1 {stored}\n")
    );
}

mod changed {
    use super::*;

    /// An optional field more.
    #[derive(Event, Serialize, Deserialize, JsonSchema)]
    #[event(name = "placed")]
    pub(super) struct OneMore {
        pub(super) order: String,
        pub(super) cents: i64,
        pub(super) note: Option<String>,
        pub(super) form: Form,
        pub(super) lines: Vec<Line>,
        pub(super) rates: BTreeMap<String, f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) coupon: Option<String>,
    }

    /// A field of another kind, and one that is gone.
    #[derive(Event, Serialize, Deserialize, JsonSchema)]
    #[event(name = "placed")]
    pub(super) struct Otherwise {
        pub(super) order: u64,
        pub(super) cents: i64,
    }

    /// The same with a version.
    #[derive(Event, Serialize, Deserialize, JsonSchema)]
    #[event(name = "placed", version = 2, upcast(1: Placed))]
    pub(super) struct Second {
        pub(super) cents: i64,
    }

    impl From<Placed> for Second {
        fn from(old: Placed) -> Self {
            Self { cents: old.cents }
        }
    }

    /// The same, but the step was changed.
    #[derive(Event, Serialize, Deserialize, JsonSchema)]
    #[event(name = "placed", version = 2, upcast(1 = |old| json!({ "cents": old["cents"].as_i64().map(|cents| cents + 1) })))]
    pub(super) struct Mistaken {
        pub(super) cents: i64,
    }

    #[derive(Event, Serialize, Deserialize, JsonSchema)]
    #[event(name = "placed", version = 4, upcast(1 = |old| old, 2 = |old| old, 3 = |old| old))]
    pub(super) struct Fourth {}

    /// Written otherwise than the schema says.
    #[derive(Event, Deserialize, JsonSchema)]
    pub(super) struct Lying {
        pub(super) cents: i64,
    }

    impl Serialize for Lying {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            json!({ "cents": self.cents.to_string() }).serialize(serializer)
        }
    }
}

#[test]
fn a_compatible_change_is_taken_in_when_it_is_asked_for() {
    let folder = locked();
    let Placed {
        order,
        cents,
        note,
        form,
        lines,
        rates,
    } = placed();
    let more = changed::OneMore {
        order,
        cents,
        note,
        form,
        lines,
        rates,
        coupon: None,
    };
    let shapes = EventShapes::new().of([more]);
    let before = text(folder.path(), "events.lock.json");
    check(
        &shapes,
        folder.path(),
        false,
        "old and new code can both live with: optional field `coupon` was added",
    );
    assert_eq!(text(folder.path(), "events.lock.json"), before);
    assert_eq!(faults(&shapes, folder.path(), true), [""; 0]);
    assert_eq!(faults(&shapes, folder.path(), false), [""; 0]);
    // And back is not.
    let back = EventShapes::new().of([placed()]);
    check(
        &back,
        folder.path(),
        true,
        "has changed: field `coupon` is gone",
    );
}

#[test]
fn a_change_that_breaks_needs_a_version() {
    let folder = locked();
    let before = text(folder.path(), "events.lock.json");
    let before_it = text(folder.path(), "placed.1.txt");
    let otherwise = changed::Otherwise {
        order: 7,
        cents: 1999,
    };
    let shapes = EventShapes::new().of([otherwise]);
    for write in [false, true] {
        let found = faults(&shapes, folder.path(), write);
        assert!(found[0].starts_with(
            "the stored shape of placed version 1 has changed: field `form` is gone; field `lines` is gone; field `note` is gone; \
             field `rates` is gone; field `order` was text and is integer. Events of that version are stored already. Give the new \
             shape version 2, `#[event(version = 2, upcast(1: Old))]`"
        ), "{}", found[0]);
        assert_eq!(
            text(folder.path(), "events.lock.json"),
            before,
            "it is not written over"
        );
    }
    // With one, all is well, and what is stored is still read.
    let second = || EventShapes::new().of([changed::Second { cents: 5 }]);
    let found = faults(&second(), folder.path(), false);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("placed version 2 is not in the lock file yet"));
    assert!(
        found[1].contains("is read as has a new version"),
        "{}",
        found[1]
    );
    second().check(folder.path(), true).unwrap();
    second().check(folder.path(), false).unwrap();
    let stored = text(folder.path(), "placed.1.txt");
    let (kept, read) = stored.split_once('\n').unwrap();
    assert!(before_it.starts_with(kept), "byte for byte");
    assert_eq!(read, "  -> 1. placed 2 {\"cents\":1999}\n");
    // A step that is changed later changes what is stored.
    let mistaken = EventShapes::new().of([changed::Mistaken { cents: 5 }]);
    check(&mistaken, folder.path(), true, "have changed their meaning");
    // And a version never goes back.
    let back = EventShapes::new().of([placed()]);
    let found = faults(&back, folder.path(), true);
    assert!(found[0].contains("a version never goes back"), "{found:#?}");
}

#[test]
fn a_version_that_was_never_kept_is_noticed() {
    let folder = locked();
    let shapes = EventShapes::new().of([changed::Fourth {}]);
    check(
        &shapes,
        folder.path(),
        true,
        "of version 2 no stored event is kept",
    );
}

#[test]
fn stored_events_are_kept() {
    let folder = locked();
    let shapes = EventShapes::new().of([placed()]);
    fs::remove_file(folder.path().join("placed.1.txt")).unwrap();
    check(
        &shapes,
        folder.path(),
        false,
        "which is not among the stored events",
    );
    let second = EventShapes::new().of([changed::Second { cents: 5 }]);
    check(
        &second,
        folder.path(),
        true,
        "no stored event of placed version 1 is kept",
    );
    let none = EventShapes::new().of::<Placed>([]);
    let empty = tempfile::tempdir().unwrap();
    check(&none, empty.path(), true, "there is no sample of placed");
}

#[test]
fn a_schema_that_is_not_that_of_what_is_stored_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let shapes = EventShapes::new().of([changed::Lying { cents: 5 }]);
    check(
        &shapes,
        folder.path(),
        true,
        "not as the lock file says: look at lying.cents",
    );
}

#[test]
fn names_that_are_gone_must_be_accounted_for() {
    let folder = locked();
    check(
        &EventShapes::new(),
        folder.path(),
        true,
        "placed was stored, and is no event any more",
    );
    let reads = |decoder| {
        fs::write(
            folder.path().join("placed.1.txt"),
            text(folder.path(), "placed.1.txt").lines().next().unwrap(),
        )
        .unwrap();
        let second = EventShapes::new().decoder(decoder).of([Now { cents: 1 }]);
        second.check(folder.path(), true).unwrap();
        second.check(folder.path(), false).unwrap();
        let read = text(folder.path(), "placed.1.txt");
        let lines: Vec<String> = read.lines().skip(1).map(str::to_owned).collect();
        lines
    };
    let builder = || Decoder::builder().events::<Now>();
    let retired = builder().retire("placed", "no more").build().unwrap();
    assert_eq!(reads(retired), ["  -> nothing"]);
    let split = |old: serde_json::Value| {
        let part = EventPart::new(
            "now",
            SchemaVersion::FIRST,
            json!({ "cents": old["cents"] }),
        );
        Ok(vec![part.clone(), part])
    };
    let split = builder()
        .split("placed", 1, [("now", 1)], split)
        .build()
        .unwrap();
    assert_eq!(
        reads(split),
        [
            r#"  -> 1. now 1 {"cents":1999}"#,
            r#"  -> 2. now 1 {"cents":1999}"#
        ]
    );
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
struct Now {
    cents: i64,
}

/// A version whose type is gone has a schema that says what the lock file says, and a sample that was stored.
#[test]
fn a_catalogue_is_completed_with_what_is_kept() {
    #[derive(Event, Serialize, Deserialize, JsonSchema)]
    #[event(name = "placed", version = 2, upcast(1 = |old| json!({ "cents": old["cents"] })))]
    struct Second {
        cents: i64,
    }

    let folder = locked();
    let shapes = EventShapes::new().of([Second { cents: 5 }]);
    shapes.check(folder.path(), true).unwrap();
    let mut catalogue = Catalogue::new("shop");
    catalogue.add_events(Second::EVENTS);
    assert_eq!(catalogue.events[0].versions[0].schema, None);
    shapes.complete(&mut catalogue, folder.path()).unwrap();

    let [first, second] = &catalogue.events[0].versions[..] else {
        panic!("{catalogue:?}")
    };
    let lock: serde_json::Value =
        serde_json::from_str(&text(folder.path(), "events.lock.json")).unwrap();
    let schema = first.schema.as_ref().unwrap();
    assert_eq!(of_schema(schema), lock["events"]["placed"]["1"]);
    assert_eq!(schema["title"], "placed version 1");
    assert_eq!(first.sample, Some(serde_json::to_value(placed()).unwrap()));
    // The type that there is knows more than the lock file, and keeps its own.
    assert_eq!(second.schema.as_ref().unwrap()["title"], "Second");
    assert_eq!(second.sample, Some(json!({ "cents": 5 })));

    fs::write(folder.path().join("events.lock.json"), "{}").unwrap();
    let faults = shapes.complete(&mut catalogue, folder.path()).unwrap_err();
    assert_eq!(faults.faults(), ["its format is not 1"]);
}

/// A shape is written as a schema that has this shape.
#[test]
fn a_schema_says_what_the_shape_says() {
    for shape in [
        json!("text"),
        json!("integer"),
        json!("number"),
        json!("bool"),
        json!("null"),
        json!("any"),
        json!({ "$is": "Plain" }),
        json!(["text"]),
        json!({ "$tuple": ["text", { "$map": "number" }] }),
        json!({ "$one_of": ["null", "text"] }),
        json!({ "a": "text", "b?": { "c": ["integer"] } }),
        json!({ "$closed": true, "a?": "any" }),
        json!({}),
    ] {
        assert_eq!(of_schema(&to_schema(&shape)), shape);
    }
}
