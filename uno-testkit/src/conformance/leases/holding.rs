//! Who holds a lane, and under which fence.

use std::time::Duration;

use uno_core::{
    CheckpointStore as _, Fence, Lane, LaneClaim, LaneRelease, LeaseOwner, LeaseStore as _,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{HOSTILE, subscription},
    subscribing::{
        LONG, at, bare, brief, claim, count, fence, fences, given_back, held, leaving, mail, moved,
    },
};

/// Guarantee 1: a lane that somebody holds is granted to nobody else, however often they ask.
pub async fn a_held_lane_is_granted_to_nobody_else<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let first = t.claim(claim(&ada).wanting(count(3))).await?;
    assert_eq!(held(&first), [0, 1, 2]);
    for _ in 0..3 {
        let other = t.claim(claim(&bob)).await?;
        assert_eq!(held(&other), [] as [u16; 0], "{other:?}");
    }
    for lane in t.store().list_lanes(&mail()).await? {
        assert_eq!(lane.holder(), Some(&ada));
    }
    let again = t.claim(claim(&ada)).await?;
    assert_eq!(fences(&again), fences(&first));
    Ok(())
}

/// Guarantees 1 and 8: what is given back is free at once, and nothing else is.
pub async fn a_lane_given_back_is_granted_to_another<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let first = t.claim(claim(&ada).wanting(count(4))).await?;
    t.claim(claim(&bob)).await?;
    t.release(given_back(&ada, &[1, 3])).await?;
    let lanes = t.store().list_lanes(&mail()).await?;
    let holders: Vec<_> = lanes.iter().map(|lane| lane.holder().is_some()).collect();
    assert_eq!(holders, [true, false, true, false]);
    assert_eq!(lanes[1].runs_out_in(), None);
    let other = t.claim(claim(&bob)).await?;
    assert_eq!(held(&other), [1, 3]);
    for lane in [1, 3] {
        assert!(fence(&other, lane) > fence(&first, lane), "{other:?}");
    }
    let again = t.claim(claim(&ada)).await?;
    assert_eq!(held(&again), [0, 2]);
    assert_eq!(fence(&again, 2), fence(&first, 2));
    Ok(())
}

/// Guarantee 1: a lane whose lease has run out is free.
pub async fn a_lane_whose_lease_has_run_out_is_granted_to_another<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let first = t.claim(brief(&ada).wanting(count(2))).await?;
    assert_eq!(held(&first), [0, 1]);
    t.run_out(&ada).await?;
    let other = t.claim(claim(&bob)).await?;
    assert_eq!(held(&other), [0, 1]);
    assert!(fence(&other, 0) > fence(&first, 0) && fence(&other, 1) > fence(&first, 1));
    for lane in t.store().list_lanes(&mail()).await? {
        assert_eq!(lane.holder(), Some(&bob));
    }
    Ok(())
}

/// Guarantee 1: no lease has run out before its time, counted from the claim by the store's clock.
pub async fn no_lease_runs_out_before_its_time<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (mut holder, mut other) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    for lease in [20, 150].map(Duration::from_millis) {
        t.release(leaving(&holder)).await?;
        let start = t.now().await?;
        let claimed = LaneClaim::new(mail(), holder.clone(), lease);
        assert_eq!(held(&t.claim(claimed).await?), [0]);
        loop {
            let grant = t.claim(claim(&other)).await?;
            let now = t.now().await?;
            if !grant.held().is_empty() {
                assert!(now >= start + lease, "granted at {now}, of {start}");
                break;
            }
            tokio::task::yield_now().await;
        }
        std::mem::swap(&mut holder, &mut other);
    }
    Ok(())
}

/// Guarantee 2: whoever takes a lane gets a higher fence than it ever had, and who keeps it keeps the fence.
pub async fn fences_rise_when_a_lane_changes_hands<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let mut last = Fence::new(0);
    for round in 0..4 {
        let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
        for (owner, lease) in [
            (&ada, claim(&ada)),
            (&ada, claim(&ada)),
            (&bob, brief(&bob)),
            (&ada, brief(&ada)),
        ] {
            let taken = fence(&t.claim(lease).await?, 0);
            assert!(taken > last, "{taken} after {last} in round {round}");
            for _ in 0..2 {
                let kept = fence(&t.claim(claim(owner)).await?, 0);
                assert_eq!(kept, taken, "who keeps a lane keeps its fence");
            }
            let listed = t.store().list_lanes(&mail()).await?;
            assert_eq!(listed[0].fence(), taken);
            last = taken;
            t.release(leaving(owner)).await?;
            let listed = t.store().list_lanes(&mail()).await?;
            assert_eq!(listed[0].fence(), taken, "the last one is remembered");
        }
    }
    Ok(())
}

/// Guarantee 4: a claim renews every lane that its owner holds, also one whose lease has run out and that nobody has taken.
pub async fn a_claim_renews_what_its_owner_holds<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let first = t.claim(brief(&ada).wanting(count(3))).await?;
    t.run_out(&ada).await?;
    let again = t.claim(claim(&ada)).await?;
    assert_eq!(held(&again), [0, 1, 2]);
    assert_eq!(fences(&again), fences(&first), "nobody has had them since");
    for lane in t.store().list_lanes(&mail()).await? {
        let left = lane.runs_out_in();
        let range = Some(LONG / 2)..=Some(LONG);
        assert!(range.contains(&left), "{lane:?}");
    }
    assert_eq!(held(&t.claim(claim(&bob)).await?), [] as [u16; 0]);
    Ok(())
}

/// Guarantee 4: a lane that was taken from an owner is not granted to it any more.
pub async fn a_lane_that_was_taken_is_not_granted_any_more<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    t.claim(brief(&ada).wanting(count(2))).await?;
    t.run_out(&ada).await?;
    let other = t.claim(claim(&bob)).await?;
    assert_eq!(held(&other), [0, 1]);
    for _ in 0..2 {
        let late = t.claim(claim(&ada)).await?;
        assert_eq!(held(&late), [] as [u16; 0], "{late:?}");
    }
    let again = t.claim(claim(&bob)).await?;
    assert_eq!(fences(&again), fences(&other));
    Ok(())
}

/// Guarantee 8: giving back disturbs no lane that the owner does not hold.
pub async fn a_release_disturbs_nobody_else<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    t.release(leaving(&bob)).await?;
    t.release(given_back(&bob, &[0])).await?;
    assert_eq!(t.store().list_lanes(&mail()).await?, []);
    let first = t.claim(claim(&ada).wanting(count(2))).await?;
    for release in [
        given_back(&bob, &[0, 1]),
        leaving(&bob),
        given_back(&ada, &[]),
        given_back(&ada, &[2, 1_023]),
        LaneRelease::leaving(subscription("other"), ada.clone()),
        // Another run of the same name.
        leaving(&LeaseOwner::new("ada")),
    ] {
        t.release(release.clone()).await?;
        let listed = t.store().list_lanes(&mail()).await?;
        let holders: Vec<_> = listed.iter().map(uno_core::LaneRecord::holder).collect();
        assert_eq!(holders, [Some(&ada), Some(&ada)], "{release:?}");
    }
    assert_eq!(fences(&t.claim(claim(&ada)).await?), fences(&first));
    Ok(())
}

/// `list_lanes`: every lane as it is now, in order, and none when the subscription was never claimed.
pub async fn lanes_are_listed_as_they_are<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let ada = LeaseOwner::new("ada");
    assert_eq!(t.store().list_lanes(&mail()).await?, []);
    t.save(bare(0, None, 3)).await?;
    assert_eq!(t.store().list_lanes(&mail()).await?, [], "never claimed");
    let first = t.claim(claim(&ada)).await?;
    t.save(moved(0, fence(&first, 0), Some(3), 4)).await?;
    let listed = t.store().list_lanes(&mail()).await?;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].lane(), listed[0].fence()),
        (Lane::FIRST, fence(&first, 0))
    );
    assert_eq!(
        (
            listed[0].holder(),
            listed[0].checkpoint(),
            listed[0].attempt()
        ),
        (Some(&ada), Some(at(4)), None)
    );
    assert!(listed[0].runs_out_in() > Some(LONG / 2), "{listed:?}");

    // So many that their numbers, as texts, have another order.
    let other = subscription("other");
    let nobody = LaneClaim::new(other.clone(), ada.clone(), LONG).wanting(count(12));
    t.claim(nobody).await?;
    let listed = t.store().list_lanes(&other).await?;
    let numbers: Vec<_> = listed.iter().map(|lane| lane.lane().get()).collect();
    assert_eq!(numbers, (0..12).collect::<Vec<_>>());
    t.release(LaneRelease::leaving(other.clone(), ada)).await?;
    for lane in t.store().list_lanes(&other).await? {
        let free = (lane.holder(), lane.runs_out_in(), lane.checkpoint());
        assert_eq!(free, (None, None, None), "{lane:?}");
    }
    Ok(())
}

/// `claim_lanes`: subscriptions are apart, and hostile texts as names of subscriptions and owners are nothing but texts.
pub async fn hostile_names_of_owners_are_nothing_but_names<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let owner = LeaseOwner::new("ada");
    let plain = |name: &&str| !name.chars().any(char::is_control);
    let names: Vec<_> = HOSTILE.into_iter().filter(plain).collect();
    for name in names.iter().chain(&["a", "A", "é", "e\u{301}", "a "]) {
        let claim = LaneClaim::new(subscription(name), owner.clone(), LONG).wanting(count(2));
        let grant = t.claim(claim.starting_at(at(5))).await?;
        assert_eq!(held(&grant), [0, 1], "{name:?}");
        let listed = t.store().list_lanes(&subscription(name)).await?;
        assert_eq!((listed.len(), listed[1].holder()), (2, Some(&owner)));
    }
    let release = LaneRelease::leaving(subscription("a"), owner.clone());
    t.release(release).await?;
    for (name, holder) in [("a", None), ("A", Some(&owner))] {
        let listed = t.store().list_lanes(&subscription(name)).await?;
        assert_eq!(listed[0].holder(), holder, "{name}");
    }
    for text in HOSTILE.into_iter().chain(["", &"x".repeat(300)]) {
        let owner = LeaseOwner::new(text);
        assert_eq!(held(&t.claim(claim(&owner)).await?), [0], "{text:?}");
        let listed = t.store().list_lanes(&mail()).await?;
        assert_eq!(listed[0].holder(), Some(&owner));
        t.release(leaving(&owner)).await?;
    }
    assert!(t.store().list_checkpoints().await?.len() >= names.len());
    Ok(())
}
