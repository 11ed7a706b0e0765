//! How many handlers run at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, future::join_all};
use uno_core::Envelope;
use uno_events::EventBus;

use super::support::*;

/// How many are inside at once, and how many were at most.
#[derive(Clone, Default)]
struct Gauge(Arc<(AtomicUsize, AtomicUsize)>);

impl Gauge {
    async fn inside(&self) {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }

    fn most(&self) -> usize {
        self.0.1.swap(0, Ordering::SeqCst)
    }
}

fn bus_with(handlers: usize, gauge: &Gauge, bus: EventBus) -> EventBus {
    for n in 0..handlers {
        let gauge = gauge.clone();
        bus.subscribe(format!("h{n}"), move |_: Arc<Envelope<Placed>>| {
            let gauge = gauge.clone();
            async move {
                gauge.inside().await;
                Ok(())
            }
        });
    }
    bus
}

#[tokio::test(start_paused = true)]
async fn at_most_ten_handlers_run_at_once_unless_it_is_said() {
    let gauge = Gauge::default();
    let bus = bus_with(25, &gauge, EventBus::new());
    let start = tokio::time::Instant::now();
    assert_eq!(bus.publish(placed(1)).await.outcomes().len(), 25);
    assert_eq!(gauge.most(), 10);
    assert_eq!(
        start.elapsed(),
        Duration::from_millis(30),
        "and they do run side by side"
    );

    let bus = bus_with(25, &gauge, EventBus::builder().max_concurrency(3).build());
    bus.publish(placed(1)).await;
    assert_eq!(gauge.most(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_bound_holds_however_many_publish() {
    let gauge = Gauge::default();
    let bus = bus_with(3, &gauge, EventBus::builder().max_concurrency(4).build());
    join_all((0..50).map(|n| bus.publish(placed(n)))).await;
    assert_eq!(gauge.most(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_bound_holds_for_what_handlers_publish() {
    let gauge = Gauge::default();
    let bus = bus_with(3, &gauge, EventBus::builder().max_concurrency(4).build());
    for n in 0..4 {
        let inner = bus.clone();
        bus.subscribe(
            format!("publisher {n}"),
            move |_: Arc<Envelope<Shipped>>| {
                let bus = inner.clone();
                async move {
                    // Two at once, in the place of one.
                    let (one, other) = tokio::join!(bus.publish(placed(1)), bus.publish(placed(2)));
                    assert!(one.is_ok() && other.is_ok());
                    Ok(())
                }
            },
        );
    }
    let published = join_all((0..10).map(|n| bus.publish(shipped(n)))).await;
    assert!(
        published.iter().all(|published| published.is_ok()),
        "{published:?}"
    );
    // Those who publish stand still meanwhile: each has lent its place.
    assert!(gauge.most() <= 4);
}

#[tokio::test]
async fn a_handler_that_is_unsubscribed_while_it_waits_for_a_place_is_not_called() {
    let bus = EventBus::builder().max_concurrency(1).build();
    let calls = Calls::default();
    let open = Arc::new(tokio::sync::Notify::new());
    let gate = Arc::clone(&open);
    bus.subscribe("first", move |_: Arc<Envelope<Placed>>| {
        let gate = Arc::clone(&gate);
        async move {
            gate.notified().await;
            Ok(())
        }
    });
    let second = bus.subscribe("second", calls.noter::<Envelope<Placed>>("second"));
    let publishing = bus.publish(placed(1));
    tokio::pin!(publishing);
    assert!(publishing.as_mut().now_or_never().is_none());
    bus.unsubscribe(second);
    open.notify_one();
    let published = publishing.await;
    assert_eq!((results(&published).len(), calls.take().len()), (1, 0));
}
