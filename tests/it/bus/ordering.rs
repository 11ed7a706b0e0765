//! Handlers that take the events of one key one at a time, in order.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{sync::Notify, time::Instant};
use uno_core::Envelope;
use uno_events::{BoundedQueue, EventBus, HandlerOptions, HandlerResult, Priority};

use super::support::*;

/// What a handler has seen, by stream: the numbers in the order in which it began with them.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<HashMap<String, Vec<u32>>>>);

impl Seen {
    fn note(&self, event: &Envelope<Placed>) {
        let mut seen = self.0.lock().unwrap();
        seen.entry(event.stream().to_string())
            .or_default()
            .push(event.event().n);
    }

    fn of(&self, stream: &str) -> Vec<u32> {
        self.0
            .lock()
            .unwrap()
            .get(stream)
            .cloned()
            .unwrap_or_default()
    }
}

fn ordered(bus: &EventBus, seen: &Seen) {
    let (seen, busy) = (
        seen.clone(),
        Arc::new(Mutex::new(HashMap::<String, bool>::new())),
    );
    let options = HandlerOptions::new().ordered_by_stream();
    bus.subscribe_with("ordered", options, move |event: Arc<Envelope<Placed>>| {
        let (seen, busy) = (seen.clone(), Arc::clone(&busy));
        async move {
            let stream = event.stream().to_string();
            assert_eq!(
                busy.lock().unwrap().insert(stream.clone(), true),
                None,
                "one at a time"
            );
            seen.note(&event);
            // The earlier an event, the longer it takes: without turns they would overtake one another.
            tokio::time::sleep(Duration::from_millis(u64::from(20 - event.event().n))).await;
            busy.lock().unwrap().remove(&stream);
            Ok(())
        }
    });
}

#[tokio::test(start_paused = true)]
async fn events_of_one_stream_come_one_at_a_time_in_the_order_of_their_publishes() {
    let (bus, seen) = (
        EventBus::builder().max_concurrency(100).build(),
        Seen::default(),
    );
    ordered(&bus, &seen);
    let start = Instant::now();
    let events = (0..10).flat_map(|n| ["order-1", "order-2", "order-3"].map(|stream| (stream, n)));
    let published =
        join_all(events.map(|(stream, n)| bus.publish(recorded_in(stream, &Placed { n }))));
    for published in published.await {
        assert!(published.is_ok(), "{published:?}");
    }
    for stream in ["order-1", "order-2", "order-3"] {
        assert_eq!(seen.of(stream), (0..10).collect::<Vec<_>>());
    }
    // 20 + 19 + … + 11 milliseconds for each stream: no stream has waited for another.
    assert!(
        start.elapsed() < Duration::from_millis(170),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_turn_keeps_no_place_from_others() {
    let (bus, seen) = (
        EventBus::builder().max_concurrency(2).build(),
        Seen::default(),
    );
    ordered(&bus, &seen);
    let start = Instant::now();
    let hot = join_all((0..10).map(|n| bus.publish(recorded_in("order-1", &Placed { n }))));
    let other = async {
        // Its publish begins after all of the others.
        let published = bus.publish(recorded_in("order-2", &Placed { n: 0 })).await;
        (published, start.elapsed())
    };
    let (_, (published, took)) = tokio::join!(hot, other);
    assert!(published.is_ok());
    assert!(took < Duration::from_millis(25), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_order_is_that_of_the_publishes_also_behind_slow_handlers_of_a_higher_priority() {
    let (bus, seen) = (
        EventBus::builder().max_concurrency(100).build(),
        Seen::default(),
    );
    let high = HandlerOptions::new().priority(Priority::High);
    bus.subscribe_with(
        "slow at first",
        high,
        |event: Arc<Envelope<Placed>>| async move {
            tokio::time::sleep(Duration::from_millis(u64::from(100 - event.event().n))).await;
            Ok(())
        },
    );
    ordered(&bus, &seen);
    let published = join_all((0..10).map(|n| bus.publish(recorded_in("order-1", &Placed { n }))));
    assert!(published.await.iter().all(|published| published.is_ok()));
    assert_eq!(seen.of("order-1"), (0..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_publish_gives_its_turn_up() {
    let (bus, seen) = (EventBus::new(), Seen::default());
    ordered(&bus, &seen);
    let publish = |n| Box::pin(bus.publish(recorded_in("order-1", &Placed { n })));
    let (mut first, mut second, mut third) = (publish(0), publish(1), publish(2));
    for publishing in [&mut first, &mut second, &mut third] {
        assert!(futures_util::poll!(publishing.as_mut()).is_pending());
    }
    drop(second);
    assert!(first.await.is_ok());
    assert!(third.await.is_ok());
    assert_eq!(seen.of("order-1"), [0, 2]);

    // The one that has the turn, too. The handler's own mark that it is busy goes with it, so another handler is asked.
    let (bus, gate) = (EventBus::new(), Arc::new(Notify::new()));
    let (open, calls) = (Arc::clone(&gate), Calls::default());
    let noted = calls.clone();
    let options = HandlerOptions::new().ordered_by(|event| event.name().as_str().to_owned());
    bus.subscribe_with("gated", options, move |event: Arc<Envelope<Placed>>| {
        let (open, calls) = (Arc::clone(&open), noted.clone());
        async move {
            calls.push(event.event().n.to_string());
            if event.event().n == 0 {
                open.notified().await;
            }
            Ok(())
        }
    });
    let mut holder = Box::pin(bus.publish(placed(0)));
    let mut next = Box::pin(bus.publish(placed(1)));
    assert!(futures_util::poll!(holder.as_mut()).is_pending());
    assert!(futures_util::poll!(next.as_mut()).is_pending());
    assert_eq!(calls.take(), ["0"]);
    drop(holder);
    assert!(next.await.is_ok());
    assert_eq!(calls.take(), ["1"]);
}

/// Publishes from within the ordered handler, as the countdown says: its own key, or another.
fn countdown(bus: &EventBus, calls: &Calls, next_stream: fn(&str) -> &'static str) {
    let (inner, calls) = (bus.clone(), calls.clone());
    let options = HandlerOptions::new().ordered_by_stream();
    bus.subscribe_with("countdown", options, move |event: Arc<Envelope<Placed>>| {
        let (bus, calls) = (inner.clone(), calls.clone());
        async move {
            let (n, stream) = (event.event().n, event.stream().to_string());
            tokio::task::yield_now().await;
            if n > 0 {
                let next = recorded_in(next_stream(&stream), &Placed { n: n - 1 });
                let published = bus.publish(next).await;
                assert!(published.is_ok(), "{published:?}");
                for outcome in published.outcomes() {
                    if *outcome.result() == HandlerResult::Deferred {
                        calls.push("deferred");
                    }
                }
            }
            calls.push(format!("{stream} {n}"));
            Ok(())
        }
    });
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_publishes_of_its_own_key_is_handled_within_it() {
    for places in [1, 10] {
        let bus = EventBus::builder().max_concurrency(places).build();
        let calls = Calls::default();
        countdown(&bus, &calls, |_| "order-1");
        let start = Instant::now();
        assert!(
            bus.publish(recorded_in("order-1", &Placed { n: 3 }))
                .await
                .is_ok()
        );
        assert_eq!(
            calls.take(),
            ["order-1 0", "order-1 1", "order-1 2", "order-1 3"]
        );
        assert_eq!(
            start.elapsed(),
            Duration::ZERO,
            "no time limit has ended it"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn two_handlers_that_want_each_others_keys_do_not_wait_for_one_another() {
    for places in [1, 2, 10] {
        let bus = EventBus::builder().max_concurrency(places).build();
        let calls = Calls::default();
        countdown(&bus, &calls, |stream| {
            if stream == "order-1" {
                "order-2"
            } else {
                "order-1"
            }
        });
        let start = Instant::now();
        let (one, other) = tokio::join!(
            bus.publish(recorded_in("order-1", &Placed { n: 1 })),
            bus.publish(recorded_in("order-2", &Placed { n: 1 })),
        );
        assert!(one.is_ok() && other.is_ok());
        // What was deferred is still under way, and a shutdown waits for it.
        assert!(bus.shutdown(Duration::from_secs(1)).await.is_complete());
        let mut called = calls.take();
        called.retain(|call| call != "deferred");
        called.sort();
        assert_eq!(called, ["order-1 0", "order-1 1", "order-2 0", "order-2 1"]);
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "no time limit has ended it"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_deferred_comes_in_its_place_in_the_order() {
    let (bus, calls, gate) = (EventBus::new(), Calls::default(), Arc::new(Notify::new()));
    let (open, noted) = (Arc::clone(&gate), calls.clone());
    let options = HandlerOptions::new().ordered_by_stream();
    bus.subscribe_with("ordered", options, move |event: Arc<Envelope<Placed>>| {
        let (open, calls) = (Arc::clone(&open), noted.clone());
        async move {
            if event.event().n == 1 {
                open.notified().await;
            }
            calls.push(event.event().n.to_string());
            Ok(())
        }
    });
    let inner = bus.clone();
    bus.subscribe("publishes", move |_: Arc<Envelope<Shipped>>| {
        let bus = inner.clone();
        async move {
            let published = bus.publish(placed(2)).await;
            assert_eq!(results(&published), [("ordered", HandlerResult::Deferred)]);
            Ok(())
        }
    });
    let mut first = Box::pin(bus.publish(placed(1)));
    assert!(futures_util::poll!(first.as_mut()).is_pending());
    assert!(bus.publish(shipped(0)).await.is_ok());
    let mut third = Box::pin(bus.publish(placed(3)));
    assert!(futures_util::poll!(third.as_mut()).is_pending());
    gate.notify_one();
    assert!(first.await.is_ok());
    assert!(third.await.is_ok());
    assert_eq!(calls.take(), ["1", "2", "3"]);
}

#[tokio::test]
async fn a_key_function_that_panics_is_reported_for_its_handler_only() {
    let (bus, calls) = (EventBus::new(), Calls::default());
    let options = HandlerOptions::new().ordered_by(|_| -> u32 { panic!("no key") });
    bus.subscribe_with(
        "keyless",
        options,
        calls.noter::<Envelope<Placed>>("keyless"),
    );
    bus.subscribe("works", calls.noter::<Envelope<Placed>>("works"));
    let expected = [
        ("keyless", HandlerResult::Panicked("no key".into())),
        ("works", HandlerResult::Handled),
    ];
    assert_eq!(results(&bus.publish(placed(1)).await), expected);
    assert_eq!(calls.take(), ["works"]);
}

#[tokio::test(start_paused = true)]
async fn events_of_one_key_enter_a_queue_in_the_order_of_their_publishes() {
    let (bus, calls) = (EventBus::new(), Calls::default());
    let high = HandlerOptions::new().priority(Priority::High);
    bus.subscribe_with(
        "slow at first",
        high,
        |event: Arc<Envelope<Placed>>| async move {
            tokio::time::sleep(Duration::from_millis(u64::from(100 - event.event().n))).await;
            Ok(())
        },
    );
    let noted = calls.clone();
    let options = HandlerOptions::new()
        .ordered_by_stream()
        .queued(BoundedQueue::block(3));
    bus.subscribe_with("queued", options, move |event: Arc<Envelope<Placed>>| {
        noted.push(event.event().n.to_string());
        async { Ok(()) }
    });
    let published = join_all((0..10).map(|n| bus.publish(placed(n))));
    assert!(published.await.iter().all(|published| published.is_ok()));
    assert!(bus.shutdown(Duration::from_secs(1)).await.is_complete());
    assert_eq!(
        calls.take(),
        (0..10).map(|n| n.to_string()).collect::<Vec<_>>()
    );
}
