//! Start, stop, pause, resume, reset.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::FutureExt as _;
use uno_core::{Envelope, Position};
use uno_events::{
    Replay, StopReason, Subscription, SubscriptionError, SubscriptionManager, SubscriptionState,
};

use uno_store_memory::MemoryStore;

use super::support::*;

/// A subscription whose handler waits at a gate for each event.
fn gated(subscription: &str, gate: &Gate, seen: &Seen) -> Subscription {
    let (gate, seen) = (gate.clone(), seen.clone());
    Subscription::handler(
        name(subscription),
        Replay::Safe,
        move |event: Arc<Envelope<Noted>>| {
            let (gate, seen) = (gate.clone(), seen.clone());
            async move {
                gate.pass().await;
                seen.push(event.event().n);
                Ok(())
            }
        },
    )
}

#[tokio::test]
async fn a_name_can_be_taken_once() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    let again = manager.subscribe(seen.subscription("a"));
    assert!(matches!(again, Err(SubscriptionError::Duplicate(taken)) if taken == name("a")));
}

#[tokio::test]
async fn what_is_not_there_is_a_typed_error() {
    let manager = TestStore::new().manager();
    let nobody = name("nobody");
    let unknown = |error: SubscriptionError| {
        assert!(matches!(error, SubscriptionError::Unknown(_)), "{error}");
    };
    unknown(manager.start(&nobody).await.unwrap_err());
    unknown(manager.stop(&nobody).await.unwrap_err());
    unknown(manager.pause(&nobody).await.unwrap_err());
    unknown(manager.resume(&nobody).await.unwrap_err());
    unknown(manager.reset(&nobody, Position::START).await.unwrap_err());
    unknown(manager.unsubscribe(&nobody).await.unwrap_err());
    unknown(manager.status_of(&nobody).await.unwrap_err());
    for error in [
        manager.start_group(&group("none")).await.unwrap_err(),
        manager.stop_group(&group("none")).await.unwrap_err(),
        manager.status_of_group(&group("none")).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, SubscriptionError::UnknownGroup(_)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn nothing_runs_before_it_is_started() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    note(&store, [1]).await;
    manager.until_idle().await.unwrap();
    assert!(seen.all().is_empty());
    let status = status(&manager, "a").await;
    let not_started = SubscriptionState::Stopped {
        why: StopReason::NotStarted,
        position: Position::START,
    };
    assert_eq!(status.state(), &not_started);
    assert_eq!(status.lag_events(), Some(1));
}

#[tokio::test]
async fn starting_twice_runs_once() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    manager.start_all().await.unwrap();
    manager.start_all().await.unwrap();
    manager.start(&name("a")).await.unwrap();
    note(&store, 1..=20).await;
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn groups_are_started_stopped_and_reported_together() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    for (subscription, of) in [("a", "sales"), ("b", "sales"), ("c", "stock")] {
        manager
            .subscribe(seen.subscription(subscription).group(of))
            .unwrap();
    }
    let running = async |of: &str| {
        let members = manager.status_of_group(&group(of)).await.unwrap();
        members
            .iter()
            .filter(|status| !status.state().is_stopped())
            .map(|status| status.name().to_string())
            .collect::<Vec<_>>()
    };
    manager.start_group(&group("sales")).await.unwrap();
    assert_eq!(
        (running("sales").await, running("stock").await),
        (vec!["a".into(), "b".into()], vec![])
    );
    manager.start_all().await.unwrap();
    manager.stop_group(&group("sales")).await.unwrap();
    assert_eq!(
        (running("sales").await, running("stock").await),
        (vec![], vec!["c".to_owned()])
    );
    let all = manager.status().await;
    let groups: Vec<&str> = all.iter().map(|status| status.group().as_str()).collect();
    assert_eq!(groups, ["sales", "sales", "stock"]);
}

#[tokio::test]
async fn stopping_finishes_the_batch_in_hand_and_saves_it() {
    let (store, seen, gate) = (TestStore::new(), Seen::default(), Gate::closed());
    let manager = Arc::new(store.manager());
    manager
        .subscribe(gated("a", &gate, &seen).batch_size(10))
        .unwrap();
    note(&store, 1..=100).await;
    manager.start_all().await.unwrap();
    gate.entered().await;
    let stopping = tokio::spawn({
        let manager = Arc::clone(&manager);
        async move { manager.stop_all().await }
    });
    // The stop is asked for before the gate opens.
    while !stopping.is_finished() {
        tokio::task::yield_now().await;
        gate.open();
    }
    stopping.await.unwrap();
    assert_eq!(
        seen.all(),
        (1..=10).collect::<Vec<_>>(),
        "the whole batch and no more"
    );
    assert_eq!(store.checkpoint("a").await, Some(10));
    let why = SubscriptionState::Stopped {
        why: StopReason::Requested,
        position: Position::new(10).unwrap(),
    };
    assert_eq!(status(&manager, "a").await.state(), &why);
    assert_eq!(status(&manager, "a").await.state().failure(), None);

    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), (1..=100).collect::<Vec<_>>());
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_retry() {
    let (store, fragile) = (TestStore::new(), Fragile::at([1]));
    let manager = store.manager();
    let hour = quick()
        .base(Duration::from_secs(3600))
        .longest(Duration::from_secs(3600));
    manager
        .subscribe(fragile.subscription("a").retry(hour))
        .unwrap();
    note(&store, [1]).await;
    manager.start_all().await.unwrap();
    while !matches!(
        status(&manager, "a").await.state(),
        SubscriptionState::Retrying { attempt: 1, .. }
    ) {
        tokio::task::yield_now().await;
    }
    manager.stop_all().await;
    assert_eq!(store.checkpoint("a").await, None);
}

#[tokio::test]
async fn a_paused_subscription_handles_nothing_until_it_is_resumed() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    assert!(matches!(
        manager.pause(&name("a")).await,
        Err(SubscriptionError::NotRunning(_))
    ));
    assert!(matches!(
        manager.resume(&name("a")).await,
        Err(SubscriptionError::NotRunning(_))
    ));
    manager.start_all().await.unwrap();
    manager.pause(&name("a")).await.unwrap();
    note(&store, [1, 2]).await;
    manager.until_idle().await.unwrap();
    assert!(seen.all().is_empty());
    let paused = status(&manager, "a").await;
    assert_eq!(
        (paused.state(), paused.lag_events()),
        (&SubscriptionState::Paused, Some(2))
    );
    manager.resume(&name("a")).await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), [1, 2]);
    // A stop ends a pause; a start after it runs.
    manager.pause(&name("a")).await.unwrap();
    manager.stop_all().await;
    manager.start_all().await.unwrap();
    note(&store, [3]).await;
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), [1, 2, 3]);
}

#[tokio::test]
async fn pausing_waits_for_the_batch_in_hand() {
    let (store, seen, gate) = (TestStore::new(), Seen::default(), Gate::closed());
    let manager = Arc::new(store.manager());
    manager.subscribe(gated("a", &gate, &seen)).unwrap();
    note(&store, 1..=3).await;
    manager.start_all().await.unwrap();
    gate.entered().await;
    let mut pausing = tokio::spawn({
        let manager = Arc::clone(&manager);
        async move { manager.pause(&name("a")).await }
    });
    tokio::task::yield_now().await;
    assert!((&mut pausing).now_or_never().is_none());
    gate.open();
    pausing.await.unwrap().unwrap();
    assert_eq!(
        (seen.all(), store.checkpoint("a").await),
        (vec![1, 2, 3], Some(3))
    );
}

#[tokio::test]
async fn an_unsubscribed_one_is_gone_but_its_checkpoint_stays() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    manager.start_all().await.unwrap();
    note(&store, [1]).await;
    manager.until_idle().await.unwrap();
    manager.unsubscribe(&name("a")).await.unwrap();
    note(&store, [2]).await;
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!((seen.all(), manager.status().await.len()), (vec![1], 0));
    manager.subscribe(seen.subscription("a")).unwrap();
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), [1, 2]);
}

#[tokio::test]
async fn dropping_the_manager_ends_its_tasks() {
    let (store, seen, gate) = (TestStore::new(), Seen::default(), Gate::closed());
    let manager = store.manager();
    manager.subscribe(gated("a", &gate, &seen)).unwrap();
    note(&store, 1..=3).await;
    manager.start_all().await.unwrap();
    gate.entered().await;
    // The subscription's closure holds a share of what it notes in: it goes with the task.
    let held = Seen::clone(&seen);
    drop(manager);
    let metrics = tokio::runtime::Handle::current().metrics();
    while metrics.num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
    gate.open();
    assert_eq!(
        (held.all(), store.checkpoint("a").await),
        (vec![], None),
        "as after a crash"
    );
}

#[tokio::test]
async fn when_the_store_is_down_at_the_first_start_of_a_live_only_one_nothing_starts() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    manager
        .subscribe(seen.subscription("mail").start_at_head())
        .unwrap();
    store
        .faults()
        .claims_unavailable
        .store(1, Ordering::Relaxed);
    assert!(
        matches!(manager.start_all().await, Err(SubscriptionError::Store(error)) if error.is_transient())
    );
    assert!(
        manager
            .status()
            .await
            .iter()
            .all(|status| status.state().is_stopped())
    );
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
}

#[tokio::test]
async fn a_long_catch_up_lets_others_run() {
    let (store, seen) = (MemoryStore::new(), Seen::default());
    let store = Arc::new(store);
    note(&*store, 0..10_000).await;
    let manager = SubscriptionManager::new(store.clone(), store.clone());
    manager
        .subscribe(seen.subscription("a").batch_size(10))
        .unwrap();
    manager.start_all().await.unwrap();
    while seen.all().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(
        seen.all().len() < 1_000,
        "this task got a turn only after {} events",
        seen.all().len()
    );
    manager.stop_all().await;
}
