//! Random chains of upcasters against a model of them, and random events there and back.
//!
//! A slice of cases is run each time; `cargo xtask cases 500000` runs as many as are asked for.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uno_core::{
    Decoder, Envelope, Event, EventName, EventPart, EventSet, NewEvent, Payload, Position,
    RecordedEvent, SchemaVersion, Version,
};

/// An object of any shape, at version 6.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[event(name = "thing_happened", version = 6, upcast_elsewhere)]
#[serde(transparent)]
struct Happened(Map<String, Value>);

/// What a step does.
#[derive(Clone, Debug)]
enum Op {
    Rename(String, String),
    Default(String, Value),
    Remove(String),
    /// The object becomes a field of another.
    Wrap(String),
    Count(String),
}

impl Op {
    fn apply(&self, mut fields: Map<String, Value>) -> Map<String, Value> {
        match self {
            Self::Rename(from, to) => {
                if let Some(value) = fields.remove(from) {
                    fields.insert(to.clone(), value);
                }
            }
            Self::Default(field, value) => {
                fields.entry(field.clone()).or_insert_with(|| value.clone());
            }
            Self::Remove(field) => {
                fields.remove(field);
            }
            Self::Wrap(field) => {
                fields = Map::from_iter([(field.clone(), Value::Object(fields))]);
            }
            Self::Count(field) => {
                let count = fields.len();
                fields.insert(field.clone(), count.into());
            }
        }
        fields
    }
}

fn field() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "d", "é", ""]).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has no text for it", |number| number.is_finite())
            .prop_map(Value::from),
        "[^\\x00]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((field(), inner), 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn fields() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((field(), value()), 0..4).prop_map(|fields| fields.into_iter().collect())
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (field(), field()).prop_map(|(from, to)| Op::Rename(from, to)),
        (field(), value()).prop_map(|(field, value)| Op::Default(field, value)),
        field().prop_map(Op::Remove),
        field().prop_map(Op::Wrap),
        field().prop_map(Op::Count),
    ]
}

fn record(name: &str, version: u32, payload: &Value) -> Arc<RecordedEvent> {
    let event = NewEvent::from_payload(
        EventName::new(name.to_owned()).unwrap(),
        SchemaVersion::new(version),
        Payload::from_json(payload.to_string()).unwrap(),
    );
    recorded(&event)
}

fn recorded(event: &NewEvent) -> Arc<RecordedEvent> {
    Arc::new(RecordedEvent::record(
        event,
        "thing-1".parse().unwrap(),
        Version::new(1).unwrap(),
        Position::new(1).unwrap(),
        "2026-01-01T00:00:00Z".parse().unwrap(),
    ))
}

fn read<S: EventSet>(decoder: &Decoder, record: &Arc<RecordedEvent>) -> Vec<S> {
    let decoded = decoder.decode_all::<S>(record).unwrap();
    let count = decoded.events().len();
    let numbers: Vec<_> = decoded.events().iter().map(|event| event.part()).collect();
    for (n, part) in numbers.iter().enumerate() {
        assert_eq!((part.index() as usize, part.count() as usize), (n, count));
    }
    decoded.into_iter().map(Envelope::into_event).collect()
}

/// A type with every kind of field, and a chain of types to it.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[event(name = "all_kinds", version = 3, upcast(1: KindsV1, 2: KindsV2))]
struct Kinds {
    whole: i64,
    large: u64,
    real: f64,
    text: String,
    maybe: Option<i32>,
    list: Vec<Form>,
    map: BTreeMap<String, u8>,
    pair: (bool, char),
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Form {
    Unit,
    New(String),
    Tuple(u8, i8),
    Struct { inner: Option<Box<Self>> },
}

/// Without a list.
#[derive(Serialize, Deserialize, Clone, Debug)]
struct KindsV2 {
    whole: i64,
    large: u64,
    real: f64,
    text: String,
    maybe: Option<i32>,
    map: BTreeMap<String, u8>,
    pair: (bool, char),
}

/// With one number as a text.
#[derive(Serialize, Deserialize, Clone, Debug)]
struct KindsV1 {
    whole: String,
    real: f64,
    text: String,
    #[serde(default)]
    map: BTreeMap<String, u8>,
}

impl From<KindsV1> for KindsV2 {
    fn from(old: KindsV1) -> Self {
        Self {
            whole: old.whole.parse().unwrap_or(-1),
            large: u64::MAX,
            real: old.real,
            text: old.text,
            maybe: None,
            map: old.map,
            pair: (true, '\u{10ffff}'),
        }
    }
}

impl From<KindsV2> for Kinds {
    fn from(old: KindsV2) -> Self {
        Self {
            whole: old.whole,
            large: old.large,
            real: old.real,
            text: old.text,
            maybe: old.maybe,
            list: vec![Form::Unit],
            map: old.map,
            pair: old.pair,
        }
    }
}

fn form() -> impl Strategy<Value = Form> {
    let leaf = prop_oneof![
        Just(Form::Unit),
        "[^\\x00]{0,4}".prop_map(Form::New),
        any::<(u8, i8)>().prop_map(|(one, other)| Form::Tuple(one, other)),
    ];
    leaf.prop_recursive(3, 4, 1, |inner| {
        prop::option::of(inner).prop_map(|inner| Form::Struct {
            inner: inner.map(Box::new),
        })
    })
}

prop_compose! {
    fn kinds()(
        (whole, large, maybe) in any::<(i64, u64, Option<i32>)>(),
        real in any::<f64>().prop_filter("JSON has no text for it", |number| number.is_finite()),
        text in "[^\\x00]{0,8}",
        list in prop::collection::vec(form(), 0..3),
        map in prop::collection::btree_map("[^\\x00]{0,3}", any::<u8>(), 0..3),
        pair in (any::<bool>(), any::<char>().prop_filter("no store keeps it", |c| *c != '\0')),
    ) -> Kinds {
        Kinds { whole, large, real, text, maybe, list, map, pair }
    }
}

proptest! {
    /// From whatever version, under whatever name: as if the steps were taken by hand.
    #[test]
    fn a_chain_of_steps_is_its_steps_one_after_the_other(
        ops in prop::collection::vec(op(), 5),
        old in fields(),
        from in 1..=6_u32,
        renamed in any::<bool>(),
    ) {
        let mut builder = Decoder::builder().events::<Happened>().rename("older", "old").rename("old", "thing_happened");
        for (from, op) in (1..).zip(&ops) {
            let op = op.clone();
            builder = builder.upcast("thing_happened", from, move |payload| match payload {
                Value::Object(fields) => Ok(Value::Object(op.apply(fields))),
                _ => Err("no object".into()),
            });
        }
        let decoder = builder.build().unwrap();
        let name = if renamed { "older" } else { "thing_happened" };
        let steps = &ops[from as usize - 1..];
        let model = steps.iter().fold(old.clone(), |fields, op| op.apply(fields));
        let found = read::<Happened>(&decoder, &record(name, from, &Value::Object(old)));
        prop_assert_eq!(found, [Happened(model)]);
    }

    /// A list of objects is as many events, each of which goes on through the chain from where it is; some are dropped.
    #[test]
    fn a_split_is_the_sum_of_its_parts(
        op in op(),
        parts in prop::collection::vec((4..=6_u32, fields(), any::<bool>()), 0..5),
    ) {
        let by_hand = op.clone();
        let stored: Vec<Value> = parts
            .iter()
            .map(|(version, fields, is_kept)| json!([version, fields, is_kept]))
            .collect();
        let step = move |payload| match payload {
            Value::Object(fields) => Ok(Value::Object(op.apply(fields))),
            _ => Err("no object".into()),
        };
        let decoder = [1, 2, 3, 4, 5]
            .into_iter()
            .fold(Decoder::builder().events::<Happened>(), |builder, from| {
                builder.upcast("thing_happened", from, step.clone())
            })
            .retire("left_out", "by chance")
            .split("many", 1, [("thing_happened", 4), ("thing_happened", 5), ("thing_happened", 6), ("left_out", 1)], |payload| {
                let parts = payload.as_array().ok_or("no list")?;
                let part = |part: &Value| {
                    let version = u32::try_from(part[0].as_u64().ok_or("no version")?)?;
                    Ok(match part[2] == true {
                        true => EventPart::new("thing_happened", SchemaVersion::new(version), part[1].clone()),
                        false => EventPart::new("left_out", SchemaVersion::new(1), Value::Null),
                    })
                };
                parts.iter().map(part).collect()
            })
            .build()
            .unwrap();
        let model: Vec<_> = parts
            .into_iter()
            .filter(|(_, _, is_kept)| *is_kept)
            .map(|(version, fields, _)| Happened((version..6).fold(fields, |fields, _| by_hand.apply(fields))))
            .collect();
        let found = read::<Happened>(&decoder, &record("many", 1, &Value::Array(stored)));
        prop_assert_eq!(found, model);
    }

    /// What is written is read, bit by bit.
    #[test]
    fn an_event_is_read_as_it_was_written(kinds in kinds()) {
        let stored = NewEvent::encode(&kinds).unwrap();
        let found = read::<Kinds>(&Decoder::new(), &recorded(&stored));
        prop_assert_eq!(found[0].real.to_bits(), kinds.real.to_bits());
        prop_assert_eq!(found, [kinds]);
    }

    /// At once or step by step, a chain of types gives the same.
    #[test]
    fn a_chain_of_types_is_that_of_its_steps(kinds in kinds(), from in 1..=2_u32) {
        let old = match from {
            1 => serde_json::to_value(KindsV1 {
                whole: kinds.whole.to_string(),
                real: kinds.real,
                text: kinds.text,
                map: kinds.map,
            }),
            _ => serde_json::to_value(KindsV2 {
                whole: kinds.whole,
                large: kinds.large,
                real: kinds.real,
                text: kinds.text,
                maybe: kinds.maybe,
                map: kinds.map,
                pair: kinds.pair,
            }),
        }
        .unwrap();
        let steps = &Kinds::UPCASTERS[from as usize - 1..];
        let by_tree = steps.iter().try_fold(old.clone(), |payload, step| step.apply(payload)).unwrap();
        let by_tree: Kinds = serde_json::from_value(by_tree).unwrap();
        let found = read::<Kinds>(&Decoder::new(), &record("all_kinds", from, &old));
        prop_assert_eq!(found[0].real.to_bits(), by_tree.real.to_bits());
        prop_assert_eq!(found, [by_tree]);
    }
}
