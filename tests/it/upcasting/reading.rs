//! What old events are read as.

use std::sync::Arc;

use serde_json::{Value, json};
use uno_core::{
    Decoder, Envelope, Event, EventId, EventSet, Part, Position, RecordedEvent, SchemaVersion,
    Version,
};

use super::shop::{GivenUp, ItemAdded, Placed, ShopEvent, decoder, history, old};

fn record(name: &'static str, version: u32, payload: &Value) -> Arc<RecordedEvent> {
    let event = old(name, version, payload).with_id(EventId::from_uuid(uuid::Uuid::from_u128(5)));
    Arc::new(RecordedEvent::record(
        &event,
        "order-7".parse().unwrap(),
        Version::new(3).unwrap(),
        Position::new(9).unwrap(),
        "2026-01-01T00:00:00Z".parse().unwrap(),
    ))
}

fn events<S: EventSet>(decoder: &Decoder, record: &Arc<RecordedEvent>) -> Vec<S> {
    let decoded = decoder.decode_all::<S>(record).unwrap();
    decoded.into_iter().map(Envelope::into_event).collect()
}

#[test]
fn each_kind_of_old_event_is_read() {
    let decoder = decoder();
    for (name, version, payload, expected) in history() {
        let record = record(name, version, &payload);
        assert_eq!(
            events::<ShopEvent>(&decoder, &record),
            expected,
            "{name} {version}"
        );
        // One and only one is what `decode` gives.
        let one = decoder.decode::<ShopEvent>(&record);
        match &*expected {
            [event] => assert_eq!(one.unwrap().event(), event),
            other => {
                let text = format!("is read as {} events, and one was asked for", other.len());
                let error = one.unwrap_err().to_string();
                assert!(error.ends_with(&text), "{error}");
            }
        }
    }
}

/// Between types, a chain gives what it gives step by step on the tree.
#[test]
fn a_chain_of_types_is_that_of_its_steps() {
    let olds = history().into_iter().filter(|(name, ..)| *name == "placed");
    let mut seen = 0;
    for (_, version, payload, read) in olds.filter(|(_, version, ..)| *version < 4) {
        let steps = &Placed::UPCASTERS[version as usize - 1..];
        let raised = steps
            .iter()
            .try_fold(payload.clone(), |payload, step| step.apply(payload));
        let by_tree: Placed = serde_json::from_value(raised.unwrap()).unwrap();
        let text = payload.to_string();
        let at_once = <Placed as Event>::from_older(SchemaVersion::new(version), &text);
        assert_eq!(at_once.unwrap().unwrap(), by_tree);
        assert_eq!(ShopEvent::from(by_tree), read[0]);
        seen += 1;
    }
    assert_eq!(seen, 3);
    for none in [0, 4, 5] {
        assert!(<Placed as Event>::from_older(SchemaVersion::new(none), "{}").is_none());
    }
}

#[test]
fn the_parts_of_a_split_share_a_record_and_differ_in_their_numbers() {
    let cart = record(
        "cart_ordered",
        1,
        &json!({ "products": ["b", "c"], "total": 7 }),
    );
    let decoded = decoder().decode_all::<ShopEvent>(&cart).unwrap();
    assert_eq!(decoded.record(), &cart);
    let parts = decoded.events();
    let numbers: Vec<_> = parts.iter().map(Envelope::part).collect();
    // The part that is dropped has no number.
    assert_eq!(numbers, [Part::new(0, 3), Part::new(1, 3), Part::new(2, 3)]);
    for part in parts {
        assert_eq!(part.record(), &cart);
        assert_eq!(
            (part.id(), part.version(), part.position()),
            (cart.id(), cart.version(), cart.position())
        );
    }
    // Each has an id of its own, which is the same whenever it is asked.
    let ids: Vec<_> = parts.iter().map(Envelope::part_id).collect();
    assert_eq!(ids[0], *cart.id().as_uuid());
    assert_eq!(ids[1].to_string(), "fce362c3-ff88-517a-9a3b-74655f3a1c39");
    assert!(ids[1] != ids[2] && ids[2] != ids[0]);
    assert!(!parts[0].part().is_whole());
    let whole = record("item_added", 2, &json!({ "product": "a" }));
    let whole = decoder().decode::<ShopEvent>(&whole).unwrap();
    assert_eq!(
        (whole.part(), whole.part_id()),
        (Part::WHOLE, *whole.id().as_uuid())
    );
}

/// A reader of some of the parts gets those, under the numbers that they have for all.
#[test]
fn a_reader_by_name_gets_the_parts_of_its_set() {
    let cart = record("cart_ordered", 1, &json!({ "products": ["b"], "total": 7 }));
    let placed = decoder().decode_matching::<Placed>(&cart).unwrap();
    assert_eq!(placed.events().len(), 1);
    assert_eq!(placed.events()[0].part(), Part::new(1, 2));
    let given_up = decoder().decode_matching::<GivenUp>(&cart).unwrap();
    assert_eq!(given_up.events(), []);
    // Whoever reads the whole stream must know them all.
    let error = decoder().decode_all::<Placed>(&cart).unwrap_err();
    assert_eq!(
        error.to_string(),
        "event cart_ordered version 1 at position 9, the one with version 3 in stream order-7, is split, \
         and its part item_added is unknown"
            .replace("item_added", "item_put_in")
    );
}

#[test]
fn what_a_set_ignores_is_passed_over_and_nothing_else() {
    let noted = record("noted", 3, &json!({ "any": "thing" }));
    assert_eq!(events::<ShopEvent>(&decoder(), &noted), []);
    assert!(decoder().decode_all::<ItemAdded>(&noted).is_err());
    let other = record("noticed", 1, &json!({}));
    assert!(decoder().decode_all::<ShopEvent>(&other).is_err());
}
