//! Every event of the shop in every version that it was ever stored in, read on every path and on every store.

use std::{fs, sync::Arc};

use chrono::NaiveDate;
use serde_json::Value;
use uno::{
    MemoryStore, PgStore, SqliteStore,
    core::{
        EventId, EventName, Lane, NewEvent, Payload, ProcessStatus, SchemaVersion, StreamAppend,
        SubscriptionName,
    },
    cqrs::{DocumentProjector, Documents},
    events::{Consumer, SubscriptionManager},
    prelude::*,
    saga::SagaRunner,
    uow::Runner,
};
use uno_testkit::shapes::EventShapes;

use crate::{
    contexts::{
        inventory::events::{StockAllocated, StockReleased},
        orders::{
            Order, Status,
            events::{
                OrderCancelled, OrderCreated, OrderEvent, OrderItemAdded, OrderPlaced, OrderShipped,
            },
        },
        payment::events::{PaymentCharged, PaymentDeclined, PaymentRefunded},
        shipping::events::ParcelDispatched,
    },
    fulfilment::Fulfilment,
    ids::{CustomerId, OrderId},
    money::Cents,
    read_models::{OrderStatus, OrderSummaries, OrderSummary},
};

/// All of them.
#[derive(EventSet, Clone, Debug, PartialEq)]
enum Everything {
    Created(OrderCreated),
    ItemAdded(OrderItemAdded),
    Placed(OrderPlaced),
    Shipped(OrderShipped),
    Cancelled(OrderCancelled),
    Charged(PaymentCharged),
    Declined(PaymentDeclined),
    Refunded(PaymentRefunded),
    Allocated(StockAllocated),
    Released(StockReleased),
    Dispatched(ParcelDispatched),
}

pub(crate) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/events");

/// The order of the samples of today.
fn order() -> OrderId {
    OrderId::of_line(3, "golden")
}

pub(crate) fn shapes() -> EventShapes {
    let (order, customer) = (order(), CustomerId("00042".into()));
    let ordered_on = NaiveDate::from_ymd_opt(1997, 1, 31).unwrap();
    let (item_count, total, amount) = (3, Cents(2933), Cents(2933));
    // With all its fields; as it was before it had the last one it is in the corpus for good.
    let placed = OrderPlaced {
        order: OrderId::of_line(4, "golden"),
        customer: customer.clone(),
        ordered_on,
        item_count,
        total,
        cooling_off_secs: 900,
    };
    let shipped = OrderShipped {
        order,
        customer: customer.clone(),
        ordered_on,
        item_count,
        total,
    };
    let added = OrderItemAdded {
        order,
        product: "cd".into(),
        quantity: 3,
        amount,
    };
    let cancelled = OrderCancelled {
        order,
        customer: customer.clone(),
        total,
        reason: "it could not be fulfilled".into(),
    };
    let created = OrderCreated {
        order,
        customer,
        ordered_on,
    };
    EventShapes::new()
        .of([created])
        .of([added])
        .of([placed])
        .of([shipped])
        .of([cancelled])
        .of([PaymentCharged { order, amount }])
        .of([PaymentDeclined { order, amount }])
        .of([PaymentRefunded { order, amount }])
        .of([StockAllocated { order, quantity: 3 }])
        .of([StockReleased { order, quantity: 3 }])
        .of([ParcelDispatched { order }])
}

/// A stored shape that was changed without a new version fails here, and the text says what to do.
#[test]
fn stored_shapes_are_locked() {
    shapes().assert_locked(FOLDER);
}

/// A stored event, and what it is read as.
struct Golden {
    event: NewEvent,
    version: u32,
    /// The first of its version.
    first: bool,
    read: Everything,
}

/// The corpus: of each event type, each version as it was stored, in the order in which things happen to an order.
fn corpus() -> Vec<Golden> {
    let mut corpus = Vec::new();
    for descriptor in Everything::EVENTS {
        let current = descriptor.version().get();
        assert!(current >= 3, "{} has no history", descriptor.name());
        for version in 1..=current {
            let file = format!("{FOLDER}/{}.{version}.txt", descriptor.name());
            let text = fs::read_to_string(file).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            for (nth, pair) in lines.chunks(2).enumerate() {
                let name = EventName::new(descriptor.name()).unwrap();
                let payload = Payload::from_json(pair[0]).unwrap();
                let read = pair[1].strip_prefix("  -> 1. ").unwrap();
                let (name_of_today, today) = read.split_once(" 3 ").unwrap();
                corpus.push(Golden {
                    event: NewEvent::from_payload(name, SchemaVersion::new(version), payload),
                    version,
                    first: nth == 0,
                    read: Everything::from_json(name_of_today, today)
                        .unwrap()
                        .unwrap(),
                });
            }
        }
    }
    corpus
}

fn order_of(event: &NewEvent) -> String {
    let payload: Value = serde_json::from_str(event.payload().as_str()).unwrap();
    let order = payload.get("order").unwrap_or(&payload["order_id"]);
    order.as_str().unwrap().to_owned()
}

fn is_of_the_order(event: &Everything) -> bool {
    matches!(
        event,
        Everything::Created(_)
            | Everything::ItemAdded(_)
            | Everything::Placed(_)
            | Everything::Shipped(_)
    )
}

/// Appends the corpus: what the aggregate has into the stream of its order, and all else into that of a neighbour.
async fn fill<B: Backend>(store: &B, corpus: &[Golden]) {
    for golden in corpus {
        let of_order = is_of_the_order(&golden.read);
        let category = if of_order { "order" } else { "elsewhere" };
        let stream = StreamId::new(category, order_of(&golden.event)).unwrap();
        let append = StreamAppend::new(stream, ExpectedVersion::Any, vec![golden.event.clone()]);
        store.append(vec![append]).await.unwrap();
    }
}

/// Runs a subscription over the whole log.
async fn run<B: Backend>(store: &Arc<B>, subscription: Subscription) {
    let manager = SubscriptionManager::new(store.clone(), store.clone());
    manager.subscribe(subscription).unwrap();
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    manager.stop_all().await;
}

fn name() -> SubscriptionName {
    SubscriptionName::new("golden").unwrap()
}

async fn check<B: Backend>(store: Arc<B>) {
    let corpus = corpus();
    let firsts = corpus.iter().filter(|golden| golden.first).count();
    assert_eq!(firsts, 3 * Everything::EVENTS.len());
    fill(&*store, &corpus).await;
    let expected: Vec<_> = corpus.iter().map(|golden| golden.read.clone()).collect();

    // The log.
    let decoder = Decoder::new();
    let mut pages = store.pages(Position::START, decoder.filter::<Everything>().unwrap(), 7);
    let mut found = Vec::new();
    while let Some(page) = pages.next_page().await.unwrap() {
        for record in &page {
            let decoded = decoder.decode_matching::<Everything>(record).unwrap();
            found.extend(decoded.into_iter().map(Envelope::into_event));
        }
    }
    assert_eq!(found, expected);

    // A subscription, which is also what a rebuild is.
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let handler = move |event: Arc<Envelope<Everything>>| {
        noted.lock().unwrap().push(event.event().clone());
        async { Ok(()) }
    };
    run(&store, Subscription::handler(name(), Replay::Safe, handler)).await;
    assert_eq!(*seen.lock().unwrap(), expected);
    let checkpoint = store
        .load_checkpoint(&name(), Lane::FIRST)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        checkpoint.position(),
        store.head().await.unwrap().position()
    );

    let mut orders: Vec<String> = corpus
        .iter()
        .filter(|golden| golden.first)
        .map(|golden| order_of(&golden.event))
        .collect();
    orders.sort();
    orders.dedup();
    assert_eq!(orders.len(), 3, "one for each version");
    let runner = Runner::new(Arc::clone(&store));
    let documents = DocumentProjector::new(OrderSummaries, Arc::clone(&store), decoder.clone());
    let documents: Arc<dyn Consumer> = Arc::new(documents.unwrap());
    let name = |name: &str| SubscriptionName::new(name).unwrap();
    run(
        &store,
        Subscription::new(name("summaries"), Replay::Safe, documents),
    )
    .await;
    let saga = SagaRunner::<Fulfilment, _>::new(Arc::clone(&store), decoder.clone()).unwrap();
    let subscription = Subscription::new(name("saga"), Replay::Safe, Arc::new(saga.clone()));
    run(&store, subscription).await;
    for golden in corpus
        .iter()
        .filter(|golden| golden.first && matches!(golden.read, Everything::Placed(_)))
    {
        let Everything::Placed(placed) = &golden.read else {
            continue;
        };
        let version = golden.version;
        // Items were not counted at first.
        assert_eq!(
            (placed.item_count, placed.total),
            (if version == 1 { 0 } else { 3 }, Cents(2933))
        );
        let key = placed.order.to_string();

        // The stream, now and as it was.
        let stream = StreamId::new("order", key.clone()).unwrap();
        let events = store
            .read_events::<OrderEvent>(&stream, &decoder)
            .await
            .unwrap();
        assert_eq!(events.len(), 4);
        assert_eq!(*events[2].event(), OrderEvent::Placed(placed.clone()));
        let moment = Some(AsOf::Position(events[2].position()));
        let before = store
            .read_events_as_of::<OrderEvent>(&stream, moment, &decoder)
            .await;
        assert_eq!(before.unwrap(), events[..3]);

        // The aggregate.
        let mut uow = runner.begin(Metadata::new());
        let order = uow.load::<Order>(&placed.order).await.unwrap();
        assert_eq!(order.state().status(), Status::Shipped);

        // The read model.
        let documents = Documents::<OrderSummaries>::new(store.clone());
        let summary = documents.get(&key).await.unwrap().unwrap();
        let expected = OrderSummary {
            customer: placed.customer.clone(),
            ordered_on: placed.ordered_on,
            item_count: placed.item_count,
            total: placed.total,
            status: OrderStatus::Cancelled,
        };
        assert_eq!(summary, expected, "version {version}");

        // The saga was told of the order, and of its end.
        let instance = saga.instance(&key).await.unwrap().unwrap();
        assert_ne!(
            instance.status(),
            ProcessStatus::Parked,
            "version {version}"
        );
        let sent = store
            .read_queue_of("saga.fulfilment.commands", &key, 0, 10)
            .await
            .unwrap();
        assert!(!sent.is_empty(), "version {version}");
    }
}

#[tokio::test]
async fn the_corpus_is_read_on_every_path_in_memory() {
    check(Arc::new(MemoryStore::new())).await;
}

#[tokio::test]
async fn the_corpus_is_read_on_every_path_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("orders.db"))
        .await
        .unwrap();
    store.migrate().await.unwrap();
    check(Arc::new(store)).await;
}

#[tokio::test]
async fn the_corpus_is_read_on_every_path_on_a_server() {
    let server = std::env::var("DATABASE_URL")
        .expect("DATABASE_URL must name a Postgres database that the tests may use");
    let separator = if server.contains('?') { '&' } else { '?' };
    let schema = format!("golden_{}", EventId::new().as_uuid().simple());
    let store = PgStore::connect(&format!("{server}{separator}schema={schema}")).unwrap();
    store.migrate().await.unwrap();
    check(Arc::new(store)).await;
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&server)
        .await
        .unwrap();
    let drop = sqlx::AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE"));
    sqlx::query(drop).execute(&mut connection).await.unwrap();
}
