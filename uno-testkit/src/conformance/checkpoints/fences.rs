//! Moves under a fence, and without one.

use uno_core::{Fence, LeaseOwner, ParkingStore as _, StreamAppend};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{events, json, stream},
    subscribing::{
        at, bare, brief, claim, count, failed, failure, fence, given_back, mail, moved, off_lease,
    },
};

/// Guarantee 5: a held lane moves under its fence, and under no other, be it lower or higher or that of another lane.
pub async fn a_held_lane_moves_under_its_fence_only<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let ada = LeaseOwner::new("ada");
    off_lease(t.save(moved(0, Fence::new(1), None, 1)).await, 0);
    off_lease(t.save(moved(0, Fence::new(0), None, 1)).await, 0);
    assert_eq!(t.lane(0).await?, None);
    t.claim(claim(&ada).wanting(count(2))).await?;
    // So that the lanes have different fences.
    for _ in 0..2 {
        t.release(given_back(&ada, &[1])).await?;
        t.claim(claim(&ada)).await?;
    }
    let grant = t.claim(claim(&ada)).await?;
    let (own, other) = (fence(&grant, 0), fence(&grant, 1));
    assert_ne!(own, other);
    t.save(moved(0, own, None, 1)).await?;
    for wrong in [
        Fence::new(0),
        Fence::new(own.get() - 1),
        Fence::new(own.get() + 1),
        other,
        Fence::new(u64::MAX >> 1),
    ] {
        off_lease(t.save(moved(0, wrong, Some(1), 2)).await, 0);
        assert_eq!(t.lane(0).await?, Some(at(1)), "under {wrong}");
    }
    t.save(moved(0, own, Some(1), 2)).await?;
    t.save(moved(1, other, None, 2)).await?;
    assert_eq!(t.places().await?, [Some(at(2)); 2]);
    Ok(())
}

/// Guarantee 5: without a fence a lane moves while nobody has it on lease; a lease that has run out is one all the same.
pub async fn a_held_lane_does_not_move_without_a_fence<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let ada = LeaseOwner::new("ada");
    t.save(bare(0, None, 1)).await?;
    t.claim(claim(&ada)).await?;
    off_lease(t.save(bare(0, Some(1), 2)).await, 0);
    t.claim(brief(&ada)).await?;
    t.run_out(&ada).await?;
    off_lease(t.save(bare(0, Some(1), 2)).await, 0);
    let result = t
        .commit(|commit| commit.checkpoints.push(bare(0, Some(1), 2)))
        .await;
    off_lease(result, 0);
    assert_eq!(t.lane(0).await?, Some(at(1)));
    t.release(given_back(&ada, &[0])).await?;
    t.save(bare(0, Some(1), 2)).await?;
    assert_eq!(t.lane(0).await?, Some(at(2)));
    t.claim(claim(&ada)).await?;
    off_lease(t.save(bare(0, Some(2), 3)).await, 0);
    Ok(())
}

/// Guarantee 5: a lease that has run out is one until somebody takes the lane, and then no longer.
pub async fn a_lease_that_has_run_out_counts_until_the_lane_is_taken<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let first = t.claim(brief(&ada)).await?;
    t.run_out(&ada).await?;
    t.save(moved(0, fence(&first, 0), None, 1)).await?;
    let second = t.claim(claim(&bob)).await?;
    off_lease(t.save(moved(0, fence(&first, 0), Some(1), 2)).await, 0);
    assert_eq!(t.lane(0).await?, Some(at(1)));
    t.save(moved(0, fence(&second, 0), Some(1), 2)).await?;
    off_lease(t.save(moved(0, fence(&first, 0), Some(2), 3)).await, 0);
    Ok(())
}

/// Guarantee 5: a lane that was given back is on nobody's lease, and not on that of its last holder either.
pub async fn a_lane_given_back_is_on_nobodys_lease<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let first = t.claim(claim(&ada).wanting(count(2))).await?;
    let old = fence(&first, 0);
    t.release(given_back(&ada, &[0])).await?;
    off_lease(t.save(moved(0, old, None, 1)).await, 0);
    assert_eq!(t.lane(0).await?, None);
    t.save(bare(0, None, 1)).await?;
    t.save(moved(1, fence(&first, 1), None, 1)).await?;
    t.claim(claim(&bob)).await?;
    off_lease(t.save(moved(0, old, Some(1), 2)).await, 0);
    assert_eq!(t.places().await?, [Some(at(1)); 2]);
    Ok(())
}

/// Guarantees 3 and 5: when one move of a commit is not on its lane's lease, nothing of the commit happens.
pub async fn a_stale_lease_undoes_everything<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (dead, ada) = (LeaseOwner::new("ada"), LeaseOwner::new("ada"));
    let first = t.claim(claim(&dead).wanting(count(2))).await?;
    t.release(given_back(&dead, &[1])).await?;
    let second = t.claim(claim(&ada).taking_over()).await?;
    let stale = fence(&first, 0);
    let fresh = fence(&second, 1);
    for order in [false, true] {
        let result = t
            .commit(|commit| {
                let parking = vec![failed("a", 1, &failure())];
                commit.checkpoints = vec![
                    moved(1, fresh, None, 1).parking(parking.clone()),
                    moved(0, stale, None, 1).parking(parking),
                ];
                if order {
                    commit.checkpoints.reverse();
                }
                let document = uno_core::DocumentWrite::put("notes", "a", json("1"));
                commit.documents.push(document);
                commit.work.push(t.harness().put_row("a", "1"));
                let append =
                    StreamAppend::new(stream("a"), uno_core::ExpectedVersion::Any, events(1));
                commit.appends.push(append);
            })
            .await;
        off_lease(result, 0);
    }
    assert_eq!(t.places().await?, [None; 2]);
    assert_eq!(t.document("notes", "a").await?, None);
    assert_eq!(t.row("a").await?, None);
    assert_eq!(t.stream(&stream("a")).await?, []);
    assert_eq!(t.store().count_parked(&mail()).await?, 0);
    Ok(())
}
