//! Streams that a commit takes for granted without appending to them.

use std::sync::Arc;

use tokio::sync::Barrier;
use uno_core::{
    CommitError, EventStore as _,
    ExpectedVersion::{Any, Exact},
    StreamAppend, Transactional as _, Version,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{assert_conflict, events, stream, version},
    together::{finish, start},
};

/// Guarantee 3: streams that are as they were let the commit through, and stay as they are.
pub async fn unchanged_streams_let_the_commit_through<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (a, b) = (stream("a"), stream("b"));
    t.append_all(&[(&a, Any, &events(2)), (&b, Any, &events(3))])
        .await?;
    t.commit(|commit| {
        commit.unchanged = vec![(b.clone(), version(3)), (stream("none"), Version::EMPTY)];
        commit
            .appends
            .push(StreamAppend::new(a.clone(), Any, events(1)));
    })
    .await?;
    t.commit(|commit| commit.unchanged.push((a.clone(), version(3))))
        .await?;
    assert_eq!(
        (
            t.stream(&a).await?.len(),
            t.stream(&b).await?.len(),
            t.log().await?.len()
        ),
        (3, 3, 6)
    );
    Ok(())
}

/// Guarantee 3: a stream that has gone on, or has not come so far, is a conflict that says what happened.
pub async fn a_changed_stream_is_a_conflict<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    t.append(&notes, Any, &events(3)).await?;
    for wrong in [version(2), version(4), Version::MAX] {
        let result = t
            .commit(|commit| {
                commit.unchanged.push((notes.clone(), wrong));
                commit
                    .appends
                    .push(StreamAppend::new(stream("b"), Any, events(1)));
            })
            .await;
        match result {
            Err(CommitError::Append(error)) => {
                assert_conflict::<()>(Err(error), &notes, Exact(wrong), 3);
            }
            other => panic!("expected a conflict, and got {other:?}"),
        }
    }
    assert_eq!(t.stream(&stream("b")).await?, []);
    Ok(())
}

/// Guarantee 3: version 0 says that the stream must not exist.
pub async fn a_stream_that_should_not_exist_is_a_conflict<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let notes = stream("a");
    t.commit(|commit| commit.unchanged.push((notes.clone(), Version::EMPTY)))
        .await?;
    t.append(&notes, Any, &events(1)).await?;
    match t
        .commit(|commit| commit.unchanged.push((notes.clone(), Version::EMPTY)))
        .await
    {
        Err(CommitError::Append(error)) => {
            assert_conflict::<()>(Err(error), &notes, Exact(Version::EMPTY), 1);
        }
        other => panic!("expected a conflict, and got {other:?}"),
    }
    Ok(())
}

/// Guarantee 3: of several streams, the one that changed is named.
pub async fn of_several_streams_the_changed_one_is_named<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let streams: Vec<_> = ["c", "a", "b"].into_iter().map(stream).collect();
    for notes in &streams {
        t.append(notes, Any, &events(2)).await?;
    }
    for wrong in 0..streams.len() {
        let result = t
            .commit(|commit| {
                commit.unchanged = streams
                    .iter()
                    .enumerate()
                    .map(|(at, notes)| (notes.clone(), version(if at == wrong { 1 } else { 2 })))
                    .collect();
            })
            .await;
        match result {
            Err(CommitError::Append(error)) => {
                assert_conflict::<()>(Err(error), &streams[wrong], Exact(version(1)), 2);
            }
            other => panic!("expected a conflict, and got {other:?}"),
        }
    }
    Ok(())
}

/// Guarantee 3: of two commits that each append to what the other takes for granted, at most one succeeds, and none waits for ever.
pub async fn two_commits_cannot_both_take_the_other_for_granted<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    for round in 0..15 {
        let (a, b) = (stream(&format!("a{round}")), stream(&format!("b{round}")));
        t.append_all(&[(&a, Any, &events(1)), (&b, Any, &events(1))])
            .await?;
        let barrier = Arc::new(Barrier::new(2));
        let tasks = start(2, |number| {
            let (store, barrier) = (Arc::clone(t.store()), Arc::clone(&barrier));
            let (own, other) = if number == 0 {
                (a.clone(), b.clone())
            } else {
                (b.clone(), a.clone())
            };
            async move {
                let mut commit = uno_core::Commit::new();
                commit.unchanged.push((other, version(1)));
                commit
                    .appends
                    .push(StreamAppend::new(own, Exact(version(1)), events(1)));
                barrier.wait().await;
                store.commit(commit).await
            }
        });
        let results = finish(tasks).await?;
        let won = results.iter().filter(|result| result.is_ok()).count();
        assert!(won <= 1, "both succeeded in round {round}");
        assert!(
            results
                .iter()
                .all(|result| result.as_ref().err().is_none_or(CommitError::is_conflict)),
            "who loses conflicts: {results:?}"
        );
        assert_eq!(
            t.stream(&a).await?.len() + t.stream(&b).await?.len(),
            2 + won
        );
    }
    Ok(())
}

/// Guarantee 3: to take a stream for granted leaves nothing behind that holds up those who append to it.
pub async fn a_stream_taken_for_granted_can_be_appended_to<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let notes = stream("a");
    for length in 0..5 {
        t.commit(|commit| commit.unchanged.push((notes.clone(), version(length))))
            .await?;
        t.append(&notes, Exact(version(length)), &events(1)).await?;
    }
    assert_eq!(
        t.store().head().await?.last(),
        t.log()
            .await?
            .last()
            .map(|event| (event.position(), event.id()))
    );
    assert_eq!(t.stream(&notes).await?.len(), 5);
    Ok(())
}
