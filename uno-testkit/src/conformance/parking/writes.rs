//! Events are parked and taken off.

use uno_core::{ParkedFailure, ParkingRequest, ParkingStore as _, Position};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{HOSTILE, subscription},
    subscribing::{
        behind, emptied, event_at, failed, failure, mail, not_parked, position, taken_off,
    },
};

/// Guarantee 1: an event that failed parks its key, with everything that is told of it.
pub async fn an_event_that_failed_parks_its_key<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    assert_eq!(t.store().parked_key(&mail(), "a").await?, None);
    let before = t.now().await?;
    t.park(&mail(), vec![failed("a", 7, &failure())]).await?;
    let after = t.now().await?;
    let key = t.store().parked_key(&mail(), "a").await?.ok_or("gone")?;
    assert_eq!((key.key(), key.failure()), ("a", &failure()));
    assert_eq!((key.first(), key.events()), (position(7), 1));
    assert_eq!(key.request(), None);
    assert!(
        (before..=after).contains(&key.parked_at()),
        "{key:?} between {before} and {after}"
    );
    let events = t
        .store()
        .parked_events(&mail(), "a", Position::START, 10)
        .await?;
    assert_eq!(
        (events.len(), events[0].position(), events[0].event_id()),
        (1, position(7), event_at(7))
    );
    assert_eq!(t.store().count_parked(&mail()).await?, 1);
    assert_eq!(t.store().list_parked(&mail(), None, 10).await?, [key]);
    Ok(())
}

/// Guarantee 1: a failure replaces the one that was there, and what was asked for is done with; since when the key is parked stays.
pub async fn a_key_is_told_anew_why_it_is_parked<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let writes = vec![failed("a", 5, &failure()), behind("a", 6), behind("a", 7)];
    t.park(&mail(), writes).await?;
    let before = t.store().parked_key(&mail(), "a").await?.ok_or("gone")?;
    while t.now().await? <= before.parked_at() {
        tokio::task::yield_now().await;
    }
    assert!(
        t.store()
            .request(&mail(), "a", ParkingRequest::Retry)
            .await?
    );
    // The first was handled, and the next one failed.
    let other = ParkedFailure::new(1, "another", "something else");
    t.park(
        &mail(),
        vec![taken_off("a", 5), failed("a", 6, &other), behind("a", 9)],
    )
    .await?;
    let key = t.store().parked_key(&mail(), "a").await?.ok_or("gone")?;
    assert_eq!((key.failure(), key.request()), (&other, None));
    assert_eq!((key.first(), key.events()), (position(6), 3));
    assert_eq!(key.parked_at(), before.parked_at());
    assert_eq!(t.store().list_requests(&mail(), 10).await?, []);
    assert_eq!(t.parked("a").await?, [6, 7, 9]);
    // What comes behind changes nothing of it.
    let request = ParkingRequest::Skip;
    assert!(t.store().request(&mail(), "a", request).await?);
    t.park(&mail(), vec![behind("a", 10)]).await?;
    let key = t.store().parked_key(&mail(), "a").await?.ok_or("gone")?;
    assert_eq!((key.failure(), key.request()), (&other, Some(request)));
    Ok(())
}

/// Guarantee 1: parking an event that is parked already keeps its place, and counts it once.
pub async fn an_event_is_parked_once<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let writes = vec![
        failed("a", 5, &failure()),
        behind("a", 6),
        behind("a", 6),
        failed("a", 5, &failure()),
    ];
    t.park(&mail(), writes).await?;
    t.park(&mail(), vec![behind("a", 5), behind("a", 6)])
        .await?;
    let other = ParkedFailure::new(9, "again", "again");
    t.park(&mail(), vec![failed("a", 5, &other)]).await?;
    assert_eq!(t.parked("a").await?, [5, 6]);
    let key = t.store().parked_key(&mail(), "a").await?.ok_or("gone")?;
    assert_eq!((key.first(), key.events()), (position(5), 2));
    assert_eq!(key.failure(), &other);
    assert_eq!(t.store().count_parked(&mail()).await?, 2);
    // Of another key, it is another.
    t.park(&mail(), vec![failed("b", 6, &other)]).await?;
    assert_eq!(t.store().count_parked(&mail()).await?, 3);
    Ok(())
}

/// Guarantee 2: an event is put behind one of its key only; without one, nothing is parked.
pub async fn an_event_behind_needs_its_key<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let other = subscription("other");
    t.park(&other, vec![failed("a", 5, &failure())]).await?;
    t.park(&mail(), vec![failed("b", 5, &failure())]).await?;
    not_parked(t.park(&mail(), vec![behind("a", 6)]).await, "a");
    not_parked(t.park(&mail(), vec![behind("A", 6)]).await, "A");
    // In the wrong order.
    let writes = vec![behind("a", 6), failed("a", 5, &failure())];
    not_parked(t.park(&mail(), writes).await, "a");
    assert_eq!(t.parked_keys().await?, ["b"]);
    t.park(&mail(), vec![failed("a", 5, &failure()), behind("a", 6)])
        .await?;
    t.park(&mail(), vec![behind("a", 7)]).await?;
    assert_eq!(t.parked("a").await?, [5, 6, 7]);
    Ok(())
}

/// Guarantee 3: an event is taken off once; with its last event a key is no longer parked.
pub async fn an_event_is_taken_off_once<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let writes = vec![failed("a", 5, &failure()), behind("a", 6), behind("a", 7)];
    t.park(&mail(), writes).await?;
    t.park(&mail(), vec![failed("b", 8, &failure())]).await?;
    t.park(&mail(), vec![taken_off("a", 6)]).await?;
    for missing in [6, 4, 8] {
        not_parked(t.park(&mail(), vec![taken_off("a", missing)]).await, "a");
    }
    not_parked(
        t.park(&mail(), vec![taken_off("nobody", 5)]).await,
        "nobody",
    );
    let twice = vec![taken_off("a", 5), taken_off("a", 5)];
    not_parked(t.park(&mail(), twice).await, "a");
    assert_eq!(t.parked("a").await?, [5, 7]);
    t.park(&mail(), vec![taken_off("a", 5)]).await?;
    let key = t.store().parked_key(&mail(), "a").await?.ok_or("gone")?;
    assert_eq!((key.first(), key.events()), (position(7), 1));
    t.park(&mail(), vec![taken_off("a", 7)]).await?;
    assert_eq!(t.store().parked_key(&mail(), "a").await?, None);
    assert_eq!(t.parked_keys().await?, ["b"]);
    not_parked(t.park(&mail(), vec![behind("a", 9)]).await, "a");
    not_parked(t.park(&mail(), vec![taken_off("a", 7)]).await, "a");
    assert_eq!(t.store().count_parked(&mail()).await?, 1);
    Ok(())
}

/// Guarantee 4: a key is taken off with all its events, once.
pub async fn a_key_is_emptied_once<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let other = subscription("other");
    for name in [mail(), other.clone()] {
        let writes = vec![failed("a", 5, &failure()), behind("a", 6), behind("a", 7)];
        t.park(&name, writes).await?;
        t.park(&name, vec![failed("b", 8, &failure())]).await?;
    }
    t.park(&mail(), vec![emptied("a")]).await?;
    assert_eq!(t.parked_keys().await?, ["b"]);
    assert_eq!(t.parked("a").await?, [] as [u64; 0]);
    for nobody in ["a", "B", "nobody"] {
        not_parked(t.park(&mail(), vec![emptied(nobody)]).await, nobody);
    }
    let twice = vec![emptied("b"), emptied("b")];
    not_parked(t.park(&mail(), twice).await, "b");
    assert_eq!(t.store().count_parked(&mail()).await?, 1);
    assert_eq!(t.store().count_parked(&other).await?, 4);
    // It can be parked again, as if it never was.
    t.park(&mail(), vec![failed("a", 6, &failure())]).await?;
    assert_eq!(t.parked("a").await?, [6]);
    Ok(())
}

/// [`CheckpointWrite::parking`](uno_core::CheckpointWrite::parking): what is parked and taken off takes effect in its order.
pub async fn what_is_parked_and_taken_off_takes_effect_in_order<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let other = ParkedFailure::new(1, "another", "something else");
    let writes = vec![
        failed("a", 5, &other),
        behind("a", 6),
        taken_off("a", 5),
        failed("a", 6, &failure()),
        failed("b", 1, &other),
        emptied("b"),
        failed("b", 2, &failure()),
        failed("c", 3, &failure()),
        taken_off("c", 3),
    ];
    t.park(&mail(), writes).await?;
    assert_eq!(t.parked_keys().await?, ["a", "b"]);
    assert_eq!(
        (t.parked("a").await?, t.parked("b").await?),
        (vec![6], vec![2])
    );
    for key in t.store().list_parked(&mail(), None, 10).await? {
        assert_eq!(key.failure(), &failure());
    }
    // What is gone by then is not there, though it was.
    for writes in [
        vec![taken_off("a", 6), behind("a", 7)],
        vec![emptied("a"), taken_off("a", 6)],
        vec![emptied("a"), behind("a", 7)],
        vec![
            taken_off("a", 6),
            failed("a", 6, &other),
            taken_off("a", 6),
            taken_off("a", 6),
        ],
        vec![
            taken_off("a", 6),
            failed("a", 6, &other),
            taken_off("a", 6),
            behind("a", 7),
        ],
        vec![behind("a", 8), taken_off("a", 8), taken_off("a", 8)],
    ] {
        not_parked(t.park(&mail(), writes.clone()).await, "a");
        assert_eq!(t.parked("a").await?, [6], "{writes:?}");
    }
    let writes = vec![taken_off("a", 6), failed("a", 6, &other), behind("a", 7)];
    t.park(&mail(), writes).await?;
    assert_eq!(t.parked("a").await?, [6, 7]);
    let key = t.store().parked_key(&mail(), "a").await?.ok_or("gone")?;
    assert_eq!(key.failure(), &other);
    Ok(())
}

/// [`ParkedFailure`]: what went wrong comes back equal, whatever it says and however long it is.
pub async fn a_failure_comes_back_equal<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let long = "é".repeat(ParkedFailure::LONGEST);
    let texts = HOSTILE.into_iter().chain(["", "a\0b", &long]);
    for (number, text) in (1..).zip(texts) {
        let attempts = [1, 0, u32::MAX][number as usize % 3];
        let failure = ParkedFailure::new(attempts, text, format!("{text}{number}"));
        let key = format!("{number}");
        t.park(&mail(), vec![failed(&key, number, &failure)])
            .await?;
        let parked = t.store().parked_key(&mail(), &key).await?.ok_or("gone")?;
        assert_eq!(parked.failure(), &failure, "{text:?}");
        let request = ParkingRequest::Retry;
        let print = failure.fingerprint();
        // Those that were cut may look alike.
        let found = t.store().request_all(&mail(), print, request).await?;
        assert!(found > 0, "{print:?}");
    }
    Ok(())
}
