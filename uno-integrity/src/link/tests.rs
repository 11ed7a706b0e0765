//! A link is what its documentation says, byte for byte, and another one when anything is another.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use uno_core::{
    CorrelationId, EventId, EventName, Metadata, Payload, Position, RecordedEvent, RecordedParts,
    SchemaVersion, StreamId, Version,
};
use uuid::Uuid;

use super::*;

fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}

fn parts() -> RecordedParts {
    let metadata = Metadata::new()
        .with_correlation_id(CorrelationId::from_uuid(Uuid::from_u128(2)))
        .with_causation_id(Uuid::from_u128(3))
        .with_causing_event(EventId::from_uuid(Uuid::from_u128(4)))
        .with_actor("ada")
        .with_tenant("é")
        .with_traceparent(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
                .parse()
                .unwrap(),
        )
        .with_header("b", "2")
        .with_header("a", "1");
    RecordedParts {
        id: EventId::from_uuid(Uuid::from_u128(1)),
        stream: StreamId::new("account", "7-a").unwrap(),
        version: Version::new(2).unwrap(),
        position: Position::new(70).unwrap(),
        name: EventName::new("money_deposited").unwrap(),
        schema_version: SchemaVersion::new(3),
        payload: Payload::from_json(r#"{"cents": 5}"#).unwrap(),
        occurred_at: time(-1),
        recorded_at: time(1_700_000_000_000_001),
        metadata,
        tags: vec!["x".into(), "yz".into()],
    }
}

fn plain() -> RecordedParts {
    RecordedParts {
        metadata: Metadata::new(),
        tags: Vec::new(),
        ..parts()
    }
}

fn link(parts: RecordedParts) -> Link {
    Link::of(&RecordedEvent::from_parts(parts), None, None)
}

/// The hashes were made with another implementation, Python's `hashlib` and `hmac`, from the text of [`Link`].
#[test]
fn links_are_those_of_another_implementation() {
    let first = link(plain());
    assert_eq!(
        first.to_string(),
        "cb69274d874dc9b0e489837c0ced0f4b1795e35fb3d70be956e1b80a3033500b"
    );
    let event = RecordedEvent::from_parts(parts());
    let second = Link::of(&event, Some(first), None);
    assert_eq!(
        second.to_string(),
        "0ec946b8a7d0d54200d13d13190791452feb033a59f4b1bdeb02a284ac383d15"
    );
    let key = ChainKey::new(&[7; 32]).unwrap();
    let keyed = Link::of(&event, Some(first), Some(&key));
    assert_eq!(
        keyed.to_string(),
        "066eaa656542ed304283df3ebf33fda1d5ef28e462ed5342f4a92c019bb53c8f"
    );
}

#[test]
fn every_field_counts_and_so_do_their_borders() {
    let with = |change: &dyn Fn(&mut RecordedParts)| {
        let mut parts = parts();
        change(&mut parts);
        link(parts)
    };
    let metadata = |change: &dyn Fn(Metadata) -> Metadata| {
        with(&|parts| parts.metadata = change(parts.metadata.clone()))
    };
    let headers = |list: &[(&str, &str)]| {
        let list = list
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        let list: BTreeMap<String, String> = list.collect();
        metadata(&|metadata| metadata.with_headers(list.clone()))
    };
    let tags = |tags: &[&'static str]| {
        let tags: Vec<Arc<str>> = tags.iter().map(|tag| Arc::from(*tag)).collect();
        with(&|parts| parts.tags = tags.clone())
    };
    let links = [
        with(&|_| ()),
        link(plain()),
        with(&|parts| parts.id = EventId::from_uuid(Uuid::from_u128(9))),
        with(&|parts| parts.stream = StreamId::new("account", "7-b").unwrap()),
        // The same text, with another border.
        with(&|parts| parts.stream = StreamId::new("account.x", "7-a").unwrap()),
        with(&|parts| parts.version = Version::new(3).unwrap()),
        with(&|parts| parts.position = Position::new(71).unwrap()),
        with(&|parts| parts.name = EventName::new("money_deposited2").unwrap()),
        with(&|parts| parts.schema_version = SchemaVersion::new(4)),
        with(&|parts| parts.payload = Payload::from_json(r#"{"cents":5}"#).unwrap()),
        with(&|parts| parts.occurred_at = time(0)),
        with(&|parts| parts.recorded_at = time(1_700_000_000_000_002)),
        metadata(&|metadata| {
            metadata.with_correlation_id(CorrelationId::from_uuid(Uuid::from_u128(9)))
        }),
        metadata(&|metadata| metadata.with_causation_id(Uuid::from_u128(9))),
        metadata(&|metadata| metadata.with_causing_event(EventId::from_uuid(Uuid::from_u128(9)))),
        metadata(&|metadata| metadata.with_actor("bob")),
        metadata(&|metadata| metadata.with_tenant("e")),
        metadata(&|metadata| {
            let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
            metadata.with_traceparent(trace.parse().unwrap())
        }),
        headers(&[("a", "1")]),
        headers(&[("a", "1"), ("b", "3")]),
        headers(&[("a", "1"), ("c", "2")]),
        headers(&[("a", "1b"), ("", "2")]),
        tags(&["x"]),
        tags(&["yz", "x"]),
        tags(&["xy", "z"]),
        // A tenant where there was an actor: the fields have places.
        link(RecordedParts {
            metadata: Metadata::new().with_actor("ada"),
            ..plain()
        }),
        link(RecordedParts {
            metadata: Metadata::new().with_tenant("ada"),
            ..plain()
        }),
        Link::of(
            &RecordedEvent::from_parts(parts()),
            Some(link(plain())),
            None,
        ),
        Link::of(
            &RecordedEvent::from_parts(parts()),
            None,
            ChainKey::new(&[1; 32]).as_ref(),
        ),
        Link::of(
            &RecordedEvent::from_parts(parts()),
            None,
            ChainKey::new(&[2; 40]).as_ref(),
        ),
    ];
    let different: HashSet<Link> = links.into_iter().collect();
    assert_eq!(different.len(), links.len());
}

#[test]
fn a_link_is_read_as_it_is_written() {
    let first = link(plain());
    assert_eq!(first.to_string().parse(), Ok(first));
    assert_eq!(first.to_string().to_uppercase().parse(), Ok(first));
    let text = first.to_string();
    for bad in [
        "",
        &text[1..],
        &format!("{text}0"),
        &text.replace(['0', '1', '2', '3', '4', '5'], "g"),
        &"é".repeat(32),
    ] {
        assert_eq!(bad.parse::<Link>(), Err(NotALink(())), "{bad}");
    }
}
