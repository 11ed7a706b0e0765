//! Unclean ends that no attempt explains.

use uno_core::{
    CommitError, Fence, Lane, LaneAttempt, LaneGrant, LaneLease, LeaseOwner, LeaseStore as _,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    subscribing::{at, brief, claim, count, fence, leaving, mail, moved, position},
};

/// An attempt that leaves no end unexplained.
async fn explain<H: BackendHarness>(
    t: &Trial<H>,
    lane: u16,
    fence: Fence,
    number: u64,
    attempt: u32,
) -> Result<(), CommitError> {
    let attempt = LaneAttempt::new(mail(), Lane::new(lane), fence, position(number), attempt);
    t.store().note_attempt(attempt).await
}

/// An attempt that may not be what explains an end.
async fn pass<H: BackendHarness>(
    t: &Trial<H>,
    lane: u16,
    fence: Fence,
    number: u64,
    attempt: u32,
) -> Result<(), CommitError> {
    let attempt = LaneAttempt::new(mail(), Lane::new(lane), fence, position(number), attempt);
    let attempt = attempt.leaving_unexplained(true);
    t.store().note_attempt(attempt).await
}

/// Of each lane that is held, whether it has an end that no attempt explains.
fn unexplained(grant: &LaneGrant) -> Vec<bool> {
    let held = grant.held().iter();
    held.map(LaneLease::has_unexplained_end).collect()
}

/// Guarantee 7: an unclean end without an attempt is told with every lease of the lane, until an attempt is noted that explains it.
pub async fn an_unexplained_end_is_told_until_an_attempt_explains_it<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let [ada, bob, cid] = ["ada", "bob", "cid"].map(LeaseOwner::new);
    let first = t.claim(brief(&ada).wanting(count(3))).await?;
    assert_eq!(unexplained(&first), [false; 3], "nobody had them");
    // What cannot be: nothing is there to be left.
    pass(t, 2, fence(&first, 2), 5, 0).await?;
    let renewed = t.claim(brief(&ada)).await?;
    assert_eq!(unexplained(&renewed), [false; 3]);
    t.run_out(&ada).await?;

    let second = t.claim(claim(&bob)).await?;
    assert_eq!(unexplained(&second), [true; 3]);
    assert_eq!(unexplained(&t.claim(claim(&bob)).await?), [true; 3]);
    t.save(moved(0, fence(&second, 0), None, 3)).await?;
    t.save(moved(1, fence(&second, 1), None, 3)).await?;
    assert_eq!(
        unexplained(&t.claim(claim(&bob)).await?),
        [true; 3],
        "it may be of an event further on"
    );
    pass(t, 1, fence(&second, 1), 4, 2).await?;
    explain(t, 2, fence(&second, 2), 6, 2).await?;
    let renewed = t.claim(claim(&bob)).await?;
    assert_eq!(unexplained(&renewed), [true, true, false]);
    t.release(leaving(&bob)).await?;

    let third = t.claim(brief(&cid)).await?;
    assert!(third.held().iter().all(|lease| !lease.was_abandoned()));
    assert_eq!(
        unexplained(&third),
        [true, true, false],
        "it was given back, and stays unexplained"
    );
    pass(t, 2, fence(&third, 2), 6, 3).await?;
    pass(t, 0, fence(&third, 0), 5, 1).await?;
    let renewed = t.claim(brief(&cid)).await?;
    assert_eq!(unexplained(&renewed), [true, true, false]);
    t.run_out(&cid).await?;

    let fourth = t.claim(claim(&bob)).await?;
    assert!(fourth.held().iter().all(LaneLease::was_abandoned));
    assert_eq!(
        unexplained(&fourth),
        [true, true, false],
        "that end is explained, and the earlier one is not"
    );
    for lane in 0..2 {
        explain(t, lane, fence(&fourth, lane), 9, 1).await?;
    }
    assert_eq!(unexplained(&t.claim(claim(&bob)).await?), [false; 3]);
    t.release(leaving(&bob)).await?;
    assert_eq!(unexplained(&t.claim(claim(&cid)).await?), [false; 3]);
    Ok(())
}

/// Guarantee 7: an attempt explains an unclean end if it is told and is not the zeroth, and no other does.
pub async fn an_end_is_explained_by_an_attempt_that_is_told<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let first = t.claim(brief(&ada).wanting(count(6))).await?;
    let own = |lane| fence(&first, lane);
    explain(t, 1, own(1), 9, 1).await?;
    pass(t, 2, own(2), 9, u32::MAX).await?;
    explain(t, 3, own(3), 9, 0).await?;
    explain(t, 4, own(4), 9, 2).await?;
    t.save(moved(4, own(4), None, 9)).await?;
    explain(t, 5, own(5), 9, 2).await?;
    t.save(moved(5, own(5), None, 8)).await?;
    t.run_out(&ada).await?;
    let second = t.claim(claim(&bob)).await?;
    assert_eq!(
        unexplained(&second),
        [true, false, false, true, true, false],
        "none, the first, the last, the zeroth, one that is past, one that is not"
    );
    Ok(())
}

/// Guarantees 6 and 10: neither a reset nor another number of lanes keeps an unexplained end.
pub async fn lanes_that_begin_anew_have_no_unexplained_end<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let [ada, bob, cid] = ["ada", "bob", "cid"].map(LeaseOwner::new);
    t.claim(brief(&ada).wanting(count(2))).await?;
    t.run_out(&ada).await?;
    assert_eq!(unexplained(&t.claim(brief(&bob)).await?), [true; 2]);
    t.store().reset_lanes(&mail(), at(4)).await?;
    let after = t.claim(brief(&cid)).await?;
    assert_eq!(unexplained(&after), vec![false; after.held().len()]);
    assert!(!after.held().is_empty(), "{after:?}");

    t.run_out(&cid).await?;
    t.release(leaving(&bob)).await?;
    let later = t.claim(claim(&ada)).await?;
    assert!(unexplained(&later).contains(&true), "{later:?}");
    let more = t.claim(claim(&ada).wanting(count(3))).await?;
    assert_eq!(more.lanes().get(), 3);
    assert_eq!(unexplained(&more), vec![false; more.held().len()]);
    assert!(!more.held().is_empty(), "{more:?}");
    Ok(())
}
