//! Rebuilds under load, killed on their way: each is a fold of the log byte for byte, and reads never fail.
//!
//! A slice of a campaign, which `UNO_REBUILDS` and `UNO_REBUILD_EVENTS` make longer: 100 and 20,000 are a campaign.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use uno_core::{Backend, DocumentStore};
use uno_cqrs::{Documents, Generation, GenerationState, RebuildError, Serving};
use uno_testkit::conformance::{BackendHarness, Harness};

use super::tally::{ALL, Process, Tallies, events, folded, stored};
use crate::support::rest::in_time;

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

fn number(name: &str, otherwise: usize) -> usize {
    env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Reads all tallies again and again, and counts how often; fails when they are not of one state, or go back.
async fn read<B: Backend>(store: &Arc<B>, done: &AtomicBool, reads: &AtomicU64) {
    let documents = Documents::<Tallies<1>>::new(Arc::clone(store) as _);
    let keys: Vec<String> = ["a0", "a1", "a2", "a3", "a4", ALL]
        .map(str::to_owned)
        .into();
    let mut seen = 0;
    while !done.load(Ordering::Relaxed) {
        let found = documents.get_many(&keys).await.unwrap();
        let of = |key: &String| found.get(key).map_or(0, |tally| tally.events);
        let sum: u64 = keys[..5].iter().map(of).sum();
        assert_eq!(sum, of(&keys[5]), "one state of one generation");
        assert!(sum >= seen, "{sum} after {seen}");
        seen = sum;
        reads.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
    }
}

pub(super) async fn rebuilds_under_load_are_folds_of_the_log_whatever_is_killed<
    H: BackendHarness,
>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let seed = number("UNO_SEED", fastrand::usize(..)) as u64;
    let (rounds, size) = (number("UNO_REBUILDS", 3), number("UNO_REBUILD_EVENTS", 400));
    let (mut rng, mut kills) = (Rng::with_seed(seed), 0);
    let context = format!("UNO_SEED={seed}");
    events(&**store, size).await;
    let serving = Process::<_, 1>::started(store).await;
    in_time(serving.manager.until_idle()).await.unwrap();
    let reads = AtomicU64::new(0);
    for round in 1..=rounds {
        let done = AtomicBool::new(false);
        let before = serving.model.serving().generation().await.unwrap();
        let write = async {
            // Enough to be under way all the time, and no more: a store with nothing else to do would outrun any rebuild.
            for _ in 0..size / 8 {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                events(&**store, 3).await;
                tokio::task::yield_now().await;
            }
        };
        let rebuild = async {
            loop {
                // Each time another process, which dies after a while.
                let process = Process::<_, 1>::new(store);
                let model = process.model.rebuild_batch(rng.usize(20..200));
                let life = Duration::from_micros(rng.u64(100..20_000) * (1 + kills % 20));
                match tokio::time::timeout(life, model.rebuild()).await {
                    Ok(Ok(switched)) => return switched,
                    // The last commit of one that died may come when the next is there, which is then told.
                    Ok(Err(error)) if !matches!(error, RebuildError::Elsewhere(_)) => {
                        panic!("{context}, round {round}: {error:?}")
                    }
                    // It may have died between its last commit and the news of it.
                    _ if model.serving().generation().await.unwrap() > before => {
                        kills += 1;
                        return model.roll_back_and_forth().await;
                    }
                    _ => kills += 1,
                }
            }
        };
        let run = async {
            let switched = rebuild.await;
            done.store(true, Ordering::Relaxed);
            switched
        };
        let all = async { tokio::join!(read(store, &done, &reads), write, run) };
        let ((), (), switched) = tokio::time::timeout(Duration::from_secs(600), all)
            .await
            .unwrap();
        // By more than one, if the last commit of one that died came when the next had begun another.
        assert!(switched.to() > before, "{context}: {switched:?}");
        serving.model.sync().await.unwrap();
        in_time(serving.manager.until_idle()).await.unwrap();
        let expected = folded(&**store, 1).await;
        for generation in [switched.from(), switched.to()] {
            assert_eq!(
                stored(&**store, generation).await,
                expected,
                "{context}, round {round}"
            );
        }
        let status = serving.model.status().await.unwrap();
        for (generation, status) in status.generations {
            if status.state == GenerationState::Kept {
                let dropped = serving.model.drop_generation(generation);
                in_time(dropped).await.unwrap();
            }
        }
    }
    serving.manager.stop_all().await;
    let reads = reads.load(Ordering::Relaxed);
    assert!(reads > 0, "{context}");
    tracing::info!(rounds, kills, reads, "{context}");
}

/// What a swap came to that nobody was told of.
trait BackAndForth {
    async fn roll_back_and_forth(&self) -> uno_cqrs::Switched;
}

impl<B: Backend> BackAndForth for uno_cqrs::ReadModel<B> {
    async fn roll_back_and_forth(&self) -> uno_cqrs::Switched {
        self.sync().await.unwrap();
        self.roll_back().await.unwrap();
        self.roll_back().await.unwrap()
    }
}

/// The control: a reader that asks once which generation serves, and does not confirm it, loses sight of everything.
pub(super) async fn a_reader_that_does_not_ask_again_is_caught<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    events(&**store, 20).await;
    let Process { model, manager } = Process::<_, 1>::started(store).await;
    in_time(manager.until_idle()).await.unwrap();
    let serving = Serving::new(Arc::clone(store) as _, "tallies", 1);
    let asked = serving.generation().await.unwrap();
    assert_eq!(asked, Generation::FIRST);
    let (times, model) = (AtomicU32::new(0), &model);
    let found: Result<usize, RebuildError> = serving
        .read(|generation| {
            let first = times.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                if first {
                    // In the middle of the read, between asking and looking.
                    let switched = model.rebuild().await?;
                    model.drop_generation(switched.from()).await?;
                }
                let collection = generation.name_of("tallies");
                Ok(store.scan_documents(&collection, None, 10).await?.len())
            }
        })
        .await;
    let expected = folded(&**store, 1).await.len();
    assert_eq!(
        (found.unwrap(), times.into_inner()),
        (expected, 2),
        "read again, from the other one"
    );
    let naive = store
        .scan_documents(&asked.name_of("tallies"), None, 10)
        .await
        .unwrap();
    assert!(naive.is_empty(), "the naive reader sees nothing");
    manager.stop_all().await;
}
