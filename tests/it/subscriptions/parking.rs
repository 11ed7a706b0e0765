//! An event that can't be handled is set aside with its key, and everything else goes on.
//!
//! Long because the cases share their one consumer and its stage.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use uno_core::{Envelope, EventStore as _, EventStoreExt as _, ParkingRequest, Position};
use uno_events::{
    Consumer, Replay, StopReason, Subscription, SubscriptionManager, SubscriptionState, WaitError,
    fingerprint,
};

use super::{ledger::Ledger, support::*};

/// Appends to streams in turn: 1, 2 and so on, each the position as well.
async fn fill(store: &TestStore, streams: &[&str]) {
    for stream in streams {
        let position = store.memory().head().await.unwrap().position().get() + 1;
        note_in(store, stream, u32::try_from(position).unwrap()).await;
    }
}

fn at(position: u64) -> Position {
    Position::new(position).unwrap()
}

/// The parked keys with their events.
pub(super) async fn parked(
    manager: &SubscriptionManager,
    subscription: &str,
) -> Vec<(String, Vec<u64>)> {
    let of = name(subscription);
    let mut all = Vec::new();
    for key in manager.parked(&of, None, 100).await.unwrap() {
        let events = manager.parked_events(&of, key.key(), Position::START, 100);
        let events = events.await.unwrap();
        assert_eq!(
            (key.first(), key.events()),
            (events[0].position(), events.len() as u64)
        );
        let positions = events.iter().map(|event| event.position().get());
        all.push((key.key().to_owned(), positions.collect()));
    }
    all
}

fn ledger(consumer: &Arc<Ledger>) -> Subscription {
    let fed: Arc<dyn Consumer> = consumer.clone();
    Subscription::new(name("a"), Replay::Safe, fed).retry(quick())
}

#[tokio::test(start_paused = true)]
async fn after_its_last_attempt_an_event_is_parked_and_its_key_waits_behind_it() {
    let (store, fragile) = (TestStore::timed(), Fragile::at([2]));
    let manager = store.manager();
    manager.subscribe(fragile.parking("a")).unwrap();
    fill(
        &store,
        &[
            "thing-1", "thing-2", "thing-2", "thing-1", "thing-2", "thing-3",
        ],
    )
    .await;
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(
        fragile.calls.all(),
        [1, 2, 2, 2, 2, 4, 6],
        "four attempts, and nothing behind it"
    );
    assert_eq!(
        parked(&manager, "a").await,
        [("thing-2".to_owned(), vec![2, 3, 5])]
    );
    let told = status(&manager, "a").await;
    assert_eq!(told.state(), &SubscriptionState::CaughtUp);
    assert_eq!(
        (
            told.parked(),
            told.counts().parked(),
            told.counts().handled()
        ),
        (Some(3), 3, 3)
    );
    assert_eq!(
        (store.checkpoint("a").await, told.lag_events()),
        (Some(6), Some(0))
    );
    let key = manager
        .parked_key(&name("a"), "thing-2")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (key.failure().attempts(), key.failure().error()),
        (4, "can't note 2")
    );
    assert_eq!(
        manager.parked_key(&name("a"), "thing-1").await.unwrap(),
        None
    );

    // What comes later goes behind it, also after a restart.
    manager.stop_all().await;
    manager.start_all().await.unwrap();
    fill(&store, &["thing-2", "thing-1"]).await;
    manager.until_idle().await.unwrap();
    assert_eq!(
        parked(&manager, "a").await,
        [("thing-2".to_owned(), vec![2, 3, 5, 7])]
    );

    fragile.mend();
    assert!(manager.retry_parked(&name("a"), "thing-2").await.unwrap());
    manager.until_idle().await.unwrap();
    assert_eq!(fragile.seen.all(), [1, 4, 6, 8, 2, 3, 5, 7], "in order");
    assert_eq!(parked(&manager, "a").await, []);
    fill(&store, &["thing-2"]).await;
    manager.until_idle().await.unwrap();
    assert_eq!(
        fragile.seen.all().last(),
        Some(&9),
        "as if nothing had been"
    );
    assert!(!manager.retry_parked(&name("a"), "thing-2").await.unwrap());
    assert_eq!(status(&manager, "a").await.parked(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_fails_is_one_attempt_and_parks_the_key_anew() {
    let (store, fragile) = (TestStore::timed(), Fragile::at([1, 3]));
    let manager = store.manager();
    manager
        .subscribe(fragile.parking("a").retry(quick().retries(1)))
        .unwrap();
    fill(&store, &["thing-1"; 4]).await;
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    let failure = async || {
        let key = manager
            .parked_key(&name("a"), "thing-1")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(key.request(), None);
        let failure = key.failure();
        (
            key.first().get(),
            failure.attempts(),
            failure.error().to_owned(),
        )
    };
    assert_eq!(failure().await, (1, 2, "can't note 1".to_owned()));
    manager.retry_parked(&name("a"), "thing-1").await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(failure().await, (1, 3, "can't note 1".to_owned()));
    assert_eq!(fragile.calls.all(), [1, 1, 1]);
    // The next one is handled; the one after is what it is parked for now.
    fragile.mend_only(1);
    manager.retry_parked(&name("a"), "thing-1").await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(failure().await, (3, 1, "can't note 3".to_owned()));
    assert_eq!(
        parked(&manager, "a").await,
        [("thing-1".to_owned(), vec![3, 4])]
    );
    manager.skip_parked(&name("a"), "thing-1").await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(fragile.seen.all(), [1, 2, 4]);
    assert_eq!(parked(&manager, "a").await, []);
}

#[tokio::test(start_paused = true)]
async fn skipping_the_last_event_and_discarding_all_unparks() {
    let (store, fragile) = (TestStore::timed(), Fragile::at([1, 2]));
    let manager = store.manager();
    manager
        .subscribe(fragile.parking("a").retry(quick().retries(0)))
        .unwrap();
    fill(&store, &["thing-1", "thing-2", "thing-2", "thing-2"]).await;
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert!(manager.skip_parked(&name("a"), "thing-1").await.unwrap());
    assert!(manager.discard_parked(&name("a"), "thing-2").await.unwrap());
    assert!(!manager.discard_parked(&name("a"), "thing-3").await.unwrap());
    manager.until_idle().await.unwrap();
    assert_eq!(
        (parked(&manager, "a").await, fragile.seen.all()),
        (vec![], vec![])
    );
    fill(&store, &["thing-1", "thing-2"]).await;
    manager.until_idle().await.unwrap();
    assert_eq!(fragile.seen.all(), [5, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_and_a_handler_that_hangs_park_as_well() {
    let (store, fragile) = (TestStore::timed(), Fragile::at([1]));
    fragile.panics.store(true, Ordering::Relaxed);
    let manager = store.manager();
    manager.subscribe(fragile.parking("panics")).unwrap();
    let hangs = |event: Arc<Envelope<Noted>>| async move {
        if event.event().n == 1 {
            std::future::pending::<()>().await;
        }
        Ok(())
    };
    manager
        .subscribe(Subscription::handler(name("hangs"), Replay::Safe, hangs).retry(quick()))
        .unwrap();
    let panics_at_once = |event: Arc<Envelope<Noted>>| {
        assert!(event.event().n > 1, "too few");
        async { Ok(()) }
    };
    manager
        .subscribe(
            Subscription::handler(name("at once"), Replay::Safe, panics_at_once).retry(quick()),
        )
        .unwrap();
    fill(&store, &["thing-1", "thing-2", "thing-1"]).await;
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    for (subscription, error) in [
        ("panics", "panicked: at 1"),
        ("hangs", "did not finish within 30s"),
        ("at once", "panicked: too few"),
    ] {
        assert_eq!(
            parked(&manager, subscription).await,
            [("thing-1".to_owned(), vec![1, 3])]
        );
        let key = manager
            .parked_key(&name(subscription), "thing-1")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (key.failure().attempts(), key.failure().error()),
            (4, error)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_it_stops_before_the_event() {
    let (store, fragile) = (TestStore::timed(), Fragile::at([1, 4]));
    let manager = store.manager();
    manager
        .subscribe(
            fragile
                .parking("a")
                .retry(quick().retries(0))
                .batch_size(1)
                .park(2),
        )
        .unwrap();
    fill(
        &store,
        &["thing-1", "thing-2", "thing-1", "thing-3", "thing-2"],
    )
    .await;
    manager.start_all().await.unwrap();
    let why = stopped(&manager, "a").await;
    let expected = StopReason::TooManyParked {
        position: at(4),
        limit: 2,
        error: "can't note 4".into(),
    };
    assert_eq!(why, expected);
    assert_eq!(store.checkpoint("a").await, Some(3));
    // It comes behind one that is parked.
    manager.stop_all().await;
    fragile.mend_only(4);
    fill(&store, &["thing-1"]).await;
    manager.start_all().await.unwrap();
    let why = stopped(&manager, "a").await;
    assert!(
        matches!(&why, StopReason::TooManyParked { position, .. } if *position == at(6)),
        "{why}"
    );
    assert_eq!(fragile.seen.all(), [2, 4, 5]);
    // With room again, it goes on.
    manager.discard_parked(&name("a"), "thing-1").await.unwrap();
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(parked(&manager, "a").await, []);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_event_is_parked_and_one_of_newer_code_is_left_to_that() {
    #[derive(uno_core::Event, serde::Serialize, serde::Deserialize)]
    #[event(name = "noted", version = 2, upcast(1 = |old| old))]
    struct Newer {
        n: u32,
    }
    let (store, fragile) = (TestStore::timed(), Fragile::default());
    let manager = store.manager();
    manager.subscribe(fragile.parking("a")).unwrap();
    append(&store, &[Mangled { text: "?".into() }]).await;
    note(&store, [2]).await;
    note_in(&store, "thing-2", 3).await;
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(
        parked(&manager, "a").await,
        [("thing-1".to_owned(), vec![1, 2])]
    );
    let key = manager
        .parked_key(&name("a"), "thing-1")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(key.failure().attempts(), 1, "trying again does not help");
    assert_eq!(fragile.seen.all(), [3]);

    // A process with newer code stands by.
    let newer = store.elsewhere().manager();
    let seen = Seen::default();
    let noted = seen.clone();
    let handler = move |event: Arc<Envelope<Newer>>| {
        noted.push(event.event().n);
        async { Ok(()) }
    };
    let newest = Subscription::handler(name("a"), Replay::Safe, handler).retry(quick());
    newer.subscribe(newest).unwrap();
    newer.start_all().await.unwrap();
    until(async || {
        matches!(
            status(&newer, "a").await.state(),
            SubscriptionState::Standby { .. }
        )
    })
    .await;
    let receipt = note_newer(&store, Newer { n: 4 }).await;
    let why = stopped(&manager, "a").await;
    assert!(
        matches!(&why, StopReason::Undecodable { position, .. } if *position == at(4)),
        "{why}"
    );
    newer
        .wait_for(&name("a"), &receipt, Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!((seen.all(), fragile.seen.all()), (vec![4], vec![3]));
}

async fn note_newer<E: uno_core::EventSet>(store: &TestStore, event: E) -> uno_core::Receipt {
    let stream = "thing-3".parse().unwrap();
    store
        .append_events(stream, uno_core::ExpectedVersion::Any, &[event])
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_what_is_parked_says_so() {
    let (store, fragile) = (TestStore::timed(), Fragile::at([2]));
    let manager = store.manager();
    manager.subscribe(fragile.parking("a")).unwrap();
    manager.start_all().await.unwrap();
    let wait = async |receipt: &uno_core::Receipt| {
        manager
            .wait_for(&name("a"), receipt, Duration::from_secs(60))
            .await
    };
    let first = note_in(&store, "thing-1", 1).await;
    wait(&first).await.unwrap();
    let second = note_in(&store, "thing-1", 2).await;
    let third = note_in(&store, "thing-1", 3).await;
    let other = note_in(&store, "thing-2", 4).await;
    for receipt in [&second, &third] {
        let told = wait(receipt).await;
        let Err(WaitError::Parked { parked, .. }) = &told else {
            panic!("{told:?}")
        };
        assert_eq!((parked.key(), parked.first()), ("thing-1", at(2)));
        assert_eq!(
            told.unwrap_err().to_string(),
            "key thing-1 of subscription a is parked: can't note 2"
        );
    }
    wait(&other).await.unwrap();
    wait(&first).await.unwrap();
    fragile.mend();
    manager.retry_parked(&name("a"), "thing-1").await.unwrap();
    manager.until_idle().await.unwrap();
    wait(&third).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn failures_that_look_alike_are_one_group_and_asked_for_together() {
    let (store, fragile) = (TestStore::timed(), Fragile::at(1..=20));
    let manager = store.manager();
    manager
        .subscribe(fragile.parking("a").retry(quick().retries(0)))
        .unwrap();
    for n in 1..=30 {
        note_in(&store, &format!("thing-{n}"), n).await;
    }
    append(&store, &[Mangled { text: "?".into() }]).await;
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    let groups = manager.parked_groups(&name("a")).await.unwrap();
    let alike: Vec<_> = groups
        .iter()
        .filter(|group| group.fingerprint() == "can't note #")
        .map(|group| (group.keys(), group.events()))
        .collect();
    assert_eq!(alike, [(20, 21)], "{groups:?}");
    fragile.mend();
    let alike = fingerprint("can't note 77");
    let asked = manager
        .request_all_parked(&name("a"), &alike, ParkingRequest::Retry)
        .await
        .unwrap();
    assert_eq!(asked, 20);
    manager.until_idle().await.unwrap();
    let left = parked(&manager, "a").await;
    assert_eq!(
        left,
        [("thing-1".to_owned(), vec![31])],
        "the one that can't be decoded came behind"
    );
    let mut seen = fragile.seen.all();
    seen.sort_unstable();
    assert_eq!(seen, (1..=30).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn with_parking_switched_off_what_is_parked_still_keeps_its_key_waiting() {
    let (store, fragile) = (TestStore::timed(), Fragile::at([1, 4]));
    let manager = store.manager();
    manager.subscribe(fragile.parking("a")).unwrap();
    fill(&store, &["thing-1"]).await;
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    manager.unsubscribe(&name("a")).await.unwrap();
    manager
        .subscribe(fragile.parking("a").no_parking())
        .unwrap();
    fill(&store, &["thing-1", "thing-2", "thing-3"]).await;
    manager.start_all().await.unwrap();
    assert!(
        matches!(stopped(&manager, "a").await, StopReason::Failed { position, .. } if position == at(4))
    );
    assert_eq!(
        parked(&manager, "a").await,
        [("thing-1".to_owned(), vec![1, 2])]
    );
    assert_eq!(fragile.seen.all(), [3]);
}

#[tokio::test(start_paused = true)]
async fn a_reset_takes_off_what_comes_again() {
    let (store, fragile) = (TestStore::timed(), Fragile::at([2, 4]));
    let manager = store.manager();
    manager
        .subscribe(fragile.parking("a").retry(quick().retries(0)))
        .unwrap();
    fill(&store, &["thing-1", "thing-2", "thing-3", "thing-4"]).await;
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    fragile.mend();
    manager.reset(&name("a"), at(3)).await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(
        parked(&manager, "a").await,
        [("thing-2".to_owned(), vec![2])]
    );
    assert_eq!(fragile.seen.all(), [1, 3, 4]);
}

/// A consumer that commits its effects with the checkpoint and knows nothing of parking.
#[tokio::test(start_paused = true)]
async fn a_transactional_consumer_has_its_effects_once_through_parking_and_retry() {
    let store = TestStore::timed();
    let consumer = Arc::new(Ledger::new(&store).failing_at([13, 17]));
    let manager = store.manager();
    manager.subscribe(ledger(&consumer).batch_size(10)).unwrap();
    let streams: Vec<String> = (1..=60).map(|n| format!("thing-{}", n % 5)).collect();
    let streams: Vec<&str> = streams.iter().map(String::as_str).collect();
    fill(&store, &streams).await;
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    let behind = |first: u64| (first..=60).step_by(5).collect::<Vec<_>>();
    let expected = [
        ("thing-2".to_owned(), behind(17)),
        ("thing-3".to_owned(), behind(13)),
    ];
    assert_eq!(parked(&manager, "a").await, expected);
    consumer.mend();
    for key in ["thing-2", "thing-3"] {
        manager.retry_parked(&name("a"), key).await.unwrap();
    }
    fill(&store, &streams).await;
    manager.until_idle().await.unwrap();
    Ledger::assert_once_and_in_order(&store, &(1..=120).collect::<Vec<_>>(), "retried");
}
