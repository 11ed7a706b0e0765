//! The builder: clock, limits and holes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use uno_core::{
    AppendError, Clock, EventStore as _,
    ExpectedVersion::{Any, NoStream},
    Limits, ManualClock, Position, ReadLog,
};
use uno_store_memory::MemoryStore;

use crate::{Outcome, append};

#[tokio::test]
async fn holes_are_the_same_for_the_same_seed() -> Outcome {
    let mut seen = Vec::new();
    for seed in [7, 7, 8] {
        let store = MemoryStore::builder().gaps(seed).build();
        for _ in 0..50 {
            store.append(append("a", Any, "1")?).await?;
        }
        let page = store.read_log(ReadLog::after(Position::START)).await?;
        let positions: Vec<_> = page
            .events()
            .iter()
            .map(|event| event.position().get())
            .collect();
        assert!(
            positions.is_sorted_by(|a, b| a < b),
            "positions rise: {positions:?}"
        );
        assert!(
            positions.last() > Some(&50),
            "there are holes: {positions:?}"
        );
        seen.push(positions);
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[0], seen[2]);
    Ok(())
}

#[tokio::test]
async fn a_failed_append_leaves_a_hole_where_holes_are_wanted() -> Outcome {
    for (store, holes) in [
        (MemoryStore::new(), false),
        (MemoryStore::builder().gaps(1).build(), true),
    ] {
        let first = store
            .append(append("a", Any, "1")?)
            .await?
            .position()
            .map_or(0, Position::get);
        for _ in 0..10 {
            assert!(
                store
                    .append(append("a", NoStream, "1")?)
                    .await
                    .is_err_and(|error| error.is_conflict())
            );
        }
        let next = store
            .append(append("a", Any, "1")?)
            .await?
            .position()
            .map_or(0, Position::get);
        assert_eq!(next > first + 10, holes, "{first}, and then {next}");
    }
    Ok(())
}

#[tokio::test]
async fn events_are_recorded_at_the_clocks_time() -> Outcome {
    let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse()?;
    let clock = Arc::new(ManualClock::at(start));
    let store = MemoryStore::builder().clock(clock.clone()).build();
    store.append(append("a", Any, "1")?).await?;
    clock.advance(Duration::from_micros(1));
    store.append(append("a", Any, "1")?).await?;
    let page = store.read_log(ReadLog::after(Position::START)).await?;
    let times: Vec<_> = page
        .events()
        .iter()
        .map(|event| event.recorded_at())
        .collect();
    assert_eq!(times, [start, start + Duration::from_micros(1)]);
    Ok(())
}

/// Goes back a second, and a nanosecond, each time it is asked.
#[derive(Debug)]
struct Backwards(AtomicI64);

impl Clock for Backwards {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(self.0.fetch_sub(1_000_000_001, Ordering::SeqCst))
    }
}

#[tokio::test]
async fn the_time_of_recording_does_not_fall_with_the_clock() -> Outcome {
    let store = MemoryStore::builder()
        .clock(Arc::new(Backwards(AtomicI64::new(1 << 60))))
        .build();
    for _ in 0..5 {
        store.append(append("a", Any, "1")?).await?;
    }
    let page = store.read_log(ReadLog::after(Position::START)).await?;
    let first = page.events()[0].recorded_at();
    assert!(
        page.events()
            .iter()
            .all(|event| event.recorded_at() == first),
        "it waits for the clock"
    );
    assert_eq!(
        first.timestamp_subsec_nanos() % 1000,
        0,
        "in whole microseconds"
    );
    Ok(())
}

#[tokio::test]
async fn a_store_has_its_own_limits() -> Outcome {
    let store = MemoryStore::builder()
        .limits(Limits::default().with_max_payload(4))
        .build();
    store.append(append("a", Any, "1234")?).await?;
    let refused = store.append(append("a", Any, "12345")?).await;
    assert!(
        matches!(&refused, Err(AppendError::Refused(refusal)) if refusal.field() == "payload"),
        "{refused:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_clone_is_the_same_store_and_another_is_not() -> Outcome {
    let (store, other) = (MemoryStore::new(), MemoryStore::default());
    store.clone().append(append("a", Any, "1")?).await?;
    assert_eq!(store.head().await?, store.clone().head().await?);
    assert_ne!(store.head().await?.epoch(), other.head().await?.epoch());
    assert_eq!(other.head().await?.last(), None);
    Ok(())
}

#[tokio::test]
async fn it_shows_nothing_of_what_it_keeps() -> Outcome {
    let store = MemoryStore::new();
    store
        .append(append("secret-stream", Any, "\"secret payload\"")?)
        .await?;
    let shown = format!("{store:?} {store:#?}");
    assert!(
        !shown.contains("secret") && shown.contains("events: 1"),
        "{shown}"
    );
    Ok(())
}
