//! A later run of a process takes over from the one before it.

use uno_core::{LaneAttempt, LeaseOwner, LeaseStore as _};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    subscribing::{
        claim, count, fence, fences, given_back, held, mail, moved, off_lease, position,
    },
};

/// Guarantee 1: a claim that takes over takes the lanes of its name at once, and the run before it is fenced out.
pub async fn a_later_run_takes_the_lanes_of_its_name<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (dead, ada) = (LeaseOwner::new("ada"), LeaseOwner::new("ada"));
    let first = t.claim(claim(&dead).wanting(count(4))).await?;
    t.save(moved(0, fence(&first, 0), None, 1)).await?;
    let taken = t.claim(claim(&ada).taking_over()).await?;
    assert_eq!(held(&taken), [0, 1, 2, 3]);
    assert_eq!(
        (taken.owners(), taken.share()),
        (1, 4),
        "the run before it does not share any more"
    );
    for lease in taken.held() {
        let number = lease.lane().get();
        assert!(lease.fence() > fence(&first, number) && lease.was_abandoned());
        off_lease(
            t.save(moved(number, fence(&first, number), None, 2)).await,
            number,
        );
    }
    let (lane, old) = (first.held()[0].lane(), fence(&first, 0));
    let attempt = LaneAttempt::new(mail(), lane, old, position(2), 1);
    off_lease(t.store().note_attempt(attempt).await, 0);
    assert_eq!(held(&t.claim(claim(&dead)).await?), [] as [u16; 0]);
    t.save(moved(0, fence(&taken, 0), Some(1), 2)).await?;
    Ok(())
}

/// Guarantee 1: nobody takes over from another name, nor from its own when it was not asked to.
pub async fn only_the_same_name_is_taken_over<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let ada = LeaseOwner::new("ada");
    let first = t.claim(claim(&ada).wanting(count(2))).await?;
    assert_eq!(
        held(&t.claim(claim(&LeaseOwner::new("ada"))).await?),
        [] as [u16; 0],
        "it does not take over"
    );
    for name in ["bob", "Ada", "ada ", "ad", "", "%", "a_a", "\u{e4}da"] {
        let other = LeaseOwner::new(name);
        let grant = t.claim(claim(&other).taking_over()).await?;
        assert_eq!(held(&grant), [] as [u16; 0], "{name:?}");
    }
    assert_eq!(fences(&t.claim(claim(&ada)).await?), fences(&first));
    Ok(())
}

/// Guarantee 1: who takes over keeps what it holds itself, and takes no more than its share.
pub async fn who_takes_over_keeps_its_own_and_its_share<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let [dead, ada, bob] = ["ada", "ada", "bob"].map(LeaseOwner::new);
    t.claim(claim(&dead).wanting(count(6))).await?;
    t.claim(claim(&bob)).await?;
    t.release(given_back(&dead, &[4, 5])).await?;
    assert_eq!(held(&t.claim(claim(&bob)).await?), [4, 5]);
    let taken = t.claim(claim(&ada).taking_over()).await?;
    assert_eq!(
        (taken.owners(), taken.share(), held(&taken)),
        (2, 3, vec![0, 1, 2])
    );
    for _ in 0..2 {
        let again = t.claim(claim(&ada).taking_over()).await?;
        assert_eq!(fences(&again), fences(&taken));
        assert!(again.held().iter().all(|lease| !lease.was_abandoned()));
    }
    let second = t.claim(claim(&bob)).await?;
    assert_eq!(held(&second), [4, 5], "lane 3 is on the dead run's lease");
    let listed = t.store().list_lanes(&mail()).await?;
    assert_eq!(listed[3].holder(), Some(&dead));
    Ok(())
}
