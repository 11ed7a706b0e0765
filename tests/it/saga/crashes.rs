//! Wherever a process dies, and whatever the store says: every instance ends as it should, and no step is done twice.

use std::sync::Arc;

use uno_core::{Backend, ProcessStatus};
use uno_store_memory::MemoryStore;
use uno_testkit::conformance::{BackendHarness, Harness};

use super::{
    fulfil::{Clerk, PLANS},
    world::{World, assert_ended, name_of, order_all, saga},
};
use crate::support::{
    faulty::{Fault, Faulty},
    rest::in_time,
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// Lets a process run on a store until all is at rest or it dies; how many commits it asked for.
async fn live<B: Backend>(store: Arc<Faulty<B>>, clerk: &Clerk) -> usize {
    let world = World::start(&store, clerk).await;
    if world.rest().await {
        world.stop().await;
    } else {
        world.crash().await;
    }
    store.commits()
}

/// Runs a batch with one fault, then again without any.
async fn once<B: Backend>(store: &Arc<B>, clerk: &Clerk, number: usize, fault: Fault) {
    let batch = format!("{fault:?} at {number}");
    order_all(&**store, &batch).await;
    live(Faulty::at(store, number, fault), clerk).await;
    live(Faulty::sound(store), clerk).await;
    assert_ended(store, clerk, &batch).await;
}

pub(super) async fn every_instance_ends_as_it_should<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let clerk = Clerk::default();
    order_all(&**store, "batch").await;
    live(Faulty::sound(store), &clerk).await;
    assert_ended(store, &clerk, "batch").await;
}

pub(super) async fn every_instance_ends_whatever_the_store_says<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let clerk = Clerk::default();
    for (n, fault) in Fault::ALL.into_iter().enumerate() {
        for number in [1 + n, 9 + n, 17 + n] {
            once(store, &clerk, number, fault).await;
        }
    }
}

pub(super) async fn every_instance_ends_with_two_processes_on_one_saga<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let clerk = Clerk::default();
    for seed in 0..3 {
        let batch = format!("batch {seed}");
        order_all(&**store, &batch).await;
        let worlds = [
            World::start(&troubled(store, seed), &clerk).await,
            World::start(&troubled(store, seed + 100), &clerk).await,
        ];
        for world in &worlds {
            assert!(world.rest().await);
        }
        for world in worlds {
            world.stop().await;
        }
        live(Faulty::sound(store), &clerk).await;
        assert_ended(store, &clerk, &batch).await;
    }
}

/// A store that fails one commit in six in some way, but kills nobody.
fn troubled<B: Backend>(store: &Arc<B>, seed: u64) -> Arc<Faulty<B>> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let faults: Vec<_> = Fault::ALL
        .into_iter()
        .filter(|fault| !fault.is_death())
        .collect();
    Faulty::new(store, move |_| {
        (rng.u8(..6) == 0).then(|| faults[rng.usize(..faults.len())])
    })
}

pub(super) async fn instances_are_listed<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let clerk = Clerk::default();
    order_all(&**store, "batch").await;
    live(Faulty::sound(store), &clerk).await;
    let saga = saga(store);
    let keys = |statuses: Vec<ProcessStatus>, after: Option<String>, limit| {
        let saga = &saga;
        async move {
            let found = saga
                .instances(&statuses, after.as_deref(), limit)
                .await
                .unwrap();
            found
                .iter()
                .map(|instance| instance.key().to_owned())
                .collect::<Vec<_>>()
        }
    };
    let stuck = keys(vec![ProcessStatus::Stuck], None, 10).await;
    assert_eq!(stuck, [name_of("batch", "ship! refund?")]);
    let mut all: Vec<_> = PLANS
        .iter()
        .map(|(plan, _, _)| name_of("batch", plan))
        .collect();
    all.sort();
    assert_eq!(keys(Vec::new(), None, 10).await, all);
    assert_eq!(keys(Vec::new(), Some(all[2].clone()), 2).await, all[3..5]);
    assert!(saga.instance("nobody").await.unwrap().is_none());
}

/// One fault at every commit that there is. In virtual time, so that pauses cost nothing.
async fn at_every_commit(fault: Fault) {
    // A store of its own for each fault, so that the log does not grow without end.
    let store = Arc::new(MemoryStore::builder().gaps(11).build());
    let clerk = Clerk::default();
    order_all(&*store, "sound").await;
    let commits = live(Faulty::sound(&store), &clerk).await;
    assert!(commits >= 30, "{commits} commits");
    for number in 1..=commits {
        once(&store, &clerk, number, fault).await;
    }
}

macro_rules! at_every_commit {
    ($($test:ident: $fault:ident),+) => {$(
        #[tokio::test(start_paused = true)]
        async fn $test() {
            at_every_commit(Fault::$fault).await;
        }
    )+};
}

at_every_commit!(
    a_conflict_at_any_commit: Conflict,
    a_store_that_is_away_at_any_commit: Unavailable,
    a_commit_that_was_carried_out_unknown_to_us: UnknownDone,
    a_commit_that_was_lost_unknown_to_us: UnknownLost,
    a_commit_that_comes_late_unknown_to_us: UnknownLate,
    a_death_before_any_commit: DiesBefore,
    a_death_after_any_commit: DiesAfter
);

/// A process dies with its runtime: whatever runs is dropped wherever it is.
#[test]
fn every_instance_ends_when_the_runtime_is_dropped() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        let store = Arc::new(MemoryStore::new());
        let clerk = Clerk::default();
        for number in (1..30).step_by(4) {
            let batch = format!("{fault:?} at {number}");
            let first = runtime();
            first.block_on(async {
                order_all(&*store, &batch).await;
                let faulty = Faulty::at(&store, number, fault);
                let _world = World::start(&faulty, &clerk).await;
                in_time(faulty.died()).await;
            });
            drop(first);
            runtime().block_on(async {
                live(Faulty::sound(&store), &clerk).await;
                assert_ended(&store, &clerk, &batch).await;
            });
        }
    }
}

/// Many faults and several deaths in one run.
#[tokio::test(start_paused = true)]
async fn every_instance_ends_after_any_number_of_deaths() {
    for seed in 0..40 {
        let store = Arc::new(MemoryStore::builder().gaps(seed).build());
        let (clerk, mut rng) = (Clerk::default(), fastrand::Rng::with_seed(seed));
        for batch in ["a", "b", "c"] {
            order_all(&*store, batch).await;
        }
        for life in 0..6 {
            let (mut faults, last) = (rng.fork(), rng.usize(1..30));
            let faulty = Faulty::new(&store, move |number| match number == last {
                true => Some([Fault::DiesBefore, Fault::DiesAfter][faults.usize(..2)]),
                false if faults.u8(..5) == 0 => Some(Fault::ALL[faults.usize(..5)]),
                false => None,
            });
            if life == 3 {
                order_all(&*store, "late").await;
            }
            in_time(live(faulty, &clerk)).await;
        }
        live(Faulty::sound(&store), &clerk).await;
        for batch in ["a", "b", "c", "late"] {
            assert_ended(&store, &clerk, batch).await;
        }
    }
}
