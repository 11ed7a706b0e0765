//! Every path that reads events, on a stream of old ones: all of them see the same.
//!
//! Long because each path needs a reader of its own, and they are to be seen side by side.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use uno_core::{
    AsOf, Backend, BoxError, Command, CommandSet, Envelope, EventStoreExt, Lane, Metadata,
    Position, SubscriptionName, Transactional, Version,
};
use uno_cqrs::{DocumentProjection, DocumentProjector, Documents, Projection, Projector};
use uno_domain::AggregateRoot;
use uno_events::{
    Consumer, Replay, StopReason, Subscription, SubscriptionManager, SubscriptionState,
};
use uno_saga::{Input, Intervention, NoTimeout, Outputs, Route, Saga, SagaRunner};
use uno_testkit::conformance::{BackendHarness, Harness, TxOf};
use uno_uow::Runner;

use super::shop::{
    GivenUp, Order, Placed, ShopEvent, append, decoder, old, read, store_all, stream,
};
use crate::support::log;

pub(super) type Store<H> = Arc<<H as Harness>::Store>;
pub(super) type Guard<H> = <H as Harness>::Guard;

pub(super) fn name() -> SubscriptionName {
    SubscriptionName::new("reader").unwrap()
}

pub(super) fn texts(events: &[ShopEvent]) -> Vec<String> {
    events.iter().map(|event| format!("{event:?}")).collect()
}

fn events<S>(envelopes: Vec<Envelope<S>>) -> Vec<S> {
    envelopes.into_iter().map(Envelope::into_event).collect()
}

pub(super) fn manager<B: Backend>(store: &Arc<B>) -> SubscriptionManager {
    SubscriptionManager::builder(store.clone(), store.clone())
        .decoder(decoder())
        .build()
}

/// Runs a subscription until it has nothing left to do.
pub(super) async fn run<B: Backend>(
    store: &Arc<B>,
    subscription: Subscription,
) -> SubscriptionManager {
    let manager = manager(store);
    manager.subscribe(subscription).unwrap();
    manager.start_all().await.unwrap();
    crate::support::rest::in_time(manager.until_idle())
        .await
        .unwrap();
    manager
}

async fn checkpoint<B: Backend>(store: &Arc<B>) -> Option<Position> {
    let checkpoint = store.load_checkpoint(&name(), Lane::FIRST).await.unwrap();
    checkpoint.map(|checkpoint| checkpoint.position())
}

pub(super) async fn a_stream_is_read<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_all(&**store).await;
    let found = store.read_events(&stream(), &decoder()).await.unwrap();
    assert_eq!(events::<ShopEvent>(found), read());
}

pub(super) async fn a_stream_is_read_as_it_was<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_all(&**store).await;
    let fourth = log(&**store).await[3].position();
    let moment = Some(AsOf::Position(fourth));
    let found = store.read_events_as_of(&stream(), moment, &decoder()).await;
    // The fourth is a cart of three products.
    assert_eq!(events::<ShopEvent>(found.unwrap()), read()[..6]);
}

pub(super) async fn the_log_is_read<H: BackendHarness>(_: &Arc<H>, store: &Store<H>, _: &Guard<H>) {
    store_all(&**store).await;
    let decoder = decoder();
    let filter = decoder.filter::<Placed>().unwrap();
    let mut pages = store.pages(Position::START, filter, 2);
    let mut found = Vec::new();
    while let Some(page) = pages.next_page().await.unwrap() {
        for record in &page {
            found.extend(events(
                decoder
                    .decode_matching::<Placed>(record)
                    .unwrap()
                    .into_iter()
                    .collect(),
            ));
        }
    }
    let expected = read().into_iter().filter_map(|event| match event {
        ShopEvent::Placed(placed) => Some(placed),
        _ => None,
    });
    assert_eq!(found, expected.collect::<Vec<_>>());
}

pub(super) async fn a_subscription_handles_each_stored_event_once<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_all(&**store).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let handler = move |event: Arc<Envelope<ShopEvent>>| {
        noted
            .lock()
            .unwrap()
            .push((event.event().clone(), event.part_id()));
        async { Ok(()) }
    };
    let subscription = Subscription::handler(name(), Replay::Safe, handler);
    let manager = run(store, subscription).await;
    let seen = seen.lock().unwrap().clone();
    let (seen, mut ids): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
    assert_eq!(seen, read());
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), seen.len(), "each has an id of its own");
    // What is counted are stored events: two of the fifteen are retired, and are not asked for.
    let status = manager.status().await;
    assert_eq!(status[0].counts().handled(), 13);
    assert_eq!(
        checkpoint(store).await,
        Some(log(&**store).await[14].position())
    );
    manager.stop_all().await;
}

/// Of each product and of all orders, what was seen of it.
#[derive(Debug)]
pub(super) struct Sightings;

#[derive(Serialize, Deserialize, Default)]
pub(super) struct Seen {
    pub(super) events: Vec<String>,
}

impl DocumentProjection for Sightings {
    const NAME: &'static str = "reader";
    type Event = ShopEvent;
    type Document = Seen;

    fn keys(&self, _: &Envelope<ShopEvent>) -> Vec<String> {
        vec!["all".to_owned()]
    }

    fn apply(&self, _: &str, document: Option<Seen>, event: &Envelope<ShopEvent>) -> Option<Seen> {
        let mut seen = document.unwrap_or_default();
        seen.events.push(format!("{:?}", event.event()));
        Some(seen)
    }
}

pub(super) async fn a_projection_into_documents_is_made_and_made_anew<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_all(&**store).await;
    let projector = || {
        let projector = DocumentProjector::new(Sightings, Arc::clone(store), decoder()).unwrap();
        Subscription::new(name(), Replay::Safe, Arc::new(projector))
    };
    let manager = run(store, projector()).await;
    let documents = Documents::<Sightings>::new(store.clone());
    let seen = documents.get("all").await.unwrap().unwrap();
    assert_eq!(seen.events, texts(&read()));
    // Made anew: from the first event on, into a document that was cleared.
    let mut commit = uno_core::Commit::new();
    commit
        .documents
        .push(uno_core::DocumentWrite::remove("reader", "all"));
    store.commit(commit).await.unwrap();
    manager.reset(&name(), Position::START).await.unwrap();
    crate::support::rest::in_time(manager.until_idle())
        .await
        .unwrap();
    let seen = documents.get("all").await.unwrap().unwrap();
    assert_eq!(seen.events, texts(&read()));
    manager.stop_all().await;
}

/// A row for each event, under the number of its part.
struct Rows<H>(Arc<H>);

impl<H> fmt::Debug for Rows<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rows")
    }
}

impl<H: BackendHarness> Projection<H::Store> for Rows<H> {
    const NAME: &'static str = "reader";
    type Event = ShopEvent;

    async fn project(&self, event: &Envelope<ShopEvent>, tx: &mut TxOf<H>) -> Result<(), BoxError> {
        let key = format!("{}.{}", event.version(), event.part().index());
        self.0.put_row(&key, &format!("{:?}", event.event()))(tx).await
    }
}

pub(super) async fn a_projection_into_rows_is_made<H: BackendHarness>(
    harness: &Arc<H>,
    store: &Store<H>,
    guard: &Guard<H>,
) {
    store_all(&**store).await;
    let rows = Projector::new(Rows(Arc::clone(harness)), Arc::clone(store), decoder()).unwrap();
    let manager = run(
        store,
        Subscription::new(name(), Replay::Safe, Arc::new(rows)),
    )
    .await;
    manager.stop_all().await;
    let mut expected = read().into_iter();
    for (n, (.., read)) in super::shop::history().iter().enumerate() {
        for part in 0..read.len() {
            let row = harness
                .row(store, guard, &format!("{}.{part}", n + 1))
                .await
                .unwrap();
            assert_eq!(row, expected.next().map(|event| format!("{event:?}")));
        }
    }
    assert_eq!(expected.next(), None);
}

/// Remembers what it is told; trips over orders of nothing, unless it is mended.
#[derive(Serialize, Deserialize, Default, Clone, Debug)]
pub(super) struct Watch<const MENDED: bool> {
    pub(super) seen: Vec<String>,
}

#[derive(Command, Serialize, Deserialize)]
pub(super) struct Nothing {}

#[derive(CommandSet)]
pub(super) enum Nothings {
    Nothing(Nothing),
}

impl<const MENDED: bool> Saga for Watch<MENDED> {
    const NAME: &'static str = "watch";
    type Event = ShopEvent;
    type Command = Nothings;
    type Timeout = NoTimeout;

    fn route(event: &Envelope<ShopEvent>) -> Route {
        Route::Start(event.stream().key().to_owned())
    }

    fn react(&mut self, input: Input<'_, ShopEvent, NoTimeout>) -> Outputs<Nothings, NoTimeout> {
        if let Input::Event(event) = input {
            let unlucky =
                matches!(event.event(), ShopEvent::Placed(placed) if placed.total.0 == 700);
            assert!(MENDED || !unlucky, "an unlucky order");
            self.seen.push(format!("{:?}", event.event()));
        }
        Outputs::none()
    }
}

async fn watch<const MENDED: bool, B: Backend>(store: &Arc<B>) -> SagaRunner<Watch<MENDED>, B> {
    let saga = SagaRunner::<Watch<MENDED>, _>::new(Arc::clone(store), decoder()).unwrap();
    let subscription = Subscription::new(name(), Replay::Safe, Arc::new(saga.clone()));
    run(store, subscription).await.stop_all().await;
    saga
}

pub(super) async fn a_saga_is_told<H: BackendHarness>(_: &Arc<H>, store: &Store<H>, _: &Guard<H>) {
    store_all(&**store).await;
    let saga = watch::<true, _>(store).await;
    let instance = saga.instance("7").await.unwrap().unwrap();
    assert_eq!(instance.state().seen, texts(&read()));
}

/// The last part of a split is what it trips over: that and all that follows is parked, part by part.
pub(super) async fn a_saga_that_is_parked_is_told_each_part<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_all(&**store).await;
    append(
        &**store,
        vec![old(
            "cart_ordered",
            1,
            &json!({ "products": ["x", "y"], "total": 9 }),
        )],
    )
    .await;
    let saga = watch::<false, _>(store).await;
    let instance = saga.instance("7").await.unwrap().unwrap();
    let all = store
        .read_events::<ShopEvent>(&stream(), &decoder())
        .await
        .unwrap();
    let all = texts(&events(all));
    assert_eq!(instance.state().seen, all[..5]);
    assert_eq!(saga.parked_inputs("7").await.unwrap().len(), all.len() - 5);
    let mended = SagaRunner::<Watch<true>, _>::new(Arc::clone(store), decoder()).unwrap();
    let person = Intervention::new("ada", "mended");
    mended.retry_parked("7", &person).await.unwrap();
    let instance = mended.instance("7").await.unwrap().unwrap();
    assert_eq!(instance.state().seen, all);
}

async fn order<B: Backend>(store: &Arc<B>) -> (Vec<String>, Version) {
    let runner = Runner::new(Arc::clone(store)).with_decoder(decoder());
    let mut uow = runner.begin(Metadata::new());
    let order = uow.load::<Order>(&7).await.unwrap();
    (order.state().seen.clone(), order.version())
}

pub(super) async fn an_aggregate_is_loaded<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    append(&**store, vec![old("noted", 1, &json!("passed over"))]).await;
    store_all(&**store).await;
    append(
        &**store,
        vec![old("page_viewed", 1, &json!("dropped, and last"))],
    )
    .await;
    assert_eq!(
        order(store).await,
        (texts(&read()), Version::new(17).unwrap())
    );
}

/// A snapshot at each version in turn, and the tail after it.
pub(super) async fn an_aggregate_is_loaded_from_a_snapshot_and_its_tail<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_all(&**store).await;
    let records = log(&**store).await;
    let mut root = AggregateRoot::<Order>::new(7);
    for record in &records {
        root.apply_decoded(&decoder().decode_all(record).unwrap())
            .unwrap();
        let snapshot = root.create_snapshot(record.id()).unwrap().unwrap();
        let mut commit = uno_core::Commit::new();
        commit.snapshots.push(snapshot);
        store.commit(commit).await.unwrap();
        let kept = store.load_snapshot(&stream()).await.unwrap().unwrap();
        assert_eq!(kept.version(), record.version());
        assert_eq!(
            order(store).await,
            (texts(&read()), Version::new(15).unwrap())
        );
    }
}

pub(super) async fn an_aggregate_goes_on_and_back<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_all(&**store).await;
    let runner = Runner::new(Arc::clone(store)).with_decoder(decoder());
    let mut uow = runner.begin(Metadata::new());
    let mut order = uow.load::<Order>(&7).await.unwrap();
    let why = |why: &str| GivenUp {
        why: why.to_owned(),
    };
    order.record(why("kept"));
    drop(order);
    let savepoint = uow.savepoint().unwrap();
    let mut order = uow.load::<Order>(&7).await.unwrap();
    order.record(why("taken back"));
    drop(order);
    uow.rollback_to(&savepoint).await.unwrap();
    runner.commit(uow).await.unwrap();
    let mut expected = texts(&read());
    expected.push(format!("{:?}", ShopEvent::from(why("kept"))));
    assert_eq!(
        self::order(store).await,
        (expected, Version::new(16).unwrap())
    );
}

/// One event at a time that can't be read, and every path says which one it is.
pub(super) async fn what_can_not_be_read_stops_every_path<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let place = |text: &str| {
        assert!(text.contains("stream order-7"), "{text}");
        assert!(text.contains("version 1 in stream"), "{text}");
    };
    append(
        &**store,
        vec![old("cart_ordered", 1, &json!({ "total": 1 }))],
    )
    .await;
    let error = store
        .read_events::<ShopEvent>(&stream(), &decoder())
        .await
        .unwrap_err();
    place(&error.to_string());
    let runner = Runner::new(Arc::clone(store)).with_decoder(decoder());
    let mut uow = runner.begin(Metadata::new());
    place(&uow.load::<Order>(&7).await.unwrap_err().to_string());
    let handler = |_: Arc<Envelope<ShopEvent>>| async { Ok(()) };
    let documents = DocumentProjector::new(Sightings, Arc::clone(store), decoder()).unwrap();
    let saga = SagaRunner::<Watch<true>, _>::new(Arc::clone(store), decoder()).unwrap();
    let consumers: [Arc<dyn Consumer>; 2] = [Arc::new(documents), Arc::new(saga)];
    let mut subscriptions = vec![Subscription::handler(name(), Replay::Safe, handler)];
    let all = consumers.into_iter();
    subscriptions.extend(all.map(|consumer| Subscription::new(name(), Replay::Safe, consumer)));
    for subscription in subscriptions {
        let manager = manager(store);
        manager.subscribe(subscription.no_parking()).unwrap();
        manager.start_all().await.unwrap();
        crate::support::rest::in_time(manager.until_idle())
            .await
            .unwrap_err();
        let status = manager.status().await;
        let SubscriptionState::Stopped {
            why: StopReason::Undecodable { error, .. },
            ..
        } = status[0].state()
        else {
            panic!("{:?}", status[0].state());
        };
        place(error);
        assert_eq!(checkpoint(store).await, None);
        manager.stop_all().await;
    }
    // Set aside instead, it says the same.
    let subscription = Subscription::handler(name(), Replay::Safe, handler);
    let manager = run(store, subscription).await;
    let key = manager.parked_key(&name(), "order-7").await.unwrap();
    place(key.unwrap().failure().error());
    manager.stop_all().await;
}
