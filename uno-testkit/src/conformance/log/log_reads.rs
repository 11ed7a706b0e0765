//! Reading the log: both ways, page by page, how far a page has come, as of a moment, and its end.

use uno_core::{
    AsOf, BoxError,
    Direction::{Backward, Forward},
    EventFilter, EventStore as _,
    ExpectedVersion::{Any, NoStream},
    Position, ReadLog,
};

use crate::conformance::{
    Harness, Outcome, Trial,
    fixture::{event, event_name, events, ids, named, positions, stream},
};

/// Guarantee 4: the log has every event, once, in position order.
pub async fn the_log_has_every_event_once_in_position_order<H: Harness>(t: &Trial<H>) -> Outcome {
    mixed(t, 40).await?;
    let log = t.log().await?;
    assert_eq!(log.len(), 40);
    assert!(
        positions(&log).is_sorted_by(|a, b| a < b),
        "{:?}",
        positions(&log)
    );
    assert!(
        positions(&log)[0] > Position::START,
        "the first event has a position of its own"
    );
    Ok(())
}

/// [`ReadLog::after`]: the start is not included.
pub async fn after_does_not_include_the_start<H: Harness>(t: &Trial<H>) -> Outcome {
    mixed(t, 10).await?;
    let log = t.log().await?;
    for (at, event) in log.iter().enumerate() {
        let page = t.store().read_log(ReadLog::after(event.position())).await?;
        assert_eq!(page.events(), &log[at + 1..]);
        let page = t
            .store()
            .read_log(ReadLog::after(event.position().previous()))
            .await?;
        assert_eq!(page.events(), &log[at..]);
    }
    Ok(())
}

/// [`ReadLog::before`]: from new to old, and the start is not included.
pub async fn before_goes_back_and_does_not_include_the_start<H: Harness>(t: &Trial<H>) -> Outcome {
    mixed(t, 10).await?;
    let mut back = t.log().await?;
    back.reverse();
    assert_eq!(
        t.store()
            .read_log(ReadLog::before(Position::MAX))
            .await?
            .events(),
        back
    );
    for (at, event) in back.iter().enumerate() {
        let page = t
            .store()
            .read_log(ReadLog::before(event.position()))
            .await?;
        assert_eq!(page.events(), &back[at + 1..]);
        let page = t
            .store()
            .read_log(ReadLog::before(event.position().next()))
            .await?;
        assert_eq!(page.events(), &back[at..]);
    }
    Ok(())
}

/// [`ReadLog`]: beyond either end there is nothing, and a page of nothing has come nowhere.
pub async fn beyond_the_ends_of_the_log_there_is_nothing<H: Harness>(t: &Trial<H>) -> Outcome {
    for _ in 0..2 {
        let end = t.store().head().await?.position();
        for read in [
            ReadLog::after(end),
            ReadLog::after(end.next()),
            ReadLog::after(Position::MAX),
            ReadLog::before(Position::START),
            ReadLog::before(Position::START.next()),
        ] {
            let page = t.store().read_log(read.clone()).await?;
            assert_eq!(
                (page.events(), page.scanned()),
                ([].as_slice(), None),
                "{read:?}"
            );
        }
        mixed(t, 10).await?;
    }
    Ok(())
}

/// [`ReadLog::limit`]: a full page has come as far as its last event.
pub async fn a_full_page_has_come_to_its_last_event<H: Harness>(t: &Trial<H>) -> Outcome {
    mixed(t, 10).await?;
    let log = t.log().await?;
    for limit in [1, 3, 10] {
        let page = t
            .store()
            .read_log(ReadLog::after(Position::START).limit(limit))
            .await?;
        assert_eq!(page.events(), &log[..limit]);
        assert_eq!(
            page.scanned(),
            Some((log[limit - 1].position(), log[limit - 1].id()))
        );
        let page = t
            .store()
            .read_log(ReadLog::before(Position::MAX).limit(limit))
            .await?;
        let last = &log[10 - limit];
        assert_eq!(page.scanned(), Some((last.position(), last.id())));
        assert_eq!(page.events().last(), Some(last));
    }
    Ok(())
}

/// [`LogPage::new`](uno_core::LogPage::new): a page that is not full has come to the last event of the log, whether or not it fits.
pub async fn a_page_that_is_not_full_has_come_to_the_end<H: Harness>(t: &Trial<H>) -> Outcome {
    mixed(t, 10).await?;
    let last = t.store().head().await?.last();
    assert!(last.is_some(), "there are events");
    for (filter, found) in [(EventFilter::all(), 10), (blue(), 3), (none(), 0)] {
        let page = t
            .store()
            .read_log(
                ReadLog::after(Position::START)
                    .filter(filter.clone())
                    .limit(11),
            )
            .await?;
        assert_eq!(
            (page.events().len(), page.scanned()),
            (found, last),
            "{filter:?}"
        );
    }
    let first = t.log().await?[0].clone();
    let page = t
        .store()
        .read_log(ReadLog::before(Position::MAX).filter(none()))
        .await?;
    assert_eq!(
        page.scanned(),
        Some((first.position(), first.id())),
        "backward, the end is the beginning"
    );
    Ok(())
}

/// [`LogPage::new`](uno_core::LogPage::new): `scanned` is never a number that no event has, though failed appends may leave holes.
pub async fn a_page_comes_to_an_event_and_never_to_a_hole<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    t.append(&notes, Any, &events(3)).await?;
    for _ in 0..3 {
        assert!(
            t.append(&notes, NoStream, &events(2))
                .await
                .is_err_and(|error| error.is_conflict())
        );
    }
    let log = t.log().await?;
    let last = log.last().map(|event| (event.position(), event.id()));
    for filter in [EventFilter::all(), none()] {
        let page = t
            .store()
            .read_log(ReadLog::after(Position::START).filter(filter))
            .await?;
        assert_eq!(page.scanned(), last);
    }
    // And nothing comes to lie below what a reader has seen.
    t.append(&notes, Any, &events(1)).await?;
    let page = t
        .store()
        .read_log(ReadLog::after(log[2].position()))
        .await?;
    assert_eq!(page.events().len(), 1);
    Ok(())
}

/// [`ReadLog::limit`]: a limit of zero reads nothing and comes nowhere; the highest reads all.
pub async fn a_limit_of_the_log_may_be_zero_or_the_highest<H: Harness>(t: &Trial<H>) -> Outcome {
    mixed(t, 10).await?;
    for read in [
        ReadLog::after(Position::START),
        ReadLog::before(Position::MAX),
    ] {
        let page = t.store().read_log(read.clone().limit(0)).await?;
        assert_eq!(
            (page.events(), page.scanned()),
            ([].as_slice(), None),
            "{read:?}"
        );
        let page = t.store().read_log(read.limit(usize::MAX)).await?;
        assert_eq!(page.events().len(), 10);
    }
    Ok(())
}

/// [`ReadLog::DEFAULT_LIMIT`]: a read that names no limit is bounded all the same.
pub async fn a_read_of_the_log_without_a_limit_is_bounded<H: Harness>(t: &Trial<H>) -> Outcome {
    t.append(&stream("a"), Any, &events(ReadLog::DEFAULT_LIMIT + 1))
        .await?;
    for read in [
        ReadLog::after(Position::START),
        ReadLog::before(Position::MAX),
    ] {
        assert_eq!(
            t.store().read_log(read).await?.events().len(),
            ReadLog::DEFAULT_LIMIT
        );
    }
    Ok(())
}

/// Guarantee 4: pages make up the log, whatever their size, the filter and the direction.
pub async fn pages_make_up_the_log<H: Harness>(t: &Trial<H>) -> Outcome {
    mixed(t, 30).await?;
    for filter in [
        EventFilter::all(),
        blue(),
        none(),
        EventFilter::all().categories([stream("a").category().clone()]),
    ] {
        let all = t.matching(filter.clone()).await?;
        let mut back = all.clone();
        back.reverse();
        for limit in [1, 2, 7, 29, 30, 31] {
            assert_eq!(
                t.paged(&filter, Forward, limit).await?,
                all,
                "{filter:?} in pages of {limit}"
            );
            assert_eq!(
                t.paged(&filter, Backward, limit).await?,
                back,
                "{filter:?} back in pages of {limit}"
            );
        }
    }
    Ok(())
}

/// [`AsOf::Position`]: the log as it was, and no page comes further than that.
pub async fn the_log_as_of_a_position_ends_there<H: Harness>(t: &Trial<H>) -> Outcome {
    mixed(t, 10).await?;
    let log = t.log().await?;
    for (at, event) in log.iter().enumerate() {
        let moment = AsOf::Position(event.position());
        let page = t
            .store()
            .read_log(ReadLog::after(Position::START).as_of(moment))
            .await?;
        assert_eq!(page.events(), &log[..=at]);
        for filter in [EventFilter::all(), none()] {
            let page = t
                .store()
                .read_log(ReadLog::after(Position::START).as_of(moment).filter(filter))
                .await?;
            assert_eq!(
                page.scanned(),
                Some((event.position(), event.id())),
                "no further than it reads"
            );
        }
        let page = t
            .store()
            .read_log(ReadLog::before(Position::MAX).as_of(moment).limit(1))
            .await?;
        assert_eq!(ids(page.events()), [event.id()]);
    }
    let page = t
        .store()
        .read_log(ReadLog::after(Position::START).as_of(AsOf::Position(Position::START)))
        .await?;
    assert_eq!((page.events(), page.scanned()), ([].as_slice(), None));
    Ok(())
}

/// [`AsOf::Time`]: the log as it was, and no page comes further than that.
pub async fn the_log_as_of_a_time_ends_there<H: Harness>(t: &Trial<H>) -> Outcome {
    for key in ["a", "b", "a"] {
        t.later(&stream(key)).await?;
    }
    let log = t.log().await?;
    for event in &log {
        for moment in [
            event.recorded_at(),
            event.recorded_at() - chrono::TimeDelta::microseconds(1),
        ] {
            let known = log
                .iter()
                .filter(|event| event.recorded_at() <= moment)
                .count();
            let read = ReadLog::after(Position::START)
                .as_of(AsOf::Time(moment))
                .limit(usize::MAX);
            let page = t.store().read_log(read.clone()).await?;
            assert_eq!(page.events(), &log[..known], "as of {moment:?}");
            let end = known
                .checked_sub(1)
                .map(|last| (log[last].position(), log[last].id()));
            assert_eq!(page.scanned(), end);
            assert_eq!(
                t.store().read_log(read.filter(none())).await?.scanned(),
                end
            );
        }
    }
    Ok(())
}

/// [`Head`](uno_core::Head): the end of an empty log.
pub async fn the_head_of_an_empty_log_is_the_start<H: Harness>(t: &Trial<H>) -> Outcome {
    let head = t.store().head().await?;
    assert_eq!((head.last(), head.position()), (None, Position::START));
    let receipt = t.append(&stream("a"), Any, &[event()]).await?;
    assert_eq!(
        receipt.epoch(),
        head.epoch(),
        "the life of a store begins before its first event"
    );
    Ok(())
}

/// [`Head`](uno_core::Head): the last event of the log, after each append.
pub async fn the_head_is_the_last_event<H: Harness>(t: &Trial<H>) -> Outcome {
    for count in [1, 3, 2] {
        let new = events(count);
        let receipt = t
            .append_all(&[(&stream("b"), Any, &events(2)), (&stream("a"), Any, &new)])
            .await?;
        let (head, log) = (t.store().head().await?, t.log().await?);
        assert_eq!(
            head.last(),
            log.last().map(|event| (event.position(), event.id()))
        );
        assert_eq!(
            (Some(head.position()), head.epoch()),
            (receipt.position(), receipt.epoch())
        );
    }
    Ok(())
}

/// So many events in three streams; every third is blue.
async fn mixed<H: Harness>(t: &Trial<H>, count: usize) -> Result<(), BoxError> {
    for number in 0..count {
        let name = if number % 3 == 1 { "blue" } else { "noted" };
        let notes = stream(["a", "b", "c"][number % 7 % 3]);
        t.append(&notes, Any, &[named(name, "{}")]).await?;
    }
    Ok(())
}

fn blue() -> EventFilter {
    EventFilter::all().names([event_name("blue")])
}

/// A filter that nothing fits.
fn none() -> EventFilter {
    EventFilter::all().names([event_name("never_happened")])
}
