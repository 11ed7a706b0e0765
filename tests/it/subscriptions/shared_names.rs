//! Two managers, as in two processes, on one store and with the same names.

use std::sync::Arc;

use uno_events::{Consumer, Replay, Subscription};

use super::{counting::Counting, support::*};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transactional_consumer_takes_each_event_once() {
    let store = TestStore::with_gaps(4);
    let consumers: Vec<_> = (0..3)
        .map(|_| Arc::new(Counting::new(&store, "counts", &[])))
        .collect();
    let managers: Vec<_> = consumers
        .iter()
        .map(|consumer| {
            let manager = store.manager();
            let fed: Arc<dyn Consumer> = consumer.clone();
            manager
                .subscribe(
                    Subscription::new(name("a"), Replay::Safe, fed)
                        .batch_size(5)
                        .retry(quick()),
                )
                .unwrap();
            manager
        })
        .collect();
    for manager in &managers {
        manager.start_all().await.unwrap();
    }
    let mut positions = Vec::new();
    for n in 0..300 {
        positions.push(note(&store, [n]).await.position().unwrap().get());
        if n % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for manager in &managers {
        manager.until_idle().await.unwrap();
    }
    let expected: Vec<_> = positions.into_iter().map(|at| (at, 1)).collect();
    assert_eq!(consumers[0].counts(), expected);
    for manager in &managers {
        manager.stop_all().await;
    }
    assert_eq!(
        store.checkpoint("a").await,
        expected.last().map(|(at, _)| *at)
    );
}

#[tokio::test]
async fn a_plain_handler_takes_each_event_at_least_once() {
    let store = TestStore::new();
    let seen = Seen::default();
    let managers = [store.manager(), store.manager()];
    for manager in &managers {
        manager
            .subscribe(seen.subscription("a").batch_size(3))
            .unwrap();
        manager.start_all().await.unwrap();
    }
    for n in 0..100 {
        note(&store, [n]).await;
    }
    for manager in &managers {
        manager.until_idle().await.unwrap();
    }
    let mut all = seen.all();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
    assert_eq!(store.checkpoint("a").await, Some(100));
}
