//! The example of the guide: an order that was stored with its total in dollars, as a float, and without a count of its items.

use serde::{Deserialize, Serialize};
use serde_json::json;
use uno_core::{BoxError, Decoder, Envelope, Event, EventSet, ExpectedVersion, SchemaVersion};
use uno_core::{EventStore as _, EventStoreExt as _, StreamAppend};
use uno_store_memory::MemoryStore;

use super::shop::old;

/// As it is today, with its chain in the type.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[event(version = 2, upcast(1: OrderPlacedV1))]
struct OrderPlaced {
    order_id: String,
    total_amount: i64,
    item_count: u32,
}

#[derive(Serialize, Deserialize)]
struct OrderPlacedV1 {
    order_id: String,
    total_amount: f64,
    item_count: Option<u32>,
}

impl From<OrderPlacedV1> for OrderPlaced {
    fn from(old: OrderPlacedV1) -> Self {
        Self {
            order_id: old.order_id,
            total_amount: cents(old.total_amount),
            item_count: old.item_count.unwrap_or(0),
        }
    }
}

fn cents(dollars: f64) -> i64 {
    (dollars * 100.0).round() as i64
}

/// The same type, of which the chain is not known.
mod plain {
    use super::*;

    #[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
    #[event(version = 2, upcast_elsewhere)]
    pub(super) struct OrderPlaced {
        pub(super) order_id: String,
        pub(super) total_amount: i64,
        pub(super) item_count: u32,
    }
}

/// The registry: a step by stored name.
fn registry() -> Decoder {
    let step = |mut old: serde_json::Value| {
        let dollars = old["total_amount"].as_f64().ok_or("no total_amount")?;
        old["total_amount"] = json!(cents(dollars));
        if old.get("item_count").is_none() {
            old["item_count"] = json!(0);
        }
        Ok::<_, BoxError>(old)
    };
    Decoder::builder()
        .events::<plain::OrderPlaced>()
        .upcast("order_placed", 1, step)
        .build()
        .unwrap()
}

async fn read<S: EventSet>(decoder: &Decoder) -> Vec<Envelope<S>> {
    let store = MemoryStore::new();
    let events = [
        (1, json!({ "order_id": "a", "total_amount": 29.33 })),
        (
            1,
            json!({ "order_id": "b", "total_amount": 0.1, "item_count": 3 }),
        ),
        (1, json!({ "order_id": "c", "total_amount": 1_234_567.89 })),
        (
            2,
            json!({ "order_id": "d", "total_amount": 2933, "item_count": 2 }),
        ),
    ];
    let events = events.map(|(version, payload)| old("order_placed", version, &payload));
    let stream: uno_core::StreamId = "order-1".parse().unwrap();
    let append = StreamAppend::new(stream.clone(), ExpectedVersion::NoStream, events.to_vec());
    store.append(vec![append]).await.unwrap();
    store.read_events(&stream, decoder).await.unwrap()
}

const READ: [(&str, i64, u32); 4] = [
    ("a", 2933, 0),
    ("b", 10, 3),
    ("c", 123_456_789, 0),
    ("d", 2933, 2),
];

#[tokio::test]
async fn orders_in_dollars_are_read_in_cents_with_a_count() {
    let envelopes = read::<OrderPlaced>(&Decoder::new()).await;
    let orders = envelopes.iter().map(Envelope::event);
    let orders: Vec<_> = orders
        .map(|order| (&*order.order_id, order.total_amount, order.item_count))
        .collect();
    assert_eq!(orders, READ);
    // What is stored stays as it was.
    assert_eq!(envelopes[0].record().schema_version(), SchemaVersion::FIRST);
    assert_eq!(
        envelopes[0].record().payload().as_str(),
        r#"{"order_id":"a","total_amount":29.33}"#
    );
}

#[tokio::test]
async fn a_step_may_be_registered_by_name() {
    let envelopes = read::<plain::OrderPlaced>(&registry()).await;
    let orders = envelopes.iter().map(Envelope::event);
    let orders: Vec<_> = orders
        .map(|order| (&*order.order_id, order.total_amount, order.item_count))
        .collect();
    assert_eq!(orders, READ);
}
