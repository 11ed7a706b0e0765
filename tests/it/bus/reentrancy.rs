//! A handler may use the bus that called it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use uno_core::Envelope;
use uno_events::{EventBus, HandlerHandle, HandlerResult};

use super::support::*;

/// Far below the time limit of a handler, which would end a deadlock too.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), work)
        .await
        .expect("it does not come to an end")
}

/// Publishes `n - 1` on each bus in turn while it handles `n`.
fn countdown(buses: &[EventBus], calls: &Calls) {
    for (n, bus) in buses.iter().enumerate() {
        let (next, calls) = (buses[(n + 1) % buses.len()].clone(), calls.clone());
        bus.subscribe("countdown", move |event: Arc<Envelope<Placed>>| {
            let (next, calls) = (next.clone(), calls.clone());
            async move {
                let n = event.event().n;
                if n > 0 {
                    let published = next.publish(placed(n - 1)).await;
                    assert!(published.is_ok(), "{published:?}");
                }
                calls.push(n.to_string());
                Ok(())
            }
        });
    }
}

#[tokio::test]
async fn a_handler_publishes_on_its_own_bus_at_any_depth() {
    for places in [1, 2, 10] {
        let (bus, calls) = (
            EventBus::builder().max_concurrency(places).build(),
            Calls::default(),
        );
        countdown(std::slice::from_ref(&bus), &calls);
        countdown(std::slice::from_ref(&bus), &calls);
        assert!(soon(bus.publish(placed(7))).await.is_ok());
        assert_eq!(
            calls.take().len(),
            (1..=8).map(|depth| 1 << depth).sum::<usize>()
        );
    }
}

#[tokio::test]
async fn handlers_of_several_buses_publish_in_a_ring() {
    let bus = || EventBus::builder().max_concurrency(1).build();
    let (buses, calls) = ([bus(), bus(), bus()], Calls::default());
    countdown(&buses, &calls);
    assert!(soon(buses[0].publish(placed(20))).await.is_ok());
    assert_eq!(calls.take().len(), 21);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_publish_and_publish_again_at_once() {
    let (bus, calls) = (
        EventBus::builder().max_concurrency(3).build(),
        Calls::default(),
    );
    countdown(std::slice::from_ref(&bus), &calls);
    countdown(std::slice::from_ref(&bus), &calls);
    let publishing: Vec<_> = (0..64)
        .map(|_| {
            let bus = bus.clone();
            tokio::spawn(async move { bus.publish(placed(4)).await })
        })
        .collect();
    for published in publishing {
        assert!(soon(published).await.unwrap().is_ok());
    }
    assert_eq!(calls.take().len(), 64 * (2 + 4 + 8 + 16 + 32));
}

#[tokio::test]
async fn a_handler_subscribes_and_unsubscribes_itself_and_others() {
    let (bus, calls) = (
        EventBus::builder().max_concurrency(1).build(),
        Calls::default(),
    );
    let own: Arc<Mutex<Option<HandlerHandle>>> = Arc::default();
    let other = bus.subscribe("other", calls.noter::<Envelope<Shipped>>("other"));
    let (inner, handle, noted) = (bus.clone(), Arc::clone(&own), calls.clone());
    let subscribed = bus.subscribe("once", move |_: Arc<Envelope<Placed>>| {
        let (bus, handle, calls) = (inner.clone(), Arc::clone(&handle), noted.clone());
        async move {
            calls.push("once");
            bus.unsubscribe(other);
            bus.subscribe("new", calls.noter::<Envelope<Placed>>("new"));
            let own = handle.lock().unwrap().take();
            assert!(own.is_some_and(|own| bus.unsubscribe(own)));
            Ok(())
        }
    });
    *own.lock().unwrap() = Some(subscribed);
    assert!(soon(bus.publish(placed(1))).await.is_ok());
    assert_eq!(calls.take(), ["once"], "the new one is for later events");
    soon(bus.publish(placed(2))).await;
    soon(bus.publish(shipped(3))).await;
    assert_eq!(calls.take(), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_circle_through_a_spawned_task_is_ended_by_the_time_limit() {
    // As documented: the spawned task is not within the handler, so it waits for a place of its own.
    let bus = EventBus::builder()
        .max_concurrency(1)
        .time_limit(Duration::from_secs(3))
        .build();
    let inner = bus.clone();
    bus.subscribe("spawns", move |event: Arc<Envelope<Placed>>| {
        let bus = inner.clone();
        async move {
            if event.event().n > 0 {
                tokio::spawn(async move { bus.publish(placed(0)).await }).await?;
            }
            Ok(())
        }
    });
    let published = bus.publish(placed(1)).await;
    assert_eq!(
        results(&published),
        [("spawns", HandlerResult::TimedOut(Duration::from_secs(3)))]
    );
    assert!(bus.publish(placed(0)).await.is_ok(), "and the bus goes on");
}
