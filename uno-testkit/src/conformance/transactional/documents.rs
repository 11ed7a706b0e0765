//! Documents in a commit with everything else that one can hold; what they are by themselves is looked at in `documents`.

use std::sync::Arc;

use uno_core::{
    Acknowledgement, BoxError, Commit, CommitError, Document, DocumentStore as _, DocumentWrite,
    ExpectedVersion::Any, FieldValue, FindDocuments, Metadata, NewMessage, ProcessStatus,
    ProcessWrite, Stale, StreamAppend, Transactional as _,
};

use super::all_parts::AllParts;
use crate::conformance::{
    BackendHarness, Outcome, Trial, TxOf,
    fixture::{assert_refused, events, exact, json, new_uuid, stream},
    together::{start, succeed},
};

/// [`DocumentStore`](uno_core::DocumentStore) guarantees 1 and 6: when an append beside it conflicts, documents and their fields are as
/// they were.
pub async fn a_conflict_leaves_documents_as_they_were<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let numbered = |key, number: i64| {
        put(key, &number.to_string()).with_field("number", FieldValue::of(&number))
    };
    t.commit(|commit| commit.documents = vec![numbered("a", 1), numbered("b", 2)])
        .await?;
    let found = async || {
        t.store()
            .find_documents(FindDocuments::new("notes", "number"))
            .await
    };
    let before = (documents(t).await?, found().await?);
    let result = t
        .commit(|commit| {
            commit.documents = vec![
                numbered("a", 5),
                DocumentWrite::remove("notes", "b"),
                numbered("c", 6),
            ];
            commit
                .appends
                .push(StreamAppend::new(stream("a"), exact(5), events(1)));
        })
        .await;
    assert!(
        result.is_err_and(|error| error.is_conflict()),
        "the stream is not there"
    );
    assert_eq!((documents(t).await?, found().await?), before);
    Ok(())
}

/// [`DocumentStore`](uno_core::DocumentStore) guarantee 5: when one document has another revision, nothing of the commit happens.
pub async fn a_stale_document_undoes_everything<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let parts = AllParts::prepare(t, "all").await?;
    write(t, put("a", "1")).await?;
    let before = documents(t).await?;
    for wrong in [put("a", "2").expecting(0), put("b", "2").expecting(3)] {
        let mut commit = parts.commit(t);
        commit.documents.insert(0, put("c", "1").expecting(0));
        commit.documents.push(wrong);
        let result = t.store().commit(commit).await;
        assert!(
            matches!(&result, Err(CommitError::Stale(Stale::Document { .. }))),
            "{result:?}"
        );
        assert!(!parts.happened(t).await?);
        assert_eq!(documents(t).await?, before);
    }
    Ok(())
}

/// [`DocumentStore`](uno_core::DocumentStore) guarantee 5: a commit that was carried out and is sent again gives the first receipt: what it expected was so then.
pub async fn a_repeated_commit_is_not_stale<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let appended = events(1);
    let commit = || {
        let mut commit = Commit::<TxOf<H>>::new();
        commit.documents.push(put("a", "1").expecting(0));
        let append = StreamAppend::new(stream("a"), Any, appended.clone());
        commit.appends.push(append);
        commit
    };
    let first = t.store().commit(commit()).await?;
    let before = documents(t).await?;
    assert_eq!(t.store().commit(commit()).await?, first);
    assert_eq!(documents(t).await?, before);
    Ok(())
}

/// [`DocumentStore`](uno_core::DocumentStore) guarantee 1: documents that many write at once are what one of them wrote, each beside its
/// events.
pub async fn documents_are_written_beside_their_events<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let tasks = start(8, |number| {
        let store = Arc::clone(t.store());
        async move {
            for round in 0..4 {
                let mut commit = Commit::<TxOf<H>>::new();
                let body = format!("[{number},{round}]");
                commit.documents = vec![put("a", &body), put("b", &body)];
                let append = StreamAppend::new(stream(&format!("{number}")), Any, events(1));
                commit.appends.push(append);
                store.commit(commit).await?;
            }
            Ok::<_, CommitError>(())
        }
    });
    succeed(tasks).await?;
    assert_eq!(t.log().await?.len(), 32);
    let both = documents(t).await?;
    assert_eq!(both.len(), 2);
    assert_eq!(both[0].body(), both[1].body());
    Ok(())
}

/// [`Limits::check_commit`](uno_core::Limits::check_commit): in every other place too, an empty name, one that is too long, and one with a
/// NUL character are refused, and the refusal names it.
pub async fn names_that_cannot_be_kept_are_refused_everywhere<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    for bad in ["", "a\0b", &"x".repeat(513)] {
        let process =
            |process, key| ProcessWrite::new(process, key, 0, ProcessStatus::Running, json("1"));
        refused(t, "process.process", |commit| {
            commit.processes.push(process(bad, "a"));
        })
        .await?;
        refused(t, "process.key", |commit| {
            commit.processes.push(process("a", bad));
        })
        .await?;
        let message = |queue, key, name| {
            NewMessage::new(queue, new_uuid(), key, name, json("1"), Metadata::new())
        };
        refused(t, "message.queue", |commit| {
            commit.messages.push(message(bad, "a", "a"));
        })
        .await?;
        refused(t, "message.key", |commit| {
            commit.messages.push(message("a", bad, "a"));
        })
        .await?;
        refused(t, "message.name", |commit| {
            commit.messages.push(message("a", "a", bad));
        })
        .await?;
        let acknowledgement = Acknowledgement::new(bad, new_uuid());
        refused(t, "acknowledgement.queue", |commit| {
            commit.acknowledgements.push(acknowledgement);
        })
        .await?;
    }
    let metadata = Metadata::new().with_actor("\0");
    let message = NewMessage::new("a", new_uuid(), "a", "a", json("1"), metadata);
    refused(t, "metadata.actor", |commit| commit.messages.push(message)).await
}

async fn refused<H: BackendHarness>(
    t: &Trial<H>,
    field: &str,
    bad: impl FnOnce(&mut Commit<TxOf<H>>) + Send,
) -> Outcome {
    let mut commit = Commit::new();
    commit
        .documents
        .push(DocumentWrite::put("beside", "it", json("1")));
    bad(&mut commit);
    match t.store().commit(commit).await {
        Err(CommitError::Append(error)) => assert_refused::<()>(Err(error), field),
        other => panic!("expected {field} to be refused, and got {other:?}"),
    }
    assert_eq!(t.document("beside", "it").await?, None);
    Ok(())
}

fn put(key: &str, body: &str) -> DocumentWrite {
    DocumentWrite::put("notes", key, json(body))
}

async fn write<H: BackendHarness>(t: &Trial<H>, write: DocumentWrite) -> Outcome {
    t.commit(|commit| commit.documents.push(write)).await?;
    Ok(())
}

async fn documents<H: BackendHarness>(t: &Trial<H>) -> Result<Vec<Document>, BoxError> {
    Ok(t.store().scan_documents("notes", None, 100).await?)
}
