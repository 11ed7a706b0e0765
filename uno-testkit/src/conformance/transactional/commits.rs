//! Whole commits: all or nothing, whatever the reason.

use uno_core::{
    Acknowledgement, AppendError, CheckpointWrite, Commit, CommitError, DocumentWrite,
    EventStore as _,
    ExpectedVersion::{Any, NoStream},
    NewMessage, ProcessStatus, ProcessWrite, Stale, StreamAppend, Transactional as _,
};

use super::all_parts::AllParts;
use crate::conformance::{
    BackendHarness, Outcome, Trial, TxOf,
    fixture::{
        assert_conflict, assert_duplicate, assert_refused, event, events, exact, json, new_uuid,
        stream, version,
    },
    together::drop_after,
};

/// Guarantee 1: everything in a commit becomes visible together.
pub async fn everything_in_a_commit_is_carried_out<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let parts = AllParts::prepare(t, "all").await?;
    assert!(!parts.happened(t).await?, "not before it");
    t.store().commit(parts.commit(t)).await?;
    assert!(parts.happened(t).await?, "after it");
    Ok(())
}

/// `commit`: a commit of nothing does nothing, and has a receipt.
pub async fn a_commit_of_nothing_does_nothing<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    t.append(&stream("a"), Any, &[event()]).await?;
    let before = t.store().head().await?;
    let receipt = t.store().commit(Commit::new()).await?;
    assert_eq!(
        (receipt.position(), receipt.streams()),
        (None, [].as_slice())
    );
    assert_eq!(
        (receipt.epoch(), t.store().head().await?),
        (before.epoch(), before)
    );
    Ok(())
}

/// `commit`: a commit without events has a receipt without a position, and is carried out.
pub async fn a_commit_without_events_is_carried_out<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let receipt = t
        .commit(|commit| {
            commit
                .documents
                .push(DocumentWrite::put("notes", "a", json("1")));
        })
        .await?;
    assert_eq!(
        (receipt.position(), receipt.streams()),
        (None, [].as_slice())
    );
    assert_eq!(t.document("notes", "a").await?, Some(json("1")));
    assert_eq!(t.log().await?, []);
    Ok(())
}

/// Guarantee 8: the receipt of a commit says where its events are, as that of an append does.
pub async fn the_receipt_of_a_commit_says_where_its_events_are<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let (a, b) = (stream("a"), stream("b"));
    t.append(&a, Any, &events(2)).await?;
    let receipt = t
        .commit(|commit| {
            commit
                .appends
                .push(StreamAppend::new(b.clone(), NoStream, events(1)));
            commit
                .appends
                .push(StreamAppend::new(a.clone(), exact(2), events(3)));
        })
        .await?;
    let found: Vec<_> = receipt
        .streams()
        .iter()
        .map(|part| (part.stream(), part.first(), part.last()))
        .collect();
    assert_eq!(
        found,
        [(&b, version(1), version(1)), (&a, version(3), version(5))]
    );
    let last = t.log().await?.last().map(|event| event.position());
    assert_eq!((receipt.position(), last.is_some()), (last, true));
    assert_eq!(receipt.epoch(), t.store().head().await?.epoch());
    Ok(())
}

/// Guarantee 1: when a stream is not as expected, nothing else happens either.
pub async fn a_conflict_undoes_everything<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (parts, other) = (AllParts::prepare(t, "all").await?, stream("other"));
    t.append(&other, Any, &events(3)).await?;
    let mut commit = parts.commit(t);
    commit
        .appends
        .push(StreamAppend::new(other.clone(), exact(2), events(1)));
    let result = t.store().commit(commit).await;
    assert!(
        result.as_ref().is_err_and(CommitError::is_conflict),
        "{result:?}"
    );
    assert_conflict(append_error(result), &other, exact(2), 3);
    failed(t, &parts).await
}

/// Guarantee 1: when an event is stored already elsewhere, nothing else happens either.
pub async fn a_duplicate_undoes_everything<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (parts, other, old) = (
        AllParts::prepare(t, "all").await?,
        stream("other"),
        events(2),
    );
    t.append(&stream("old"), Any, &old).await?;
    let mut commit = parts.commit(t);
    commit
        .appends
        .push(StreamAppend::new(other.clone(), Any, old.clone()));
    assert_duplicate(
        append_error(t.store().commit(commit).await),
        &other,
        old[0].id(),
    );
    assert_eq!(t.stream(&other).await?, []);
    failed(t, &parts).await
}

/// Guarantee 1: when an event is refused, nothing else happens either.
pub async fn a_refused_event_undoes_everything<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let parts = AllParts::prepare(t, "all").await?;
    let mut commit = parts.commit(t);
    commit.appends.push(StreamAppend::new(
        stream("other"),
        Any,
        vec![event().with_tags(["\0"])],
    ));
    assert_refused(append_error(t.store().commit(commit).await), "tags");
    failed(t, &parts).await
}

/// Guarantee 8: a commit's appends are refused for what an append is refused for.
pub async fn a_malformed_append_undoes_everything<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let parts = AllParts::prepare(t, "all").await?;
    let mut commit = parts.commit(t);
    commit
        .appends
        .push(StreamAppend::new(parts.stream.clone(), Any, events(1)));
    assert_refused(append_error(t.store().commit(commit).await), "streams");
    let mut commit = parts.commit(t);
    commit
        .appends
        .push(StreamAppend::new(stream("other"), Any, Vec::new()));
    assert_refused(append_error(t.store().commit(commit).await), "events");
    failed(t, &parts).await
}

/// Guarantees 1 and 3: when a stream that should not have changed did, nothing happens.
pub async fn a_change_of_an_unchanged_stream_undoes_everything<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let (parts, read) = (AllParts::prepare(t, "all").await?, stream("read"));
    t.append(&read, Any, &events(3)).await?;
    let mut commit = parts.commit(t);
    commit.unchanged.push((read.clone(), version(2)));
    assert_conflict(
        append_error(t.store().commit(commit).await),
        &read,
        exact(2),
        3,
    );
    failed(t, &parts).await
}

/// Guarantee 1: when a checkpoint is not where it is expected, nothing happens.
pub async fn a_stale_checkpoint_undoes_everything<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (parts, other) = (
        AllParts::prepare(t, "all").await?,
        crate::conformance::fixture::subscription("other"),
    );
    let mut commit = parts.commit(t);
    let checkpoint = uno_core::Checkpoint::start(t.store().head().await?.epoch());
    commit.checkpoints.push(CheckpointWrite::new(
        other.clone(),
        Some(uno_core::Position::MAX),
        checkpoint,
    ));
    let result = t.store().commit(commit).await;
    assert!(
        matches!(&result, Err(CommitError::Stale(Stale::Checkpoint(name))) if *name == other),
        "{result:?}"
    );
    failed(t, &parts).await
}

/// Guarantee 1: when a process instance has another revision, nothing happens.
pub async fn a_stale_process_undoes_everything<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let parts = AllParts::prepare(t, "all").await?;
    let mut commit = parts.commit(t);
    commit.processes.push(ProcessWrite::new(
        "other",
        "key",
        3,
        ProcessStatus::Stuck,
        json("{}"),
    ));
    let result = t.store().commit(commit).await;
    assert!(
        matches!(&result, Err(CommitError::Stale(Stale::Process { .. }))),
        "{result:?}"
    );
    failed(t, &parts).await
}

/// Guarantee 1: when a message was acknowledged already, nothing happens.
pub async fn a_stale_message_undoes_everything<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let parts = AllParts::prepare(t, "all").await?;
    let mut commit = parts.commit(t);
    commit
        .acknowledgements
        .push(Acknowledgement::new("other", new_uuid()));
    let result = t.store().commit(commit).await;
    assert!(
        matches!(&result, Err(CommitError::Stale(Stale::Message { .. }))),
        "{result:?}"
    );
    failed(t, &parts).await
}

/// Guarantee 1: when a message is in its queue already, nothing happens.
pub async fn a_refused_message_undoes_everything<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (parts, waiting) = (AllParts::prepare(t, "all").await?, new_uuid());
    let message = NewMessage::new(
        "other",
        waiting,
        "key",
        "message",
        json("{}"),
        uno_core::Metadata::new(),
    );
    t.commit(|commit| commit.messages.push(message.clone()))
        .await?;
    let mut commit = parts.commit(t);
    commit.messages.push(message);
    let result = t.store().commit(commit).await;
    assert!(
        matches!(&result, Err(CommitError::Append(AppendError::Refused(_)))),
        "{result:?}"
    );
    failed(t, &parts).await
}

/// Guarantees 1 and 2: when the caller's own work fails, nothing happens, and its error is handed back.
pub async fn failing_work_undoes_everything<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let parts = AllParts::prepare(t, "all").await?;
    let mut commit = parts.commit(t);
    commit
        .work
        .push(Box::new(|_| Box::pin(async { Err("out of paper".into()) })));
    commit.work.push(t.harness().put_row("later", "written"));
    match t.store().commit(commit).await {
        Err(CommitError::Work(error)) => assert_eq!(error.to_string(), "out of paper"),
        other => panic!("expected the work's own error, and got {other:?}"),
    }
    assert_eq!(t.row("later").await?, None, "the work after it");
    failed(t, &parts).await
}

/// Guarantee 1: when the caller's own work panics, nothing happens, and the store works on.
pub async fn panicking_work_undoes_everything<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let parts = AllParts::prepare(t, "all").await?;
    let mut commit = parts.commit(t);
    commit.work.push(Box::new(|_| {
        Box::pin(async { panic!("a panic that a case has asked for") })
    }));
    let store = std::sync::Arc::clone(t.store());
    // The panic may go through to the caller, or come as an error.
    let ended = tokio::spawn(async move { store.commit(commit).await }).await;
    assert!(
        !matches!(ended, Ok(Ok(_))),
        "a commit whose work panics can't succeed"
    );
    failed(t, &parts).await
}

/// Guarantee 5: a commit that is dropped after any number of polls happens whole or not at all.
pub async fn a_dropped_commit_happens_whole_or_not_at_all<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    for polls in 0..40 {
        let parts = AllParts::prepare(t, &format!("{polls}")).await?;
        let done = drop_after(polls, t.store().commit(parts.commit(t))).await;
        if let Some(result) = done {
            result?;
            assert!(parts.happened(t).await?, "what returned has happened");
        }
        parts.settle(t).await?;
    }
    Ok(())
}

/// Guarantee 6: a commit whose events are stored already was carried out before: nothing of it is carried out again.
pub async fn a_repeated_commit_changes_nothing<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let parts = AllParts::prepare(t, "all").await?;
    let first = t.store().commit(parts.commit(t)).await?;
    t.commit(|commit| {
        commit
            .documents
            .push(DocumentWrite::put("parts", "all", json("2")));
        commit.work.push(t.harness().put_row("all", "later"));
    })
    .await?;
    for _ in 0..2 {
        assert_eq!(t.store().commit(parts.commit(t)).await?, first);
    }
    assert_eq!(
        t.document("parts", "all").await?,
        Some(json("2")),
        "what was written since stays"
    );
    assert_eq!(t.row("all").await?.as_deref(), Some("later"));
    assert_eq!(t.log().await?.len(), 2);
    Ok(())
}

/// Guarantee 8: `changed` tells of commits, too.
pub async fn a_commit_is_told<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let mark = t.store().change();
    t.commit(|commit| {
        commit
            .appends
            .push(StreamAppend::new(stream("a"), Any, events(1)));
    })
    .await?;
    tokio::time::timeout(std::time::Duration::from_secs(30), t.store().changed(mark)).await?;
    Ok(())
}

/// Nothing of the commit happened, and the store works on: the same commit, without what was wrong with it, succeeds.
async fn failed<H: BackendHarness>(t: &Trial<H>, parts: &AllParts) -> Outcome {
    assert!(
        !parts.happened(t).await?,
        "a commit that failed has left nothing"
    );
    let commit: Commit<TxOf<H>> = parts.commit(t);
    t.store().commit(commit).await?;
    assert!(parts.happened(t).await?, "and stands in nobody's way");
    Ok(())
}

fn append_error<T>(result: Result<T, CommitError>) -> Result<T, AppendError> {
    result.map_err(|error| match error {
        CommitError::Append(error) => error,
        other => panic!("expected the append to fail, and got {other:?}"),
    })
}
