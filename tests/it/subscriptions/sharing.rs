//! Managers, as in several processes, that share the lanes of a subscription.

use std::{
    collections::BTreeMap,
    num::NonZeroU16,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;
use uno_core::{BoxError, Envelope, EventStore as _, Position};
use uno_events::{
    Consumer, EventHandler, Replay, Subscription, SubscriptionManager, SubscriptionState,
};

use super::{ledger::Ledger, support::*};

/// The lease of these tests, and the longest that a change takes to be noticed.
const LEASE: Duration = Duration::from_secs(5);

pub(super) fn lanes(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

/// A manager as in a process of its own.
pub(super) fn process(store: &TestStore) -> (TestStore, SubscriptionManager) {
    let store = store.elsewhere();
    let manager = store.manager();
    (store, manager)
}

fn named(store: &TestStore, instance: &str) -> (TestStore, SubscriptionManager) {
    let store = store.elsewhere();
    let manager = SubscriptionManager::builder(store.events(), store.checkpoints())
        .instance(instance)
        .build();
    (store, manager)
}

/// Ends a process so that it gives nothing back.
pub(super) fn kill(process: (TestStore, SubscriptionManager)) {
    process.0.faults().cut_off.store(true, Ordering::Relaxed);
    drop(process);
}

pub(super) fn ledger(store: &TestStore, ledger: &Arc<Ledger>) -> Subscription {
    let _ = store;
    let fed: Arc<dyn Consumer> = ledger.clone();
    Subscription::new(name("a"), Replay::Safe, fed)
        .batch_size(7)
        .retry(quick())
}

/// Appends an event to one of so many streams, and says where.
pub(super) async fn scatter(store: &TestStore, rng: &mut fastrand::Rng, n: u32) -> u64 {
    let stream = format!("thing-{}", rng.u32(0..20));
    let receipt = note_in(store, &stream, n).await;
    receipt.position().unwrap().get()
}

/// Notes what it handles, by stream.
#[derive(Clone, Default)]
struct ByStream(Arc<Mutex<BTreeMap<String, Vec<u32>>>>);

impl EventHandler<Noted> for ByStream {
    async fn handle(&self, event: &Envelope<Noted>) -> Result<(), BoxError> {
        let stream = event.record().stream().to_string();
        let mut seen = self.0.lock().unwrap();
        seen.entry(stream).or_default().push(event.event().n);
        Ok(())
    }
}

impl ByStream {
    fn subscription(&self) -> Subscription {
        Subscription::handler(name("a"), Replay::Safe, self.clone())
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().values().map(Vec::len).sum()
    }
}

#[tokio::test(start_paused = true)]
async fn lanes_are_run_side_by_side_each_in_order() {
    let store = TestStore::timed();
    let seen = ByStream::default();
    let (_, manager) = process(&store);
    manager
        .subscribe(seen.subscription().lanes(lanes(8)))
        .unwrap();
    manager.start_all().await.unwrap();
    let mut rng = fastrand::Rng::with_seed(3);
    for n in 0..400 {
        scatter(&store, &mut rng, n).await;
    }
    manager.until_idle().await.unwrap();
    assert_eq!(lanes_here(&manager, "a").await, (0..8).collect::<Vec<_>>());
    assert_eq!(seen.count(), 400);
    assert!(seen.0.lock().unwrap().values().all(|seen| seen.is_sorted()));
    let told = status(&manager, "a").await;
    assert_eq!((told.counts().handled(), told.lag_events()), (400, Some(0)));
    manager.stop_all().await;
    let end = store.memory().head().await.unwrap().position();
    let told = status(&manager, "a").await;
    assert!(
        told.lanes()
            .iter()
            .all(|lane| lane.checkpoint() == Some(end))
    );
    assert!(
        told.lanes().iter().all(|lane| lane.holder().is_none()),
        "all were given back"
    );
}

#[tokio::test(start_paused = true)]
async fn two_processes_share_the_lanes_and_whoever_stops_leaves_them_to_the_other() {
    let store = TestStore::timed();
    let consumer = Arc::new(Ledger::new(&store));
    let (_, one) = process(&store);
    one.subscribe(ledger(&store, &consumer).lanes(lanes(8)))
        .unwrap();
    one.start_all().await.unwrap();
    let mut rng = fastrand::Rng::with_seed(5);
    let mut positions = Vec::new();
    for n in 0..100 {
        positions.push(scatter(&store, &mut rng, n).await);
    }
    until(async || lanes_here(&one, "a").await.len() == 8).await;

    let (_, other) = process(&store);
    other.subscribe(ledger(&store, &consumer)).unwrap();
    other.start_all().await.unwrap();
    let mut n = 100;
    until(async || {
        positions.push(scatter(&store, &mut rng, n).await);
        n += 1;
        (
            lanes_here(&one, "a").await.len(),
            lanes_here(&other, "a").await.len(),
        ) == (4, 4)
    })
    .await;
    for n in 1_000..1_200 {
        positions.push(scatter(&store, &mut rng, n).await);
    }
    one.until_idle().await.unwrap();
    other.until_idle().await.unwrap();
    Ledger::assert_once_and_in_order(&store, &positions, "shared");

    one.stop_all().await;
    let start = Instant::now();
    until(async || lanes_here(&other, "a").await.len() == 8).await;
    assert!(
        start.elapsed() <= LEASE / 3 + Duration::from_millis(100),
        "{:?}",
        start.elapsed()
    );
    for n in 2_000..2_100 {
        positions.push(scatter(&store, &mut rng, n).await);
    }
    other.until_idle().await.unwrap();
    Ledger::assert_once_and_in_order(&store, &positions, "taken over");
    assert_eq!(
        consumer.refused.load(Ordering::Relaxed),
        0,
        "nothing was taken by force"
    );
}

#[tokio::test(start_paused = true)]
async fn when_a_process_dies_another_takes_over_once_the_lease_has_run_out() {
    let store = TestStore::timed();
    let (first, second) = (Seen::default(), Seen::default());
    let one = process(&store);
    one.1.subscribe(first.subscription("a")).unwrap();
    one.1.start_all().await.unwrap();
    note(&store, [1]).await;
    one.1.until_idle().await.unwrap();
    let (_, other) = process(&store);
    other.subscribe(second.subscription("a")).unwrap();
    other.start_all().await.unwrap();
    until(async || {
        matches!(
            status(&other, "a").await.state(),
            SubscriptionState::Standby { .. }
        )
    })
    .await;
    let state = status(&other, "a").await.state().to_string();
    assert!(state.starts_with("standing by for process "), "{state}");

    kill(one);
    let died = Instant::now();
    let receipt = note(&store, [2]).await;
    other
        .wait_for(&name("a"), &receipt, LEASE * 3)
        .await
        .unwrap();
    assert_eq!((first.all(), second.all()), (vec![1], vec![2]));
    let took = died.elapsed();
    assert!(
        took >= LEASE / 2 && took <= LEASE + LEASE / 3 + Duration::from_millis(500),
        "{took:?}"
    );
    assert_eq!(lanes_here(&other, "a").await, [0]);
}

#[tokio::test(start_paused = true)]
async fn a_later_run_of_the_same_process_takes_over_at_once() {
    let store = TestStore::timed();
    let seen = Seen::default();
    let start = Instant::now();
    for run in 0..5 {
        let process = named(&store, "worker-1");
        process.1.subscribe(seen.subscription("a")).unwrap();
        process.1.start_all().await.unwrap();
        note(&store, [run]).await;
        process.1.until_idle().await.unwrap();
        kill(process);
    }
    assert_eq!(seen.all(), [0, 1, 2, 3, 4]);
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn of_two_that_live_with_one_name_the_later_one_keeps_the_lanes() {
    let store = TestStore::timed();
    let (first, second) = (Seen::default(), Seen::default());
    let (_, one) = named(&store, "worker-1");
    one.subscribe(first.subscription("a")).unwrap();
    one.start_all().await.unwrap();
    one.until_idle().await.unwrap();
    let (_, other) = named(&store, "worker-1");
    other.subscribe(second.subscription("a")).unwrap();
    other.start_all().await.unwrap();
    until(async || lanes_here(&other, "a").await == [0]).await;
    until(async || {
        matches!(
            status(&one, "a").await.state(),
            SubscriptionState::Standby { .. }
        )
    })
    .await;
    for n in 0..20 {
        note(&store, [n]).await;
        tokio::time::sleep(LEASE / 3).await;
    }
    other.until_idle().await.unwrap();
    assert_eq!((first.all(), second.all()), (vec![], (0..20).collect()));
}

#[tokio::test(start_paused = true)]
async fn what_a_sleeper_commits_after_its_lease_is_refused() {
    let store = TestStore::timed();
    let gate = Gate::closed();
    let asleep = Arc::new(Ledger::new(&store).waiting_at(2, &gate));
    let awake = Arc::new(Ledger::new(&store));
    let (at_sleep, one) = process(&store);
    one.subscribe(ledger(&store, &asleep)).unwrap();
    one.start_all().await.unwrap();
    let first = note_in(&store, "thing-1", 1).await;
    one.wait_for(&name("a"), &first, LEASE).await.unwrap();
    let second = note_in(&store, "thing-1", 2).await;
    gate.entered().await;
    at_sleep.faults().cut_off.store(true, Ordering::Relaxed);

    let (_, other) = process(&store);
    other.subscribe(ledger(&store, &awake)).unwrap();
    other.start_all().await.unwrap();
    other
        .wait_for(&name("a"), &second, LEASE * 3)
        .await
        .unwrap();
    // It wakes up, and believes in its lease.
    gate.open();
    until(async || asleep.refused.load(Ordering::Relaxed) == 1).await;
    Ledger::assert_once_and_in_order(&store, &[1, 2], "refused");
    // It can be reached again, and goes on as one that shares.
    at_sleep.faults().cut_off.store(false, Ordering::Relaxed);
    until(async || {
        matches!(
            status(&one, "a").await.state(),
            SubscriptionState::Standby { .. }
        )
    })
    .await;
    note_in(&store, "thing-1", 3).await;
    other.until_idle().await.unwrap();
    one.until_idle().await.unwrap();
    Ledger::assert_once_and_in_order(&store, &[1, 2, 3], "awake");
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_given_nothing_once_its_lease_cannot_be_renewed() {
    let store = TestStore::timed();
    let (first, second) = (Seen::default(), Seen::default());
    let (cut_off, one) = process(&store);
    one.subscribe(first.subscription("a")).unwrap();
    one.start_all().await.unwrap();
    note(&store, [1]).await;
    one.until_idle().await.unwrap();
    // The log can be read as before: it is by its own clock that it knows.
    cut_off.faults().cut_off.store(true, Ordering::Relaxed);
    tokio::time::sleep(LEASE).await;
    note(&store, [2]).await;
    tokio::time::sleep(LEASE).await;
    assert_eq!(first.all(), [1]);
    let (_, other) = process(&store);
    other.subscribe(second.subscription("a")).unwrap();
    other.start_all().await.unwrap();
    other.until_idle().await.unwrap();
    assert_eq!(second.all(), [2]);
    assert_eq!(first.all(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_some_claims_is_not_a_reason_to_stop() {
    let store = TestStore::timed();
    let seen = Seen::default();
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    store
        .faults()
        .claims_unavailable
        .store(30, Ordering::Relaxed);
    manager.start_all().await.unwrap();
    until(async || {
        matches!(
            status(&manager, "a").await.state(),
            SubscriptionState::Retrying { .. }
        )
    })
    .await;
    note(&store, [1]).await;
    manager.until_idle().await.unwrap();
    store
        .faults()
        .claims_unavailable
        .store(30, Ordering::Relaxed);
    for n in 2..40 {
        note(&store, [n]).await;
        tokio::time::sleep(LEASE / 3).await;
    }
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), (1..40).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_live_only_one_has_its_place_also_when_another_process_runs_it() {
    let store = TestStore::timed();
    note(&store, [1]).await;
    let (first, second) = (Seen::default(), Seen::default());
    let one = process(&store);
    one.1
        .subscribe(first.subscription("a").start_at_head())
        .unwrap();
    one.1.start_all().await.unwrap();
    let (_, other) = process(&store);
    other
        .subscribe(second.subscription("a").start_at_head())
        .unwrap();
    other.start_all().await.unwrap();
    kill(one);
    note(&store, [2, 3]).await;
    other.until_idle().await.unwrap();
    let mut all = first.all();
    all.extend(second.all());
    all.dedup();
    assert_eq!(
        all,
        [2, 3],
        "what was before is for nobody, and what came after is for somebody"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reset_reaches_the_process_that_runs_it() {
    let store = TestStore::timed();
    let seen = Seen::default();
    let (_, one) = process(&store);
    one.subscribe(seen.subscription("a")).unwrap();
    one.start_all().await.unwrap();
    note(&store, 1..=3).await;
    one.until_idle().await.unwrap();
    let (_, other) = process(&store);
    other.subscribe(Seen::default().subscription("a")).unwrap();
    other
        .reset(&name("a"), Position::new(1).unwrap())
        .await
        .unwrap();
    until(async || seen.all().len() == 5).await;
    assert_eq!(seen.all(), [1, 2, 3, 2, 3]);
}

/// What a manager is asked to wait for may be done elsewhere.
#[tokio::test(start_paused = true)]
async fn waiting_goes_by_the_store_when_another_process_has_the_lanes() {
    let store = TestStore::timed();
    let seen = Seen::default();
    let (_, one) = process(&store);
    one.subscribe(seen.subscription("a").lanes(lanes(4)))
        .unwrap();
    one.start_all().await.unwrap();
    until(async || lanes_here(&one, "a").await.len() == 4).await;
    let (_, other) = process(&store);
    other.subscribe(Seen::default().subscription("a")).unwrap();
    for n in 0..20 {
        let receipt = note_in(&store, &format!("thing-{n}"), n).await;
        if n == 10 {
            other.start_all().await.unwrap();
        }
        if n >= 10 {
            other
                .wait_for(&name("a"), &receipt, LEASE * 10)
                .await
                .unwrap();
        }
    }
    other.until_idle().await.unwrap();
    let told = status(&other, "a").await;
    assert_eq!((told.lag_events(), told.lanes().len()), (Some(0), 4));
}
