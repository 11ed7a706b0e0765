//! Handlers that are stopped, started and reported together, and the end of a bus.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, time::Instant};
use uno_core::Envelope;
use uno_events::{BoundedQueue, EventBus, Group, HandlerOptions, HandlerResult};

use super::{
    queues::{Gated, status, until},
    support::*,
};

const SECOND: Duration = Duration::from_secs(1);

fn in_group(group: &str) -> HandlerOptions {
    HandlerOptions::new().group(group)
}

#[tokio::test(start_paused = true)]
async fn a_stopped_group_is_not_called_and_counts_what_it_missed() {
    let (bus, calls) = (EventBus::new(), Calls::default());
    for name in ["a1", "a2"] {
        bus.subscribe_with(name, in_group("a"), calls.noter::<Envelope<Placed>>(name));
    }
    bus.subscribe_with("b", in_group("b"), calls.noter::<Envelope<Placed>>("b"));
    bus.subscribe("none", calls.noter::<Envelope<Placed>>("none"));

    let stopped = bus.stop_group("a", SECOND).await;
    assert_eq!(
        (stopped.is_started(), stopped.handlers(), stopped.running()),
        (false, 2, 0)
    );
    let published = bus.publish(placed(1)).await;
    let expected = [
        ("a1", HandlerResult::Stopped),
        ("a2", HandlerResult::Stopped),
        ("b", HandlerResult::Handled),
        ("none", HandlerResult::Handled),
    ];
    assert_eq!(results(&published), expected);
    assert!(!published.is_ok());
    assert_eq!(calls.take(), ["b", "none"]);

    // Who is subscribed to a stopped group is stopped as well.
    bus.subscribe_with("a3", in_group("a"), calls.noter::<Envelope<Placed>>("a3"));
    bus.publish(placed(2)).await;
    assert_eq!(calls.take(), ["b", "none"]);
    let groups = bus.groups();
    let seen: Vec<_> = groups
        .iter()
        .map(|group| {
            (
                group.group().as_str(),
                group.is_started(),
                group.handlers(),
                group.missed(),
            )
        })
        .collect();
    assert_eq!(seen, [("a", false, 3, 5), ("b", true, 1, 0)]);

    assert!(bus.start_group("a").is_started());
    bus.publish(placed(3)).await;
    assert_eq!(calls.take(), ["a1", "a2", "b", "none", "a3"]);
    let of_group: Vec<_> = bus
        .status()
        .iter()
        .map(|handler| handler.group().cloned())
        .collect();
    assert_eq!(of_group[0], Some(Group::from("a")));
    assert_eq!(of_group[3], None);
}

#[tokio::test(start_paused = true)]
async fn to_stop_a_group_waits_for_those_who_run_and_tells_who_is_late() {
    let (bus, open) = (EventBus::new(), Arc::new(Notify::new()));
    let gate = Arc::clone(&open);
    bus.subscribe_with("slow", in_group("g"), move |_: Arc<Envelope<Placed>>| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            Ok(())
        }
    });
    let mut publishing = Box::pin(bus.publish(placed(1)));
    assert!(futures_util::poll!(publishing.as_mut()).is_pending());
    let start = Instant::now();
    assert_eq!(bus.stop_group("g", SECOND).await.running(), 1);
    assert_eq!(start.elapsed(), SECOND);

    let stop = bus.stop_group("g", 20 * SECOND);
    let end = async {
        tokio::time::sleep(SECOND).await;
        open.notify_one();
        publishing.await
    };
    let (stopped, published) = tokio::join!(stop, end);
    assert!(published.is_ok(), "who has begun may end");
    assert_eq!(stopped.running(), 0);
    assert_eq!(start.elapsed(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_stop_its_own_group() {
    let (bus, calls) = (EventBus::new(), Calls::default());
    let (inner, noted) = (bus.clone(), calls.clone());
    bus.subscribe_with("fuse", in_group("g"), move |_: Arc<Envelope<Placed>>| {
        let (bus, calls) = (inner.clone(), noted.clone());
        async move {
            let stopped = bus.stop_group("g", SECOND).await;
            calls.push(format!("running {}", stopped.running()));
            Ok(())
        }
    });
    assert!(bus.publish(placed(1)).await.is_ok());
    assert_eq!(
        results(&bus.publish(placed(1)).await),
        [("fuse", HandlerResult::Stopped)]
    );
    assert_eq!(calls.take(), ["running 1"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_in_the_queue_of_a_stopped_group_waits_for_its_start() {
    let (bus, calls) = (EventBus::new(), Calls::default());
    let noted = calls.clone();
    let options = in_group("g").queued(BoundedQueue::block(2));
    bus.subscribe_with("queued", options, move |event: Arc<Envelope<Placed>>| {
        let calls = noted.clone();
        async move {
            tokio::time::sleep(SECOND).await;
            calls.push(event.event().n.to_string());
            Ok(())
        }
    });
    for n in 0..3 {
        bus.publish(placed(n)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // One who waits for space does not wait for as long as the group is stopped.
    let mut waiting = Box::pin(bus.publish(placed(3)));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    let stopped = bus.stop_group("g", 5 * SECOND).await;
    assert_eq!((stopped.running(), stopped.queued()), (0, 2));
    assert_eq!(
        results(&waiting.await),
        [("queued", HandlerResult::Stopped)]
    );
    assert_eq!(
        results(&bus.publish(placed(4)).await),
        [("queued", HandlerResult::Stopped)]
    );
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(calls.take(), ["0"]);
    assert_eq!(bus.start_group("g").missed(), 2);
    until(|| status(&bus).handled() == 3).await;
    assert_eq!(calls.take(), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_closed_bus_refuses_events_and_lets_end_what_is_under_way() {
    let (bus, gated, calls) = (EventBus::new(), Gated::closed(), Calls::default());
    gated.subscribe(&bus, BoundedQueue::block(10));
    let (inner, noted) = (bus.clone(), calls.clone());
    bus.subscribe("slow", move |event: Arc<Envelope<Shipped>>| {
        let (bus, calls) = (inner.clone(), noted.clone());
        async move {
            tokio::time::sleep(SECOND).await;
            // Belongs to what is under way.
            assert!(bus.publish(placed(event.event().n)).await.is_ok());
            calls.push("slow");
            Ok(())
        }
    });
    for n in 0..3 {
        bus.publish(placed(n)).await;
    }
    let mut running = Box::pin(bus.publish(shipped(3)));
    assert!(futures_util::poll!(running.as_mut()).is_pending());
    let mut shutdown = Box::pin(bus.shutdown(60 * SECOND));
    assert!(futures_util::poll!(shutdown.as_mut()).is_pending());
    let refused = bus.publish(placed(9)).await;
    assert!(refused.is_refused() && !refused.is_ok() && bus.is_closed());
    assert_eq!(refused.outcomes().len(), 0);

    gated.let_all_go();
    let (report, published) = tokio::join!(shutdown, running);
    assert!(report.is_complete(), "{report:?}");
    assert!(published.is_ok() && !published.is_refused());
    assert_eq!(calls.take(), ["slow"]);
    assert_eq!(gated.calls.take(), ["0", "1", "2", "3"]);
    assert!(
        bus.shutdown(SECOND).await.is_complete(),
        "once more does no harm"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_takes_too_long_tells_what_was_left() {
    let (bus, gated) = (EventBus::new(), Gated::closed());
    gated.subscribe(&bus, BoundedQueue::block(10));
    bus.subscribe("hangs", |_: Arc<Envelope<Shipped>>| std::future::pending());
    for n in 0..4 {
        bus.publish(placed(n)).await;
    }
    let mut hanging = Box::pin(bus.publish(shipped(1)));
    assert!(futures_util::poll!(hanging.as_mut()).is_pending());
    let start = Instant::now();
    let report = bus.shutdown(5 * SECOND).await;
    assert_eq!(start.elapsed(), 5 * SECOND);
    assert!(!report.is_complete());
    assert_eq!((report.publishing(), report.left().len()), (1, 1));
    let left = report.left()[0].queue().unwrap();
    assert_eq!(
        (report.left()[0].name(), left.depth(), left.is_running()),
        ("gated", 3, true)
    );
    // The worker has ended, and with it the call that it was in.
    gated.let_all_go();
    tokio::time::sleep(SECOND).await;
    assert_eq!(gated.calls.take(), ["0"]);
    assert_eq!((status(&bus).depth(), status(&bus).handled()), (0, 0));
    drop(hanging);
}
