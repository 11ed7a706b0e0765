//! What people ask for parked keys.

use std::sync::Arc;

use uno_core::{
    BoxError, LeaseOwner, ParkedFailure,
    ParkingRequest::{self, Discard, Retry, Skip},
    ParkingStore as _,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::subscription,
    subscribing::{behind, claim, emptied, failed, failure, fence, mail, moved, taken_off},
};

/// What is asked for, the oldest first.
async fn asked<H: BackendHarness>(t: &Trial<H>) -> Result<Vec<(String, ParkingRequest)>, BoxError> {
    let requests = t.store().list_requests(&mail(), usize::MAX).await?;
    let owned = |(key, request): (Arc<str>, _)| (key.to_string(), request);
    Ok(requests.into_iter().map(owned).collect())
}

fn owned(requests: &[(&str, ParkingRequest)]) -> Vec<(String, ParkingRequest)> {
    let owned = |(key, request): &(&str, _)| ((*key).to_owned(), *request);
    requests.iter().map(owned).collect()
}

/// Guarantee 6: a request is noted for a key that is parked, whoever holds its lane, and for no other.
pub async fn a_request_is_noted_for_a_parked_key<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let grant = t.claim(claim(&LeaseOwner::new("ada"))).await?;
    let writes = ["a", "b", "c"].map(|key| failed(key, 5, &failure()));
    t.save(moved(0, fence(&grant, 0), None, 5).parking(writes.to_vec()))
        .await?;
    for (key, request) in [("a", Retry), ("b", Skip), ("c", Discard)] {
        assert!(t.store().request(&mail(), key, request).await?);
        let parked = t.store().parked_key(&mail(), key).await?.ok_or("gone")?;
        assert_eq!(parked.request(), Some(request));
        assert_eq!((parked.failure(), parked.events()), (&failure(), 1));
    }
    for key in ["A", "d"] {
        assert!(!t.store().request(&mail(), key, Retry).await?);
        assert_eq!(t.store().parked_key(&mail(), key).await?, None);
    }
    let other = subscription("other");
    assert!(!t.store().request(&other, "a", Discard).await?);
    let listed = t.store().list_parked(&mail(), None, 10).await?;
    let requests: Vec<_> = listed.iter().map(uno_core::ParkedKey::request).collect();
    assert_eq!(requests, [Some(Retry), Some(Skip), Some(Discard)]);
    assert_eq!(
        asked(t).await?,
        owned(&[("a", Retry), ("b", Skip), ("c", Discard)])
    );
    Ok(())
}

/// Guarantee 6: requests are listed oldest first; one that replaces another is as old as itself.
pub async fn requests_are_listed_oldest_first<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let keys = ["c", "a", "e", "b", "d"];
    let writes = keys.map(|key| failed(key, 5, &failure()));
    t.park(&mail(), writes.to_vec()).await?;
    for key in keys {
        assert!(t.store().request(&mail(), key, Retry).await?);
    }
    assert_eq!(asked(t).await?, owned(&keys.map(|key| (key, Retry))));
    for limit in 0..=6 {
        let some = t.store().list_requests(&mail(), limit).await?;
        let some: Vec<_> = some.iter().map(|(key, _)| &**key).collect();
        assert_eq!(some, keys[..limit.min(5)], "at most {limit}");
    }
    assert!(t.store().request(&mail(), "a", Discard).await?);
    assert!(t.store().request(&mail(), "c", Retry).await?);
    let expected = [
        ("e", Retry),
        ("b", Retry),
        ("d", Retry),
        ("a", Discard),
        ("c", Retry),
    ];
    assert_eq!(asked(t).await?, owned(&expected));
    let parked = t.store().parked_key(&mail(), "a").await?.ok_or("gone")?;
    assert_eq!(parked.request(), Some(Discard));
    Ok(())
}

/// `request_all`: a request is noted for every key whose failure has this fingerprint, and for no other.
pub async fn a_request_for_all_whose_failures_look_alike<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let alike = |key: &str| ParkedFailure::new(1, format!("no {key}"), "no #");
    let other = ParkedFailure::new(1, "no #", "No #");
    let writes = vec![
        failed("c", 1, &alike("c")),
        failed("a", 2, &alike("a")),
        failed("b", 3, &other),
        failed("d", 4, &alike("d")),
        behind("d", 5),
    ];
    t.park(&mail(), writes.clone()).await?;
    t.park(&subscription("other"), writes).await?;
    assert!(t.store().request(&mail(), "d", Discard).await?);
    assert_eq!(t.store().request_all(&mail(), "no #", Retry).await?, 3);
    let mut requests = asked(t).await?;
    requests.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(requests, owned(&[("a", Retry), ("c", Retry), ("d", Retry)]));
    assert_eq!(t.store().request_all(&mail(), "no", Skip).await?, 0);
    assert_eq!(t.store().request_all(&mail(), "No #", Skip).await?, 1);
    assert_eq!(asked(t).await?.last(), Some(&("b".to_owned(), Skip)));
    let elsewhere = t.store().list_requests(&subscription("other"), 10).await?;
    assert_eq!(elsewhere, []);
    Ok(())
}

/// Guarantees 1, 3, 4 and 6: a request is done with when its key fails anew or is no longer parked, and does not come back with it.
pub async fn a_request_ends_with_its_key<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let parked = || {
        ["a", "b", "c", "d"]
            .map(|key| failed(key, 5, &failure()))
            .to_vec()
    };
    let all = || vec![behind("a", 6), behind("c", 6)];
    t.park(&mail(), [parked(), all()].concat()).await?;
    for key in ["a", "b", "c", "d"] {
        assert!(t.store().request(&mail(), key, Retry).await?);
    }
    let writes = vec![
        // Handled, and one is left: somebody still wants it.
        taken_off("a", 5),
        // Handled, and nothing is left.
        taken_off("b", 5),
        // Passed over.
        emptied("c"),
        // Failed again.
        failed("d", 5, &failure()),
    ];
    t.park(&mail(), writes).await?;
    assert_eq!(asked(t).await?, owned(&[("a", Retry)]));
    t.park(&mail(), parked()).await?;
    assert_eq!(asked(t).await?, []);
    for key in ["a", "b", "c", "d"] {
        let parked = t.store().parked_key(&mail(), key).await?.ok_or("gone")?;
        assert_eq!(parked.request(), None, "{key}");
    }
    Ok(())
}
