//! Events that can't be read: each is an error that says which one, and never an empty event.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uno_core::{
    BoxError, DecodeError, Decoder, Event, EventPart, EventSet, Payload, Position, RecordedEvent,
    SchemaVersion, Version,
};

use super::shop::{ShopEvent, old};

fn fails(_: Value) -> Result<Value, BoxError> {
    Err("as asked".into())
}

/// A type that panics when it is moved up.
#[derive(Serialize, Deserialize)]
struct PanickyV1 {
    n: u32,
}

impl From<PanickyV1> for Panicky {
    fn from(old: PanickyV1) -> Self {
        assert_ne!(old.n, 13, "an unlucky number");
        Self { n: old.n }
    }
}

#[derive(Event, Serialize, Deserialize, Debug)]
#[event(version = 2, upcast(1: PanickyV1))]
struct Panicky {
    n: u32,
}

#[derive(Event, Serialize, Deserialize, Debug)]
#[event(version = 4, upcast(1 = fails, 2 = |_| -> Value { panic!("oh no, {}", 2) }), upcast_elsewhere)]
struct Fragile {}

#[derive(EventSet, Debug)]
enum Fragiles {
    Panicky(Panicky),
    Fragile(Fragile),
}

fn decoder() -> Decoder {
    let mistaken = |_| {
        Ok(vec![EventPart::new(
            "fragile",
            SchemaVersion::new(4),
            json!({}),
        )])
    };
    Decoder::builder()
        .events::<Fragiles>()
        .upcast("fragile", 3, |_| Ok(json!([1])))
        .split("mistaken", 1, [("fragile", 3)], mistaken)
        .split("failing", 1, [("fragile", 4)], |_| Err("no way".into()))
        .split("panicking", 1, [("fragile", 4)], |_| panic!("at last"))
        .build()
        .unwrap()
}

fn record(name: &'static str, version: u32, payload: &str) -> Arc<RecordedEvent> {
    let event = old(name, version, &Value::Null);
    let event = uno_core::NewEvent::from_payload(
        event.name().clone(),
        event.schema_version(),
        Payload::from_stored(payload),
    );
    Arc::new(RecordedEvent::record(
        &event,
        "thing-7".parse().unwrap(),
        Version::new(3).unwrap(),
        Position::new(9).unwrap(),
        "2026-01-01T00:00:00Z".parse().unwrap(),
    ))
}

/// The error and its causes, in one line.
fn chain(error: &DecodeError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[test]
fn each_fault_says_which_event_it_is_about() {
    let check = |name, version, payload: &str, expected: &str| {
        let record = record(name, version, payload);
        for error in [
            decoder().decode_all::<Fragiles>(&record).unwrap_err(),
            decoder().decode_matching::<Fragiles>(&record).unwrap_err(),
            decoder().decode::<Fragiles>(&record).unwrap_err(),
        ] {
            let place = format!(
                "event {name} version {version} at position 9, the one with version 3 in stream thing-7, "
            );
            let text = chain(&error);
            assert_eq!(text.strip_prefix(&place), Some(expected), "{text}");
            let fault = error.fault();
            assert_eq!(
                (fault.id(), fault.position()),
                (record.id(), error.position())
            );
            assert_eq!(
                (fault.version(), fault.stream()),
                (record.version(), record.stream())
            );
            assert_eq!(
                (fault.name(), fault.schema_version()),
                (record.name(), record.schema_version())
            );
        }
    };
    check("unheard_of", 1, "{}", "is unknown");
    check(
        "fragile",
        5,
        "{}",
        "was written by newer code; this code knows version 4",
    );
    check(
        "fragile",
        0,
        "{}",
        "can't be raised: no upcaster starts from version 0 of fragile",
    );
    check(
        "fragile",
        1,
        "{}",
        "can't be raised from version 1 of fragile: as asked",
    );
    check(
        "fragile",
        2,
        "{}",
        "can't be raised from version 2 of fragile: the step panicked: oh no, 2",
    );
    check(
        "fragile",
        3,
        "{}",
        "is malformed: invalid length 0, expected struct Fragile with 0 elements"
            .replace(
                "invalid length 0, expected struct Fragile with 0 elements",
                "invalid length 1, expected fewer elements in array",
            )
            .as_str(),
    );
    check(
        "fragile",
        4,
        "[",
        "is malformed: EOF while parsing a list at line 1 column 1",
    );
    check(
        "fragile",
        2,
        "[",
        "is malformed: EOF while parsing a list at line 1 column 1",
    );
    check(
        "panicky",
        1,
        r#"{"n":13}"#,
        "can't be raised from version 1 of panicky: the step panicked: assertion `left != right` failed: an unlucky number\n  left: 13\n right: 13",
    );
    check(
        "panicky",
        1,
        "{}",
        "can't be raised from version 1 of panicky: missing field `n` at line 1 column 2",
    );
    check(
        "panicky",
        2,
        "null",
        "is malformed: invalid type: null, expected struct Panicky at line 1 column 4",
    );
    check(
        "mistaken",
        1,
        "{}",
        "can't be raised from version 1 of mistaken: the split has returned fragile version 4, which it has not declared",
    );
    check("mistaken", 2, "{}", "is unknown");
    check(
        "failing",
        1,
        "{}",
        "can't be raised from version 1 of failing: no way",
    );
    check(
        "panicking",
        1,
        "{}",
        "can't be raised from version 1 of panicking: the step panicked: at last",
    );
    check(
        "failing",
        1,
        "{]",
        "can't be raised from version 1 of failing: key must be a string at line 1 column 2",
    );
}

/// A chain that nobody knows the rest of, with a decoder that was not told of the type.
#[test]
fn a_missing_step_is_found_when_it_is_needed() {
    let record = record("given_up", 1, "{}");
    let error = Decoder::new().decode::<ShopEvent>(&record).unwrap_err();
    assert!(
        matches!(&error, DecodeError::NoUpcaster { from, .. } if from.get() == 1),
        "{error}"
    );
}
