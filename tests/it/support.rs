//! What tests of units of work, commands, projections and sagas share: a small domain, a store with faults, and rest.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too: one that panics has failed"
)]

pub(crate) mod account;
pub(crate) mod faulty;
pub(crate) mod rest;

use std::sync::Arc;

use uno_core::{Backend, Direction, EventFilter, Position, ReadLog, RecordedEvent};

/// Runs cases, functions of a harness, a fresh store of it and its guard, as tests of one store.
macro_rules! on_store {
    ($harness:expr; $cases:path: $($case:ident)+) => {$(
        #[tokio::test]
        async fn $case() {
            use $cases as cases;
            use uno_testkit::conformance::Harness as _;
            let harness = std::sync::Arc::new($harness);
            let (store, guard) = harness.open().await.unwrap();
            cases::$case(&harness, &store, &guard).await;
            harness.close(guard).await;
        }
    )+};
}
pub(crate) use on_store;

/// A macro of suites, on each kind of store: `suite!(name, harness)`.
macro_rules! on_each_store {
    ($suite:ident) => {
        $suite!(
            memory,
            crate::conformance::memory::MemoryHarness { gaps: Some(7) }
        );
        $suite!(
            sqlite,
            crate::sqlite::SqliteHarness {
                gaps: Some(7),
                readers: 2
            }
        );
        $suite!(postgres, crate::postgres::PgHarness::plain());
    };
}
pub(crate) use on_each_store;

/// Everything in the log.
pub(crate) async fn log<B: Backend>(store: &B) -> Vec<Arc<RecordedEvent>> {
    let read = ReadLog::after(Position::START).limit(1_000_000);
    assert_eq!(read.direction(), Direction::Forward);
    store
        .read_log(read.filter(EventFilter::all()))
        .await
        .unwrap()
        .into_events()
}

/// The names of all events in a stream, in order.
pub(crate) async fn names<B: Backend>(store: &B, stream: &str) -> Vec<String> {
    let events = log(store).await;
    let here = events
        .iter()
        .filter(|event| event.stream().to_string() == stream);
    here.map(|event| event.name().to_string()).collect()
}
