//! The feed gives what the store would, and reads it once.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use uno_core::{Category, EventFilter, EventName, EventStore, Position, ReadLog, RecordedEvent};
use uno_events::{LogFeed, SubscriptionManager};

use super::support::*;

fn filter(kind: u32) -> EventFilter {
    match kind % 4 {
        0 => EventFilter::all(),
        1 => EventFilter::all().names([EventName::new("noted").unwrap()]),
        2 => EventFilter::all().names([EventName::new("nobody").unwrap()]),
        _ => EventFilter::all().categories([Category::new("thing").unwrap()]),
    }
}

/// Reads until it has come to `end`, and gives what it was given.
async fn read_to(
    store: TestStore,
    feed: Arc<LogFeed>,
    filter: EventFilter,
    end: tokio::sync::watch::Receiver<Option<Position>>,
    seed: u64,
) -> Vec<Arc<RecordedEvent>> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut after, mut given) = (Position::START, Vec::new());
    loop {
        let mark = store.change();
        let limit = rng.usize(1..40);
        let read = feed.read(after, &filter, limit, mark);
        // Now and then a reader loses patience.
        let page = if rng.u8(0..10) == 0 {
            match tokio::time::timeout(Duration::ZERO, read).await {
                Ok(page) => page.unwrap(),
                Err(_) => continue,
            }
        } else {
            read.await.unwrap()
        };
        assert!(page.events().len() <= limit);
        match page.scanned() {
            None => {
                assert!(page.events().is_empty());
                if end.borrow().is_some_and(|end| after >= end) {
                    return given;
                }
                tokio::select! {
                    () = store.changed(mark) => {}
                    () = tokio::time::sleep(Duration::from_millis(2)) => {}
                }
            }
            Some((scanned, _)) => {
                assert!(scanned > after, "a page moves on");
                assert!(
                    page.events()
                        .iter()
                        .all(|event| event.position() > after && event.position() <= scanned)
                );
                after = scanned;
                given.extend(page.into_events());
            }
        }
        for _ in 0..rng.u8(0..4) {
            tokio::task::yield_now().await;
        }
    }
}

async fn readers_agree_with_the_store(seed: u64, capacity: usize) {
    let store = TestStore::with_gaps(seed);
    let mut rng = fastrand::Rng::with_seed(seed);
    note(&store, 0..rng.u32(0..200)).await;
    let feed = Arc::new(LogFeed::new(
        store.events(),
        capacity,
        Duration::from_millis(1),
    ));
    let (ended, end) = tokio::sync::watch::channel(None);
    let mut readers = Vec::new();
    for reader in 0..8 {
        let reading = read_to(
            store.clone(),
            Arc::clone(&feed),
            filter(reader),
            end.clone(),
            seed ^ u64::from(reader),
        );
        readers.push((reader, tokio::spawn(reading)));
    }
    for n in 0..200 {
        let count = rng.u32(1..6);
        if rng.bool() {
            note(&store, n..n + count).await
        } else {
            ignore(&store, n..n + count).await
        };
        if rng.u8(0..3) == 0 {
            tokio::task::yield_now().await;
        }
    }
    ended.send_replace(Some(store.memory().head().await.unwrap().position()));
    let log = store
        .memory()
        .read_log(ReadLog::after(Position::START).limit(usize::MAX))
        .await
        .unwrap()
        .into_events();
    for (reader, reading) in readers {
        let given = reading.await.unwrap();
        let wanted: Vec<_> = log
            .iter()
            .filter(|event| filter(reader).matches(event))
            .cloned()
            .collect();
        assert!(
            given == wanted,
            "seed {seed}, capacity {capacity}, reader {reader}: {} of {}",
            given.len(),
            wanted.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_readers_get_what_the_store_has() {
    for seed in 0..12 {
        for capacity in [1, 7, 64, 10_000] {
            readers_agree_with_the_store(seed, capacity).await;
        }
    }
}

#[tokio::test]
async fn those_who_follow_the_end_read_it_once() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    let subscriptions: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
    for subscription in &subscriptions {
        manager.subscribe(seen.subscription(subscription)).unwrap();
    }
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    for n in 0..50 {
        note(&store, (0..10).map(|m| n * 10 + m)).await;
        manager.until_idle().await.unwrap();
    }
    assert_eq!(seen.all().len(), 20 * 500);
    let read = store.faults().events_read.load(Ordering::Relaxed);
    assert!(
        read <= 500 + 100,
        "{read} events were read for 20 subscriptions to 500"
    );
}

#[tokio::test]
async fn those_who_fall_behind_a_small_ring_still_get_everything() {
    let store = TestStore::new();
    let manager = SubscriptionManager::builder(store.events(), store.checkpoints())
        .feed_size(5)
        .build();
    let (fast, slow) = (Seen::default(), Seen::default());
    manager.subscribe(fast.subscription("fast")).unwrap();
    manager
        .subscribe(slow.subscription("slow").batch_size(2))
        .unwrap();
    manager.start_all().await.unwrap();
    manager.pause(&name("slow")).await.unwrap();
    for n in 0..200 {
        note(&store, [n]).await;
        if n % 10 == 0 {
            manager.until_idle().await.unwrap();
        }
    }
    manager.until_idle().await.unwrap();
    manager.resume(&name("slow")).await.unwrap();
    manager.until_idle().await.unwrap();
    let all: Vec<u32> = (0..200).collect();
    assert_eq!((fast.all(), slow.all()), (all.clone(), all));
}

#[tokio::test(start_paused = true)]
async fn the_idle_do_not_ask_the_store_more_often_than_one_would() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    let subscriptions: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
    for subscription in &subscriptions {
        manager.subscribe(seen.subscription(subscription)).unwrap();
    }
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    let before = store.faults().reads.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let reads = store.faults().reads.load(Ordering::Relaxed) - before;
    // A poll every half second, and an answer that holds for half of that.
    assert!(reads <= 2 * 2 * 60 + 2, "{reads} reads in a minute");
}
