//! Lanes that rest after each batch.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use uno_core::Envelope;
use uno_events::{Replay, Subscription};

use super::support::*;

const REST: Duration = Duration::from_secs(100);

#[tokio::test(start_paused = true)]
async fn a_lane_rests_after_each_batch_as_long_as_it_is_told() {
    let (store, times) = (TestStore::new(), Arc::new(Mutex::new(Vec::new())));
    let rests = Arc::new(AtomicBool::new(true));
    let (notes, asked) = (Arc::clone(&times), Arc::clone(&rests));
    let handler = move |_: Arc<Envelope<Noted>>| {
        notes.lock().unwrap().push(Instant::now());
        async { Ok(()) }
    };
    let resting = Subscription::handler(name("a"), Replay::Safe, handler)
        .batch_size(2)
        .rest(move || if asked.load(Ordering::Relaxed) { REST } else { Duration::ZERO })
        // The longest counts.
        .rest(|| Duration::from_millis(1));
    let manager = store.manager();
    manager.subscribe(resting).unwrap();
    note(&store, 1..=6).await;
    manager.start(&name("a")).await.unwrap();
    manager.until_idle().await.unwrap();
    let handled = times.lock().unwrap().clone();
    assert_eq!(handled.len(), 6);
    let gaps: Vec<bool> = handled
        .windows(2)
        .map(|pair| pair[1] - pair[0] >= REST)
        .collect();
    assert_eq!(gaps, [false, true, false, true, false], "{handled:?}");

    // No longer than it is told to, from the next batch on.
    rests.store(false, Ordering::Relaxed);
    let start = Instant::now();
    note(&store, 7..=12).await;
    manager.until_idle().await.unwrap();
    assert_eq!(times.lock().unwrap().len(), 12);
    assert!(start.elapsed() < REST, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_rests_is_woken_to_stop() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    let resting = seen.subscription("a").batch_size(1).rest(|| 1000 * REST);
    manager.subscribe(resting).unwrap();
    note(&store, 1..=3).await;
    manager.start(&name("a")).await.unwrap();
    while seen.all().is_empty() {
        tokio::task::yield_now().await;
    }
    let start = Instant::now();
    manager.stop(&name("a")).await.unwrap();
    assert!(start.elapsed() < REST, "{:?}", start.elapsed());
    assert_eq!(
        (seen.all(), store.checkpoint("a").await),
        (vec![1], Some(1))
    );
}
