//! Another number of lanes.

use uno_core::{BoxError, CheckpointStore as _, Fence, LaneGrant, LeaseOwner, LeaseStore as _};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    subscribing::{
        at, brief, claim, count, fence, fences, given_back, held, leaving, mail, moved, off_lease,
    },
};

/// So many lanes, each moved to its place, all on the lease of this owner.
async fn placed<H: BackendHarness>(
    t: &Trial<H>,
    owner: &LeaseOwner,
    places: &[Option<u64>],
) -> Result<LaneGrant, BoxError> {
    let lanes = u16::try_from(places.len())?;
    let grant = t.claim(claim(owner).wanting(count(lanes))).await?;
    for (lane, place) in (0..).zip(places) {
        if let Some(place) = *place {
            t.save(moved(lane, fence(&grant, lane), None, place))
                .await?;
        }
    }
    Ok(grant)
}

fn highest(grant: &LaneGrant) -> Fence {
    fences(grant).into_iter().max().unwrap_or(Fence::new(0))
}

/// Guarantee 6: a claim that wants more lanes has all of them drained to the furthest place, and then there are more.
pub async fn more_lanes_begin_where_all_were_drained_to<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let first = placed(t, &ada, &[Some(3), Some(7), Some(5)]).await?;
    for claim in [claim(&bob).wanting(count(5)), claim(&bob), claim(&ada)] {
        let grant = t.claim(claim).await?;
        assert_eq!(
            (grant.lanes().get(), grant.drain_to()),
            (3, Some(at(7))),
            "{grant:?}"
        );
    }
    t.save(moved(0, fence(&first, 0), Some(3), 6)).await?;
    t.save(moved(2, fence(&first, 2), Some(5), 7)).await?;
    let grant = t.claim(claim(&ada)).await?;
    assert_eq!(
        (grant.lanes().get(), grant.drain_to(), fences(&grant)),
        (3, Some(at(7)), fences(&first)),
        "lane 0 is not there yet"
    );
    t.save(moved(0, fence(&first, 0), Some(6), 7)).await?;
    let grant = t.claim(claim(&ada)).await?;
    assert_eq!((grant.lanes().get(), grant.drain_to()), (5, None));
    assert_eq!(t.places().await?, [Some(at(7)); 5]);
    for lease in grant.held() {
        assert!(lease.fence() > highest(&first), "{grant:?}");
        assert!(!lease.was_abandoned(), "it was free: {grant:?}");
    }
    let other = t.claim(claim(&bob)).await?;
    assert_eq!((other.lanes().get(), other.drain_to()), (5, None));
    let mut all = [held(&grant), held(&other)].concat();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3, 4]);
    for lane in 0..3 {
        off_lease(
            t.save(moved(lane, fence(&first, lane), Some(7), 8)).await,
            lane,
        );
    }
    let (lane, fence) = (other.held()[0].lane().get(), other.held()[0].fence());
    t.save(moved(lane, fence, Some(7), 8)).await?;
    Ok(())
}

/// Guarantee 6: fewer lanes likewise; and what comes back has a higher fence than it ever had.
pub async fn fewer_lanes_and_more_again<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let ada = LeaseOwner::new("ada");
    let first = placed(t, &ada, &[Some(4), Some(4), Some(4), Some(2)]).await?;
    // Some fences higher than others.
    for _ in 0..3 {
        t.release(given_back(&ada, &[3])).await?;
        t.claim(claim(&ada)).await?;
    }
    let before = t.claim(claim(&ada).wanting(count(2))).await?;
    assert_eq!((before.lanes().get(), before.drain_to()), (4, Some(at(4))));
    assert!(fence(&before, 3) > fence(&first, 3));
    t.save(moved(3, fence(&before, 3), Some(2), 4)).await?;
    let fewer = t.claim(claim(&ada)).await?;
    assert_eq!((fewer.lanes().get(), held(&fewer)), (2, vec![0, 1]));
    assert_eq!(t.places().await?, [Some(at(4)); 2]);
    for gone in [2, 3] {
        assert_eq!(t.lane(gone).await?, None, "lane {gone}");
        off_lease(
            t.save(moved(gone, fence(&before, gone), Some(4), 5)).await,
            gone,
        );
    }
    assert_eq!(t.store().list_checkpoints().await?.len(), 2);
    assert!(fence(&fewer, 0) > fence(&before, 0));

    t.save(moved(0, fence(&fewer, 0), Some(4), 6)).await?;
    t.claim(claim(&ada).wanting(count(4))).await?;
    t.save(moved(1, fence(&fewer, 1), Some(4), 6)).await?;
    let more = t.claim(claim(&ada)).await?;
    assert_eq!(held(&more), [0, 1, 2, 3]);
    assert_eq!(t.places().await?, [Some(at(6)); 4]);
    for lane in 0..4 {
        assert!(
            fence(&more, lane) > fence(&before, lane),
            "lane {lane}: {more:?} after {before:?}"
        );
    }
    Ok(())
}

/// Guarantee 6: lanes that never saved are at the start: they are drained as well, and where none has saved, all are in one place.
pub async fn lanes_that_never_saved_are_drained<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let ada = LeaseOwner::new("ada");
    placed(t, &ada, &[None, None]).await?;
    let same = t.claim(claim(&ada).wanting(count(3))).await?;
    assert_eq!((same.lanes().get(), same.drain_to()), (3, None));
    assert_eq!(t.places().await?, [None; 3]);

    t.save(moved(1, fence(&same, 1), None, 4)).await?;
    let drained = t.claim(claim(&ada).wanting(count(2))).await?;
    assert_eq!(
        (drained.lanes().get(), drained.drain_to()),
        (3, Some(at(4)))
    );
    t.save(moved(0, fence(&same, 0), None, 4)).await?;
    assert_eq!(t.claim(claim(&ada)).await?.lanes().get(), 3);
    t.save(moved(2, fence(&same, 2), None, 4)).await?;
    assert_eq!(t.claim(claim(&ada)).await?.lanes().get(), 2);
    assert_eq!(t.places().await?, [Some(at(4)); 2]);
    Ok(())
}

/// Guarantee 6: what was wanted last counts, also when that is what there is; who wants nothing changes nothing.
pub async fn what_was_wanted_last_counts<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let first = placed(t, &ada, &[Some(1), Some(2)]).await?;
    for wanted in [5, 9, 1] {
        let grant = t.claim(claim(&bob).wanting(count(wanted))).await?;
        assert_eq!((grant.lanes().get(), grant.drain_to()), (2, Some(at(2))));
        assert_eq!(t.claim(claim(&ada)).await?.drain_to(), Some(at(2)));
    }
    let grant = t.claim(claim(&ada).wanting(count(2))).await?;
    assert_eq!((grant.lanes().get(), grant.drain_to()), (2, None));
    assert_eq!(t.claim(claim(&bob)).await?.drain_to(), None);
    t.save(moved(0, fence(&first, 0), Some(1), 2)).await?;
    let grant = t.claim(claim(&ada)).await?;
    assert_eq!(
        (grant.lanes().get(), fences(&grant)),
        (2, fences(&first)),
        "it was called off"
    );

    t.save(moved(0, fence(&first, 0), Some(2), 3)).await?;
    t.claim(claim(&bob).wanting(count(6))).await?;
    t.claim(claim(&ada).wanting(count(3))).await?;
    t.save(moved(1, fence(&first, 1), Some(2), 3)).await?;
    assert_eq!(t.claim(claim(&bob)).await?.lanes().get(), 3);
    assert_eq!(t.places().await?, [Some(at(3)); 3]);
    Ok(())
}

/// Guarantee 6: where a holder goes further before it hears of the place, that is the place from then on.
pub async fn a_holder_that_drags_on_moves_the_place<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let first = placed(t, &ada, &[Some(3), Some(7)]).await?;
    let grant = t.claim(claim(&bob).wanting(count(4))).await?;
    assert_eq!(grant.drain_to(), Some(at(7)));
    // Ada has not asked since.
    t.save(moved(0, fence(&first, 0), Some(3), 9)).await?;
    let grant = t.claim(claim(&bob)).await?;
    assert_eq!((grant.lanes().get(), grant.drain_to()), (2, Some(at(9))));
    t.save(moved(1, fence(&first, 1), Some(7), 9)).await?;
    assert_eq!(t.claim(claim(&bob)).await?.lanes().get(), 4);
    assert_eq!(t.places().await?, [Some(at(9)); 4]);
    Ok(())
}

/// Guarantee 6: while lanes are being drained they are granted as ever, to whoever drains them.
pub async fn lanes_are_granted_while_they_are_drained<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    placed(t, &ada, &[Some(3), Some(7)]).await?;
    t.claim(brief(&ada).wanting(count(1))).await?;
    t.run_out(&ada).await?;
    let grant = t.claim(claim(&bob)).await?;
    assert_eq!(
        (held(&grant), grant.drain_to(), grant.share()),
        (vec![0, 1], Some(at(7)), 2)
    );
    assert!(grant.held().iter().all(|lease| lease.was_abandoned()));
    t.save(moved(0, fence(&grant, 0), Some(3), 7)).await?;
    t.release(leaving(&bob)).await?;
    let grant = t.claim(claim(&ada)).await?;
    assert_eq!((grant.lanes().get(), held(&grant)), (1, vec![0]));
    assert_eq!(t.places().await?, [Some(at(7))]);
    let listed = t.store().list_lanes(&mail()).await?;
    assert_eq!(listed[0].holder(), Some(&ada));
    Ok(())
}
