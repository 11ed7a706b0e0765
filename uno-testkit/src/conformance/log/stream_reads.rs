//! Reading one stream: stretches, both ways, page by page, as of a moment.

use uno_core::{AsOf, EventStore as _, ExpectedVersion::Any, ReadStream, StreamId, Version};

use crate::conformance::{
    Harness, Outcome, Trial,
    fixture::{event, events, ids, new_ids, stream, version, versions},
};

/// `read_stream`: a stream that does not exist is an empty stretch, whichever way it is read.
pub async fn a_missing_stream_is_an_empty_stretch<H: Harness>(t: &Trial<H>) -> Outcome {
    t.append(&stream("other"), Any, &events(2)).await?;
    let missing = stream("a");
    assert_eq!(
        t.store()
            .read_stream(ReadStream::forward(missing.clone()))
            .await?,
        []
    );
    assert_eq!(
        t.store()
            .read_stream(ReadStream::backward(missing.clone()))
            .await?,
        []
    );
    assert_eq!(
        t.store()
            .read_stream(ReadStream::forward(missing).from(version(5)))
            .await?,
        []
    );
    Ok(())
}

/// [`ReadStream`]: both ends of a stretch are included.
pub async fn a_stretch_includes_both_ends<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = filled(t, 10).await?;
    for (first, last) in [(1, 10), (3, 7), (5, 5), (1, 1), (10, 10)] {
        let read = ReadStream::forward(notes.clone())
            .from(version(first))
            .to(version(last));
        assert_eq!(
            versions(&t.store().read_stream(read).await?),
            (first..=last).collect::<Vec<_>>()
        );
    }
    Ok(())
}

/// [`ReadStream`]: a stretch may reach beyond what there is, or be empty.
pub async fn a_stretch_may_lie_beyond_the_stream<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = filled(t, 5).await?;
    let max = Version::MAX.get();
    let stretches: [(u64, u64, &[u64]); 6] = [
        (0, 2, &[1, 2]),
        (4, 99, &[4, 5]),
        (6, 9, &[]),
        (4, 2, &[]),
        (0, 0, &[]),
        (max, max, &[]),
    ];
    for (first, last, found) in stretches {
        let read = ReadStream::forward(notes.clone())
            .from(version(first))
            .to(version(last));
        assert_eq!(
            versions(&t.store().read_stream(read).await?),
            found,
            "{first} to {last}"
        );
        let read = ReadStream::backward(notes.clone())
            .from(version(first))
            .to(version(last));
        let mut back = versions(&t.store().read_stream(read).await?);
        back.reverse();
        assert_eq!(back, found, "{last} back to {first}");
    }
    Ok(())
}

/// [`Backward`](uno_core::Direction::Backward): from new to old.
pub async fn backward_goes_from_new_to_old<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = filled(t, 5).await?;
    let read = ReadStream::backward(notes.clone());
    assert_eq!(
        versions(&t.store().read_stream(read).await?),
        [5, 4, 3, 2, 1]
    );
    let read = ReadStream::backward(notes).from(version(2)).to(version(4));
    assert_eq!(versions(&t.store().read_stream(read).await?), [4, 3, 2]);
    Ok(())
}

/// [`ReadStream::limit`]: the first of the stretch, in the order of reading.
pub async fn a_limit_keeps_what_is_read_first<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = filled(t, 6).await?;
    let forward = ReadStream::forward(notes.clone()).from(version(2)).limit(3);
    assert_eq!(versions(&t.store().read_stream(forward).await?), [2, 3, 4]);
    let backward = ReadStream::backward(notes.clone()).to(version(5)).limit(3);
    assert_eq!(versions(&t.store().read_stream(backward).await?), [5, 4, 3]);
    let all = ReadStream::forward(notes).limit(6);
    assert_eq!(t.store().read_stream(all).await?.len(), 6);
    Ok(())
}

/// [`ReadStream::limit`]: nothing, and as much as there can be.
pub async fn a_limit_may_be_zero_or_the_highest<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = filled(t, 3).await?;
    for (limit, found) in [(0, 0), (usize::MAX, 3), (usize::MAX >> 1, 3)] {
        assert_eq!(
            t.store()
                .read_stream(ReadStream::forward(notes.clone()).limit(limit))
                .await?
                .len(),
            found
        );
        assert_eq!(
            t.store()
                .read_stream(ReadStream::backward(notes.clone()).limit(limit))
                .await?
                .len(),
            found
        );
    }
    Ok(())
}

/// [`ReadStream::DEFAULT_LIMIT`]: a read that names no limit is bounded all the same.
pub async fn a_read_without_a_limit_is_bounded<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = filled(t, ReadStream::DEFAULT_LIMIT + 1).await?;
    let page = t
        .store()
        .read_stream(ReadStream::forward(notes.clone()))
        .await?;
    assert_eq!(
        versions(&page),
        (1..=ReadStream::DEFAULT_LIMIT as u64).collect::<Vec<_>>()
    );
    let page = t.store().read_stream(ReadStream::backward(notes)).await?;
    assert_eq!(
        (page.len(), page[0].version()),
        (ReadStream::DEFAULT_LIMIT, version(1001))
    );
    Ok(())
}

/// [`ReadStream`]: pages make up the stream.
pub async fn pages_make_up_the_stream<H: Harness>(t: &Trial<H>) -> Outcome {
    let (notes, new) = (stream("a"), events(23));
    t.append(&notes, Any, &new).await?;
    for limit in [1, 2, 5, 22, 23, 24] {
        let (mut found, mut from) = (Vec::new(), version(1));
        loop {
            let read = ReadStream::forward(notes.clone()).from(from).limit(limit);
            let page = t.store().read_stream(read).await?;
            let Some(last) = page.last() else { break };
            assert!(
                last.version() >= from,
                "a page from {from} on ends at {}",
                last.version()
            );
            from = last.version().next();
            found.extend(ids(&page));
        }
        assert_eq!(found, new_ids(&new), "pages of {limit}");
    }
    Ok(())
}

/// [`AsOf::Position`]: what was recorded up to and with a position.
pub async fn as_of_a_position_shows_what_was_there<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    let mut positions = Vec::new();
    for _ in 0..5 {
        t.append(&notes, Any, &[event()]).await?;
        let other = t.append(&stream("b"), Any, &[event()]).await?;
        positions.extend(other.position());
    }
    for (count, position) in (1..).zip(positions) {
        let read = ReadStream::forward(notes.clone()).as_of(AsOf::Position(position));
        assert_eq!(
            versions(&t.store().read_stream(read).await?),
            (1..=count).collect::<Vec<_>>()
        );
    }
    let own = t.stream(&notes).await?[2].position();
    for (position, count) in [
        (own, 3),
        (own.previous(), 2),
        (uno_core::Position::START, 0),
    ] {
        let read = ReadStream::forward(notes.clone()).as_of(AsOf::Position(position));
        assert_eq!(
            t.store().read_stream(read).await?.len(),
            count,
            "as of {position}"
        );
    }
    Ok(())
}

/// [`AsOf::Time`]: what was recorded up to and with a moment, to the microsecond.
pub async fn as_of_a_time_shows_what_was_there<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    for _ in 0..4 {
        t.later(&notes).await?;
    }
    let all = t.stream(&notes).await?;
    for event in &all {
        let time = event.recorded_at();
        for moment in [time, time - chrono::TimeDelta::microseconds(1)] {
            let known = all
                .iter()
                .filter(|event| event.recorded_at() <= moment)
                .count();
            let read = ReadStream::forward(notes.clone())
                .as_of(AsOf::Time(moment))
                .limit(usize::MAX);
            assert_eq!(
                t.store().read_stream(read).await?,
                all[..known],
                "as of {moment:?}"
            );
        }
    }
    Ok(())
}

/// [`ReadStream::as_of`]: together with a stretch, a direction and a limit.
pub async fn as_of_goes_with_everything_else<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = filled(t, 9).await?;
    let moment = AsOf::Position(t.stream(&notes).await?[5].position());
    let read = ReadStream::backward(notes.clone()).as_of(moment).limit(2);
    assert_eq!(versions(&t.store().read_stream(read).await?), [6, 5]);
    let read = ReadStream::forward(notes.clone())
        .as_of(moment)
        .from(version(5));
    assert_eq!(versions(&t.store().read_stream(read).await?), [5, 6]);
    let read = ReadStream::forward(notes).as_of(moment).from(version(7));
    assert_eq!(t.store().read_stream(read).await?, []);
    Ok(())
}

/// A stream of so many events, with events of another between them in the log.
async fn filled<H: Harness>(t: &Trial<H>, count: usize) -> Result<StreamId, uno_core::BoxError> {
    let notes = stream("filled");
    let half = count / 2;
    t.append(&notes, Any, &events(half)).await?;
    t.append(&stream("between"), Any, &events(3)).await?;
    t.append(&notes, Any, &events(count - half)).await?;
    Ok(notes)
}
