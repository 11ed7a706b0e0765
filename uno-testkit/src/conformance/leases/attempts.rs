//! Attempts that are noted, and unclean ends.

use uno_core::{
    BoxError, CommitError, Fence, Lane, LaneAttempt, LaneGrant, LaneLease, LeaseOwner,
    LeaseStore as _, Position, Stale,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::subscription,
    subscribing::{
        bare, brief, claim, count, fence, given_back, leaving, mail, moved, off_lease, position,
    },
};

async fn note<H: BackendHarness>(
    t: &Trial<H>,
    lane: u16,
    fence: Fence,
    number: u64,
    attempt: u32,
) -> Result<(), CommitError> {
    let attempt = LaneAttempt::new(mail(), Lane::new(lane), fence, position(number), attempt);
    t.store().note_attempt(attempt).await
}

/// What is told of the attempts of each lane that is held.
fn told(grant: &LaneGrant) -> Vec<Option<(Position, u32)>> {
    grant.held().iter().map(LaneLease::attempt).collect()
}

fn tried(number: u64, attempt: u32) -> Option<(Position, u32)> {
    Some((position(number), attempt))
}

/// Of each lane that is held, whether its last holder did not give it back.
fn unclean(grant: &LaneGrant) -> Vec<bool> {
    let held = grant.held().iter();
    held.map(|lease| lease.was_abandoned()).collect()
}

/// What is listed of the attempts of each lane.
async fn listed<H: BackendHarness>(t: &Trial<H>) -> Result<Vec<Option<(Position, u32)>>, BoxError> {
    let lanes = t.store().list_lanes(&mail()).await?;
    Ok(lanes.iter().map(|lane| lane.attempt()).collect())
}

/// Guarantee 9: the attempt that was noted last is told with the lease, until the checkpoint is at its place or beyond.
pub async fn the_last_attempt_is_told_until_it_is_past<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let first = t.claim(claim(&ada).wanting(count(2))).await?;
    assert_eq!(told(&first), [None, None]);
    let (zero, one) = (fence(&first, 0), fence(&first, 1));
    for (number, attempt) in [(5, 1), (5, 2), (5, 3), (4, 1), (9, 1), (9, u32::MAX)] {
        note(t, 1, one, number, attempt).await?;
        let expected = [None, tried(number, attempt)];
        assert_eq!(told(&t.claim(claim(&ada)).await?), expected);
        assert_eq!(listed(t).await?, expected);
    }
    note(t, 0, zero, 3, 7).await?;
    t.save(moved(1, one, None, 8)).await?;
    assert_eq!(
        told(&t.claim(claim(&ada)).await?),
        [tried(3, 7), tried(9, u32::MAX)]
    );
    // Told to whoever has the lane next, though it was given back.
    t.release(leaving(&ada)).await?;
    assert_eq!(listed(t).await?, [tried(3, 7), tried(9, u32::MAX)]);
    let second = t.claim(claim(&bob)).await?;
    assert_eq!(told(&second), [tried(3, 7), tried(9, u32::MAX)]);
    t.save(moved(1, fence(&second, 1), Some(8), 9)).await?;
    t.save(moved(0, fence(&second, 0), None, 12)).await?;
    assert_eq!(told(&t.claim(claim(&bob)).await?), [None, None]);
    assert_eq!(listed(t).await?, [None, None]);
    note(t, 1, fence(&second, 1), 9, 1).await?;
    note(t, 0, fence(&second, 0), 1, 1).await?;
    assert_eq!(listed(t).await?, [None, None], "they are past already");
    note(t, 1, fence(&second, 1), 10, 1).await?;
    assert_eq!(listed(t).await?, [None, tried(10, 1)]);
    Ok(())
}

/// Guarantee 9: an attempt is noted under the lane's fence only, which may have run out as long as nobody has taken the lane.
pub async fn an_attempt_is_noted_under_its_fence_only<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    off_lease(note(t, 0, Fence::new(1), 5, 1).await, 0);
    off_lease(note(t, 0, Fence::new(0), 5, 1).await, 0);
    t.save(bare(0, None, 1)).await?;
    off_lease(note(t, 0, Fence::new(0), 5, 1).await, 0);

    let first = t.claim(brief(&ada)).await?;
    let own = fence(&first, 0);
    note(t, 0, own, 5, 1).await?;
    for wrong in [0, own.get() - 1, own.get() + 1, u64::from(u32::MAX)] {
        off_lease(note(t, 0, Fence::new(wrong), 6, 1).await, 0);
    }
    off_lease(note(t, 1, own, 6, 1).await, 1);
    let other = LaneAttempt::new(subscription("other"), Lane::FIRST, own, position(6), 1);
    match t.store().note_attempt(other).await {
        Err(CommitError::Stale(Stale::Lease { subscription, .. })) => {
            assert_eq!(subscription.as_str(), "other");
        }
        other => panic!("expected a stale lease, and got {other:?}"),
    }
    assert_eq!(listed(t).await?, [tried(5, 1)]);

    t.run_out(&ada).await?;
    note(t, 0, own, 5, 2).await?;
    let second = t.claim(claim(&bob)).await?;
    assert_eq!(told(&second), [tried(5, 2)]);
    off_lease(note(t, 0, own, 5, 3).await, 0);
    t.release(given_back(&bob, &[0])).await?;
    off_lease(note(t, 0, fence(&second, 0), 5, 3).await, 0);
    off_lease(note(t, 0, own, 5, 3).await, 0);
    assert_eq!(listed(t).await?, [tried(5, 2)]);
    Ok(())
}

/// Guarantee 7: who takes a lane that was not given back is told so, once, with the attempt that was noted last.
pub async fn an_unclean_end_is_told_to_who_comes_next<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let [ada, bob, cid] = ["ada", "bob", "cid"].map(LeaseOwner::new);
    let first = t.claim(brief(&ada).wanting(count(2))).await?;
    assert_eq!(unclean(&first), [false, false], "nobody had them");
    note(t, 1, fence(&first, 1), 5, 2).await?;
    t.run_out(&ada).await?;
    let second = t.claim(claim(&bob)).await?;
    assert_eq!(unclean(&second), [true, true]);
    assert_eq!(told(&second), [None, tried(5, 2)]);
    let again = t.claim(claim(&bob)).await?;
    assert_eq!(unclean(&again), [false, false], "it is told once");
    assert_eq!(told(&again), [None, tried(5, 2)]);
    t.release(leaving(&bob)).await?;
    // Ada's place among those who share has run out with its lanes.
    let third = t.claim(claim(&cid)).await?;
    assert_eq!(unclean(&third), [false, false], "they were given back");
    let later = LeaseOwner::new("cid");
    let taken = t.claim(claim(&later).taking_over()).await?;
    assert_eq!(unclean(&taken), [true, true]);
    Ok(())
}

/// Guarantees 7 and 8: a lane that is given back after its lease has run out, and before somebody has taken it, ends cleanly.
pub async fn a_late_release_is_a_clean_end<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    t.claim(brief(&ada).wanting(count(3))).await?;
    t.run_out(&ada).await?;
    t.release(given_back(&ada, &[1])).await?;
    let second = t.claim(claim(&bob)).await?;
    assert_eq!(unclean(&second), [true, false, true]);
    let third = t.claim(claim(&bob)).await?;
    // Too late: these are Bob's.
    t.release(leaving(&ada)).await?;
    assert_eq!(t.claim(claim(&bob)).await?, third);
    Ok(())
}
