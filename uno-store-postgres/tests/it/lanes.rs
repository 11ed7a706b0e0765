//! Leases where transactions meet: commits under way, claims that are rolled back, resets, many processes, and other clocks.

use std::{collections::HashMap, num::NonZeroU16, sync::Arc, time::Duration};

use sqlx::PgConnection;
use tokio::task::{JoinHandle, JoinSet};
use uno_core::{
    Checkpoint, CheckpointStore as _, CheckpointWrite, Commit, CommitError, EventId,
    EventStore as _, ExpectedVersion, Fence, Lane, LaneClaim, LaneRelease, LeaseOwner,
    LeaseStore as _, ParkedFailure, ParkingStore as _, ParkingWrite, Position, Receipt, Stale,
    StoreEpoch, SubscriptionName, Transactional as _,
};
use uno_store_postgres::PgStore;

use crate::support::{Fixture, append, until, whole_stream};

const LONG: Duration = Duration::from_secs(3600);

fn mail() -> SubscriptionName {
    SubscriptionName::new("mail").unwrap()
}

fn at(position: u64) -> Checkpoint {
    let id = EventId::from_uuid(uuid::Uuid::from_u128(position.into()));
    let epoch = StoreEpoch::from_uuid(uuid::Uuid::nil());
    Checkpoint::after(epoch, Position::new(position).unwrap(), id)
}

fn claim(owner: &LeaseOwner) -> LaneClaim {
    LaneClaim::new(mail(), owner.clone(), LONG)
}

/// The move of lane 0 from `from`, under a fence, with an effect.
fn moving(
    from: Option<u64>,
    to: u64,
    fence: Fence,
    effect: &str,
) -> Commit<uno_store_postgres::PgTx> {
    let from = from.map(|from| at(from).position());
    let mut commit = Commit::new();
    let write = CheckpointWrite::new(mail(), from, at(to)).fenced(Lane::FIRST, fence);
    commit.checkpoints.push(write);
    commit.appends.push(append(effect, ExpectedVersion::Any, 1));
    commit
}

fn is_fenced_out(result: &Result<Receipt, CommitError>) -> bool {
    matches!(result, Err(CommitError::Stale(Stale::Lease { lane, .. })) if *lane == Lane::FIRST)
}

type Committing = JoinHandle<Result<Receipt, CommitError>>;

/// Sends a commit of which a foreign transaction holds the stream, and returns when it waits for that: it has its lane's row locked
/// then. What it waits for is let go of by a `ROLLBACK` on the gate.
async fn under_way(
    fixture: &Fixture,
    gate: &mut PgConnection,
    store: &PgStore,
    fence: Fence,
) -> Committing {
    store
        .append(vec![append("held", ExpectedVersion::Any, 1)])
        .await
        .unwrap();
    fixture
        .run(gate, "BEGIN; SELECT FROM @.streams FOR UPDATE")
        .await;
    let committing = store.clone();
    let commit = moving(None, 5, fence, "held");
    let task = tokio::spawn(async move { committing.commit(commit).await });
    waiting(fixture, 1).await;
    task
}

/// Waits until so many sessions of the store wait for a lock.
async fn waiting(fixture: &Fixture, count: i64) {
    let text = "SELECT count(*) FROM pg_stat_activity WHERE application_name = '@' AND wait_event_type = 'Lock'";
    until(|| async {
        let mut watch = fixture.connection().await;
        fixture.number(&mut watch, text).await == count
    })
    .await;
}

#[tokio::test]
async fn a_takeover_passes_over_a_commit_under_way_and_finds_what_it_left() {
    let fixture = Fixture::new().await;
    let store = PgStore::new(fixture.options().without_grouping());
    let mut gate = fixture.connection().await;
    let (first, second) = (LeaseOwner::new("ada"), LeaseOwner::new("ada"));
    let fence = store.claim_lanes(claim(&first)).await.unwrap().held()[0].fence();
    let committing = under_way(&fixture, &mut gate, &store, fence).await;
    // Whatever is under way, a claim does not wait for it, be it a renewal or a takeover.
    let renewed = store.claim_lanes(claim(&first)).await.unwrap();
    assert_eq!(renewed.held()[0].fence(), fence);
    let passed = store
        .claim_lanes(claim(&second).taking_over())
        .await
        .unwrap();
    assert_eq!((passed.share(), passed.held()), (1, &[][..]));
    fixture.run(&mut gate, "ROLLBACK").await;
    committing.await.unwrap().unwrap();
    let taken = store
        .claim_lanes(claim(&second).taking_over())
        .await
        .unwrap();
    assert!(taken.held()[0].fence() > fence && taken.held()[0].was_abandoned());
    let there = store.load_checkpoint(&mail(), Lane::FIRST).await.unwrap();
    assert_eq!(there, Some(at(5)), "what was committed is not lost");
    let late = store.commit(moving(Some(5), 6, fence, "late")).await;
    assert!(is_fenced_out(&late), "{late:?}");
    assert!(whole_stream(&store, "late").await.is_empty());
    fixture.close().await;
}

/// A claim by a later run of ada, as the store makes it.
const TAKE_OVER: &str = "SELECT cardinality((@.claim_lanes('10s', gen_random_uuid(), 'mail', gen_random_uuid(), 'ada', \
     3600000000, NULL, true, NULL, NULL, NULL)).held)::bigint";

#[tokio::test]
async fn a_commit_that_waits_for_a_takeover_is_judged_by_what_became_of_it() {
    let fixture = Fixture::new().await;
    for store in [
        fixture.store(),
        PgStore::new(fixture.options().without_grouping()),
    ] {
        let owner = LeaseOwner::new("ada");
        let taken = store.claim_lanes(claim(&owner).taking_over()).await;
        let fence = taken.unwrap().held()[0].fence();
        let there = store.load_checkpoint(&mail(), Lane::FIRST).await.unwrap();
        let there = there.map(|there| there.position().get());
        let mut other = fixture.connection().await;

        // Rolled back: nobody ever had it.
        fixture.run(&mut other, "BEGIN").await;
        assert_eq!(fixture.number(&mut other, TAKE_OVER).await, 1);
        let to = there.unwrap_or(0) + 1;
        let (committing, commit) = (store.clone(), moving(there, to, fence, "kept"));
        let task = tokio::spawn(async move { committing.commit(commit).await });
        waiting(&fixture, 1).await;
        fixture.run(&mut other, "ROLLBACK").await;
        task.await.unwrap().unwrap();
        let unheard = Fence::new(fence.get() + 1);
        let never = store
            .commit(moving(Some(to), to + 1, unheard, "never"))
            .await;
        assert!(is_fenced_out(&never), "{never:?}");

        // Committed: it was too late, though it was sent in time.
        fixture.run(&mut other, "BEGIN").await;
        assert_eq!(fixture.number(&mut other, TAKE_OVER).await, 1);
        let (committing, commit) = (store.clone(), moving(Some(to), to + 1, fence, "late"));
        let task = tokio::spawn(async move { committing.commit(commit).await });
        waiting(&fixture, 1).await;
        fixture.run(&mut other, "COMMIT").await;
        let late = task.await.unwrap();
        assert!(is_fenced_out(&late), "{late:?}");
        assert!(whole_stream(&store, "late").await.is_empty());
        let now = store.load_checkpoint(&mail(), Lane::FIRST).await.unwrap();
        assert_eq!(now, Some(at(to)));
    }
    fixture.close().await;
}

#[tokio::test]
async fn a_reset_waits_for_a_commit_under_way_and_no_claim_for_the_reset() {
    let fixture = Fixture::new().await;
    let store = PgStore::new(fixture.options().without_grouping());
    let mut gate = fixture.connection().await;
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let fence = store.claim_lanes(claim(&ada)).await.unwrap().held()[0].fence();
    let committing = under_way(&fixture, &mut gate, &store, fence).await;
    let resetting = store.clone();
    let reset = tokio::spawn(async move { resetting.reset_lanes(&mail(), at(2)).await });
    waiting(&fixture, 2).await;
    let grant = store.claim_lanes(claim(&bob)).await.unwrap();
    assert_eq!((grant.owners(), grant.held()), (2, &[][..]));
    fixture.run(&mut gate, "ROLLBACK").await;
    committing.await.unwrap().unwrap();
    reset.await.unwrap().unwrap();
    let there = store.load_checkpoint(&mail(), Lane::FIRST).await.unwrap();
    assert_eq!(there, Some(at(2)));
    let late = store.commit(moving(Some(2), 3, fence, "late")).await;
    assert!(is_fenced_out(&late), "{late:?}");
    fixture.close().await;
}

#[tokio::test]
async fn a_claim_that_is_sent_again_gets_the_same_answer() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    store
        .claim_lanes(claim(&LeaseOwner::new("ada")))
        .await
        .unwrap();
    let mut other = fixture.connection().await;
    let id = uuid::Uuid::from_u128(7);
    let text = format!(
        "SELECT fences[1] * 2 + CASE WHEN abandoned[1] THEN 1 ELSE 0 END FROM @.claim_lanes('10s', '{id}', 'mail', '{id}', 'ada', \
         3600000000, NULL, true, NULL, NULL, NULL)"
    );
    let first = fixture.number(&mut other, &text).await;
    assert_eq!(first % 2, 1, "it was abandoned");
    assert_eq!(fixture.number(&mut other, &text).await, first);
    fixture.close().await;
}

/// As good as random, from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

/// Claims and gives back at random. What it was granted, with the owner: in the order in which it was.
async fn at_random(store: PgStore, mut dice: Dice, claims: u32) -> Vec<(Lane, Fence, uuid::Uuid)> {
    let mut granted = Vec::new();
    let mut owner = LeaseOwner::new("ada");
    for _ in 0..claims {
        let lease = Duration::from_millis(dice.below(20));
        let mut claim = LaneClaim::new(mail(), owner.clone(), lease);
        if dice.below(4) == 0 {
            claim = claim.taking_over();
        }
        if dice.below(20) == 0 {
            claim = claim.wanting(NonZeroU16::new(2 + dice.below(4) as u16).unwrap());
        }
        let grant = store.claim_lanes(claim).await.unwrap();
        granted.extend(
            grant
                .held()
                .iter()
                .map(|lease| (lease.lane(), lease.fence(), owner.id())),
        );
        match dice.below(5) {
            0 => owner = LeaseOwner::new(if dice.below(2) == 0 { "ada" } else { "bob" }),
            1 => {
                let release = LaneRelease::leaving(mail(), owner.clone());
                store.release_lanes(release).await.unwrap();
            }
            2 => {
                let lanes = grant.held().iter().map(|lease| lease.lane()).take(1);
                let release = LaneRelease::of(mail(), owner.clone(), lanes.collect());
                store.release_lanes(release).await.unwrap();
            }
            _ => {}
        }
    }
    granted
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_claims_at_once_no_two_have_the_same_fence() {
    let fixture = Fixture::new().await;
    let seed = EventId::new().as_uuid().as_u128() as u64;
    println!("seed {seed}");
    let mut tasks = JoinSet::new();
    // Each with a store, and so connections, of its own.
    for number in 0..8 {
        let dice = Dice(seed ^ (number << 40));
        tasks.spawn(at_random(fixture.store(), dice, 125));
    }
    let mut holders = HashMap::new();
    let mut highest: HashMap<Lane, Fence> = HashMap::new();
    while let Some(granted) = tasks.join_next().await {
        let mut last: HashMap<Lane, Fence> = HashMap::new();
        for (lane, fence, owner) in granted.unwrap() {
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
    for record in fixture.store().list_lanes(&mail()).await.unwrap() {
        let most = highest.get(&record.lane()).copied();
        assert!(
            most <= Some(record.fence()),
            "{record:?}, once {most:?}, seed {seed}"
        );
    }
    fixture.close().await;
}

/// The clock of the database an hour behind ours: functions of the store that ask for the time find this one first.
const SKEW: &str = "CREATE TABLE @.skew (by interval NOT NULL);
    INSERT INTO @.skew VALUES (interval '-1 hour');
    CREATE FUNCTION @.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
        'SELECT pg_catalog.clock_timestamp() + (SELECT by FROM @.skew)';
    DO $do$ DECLARE f text; BEGIN
        FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace = '@'::regnamespace
            AND p.proname <> 'clock_timestamp' AND p.prosrc LIKE '%clock_timestamp%'
        LOOP EXECUTE 'ALTER FUNCTION ' || f || ' SET search_path = @, pg_catalog'; END LOOP; END $do$";

#[tokio::test]
async fn the_clock_of_the_database_decides_how_long_a_lease_holds() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let mut connection = fixture.connection().await;
    fixture.run(&mut connection, SKEW).await;
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let claim =
        |owner: &LeaseOwner| LaneClaim::new(mail(), owner.clone(), Duration::from_secs(600));
    let fence = store.claim_lanes(claim(&ada)).await.unwrap().held()[0].fence();
    let failure = ParkedFailure::new(3, "no", "no");
    let park = ParkingWrite::Park {
        key: Arc::from("a"),
        position: at(1).position(),
        event_id: EventId::new(),
        failure: Some(failure),
    };
    let write = CheckpointWrite::new(mail(), None, at(1)).fenced(Lane::FIRST, fence);
    store
        .save_checkpoint(write.parking(vec![park]))
        .await
        .unwrap();
    let parked = store.parked_key(&mail(), "a").await.unwrap().unwrap();
    let ours = uno_core::Clock::now(&uno_core::SystemClock::new());
    assert!(parked.parked_at() < ours - Duration::from_secs(2400));

    assert!(
        store
            .claim_lanes(claim(&bob))
            .await
            .unwrap()
            .held()
            .is_empty()
    );
    let left = store.list_lanes(&mail()).await.unwrap()[0].runs_out_in();
    let (least, most) = (Duration::from_secs(300), Duration::from_secs(600));
    assert!(
        left.is_some_and(|left| left > least && left <= most),
        "{left:?}"
    );
    fixture
        .run(
            &mut connection,
            "UPDATE @.skew SET by = by + interval '601 seconds'",
        )
        .await;
    let left = store.list_lanes(&mail()).await.unwrap()[0].runs_out_in();
    assert_eq!(left, Some(Duration::ZERO));
    let taken = store.claim_lanes(claim(&bob)).await.unwrap();
    assert!(taken.held()[0].fence() > fence && taken.held()[0].was_abandoned());
    fixture.close().await;
}
