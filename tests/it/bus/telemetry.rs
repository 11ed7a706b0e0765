//! What a full queue tells: once, not for each event.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use futures_util::FutureExt as _;
use tracing::{
    Level, Metadata,
    field::{Field, Visit},
    span,
    subscriber::with_default,
};
use uno_core::{
    EventStore as _, EventStoreExt as _, ExpectedVersion, Position, ReadLog, RecordedEvent,
};
use uno_events::{BoundedQueue, EventBus, HandlerResult, telemetry};
use uno_store_memory::MemoryStore;

use super::{
    queues::{Gated, status, until},
    support::*,
};

/// Keeps the handlers and positions of queues that are said to be full.
#[derive(Clone, Default)]
struct Full(Arc<Mutex<Vec<String>>>);

impl Full {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl tracing::Subscriber for Full {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.name() == telemetry::QUEUE_FULL
    }

    fn event(&self, event: &tracing::Event<'_>) {
        assert_eq!(*event.metadata().level(), Level::WARN);
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "message" {
            self.0.push_str(&format!("{field}={value:?} "));
        }
    }
}

/// Twelve events into a queue with space for two, while the handler is in the first; twice, with an end of it in between.
fn check(queue: impl FnOnce(&MemoryStore) -> BoundedQueue, expected: &HandlerResult) {
    let full = Full::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let run = async {
        let store = MemoryStore::new();
        let events: Vec<_> = (1..=24).map(|n| Placed { n }).collect();
        store
            .append_events("order-1".parse().unwrap(), ExpectedVersion::Any, &events)
            .await
            .unwrap();
        let page = store.read_log(ReadLog::after(Position::START)).await;
        let events = page.unwrap().into_events();
        let (bus, gated) = (EventBus::new(), Gated::closed());
        gated.subscribe(&bus, queue(&store));
        for stretch in events.chunks(12) {
            let first = stretch[0].position().get();
            twelve(&bus, stretch, expected).await;
            let told = format!("handler=\"gated\" position={} ", first + 3);
            assert_eq!(full.take(), [told], "{expected}");
            gated.let_go(12);
            let idle = || {
                let status = status(&bus);
                status.depth() == 0 && !status.is_running() && !status.reads_log()
            };
            until(idle).await;
            gated.take_back();
        }
        assert_eq!(full.take().len(), 0);
    };
    with_default(full.clone(), || runtime.block_on(run));
}

async fn twelve(bus: &EventBus, events: &[Arc<RecordedEvent>], expected: &HandlerResult) {
    bus.publish(Arc::clone(&events[0])).await;
    until(|| status(bus).depth() == 0 && status(bus).is_running()).await;
    for (n, event) in events.iter().enumerate().skip(1) {
        // One that waits is given up: it has been told of all the same.
        let published = bus.publish(Arc::clone(event)).now_or_never();
        let result = published.map(|published| results(&published)[0].1.clone());
        match (n, result) {
            (1 | 2, result) => assert_eq!(result, Some(HandlerResult::Queued)),
            (_, Some(result)) => assert_eq!(result, *expected),
            (_, None) => assert_eq!(*expected, HandlerResult::Queued),
        }
    }
}

#[test]
fn a_queue_that_is_full_tells_so_once_until_its_handler_has_caught_up() {
    check(|_| BoundedQueue::block(2), &HandlerResult::Queued);
    check(
        |_| BoundedQueue::drop_with_gap(2, |_| async { Ok(()) }),
        &HandlerResult::Dropped,
    );
    check(
        |store| BoundedQueue::spill_to_log(2, Arc::new(store.clone())),
        &HandlerResult::Spilled,
    );
}
