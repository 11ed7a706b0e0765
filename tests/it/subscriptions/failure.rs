//! A subscription that fails retries, then stops visibly. It never skips.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;
use uno_core::{Envelope, Position};
use uno_events::{Replay, RetryPolicy, StopReason, Subscription, SubscriptionState, WaitError};

use super::support::*;

#[tokio::test(start_paused = true)]
async fn a_failing_event_is_tried_four_times_then_the_subscription_stops_before_it() {
    let (store, fragile) = (TestStore::new(), Fragile::at([7]));
    let seen = Seen::default();
    let manager = store.manager();
    manager.subscribe(fragile.subscription("a")).unwrap();
    manager.subscribe(seen.subscription("b")).unwrap();
    note(&store, 1..=10).await;
    manager.start_all().await.unwrap();

    let why = stopped(&manager, "a").await;
    let position = Position::new(7).unwrap();
    assert_eq!(
        why,
        StopReason::Failed {
            position,
            attempts: 4,
            error: "can't note 7".into()
        }
    );
    assert_eq!(
        fragile.seen.all(),
        [1, 2, 3, 4, 5, 6],
        "what comes before is handled, what comes after is not"
    );
    assert_eq!(fragile.calls.all(), [1, 2, 3, 4, 5, 6, 7, 7, 7, 7]);
    assert_eq!(store.checkpoint("a").await, Some(6));
    let status_a = status(&manager, "a").await;
    assert_eq!(
        (
            status_a.counts().handled(),
            status_a.counts().failed(),
            status_a.counts().retried()
        ),
        (6, 4, 3)
    );
    assert_eq!(status_a.last_error(), Some("can't note 7"));
    assert_eq!(status_a.lag_events(), Some(4));
    assert!(
        status_a.state().to_string().contains("position 7"),
        "{}",
        status_a.state()
    );

    let idle = manager.until_idle().await;
    assert!(matches!(
        idle,
        Err(WaitError::Stopped {
            why: StopReason::Failed { .. },
            ..
        })
    ));
    while seen.all().len() < 10 {
        tokio::task::yield_now().await;
    }

    fragile.mend();
    manager.start(&name("a")).await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(fragile.seen.all(), (1..=10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn waits_between_attempts_grow_as_the_policy_says() {
    let (store, fragile) = (TestStore::new(), Fragile::at([1]));
    let manager = store.manager();
    manager
        .subscribe(fragile.subscription("a").retry(RetryPolicy::new()))
        .unwrap();
    note(&store, [1]).await;
    let start = Instant::now();
    manager.start_all().await.unwrap();
    stopped(&manager, "a").await;
    // Waits of a half to a whole of 1, 2 and 4 seconds.
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(3500) && took <= Duration::from_millis(7200),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_works_goes_on_as_if_nothing_had_been() {
    let (store, fragile) = (TestStore::new(), Fragile::at([2, 4]));
    let manager = store.manager();
    manager
        .subscribe(fragile.subscription("a").retry(RetryPolicy::new()))
        .unwrap();
    note(&store, 1..=5).await;
    manager.start_all().await.unwrap();
    while !matches!(
        status(&manager, "a").await.state(),
        SubscriptionState::Retrying { attempt: 2, .. }
    ) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let retrying = status(&manager, "a").await;
    assert_eq!(retrying.checkpoint(), Position::new(1).ok());
    fragile.mend();
    manager.until_idle().await.unwrap();
    assert_eq!(fragile.seen.all(), [1, 2, 3, 4, 5]);
    assert_eq!(
        status(&manager, "a").await.state(),
        &SubscriptionState::CaughtUp
    );
}

#[tokio::test(start_paused = true)]
async fn without_retries_it_stops_at_the_first_failure() {
    for failing in [1, 2] {
        let (store, fragile) = (TestStore::new(), Fragile::at([failing]));
        let manager = store.manager();
        manager
            .subscribe(fragile.subscription("a").retry(quick().retries(0)))
            .unwrap();
        note(&store, 1..=3).await;
        manager.start_all().await.unwrap();
        let why = stopped(&manager, "a").await;
        let position = u64::from(failing);
        assert!(
            matches!(why, StopReason::Failed { attempts: 1, position: at, .. } if at.get() == position),
            "{why}"
        );
        assert_eq!(fragile.calls.all(), (1..=failing).collect::<Vec<_>>());
        assert_eq!(store.checkpoint("a").await.unwrap_or(0), position - 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_like_another() {
    let (store, fragile) = (TestStore::new(), Fragile::at([3]));
    fragile.panics.store(true, Ordering::Relaxed);
    let seen = Seen::default();
    let manager = store.manager();
    manager.subscribe(fragile.subscription("a")).unwrap();
    manager.subscribe(seen.subscription("b")).unwrap();
    note(&store, 1..=4).await;
    manager.start_all().await.unwrap();
    let StopReason::Failed {
        position,
        attempts,
        error,
    } = stopped(&manager, "a").await
    else {
        panic!("not failed")
    };
    assert_eq!(
        (position.get(), attempts, &*error),
        (3, 4, "panicked: at 3")
    );
    assert_eq!(
        (fragile.seen.all(), store.checkpoint("a").await),
        (vec![1, 2], Some(2))
    );
    while seen.all().len() < 4 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_closure_that_panics_before_its_future_is_a_failure_like_another() {
    let store = TestStore::new();
    let manager = store.manager();
    let handler = |event: Arc<Envelope<Noted>>| {
        assert!(event.event().n < 2, "too many");
        async { Ok(()) }
    };
    manager
        .subscribe(
            Subscription::handler(name("a"), Replay::Safe, handler)
                .no_parking()
                .retry(quick()),
        )
        .unwrap();
    note(&store, 1..=2).await;
    manager.start_all().await.unwrap();
    let why = stopped(&manager, "a").await;
    assert!(
        matches!(why, StopReason::Failed { attempts: 4, .. }),
        "{why:?}"
    );
    assert_eq!(store.checkpoint("a").await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_is_dropped_and_tried_again() {
    let store = TestStore::new();
    let manager = store.manager();
    let calls = Seen::default();
    let called = calls.clone();
    let handler = move |event: Arc<Envelope<Noted>>| {
        called.push(event.event().n);
        std::future::pending()
    };
    manager
        .subscribe(
            Subscription::handler(name("a"), Replay::Safe, handler)
                .no_parking()
                .retry(quick()),
        )
        .unwrap();
    note(&store, [1]).await;
    let start = Instant::now();
    manager.start_all().await.unwrap();
    let StopReason::Failed { error, .. } = stopped(&manager, "a").await else {
        panic!("not failed")
    };
    assert_eq!(
        (&*error, calls.all()),
        ("did not finish within 30s", vec![1; 4])
    );
    assert!(
        start.elapsed() >= Duration::from_secs(120),
        "the default limit is thirty seconds"
    );
}

#[tokio::test]
async fn an_event_that_cannot_be_decoded_stops_at_once_and_before_it() {
    let (store, fragile) = (TestStore::new(), Fragile::default());
    let manager = store.manager();
    manager.subscribe(fragile.subscription("a")).unwrap();
    note(&store, [1, 2]).await;
    append(&store, &[Mangled { text: "?".into() }]).await;
    note(&store, [4]).await;
    manager.start_all().await.unwrap();
    let StopReason::Undecodable { position, error } = stopped(&manager, "a").await else {
        panic!("decoded")
    };
    assert_eq!(position.get(), 3);
    assert!(
        error.contains("noted") && error.contains("malformed"),
        "{error}"
    );
    assert_eq!(
        (fragile.seen.all(), store.checkpoint("a").await),
        (vec![1, 2], Some(2))
    );
}

/// Handles, and dies before the checkpoint is saved.
#[tokio::test]
async fn a_crash_between_effect_and_checkpoint_delivers_again() {
    let (store, seen) = (TestStore::new(), Seen::default());
    note(&store, 1..=3).await;
    let gate = Gate::closed();
    let manager = store.manager();
    let (effects, at_gate) = (seen.clone(), gate.clone());
    let handler = move |event: Arc<Envelope<Noted>>| {
        let (effects, gate) = (effects.clone(), at_gate.clone());
        async move {
            effects.push(event.event().n);
            if event.event().n == 2 {
                gate.pass().await;
            }
            Ok(())
        }
    };
    manager
        .subscribe(Subscription::handler(name("a"), Replay::Safe, handler))
        .unwrap();
    manager.start_all().await.unwrap();
    gate.entered().await;
    drop(manager);
    assert_eq!(
        (seen.all(), store.checkpoint("a").await),
        (vec![1, 2], None)
    );

    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), [1, 2, 1, 2, 3]);
}
