//! When timers are due.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uno_core::{BoxError, Due, TimerStore as _};
use uuid::Uuid;

use super::setting::{LONG, due, fire, ids, in_an_hour, past, pending, set, timer};
use crate::conformance::{BackendHarness, Outcome, Trial, fixture::new_uuid};

/// Guarantee 2: those that are due are read in the order of their times, and for one time in that of their ids.
pub async fn timers_are_due_in_the_order_of_their_times<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    // Ids that sort the other way round, so that neither their order nor that of the commits can stand in for the times.
    let id = |number: u128| Uuid::from_u128(number);
    let mut expected = Vec::new();
    for hours in [3, 1, 4, 2] {
        let numbers = [hours * 10, hours * 10 + 1, hours * 10 + 2].map(u128::from);
        let timers = numbers.map(|number| Ok(timer("order", "a", id(number), past(hours)?)));
        let timers: Vec<_> = timers.into_iter().rev().collect::<Result<_, BoxError>>()?;
        set(t, timers).await?;
        expected.push((hours, numbers.map(id)));
    }
    expected.sort_by_key(|(hours, _)| std::cmp::Reverse(*hours));
    let expected: Vec<_> = expected
        .into_iter()
        .flat_map(|(_, mut ids)| {
            ids.sort_unstable();
            ids
        })
        .collect();
    assert_eq!(due(t, "order").await?, expected);
    assert_eq!(pending(t, "order", "a").await?, expected);
    let first = t.store().due_timers("order", 5).await?;
    assert_eq!(ids(first.timers()), expected[..5], "the first ones first");
    Ok(())
}

/// Guarantee 2: no timer is due before its time, which is counted from when the commit takes effect by the store's clock, and
/// it is due from then on.
pub async fn no_timer_is_due_before_its_time<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for micros in [0, 1, 20_000, 300_000] {
        let (id, wait) = (new_uuid(), Duration::from_micros(micros));
        let before = t.store().due_timers("order", 10).await?.now();
        set(t, [timer("order", "a", id, Due::After(wait))]).await?;
        let after = t.store().due_timers("order", 10).await?.now();
        let listed = t.store().list_timers("order", "a").await?;
        let due_at = listed[0].due_at();
        assert!(
            (before + wait..=after + wait).contains(&due_at),
            "{wait:?} after a moment from {before} to {after} is not {due_at}"
        );
        loop {
            let read = t.store().due_timers("order", 10).await?;
            assert_eq!(
                ids(read.timers()).contains(&id),
                read.now() >= due_at,
                "due at {due_at}, by {read:?}"
            );
            if read.now() >= due_at {
                break;
            }
            let left = (due_at - read.now()).to_std()?;
            assert_eq!(read.next_in(), Some(left), "{read:?}");
            tokio::task::yield_now().await;
        }
        fire(t, "order", id).await?;
    }
    Ok(())
}

/// [`Due`]: times that can't be kept are the nearest ones that can, and the earliest is due first.
pub async fn timers_at_the_edges_of_time<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let at = |text: &str| Ok::<_, BoxError>(Due::At(text.parse()?));
    let dues = [
        Due::At(DateTime::<Utc>::MIN_UTC),
        at("0001-01-01T00:00:00.000001Z")?,
        at("1969-12-31T23:59:59.999999Z")?,
        at("1970-01-01T00:00:00Z")?,
        at("2016-12-31T23:59:60.5Z")?,
        at("2017-01-01T00:00:00.500001999Z")?,
        Due::After(Duration::from_secs(7000 * 365 * 24 * 3600)),
        at("9999-12-31T23:59:59.999998Z")?,
        Due::After(Duration::MAX),
        Due::At(DateTime::<Utc>::MAX_UTC),
    ];
    let made: Vec<_> = (1..)
        .zip(dues)
        .map(|(n, due)| (Uuid::from_u128(n), due))
        .collect();
    // One commit for all, in an order that is not that of the times.
    set(
        t,
        made.iter()
            .rev()
            .map(|(id, due)| timer("order", "a", *id, *due)),
    )
    .await?;
    let listed = t.store().list_timers("order", "a").await?;
    let expected: Vec<_> = made.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids(&listed), expected);
    for (timer, (_, due)) in listed.iter().zip(&made) {
        if let Due::At(_) = due {
            assert_eq!(timer.due_at(), due.time(Due::EARLIEST), "{due:?}");
        }
    }
    assert_eq!(listed[8].due_at(), Due::LATEST);
    let read = t.store().due_timers("order", 100).await?;
    assert_eq!(ids(read.timers()), expected[..6]);
    let far = Duration::from_secs(6999 * 365 * 24 * 3600);
    assert!(read.next_in().is_some_and(|wait| wait > far), "{read:?}");
    Ok(())
}

/// `due_timers`: at most so many, and how long until the next one.
pub async fn due_timers_have_a_limit<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    assert_eq!(t.store().due_timers("order", 10).await?.next_in(), None);
    let made: Vec<_> = (0..4).map(|number| (new_uuid(), 9 - number)).collect();
    for (id, hours) in &made {
        set(t, [timer("order", "a", *id, past(*hours)?)]).await?;
    }
    for limit in [0, 1, 3] {
        let read = t.store().due_timers("order", limit).await?;
        let expected: Vec<_> = made[..limit].iter().map(|(id, _)| *id).collect();
        assert_eq!(ids(read.timers()), expected);
        assert_eq!(read.next_in(), Some(Duration::ZERO), "more are due");
    }
    for limit in [4, 5, usize::MAX] {
        let read = t.store().due_timers("order", limit).await?;
        assert_eq!((read.timers().len(), read.next_in()), (4, None));
    }
    let later = [
        timer("order", "b", new_uuid(), Due::After(2 * LONG)),
        in_an_hour("order", "a", new_uuid()),
    ];
    set(t, later).await?;
    for limit in [4, usize::MAX] {
        let read = t.store().due_timers("order", limit).await?;
        assert_eq!(read.timers().len(), 4);
        assert!(
            read.next_in()
                .is_some_and(|wait| wait > LONG / 2 && wait <= LONG),
            "the first that is not due counts: {read:?}"
        );
    }
    let read = t.store().due_timers("order", 3).await?;
    assert_eq!(
        read.next_in(),
        Some(Duration::ZERO),
        "one is due and not here"
    );
    Ok(())
}
