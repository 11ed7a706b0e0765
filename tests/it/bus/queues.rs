//! Handlers with a queue: what happens when it is full, and that the worker goes on.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};
use uno_core::{Category, Envelope, RecordedEvent};
use uno_events::{
    BoundedQueue, EventBus, Gap, HandlerOptions, HandlerResult, QueueStatus, Refusal, Topic,
};

use super::support::*;

/// A handler that notes events and does not go on without leave.
#[derive(Clone)]
pub(super) struct Gated {
    leave: Arc<Semaphore>,
    pub(super) calls: Calls,
}

impl Gated {
    pub(super) fn closed() -> Self {
        let (leave, calls) = (Arc::new(Semaphore::new(0)), Calls::default());
        Self { leave, calls }
    }

    /// Lets the handler go on with so many events.
    pub(super) fn let_go(&self, events: usize) {
        self.leave.add_permits(events);
    }

    /// Nobody goes on any more without new leave.
    pub(super) fn take_back(&self) {
        self.leave.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(super) fn let_all_go(&self) {
        self.let_go(Semaphore::MAX_PERMITS / 2);
    }

    pub(super) fn subscribe(&self, bus: &EventBus, queue: BoundedQueue) {
        let own = self.clone();
        let options = HandlerOptions::new().no_time_limit().queued(queue);
        bus.subscribe_with("gated", options, move |event: Arc<Envelope<Placed>>| {
            let own = own.clone();
            async move {
                own.calls.push(event.event().n.to_string());
                own.leave.acquire().await?.forget();
                Ok(())
            }
        });
    }
}

pub(super) fn status(bus: &EventBus) -> QueueStatus {
    let status = bus.status();
    let queue = status.iter().find_map(|handler| handler.queue());
    queue.unwrap().clone()
}

/// Returns when it is so. Lets others run meanwhile, in virtual time.
pub(super) async fn until(mut is_so: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < patience, "it never comes to that");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn only(published: &uno_events::Published) -> HandlerResult {
    assert_eq!(published.outcomes().len(), 1);
    published.outcomes().next().unwrap().result().clone()
}

fn numbers(range: impl Iterator<Item = u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_publisher_does_not_wait_for_a_handler_with_a_queue() {
    let (bus, gated) = (EventBus::new(), Gated::closed());
    gated.subscribe(&bus, BoundedQueue::block(10));
    for n in 0..10 {
        let published = bus.publish(placed(n)).await;
        assert!(published.is_ok());
        assert_eq!(only(&published), HandlerResult::Queued);
        assert_eq!(published.outcomes().next().unwrap().attempts(), 0);
    }
    until(|| status(&bus).depth() == 9).await;
    assert_eq!(gated.calls.take(), ["0"]);
    gated.let_all_go();
    until(|| status(&bus).handled() == 10).await;
    assert_eq!(gated.calls.take(), numbers(1..10));
    assert_eq!(
        (
            status(&bus).capacity(),
            status(&bus).depth(),
            status(&bus).blocked()
        ),
        (10, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_that_blocks_has_publishers_wait_for_space() {
    let (bus, gated) = (EventBus::new(), Gated::closed());
    gated.subscribe(&bus, BoundedQueue::block(2));
    bus.publish(placed(0)).await;
    until(|| status(&bus).depth() == 0).await;
    for n in [1, 2] {
        bus.publish(placed(n)).await;
    }
    let (mut third, mut fourth) = (
        Box::pin(bus.publish(placed(3))),
        Box::pin(bus.publish(placed(4))),
    );
    for publishing in [&mut third, &mut fourth] {
        assert!(futures_util::poll!(publishing.as_mut()).is_pending());
    }
    assert_eq!((status(&bus).depth(), status(&bus).blocked()), (2, 2));
    gated.let_go(1);
    assert_eq!(only(&third.await), HandlerResult::Queued);
    assert!(
        futures_util::poll!(fourth.as_mut()).is_pending(),
        "there is space for one only"
    );
    // Dropping it puts nothing in.
    drop(fourth);
    gated.let_all_go();
    until(|| status(&bus).handled() == 4).await;
    assert_eq!(gated.calls.take(), numbers(0..4));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_that_drops_tells_of_each_gap_in_its_place() {
    let (bus, gated) = (EventBus::new(), Gated::closed());
    let gaps: Arc<Mutex<Vec<Gap>>> = Arc::default();
    let (told, calls) = (Arc::clone(&gaps), gated.calls.clone());
    gated.subscribe(
        &bus,
        BoundedQueue::drop_with_gap(2, move |gap| {
            told.lock().unwrap().push(gap);
            calls.push("gap");
            async { Ok(()) }
        }),
    );
    bus.publish(at(1, 1)).await;
    until(|| status(&bus).depth() == 0).await;
    for n in 2..=6 {
        let published = bus.publish(at(n, n)).await;
        let expected = if n <= 3 {
            HandlerResult::Queued
        } else {
            HandlerResult::Dropped
        };
        assert_eq!((only(&published), published.is_ok()), (expected, n <= 3));
    }
    // One gives way for 7; then 8 and 9 are dropped, which is a gap of its own.
    gated.let_go(1);
    until(|| status(&bus).depth() == 1).await;
    for n in 7..=9 {
        bus.publish(at(n, n)).await;
    }
    assert_eq!((status(&bus).dropped(), status(&bus).depth()), (5, 2));
    gated.let_all_go();
    until(|| status(&bus).handled() == 4 && gaps.lock().unwrap().len() == 2).await;
    assert_eq!(gated.calls.take(), ["1", "2", "3", "gap", "7", "gap"]);
    let gaps: Vec<_> = gaps
        .lock()
        .unwrap()
        .iter()
        .map(|gap| (gap.first().get(), gap.last().get(), gap.events()))
        .collect();
    assert_eq!(gaps, [(4, 6, 3), (8, 9, 2)]);
}

#[tokio::test(start_paused = true)]
async fn the_worker_survives_whatever_the_handler_does() {
    let bus = EventBus::builder()
        .time_limit(Duration::from_secs(2))
        .build();
    let calls = Calls::default();
    let noted = calls.clone();
    let options = HandlerOptions::new().queued(BoundedQueue::block(10));
    bus.subscribe_with("wild", options, move |event: Arc<Envelope<Placed>>| {
        noted.push(event.event().n.to_string());
        let n = event.event().n;
        assert!(n != 1, "before there is a future");
        async move {
            match n {
                2 => Err("fails".into()),
                3 => panic!("within"),
                4 => std::future::pending().await,
                _ => Ok(()),
            }
        }
    });
    for n in 0..6 {
        assert_eq!(only(&bus.publish(placed(n)).await), HandlerResult::Queued);
    }
    until(|| status(&bus).handled() == 2).await;
    let status = status(&bus);
    assert_eq!(calls.take(), numbers(0..6));
    assert_eq!(status.failed(), 4);
    assert_eq!(
        status.last_failure(),
        Some(&HandlerResult::TimedOut(Duration::from_secs(2)))
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_decoded_is_counted_and_passed_over() {
    let (bus, gated) = (EventBus::new(), Gated::closed());
    gated.let_all_go();
    gated.subscribe(&bus, BoundedQueue::block(10));
    bus.publish(undecodable()).await;
    bus.publish(placed(1)).await;
    until(|| status(&bus).handled() == 1).await;
    assert_eq!(status(&bus).failed(), 1);
    let status = status(&bus);
    assert!(matches!(
        status.last_failure(),
        Some(HandlerResult::Undecodable(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn an_unsubscribed_handler_is_told_nothing_more_of_what_is_in_its_queue() {
    let (bus, calls) = (EventBus::new(), Calls::default());
    let leave = Arc::new(Semaphore::new(0));
    let (noted, gate) = (calls.clone(), Arc::clone(&leave));
    let options = HandlerOptions::new().queued(BoundedQueue::block(1));
    let handle = bus.subscribe_with("gated", options, move |event: Arc<Envelope<Placed>>| {
        let (calls, leave) = (noted.clone(), Arc::clone(&gate));
        async move {
            calls.push(event.event().n.to_string());
            leave.acquire().await?.forget();
            calls.push("ended");
            Ok(())
        }
    });
    bus.publish(placed(0)).await;
    until(|| status(&bus).depth() == 0).await;
    bus.publish(placed(1)).await;
    let mut waiting = Box::pin(bus.publish(placed(2)));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    assert!(bus.unsubscribe(handle));
    assert_eq!(
        waiting.await.outcomes().len(),
        0,
        "who waited for space does not wait for ever"
    );
    leave.add_permits(9);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(calls.take(), ["0", "ended"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_publishes_into_its_own_full_queue_is_refused_and_does_not_wait_for_itself()
{
    let (bus, results) = (EventBus::new(), Arc::new(Mutex::new(Vec::new())));
    let (inner, noted) = (bus.clone(), Arc::clone(&results));
    let options = HandlerOptions::new()
        .no_time_limit()
        .queued(BoundedQueue::block(2));
    bus.subscribe_with("publishes", options, move |event: Arc<Envelope<Placed>>| {
        let (bus, results) = (inner.clone(), Arc::clone(&noted));
        async move {
            if event.event().n == 0 {
                for n in 1..5 {
                    let result = only(&bus.publish(placed(n)).await);
                    results.lock().unwrap().push(result);
                }
            }
            Ok(())
        }
    });
    bus.publish(placed(0)).await;
    until(|| status(&bus).handled() == 3).await;
    let refused = HandlerResult::Refused(Refusal::WouldWaitForItself);
    let expected = [
        HandlerResult::Queued,
        HandlerResult::Queued,
        refused.clone(),
        refused,
    ];
    assert_eq!(*results.lock().unwrap(), expected);
    assert_eq!(status(&bus).refused(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_circle_of_full_queues_is_broken_where_it_would_close() {
    // Each handler publishes two events for the other one, whose queue has space for one; through an awaited handler, so
    // that the way leads through a place of the bus as well.
    for places in [1, 10] {
        let bus = EventBus::builder().max_concurrency(places).build();
        let refusals = Arc::new(Mutex::new(0));
        let both = Arc::new(tokio::sync::Barrier::new(2));
        let relay = bus.clone();
        bus.subscribe_recorded(
            "relay",
            Topic::Category(Category::new("relay").unwrap()),
            move |event: Arc<RecordedEvent>| {
                let bus = relay.clone();
                async move {
                    let to = event.stream().key().to_owned();
                    let to = format!("{to}-1");
                    let published = bus.publish(recorded_in(&to, &Placed { n: 1 })).await;
                    match published.failures().next() {
                        None => Ok(()),
                        Some(failure) => Err(failure.result().to_string().into()),
                    }
                }
            },
        );
        for (own, other) in [("left", "right"), ("right", "left")] {
            let (inner, refusals, both) = (bus.clone(), Arc::clone(&refusals), Arc::clone(&both));
            let options = HandlerOptions::new()
                .no_time_limit()
                .categories([Category::new(own).unwrap()])
                .queued(BoundedQueue::block(1));
            bus.subscribe_with(own, options, move |event: Arc<Envelope<Placed>>| {
                let (bus, refusals, both) =
                    (inner.clone(), Arc::clone(&refusals), Arc::clone(&both));
                async move {
                    if event.event().n == 0 {
                        both.wait().await;
                        for _ in 0..3 {
                            let through = recorded_in(&format!("relay-{other}"), &Shipped { n: 0 });
                            if !bus.publish(through).await.is_ok() {
                                *refusals.lock().unwrap() += 1;
                            }
                        }
                    }
                    Ok(())
                }
            });
        }
        for stream in ["left-1", "right-1"] {
            bus.publish(recorded_in(stream, &Placed { n: 0 })).await;
        }
        let shutdown = bus.shutdown(Duration::from_secs(20)).await;
        assert!(shutdown.is_complete(), "{shutdown:?}");
        assert!(*refusals.lock().unwrap() > 0, "there was no circle");
    }
}

#[test]
fn a_worker_that_ended_with_its_runtime_is_replaced_and_nothing_in_the_queue_is_lost() {
    let (bus, gated) = (EventBus::new(), Gated::closed());
    gated.subscribe(&bus, BoundedQueue::block(10));
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    runtime().block_on(async {
        for n in 0..4 {
            bus.publish(placed(n)).await;
        }
        until(|| status(&bus).depth() == 3).await;
    });
    assert_eq!(
        gated.calls.take(),
        ["0"],
        "and this call was dropped with its runtime"
    );
    gated.let_all_go();
    runtime().block_on(async {
        bus.publish(placed(4)).await;
        until(|| status(&bus).handled() == 4).await;
    });
    assert_eq!(gated.calls.take(), numbers(1..5));
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_is_dropped_leaves_its_queues_to_be_handled() {
    let gated = Gated::closed();
    let bus = EventBus::new();
    gated.subscribe(&bus, BoundedQueue::block(10));
    for n in 0..4 {
        bus.publish(placed(n)).await;
    }
    drop(bus);
    gated.let_all_go();
    let calls = Mutex::new(Vec::new());
    until(|| {
        let mut calls = calls.lock().unwrap();
        calls.extend(gated.calls.take());
        calls.len() == 4
    })
    .await;
    assert_eq!(*calls.lock().unwrap(), numbers(0..4));
}
