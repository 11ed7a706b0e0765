//! The first claim of a subscription.

use uno_core::{
    Checkpoint, CheckpointStore as _, Lane, LaneClaim, LeaseOwner, LeaseStore as _, StoreEpoch,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::subscription,
    subscribing::{LONG, at, bare, claim, count, fence, held, mail, moved},
};

/// Guarantee 5: the first claim makes as many lanes as it wants, one unless it says so, each where it says that they start.
pub async fn the_first_claim_makes_the_lanes_it_wants<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, start) = (LeaseOwner::new("ada"), Checkpoint::start(StoreEpoch::new()));
    for (name, wanted, starts) in [
        ("a", None, None),
        ("b", Some(1), Some(at(9))),
        ("c", Some(4), Some(start)),
        ("d", Some(3), None),
        ("e", None, Some(at(2))),
    ] {
        let name = subscription(name);
        let mut first = LaneClaim::new(name.clone(), ada.clone(), LONG);
        if let Some(lanes) = wanted {
            first = first.wanting(count(lanes));
        }
        if let Some(checkpoint) = starts {
            first = first.starting_at(checkpoint);
        }
        let grant = t.claim(first).await?;
        let number = wanted.unwrap_or(1);
        assert_eq!(
            (grant.lanes().get(), grant.owners(), grant.share()),
            (number, 1, number)
        );
        assert_eq!(held(&grant), (0..number).collect::<Vec<_>>());
        assert_eq!(grant.drain_to(), None);
        for lease in grant.held() {
            assert!(!lease.was_abandoned() && lease.attempt().is_none());
            let there = t.store().load_checkpoint(&name, lease.lane()).await?;
            assert_eq!(there, starts, "{lease:?} of {name}");
        }
        let beyond = t.store().load_checkpoint(&name, Lane::new(number)).await?;
        assert_eq!(beyond, None);
        let listed = t.store().list_lanes(&name).await?;
        let places: Vec<_> = listed.iter().map(|lane| lane.checkpoint()).collect();
        assert_eq!(places, vec![starts; usize::from(number)]);
    }
    let listed = t.store().list_checkpoints().await?;
    assert_eq!(listed.len(), 1 + 4 + 1, "what was never saved has none");
    Ok(())
}

/// Guarantee 5: no later claim starts a lane anew, whoever makes it and wherever the lanes are.
pub async fn a_lane_starts_once<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let first = t.claim(claim(&ada).wanting(count(2))).await?;
    t.save(moved(1, fence(&first, 1), None, 3)).await?;
    for owner in [&ada, &bob, &LeaseOwner::new("cid")] {
        let grant = t
            .claim(claim(owner).wanting(count(2)).starting_at(at(9)))
            .await?;
        assert_eq!((grant.lanes().get(), grant.drain_to()), (2, None));
        assert_eq!(t.places().await?, [None, Some(at(3))]);
    }
    t.save(moved(0, fence(&first, 0), None, 1)).await?;
    Ok(())
}

/// Guarantee 5: a lane that was written to before the first claim stays where it is.
pub async fn what_was_written_before_the_first_claim_stays<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let ada = LeaseOwner::new("ada");
    t.save(bare(0, None, 5)).await?;
    let first = claim(&ada).starting_at(at(9));
    let grant = t.claim(first.clone()).await?;
    assert_eq!((grant.lanes().get(), held(&grant)), (1, vec![0]));
    assert_eq!(t.places().await?, [Some(at(5))]);
    t.save(moved(0, fence(&grant, 0), Some(5), 6)).await?;
    // One lane is always in one place.
    for _ in 0..2 {
        t.claim(first.clone().wanting(count(3))).await?;
    }
    assert_eq!(t.places().await?, [Some(at(6)); 3]);
    Ok(())
}

/// Guarantee 5: a subscription has as many lanes as there can be.
pub async fn a_subscription_has_as_many_lanes_as_there_can_be<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let ada = LeaseOwner::new("ada");
    let grant = t
        .claim(claim(&ada).wanting(count(u16::MAX)).starting_at(at(1)))
        .await?;
    assert_eq!(grant.lanes().get(), Lane::MOST);
    assert_eq!(held(&grant), (0..Lane::MOST).collect::<Vec<_>>());
    let last = Lane::MOST - 1;
    t.save(moved(last, fence(&grant, last), Some(1), 2)).await?;
    assert_eq!(t.lane(last).await?, Some(at(2)));
    assert_eq!(t.lane(last - 1).await?, Some(at(1)));
    let listed = t.store().list_lanes(&mail()).await?;
    assert_eq!(listed.len(), usize::from(Lane::MOST));
    Ok(())
}
