//! Appending: whole or not at all, in order, without holes.

use std::collections::BTreeSet;

use uno_core::{
    Direction, EventFilter, EventStore as _, ExpectedVersion::Any, ExpectedVersion::NoStream,
    ReadLog, ReadStream,
};

use crate::conformance::{
    Harness, Outcome, Trial,
    fixture::{
        assert_conflict, assert_refused, event, events, exact, ids, named, new_ids, positions,
        stream, stream_in, version, versions,
    },
};

/// Guarantee 8: what was appended is read back, in its order.
pub async fn events_come_back_in_the_order_they_were_appended<H: Harness>(t: &Trial<H>) -> Outcome {
    let (notes, first, second) = (stream("a"), events(7), events(3));
    t.append(&notes, Any, &first).await?;
    t.append(&notes, Any, &second).await?;
    let all = [new_ids(&first), new_ids(&second)].concat();
    assert_eq!(ids(&t.stream(&notes).await?), all);
    assert_eq!(ids(&t.log().await?), all);
    Ok(())
}

/// Guarantee 3: the events of a stream have versions 1, 2, 3, …, however they are appended.
pub async fn versions_rise_from_one_without_holes<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    for count in [1, 3, 1, 2] {
        t.append(&notes, Any, &events(count)).await?;
        t.append(&stream("b"), Any, &[event()]).await?;
    }
    assert_eq!(versions(&t.stream(&notes).await?), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(versions(&t.stream(&stream("b")).await?), [1, 2, 3, 4]);
    Ok(())
}

/// Guarantee 3: an append that fails takes no version.
pub async fn a_failed_append_leaves_no_hole_in_the_versions<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    t.append(&notes, Any, &events(2)).await?;
    assert_conflict(
        t.append(&notes, exact(1), &events(3)).await,
        &notes,
        exact(1),
        2,
    );
    t.append(&notes, exact(2), &events(2)).await?;
    assert_eq!(versions(&t.stream(&notes).await?), [1, 2, 3, 4]);
    Ok(())
}

/// Guarantee 4: positions rise from event to event, in one append and from one append to the next.
pub async fn positions_rise_in_the_order_of_the_appends<H: Harness>(t: &Trial<H>) -> Outcome {
    let mut appended = Vec::new();
    for key in ["a", "b", "a", "c", "b"] {
        let batch = events(3);
        t.append(&stream(key), Any, &batch).await?;
        appended.extend(new_ids(&batch));
    }
    let log = t.log().await?;
    assert_eq!(ids(&log), appended);
    assert!(
        positions(&log).is_sorted_by(|a, b| a < b),
        "positions rise: {:?}",
        positions(&log)
    );
    Ok(())
}

/// Guarantee 4: within a stream, positions rise with versions, also when one append writes to several streams.
pub async fn positions_rise_with_versions<H: Harness>(t: &Trial<H>) -> Outcome {
    let (a, b) = (stream("a"), stream("b"));
    for _ in 0..5 {
        t.append_all(&[(&b, Any, &events(3)), (&a, Any, &events(2))])
            .await?;
        t.append_all(&[(&a, Any, &events(2)), (&b, Any, &events(1))])
            .await?;
    }
    for notes in [a, b] {
        let events = t.stream(&notes).await?;
        assert_eq!(versions(&events), (1..=20).collect::<Vec<_>>());
        assert!(
            positions(&events).is_sorted_by(|a, b| a < b),
            "{notes}: {:?}",
            positions(&events)
        );
    }
    Ok(())
}

/// Guarantee 1: an append to several streams stores all of it.
pub async fn an_append_to_several_streams_stores_all_of_it<H: Harness>(t: &Trial<H>) -> Outcome {
    let streams: Vec<_> = ["c", "a", "d", "b"].into_iter().map(stream).collect();
    let batches: Vec<_> = (1..=4).map(events).collect();
    let appends: Vec<_> = streams
        .iter()
        .zip(&batches)
        .map(|(notes, batch)| (notes, Any, batch.as_slice()))
        .collect();
    t.append_all(&appends).await?;
    for (notes, batch) in streams.iter().zip(&batches) {
        assert_eq!(ids(&t.stream(notes).await?), new_ids(batch), "{notes}");
    }
    assert_eq!(t.log().await?.len(), 10);
    Ok(())
}

/// Guarantee 1: when one stream of an append is not as expected, none of its streams changes.
pub async fn an_append_to_several_streams_stores_nothing_when_one_conflicts<H: Harness>(
    t: &Trial<H>,
) -> Outcome {
    let (a, b, c) = (stream("a"), stream("b"), stream("c"));
    t.append(&b, Any, &[event()]).await?;
    for order in [[&a, &b, &c], [&c, &b, &a], [&b, &a, &c], [&a, &c, &b]] {
        let new = events(3);
        let appends: Vec<_> = order
            .into_iter()
            .zip(new.chunks(1))
            .map(|(notes, new)| (notes, NoStream, new))
            .collect();
        assert_conflict(t.append_all(&appends).await, &b, NoStream, 1);
    }
    assert_eq!(t.stream(&a).await?, []);
    assert_eq!(t.stream(&c).await?, []);
    assert_eq!(t.log().await?.len(), 1);
    Ok(())
}

/// Guarantee 1: an append that fails leaves no trace, neither in the stream, nor in the log, nor at its end.
pub async fn a_failed_append_leaves_no_trace<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    t.append(&notes, Any, &events(2)).await?;
    let (log, head) = (t.log().await?, t.store().head().await?);
    assert_conflict(
        t.append(&notes, NoStream, &events(5)).await,
        &notes,
        NoStream,
        2,
    );
    assert_eq!(t.stream(&notes).await?, log);
    assert_eq!(t.log().await?, log);
    assert_eq!(t.store().head().await?, head);
    Ok(())
}

/// `append`: the receipt says which versions the events got, and the position of the last one.
pub async fn the_receipt_says_where_the_events_are<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    t.append(&notes, Any, &events(2)).await?;
    let receipt = t.append(&notes, exact(2), &events(3)).await?;
    let [part] = receipt.streams() else {
        panic!("one stream: {receipt:?}")
    };
    assert_eq!(
        (part.stream(), part.first(), part.last()),
        (&notes, version(3), version(5))
    );
    let last = t.log().await?.last().map(|event| event.position());
    assert_eq!((receipt.position(), last.is_some()), (last, true));
    assert_eq!(receipt.epoch(), t.store().head().await?.epoch());
    Ok(())
}

/// `append`: the receipt names the streams in the order of the request, whatever order they are written in.
pub async fn the_receipt_has_the_order_of_the_request<H: Harness>(t: &Trial<H>) -> Outcome {
    let (a, b, c) = (stream("a"), stream("b"), stream("c"));
    t.append(&a, Any, &events(4)).await?;
    let receipt = t
        .append_all(&[
            (&c, Any, &events(1)),
            (&a, Any, &events(2)),
            (&b, Any, &events(3)),
        ])
        .await?;
    let found: Vec<_> = receipt
        .streams()
        .iter()
        .map(|part| (part.stream(), part.first().get(), part.last().get()))
        .collect();
    assert_eq!(found, [(&c, 1, 1), (&a, 5, 6), (&b, 1, 3)]);
    assert_eq!(
        receipt.position(),
        t.log().await?.last().map(|event| event.position())
    );
    Ok(())
}

/// `append`: an empty list appends nothing.
pub async fn an_empty_list_appends_nothing<H: Harness>(t: &Trial<H>) -> Outcome {
    t.append(&stream("a"), Any, &[event()]).await?;
    let before = t.store().head().await?;
    let receipt = t.store().append(Vec::new()).await?;
    assert_eq!(
        (receipt.position(), receipt.streams()),
        (None, [].as_slice())
    );
    assert_eq!(receipt.epoch(), before.epoch());
    assert_eq!(t.store().head().await?, before);
    Ok(())
}

/// `append`: a stream may occur once.
pub async fn a_stream_that_occurs_twice_is_refused<H: Harness>(t: &Trial<H>) -> Outcome {
    let (a, b) = (stream("a"), stream("b"));
    let result = t
        .append_all(&[
            (&a, Any, &events(1)),
            (&b, Any, &events(1)),
            (&a, Any, &events(1)),
        ])
        .await;
    assert_refused(result, "streams");
    assert_eq!(t.log().await?, []);
    Ok(())
}

/// `append`: a stream must have at least one event.
pub async fn a_stream_without_events_is_refused<H: Harness>(t: &Trial<H>) -> Outcome {
    assert_refused(t.append(&stream("a"), Any, &[]).await, "events");
    assert_refused(
        t.append_all(&[(&stream("a"), Any, &events(1)), (&stream("b"), Any, &[])])
            .await,
        "events",
    );
    assert_eq!(t.log().await?, []);
    Ok(())
}

/// Guarantee 9: after `append` returned, every read sees it.
pub async fn every_read_sees_the_append_that_returned<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    for number in 1..=20 {
        let new = event();
        let receipt = t.append(&notes, Any, std::slice::from_ref(&new)).await?;
        let newest = t
            .store()
            .read_stream(ReadStream::backward(notes.clone()).limit(1))
            .await?;
        assert_eq!(
            (ids(&newest), versions(&newest)),
            (vec![new.id()], vec![number])
        );
        assert_eq!(
            t.store().head().await?.last(),
            receipt.position().map(|position| (position, new.id()))
        );
        assert_eq!(t.log().await?.len() as u64, number);
    }
    Ok(())
}

/// Guarantee 8: an event is the same whichever way it is read.
pub async fn every_way_of_reading_shows_the_same_event<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    t.append(&notes, Any, &events(3)).await?;
    let log = t.log().await?;
    assert_eq!(t.stream(&notes).await?, log);
    assert_eq!(
        t.matching(EventFilter::all().categories([notes.category().clone()]))
            .await?,
        log
    );
    assert_eq!(
        t.paged(&EventFilter::all(), Direction::Forward, 1).await?,
        log
    );
    let mut back = t.store().read_stream(ReadStream::backward(notes)).await?;
    back.reverse();
    assert_eq!(back, log);
    let mut back = t
        .store()
        .read_log(ReadLog::before(uno_core::Position::MAX))
        .await?
        .into_events();
    back.reverse();
    assert_eq!(back, log);
    Ok(())
}

/// Streams with like names are apart: a hyphen, a dot or a letter's case is part of the name.
pub async fn streams_with_like_names_are_apart<H: Harness>(t: &Trial<H>) -> Outcome {
    let names = [
        ("order", "a"),
        ("order", "A"),
        ("order", "a-b"),
        ("order", "a "),
        ("order", " a"),
        ("order", "a%"),
        ("order", "_"),
        ("order.a", "b"),
        ("order_a", "b"),
        ("orders", "a"),
        ("order", "\u{e9}"),
        ("order", "e\u{301}"),
        ("order", "e"),
    ];
    let streams: Vec<_> = names
        .into_iter()
        .map(|(category, key)| stream_in(category, key))
        .collect();
    for notes in &streams {
        t.append(notes, NoStream, &[event()]).await?;
    }
    let mut seen = BTreeSet::new();
    for notes in &streams {
        let events = t.stream(notes).await?;
        assert_eq!(
            (versions(&events), events[0].stream()),
            (vec![1], notes),
            "{notes}"
        );
        assert!(
            seen.insert(events[0].id()),
            "{notes} has an event of its own"
        );
    }
    Ok(())
}

/// Guarantee 12: whatever is appended later, and whatever fails, an event stays as it is.
pub async fn an_event_never_changes<H: Harness>(t: &Trial<H>) -> Outcome {
    let (notes, first) = (stream("a"), events(3));
    t.append(&notes, Any, &first).await?;
    let before = t.stream(&notes).await?;
    t.append(&notes, Any, &events(3)).await?;
    // The same ids with another content: stored already, so nothing is stored, and least of all in their place.
    let changed: Vec<_> = first
        .iter()
        .map(|event| named("changed", "[1]").with_id(event.id()))
        .collect();
    t.append(&notes, exact(0), &changed).await?;
    let _conflict = t.append(&notes, NoStream, &events(1)).await;
    t.store().migrate().await?;
    assert_eq!(t.stream(&notes).await?[..3], before[..]);
    assert_eq!(t.log().await?[..3], before[..]);
    Ok(())
}

/// `append`: as many events as a thousand parameters, and one less.
pub async fn batches_of_999_and_1000_events<H: Harness>(t: &Trial<H>) -> Outcome {
    let (notes, first, second) = (stream("a"), events(999), events(1000));
    t.append(&notes, NoStream, &first).await?;
    t.append(&notes, exact(999), &second).await?;
    let stored = t.stream(&notes).await?;
    assert_eq!(ids(&stored), [new_ids(&first), new_ids(&second)].concat());
    assert_eq!(versions(&stored), (1..=1999).collect::<Vec<_>>());
    Ok(())
}

/// `append`: more events than a statement can have parameters (65,535 in Postgres, 32,766 in SQLite).
pub async fn a_batch_of_65536_events<H: Harness>(t: &Trial<H>) -> Outcome {
    let (notes, batch) = (stream("a"), events(65_536));
    let receipt = t.append(&notes, NoStream, &batch).await?;
    assert_eq!(receipt.streams()[0].last(), version(65_536));
    assert_eq!(ids(&t.stream(&notes).await?), new_ids(&batch));
    assert_eq!(
        t.store().head().await?.last().map(|(_, id)| id),
        batch.last().map(uno_core::NewEvent::id)
    );
    Ok(())
}

/// `append`: one event, exactly as many as a statement can have parameters in Postgres, and a hundred thousand.
pub async fn batches_of_1_and_65535_and_100000_events<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    let mut before = 0;
    for count in [1, 65_535, 100_000] {
        let batch = events(count);
        let expected = exact(before as u64);
        let receipt = t.append(&notes, expected, &batch).await?;
        before += count;
        assert_eq!(receipt.streams()[0].last(), version(before as u64));
        let last = t.store().head().await?.last().map(|(_, id)| id);
        assert_eq!(last, batch.last().map(uno_core::NewEvent::id));
    }
    let stored = t.stream(&notes).await?;
    assert_eq!(stored.len(), before);
    assert!(versions(&stored).into_iter().eq(1..=before as u64));
    Ok(())
}

/// `append`: a thousand streams at once.
pub async fn an_append_to_a_thousand_streams<H: Harness>(t: &Trial<H>) -> Outcome {
    let streams: Vec<_> = (0..1000)
        .map(|number| stream(&format!("{number}")))
        .collect();
    let new = events(1000);
    let appends: Vec<_> = streams
        .iter()
        .zip(&new)
        .map(|(notes, event)| (notes, NoStream, std::slice::from_ref(event)))
        .collect();
    let receipt = t.append_all(&appends).await?;
    assert!(
        receipt
            .streams()
            .iter()
            .map(|part| part.stream())
            .eq(&streams),
        "the receipt has the order of the request"
    );
    assert_eq!(t.log().await?.len(), 1000);
    for (notes, event) in streams.iter().zip(&new).step_by(37) {
        assert_eq!(ids(&t.stream(notes).await?), [event.id()], "{notes}");
    }
    Ok(())
}
