//! A store that is away is awaited; a broken one stops the subscription visibly.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use uno_core::{
    AppendError, CheckpointStore as _, CheckpointWrite, CommitError, EventFilter, ExpectedVersion,
    LeaseStore as _, Position, Version,
};
use uno_events::{
    Batch, ConsumeError, Consumer, Replay, RetryPolicy, StopReason, Subscription,
    SubscriptionState, WaitError,
};

use super::support::*;

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_awaited_for_as_long_as_it_takes() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager
        .subscribe(seen.subscription("a").retry(RetryPolicy::new()))
        .unwrap();
    store.faults().unavailable.store(50, Ordering::Relaxed);
    note(&store, 1..=3).await;
    manager.start_all().await.unwrap();
    while !matches!(
        status(&manager, "a").await.state(),
        SubscriptionState::Retrying { attempt: 20, .. }
    ) {
        // A look at the lag is a read of the log too.
        store.faults().unavailable.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let away = status(&manager, "a").await;
    assert_eq!(
        away.last_error(),
        Some("the store at test is not available: down")
    );
    store.faults().unavailable.store(0, Ordering::Relaxed);
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_cannot_be_saved_for_now_is_saved_later() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    store
        .faults()
        .saves_unavailable
        .store(10, Ordering::Relaxed);
    note(&store, [1]).await;
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), [1; 11], "at least once");
    assert_eq!(store.checkpoint("a").await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_save_of_unknown_outcome_is_looked_up() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    store.faults().saves_unknown.store(1, Ordering::Relaxed);
    note(&store, [1, 2]).await;
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), [1, 2], "it was saved, so nothing comes again");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_broken_stops_it() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    store.faults().corrupt.store(1000, Ordering::Relaxed);
    note(&store, [1]).await;
    let why = loop {
        if let Some(why) = manager.status().await[0].state().failure() {
            break why.clone();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert!(
        matches!(why, StopReason::Store { ref error } if error.contains("can't be read")),
        "{why}"
    );
    store.faults().corrupt.store(0, Ordering::Relaxed);
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), [1]);
}

#[tokio::test]
async fn a_store_that_panics_stops_it_visibly() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    store.faults().panics.store(true, Ordering::Relaxed);
    note(&store, [1]).await;
    assert!(matches!(
        manager.until_idle().await,
        Err(WaitError::Stopped {
            why: StopReason::Panicked { .. },
            ..
        })
    ));
    store.faults().panics.store(false, Ordering::Relaxed);
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), [1]);
}

#[tokio::test]
async fn a_checkpoint_that_somebody_else_moved_is_read_again() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager
        .subscribe(seen.subscription("a").retry(quick().retries(0)))
        .unwrap();
    manager.start_all().await.unwrap();
    note(&store, [1]).await;
    manager.until_idle().await.unwrap();
    // Somebody else has gone on to the end of the log.
    let receipt = ignore(&store, [2, 3]).await;
    let log = store.memory();
    let at = uno_core::EventStore::head(log).await.unwrap();
    let (position, id) = at.last().unwrap();
    let moved = uno_core::Checkpoint::after(receipt.epoch(), position, id);
    manager.until_idle().await.unwrap();
    let lane = log.list_lanes(&name("a")).await.unwrap().remove(0);
    let write = CheckpointWrite::new(name("a"), Position::new(1).ok(), moved);
    log.save_checkpoint(write.fenced(lane.lane(), lane.fence()))
        .await
        .unwrap();
    note(&store, [4]).await;
    manager.until_idle().await.unwrap();
    assert_eq!(
        seen.all(),
        [1, 4, 4],
        "handled, refused, and handled again from the other's checkpoint"
    );
    assert_eq!(
        (
            store.checkpoint("a").await,
            status(&manager, "a").await.counts().failed()
        ),
        (Some(4), 1)
    );
}

/// Runs into somebody else's appends so many times.
#[derive(Debug)]
struct Colliding {
    store: TestStore,
    left: AtomicU32,
    tried: AtomicU32,
}

#[async_trait]
impl Consumer for Colliding {
    fn filter(&self) -> EventFilter {
        EventFilter::all()
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        self.tried.fetch_add(1, Ordering::Relaxed);
        if take(&self.left) {
            let stream = "thing-1".parse().unwrap();
            let (expected, actual) = (ExpectedVersion::NoStream, Version::new(1).unwrap());
            let conflict = AppendError::Conflict {
                stream,
                expected,
                actual,
            };
            return Err(CommitError::Append(conflict).into());
        }
        let (_, write) = batch.into_parts();
        Ok(self.store.memory().save_checkpoint(write).await?)
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_tried_again_soon_but_not_for_ever() {
    for (conflicts, stops) in [(10, false), (u32::MAX, true)] {
        let store = TestStore::new();
        let (left, tried) = (AtomicU32::new(conflicts), AtomicU32::new(0));
        let consumer = Arc::new(Colliding {
            store: store.clone(),
            left,
            tried,
        });
        let manager = store.manager();
        let fed: Arc<dyn Consumer> = consumer.clone();
        manager
            .subscribe(
                Subscription::new(name("a"), Replay::Safe, fed)
                    .no_parking()
                    .retry(quick()),
            )
            .unwrap();
        note(&store, [1]).await;
        manager.start_all().await.unwrap();
        let idle = manager.until_idle().await;
        let failed = matches!(
            idle,
            Err(WaitError::Stopped {
                why: StopReason::Failed { attempts: 4, .. },
                ..
            })
        );
        assert_eq!((failed, idle.is_err()), (stops, stops), "{idle:?}");
        assert_eq!(
            consumer.tried.load(Ordering::Relaxed),
            if stops { 14 } else { 11 }
        );
    }
}
