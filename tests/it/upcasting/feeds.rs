//! Old events on live feeds and on the bus.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use uno::Uno;
use uno_core::{Category, Checkpoint, Envelope, EventName, EventSet, EventStore, RecordedEvent};
use uno_events::{
    BoundedQueue, EventBus, HandlerOptions, Layers, NamePattern, Retry, RetryPolicy, Topic,
    TypedWatch, Watch, WatchOptions, Watched,
};
use uno_testkit::conformance::BackendHarness;

use super::{
    paths::{Guard, Store, manager},
    shop::{Placed, ShopEvent, append, decoder, history, old, read, store_all},
};
use crate::support::{log, rest::in_time};

/// What a watch gives up to the end of the log, each with the place to go on at.
async fn watched<E: EventSet>(watch: &mut TypedWatch<E>) -> Vec<(Envelope<E>, Checkpoint)> {
    let mut found = Vec::new();
    loop {
        match in_time(watch.next()).await.unwrap().unwrap() {
            Watched::Event(event) => found.push((event, watch.checkpoint())),
            Watched::CaughtUp { .. } => return found,
            _ => panic!("it keeps up"),
        }
    }
}

fn events<E>(found: Vec<(Envelope<E>, Checkpoint)>) -> Vec<E> {
    found
        .into_iter()
        .map(|(event, _)| event.into_event())
        .collect()
}

fn placed() -> Vec<Placed> {
    let placed = read().into_iter().filter_map(|event| match event {
        ShopEvent::Placed(placed) => Some(placed),
        _ => None,
    });
    placed.collect()
}

pub(super) async fn a_watch_is_told_each_part<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_all(&**store).await;
    let options = || WatchOptions::from_start().page_size(2);
    let mut all = TypedWatch::<ShopEvent>::open(store.clone(), decoder(), options())
        .await
        .unwrap();
    assert_eq!(events(watched(&mut all).await), read());
    let manager = manager(store);
    let mut some = manager.watch_events::<Placed>(options()).await.unwrap();
    assert_eq!(events(watched(&mut some).await), placed());
    // And what comes then, under a name of before: by a process that is older than this one.
    append(
        &**store,
        vec![
            old("page_viewed", 1, &json!(null)),
            old("order_abandoned", 1, &json!("while it is watched")),
        ],
    )
    .await;
    let Watched::Event(event) = in_time(all.next()).await.unwrap().unwrap() else {
        panic!("an event is next");
    };
    let ShopEvent::GivenUp(given_up) = event.event() else {
        panic!("{event:?}");
    };
    assert_eq!(given_up.why, "while it is watched");
}

/// Between two parts of one event the place to go on at is before the event, and behind the last part it is behind it.
pub(super) async fn a_watch_that_goes_on_loses_no_part<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_all(&**store).await;
    let open = async |options| {
        let watch = TypedWatch::<ShopEvent>::open(store.clone(), decoder(), options).await;
        watched(&mut watch.unwrap()).await
    };
    let found = open(WatchOptions::from_start()).await;
    for (n, (event, place)) in found.iter().enumerate() {
        let first = found.iter().position(|(other, _)| other.id() == event.id());
        let is_last = found
            .get(n + 1)
            .is_none_or(|(next, _)| next.id() != event.id());
        let from = if is_last { n + 1 } else { first.unwrap() };
        let rest = open(WatchOptions::after_checkpoint(*place)).await;
        assert_eq!(events(rest), read()[from..], "after {n}");
    }
}

pub(super) async fn a_watch_of_what_is_stored_asks_for_former_names<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_all(&**store).await;
    let filter = decoder().filter::<Placed>().unwrap();
    let mut watch = Watch::open(store.clone(), WatchOptions::from_start().filter(filter))
        .await
        .unwrap();
    let mut found = Vec::new();
    while let Watched::Event(event) = in_time(watch.next()).await.unwrap().unwrap() {
        found.push((event.name().to_string(), event.schema_version().get()));
    }
    let expected = history().into_iter().filter_map(|(name, version, ..)| {
        ["placed", "cart_ordered"]
            .contains(&name)
            .then(|| (name.to_owned(), version))
    });
    assert_eq!(found, expected.collect::<Vec<_>>());
}

/// What handlers were called with.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn typed<E: EventSet + std::fmt::Debug>(
        &self,
    ) -> impl Fn(Arc<Envelope<E>>) -> std::future::Ready<Result<(), uno_core::BoxError>>
    + Send
    + Sync
    + 'static
    + use<E> {
        let calls = self.clone();
        move |event| {
            let text = format!("{:?}", event.event());
            calls.0.lock().unwrap().push(text);
            std::future::ready(Ok(()))
        }
    }

    fn recorded(
        &self,
    ) -> impl Fn(Arc<RecordedEvent>) -> std::future::Ready<Result<(), uno_core::BoxError>>
    + Send
    + Sync
    + 'static
    + use<> {
        let calls = self.clone();
        move |event| {
            calls.0.lock().unwrap().push(event.name().to_string());
            std::future::ready(Ok(()))
        }
    }
}

fn texts<E: std::fmt::Debug>(events: &[E]) -> Vec<String> {
    events.iter().map(|event| format!("{event:?}")).collect()
}

pub(super) async fn a_bus_calls_handlers_of_the_new_type<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_all(&**store).await;
    let bus = EventBus::builder().decoder(decoder()).build();
    let name = |name: &'static str| Topic::Name(EventName::new(name).unwrap());
    let pattern = Topic::Pattern(NamePattern::new("item_*").unwrap());
    let category = Topic::Category(Category::new("order").unwrap());
    let calls: [Calls; 6] = Default::default();
    let [
        by_type,
        by_set,
        by_old_name,
        by_new_name,
        by_pattern,
        by_category,
    ] = &calls;
    bus.subscribe("by type", by_type.typed::<Placed>());
    bus.subscribe("by set", by_set.typed::<ShopEvent>());
    bus.subscribe_recorded("old", name("item_put_in"), by_old_name.recorded());
    bus.subscribe_recorded("new", name("item_added"), by_new_name.recorded());
    bus.subscribe_recorded("pattern", pattern, by_pattern.recorded());
    bus.subscribe_recorded("category", category, by_category.recorded());
    for published in bus.publish_many(log(&**store).await).await {
        assert!(published.is_ok(), "{published:?}");
    }
    assert_eq!(by_type.take(), texts(&placed()));
    assert_eq!(by_set.take(), texts(&read()));
    // Topics are of what is stored, as it is stored.
    let stored: Vec<String> = history().iter().map(|(name, ..)| (*name).into()).collect();
    let some = |wanted: &[&str]| -> Vec<String> {
        let some = stored.iter().filter(|name| wanted.contains(&name.as_str()));
        some.cloned().collect()
    };
    assert_eq!(by_old_name.take(), some(&["item_put_in"]));
    assert_eq!(by_new_name.take(), some(&["item_added"]));
    assert_eq!(by_pattern.take(), some(&["item_put_in", "item_added"]));
    assert_eq!(by_category.take(), stored);
}

pub(super) async fn a_layer_tries_the_part_again_that_failed<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_all(&**store).await;
    let bus = EventBus::builder().decoder(decoder()).build();
    let (calls, failed) = (Calls::default(), AtomicBool::new(false));
    let noted = calls.clone();
    let handler = move |event: Arc<Envelope<ShopEvent>>| {
        noted.0.lock().unwrap().push(format!("{:?}", event.event()));
        let is_d = matches!(event.event(), ShopEvent::ItemAdded(item) if item.product == "d");
        let fails = is_d && !failed.swap(true, Ordering::Relaxed);
        async move { if fails { Err("not now".into()) } else { Ok(()) } }
    };
    let retry = Retry::by(RetryPolicy::new().base(Duration::from_micros(1)));
    let options = HandlerOptions::new().layers(Layers::new().layer(retry));
    bus.subscribe_with("mail", options, handler);
    let cart = log(&**store).await.remove(3);
    let published = bus.publish(cart).await;
    assert!(published.is_ok(), "{published:?}");
    let mut expected = texts(&read()[2..6]);
    expected.insert(2, expected[2].clone());
    assert_eq!(calls.take(), expected);
}

pub(super) async fn a_queue_that_spills_reads_old_events_from_the_log<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_all(&**store).await;
    let bus = EventBus::builder().decoder(decoder()).build();
    let calls = Calls::default();
    let open = Arc::new(tokio::sync::Semaphore::new(0));
    let (noted, gate) = (calls.clone(), Arc::clone(&open));
    let handler = move |event: Arc<Envelope<Placed>>| {
        let (noted, gate) = (noted.clone(), Arc::clone(&gate));
        async move {
            let _open = gate.acquire().await?;
            noted.0.lock().unwrap().push(format!("{:?}", event.event()));
            Ok(())
        }
    };
    let queue = BoundedQueue::spill_to_log(1, store.clone());
    bus.subscribe_with("slow", HandlerOptions::new().queued(queue), handler);
    for event in log(&**store).await {
        let _ = bus.publish(event).await;
    }
    open.add_permits(1);
    let report = bus.shutdown(Duration::from_secs(60)).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(calls.take(), texts(&placed()));
}

pub(super) async fn the_bus_of_an_application_has_its_decoder<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let uno = Uno::builder(Arc::clone(store)).decoder(decoder()).build();
    let app = uno.unwrap().start().await.unwrap();
    let (seen, mut told) = tokio::sync::mpsc::unbounded_channel();
    app.bus()
        .subscribe("all", move |event: Arc<Envelope<ShopEvent>>| {
            let _ = seen.send(event.event().clone());
            async { Ok(()) }
        });
    store_all(&**store).await;
    let mut found = Vec::new();
    while found.len() < read().len() {
        found.push(in_time(told.recv()).await.unwrap());
    }
    assert_eq!(found, read());
    app.stop().await;
    let names: BTreeSet<_> = history().into_iter().map(|(name, ..)| name).collect();
    assert!(names.contains("cart_ordered"), "split at run time");
    let events: Arc<dyn EventStore> = store.clone();
    assert_eq!(
        events.head().await.unwrap().position(),
        log(&**store).await[14].position()
    );
}
