//! What can be waited for, and what is told meanwhile.

use std::{sync::Arc, time::Duration};

use uno_core::{Envelope, EventStore as _, ManualClock, Receipt, StoreEpoch};
use uno_events::{Replay, StopReason, Subscription, SubscriptionManager, WaitError};
use uno_store_memory::MemoryStore;

use super::support::*;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_a_receipt_tells_of_is_handled_when_the_wait_is_over() {
    let (store, seen) = (TestStore::with_gaps(5), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    manager.start_all().await.unwrap();
    for n in 1..=100 {
        let receipt = note(&store, [n]).await;
        manager.wait_for(&name("a"), &receipt, LONG).await.unwrap();
        assert_eq!(seen.all().last(), Some(&n));
    }
}

#[tokio::test]
async fn events_that_do_not_fit_are_waited_for_as_well() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    manager.start_all().await.unwrap();
    for n in 1..=100 {
        let receipt = ignore(&store, [n]).await;
        manager.wait_for(&name("a"), &receipt, LONG).await.unwrap();
    }
    assert_eq!(store.checkpoint("a").await, None, "without a save for each");
    let told = status(&manager, "a").await;
    assert_eq!(
        (told.checkpoint(), told.position().get(), told.lag_events()),
        (None, 100, Some(0))
    );
}

#[tokio::test]
async fn a_receipt_of_nothing_is_there_already() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    let nothing = Receipt::new(
        store.memory().head().await.unwrap().epoch(),
        None,
        Vec::new(),
    );
    manager
        .wait_for(&name("a"), &nothing, Duration::ZERO)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_is_told_apart() {
    let (store, fragile) = (TestStore::new(), Fragile::at([2]));
    let manager = store.manager();
    manager.subscribe(fragile.subscription("a")).unwrap();
    let first = note(&store, [1]).await;
    let wait = async |receipt: &Receipt| manager.wait_for(&name("a"), receipt, LONG).await;

    assert!(matches!(
        manager.wait_for(&name("b"), &first, LONG).await,
        Err(WaitError::Unknown(_))
    ));
    assert!(matches!(
        wait(&first).await,
        Err(WaitError::Stopped {
            why: StopReason::NotStarted,
            ..
        })
    ));

    manager.start_all().await.unwrap();
    wait(&first).await.unwrap();
    let elsewhere = Receipt::new(StoreEpoch::new(), first.position(), Vec::new());
    assert!(matches!(
        wait(&elsewhere).await,
        Err(WaitError::OtherLog(_))
    ));

    manager.pause(&name("a")).await.unwrap();
    let second = note(&store, [2]).await;
    let late = wait(&second).await.unwrap_err();
    assert!(
        matches!(late, WaitError::TimedOut { awaited, reached, .. } if awaited.get() == 2 && reached.get() == 1),
        "{late}"
    );

    manager.resume(&name("a")).await.unwrap();
    let stopped = wait(&second).await.unwrap_err();
    assert!(
        matches!(stopped, WaitError::Stopped { ref why, .. } if matches!(why, StopReason::Failed { .. })),
        "{stopped}"
    );
}

#[tokio::test]
async fn what_handlers_append_is_part_of_being_idle() {
    let store = TestStore::new();
    let manager = store.manager();
    // Two that answer one another, so that each has something to do when the other has caught up.
    let log = store.events();
    let ping = move |event: Arc<Envelope<Noted>>| {
        let log = Arc::clone(&log);
        async move {
            slowly().await;
            ignore(&*log, [event.event().n]).await;
            Ok(())
        }
    };
    let (log, answered) = (store.events(), Seen::default());
    let seen = answered.clone();
    let pong = move |event: Arc<Envelope<Ignored>>| {
        let (log, seen) = (Arc::clone(&log), seen.clone());
        async move {
            slowly().await;
            seen.push(event.event().n);
            if event.event().n > 0 {
                note(&*log, [event.event().n - 1]).await;
            }
            Ok(())
        }
    };
    manager
        .subscribe(Subscription::handler(name("ping"), Replay::Safe, ping))
        .unwrap();
    manager
        .subscribe(Subscription::handler(name("pong"), Replay::Safe, pong))
        .unwrap();
    manager.start_all().await.unwrap();
    note(&store, [30]).await;
    manager.until_idle().await.unwrap();
    assert_eq!(answered.all(), (0..=30).rev().collect::<Vec<_>>());
}

async fn slowly() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn lag_is_told_in_events_and_in_the_age_of_the_oldest() {
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let store = Arc::new(MemoryStore::builder().clock(clock.clone()).build());
    let manager = SubscriptionManager::builder(store.clone(), store.clone())
        .clock(clock.clone())
        .build();
    let seen = Seen::default();
    manager.subscribe(seen.subscription("a")).unwrap();
    manager.start_all().await.unwrap();
    note(&*store, [1]).await;
    manager.until_idle().await.unwrap();
    manager.pause(&name("a")).await.unwrap();
    clock.advance(Duration::from_secs(3600));
    assert_eq!(
        status(&manager, "a").await.lag(),
        Some(Duration::ZERO),
        "an idle log makes no lag"
    );
    note(&*store, [2]).await;
    clock.advance(Duration::from_secs(40));
    note(&*store, [3]).await;
    clock.advance(Duration::from_secs(2));
    let told = status(&manager, "a").await;
    assert_eq!(
        (told.lag_events(), told.lag()),
        (Some(2), Some(Duration::from_secs(42)))
    );
    assert_eq!(told.head().map(uno_core::Position::get), Some(3));
}
