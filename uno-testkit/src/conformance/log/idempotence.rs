//! Appending the same events again.

use uno_core::{
    AppendError,
    ExpectedVersion::{Any, NoStream, StreamExists},
};

use crate::conformance::{
    Harness, Outcome, Trial,
    fixture::{assert_duplicate, event, events, exact, ids, new_ids, stream, versions},
};

/// Guarantee 5: at an exact version, the same events again store nothing and give the first receipt.
pub async fn repeating_an_exact_append_gives_the_first_receipt<H: Harness>(
    t: &Trial<H>,
) -> Outcome {
    let (notes, new) = (stream("a"), events(3));
    t.append(&notes, Any, &events(2)).await?;
    let first = t.append(&notes, exact(2), &new).await?;
    for _ in 0..3 {
        assert_eq!(t.append(&notes, exact(2), &new).await?, first);
    }
    assert_eq!(versions(&t.stream(&notes).await?), [1, 2, 3, 4, 5]);
    assert_eq!(t.log().await?.len(), 5);
    Ok(())
}

/// Guarantee 5: with nothing expected, too.
pub async fn repeating_an_append_of_any_version_gives_the_first_receipt<H: Harness>(
    t: &Trial<H>,
) -> Outcome {
    let (notes, new) = (stream("a"), events(3));
    let first = t.append(&notes, Any, &new).await?;
    assert_eq!(t.append(&notes, Any, &new).await?, first);
    assert_eq!(ids(&t.stream(&notes).await?), new_ids(&new));
    assert_eq!(t.log().await?.len(), 3);
    Ok(())
}

/// Guarantee 5: with a new stream expected, too, though the stream is there now.
pub async fn repeating_an_append_to_a_new_stream_gives_the_first_receipt<H: Harness>(
    t: &Trial<H>,
) -> Outcome {
    let (notes, new) = (stream("a"), events(3));
    let first = t.append(&notes, NoStream, &new).await?;
    assert_eq!(t.append(&notes, NoStream, &new).await?, first);
    t.append(&notes, Any, &events(2)).await?;
    assert_eq!(t.append(&notes, NoStream, &new).await?, first);
    assert_eq!(t.stream(&notes).await?.len(), 5);
    Ok(())
}

/// Guarantee 5: with an existing stream expected, too.
pub async fn repeating_an_append_to_an_existing_stream_gives_the_first_receipt<H: Harness>(
    t: &Trial<H>,
) -> Outcome {
    let (notes, new) = (stream("a"), events(3));
    t.append(&notes, Any, &events(2)).await?;
    let first = t.append(&notes, StreamExists, &new).await?;
    assert_eq!(t.append(&notes, StreamExists, &new).await?, first);
    assert_eq!(t.stream(&notes).await?.len(), 5);
    Ok(())
}

/// Guarantee 5: others may have appended since; a repeat is no conflict.
pub async fn a_repeat_is_known_after_the_stream_has_gone_on<H: Harness>(t: &Trial<H>) -> Outcome {
    let (notes, new) = (stream("a"), events(2));
    t.append(&notes, Any, &events(1)).await?;
    let first = t.append(&notes, exact(1), &new).await?;
    t.append(&notes, Any, &events(3)).await?;
    t.append(&stream("b"), Any, &events(3)).await?;
    assert_eq!(t.append(&notes, exact(1), &new).await?, first);
    assert_eq!(t.append(&notes, Any, &new).await?, first);
    assert_eq!(t.append(&notes, StreamExists, &new).await?, first);
    assert_eq!(t.stream(&notes).await?.len(), 6);
    Ok(())
}

/// Guarantee 5: an append to several streams, again, with the streams in the order of the second request.
pub async fn repeating_an_append_to_several_streams_gives_the_first_receipt<H: Harness>(
    t: &Trial<H>,
) -> Outcome {
    let (a, b, c) = (stream("a"), stream("b"), stream("c"));
    let (first, second, third) = (events(2), events(1), events(3));
    t.append(&b, Any, &events(1)).await?;
    let request = [
        (&a, NoStream, &first[..]),
        (&b, exact(1), &second[..]),
        (&c, Any, &third[..]),
    ];
    let receipt = t.append_all(&request).await?;
    t.append(&c, Any, &events(1)).await?;
    assert_eq!(t.append_all(&request).await?, receipt);

    let [x, y, z] = request;
    let turned = t.append_all(&[z, x, y]).await?;
    assert_eq!(turned.position(), receipt.position());
    let parts = receipt.streams();
    assert_eq!(
        turned.streams(),
        [parts[2].clone(), parts[0].clone(), parts[1].clone()]
    );
    assert_eq!(t.log().await?.len(), 8);
    Ok(())
}

/// Guarantee 5: events that are stored one after the other, though another append stored them.
pub async fn events_in_a_row_are_a_repeat_however_they_were_appended<H: Harness>(
    t: &Trial<H>,
) -> Outcome {
    let (notes, new) = (stream("a"), events(4));
    let first = t.append(&notes, Any, &new[..2]).await?;
    let second = t.append(&notes, Any, &new[2..]).await?;
    let all = t.append(&notes, Any, &new).await?;
    assert_eq!(all.position(), second.position());
    assert_eq!(
        (
            all.streams()[0].first().get(),
            all.streams()[0].last().get()
        ),
        (1, 4)
    );
    let middle = t.append(&notes, exact(1), &new[1..2]).await?;
    assert_eq!(
        (middle.position(), middle.streams()[0].first().get()),
        (first.position(), 2)
    );
    assert_eq!(t.log().await?.len(), 4);
    Ok(())
}

/// Guarantee 5: an event of another stream.
pub async fn an_event_of_another_stream_is_a_duplicate<H: Harness>(t: &Trial<H>) -> Outcome {
    let (a, b, new) = (stream("a"), stream("b"), event());
    t.append(&a, Any, std::slice::from_ref(&new)).await?;
    for expected in [Any, NoStream] {
        let result = t.append(&b, expected, &[event(), new.clone()]).await;
        assert_duplicate(result, &b, new.id());
    }
    assert_eq!(t.stream(&b).await?, []);
    assert_eq!(t.log().await?.len(), 1);
    Ok(())
}

/// Guarantee 5: an event of the same stream, at another place than the expected version names.
pub async fn an_event_of_another_place_is_a_duplicate<H: Harness>(t: &Trial<H>) -> Outcome {
    let (notes, new) = (stream("a"), events(3));
    t.append(&notes, Any, &new).await?;
    assert_duplicate(
        t.append(&notes, exact(3), &new[1..2]).await,
        &notes,
        new[1].id(),
    );
    assert_duplicate(t.append(&notes, exact(3), &new).await, &notes, new[0].id());
    assert_eq!(ids(&t.stream(&notes).await?), new_ids(&new));
    Ok(())
}

/// Guarantee 5: all stored already, but not in this order or not in a row.
pub async fn events_in_another_order_are_duplicates<H: Harness>(t: &Trial<H>) -> Outcome {
    let (notes, new) = (stream("a"), events(3));
    t.append(&notes, Any, &new).await?;
    for order in [[1, 0].as_slice(), &[0, 2], &[2, 1, 0], &[0, 2, 1]] {
        let again: Vec<_> = order.iter().map(|&at| new[at].clone()).collect();
        let result = t.append(&notes, Any, &again).await;
        assert!(
            matches!(result, Err(AppendError::DuplicateEvent { .. })),
            "{order:?}: {result:?}"
        );
    }
    assert_eq!(ids(&t.stream(&notes).await?), new_ids(&new));
    Ok(())
}

/// Guarantee 5: some stored already, some new: neither a repeat nor an append.
pub async fn an_overlap_is_a_duplicate_and_stores_nothing<H: Harness>(t: &Trial<H>) -> Outcome {
    let (notes, old) = (stream("a"), events(3));
    t.append(&notes, Any, &old).await?;
    let (before, after) = (
        [vec![event()], old.clone()].concat(),
        [old.clone(), vec![event()]].concat(),
    );
    let back = [old[2..].to_vec(), vec![event()]].concat();
    assert_duplicate(t.append(&notes, Any, &before).await, &notes, old[0].id());
    assert_duplicate(t.append(&notes, Any, &after).await, &notes, old[0].id());
    assert_duplicate(t.append(&notes, Any, &back).await, &notes, old[2].id());
    assert_duplicate(t.append(&notes, exact(3), &back).await, &notes, old[2].id());
    // The stream is not where this one wants it, and an event is stored: either may be said, and nothing be done.
    assert!(
        t.append(&notes, exact(0), &after).await.is_err(),
        "an overlap is not a repeat"
    );
    assert_eq!(ids(&t.stream(&notes).await?), new_ids(&old));
    Ok(())
}

/// Guarantee 5: an id twice in one append.
pub async fn an_id_twice_in_one_append_is_a_duplicate<H: Harness>(t: &Trial<H>) -> Outcome {
    let (a, b, new) = (stream("a"), stream("b"), event());
    assert_duplicate(
        t.append(&a, Any, &[new.clone(), event(), new.clone()])
            .await,
        &a,
        new.id(),
    );
    let across = t
        .append_all(&[
            (&a, Any, std::slice::from_ref(&new)),
            (&b, Any, &[event(), new.clone()]),
        ])
        .await;
    assert_duplicate(across, &b, new.id());
    assert_eq!(t.log().await?, []);
    Ok(())
}

/// Guarantee 5: one stream's events are stored already, another's are new: not the append that was.
pub async fn a_repeat_beside_something_new_is_a_duplicate<H: Harness>(t: &Trial<H>) -> Outcome {
    let (a, b, old) = (stream("a"), stream("b"), events(2));
    t.append(&a, NoStream, &old).await?;
    let result = t
        .append_all(&[(&b, Any, &events(1)), (&a, NoStream, &old)])
        .await;
    assert_duplicate(result, &a, old[0].id());
    assert_eq!(t.stream(&b).await?, []);
    assert_eq!(t.log().await?.len(), 2);
    Ok(())
}

/// Guarantees 5 and 6: new events at an old version are a conflict, and not taken for a repeat.
pub async fn new_events_at_an_old_version_are_no_repeat<H: Harness>(t: &Trial<H>) -> Outcome {
    let (notes, old) = (stream("a"), events(2));
    t.append(&notes, exact(0), &old).await?;
    let result = t.append(&notes, exact(0), &events(2)).await;
    assert!(
        result.is_err_and(|error| error.is_conflict()),
        "other ids are other events"
    );
    assert_eq!(ids(&t.stream(&notes).await?), new_ids(&old));
    Ok(())
}

/// Guarantee 5: what failed was not stored, so appending it again is not a repeat.
pub async fn what_failed_can_be_appended_again<H: Harness>(t: &Trial<H>) -> Outcome {
    let (notes, new) = (stream("a"), events(2));
    t.append(&notes, Any, &events(1)).await?;
    assert!(
        t.append(&notes, NoStream, &new)
            .await
            .is_err_and(|error| error.is_conflict())
    );
    let receipt = t.append(&notes, exact(1), &new).await?;
    assert_eq!(
        (
            receipt.streams()[0].first().get(),
            receipt.streams()[0].last().get()
        ),
        (2, 3)
    );
    assert_eq!(ids(&t.stream(&notes).await?)[1..], new_ids(&new));
    Ok(())
}
