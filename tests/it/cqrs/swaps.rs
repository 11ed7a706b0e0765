//! Swaps of generations that several lanes feed, and waits that a swap comes into.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use uno_core::{
    Backend, Decoder, EventStore as _, LaneClaim, LaneRelease, LeaseOwner, LeaseStore as _,
    Receipt, SubscriptionName,
};
use uno_cqrs::{Documents, Generation, ReadModel, RebuildError};
use uno_events::SubscriptionManager;
use uno_testkit::{
    conformance::{BackendHarness, Harness},
    faults::{Call, Fault, FaultStore, at_every},
};

use super::tally::{Process, Tallies, events, folded, stored};
use crate::support::{
    account::slip_in,
    rest::{in_time, until},
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

const SECOND: Generation = Generation::FIRST.next();
const LONG: Duration = Duration::from_secs(60);
const LANES: NonZeroU16 = NonZeroU16::MIN.saturating_add(3);

fn in_lanes<B: Backend>(process: Process<B>) -> Process<B> {
    let Process { model, manager } = process;
    let model = model.subscription(|subscription| subscription.lanes(LANES).batch_size(20));
    Process { model, manager }
}

pub(super) async fn generations_that_four_lanes_feed_are_swapped_back_and_forth<
    H: BackendHarness,
>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    events(&**store, 100).await;
    let Process { model, manager } = in_lanes(Process::<_, 1>::new(store));
    model.start().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    let switched = in_time(model.rebuild()).await.unwrap();
    assert_eq!(switched.to(), SECOND);
    for to in [Generation::FIRST, SECOND, Generation::FIRST] {
        // Of one lane: the others only pass over it, and save nothing of that for a long time.
        slip_in(&**store, "a1", 5).await;
        assert_eq!(in_time(model.roll_back()).await.unwrap().to(), to);
    }
    in_time(manager.until_idle()).await.unwrap();
    let name = SubscriptionName::new("tallies@2").unwrap();
    let lanes = store.list_lanes(&name).await.unwrap();
    assert_eq!(lanes.len(), usize::from(LANES.get()));
    manager.stop_all().await;
    // What lanes have in common, such as a chain of all events, depends on which is faster; what each account has does not.
    let mut expected = folded(&**store, 1).await;
    expected.remove(super::tally::ALL);
    for generation in [Generation::FIRST, SECOND] {
        let mut found = stored(&**store, generation).await;
        found.remove(super::tally::ALL);
        assert_eq!(found, expected, "{generation}");
    }
}

pub(super) async fn a_wait_that_a_swap_comes_into_is_for_the_one_that_serves_then<
    H: BackendHarness,
>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    events(&**store, 30).await;
    let Process { model, manager } = quick(store);
    model.start().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    let builder = Process::<_, 1>::new(store);
    let second = builder.model.begin().await.unwrap();
    builder.model.build(second).await.unwrap();
    // The first one stands still, and the second one is with somebody who does nothing.
    let first_name = SubscriptionName::new("tallies").unwrap();
    let second_name = SubscriptionName::new("tallies@2").unwrap();
    manager.pause(&first_name).await.unwrap();
    let owner = LeaseOwner::new("nobody");
    let claim = LaneClaim::new(second_name.clone(), owner.clone(), LONG);
    store.claim_lanes(claim).await.unwrap();
    let before = Documents::<Tallies<1>>::new(Arc::clone(store) as _);
    let before = before.get("a1").await.unwrap().unwrap().events;
    slip_in(&**store, "a1", 5).await;
    let head = store.head().await.unwrap();
    let receipt = Receipt::new(head.epoch(), Some(head.position()), Vec::new());

    let waiting = model.wait_for(&receipt, LONG);
    tokio::pin!(waiting);
    // Neither has come there, so this is no more than a moment in which the wait begins.
    let soon = tokio::time::timeout(Duration::from_millis(50), &mut waiting).await;
    assert!(soon.is_err(), "{soon:?}");
    let switched = in_time(builder.model.swap()).await.unwrap();
    assert_eq!(switched.to(), SECOND);
    builder.manager.stop_all().await;
    manager.resume(&first_name).await.unwrap();
    let wait = async {
        in_time(waiting).await.unwrap();
        let documents = Documents::<Tallies<1>>::new(Arc::clone(store) as _);
        documents.get("a1").await.unwrap().unwrap().events
    };
    let release = async {
        // The first one comes there, and is not the one that serves.
        until(&**store, || async {
            let status = model.status().await.unwrap();
            status.generations[&Generation::FIRST].position >= head.position()
        })
        .await;
        tokio::task::yield_now().await;
        let leave = LaneRelease::leaving(second_name.clone(), owner.clone());
        store.release_lanes(leave).await.unwrap();
    };
    let (seen, ()) = tokio::join!(wait, release);
    assert_eq!(seen, before + 1, "what was waited for is read");
    manager.stop_all().await;
}

/// What a process that dies does to a read model that another one feeds.
const DEATHS: [(Call, Fault); 9] = [
    (Call::Commit, Fault::CrashBefore),
    (Call::Commit, Fault::CrashAfter),
    (Call::Commit, Fault::Unavailable),
    (Call::Commit, Fault::UnknownStored),
    (Call::Commit, Fault::UnknownLost),
    (Call::Commit, Fault::Conflict),
    (Call::LoadDocuments, Fault::CrashAfter),
    (Call::ListLanes, Fault::CrashAfter),
    (Call::ScanDocuments, Fault::CrashAfter),
];

pub(super) async fn a_return_that_is_killed_anywhere_is_made_or_not_made<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    events(&**store, 30).await;
    let sound = Process::<_, 1>::started(store).await;
    in_time(sound.model.rebuild()).await.unwrap();
    let serving = || async { sound.model.serving().generation().await.unwrap() };
    let mut met = 0;
    for (call, fault) in DEATHS {
        let back = |number, faults| {
            let (faulty, sound, serving) =
                (FaultStore::new(Arc::clone(store), faults), &sound, &serving);
            async move {
                let context = format!("{call:?} {number}: {fault:?}");
                let before = serving().await;
                let calls = on(Arc::new(faulty), call, &context, |dying| async move {
                    dying.roll_back().await.map(drop)
                })
                .await;
                // It is made or not, and can be made by somebody else.
                if serving().await == before {
                    in_time(sound.model.roll_back()).await.unwrap();
                }
                assert_ne!(serving().await, before, "{context}");
                in_time(sound.manager.until_idle()).await.unwrap();
                let expected = folded(&**store, 1).await;
                for generation in [Generation::FIRST, SECOND] {
                    let found = stored(&**store, generation).await;
                    assert_eq!(found, expected, "{context}, {generation}");
                }
                slip_in(&**store, "a1", 1).await;
                calls
            }
        };
        met += at_every(call, fault, back).await;
    }
    assert!(
        met >= 8,
        "each return reads, compares, and commits once: {met}"
    );
    sound.manager.stop_all().await;
}

pub(super) async fn a_drop_that_is_killed_anywhere_leaves_nothing_in_the_end<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    events(&**store, 30).await;
    let sound = Process::<_, 1>::started(store).await;
    let mut met = 0;
    for (call, fault) in DEATHS {
        let drop_one = |number, faults| {
            let (faulty, sound) = (FaultStore::new(Arc::clone(store), faults), &sound);
            async move {
                let context = format!("{call:?} {number}: {fault:?}");
                let old = in_time(sound.model.rebuild()).await.unwrap().from();
                let calls = on(Arc::new(faulty), call, &context, |dying| async move {
                    dying.drop_generation(old).await
                })
                .await;
                in_time(sound.model.drop_generation(old)).await.unwrap();
                let left = stored(&**store, old).await;
                assert!(left.is_empty(), "{context}: {left:?}");
                let gone = sound.model.roll_back().await;
                assert!(
                    matches!(gone, Err(RebuildError::NothingKept)),
                    "{context}: {gone:?}"
                );
                calls
            }
        };
        met += at_every(call, fault, drop_one).await;
    }
    assert!(met >= 12, "each drop commits twice at least: {met}");
    sound.manager.stop_all().await;
}

/// Has a process do something to the read model and die over it, or be told that the store was away; how many calls of the kind it made.
async fn on<B: Backend, F: Future<Output = Result<(), RebuildError>>>(
    faulty: Arc<FaultStore<B>>,
    call: Call,
    context: &str,
    what: impl FnOnce(Arc<ReadModel<FaultStore<B>>>) -> F,
) -> u64 {
    let Process { model, manager } = Process::<_, 1>::new(&faulty);
    tokio::select! {
        done = in_time(what(Arc::new(model))) => if let Err(error) = done {
            assert!(error.is_transient(), "{context}: {error:?}");
        },
        () = faulty.crashed() => {}
    }
    let calls = faulty.calls(call);
    drop(manager);
    calls
}

/// A process that asks often whether there is a lane to be had.
fn quick<B: Backend>(store: &Arc<B>) -> Process<B> {
    let manager = SubscriptionManager::builder(Arc::clone(store) as _, Arc::clone(store) as _)
        .poll_interval(Duration::from_millis(5))
        .lease(Duration::from_secs(1));
    let manager = Arc::new(manager.build());
    let (log, feeder) = (Arc::clone(store) as _, Arc::clone(&manager));
    let model = ReadModel::documents(Tallies::<1>, log, Arc::clone(store), feeder, Decoder::new());
    Process {
        model: model.unwrap(),
        manager,
    }
}
