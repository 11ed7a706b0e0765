//! A consumer that commits its effects together with the checkpoint: which place is at fault must be found for it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use uno_core::{Commit, CommitError, Decoder, EventFilter, Transactional as _};
use uno_events::{Batch, ConsumeError, Consumer, Replay, StopReason, Subscription};
use uno_store_memory::{MemoryStore, MemoryTx};

use super::support::*;

/// Commits a count for each event together with the checkpoint; whole batches or nothing. Fails at some positions.
#[derive(Debug)]
pub(super) struct Counting {
    pub(super) store: MemoryStore,
    pub(super) name: &'static str,
    pub(super) fails_at: Mutex<Vec<u64>>,
    pub(super) panics: bool,
    pub(super) batches: Mutex<Vec<Vec<u64>>>,
}

impl Counting {
    pub(super) fn new(store: &TestStore, name: &'static str, fails_at: &[u64]) -> Self {
        let fails_at = Mutex::new(fails_at.to_vec());
        Self {
            store: store.memory().clone(),
            name,
            fails_at,
            panics: false,
            batches: Mutex::default(),
        }
    }

    /// How often each position took effect.
    pub(super) fn counts(&self) -> Vec<(u64, u32)> {
        let rows = self.store.rows(self.name);
        let mut counts: Vec<_> = rows
            .iter()
            .map(|(at, count)| (at.parse().unwrap(), count.parse().unwrap()))
            .collect();
        counts.sort_unstable();
        counts
    }
}

#[async_trait]
impl Consumer for Counting {
    fn filter(&self) -> EventFilter {
        EventFilter::all()
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        let positions: Vec<u64> = batch
            .events()
            .iter()
            .map(|event| event.position().get())
            .collect();
        self.batches.lock().unwrap().push(positions.clone());
        let failing = self.fails_at.lock().unwrap().clone();
        if positions.iter().any(|at| failing.contains(at)) {
            assert!(!self.panics, "as it was told");
            // Says nothing of the place.
            return Err(CommitError::Work("broken".into()).into());
        }
        for event in batch.events() {
            Decoder::new().decode::<Noted>(event)?;
        }
        let mut commit = Commit::<MemoryTx>::new();
        let table = self.name;
        commit.work.push(Box::new(move |tx| {
            Box::pin(async move {
                for at in positions {
                    let before: u32 = tx
                        .row(table, &at.to_string())
                        .map_or(Ok(0), |n| n.parse())?;
                    tx.put_row(table, at.to_string(), (before + 1).to_string());
                }
                tokio::task::yield_now().await;
                Ok(())
            })
        }));
        commit.checkpoints.push(batch.checkpoint().clone());
        self.store.commit(commit).await?;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_place_at_fault_is_found_and_what_comes_before_it_is_committed() {
    for panics in [false, true] {
        let store = TestStore::new();
        let consumer = Arc::new(Counting {
            panics,
            ..Counting::new(&store, "counts", &[13])
        });
        let manager = store.manager();
        let fed: Arc<dyn Consumer> = consumer.clone();
        manager
            .subscribe(
                Subscription::new(name("a"), Replay::Safe, fed)
                    .no_parking()
                    .batch_size(10)
                    .retry(quick()),
            )
            .unwrap();
        note(&store, 1..=30).await;
        manager.start_all().await.unwrap();
        let why = stopped(&manager, "a").await;
        let StopReason::Failed {
            position,
            attempts,
            error,
        } = why
        else {
            panic!("{why}")
        };
        assert_eq!((position.get(), attempts), (13, 4));
        assert!(
            error.contains(if panics { "as it was told" } else { "broken" }),
            "{error}"
        );
        assert_eq!(store.checkpoint("a").await, Some(12));
        let batches = consumer.batches.lock().unwrap().clone();
        let whole = |from: u64, to: u64| (from..=to).collect::<Vec<_>>();
        let expected = [
            whole(1, 10),
            whole(11, 20),
            vec![11],
            vec![12],
            vec![13],
            vec![13],
            vec![13],
            vec![13],
        ];
        assert_eq!(batches, expected);

        consumer.fails_at.lock().unwrap().clear();
        manager.start_all().await.unwrap();
        manager.until_idle().await.unwrap();
        assert_eq!(
            consumer.counts(),
            (1..=30).map(|at| (at, 1)).collect::<Vec<_>>(),
            "each took effect once"
        );
        assert_eq!(
            consumer.batches.lock().unwrap().last().unwrap(),
            &whole(23, 30),
            "whole batches again"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn several_faults_in_one_batch_are_each_found() {
    let store = TestStore::new();
    let consumer = Arc::new(Counting::new(&store, "counts", &[3, 5]));
    let manager = store.manager();
    let fed: Arc<dyn Consumer> = consumer.clone();
    manager
        .subscribe(
            Subscription::new(name("a"), Replay::Safe, fed)
                .no_parking()
                .retry(quick()),
        )
        .unwrap();
    note(&store, 1..=8).await;
    for at in [3, 5] {
        manager.start_all().await.unwrap();
        assert!(
            matches!(stopped(&manager, "a").await, StopReason::Failed { position, .. } if position.get() == at)
        );
        assert_eq!(store.checkpoint("a").await, Some(at - 1));
        consumer
            .fails_at
            .lock()
            .unwrap()
            .retain(|failing| *failing != at);
    }
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(
        consumer.counts(),
        (1..=8).map(|at| (at, 1)).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn what_comes_before_an_event_that_cannot_be_decoded_is_committed() {
    let store = TestStore::new();
    let consumer = Arc::new(Counting::new(&store, "counts", &[]));
    let manager = store.manager();
    let fed: Arc<dyn Consumer> = consumer.clone();
    manager
        .subscribe(Subscription::new(name("a"), Replay::Safe, fed).no_parking())
        .unwrap();
    note(&store, 1..=3).await;
    append(&store, &[Mangled { text: "?".into() }]).await;
    note(&store, [5]).await;
    manager.start_all().await.unwrap();
    let why = stopped(&manager, "a").await;
    assert!(
        matches!(why, StopReason::Undecodable { position, .. } if position.get() == 4),
        "{why}"
    );
    assert_eq!(consumer.counts(), [(1, 1), (2, 1), (3, 1)]);
    assert_eq!(store.checkpoint("a").await, Some(3));
}
