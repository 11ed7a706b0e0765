//! Expected versions: what an append takes for granted, and what a conflict says.

use uno_core::ExpectedVersion::{Any, Exact, NoStream, StreamExists};
use uno_core::Version;

use crate::conformance::{
    Harness, Outcome, Trial,
    fixture::{assert_conflict, event, events, exact, stream, versions},
};

/// Guarantee 2: with nothing expected, an append goes to the end, wherever that is.
pub async fn any_appends_to_a_new_and_to_an_existing_stream<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    t.append(&notes, Any, &events(2)).await?;
    t.append(&notes, Any, &events(2)).await?;
    assert_eq!(versions(&t.stream(&notes).await?), [1, 2, 3, 4]);
    Ok(())
}

/// Guarantee 2: a stream that is expected to be new may be new.
pub async fn no_stream_appends_to_a_new_stream<H: Harness>(t: &Trial<H>) -> Outcome {
    t.append(&stream("other"), Any, &events(3)).await?;
    t.append(&stream("a"), NoStream, &events(2)).await?;
    assert_eq!(versions(&t.stream(&stream("a")).await?), [1, 2]);
    Ok(())
}

/// Guarantees 2 and 6: a stream that is expected to be new, and is not.
pub async fn no_stream_conflicts_with_an_existing_stream<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    t.append(&notes, Any, &events(3)).await?;
    assert_conflict(
        t.append(&notes, NoStream, &[event()]).await,
        &notes,
        NoStream,
        3,
    );
    assert_eq!(t.stream(&notes).await?.len(), 3);
    Ok(())
}

/// Guarantee 2: a stream that is expected to exist may be at any version.
pub async fn stream_exists_appends_to_an_existing_stream<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    t.append(&notes, Any, &events(3)).await?;
    t.append(&notes, StreamExists, &events(2)).await?;
    assert_eq!(versions(&t.stream(&notes).await?), [1, 2, 3, 4, 5]);
    Ok(())
}

/// Guarantees 2 and 6: a stream that is expected to exist, and does not.
pub async fn stream_exists_conflicts_with_a_new_stream<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    t.append(&stream("other"), Any, &events(3)).await?;
    assert_conflict(
        t.append(&notes, StreamExists, &[event()]).await,
        &notes,
        StreamExists,
        0,
    );
    assert_eq!(t.stream(&notes).await?, []);
    Ok(())
}

/// Guarantee 2: the exact version, again and again.
pub async fn exact_appends_at_that_version<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    for number in 0..10 {
        t.append(&notes, exact(number), &[event()]).await?;
    }
    assert_eq!(
        versions(&t.stream(&notes).await?),
        (1..=10).collect::<Vec<_>>()
    );
    Ok(())
}

/// Guarantees 2 and 6: the stream has gone on since.
pub async fn exact_version_conflict_names_actual<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    t.append(&stream("other"), Any, &events(9)).await?;
    t.append(&notes, Any, &events(5)).await?;
    for number in 0..5 {
        assert_conflict(
            t.append(&notes, exact(number), &[event()]).await,
            &notes,
            exact(number),
            5,
        );
    }
    assert_eq!(t.stream(&notes).await?.len(), 5);
    Ok(())
}

/// Guarantees 2 and 6: the stream has not come so far, or is not there at all.
pub async fn an_exact_version_ahead_of_the_stream_conflicts<H: Harness>(t: &Trial<H>) -> Outcome {
    let (notes, missing) = (stream("a"), stream("b"));
    t.append(&notes, Any, &events(2)).await?;
    assert_conflict(
        t.append(&notes, exact(3), &[event()]).await,
        &notes,
        exact(3),
        2,
    );
    assert_conflict(
        t.append(&missing, exact(1), &[event()]).await,
        &missing,
        exact(1),
        0,
    );
    assert_eq!(t.log().await?.len(), 2);
    Ok(())
}

/// [`ExpectedVersion::Exact`](Exact): version 0 is the same as no stream.
pub async fn exact_version_zero_is_no_stream<H: Harness>(t: &Trial<H>) -> Outcome {
    let (notes, empty) = (stream("a"), Exact(Version::EMPTY));
    t.append(&notes, empty, &events(2)).await?;
    assert_conflict(t.append(&notes, empty, &[event()]).await, &notes, empty, 2);
    assert_eq!(versions(&t.stream(&notes).await?), [1, 2]);
    Ok(())
}

/// Guarantee 6: the highest version there can be is a conflict like any other.
pub async fn the_highest_version_is_a_conflict_like_any_other<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    for (length, max) in [
        (0, Exact(Version::MAX)),
        (1, Exact(Version::MAX)),
        (2, Exact(Version::MAX.previous())),
    ] {
        assert_conflict(t.append(&notes, max, &[event()]).await, &notes, max, length);
        t.append(&notes, Any, &[event()]).await?;
    }
    assert_eq!(t.stream(&notes).await?.len(), 3);
    Ok(())
}

/// Guarantee 6: of several streams, the conflict names the one that is not as expected.
pub async fn a_conflict_names_the_stream_of_several<H: Harness>(t: &Trial<H>) -> Outcome {
    let streams: Vec<_> = ["d", "b", "a", "c"].into_iter().map(stream).collect();
    for (length, notes) in (1..).zip(&streams) {
        t.append(notes, Any, &events(length)).await?;
    }
    for (wrong, length) in (0..4).zip(1..) {
        let new = events(4);
        let appends: Vec<_> = (0..4_usize)
            .map(|at| {
                let expected = exact(if at == wrong { 7 } else { at as u64 + 1 });
                (&streams[at], expected, std::slice::from_ref(&new[at]))
            })
            .collect();
        assert_conflict(
            t.append_all(&appends).await,
            &streams[wrong],
            exact(7),
            length,
        );
    }
    assert_eq!(t.log().await?.len(), 10);
    Ok(())
}

/// Guarantee 2: each stream of an append has its own expectation.
pub async fn each_stream_of_an_append_has_its_own_expectation<H: Harness>(t: &Trial<H>) -> Outcome {
    let (a, b, c, d) = (stream("a"), stream("b"), stream("c"), stream("d"));
    t.append_all(&[(&a, Any, &events(2)), (&b, Any, &events(3))])
        .await?;
    t.append_all(&[
        (&d, Any, &events(1)),
        (&c, NoStream, &events(1)),
        (&b, StreamExists, &events(1)),
        (&a, exact(2), &events(1)),
    ])
    .await?;
    for (notes, length) in [(a, 3), (b, 4), (c, 1), (d, 1)] {
        assert_eq!(
            versions(&t.stream(&notes).await?),
            (1..=length).collect::<Vec<_>>(),
            "{notes}"
        );
    }
    Ok(())
}
