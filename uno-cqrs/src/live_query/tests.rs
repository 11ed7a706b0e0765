//! Live queries on the store in memory, in a time that stands still.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::task::yield_now;
use uno_core::{
    Commit, DocumentStore as _, DocumentWrite, Payload, StoreError, Transactional as _,
};
use uno_store_memory::MemoryStore;

use super::*;

/// No test waits for so long: what comes comes because the store tells of it.
const NEVER: Duration = Duration::from_secs(1 << 30);

async fn put(store: &MemoryStore, number: u64) {
    let mut commit = Commit::new();
    let body = Payload::from_stored(number.to_string());
    commit
        .documents
        .push(DocumentWrite::put("notes", "a", body));
    store.commit(commit).await.unwrap();
}

async fn read(store: &MemoryStore) -> Result<u64, StoreError> {
    let found = store.load_documents("notes", &["a".to_owned()]).await?;
    Ok(found
        .first()
        .map_or(0, |note| note.body().as_str().parse().unwrap()))
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_while_it_is_read_is_not_missed() {
    let store = Arc::new(MemoryStore::new());
    let (asked, reads) = (Arc::clone(&store), AtomicU32::new(0));
    let mut live = LiveQuery::new(store.clone(), move || {
        let (store, number) = (Arc::clone(&asked), reads.fetch_add(1, Ordering::Relaxed));
        async move {
            let answer = read(&store).await?;
            // Somebody commits after the answer was read, and before it is given.
            if number == 0 {
                put(&store, 7).await;
            }
            Ok::<_, StoreError>(answer)
        }
    })
    .poll_interval(NEVER);
    let begun = Instant::now();
    assert_eq!(live.next().await.unwrap(), 0);
    assert_eq!(live.next().await.unwrap(), 7);
    // Time goes on by itself where nothing else happens: the poll must not have helped.
    assert!(begun.elapsed() < NEVER);
}

#[tokio::test(start_paused = true)]
async fn only_another_answer_is_given() {
    let store = Arc::new(MemoryStore::new());
    let (asked, reads) = (Arc::clone(&store), Arc::new(AtomicU32::new(0)));
    let count = Arc::clone(&reads);
    let mut live = LiveQuery::new(store.clone(), move || {
        let store = Arc::clone(&asked);
        count.fetch_add(1, Ordering::Relaxed);
        async move { read(&store).await }
    })
    .poll_interval(NEVER);
    assert_eq!(live.next().await.unwrap(), 0);
    put(&store, 0).await;
    let begun = Instant::now();
    let next = tokio::spawn(async move { live.next().await });
    while reads.load(Ordering::Relaxed) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    yield_now().await;
    assert!(!next.is_finished(), "the answer is the same");
    put(&store, 1).await;
    put(&store, 2).await;
    assert_eq!(next.await.unwrap().unwrap(), 2, "the answer that holds now");
    assert!(begun.elapsed() < NEVER);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_given_and_the_answer_after_it_too() {
    let store = Arc::new(MemoryStore::new());
    let reads = AtomicU32::new(0);
    let mut live = LiveQuery::new(store, move || {
        let number = reads.fetch_add(1, Ordering::Relaxed);
        async move { if number == 1 { Err("away") } else { Ok(5) } }
    })
    .poll_interval(Duration::from_secs(3));
    let begun = Instant::now();
    assert_eq!(live.next().await, Ok(5));
    // Without a hint, the poll asks.
    assert_eq!(live.next().await, Err("away"));
    assert_eq!(live.next().await, Ok(5));
    assert_eq!(begun.elapsed(), Duration::from_secs(6));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_dropped_while_it_waits_or_reads_loses_nothing() {
    let store = Arc::new(MemoryStore::new());
    let asked = Arc::clone(&store);
    let mut live = LiveQuery::new(store.clone(), move || {
        let store = Arc::clone(&asked);
        async move {
            yield_now().await;
            read(&store).await
        }
    })
    .poll_interval(NEVER)
    .pause(Duration::ZERO);
    assert_eq!(live.next().await.unwrap(), 0);
    let begun = Instant::now();
    for number in 1..50 {
        for polls in 0..3 {
            let mut next = std::pin::pin!(live.next());
            for _ in 0..polls {
                assert!(futures_util::poll!(next.as_mut()).is_pending());
            }
        }
        put(&store, number).await;
        {
            // As far as into the read, and no further.
            let mut next = std::pin::pin!(live.next());
            assert!(futures_util::poll!(next.as_mut()).is_pending());
        }
        assert_eq!(live.next().await.unwrap(), number);
    }
    assert!(begun.elapsed() < NEVER);
}
