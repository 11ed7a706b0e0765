//! Leases: several stores on one file, and a clock that is not ours.

use std::{collections::HashMap, num::NonZeroU16, sync::Arc, time::Duration};

use tokio::task::JoinSet;
use uno_core::{
    Checkpoint, CheckpointStore as _, CheckpointWrite, Commit, CommitError, EventId,
    EventStore as _, ExpectedVersion, Fence, Lane, LaneClaim, LaneRelease, LeaseOwner,
    LeaseStore as _, ManualClock, Position, Stale, StoreEpoch, SubscriptionName,
    Transactional as _,
};
use uno_store_sqlite::SqliteStore;

use crate::support::{Fixture, Held, TestResult, event, file, log, one};

fn mail() -> SubscriptionName {
    SubscriptionName::new("mail").unwrap()
}

fn claim(owner: &LeaseOwner, seconds: u64) -> LaneClaim {
    LaneClaim::new(mail(), owner.clone(), Duration::from_secs(seconds))
}

#[tokio::test]
async fn a_commit_that_waits_behind_a_takeover_is_fenced_out() -> TestResult {
    let fixture = Fixture::new().await?;
    let store = &fixture.store;
    let (first, second) = (LeaseOwner::new("ada"), LeaseOwner::new("ada"));
    let fence = store.claim_lanes(claim(&first, 60)).await?.held()[0].fence();
    let epoch = StoreEpoch::new();
    let moving = |to| {
        let to = Checkpoint::after(epoch, Position::new(to).unwrap(), event().id());
        let mut commit = Commit::new();
        let write = CheckpointWrite::new(mail(), None, to).fenced(Lane::FIRST, fence);
        commit.checkpoints.push(write);
        commit.appends.push(one("effect", ExpectedVersion::Any));
        commit
    };
    // Both wait for the writer, the takeover before the commit.
    let held = Held::new(store).await;
    let mut takeover = Box::pin(store.claim_lanes(claim(&second, 60).taking_over()));
    assert!(crate::support::poll_once(&mut takeover).await.is_pending());
    let mut commit = Box::pin(store.commit(moving(1)));
    assert!(crate::support::poll_once(&mut commit).await.is_pending());
    held.release().await?;
    let taken = takeover.await?;
    assert!(taken.held()[0].fence() > fence && taken.held()[0].was_abandoned());
    let late = commit.await;
    assert!(
        matches!(late, Err(CommitError::Stale(Stale::Lease { .. }))),
        "{late:?}"
    );
    assert!(log(store).await?.is_empty());
    assert_eq!(store.load_checkpoint(&mail(), Lane::FIRST).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_dropped_claim_is_made_or_not() -> TestResult {
    let fixture = Fixture::new().await?;
    let store = &fixture.store;
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let held = Held::new(store).await;
    let mut dropped = Box::pin(store.claim_lanes(claim(&ada, 60)));
    assert!(crate::support::poll_once(&mut dropped).await.is_pending());
    drop(dropped);
    held.release().await?;
    // Nobody waited for it any more when its turn came.
    let grant = store.claim_lanes(claim(&bob, 60)).await?;
    assert_eq!((grant.owners(), grant.held().len()), (1, 1));
    Ok(())
}

#[tokio::test]
async fn the_clock_of_the_store_decides_how_long_a_lease_holds() -> TestResult {
    let directory = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::at("2001-01-01T00:00:00Z".parse()?));
    let builder = SqliteStore::builder().clock(clock.clone());
    let store = builder.open(file(&directory)).await?;
    store.migrate().await?;
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let fence = store.claim_lanes(claim(&ada, 600)).await?.held()[0].fence();
    clock.advance(Duration::from_secs(599));
    assert!(store.claim_lanes(claim(&bob, 600)).await?.held().is_empty());
    let left = store.list_lanes(&mail()).await?[0].runs_out_in();
    assert_eq!(left, Some(Duration::from_secs(1)));
    clock.advance(Duration::from_secs(1));
    let left = store.list_lanes(&mail()).await?[0].runs_out_in();
    assert_eq!(left, Some(Duration::ZERO));
    let taken = store.claim_lanes(claim(&bob, 600)).await?;
    assert!(taken.held()[0].fence() > fence && taken.held()[0].was_abandoned());
    assert_eq!(taken.owners(), 1);
    Ok(())
}

/// Claims and gives back at random. What it was granted, with the owner: in the order in which it was.
async fn at_random(
    store: SqliteStore,
    mut dice: fastrand::Rng,
    claims: u32,
) -> Vec<(Lane, Fence, uuid::Uuid)> {
    let mut granted = Vec::new();
    let mut owner = LeaseOwner::new("ada");
    for _ in 0..claims {
        let lease = Duration::from_millis(dice.u64(0..20));
        let mut claim = LaneClaim::new(mail(), owner.clone(), lease);
        if dice.u8(0..4) == 0 {
            claim = claim.taking_over();
        }
        if dice.u8(0..20) == 0 {
            claim = claim.wanting(NonZeroU16::new(dice.u16(2..6)).unwrap());
        }
        let grant = store.claim_lanes(claim).await.unwrap();
        let held = grant.held().iter();
        granted.extend(held.map(|lease| (lease.lane(), lease.fence(), owner.id())));
        match dice.u8(0..5) {
            0 => owner = LeaseOwner::new(if dice.bool() { "ada" } else { "bob" }),
            1 => {
                let release = LaneRelease::leaving(mail(), owner.clone());
                store.release_lanes(release).await.unwrap();
            }
            _ => {}
        }
    }
    granted
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_claims_at_once_no_two_have_the_same_fence() -> TestResult {
    let fixture = Fixture::new().await?;
    let seed = EventId::new().as_uuid().as_u128() as u64;
    println!("seed {seed}");
    let mut tasks = JoinSet::new();
    // Each with connections of its own, as another process has them.
    for number in 0..4 {
        let store = SqliteStore::open(fixture.path()).await?;
        let dice = fastrand::Rng::with_seed(seed ^ number);
        tasks.spawn(at_random(store, dice, 250));
    }
    let mut holders = HashMap::new();
    let mut highest: HashMap<Lane, Fence> = HashMap::new();
    while let Some(granted) = tasks.join_next().await {
        let mut last: HashMap<Lane, Fence> = HashMap::new();
        for (lane, fence, owner) in granted? {
            let holder = *holders.entry((lane, fence)).or_insert(owner);
            assert_eq!(
                holder, owner,
                "two holders of {lane} under {fence}, seed {seed}"
            );
            let before = last.insert(lane, fence);
            assert!(
                before <= Some(fence),
                "{lane}: {before:?}, then {fence}, seed {seed}"
            );
            let most = highest.entry(lane).or_insert(fence);
            *most = fence.max(*most);
        }
    }
    assert!(holders.len() > 100, "{} leases, seed {seed}", holders.len());
    for record in fixture.store.list_lanes(&mail()).await? {
        let most = highest.get(&record.lane()).copied();
        assert!(
            most <= Some(record.fence()),
            "{record:?}, once {most:?}, seed {seed}"
        );
    }
    Ok(())
}
