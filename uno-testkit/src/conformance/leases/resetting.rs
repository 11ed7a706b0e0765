//! All lanes to one place.

use std::sync::Arc;

use uno_core::{
    Checkpoint, Fence, Lane, LaneAttempt, LaneClaim, LeaseOwner, LeaseStore as _,
    ParkingStore as _, StoreEpoch,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::subscription,
    subscribing::{
        LONG, at, behind, claim, count, failed, failure, fence, fences, held, mail, moved,
        off_lease, position,
    },
    together::{start, succeed},
};

/// Guarantee 10: a reset puts every lane to one place, frees it, fences its holder out and forgets its attempts.
pub async fn a_reset_puts_every_lane_to_one_place<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let first = t.claim(claim(&ada).wanting(count(3))).await?;
    t.save(moved(0, fence(&first, 0), None, 2)).await?;
    t.save(moved(1, fence(&first, 1), None, 5)).await?;
    for lane in 0..3 {
        let (lane, fence) = (Lane::new(lane), fence(&first, lane));
        let attempt = LaneAttempt::new(mail(), lane, fence, position(9), 2);
        t.store().note_attempt(attempt).await?;
    }
    t.claim(claim(&bob)).await?;
    let other = subscription("other");
    let apart = LaneClaim::new(other.clone(), ada.clone(), LONG);
    t.claim(apart.starting_at(at(7))).await?;
    let before = t.store().list_lanes(&other).await?[0].checkpoint();

    let start = Checkpoint::start(StoreEpoch::new());
    let mut last = first;
    for to in [at(4), at(4), start, at(1_000)] {
        t.store().reset_lanes(&mail(), to).await?;
        assert_eq!(t.places().await?, [Some(to); 3]);
        for lane in t.store().list_lanes(&mail()).await? {
            let free = (lane.holder(), lane.runs_out_in(), lane.attempt());
            assert_eq!(free, (None, None, None), "{lane:?}");
        }
        let there = to.position().get();
        for lease in last.held() {
            let (lane, fence) = (lease.lane().get(), lease.fence());
            off_lease(t.save(moved(lane, fence, Some(there), 9)).await, lane);
        }
        let again = t.claim(claim(&ada)).await?;
        for lease in again.held() {
            assert!(lease.fence() > fences(&last).into_iter().max().unwrap_or(Fence::new(0)));
            assert!(!lease.was_abandoned() && lease.attempt().is_none());
        }
        assert!(!again.held().is_empty(), "{again:?}");
        last = again;
    }
    assert_eq!(t.store().list_lanes(&other).await?[0].checkpoint(), before);
    Ok(())
}

/// Guarantee 10: a reset takes off what is parked after its place, and nothing that is before or at it.
pub async fn a_reset_takes_off_what_is_parked_after_it<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let other = subscription("other");
    for name in [mail(), other.clone()] {
        let writes = vec![
            failed("a", 3, &failure()),
            failed("b", 6, &failure()),
            behind("a", 8),
            behind("a", 5),
            behind("b", 7),
            failed("c", 4, &failure()),
            failed("d", 9, &failure()),
            behind("a", 6),
        ];
        t.park(&name, writes).await?;
    }
    t.claim(claim(&LeaseOwner::new("ada"))).await?;
    t.store().reset_lanes(&mail(), at(5)).await?;
    assert_eq!(t.parked_keys().await?, ["a", "c"]);
    assert_eq!(t.parked("a").await?, [3, 5], "what is at the place stays");
    assert_eq!(t.parked("b").await?, [] as [u64; 0]);
    let key = t.store().parked_key(&mail(), "a").await?.ok_or("gone")?;
    assert_eq!((key.first(), key.events()), (position(3), 2));
    assert_eq!(key.failure(), &failure());
    assert_eq!(t.store().parked_key(&mail(), "d").await?, None);
    assert_eq!(t.store().count_parked(&mail()).await?, 3);
    assert_eq!(t.store().count_parked(&other).await?, 8);
    t.store()
        .reset_lanes(&mail(), Checkpoint::start(StoreEpoch::new()))
        .await?;
    assert_eq!(t.store().count_parked(&mail()).await?, 0);
    assert_eq!(t.parked_keys().await?, [] as [&str; 0]);
    // What came again may be parked again.
    t.park(&mail(), vec![failed("b", 6, &failure()), behind("b", 7)])
        .await?;
    assert_eq!(t.parked("b").await?, [6, 7]);
    Ok(())
}

/// Guarantee 10: a reset carries out a change of the number of lanes that is under way.
pub async fn a_reset_carries_out_another_number<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let ada = LeaseOwner::new("ada");
    let mut last = Fence::new(0);
    for (wanted, next) in [(2, 5), (5, 1)] {
        let grant = t.claim(claim(&ada).wanting(count(wanted))).await?;
        assert_eq!(held(&grant), (0..wanted).collect::<Vec<_>>());
        // Elsewhere than the others.
        let from = t.lane(0).await?.map(|place| place.position().get());
        t.save(moved(0, fence(&grant, 0), from, 50)).await?;
        let grant = t.claim(claim(&ada).wanting(count(next))).await?;
        assert_eq!(
            (grant.lanes().get(), grant.drain_to()),
            (wanted, Some(at(50)))
        );
        t.store().reset_lanes(&mail(), at(7)).await?;
        assert_eq!(t.places().await?, vec![Some(at(7)); usize::from(next)]);
        let grant = t.claim(claim(&ada)).await?;
        assert_eq!((grant.lanes().get(), grant.drain_to()), (next, None));
        for lease in grant.held() {
            assert!(lease.fence() > last, "{grant:?}");
        }
        last = fences(&grant).into_iter().max().unwrap_or(last);
    }
    Ok(())
}

/// `reset_lanes`: a subscription that was never claimed is made, with one lane, at this place.
pub async fn a_reset_makes_what_was_never_claimed<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    t.store().reset_lanes(&mail(), at(4)).await?;
    assert_eq!(t.places().await?, [Some(at(4))]);
    assert_eq!(t.lane(0).await?, Some(at(4)));
    assert_eq!(t.store().list_lanes(&mail()).await?[0].holder(), None);
    let first = claim(&LeaseOwner::new("ada")).starting_at(at(9));
    let grant = t.claim(first.clone()).await?;
    assert_eq!((grant.lanes().get(), held(&grant)), (1, vec![0]));
    assert_eq!(t.places().await?, [Some(at(4))], "it was there");
    t.claim(first.wanting(count(2))).await?;
    assert_eq!(
        t.claim(claim(&LeaseOwner::new("bob"))).await?.lanes().get(),
        2
    );
    assert_eq!(t.places().await?, [Some(at(4)); 2]);
    Ok(())
}

/// Guarantee 10: a reset is one step: nobody sees some lanes here and some there.
pub async fn a_reset_is_one_step<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let ada = LeaseOwner::new("ada");
    t.claim(claim(&ada).wanting(count(5)).starting_at(at(1)))
        .await?;
    let resets = start(2, |number| {
        let store = Arc::clone(t.store());
        async move {
            for round in 0..12 {
                let to = at(10 * (number as u64 + 1) + round);
                store.reset_lanes(&mail(), to).await?;
                tokio::task::yield_now().await;
            }
            Ok::<_, uno_core::StoreError>(())
        }
    });
    loop {
        let ended = resets.iter().all(tokio::task::JoinHandle::is_finished);
        let places = t.places().await?;
        assert_eq!(places.len(), 5);
        assert!(
            places.windows(2).all(|pair| pair[0] == pair[1]),
            "{places:?}"
        );
        if ended {
            break;
        }
        tokio::task::yield_now().await;
    }
    succeed(resets).await?;
    Ok(())
}
