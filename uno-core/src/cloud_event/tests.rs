//! There and back, for any event; and what can't be taken.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use proptest::{collection, option, prelude::*, sample::select};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{CloudEvent, CloudEventError};
use crate::{
    CorrelationId, EventId, EventName, Metadata, Payload, Position, RecordedEvent, RecordedParts,
    SchemaVersion, StreamId, Version,
};

const SOURCE: &str = "https://shop.example/orders?log=1#a%20b";

/// Any text, with the characters that CloudEvents forbids, those that are escaped, and all others.
fn text() -> impl Strategy<Value = String> {
    let special = select(vec![
        '%',
        '"',
        '\\',
        '\n',
        '\0',
        '\u{7f}',
        '\u{85}',
        '\u{fdd0}',
        '\u{ffff}',
        '\u{10fffe}',
        ' ',
        '|',
        'é',
        '数',
    ]);
    let character = prop_oneof![any::<char>(), special, prop::char::range('a', 'z')];
    collection::vec(character, 0..12).prop_map(String::from_iter)
}

fn key() -> impl Strategy<Value = String> {
    let key = text().prop_map(|text| text.chars().filter(|c| !c.is_control()).collect::<String>());
    key.prop_filter("a key is not empty", |key| !key.is_empty())
}

fn payload() -> impl Strategy<Value = Payload> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(|text| Value::from(text.replace('\0', ""))),
    ];
    let tree = leaf.prop_recursive(3, 16, 4, |inner| {
        let field = text().prop_map(|text| text.replace('\0', ""));
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            collection::btree_map(field, inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    let white = || select(vec!["", " ", "\n\t", "\r\n "]);
    (tree, any::<bool>(), white(), white()).prop_map(|(tree, pretty, before, after)| {
        let json = if pretty {
            format!("{tree:#}")
        } else {
            tree.to_string()
        };
        Payload::from_json(format!("{before}{json}{after}")).unwrap()
    })
}

/// A time from 0001 to 9999, in whole microseconds.
fn time() -> impl Strategy<Value = DateTime<Utc>> {
    (-62_135_596_800_000_000_i64..253_402_300_800_000_000)
        .prop_map(|micros| DateTime::from_timestamp_micros(micros).unwrap())
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let traces = select(vec![
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ]);
    let headers = collection::btree_map(text(), text(), 0..4);
    let texts = (option::of(text()), option::of(text()));
    (
        option::of(uuid()),
        (option::of(uuid()), option::of(uuid())),
        texts,
        option::of(traces),
        headers,
    )
        .prop_map(
            |(correlation, (causation, causing), (actor, tenant), trace, headers)| {
                let mut metadata = Metadata::new().with_headers(headers);
                if let Some(id) = correlation {
                    metadata = metadata.with_correlation_id(CorrelationId::from_uuid(id));
                }
                if let Some(id) = causation {
                    metadata = metadata.with_causation_id(id);
                }
                if let Some(id) = causing {
                    metadata = metadata.with_causing_event(EventId::from_uuid(id));
                }
                if let Some(actor) = actor {
                    metadata = metadata.with_actor(actor);
                }
                if let Some(tenant) = tenant {
                    metadata = metadata.with_tenant(tenant);
                }
                if let Some(trace) = trace {
                    metadata = metadata.with_traceparent(trace.parse().unwrap());
                }
                metadata
            },
        )
}

fn recorded() -> impl Strategy<Value = RecordedEvent> {
    let place = || prop_oneof![0..9_u64, Just(i64::MAX as u64), 0..=i64::MAX as u64];
    let names = select(vec!["a", "order_placed", "shop.order_placed2"]);
    let places = (place(), place(), 1..=u32::MAX);
    let tags = collection::vec(text().prop_map(Arc::from), 0..3);
    (
        uuid(),
        key(),
        places,
        names,
        payload(),
        (time(), time()),
        metadata(),
        tags,
    )
        .prop_map(
            |(id, key, (version, position, schema), name, payload, times, metadata, tags)| {
                RecordedEvent::from_parts(RecordedParts {
                    id: EventId::from_uuid(id),
                    stream: StreamId::new("shop.order", key).unwrap(),
                    version: Version::new(version).unwrap(),
                    position: Position::new(position).unwrap(),
                    name: EventName::new(name).unwrap(),
                    schema_version: SchemaVersion::new(schema),
                    payload,
                    occurred_at: times.0,
                    recorded_at: times.1,
                    metadata,
                    tags,
                })
            },
        )
}

proptest! {
    #[test]
    fn an_event_comes_back_from_structured_mode(event in recorded()) {
        let out = CloudEvent::from_recorded(&event, SOURCE).unwrap();
        let json = out.to_json().unwrap();
        let back = CloudEvent::from_json(&json).unwrap();
        prop_assert_eq!(&back, &out);
        prop_assert_eq!(back.to_recorded().unwrap(), event);
        prop_assert_eq!(back.to_json().unwrap(), json);
    }

    #[test]
    fn an_event_comes_back_from_binary_mode(event in recorded()) {
        let out = CloudEvent::from_recorded(&event, SOURCE).unwrap();
        let headers = out.to_headers();
        for (name, value) in &headers {
            let plain = |b: u8| b.is_ascii_graphic();
            prop_assert!(name.bytes().chain(value.bytes()).all(plain), "{}: {}", name, value);
        }
        let back = CloudEvent::from_headers(headers, out.data().unwrap().as_str()).unwrap();
        prop_assert_eq!(&back, &out);
        prop_assert_eq!(back.to_recorded().unwrap(), event);
    }

    /// Names and texts are such as the standard allows.
    #[test]
    fn attributes_are_as_the_standard_says(event in recorded()) {
        let out = CloudEvent::from_recorded(&event, SOURCE).unwrap();
        for name in out.attributes() {
            let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            prop_assert!(name.bytes().all(valid) && name.len() <= 20, "{}", name);
            let text = out.attribute(name).unwrap();
            for c in text.chars() {
                let code = u32::from(c);
                let forbidden = code < 0x20 || (0x7f..=0x9f).contains(&code)
                    || (0xfdd0..=0xfdef).contains(&code) || code % 0x10000 >= 0xfffe;
                prop_assert!(!forbidden, "{} has {:?}", name, c);
            }
        }
        // Positions sort as texts do.
        prop_assert_eq!(out.attribute("sequence").unwrap().len(), 19);
    }
}

fn sample() -> RecordedEvent {
    RecordedEvent::from_parts(RecordedParts {
        id: EventId::from_uuid(Uuid::from_u128(7)),
        stream: "order-1742".parse().unwrap(),
        version: Version::new(3).unwrap(),
        position: Position::new(4711).unwrap(),
        name: EventName::new("order_placed").unwrap(),
        schema_version: SchemaVersion::new(2),
        payload: Payload::from_json(r#"{"total": 1.50}"#).unwrap(),
        occurred_at: "2026-01-31T12:00:00.000001Z".parse().unwrap(),
        recorded_at: "2026-01-31T12:00:01Z".parse().unwrap(),
        metadata: Metadata::new()
            .with_correlation_id(CorrelationId::from_uuid(Uuid::from_u128(8)))
            .with_causation_id(Uuid::from_u128(9))
            .with_causing_event(EventId::from_uuid(Uuid::from_u128(10)))
            .with_actor("ada 100%")
            .with_tenant("north")
            .with_header("Reply-To", "ada\n"),
        tags: vec!["customer-7".into()],
    })
}

/// What others read: it stays as it is.
#[test]
fn the_json_is_as_it_was() {
    let out = CloudEvent::from_recorded(&sample(), "/orders").unwrap();
    let expected = concat!(
        r#"{"actor":"ada 100%25","causationid":"00000000-0000-0000-0000-000000000009","#,
        r#""causingevent":"00000000-0000-0000-0000-00000000000a","#,
        r#""correlationid":"00000000-0000-0000-0000-000000000008","datacontenttype":"application/json","#,
        r#""headers":"{\"Reply-To\":\"ada\\n\"}","id":"00000000-0000-0000-0000-000000000007","#,
        r#""recordedtime":"2026-01-31T12:00:01Z","schemaversion":"2","sequence":"0000000000000004711","#,
        r#""source":"/orders","specversion":"1.0","streamversion":"3","subject":"order-1742","#,
        r#""tags":"[\"customer-7\"]","tenant":"north","time":"2026-01-31T12:00:00.000001Z","#,
        r#""type":"order_placed","data":{"total": 1.50}}"#,
    );
    assert_eq!(out.to_json().unwrap(), expected);
    assert_eq!(
        CloudEvent::from_json(expected)
            .unwrap()
            .to_recorded()
            .unwrap(),
        sample()
    );
}

/// An event of somebody else is read, and is no recorded one.
#[test]
fn what_others_send_is_read() {
    let text = r#" {"specversion":"1.0","type":"com.example.Thing","source":"//x","id":"A-1","more":7,"flag":true,"gone":null,"data":null} "#;
    let event = CloudEvent::from_json(text).unwrap();
    assert_eq!(event.attribute("more").unwrap(), "7");
    assert_eq!(event.attribute("flag").unwrap(), "true");
    assert_eq!(event.attribute("gone"), None);
    assert_eq!(event.data().unwrap().as_str(), "null");
    assert_eq!(
        CloudEvent::from_json(&event.to_json().unwrap()).unwrap(),
        event
    );
    assert!(event.to_recorded().is_err());

    let headers = [
        ("CE-SpecVersion", "1.0"),
        ("ce-type", "\"quoted \\\"type\\\"\""),
        ("ce-source", "/x"),
        ("ce-id", "Euro%20%E2%82%AC"),
        ("Content-Type", "application/vnd.thing+json; charset=utf-8"),
        ("accept", "*/*"),
    ];
    let event = CloudEvent::from_headers(headers, "").unwrap();
    assert_eq!(event.attribute("id").unwrap(), "Euro €");
    assert_eq!(event.attribute("type").unwrap(), "quoted \"type\"");
    assert_eq!((event.data(), event.attributes().count()), (None, 5));
}

fn with(name: &str, value: Value) -> Result<RecordedEvent, CloudEventError> {
    let json = CloudEvent::from_recorded(&sample(), "/orders")
        .unwrap()
        .to_json()
        .unwrap();
    let mut json: BTreeMap<String, Value> = serde_json::from_str(&json).unwrap();
    if value.is_null() && name != "data" {
        json.remove(name);
    } else {
        json.insert(name.to_owned(), value);
    }
    CloudEvent::from_json(&serde_json::to_string(&json).unwrap())?.to_recorded()
}

#[test]
fn what_is_wrong_names_the_attribute() {
    let check = |name: &str, value: Value| {
        let error = with(name, value.clone()).expect_err(name);
        assert_eq!(error.attribute(), Some(name), "{value}: {error}");
        assert!(error.to_string().contains(name), "{error}");
        error
    };
    for name in [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "recordedtime",
        "sequence",
        "streamversion",
        "schemaversion",
    ] {
        let error = check(name, Value::Null);
        assert!(matches!(error, CloudEventError::Missing { .. }), "{error}");
        let error = check(name, json!(""));
        assert!(matches!(error, CloudEventError::Invalid { .. }), "{error}");
        for odd in [
            json!([]),
            json!({}),
            json!(1.5),
            json!(3_000_000_000_u64),
            json!("a\nb"),
            json!("\u{ffff}"),
        ] {
            check(name, odd);
        }
    }
    for (name, value) in [
        ("specversion", "0.3"),
        ("source", "not a uri"),
        ("source", "/a%2"),
        ("id", "7"),
        ("type", "OrderPlaced"),
        ("subject", "order"),
        ("subject", "order-%"),
        ("subject", "order-%0A"),
        ("subject", "order-%FF"),
        ("time", "yesterday"),
        ("recordedtime", "2026-13-01T00:00:00Z"),
        ("sequence", "-1"),
        ("sequence", "+1"),
        ("sequence", "9223372036854775808"),
        ("streamversion", "99999999999999999999"),
        ("schemaversion", "0"),
        ("schemaversion", "4294967296"),
        ("correlationid", "x"),
        ("causationid", "x"),
        ("causingevent", "x"),
        ("traceparent", "00-0-0-0"),
        ("actor", "%zz"),
        ("tenant", "%"),
        ("headers", "[]"),
        ("headers", "{\"a\":1}"),
        ("tags", "{}"),
        ("tags", "[1]"),
        ("datacontenttype", "text/xml"),
        ("datapadding", "x"),
        ("datapadding", "x|"),
        ("Upper", "x"),
        ("under_score", "x"),
        ("data_base64", "e30="),
    ] {
        check(name, value.into());
    }
    // A number needs no text.
    let read = with("streamversion", json!(3)).unwrap();
    assert_eq!(read.version(), sample().version());
    let data = with("data", json!("\0")).unwrap_err();
    assert_eq!(data.attribute(), Some("data"));
}

#[test]
fn what_is_no_event_is_refused() {
    for text in ["", "[]", "7", "{", "null", r#"{"a":1}{"#] {
        let error = CloudEvent::from_json(text).unwrap_err();
        assert!(matches!(error, CloudEventError::Json(_)), "{text}: {error}");
        assert_eq!(error.attribute(), None);
    }
    let missing = CloudEvent::from_json("{}").unwrap_err();
    assert_eq!(missing.to_string(), "the attribute specversion is missing");
    let twice = r#"{"specversion":"1.0","id":"1","id":"2","type":"t","source":"/"}"#;
    let error = CloudEvent::from_json(twice).unwrap_err();
    assert_eq!(error.to_string(), "the attribute id is given twice");
    let twice = r#"{"specversion":"1.0","id":"1","type":"t","source":"/","data":1,"data":1}"#;
    let error = CloudEvent::from_json(twice).unwrap_err();
    assert_eq!(error.attribute(), Some("data"));
    let none = r#"{"specversion":"1.0","id":"1","type":"t","source":"/","datapadding":"%20|"}"#;
    let error = CloudEvent::from_json(none).unwrap_err();
    assert_eq!(error.attribute(), Some("datapadding"));
    let headers = [("ce-specversion", "1.0"), ("ce-id", "1"), ("CE-ID", "2")];
    let error = CloudEvent::from_headers(headers, "").unwrap_err();
    assert_eq!(error.to_string(), "the attribute id is given twice");
    let headers = [("ce-id", "%")];
    let error = CloudEvent::from_headers(headers, "").unwrap_err();
    assert_eq!(error.attribute(), Some("id"));
}

#[test]
fn what_cannot_be_written_is_told() {
    let error = CloudEvent::from_recorded(&sample(), "").unwrap_err();
    assert_eq!(error.attribute(), Some("source"));
    let mut parts = RecordedParts {
        occurred_at: DateTime::<Utc>::MAX_UTC,
        ..parts_of(&sample())
    };
    let event = RecordedEvent::from_parts(parts.clone());
    let error = CloudEvent::from_recorded(&event, "/").unwrap_err();
    assert_eq!(error.attribute(), Some("time"));
    parts.occurred_at = parts.recorded_at;
    parts.recorded_at = DateTime::<Utc>::MIN_UTC;
    let event = RecordedEvent::from_parts(parts);
    let error = CloudEvent::from_recorded(&event, "/").unwrap_err();
    assert_eq!(error.attribute(), Some("recordedtime"));
}

fn parts_of(event: &RecordedEvent) -> RecordedParts {
    RecordedParts {
        id: event.id(),
        stream: event.stream().clone(),
        version: event.version(),
        position: event.position(),
        name: event.name().clone(),
        schema_version: event.schema_version(),
        payload: event.payload().clone(),
        occurred_at: event.occurred_at(),
        recorded_at: event.recorded_at(),
        metadata: event.metadata().clone(),
        tags: event.tags().to_vec(),
    }
}
