//! A shop whose events have changed in every way that events can change, and what is stored of it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uno_core::{
    Decoder, Event, EventName, EventPart, EventSet, EventStore, ExpectedVersion, NewEvent, Payload,
    SchemaVersion, StreamAppend, StreamId,
};
use uno_domain::{Aggregate, Snapshots};

/// Dollars, as a float.
#[derive(Serialize, Deserialize)]
pub(super) struct PlacedV1 {
    pub(super) total_amount: f64,
}

/// Cents.
#[derive(Serialize, Deserialize)]
pub(super) struct PlacedV2 {
    total_cents: i64,
    item_count: u32,
}

/// With a currency.
#[derive(Serialize, Deserialize)]
pub(super) struct PlacedV3 {
    total_cents: i64,
    item_count: u32,
    currency: String,
}

/// The order was placed.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[event(version = 4, upcast(1: PlacedV1, 2: PlacedV2, 3: PlacedV3))]
pub(super) struct Placed {
    pub(super) total: (i64, String),
    pub(super) items: u32,
}

impl From<PlacedV1> for PlacedV2 {
    fn from(old: PlacedV1) -> Self {
        let total_cents = (old.total_amount * 100.0).round() as i64;
        Self {
            total_cents,
            item_count: 0,
        }
    }
}

impl From<PlacedV2> for PlacedV3 {
    fn from(old: PlacedV2) -> Self {
        Self {
            total_cents: old.total_cents,
            item_count: old.item_count,
            currency: "USD".to_owned(),
        }
    }
}

impl From<PlacedV3> for Placed {
    fn from(old: PlacedV3) -> Self {
        Self {
            total: (old.total_cents, old.currency),
            items: old.item_count,
        }
    }
}

/// Something was put into the order.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[event(formerly("item_put_in"), version = 2, upcast(1 = name_the_product))]
pub(super) struct ItemAdded {
    pub(super) product: String,
}

fn name_the_product(mut old: Value) -> Value {
    json!({ "product": old["sku"].take() })
}

/// The order was given up.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[event(version = 2, upcast_elsewhere)]
pub(super) struct GivenUp {
    pub(super) why: String,
}

/// Whoever reads whole orders passes over what was noted on them.
#[derive(EventSet, Clone, Debug, PartialEq)]
#[event(ignore("noted"))]
pub(super) enum ShopEvent {
    ItemAdded(ItemAdded),
    Placed(Placed),
    GivenUp(GivenUp),
}

pub(super) fn decoder() -> Decoder {
    Decoder::builder()
        .events::<ShopEvent>()
        .upcast("given_up", 1, |old| Ok(json!({ "why": old })))
        .upcast("cart_ordered", 1, |mut old| {
            old["cents"] = old["total"].take();
            Ok(old)
        })
        .split(
            "cart_ordered",
            2,
            [
                ("item_put_in", 1),
                ("item_added", 2),
                ("placed", 2),
                ("page_viewed", 1),
            ],
            |old| split_cart(&old),
        )
        .retire("page_viewed", "analytics has moved out")
        .rename("order_abandoned", "given_up")
        .build()
        .unwrap()
}

/// Into parts in old versions and under old names, one of which is dropped.
fn split_cart(old: &Value) -> Result<Vec<EventPart>, uno_core::BoxError> {
    let products = old["products"].as_array().ok_or("a cart has products")?;
    let mut parts = vec![EventPart::new(
        "page_viewed",
        SchemaVersion::new(1),
        Value::Null,
    )];
    for (n, product) in products.iter().enumerate() {
        parts.push(match n % 2 {
            0 => EventPart::new(
                "item_put_in",
                SchemaVersion::new(1),
                json!({ "sku": product }),
            ),
            _ => EventPart::of(&ItemAdded {
                product: product.as_str().ok_or("a product is a text")?.to_owned(),
            })?,
        });
    }
    let placed = json!({ "total_cents": old["cents"], "item_count": products.len() });
    parts.push(EventPart::new("placed", SchemaVersion::new(2), placed));
    Ok(parts)
}

/// What is stored, oldest first: name, version, payload, and what is read of it.
pub(super) fn history() -> Vec<(&'static str, u32, Value, Vec<ShopEvent>)> {
    let item = |product: &str| {
        ShopEvent::from(ItemAdded {
            product: product.to_owned(),
        })
    };
    let placed = |cents, items| {
        ShopEvent::from(Placed {
            total: (cents, "USD".to_owned()),
            items,
        })
    };
    let given_up = |why: &str| {
        ShopEvent::from(GivenUp {
            why: why.to_owned(),
        })
    };
    vec![
        ("item_put_in", 1, json!({ "sku": "a" }), vec![item("a")]),
        ("page_viewed", 1, json!(null), vec![]),
        (
            "placed",
            1,
            json!({ "total_amount": 19.99 }),
            vec![placed(1999, 0)],
        ),
        (
            "cart_ordered",
            1,
            json!({ "products": ["b", "c", "d"], "total": 700 }),
            vec![item("b"), item("c"), item("d"), placed(700, 3)],
        ),
        ("item_put_in", 2, json!({ "product": "e" }), vec![item("e")]),
        (
            "placed",
            2,
            json!({ "total_cents": 5, "item_count": 1 }),
            vec![placed(5, 1)],
        ),
        ("page_viewed", 9, json!({}), vec![]),
        (
            "cart_ordered",
            2,
            json!({ "products": [], "cents": 7 }),
            vec![placed(7, 0)],
        ),
        (
            "placed",
            3,
            json!({ "total_cents": 6, "item_count": 2, "currency": "EUR" }),
            vec![
                Placed {
                    total: (6, "EUR".to_owned()),
                    items: 2,
                }
                .into(),
            ],
        ),
        (
            "order_abandoned",
            1,
            json!("too slow"),
            vec![given_up("too slow")],
        ),
        (
            "placed",
            4,
            json!({ "total": [8, "USD"], "items": 3 }),
            vec![placed(8, 3)],
        ),
        ("given_up", 1, json!("too dear"), vec![given_up("too dear")]),
        (
            "given_up",
            2,
            json!({ "why": "late" }),
            vec![given_up("late")],
        ),
        ("item_added", 1, json!({ "sku": "f" }), vec![item("f")]),
        ("item_added", 2, json!({ "product": "g" }), vec![item("g")]),
    ]
}

/// What is read of all of it.
pub(super) fn read() -> Vec<ShopEvent> {
    history().into_iter().flat_map(|(.., read)| read).collect()
}

pub(super) fn old(name: &'static str, version: u32, payload: &Value) -> NewEvent {
    NewEvent::from_payload(
        EventName::new(name).unwrap(),
        SchemaVersion::new(version),
        Payload::from_json(payload.to_string()).unwrap(),
    )
}

pub(super) fn stream() -> StreamId {
    Order::stream_id(&7).unwrap()
}

pub(super) async fn append<S: EventStore + ?Sized>(store: &S, events: Vec<NewEvent>) {
    append_to(store, 7, events).await;
}

async fn append_to<S: EventStore + ?Sized>(store: &S, order: u32, events: Vec<NewEvent>) {
    let stream = Order::stream_id(&order).unwrap();
    let append = StreamAppend::new(stream, ExpectedVersion::Any, events);
    store.append(vec![append]).await.unwrap();
}

/// Stores all of it.
pub(super) async fn store_all<S: EventStore + ?Sized>(store: &S) {
    store_for(store, &[7]).await;
}

/// Stores all of it for each of these orders, side by side.
pub(super) async fn store_for<S: EventStore + ?Sized>(store: &S, orders: &[u32]) {
    for (name, version, payload, _) in history() {
        for order in orders {
            append_to(store, *order, vec![old(name, version, &payload)]).await;
        }
    }
}

/// Remembers every event, and remembers itself at every event.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
pub(super) struct Order {
    pub(super) seen: Vec<String>,
}

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Id = u32;
    type Event = ShopEvent;

    fn apply(&mut self, event: &ShopEvent) {
        self.seen.push(format!("{event:?}"));
    }

    fn snapshots() -> Option<Snapshots<Self>> {
        Some(Snapshots::every(1).shape("order/1"))
    }
}
