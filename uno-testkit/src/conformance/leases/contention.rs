//! Many who claim, give back and take over at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Barrier;
use uno_core::{
    BoxError, CheckpointStore as _, CheckpointWrite, Commit, CommitError, EventStore as _,
    ExpectedVersion::Any, Fence, Lane, LaneClaim, LaneRelease, LeaseOwner, LeaseStore as _,
    Position, Stale, StreamAppend, Transactional as _,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{event, stream},
    subscribing::{LONG, at, claim, count, fence, held, leaving, mail},
    together::{drop_after, start, succeed},
};

/// Guarantee 1: of many who claim and leave at once, no two hold a lane at the same time.
pub async fn no_lane_is_held_by_two<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let holders: Arc<Mutex<BTreeMap<Lane, usize>>> = Arc::default();
    let barrier = Arc::new(Barrier::new(8));
    let tasks = start(8, |number| {
        let (store, barrier) = (Arc::clone(t.store()), Arc::clone(&barrier));
        let (holders, owner) = (Arc::clone(&holders), LeaseOwner::new(format!("{number}")));
        async move {
            let mut held = BTreeSet::new();
            let mut granted = 0;
            barrier.wait().await;
            for _ in 0..12 {
                let claim = LaneClaim::new(mail(), owner.clone(), LONG).wanting(count(5));
                let grant = store.claim_lanes(claim).await?;
                {
                    let mut holders = holders.lock().unwrap_or_else(PoisonError::into_inner);
                    for lease in grant.held() {
                        // What it holds stays with it until it gives it back.
                        let before = holders.insert(lease.lane(), number);
                        assert!(
                            before.is_none_or(|before| before == number),
                            "lane {} of {before:?} was granted to {number}",
                            lease.lane()
                        );
                        held.insert(lease.lane());
                    }
                    assert_eq!(grant.held().len(), held.len(), "{held:?}: {grant:?}");
                    granted += held.len();
                }
                // Time for others to ask for them in vain.
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
                {
                    // Before they are given back: from then on, anybody may hold them.
                    let mut holders = holders.lock().unwrap_or_else(PoisonError::into_inner);
                    holders.retain(|_, holder| *holder != number);
                }
                held.clear();
                let release = LaneRelease::leaving(mail(), owner.clone());
                store.release_lanes(release).await?;
            }
            Ok::<_, BoxError>(granted)
        }
    });
    let granted: usize = succeed(tasks).await?.into_iter().sum();
    assert!(granted > 0, "somebody was granted something");
    let last = t.claim(claim(&LeaseOwner::new("last"))).await?;
    assert_eq!(held(&last), [0, 1, 2, 3, 4], "everything was given back");
    Ok(())
}

/// Guarantee 2: of many who take lanes from each other at once, each has a fence of its own, and a later one has a higher.
pub async fn each_lease_has_a_fence_of_its_own<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let leases: Arc<Mutex<BTreeMap<(Lane, Fence), usize>>> = Arc::default();
    let tasks = start(6, |number| {
        let (store, leases) = (Arc::clone(t.store()), Arc::clone(&leases));
        async move {
            for round in 0..20 {
                // Another run of the same process, each time.
                let owner = LeaseOwner::new("ada");
                let highest = {
                    let leases = leases.lock().unwrap_or_else(PoisonError::into_inner);
                    let highest = |lane| {
                        let mut of_lane = leases.keys().filter(|(of, _)| of.get() == lane);
                        of_lane.next_back().map(|(_, fence)| *fence)
                    };
                    [highest(0), highest(1), highest(2)]
                };
                let lease = [LONG, Duration::from_micros(50)][round % 2];
                let claim = LaneClaim::new(mail(), owner, lease).wanting(count(3));
                let grant = store.claim_lanes(claim.taking_over()).await?;
                let mut leases = leases.lock().unwrap_or_else(PoisonError::into_inner);
                for lease in grant.held() {
                    let before = highest[usize::from(lease.lane().get())];
                    assert!(
                        before < Some(lease.fence()),
                        "{lease:?} was granted after {before:?}"
                    );
                    let known = leases.insert((lease.lane(), lease.fence()), number * 100 + round);
                    assert_eq!(known, None, "{lease:?} was granted twice");
                }
            }
            Ok::<_, BoxError>(())
        }
    });
    succeed(tasks).await?;
    let leases = leases.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(leases.len() >= 3, "{leases:?}");
    Ok(())
}

/// [`CheckpointStore`](uno_core::CheckpointStore) guarantee 5: whoever lost its lane changes nothing from then on, and effects happen
/// once, however often the lane is taken.
pub async fn who_lost_its_lane_changes_nothing<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    const MOVES: u64 = 60;
    let newest = Arc::new(Mutex::new(Fence::new(0)));
    let read = |newest: &Mutex<Fence>| *newest.lock().unwrap_or_else(PoisonError::into_inner);
    let tasks = start(5, |number| {
        let (store, newest) = (Arc::clone(t.store()), Arc::clone(&newest));
        async move {
            let (mut won, mut lost) = (0_u64, 0_u32);
            loop {
                let owner = LeaseOwner::new("ada");
                let claim = LaneClaim::new(mail(), owner, LONG).taking_over();
                let grant = store.claim_lanes(claim).await?;
                let Some(lease) = grant.held().first() else {
                    // Somebody else was faster.
                    tokio::task::yield_now().await;
                    continue;
                };
                {
                    let mut newest = newest.lock().unwrap_or_else(PoisonError::into_inner);
                    *newest = lease.fence().max(*newest);
                }
                // Some go on for as long as they can.
                for _ in 0..=number * 2 {
                    let there_is = store.load_checkpoint(&mail(), Lane::FIRST).await?;
                    let there = there_is.map(|there| there.position());
                    let place = there.map_or(0, Position::get);
                    if place == MOVES {
                        return Ok::<_, BoxError>((won, lost));
                    }
                    let before = read(&newest);
                    let mut commit = Commit::new();
                    let write = CheckpointWrite::new(mail(), there, at(place + 1));
                    commit
                        .checkpoints
                        .push(write.fenced(Lane::FIRST, lease.fence()));
                    let append = StreamAppend::new(stream("effects"), Any, vec![event()]);
                    commit.appends.push(append);
                    match store.commit(commit).await {
                        Ok(_) => {
                            assert!(
                                before <= lease.fence(),
                                "a commit under {} took effect after {before}",
                                lease.fence()
                            );
                            won += 1;
                        }
                        Err(CommitError::Stale(Stale::Lease { .. })) => {
                            lost += 1;
                            // Whoever took it moves it first: if all took it back at once, nobody might ever come to move it.
                            while store.load_checkpoint(&mail(), Lane::FIRST).await? == there_is {
                                tokio::task::yield_now().await;
                            }
                            break;
                        }
                        // Another run has moved it, and was overtaken in turn.
                        Err(CommitError::Stale(Stale::Checkpoint(_))) => {}
                        Err(error) => return Err(error.into()),
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    let ended = succeed(tasks).await?;
    let won: u64 = ended.iter().map(|(won, _)| won).sum();
    let effects = t.stream(&stream("effects")).await?.len();
    assert_eq!((won, effects), (MOVES, 60), "{ended:?}");
    Ok(())
}

/// Guarantee 5: of many who claim a subscription for the first time at once, one makes it, and the others find it.
pub async fn of_many_first_claims_one_makes_the_lanes<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for round in 0..5 {
        let name = crate::conformance::fixture::subscription(&format!("mail {round}"));
        let barrier = Arc::new(Barrier::new(6));
        let tasks = start(6, |number| {
            let (store, barrier, name) =
                (Arc::clone(t.store()), Arc::clone(&barrier), name.clone());
            async move {
                let owner = LeaseOwner::new(format!("{number}"));
                let claim = LaneClaim::new(name, owner, LONG).wanting(count(6));
                barrier.wait().await;
                store.claim_lanes(claim.starting_at(at(8))).await
            }
        });
        let grants = succeed(tasks).await?;
        let mut held = BTreeSet::new();
        for grant in &grants {
            assert_eq!((grant.lanes().get(), grant.drain_to()), (6, None));
            for lease in grant.held() {
                assert!(held.insert(lease.lane()), "{grants:#?}");
            }
        }
        let listed = t.store().list_lanes(&name).await?;
        assert_eq!(listed.len(), 6);
        for lane in listed {
            assert_eq!(lane.checkpoint(), Some(at(8)));
            assert_eq!(lane.holder().is_some(), held.contains(&lane.lane()));
        }
    }
    Ok(())
}

/// Guarantee 6: of many who find all lanes drained at once, one changes their number, and nobody keeps a lane of before.
pub async fn of_many_who_find_lanes_drained_one_changes_them<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let owners: Arc<Vec<_>> = Arc::new((0..5).map(|n| LeaseOwner::new(format!("{n}"))).collect());
    let ada = LeaseOwner::new("ada");
    let mut last = Fence::new(0);
    for (place, lanes) in [(10, 3_u16), (20, 2), (30, 4)] {
        let first = t.claim(claim(&ada)).await?;
        for lane in t.store().list_lanes(&mail()).await? {
            let from = lane.checkpoint().map(|from| from.position());
            let write = CheckpointWrite::new(mail(), from, at(place));
            let fence = fence(&first, lane.lane().get());
            t.save(write.fenced(lane.lane(), fence)).await?;
        }
        let barrier = Arc::new(Barrier::new(5));
        let tasks = start(5, |number| {
            let (store, barrier) = (Arc::clone(t.store()), Arc::clone(&barrier));
            let claim = claim(&owners[number]);
            async move {
                let wanting = claim.clone().wanting(count(lanes));
                barrier.wait().await;
                store.claim_lanes(wanting).await?;
                store.claim_lanes(claim).await
            }
        });
        let grants = succeed(tasks).await?;
        let mut held = BTreeSet::new();
        for grant in &grants {
            assert_eq!((grant.lanes().get(), grant.drain_to()), (lanes, None));
            for lease in grant.held() {
                assert!(lease.fence() > last, "{grants:#?}");
                assert!(held.insert(lease.lane().get()), "{grants:#?}");
            }
        }
        assert!(held.iter().all(|lane| *lane < lanes), "{held:?}");
        assert_eq!(t.places().await?, vec![Some(at(place)); lanes.into()]);
        let listed = t.store().list_lanes(&mail()).await?;
        assert!(listed.iter().all(|lane| lane.holder() != Some(&ada)));
        last = listed
            .iter()
            .map(uno_core::LaneRecord::fence)
            .max()
            .unwrap_or(last);
        for owner in owners.iter().chain([&ada]) {
            t.release(leaving(owner)).await?;
        }
    }
    Ok(())
}

/// `claim_lanes`: a claim that is dropped after any number of polls was made or not.
pub async fn a_dropped_claim_was_made_or_not<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let mut last = Fence::new(0);
    for polls in 0..32 {
        let _done = drop_after(polls, t.claim(claim(&ada).wanting(count(2)))).await;
        // Settles it: whether or not the first is under way still, both are claims of one owner.
        let grant = t.claim(claim(&ada).wanting(count(2))).await?;
        assert_eq!(held(&grant), [0, 1], "after {polls} polls");
        assert!(fence(&grant, 0) > last);
        assert_eq!(held(&t.claim(claim(&bob)).await?), [] as [u16; 0]);
        last = fence(&grant, 0);
        t.release(leaving(&bob)).await?;
        t.release(leaving(&ada)).await?;
    }
    assert_eq!(t.store().head().await?.last(), None);
    Ok(())
}
