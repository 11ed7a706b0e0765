//! Parked keys and events are read.

use std::collections::BTreeMap;

use uno_core::{ParkedFailure, ParkedKey, ParkingRequest, ParkingStore as _, Position};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{HOSTILE, subscription},
    subscribing::{behind, emptied, event_at, failed, failure, mail, position, taken_off},
};

/// Guarantee 5: keys are listed in the order of their bytes, after a key, and at most so many.
pub async fn keys_are_listed_by_their_bytes<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let mut keys = vec![
        "b",
        "a",
        "Z",
        "é",
        "e",
        "10",
        "9",
        "_",
        "a b",
        "a-",
        "a",
        "中",
        "\u{10ffff}",
        "\u{e000}",
        "order-1",
        "order-10",
        "order-2",
        "Order-1",
    ];
    let writes = (1..).zip(&keys);
    let writes = writes.map(|(number, key)| failed(key, number, &failure()));
    t.park(&mail(), writes.collect()).await?;
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(t.parked_keys().await?, keys);
    for limit in [1, 2, 5, 100] {
        let mut paged: Vec<String> = Vec::new();
        loop {
            let after = paged.last().map(String::as_str);
            let page = t.store().list_parked(&mail(), after, limit).await?;
            assert!(page.len() <= limit, "{page:?}");
            if page.is_empty() {
                break;
            }
            paged.extend(page.iter().map(|key| key.key().to_owned()));
            assert!(paged.len() <= keys.len(), "{paged:?}");
        }
        assert_eq!(paged, keys, "in pages of {limit}");
    }
    assert_eq!(t.store().list_parked(&mail(), None, 0).await?, []);
    // After what is not there.
    let page = t.store().list_parked(&mail(), Some("order"), 2).await?;
    let found: Vec<_> = page.iter().map(ParkedKey::key).collect();
    assert_eq!(found, ["order-1", "order-10"]);
    let last = Some("\u{10ffff}\u{10ffff}");
    assert_eq!(t.store().list_parked(&mail(), last, 9).await?, []);
    Ok(())
}

/// Guarantee 5: the events of a key are read in the order of their positions, after one of them, and at most so many.
pub async fn events_of_a_key_are_read_in_order<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let numbers = [50, 9, 1 << 40, 10, 100, 51, 7];
    let mut writes = vec![failed("a", 50, &failure()), failed("b", 8, &failure())];
    writes.extend(numbers[1..].iter().map(|number| behind("a", *number)));
    t.park(&mail(), writes).await?;
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    assert_eq!(t.parked("a").await?, sorted);
    for (after, limit, expected) in [
        (0, 3, &sorted[..3]),
        (7, 3, &sorted[1..4]),
        (8, 1, &sorted[1..2]),
        (50, 100, &sorted[4..]),
        (1 << 40, 100, &[]),
        (u64::MAX >> 1, 100, &[]),
        (0, 0, &[]),
    ] {
        let events = t
            .store()
            .parked_events(&mail(), "a", position(after), limit)
            .await?;
        let found: Vec<_> = events.iter().map(|event| event.position().get()).collect();
        assert_eq!(found, expected, "after {after}, at most {limit}");
        for event in events {
            assert_eq!(event.event_id(), event_at(event.position().get()));
        }
    }
    let events = t
        .store()
        .parked_events(&mail(), "a", Position::MAX, 10)
        .await?;
    assert_eq!(events, []);
    Ok(())
}

/// Guarantee 5: ten thousand events of one key are parked, counted, read in pages, and taken off at once.
pub async fn ten_thousand_events_of_one_key<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    const EVENTS: u64 = 10_000;
    t.park(
        &mail(),
        vec![failed("a", 1, &failure()), failed("b", 1, &failure())],
    )
    .await?;
    let numbers: Vec<_> = (2..=EVENTS).collect();
    for part in numbers.chunks(500) {
        let writes = part.iter().map(|number| behind("a", *number));
        t.park(&mail(), writes.collect()).await?;
    }
    let key = t.store().parked_key(&mail(), "a").await?.ok_or("gone")?;
    assert_eq!((key.first(), key.events()), (position(1), EVENTS));
    assert_eq!(t.store().count_parked(&mail()).await?, EVENTS + 1);
    let mut after = 0;
    loop {
        let page = t
            .store()
            .parked_events(&mail(), "a", position(after), 700)
            .await?;
        let Some(last) = page.last() else { break };
        let expected: Vec<_> = (after + 1..=EVENTS.min(after + 700)).collect();
        let found: Vec<_> = page.iter().map(|event| event.position().get()).collect();
        assert_eq!(found, expected);
        after = last.position().get();
    }
    assert_eq!(after, EVENTS);
    let handled = (1..=500).map(|number| taken_off("a", number));
    t.park(&mail(), handled.collect()).await?;
    let groups = t.store().parked_groups(&mail()).await?;
    assert_eq!((groups[0].keys(), groups[0].events()), (2, EVENTS - 499));
    t.park(&mail(), vec![emptied("a")]).await?;
    assert_eq!(t.store().count_parked(&mail()).await?, 1);
    Ok(())
}

/// Guarantee 5: keys are grouped by the fingerprints of their failures, in the order of the fingerprints' bytes.
pub async fn keys_are_grouped_by_their_fingerprints<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let prints = [
        "timeout after #",
        "Timeout after #",
        "",
        "é",
        "z",
        "timeout",
    ];
    let (mut expected, mut number) = (BTreeMap::new(), 0);
    for (at, print) in prints.into_iter().enumerate() {
        // Several keys of each; of those, the first by its bytes is not the first that was parked.
        let (mut keys, mut events) = (0, 0);
        for key in ["c", "B", "é"].into_iter().take(at % 3 + 1) {
            let key = format!("{key} {at}");
            number += 10;
            let failure = ParkedFailure::new(1, format!("{print} in {key}"), print);
            t.park(&mail(), vec![failed(&key, number, &failure)])
                .await?;
            let more = (1..=at as u64).map(|next| behind(&key, number + next));
            t.park(&mail(), more.collect()).await?;
            keys += 1;
            events += 1 + at as u64;
        }
        let first = if keys > 1 { "B" } else { "c" };
        expected.insert(print, (format!("{print} in {first} {at}"), keys, events));
    }
    let other = subscription("other");
    t.park(
        &other,
        vec![failed("a", 1, &ParkedFailure::new(1, "z", "z"))],
    )
    .await?;
    let groups = t.store().parked_groups(&mail()).await?;
    let found: Vec<_> = groups
        .iter()
        .map(|group| {
            let all = (group.error().to_owned(), group.keys(), group.events());
            (group.fingerprint(), all)
        })
        .collect();
    assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    assert_eq!(t.store().parked_groups(&other).await?.len(), 1);
    Ok(())
}

/// [`Limits::check_checkpoint`](uno_core::Limits::check_checkpoint): any text of 1 to 1,024 bytes without NUL is a key, and each is a key of its own.
pub async fn hostile_keys_are_nothing_but_keys<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let long = "x".repeat(1_024);
    let wide = "中".repeat(341);
    let mut keys = vec![
        "a",
        "A",
        "a ",
        " a",
        "é",
        "e\u{301}",
        "%",
        "_",
        "\u{1}",
        "\u{7f}",
        &long,
        &long[1..],
        &wide,
    ];
    keys.extend(HOSTILE);
    for (number, key) in (1..).zip(&keys) {
        let number = number * 10;
        let failure = ParkedFailure::new(1, format!("{number}"), "alike");
        t.park(
            &mail(),
            vec![failed(key, number, &failure), behind(key, number + 1)],
        )
        .await?;
    }
    assert_eq!(t.parked_keys().await?.len(), keys.len());
    for (number, key) in (1..).zip(&keys) {
        let number = number * 10;
        let parked = t.store().parked_key(&mail(), key).await?.ok_or("gone")?;
        assert_eq!((parked.key(), parked.events()), (*key, 2));
        assert_eq!(parked.failure().error(), format!("{number}"), "{key:?}");
        assert_eq!(t.parked(key).await?, [number, number + 1]);
        let request = ParkingRequest::Discard;
        assert!(t.store().request(&mail(), key, request).await?);
        let requests = t.store().list_requests(&mail(), 10).await?;
        assert_eq!(requests, [((*key).into(), request)]);
        t.park(&mail(), vec![taken_off(key, number)]).await?;
        assert_eq!(t.parked(key).await?, [number + 1]);
        t.park(&mail(), vec![emptied(key)]).await?;
        assert_eq!(t.store().parked_key(&mail(), key).await?, None);
    }
    Ok(())
}

/// `list_parked`, `parked_key`: what was never parked is not found, also where nothing can be.
pub async fn what_is_not_parked_is_not_found<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (other, long) = (subscription("Mail"), "x".repeat(5_000));
    t.park(&mail(), vec![failed("a", 1, &failure())]).await?;
    assert_eq!(t.store().list_parked(&other, None, 10).await?, []);
    assert_eq!(t.store().parked_key(&other, "a").await?, None);
    assert_eq!(t.store().parked_groups(&other).await?, []);
    assert_eq!(t.store().count_parked(&other).await?, 0);
    assert_eq!(t.store().list_requests(&other, 10).await?, []);
    for nobody in ["", "A", "b", "a\0b", "a\0", &long] {
        assert_eq!(t.store().parked_key(&mail(), nobody).await?, None);
        assert_eq!(t.parked(nobody).await?, [] as [u64; 0], "{nobody:?}");
        let request = ParkingRequest::Retry;
        assert!(!t.store().request(&mail(), nobody, request).await?);
        let all = t.store().request_all(&mail(), nobody, request).await?;
        assert_eq!(all, 0);
    }
    assert_eq!(t.store().list_requests(&mail(), 10).await?, []);
    Ok(())
}
