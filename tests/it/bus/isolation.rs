//! What goes wrong in one handler is reported, and disturbs no other.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uno_core::{Envelope, Event};
use uno_events::{EventBus, HandlerOptions, HandlerResult, Priority};

use super::support::*;

#[tokio::test(start_paused = true)]
async fn errors_panics_and_time_outs_are_reported_and_isolated() {
    let calls = Calls::default();
    let bus = EventBus::builder()
        .time_limit(Duration::from_secs(5))
        .build();
    bus.subscribe("fails", |_: Arc<Envelope<Placed>>| async {
        let cause = std::io::Error::other("no disk");
        Err(Box::new(Wrapped(cause)).into())
    });
    bus.subscribe("panics", |_: Arc<Envelope<Placed>>| async {
        panic!("at the disco")
    });
    bus.subscribe("panics at once", |event: Arc<Envelope<Placed>>| {
        assert!(event.event().n > 100, "too low: {}", event.event().n);
        async { Ok(()) }
    });
    bus.subscribe("panics late", |_: Arc<Envelope<Placed>>| async {
        tokio::task::yield_now().await;
        std::panic::panic_any(7_u8)
    });
    bus.subscribe("hangs", |_: Arc<Envelope<Placed>>| std::future::pending());
    let own = HandlerOptions::new()
        .time_limit(Duration::from_secs(1))
        .priority(Priority::Low);
    bus.subscribe_with("hangs shorter", own, |_: Arc<Envelope<Placed>>| {
        std::future::pending()
    });
    bus.subscribe("works", calls.noter::<Envelope<Placed>>("works"));

    let start = Instant::now();
    let published = bus.publish(placed(1)).await;
    let expected = [
        (
            "fails",
            HandlerResult::Failed("it is broken: no disk".into()),
        ),
        ("panics", HandlerResult::Panicked("at the disco".into())),
        (
            "panics at once",
            HandlerResult::Panicked("too low: 1".into()),
        ),
        (
            "panics late",
            HandlerResult::Panicked("(a value that is not text)".into()),
        ),
        ("hangs", HandlerResult::TimedOut(Duration::from_secs(5))),
        ("works", HandlerResult::Handled),
        (
            "hangs shorter",
            HandlerResult::TimedOut(Duration::from_secs(1)),
        ),
    ];
    assert_eq!(results(&published), expected);
    assert_eq!(published.failures().count(), 6);
    assert_eq!(
        (calls.take(), start.elapsed()),
        (vec!["works".to_owned()], Duration::from_secs(6))
    );

    // The bus is none the worse for it.
    assert_eq!(results(&bus.publish(placed(1)).await), expected);
}

#[derive(Debug)]
struct Wrapped(std::io::Error);

impl std::fmt::Display for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it is broken")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Panics when it is dropped before its end.
struct Sore;

impl Drop for Sore {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_drop_of_a_late_handler_is_caught() {
    let (bus, calls) = (EventBus::new(), Calls::default());
    bus.subscribe("sore", |_: Arc<Envelope<Placed>>| async {
        let _sore = Sore;
        std::future::pending().await
    });
    bus.subscribe("works", calls.noter::<Envelope<Placed>>("works"));
    let published = bus.publish(placed(1)).await;
    assert_eq!(
        results(&published)[0],
        ("sore", HandlerResult::Panicked("dropped".into()))
    );
    assert_eq!(calls.take(), ["works"]);
}

#[derive(Serialize)]
struct Explosive {}

impl<'de> Deserialize<'de> for Explosive {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("bang")
    }
}

impl Event for Explosive {
    const NAME: &'static str = "explosive";
}

#[tokio::test]
async fn a_panic_while_decoding_is_caught() {
    let (bus, calls) = (EventBus::new(), Calls::default());
    bus.subscribe("typed", calls.noter::<Envelope<Explosive>>("typed"));
    bus.subscribe_recorded("raw", uno_events::Topic::All, calls.noter("raw"));
    let published = bus.publish(recorded(&Explosive {})).await;
    assert_eq!(
        results(&published)[0],
        ("typed", HandlerResult::Undecodable("panicked: bang".into()))
    );
    assert_eq!(calls.take(), ["raw"]);
}

#[tokio::test]
async fn a_dropped_publish_drops_its_handlers_and_frees_their_places() {
    let bus = EventBus::builder().max_concurrency(1).build();
    let hanging = bus.subscribe("hangs", |_: Arc<Envelope<Placed>>| std::future::pending());
    {
        let publishing = bus.publish(placed(1));
        tokio::pin!(publishing);
        assert!(publishing.as_mut().now_or_never().is_none());
    }
    bus.unsubscribe(hanging);
    let calls = Calls::default();
    bus.subscribe("works", calls.noter::<Envelope<Placed>>("works"));
    assert!(bus.publish(placed(1)).await.is_ok());
}
