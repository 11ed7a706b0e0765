//! Old events in lanes, and those that are parked.

use std::{
    collections::BTreeMap,
    num::NonZeroU16,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use uno_core::{Envelope, Position, SubscriptionName};
use uno_events::{Consumer, Replay, RetryPolicy, Subscription};
use uno_saga::{Input, NoTimeout, Outputs, Route, Saga, SagaRunner};
use uno_testkit::conformance::BackendHarness;

use super::{
    paths::{Guard, Nothings, Store, Watch, name, run, texts},
    shop::{ShopEvent, decoder, read, store_all, store_for},
};
use crate::support::{log, rest::in_time};

const ORDERS: [u32; 6] = [1, 2, 3, 5, 8, 13];
const LANES: NonZeroU16 = NonZeroU16::new(3).unwrap();

pub(super) async fn handlers_in_lanes_are_told_in_order<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_for(&**store, &ORDERS).await;
    let seen = Arc::new(Mutex::new(BTreeMap::<String, Vec<ShopEvent>>::new()));
    let noted = Arc::clone(&seen);
    let handler = move |event: Arc<Envelope<ShopEvent>>| {
        let mut noted = noted.lock().unwrap();
        let of_order = noted.entry(event.stream().key().to_owned()).or_default();
        of_order.push(event.event().clone());
        async { Ok(()) }
    };
    let subscription = Subscription::handler(name(), Replay::Safe, handler).lanes(LANES);
    run(store, subscription).await.stop_all().await;
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), ORDERS.len());
    for (order, events) in seen {
        assert_eq!(events, read(), "{order}");
    }
}

pub(super) async fn sagas_in_lanes_are_told_in_order<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_for(&**store, &ORDERS).await;
    let saga = SagaRunner::<Watch<true>, _>::new(Arc::clone(store), decoder()).unwrap();
    // What an event is in the lane of is its instance, also of one that was split.
    for record in log(&**store).await {
        let key = saga.key(&record).unwrap().into_owned();
        let is_retired = record.name().as_str() == "page_viewed";
        let expected = if is_retired {
            record.stream().to_string()
        } else {
            record.stream().key().to_owned()
        };
        assert_eq!(key, expected, "{}", record.name());
    }
    let consumer: Arc<dyn Consumer> = Arc::new(saga.clone());
    let subscription = Subscription::new(name(), Replay::Safe, consumer).lanes(LANES);
    run(store, subscription).await.stop_all().await;
    for order in ORDERS {
        let instance = saga.instance(&order.to_string()).await.unwrap().unwrap();
        assert_eq!(instance.state().seen, texts(&read()), "{order}");
    }
}

/// Items and orders are of different instances.
#[derive(Serialize, Deserialize, Default, Clone, Debug)]
struct Sorter {
    seen: Vec<String>,
}

impl Saga for Sorter {
    const NAME: &'static str = "sorter";
    type Event = ShopEvent;
    type Command = Nothings;
    type Timeout = NoTimeout;

    fn route(event: &Envelope<ShopEvent>) -> Route {
        let kind = match event.event() {
            ShopEvent::ItemAdded(_) => "items",
            _ => "orders",
        };
        Route::Start(format!("{kind}-{}", event.stream().key()))
    }

    fn react(&mut self, input: Input<'_, ShopEvent, NoTimeout>) -> Outputs<Nothings, NoTimeout> {
        if let Input::Event(event) = input {
            self.seen.push(format!("{:?}", event.event()));
        }
        Outputs::none()
    }
}

/// Parts of one event may be for several instances, in one lane or in several: each is told once. The order of what comes by another
/// lane is not said.
pub(super) async fn parts_for_several_instances_come_once<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_for(&**store, &ORDERS).await;
    let saga = SagaRunner::<Sorter, _>::new(Arc::clone(store), decoder()).unwrap();
    let consumer: Arc<dyn Consumer> = Arc::new(saga.clone());
    let subscription = Subscription::new(name(), Replay::Safe, consumer).lanes(LANES);
    run(store, subscription).await.stop_all().await;
    let (items, others): (Vec<_>, Vec<_>) = read()
        .into_iter()
        .partition(|event| matches!(event, ShopEvent::ItemAdded(_)));
    for order in ORDERS {
        for (kind, expected) in [("items", &items), ("orders", &others)] {
            let instance = saga.instance(&format!("{kind}-{order}")).await.unwrap();
            let (mut seen, mut expected) =
                (instance.unwrap().state().seen.clone(), texts(expected));
            seen.sort();
            expected.sort();
            assert_eq!(seen, expected, "{kind} of {order}");
        }
    }
}

pub(super) async fn what_is_parked_is_shown_as_it_is_stored_and_retried<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    store_all(&**store).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mended = Arc::new(AtomicBool::new(false));
    let (noted, is_mended) = (Arc::clone(&seen), Arc::clone(&mended));
    // Trips over the last part of a cart.
    let handler = move |event: Arc<Envelope<ShopEvent>>| {
        let unlucky = matches!(event.event(), ShopEvent::Placed(placed) if placed.total.0 == 700);
        let fails = unlucky && !is_mended.load(Ordering::Relaxed);
        if !fails {
            noted.lock().unwrap().push(event.event().clone());
        }
        async move {
            if fails {
                Err("an unlucky order".into())
            } else {
                Ok(())
            }
        }
    };
    let once = RetryPolicy::new().retries(0).base(Duration::from_micros(1));
    let subscription = Subscription::handler(name(), Replay::Safe, handler).retry(once);
    let manager = run(store, subscription).await;
    let of: SubscriptionName = name();
    let parked = manager.parked(&of, None, 10).await.unwrap();
    let [key] = &*parked else {
        panic!("{parked:?}");
    };
    assert_eq!(key.key(), "order-7");
    let events = manager.parked_events(&of, key.key(), Position::START, 100);
    let events = events.await.unwrap();
    let shown: Vec<_> = events.iter().map(|event| event.id()).collect();
    let wanted = decoder().stored_names::<ShopEvent>();
    let behind = log(&**store).await.into_iter().skip(3);
    let behind = behind.filter(|event| wanted.contains(event.name()));
    assert_eq!(shown, behind.map(|event| event.id()).collect::<Vec<_>>());
    assert_eq!(events[0].name().as_str(), "cart_ordered");
    assert_eq!(seen.lock().unwrap()[..2], read()[..2]);

    mended.store(true, Ordering::Relaxed);
    seen.lock().unwrap().clear();
    assert!(manager.retry_parked(&of, "order-7").await.unwrap());
    in_time(manager.until_idle()).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), read()[2..], "every part of the cart");
    assert_eq!(manager.parked(&of, None, 10).await.unwrap(), []);
    manager.stop_all().await;
}
