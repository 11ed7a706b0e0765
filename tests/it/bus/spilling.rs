//! Queues that spill to the log: no gap, nothing twice, whatever the order of the publishes.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use uno_core::{
    Envelope, EventStore as _, EventStoreExt as _, ExpectedVersion, Position, ReadLog,
    RecordedEvent,
};
use uno_events::{
    BoundedQueue, EventBus, HandlerOptions, HandlerResult, NamePattern, Refusal, Topic,
};
use uno_store_memory::MemoryStore;
use uno_testkit::faults::{Call, Fault, FaultStore, Faults};

use super::{
    queues::{Gated, status, until},
    support::*,
};

/// A log of so many `placed`, and one `shipped` after each.
async fn log_of(events: u32) -> (Arc<MemoryStore>, Vec<Arc<RecordedEvent>>) {
    let store = Arc::new(MemoryStore::new());
    let events: Vec<OrderEvent> = (0..events)
        .flat_map(|n| [Placed { n }.into(), OrderEvent::from(Shipped { n })])
        .collect();
    let stream = "order-1".parse().unwrap();
    store
        .append_events(stream, ExpectedVersion::Any, &events)
        .await
        .unwrap();
    let page = store
        .read_log(ReadLog::after(Position::START).limit(100_000))
        .await
        .unwrap();
    (store, page.into_events())
}

fn numbers(range: impl Iterator<Item = u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_space_is_read_from_the_log_and_then_the_queue_goes_on() {
    let (store, events) = log_of(1000).await;
    let (bus, gated) = (EventBus::new(), Gated::closed());
    gated.subscribe(&bus, BoundedQueue::spill_to_log(3, store));
    let mut results = Vec::new();
    for event in &events[..1000] {
        let published = bus.publish(Arc::clone(event)).await;
        assert!(published.is_ok());
        results.extend(published.outcomes().map(|outcome| outcome.result().clone()));
    }
    assert!(
        results[..3]
            .iter()
            .all(|result| *result == HandlerResult::Queued),
        "{results:?}"
    );
    assert_eq!(results[20], HandlerResult::Spilled);
    assert!(status(&bus).depth() <= 3 && status(&bus).reads_log());
    gated.let_all_go();
    until(|| status(&bus).handled() == 500).await;
    assert!(!status(&bus).reads_log(), "it has caught up");
    // What comes later in the log was not published, and so was not read from it.
    for event in &events[1000..1004] {
        bus.publish(Arc::clone(event)).await;
    }
    until(|| status(&bus).handled() == 502).await;
    assert_eq!(gated.calls.take(), numbers(0..502));
    assert_eq!((status(&bus).lost(), status(&bus).refused()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn only_what_the_handler_is_for_is_read_from_the_log() {
    let (store, events) = log_of(50).await;
    let (bus, seen) = (EventBus::new(), Arc::new(Mutex::new(Vec::new())));
    let (noted, topic) = (Arc::clone(&seen), NamePattern::new("ship*").unwrap());
    let queue = BoundedQueue::spill_to_log(1, store);
    let options = HandlerOptions::new().queued(queue);
    bus.subscribe_recorded_with(
        "s",
        Topic::Pattern(topic),
        options,
        move |event: Arc<RecordedEvent>| {
            noted.lock().unwrap().push(event.position());
            async { Ok(()) }
        },
    );
    for event in &events {
        bus.publish(Arc::clone(event)).await;
    }
    until(|| status(&bus).handled() == 50).await;
    let expected: Vec<_> = events
        .iter()
        .filter(|event| event.name().as_str() == "shipped")
        .map(|event| event.position())
        .collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn events_out_of_order_come_once_each_as_long_as_they_are_not_too_far_behind() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..20 {
        let (store, events) = log_of(150).await;
        let (bus, gated) = (EventBus::new(), Gated::closed());
        gated.subscribe(&bus, BoundedQueue::spill_to_log(random.usize(1..6), store));
        // Each event is up to ten places away from where it belongs.
        let mut published: Vec<_> = events
            .iter()
            .enumerate()
            .map(|(place, event)| (place + random.usize(0..10), event))
            .collect();
        published.sort_by_key(|(place, _)| *place);
        for (_, event) in published {
            bus.publish(Arc::clone(event)).await;
            if random.u8(0..4) == 0 {
                gated.let_go(1);
            }
            if random.u8(0..8) == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        gated.let_all_go();
        until(|| {
            let status = status(&bus);
            status.depth() == 0 && !status.reads_log() && !status.is_running()
        })
        .await;
        let calls = gated.calls.take();
        let once: BTreeSet<_> = calls.iter().collect();
        assert_eq!(
            (calls.len(), once.len()),
            (150, 150),
            "seed {seed}, round {round}"
        );
        assert_eq!(
            (status(&bus).lost(), status(&bus).refused()),
            (0, 0),
            "seed {seed}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_far_behind_a_full_queue_is_refused_and_not_doubled() {
    let (store, events) = log_of(3000).await;
    let (bus, gated) = (EventBus::new(), Gated::closed());
    gated.subscribe(&bus, BoundedQueue::spill_to_log(1, store));
    gated.let_go(2000);
    for event in &events[100..4100] {
        bus.publish(Arc::clone(event)).await;
    }
    until(|| status(&bus).handled() == 2000).await;
    for event in &events[4100..4106] {
        bus.publish(Arc::clone(event)).await;
    }
    let late = bus.publish(Arc::clone(&events[0])).await;
    let refused = HandlerResult::Refused(Refusal::NotInLogOrder);
    assert_eq!(results(&late), [("gated", refused)]);
    assert!(!late.is_ok());
    gated.let_all_go();
    until(|| status(&bus).handled() == 2003).await;
    assert_eq!(gated.calls.take(), numbers(50..2053));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_in_the_log_is_waited_for_and_then_counted_as_lost() {
    let (store, events) = log_of(10).await;
    let (bus, gated) = (EventBus::new(), Gated::closed());
    gated.subscribe(&bus, BoundedQueue::spill_to_log(1, store.clone()));
    for event in &events {
        bus.publish(Arc::clone(event)).await;
    }
    // Never stored, and yet at a place that the log may still come to.
    for n in [500, 501] {
        let published = bus.publish(at(n, n)).await;
        assert_eq!(results(&published), [("gated", HandlerResult::Spilled)]);
    }
    gated.let_all_go();
    until(|| status(&bus).handled() == 10).await;
    assert!(status(&bus).reads_log(), "it may become visible yet");
    until(|| !status(&bus).reads_log()).await;
    assert_eq!(status(&bus).lost(), 2);
    // And the handler goes on with what comes.
    bus.publish(at(502, 502)).await;
    until(|| status(&bus).handled() == 11).await;
    let mut expected = numbers(0..10);
    expected.push("502".into());
    assert_eq!(gated.calls.take(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_becomes_visible_late_is_read_then() {
    // Published from another copy of the log, so that the store which is read is behind.
    let (ahead, events) = log_of(10).await;
    let store = Arc::new(MemoryStore::new());
    let (bus, gated) = (EventBus::new(), Gated::closed());
    gated.subscribe(&bus, BoundedQueue::spill_to_log(1, store.clone()));
    for event in &events {
        bus.publish(Arc::clone(event)).await;
    }
    gated.let_all_go();
    until(|| status(&bus).handled() == 1).await;
    for n in 0..10 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let pair: [OrderEvent; 2] = [Placed { n }.into(), Shipped { n }.into()];
        let stream = "order-1".parse().unwrap();
        store
            .append_events(stream, ExpectedVersion::Any, &pair)
            .await
            .unwrap();
    }
    until(|| status(&bus).handled() == 10).await;
    assert_eq!(
        (gated.calls.take(), status(&bus).lost()),
        (numbers(0..10), 0)
    );
    drop(ahead);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_handler_that_spills_misses_nothing() {
    let (store, events) = log_of(20).await;
    let (bus, calls) = (EventBus::new(), Calls::default());
    let noted = calls.clone();
    let options = HandlerOptions::new()
        .group("g")
        .queued(BoundedQueue::spill_to_log(5, store));
    bus.subscribe_with("spills", options, move |event: Arc<Envelope<Placed>>| {
        noted.push(event.event().n.to_string());
        async { Ok(()) }
    });
    for (place, event) in events.iter().enumerate() {
        if place == 10 {
            until(|| status(&bus).handled() == 5).await;
            bus.stop_group("g", Duration::from_secs(1)).await;
        }
        if place == 30 {
            assert_eq!((status(&bus).handled(), bus.groups()[0].missed()), (5, 0));
            bus.start_group("g");
        }
        let published = bus.publish(Arc::clone(event)).await;
        assert!(published.is_ok(), "{published:?}");
    }
    until(|| status(&bus).handled() == 20).await;
    assert_eq!(calls.take(), numbers(0..20));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_is_tried_again() {
    let (store, events) = log_of(10).await;
    let failing = Faults::none()
        .nth(Call::ReadLog, 1, Fault::Unavailable)
        .nth(Call::ReadLog, 2, Fault::Unavailable);
    let flaky = Arc::new(FaultStore::new(store, failing));
    let (bus, gated) = (EventBus::new(), Gated::closed());
    gated.subscribe(&bus, BoundedQueue::spill_to_log(1, flaky.clone()));
    for event in &events {
        bus.publish(Arc::clone(event)).await;
    }
    gated.let_all_go();
    until(|| status(&bus).handled() == 10).await;
    assert_eq!(gated.calls.take(), numbers(0..10));
    assert!(flaky.calls(Call::ReadLog) > 2);
}
