//! How the lanes are shared by those who ask for them.

use std::collections::BTreeSet;

use uno_core::{LaneGrant, LeaseOwner, LeaseStore as _};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    subscribing::{brief, claim, count, fence, fences, given_back, held, leaving, mail},
};

/// Guarantee 3: every number of owners comes to hold all lanes, each its share, and no share is larger than another by more than one.
pub async fn lanes_are_shared_evenly<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let mut owners: Vec<LeaseOwner> = Vec::new();
    for number in 1..=5 {
        owners.push(LeaseOwner::new(format!("owner {number}")));
        // Of seven, then: 7, 4 + 3, 3 + 2 + 2, 2 + 2 + 2 + 1, 2 + 2 + 1 + 1 + 1.
        shared(t, &owners, 7).await;
    }
    while owners.len() > 1 {
        let gone = owners.remove(0);
        t.release(leaving(&gone)).await?;
        shared(t, &owners, 7).await;
    }
    Ok(())
}

/// Guarantee 3: where there are more owners than lanes, some hold none.
pub async fn more_owners_than_lanes_share_them<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let mut owners: Vec<LeaseOwner> = Vec::new();
    for number in 1..=4 {
        owners.push(LeaseOwner::new(format!("owner {number}")));
        shared(t, &owners, 2).await;
    }
    Ok(())
}

/// Lets owners claim and give back what is beyond their share until nothing changes any more, and looks at what came of it.
async fn shared<H: BackendHarness>(t: &Trial<H>, owners: &[LeaseOwner], lanes: u16) {
    let mut before: Vec<LaneGrant> = Vec::new();
    for _ in 0..100 {
        let mut now = Vec::new();
        for owner in owners {
            let grant = t.claim(claim(owner).wanting(count(lanes))).await;
            let grant = grant.expect("a claim that nothing is in the way of");
            let beyond = held(&grant).split_off(grant.held().len().min(grant.share().into()));
            if !beyond.is_empty() {
                let release = given_back(owner, &beyond);
                t.release(release).await.expect("lanes that are held");
            }
            now.push(grant);
        }
        if now == before {
            break;
        }
        before = now;
    }
    let mut all = BTreeSet::new();
    for grant in &before {
        assert_eq!(
            (grant.lanes().get(), grant.owners() as usize),
            (lanes, owners.len())
        );
        assert_eq!(held(grant).len(), usize::from(grant.share()), "{before:?}");
        for lane in held(grant) {
            assert!(all.insert(lane), "{lane} is held twice: {before:?}");
        }
    }
    assert_eq!(all.len(), usize::from(lanes), "all are held: {before:?}");
    let shares: Vec<_> = before.iter().map(LaneGrant::share).collect();
    let (least, most) = (shares.iter().min(), shares.iter().max());
    let even = least
        .zip(most)
        .is_some_and(|(least, most)| most - least <= 1);
    assert!(even, "{shares:?}");
}

/// Guarantee 3: the remainder goes to those who hold most, so that as little as possible changes hands.
pub async fn the_remainder_is_for_those_who_hold_most<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let [ada, bob, cid] = ["ada", "bob", "cid"].map(LeaseOwner::new);
    t.claim(claim(&ada).wanting(count(7))).await?;
    let second = t.claim(claim(&bob)).await?;
    assert_eq!((second.owners(), second.share()), (2, 3));
    let first = t.claim(claim(&ada)).await?;
    assert_eq!((first.owners(), first.share()), (2, 4));
    t.release(given_back(&ada, &[4, 5, 6])).await?;
    let second = t.claim(claim(&bob)).await?;
    assert_eq!((second.share(), held(&second)), (3, vec![4, 5, 6]));

    let third = t.claim(claim(&cid)).await?;
    assert_eq!((third.owners(), third.share()), (3, 2));
    assert_eq!(t.claim(claim(&ada)).await?.share(), 3);
    assert_eq!(t.claim(claim(&bob)).await?.share(), 2);
    t.release(given_back(&ada, &[3])).await?;
    t.release(given_back(&bob, &[6])).await?;
    let third = t.claim(claim(&cid)).await?;
    assert_eq!((third.share(), held(&third)), (2, vec![3, 6]));
    assert_eq!(held(&t.claim(claim(&ada)).await?), [0, 1, 2]);
    assert_eq!(held(&t.claim(claim(&bob)).await?), [4, 5]);
    Ok(())
}

/// Guarantee 3: a claim takes free lanes, the lowest first, up to the share and no further.
pub async fn free_lanes_are_taken_lowest_first<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    t.claim(claim(&ada).wanting(count(6))).await?;
    t.claim(claim(&bob)).await?;
    t.release(given_back(&ada, &[5, 1, 3, 4])).await?;
    let second = t.claim(claim(&bob)).await?;
    assert_eq!((second.share(), held(&second)), (3, vec![1, 3, 4]));
    let first = t.claim(claim(&ada)).await?;
    assert_eq!((first.share(), held(&first)), (3, vec![0, 2, 5]));
    Ok(())
}

/// Guarantee 3: what is held beyond the share is kept, and renewed, until it is given back.
pub async fn a_surplus_is_kept_until_it_is_given_back<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    let all = t.claim(claim(&ada).wanting(count(4))).await?;
    for _ in 0..2 {
        assert_eq!(held(&t.claim(claim(&bob)).await?), [] as [u16; 0]);
        let first = t.claim(claim(&ada)).await?;
        assert_eq!((first.share(), fences(&first)), (2, fences(&all)));
    }
    t.release(given_back(&ada, &[0])).await?;
    assert_eq!(held(&t.claim(claim(&bob)).await?), [0]);
    let first = t.claim(claim(&ada)).await?;
    assert_eq!((first.share(), held(&first)), (2, vec![1, 2, 3]));
    assert_eq!(fence(&first, 1), fence(&all, 1));
    Ok(())
}

/// Guarantee 3: an owner whose lease has run out does not share any more.
pub async fn who_has_not_claimed_within_its_lease_is_not_counted<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    t.claim(claim(&ada).wanting(count(4))).await?;
    t.claim(claim(&bob)).await?;
    t.release(given_back(&ada, &[2, 3])).await?;
    let second = t.claim(brief(&bob)).await?;
    assert_eq!((second.owners(), held(&second)), (2, vec![2, 3]));
    t.run_out(&bob).await?;
    let first = t.claim(claim(&ada)).await?;
    assert_eq!((first.owners(), first.share()), (1, 4));
    assert_eq!(held(&first), [0, 1, 2, 3]);
    let second = t.claim(claim(&bob)).await?;
    assert_eq!((second.owners(), second.share()), (2, 2), "it is back");
    Ok(())
}

/// Guarantees 3 and 8: who leaves does not share any more, and who gives back its last lane does.
pub async fn who_leaves_is_not_counted<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (ada, bob) = (LeaseOwner::new("ada"), LeaseOwner::new("bob"));
    t.claim(claim(&ada).wanting(count(3))).await?;
    let second = t.claim(claim(&bob)).await?;
    assert_eq!((second.owners(), second.share()), (2, 1));
    t.release(given_back(&ada, &[0, 1, 2])).await?;
    let second = t.claim(claim(&bob)).await?;
    assert_eq!(second.owners(), 2, "it holds nothing, and goes on sharing");
    assert!(second.held().len() < 3, "{second:?}");
    t.release(leaving(&ada)).await?;
    let second = t.claim(claim(&bob)).await?;
    assert_eq!((second.owners(), second.share()), (1, 3));
    assert_eq!(held(&second), [0, 1, 2]);
    t.release(leaving(&bob)).await?;
    let listed = t.store().list_lanes(&mail()).await?;
    assert!(listed.iter().all(|lane| lane.holder().is_none()));
    Ok(())
}
