//! Documents in a store that is opened again, as by another process, or by the same one after a crash.

use uno_core::{
    Checkpoint, CheckpointWrite, CommitError, Document, DocumentStore as _, DocumentWrite, EventId,
    FieldValue, FindDocuments, FoundDocument, Position, Stale, StoreEpoch,
};
use uuid::Uuid;

use crate::conformance::{
    DocumentCommit, DocumentTrial, Outcome, PersistentDocumentHarness,
    fixture::{json, subscription},
    together::drop_after,
};

/// [`DocumentStore`](uno_core::DocumentStore) guarantees 1, 2 and 6: what was put is there to the byte, what was removed is not, it is found as
/// before, and the checkpoint is where it was.
pub async fn documents_survive_reopening<H: PersistentDocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let (name, large) = (
        subscription("notes"),
        format!("\"{}\"", "é\u{10ffff}x".repeat(90_000)),
    );
    t.commit(|commit| {
        commit.documents = vec![
            numbered("a", 3),
            numbered("b", 1),
            numbered("gone", 2),
            DocumentWrite::put("notes", "large", json(&large)),
        ];
        commit
            .checkpoints
            .push(CheckpointWrite::new(name.clone(), None, at(5)));
    })
    .await?;
    t.commit(|commit| {
        commit.documents = vec![numbered("a", 7), DocumentWrite::remove("notes", "gone")];
    })
    .await?;
    let (scanned, found) = (
        t.store().scan_documents("notes", None, 10).await?,
        t.store().find_documents(by_number()).await?,
    );
    let again = t.reopen().await?;
    assert!(
        again.scan_documents("notes", None, 10).await? == scanned,
        "all of it, to the byte"
    );
    assert_eq!(again.find_documents(by_number()).await?, found);
    assert_eq!(keys(&found), ["b", "a"]);
    assert_eq!(H::checkpoint(&again, &name).await?, Some(at(5)));
    Ok(())
}

/// [`DocumentStore`](uno_core::DocumentStore) guarantee 4: a revision that a document had before does not come again after it.
pub async fn revisions_go_on_after_reopening<H: PersistentDocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let mut seen = Vec::new();
    for round in 0..4 {
        let store = t.reopen().await?;
        for body in ["1", "2"] {
            let mut commit = DocumentCommit::new();
            commit
                .documents
                .push(DocumentWrite::put("notes", "a", json(body)));
            H::commit(&store, commit).await?;
            let found = store.load_documents("notes", &["a".to_owned()]).await?;
            let revision = found.first().map_or(0, Document::revision);
            assert!(
                !seen.contains(&revision),
                "{revision} again, in round {round}"
            );
            seen.push(revision);
        }
        // Removed, so that nothing of it is left to go on from.
        let mut commit = DocumentCommit::new();
        commit.documents.push(DocumentWrite::remove("notes", "a"));
        H::commit(&store, commit).await?;
    }
    for old in seen {
        let stale = DocumentWrite::put("notes", "a", json("3")).expecting(old);
        let result = t.commit(|commit| commit.documents.push(stale)).await;
        assert!(
            matches!(&result, Err(CommitError::Stale(Stale::Document { .. }))),
            "{old}: {result:?}"
        );
    }
    Ok(())
}

/// [`DocumentStore`](uno_core::DocumentStore) guarantee 1: of a commit that was under way when its caller died, somebody who opens the store
/// sees the documents, what they are found by and the checkpoint, or nothing of it, and goes on from there.
pub async fn a_commit_that_was_cut_off_is_whole_or_absent<H: PersistentDocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let name = subscription("notes");
    let mut come = 0;
    for polls in 0..24 {
        let next = come + 1;
        let mut commit = DocumentCommit::new();
        commit.documents = vec![numbered("a", next), numbered("b", next)];
        commit
            .checkpoints
            .push(CheckpointWrite::new(name.clone(), expected(come), at(next)));
        let ended = drop_after(polls, H::commit(t.store(), commit)).await;
        let again = t.reopen().await?;
        // What is still under way is decided by whoever moves the checkpoint on: to where it would have been moved.
        let mut settling = DocumentCommit::new();
        settling
            .checkpoints
            .push(CheckpointWrite::new(name.clone(), expected(come), at(next)));
        let was_carried_out = match H::commit(&again, settling).await {
            Ok(()) => false,
            Err(CommitError::Stale(Stale::Checkpoint(_))) => true,
            Err(error) => return Err(error.into()),
        };
        if let Some(ended) = ended {
            ended?;
            assert!(was_carried_out, "it was said to be, after {polls} polls");
        }
        let found = again.find_documents(by_number()).await?;
        let wanted = FieldValue::of(&next);
        let new = found
            .iter()
            .filter(|found| *found.value() == wanted)
            .count();
        assert_eq!(
            new,
            if was_carried_out { 2 } else { 0 },
            "after {polls} polls: {found:?}"
        );
        for found in &found {
            let body: i64 = found.document().body().as_str().parse()?;
            assert_eq!(FieldValue::of(&body), *found.value(), "after {polls} polls");
        }
        assert_eq!(H::checkpoint(&again, &name).await?, Some(at(next)));
        come = next;
    }
    Ok(())
}

fn expected(come: i64) -> Option<Position> {
    (come > 0).then(|| at(come).position())
}

/// A put of a number, with a field that is this number.
fn numbered(key: &str, number: i64) -> DocumentWrite {
    DocumentWrite::put("notes", key, json(&number.to_string()))
        .with_field("number", FieldValue::of(&number))
}

fn by_number() -> FindDocuments {
    FindDocuments::new("notes", "number")
}

fn keys(found: &[FoundDocument]) -> Vec<&str> {
    found.iter().map(|found| found.document().key()).collect()
}

/// The same checkpoint for the same number.
fn at(number: i64) -> Checkpoint {
    let number = number.unsigned_abs();
    let id = EventId::from_uuid(Uuid::from_u128(u128::from(number) << 64 | 7));
    let position = Position::new(number).unwrap_or(Position::MAX);
    Checkpoint::after(StoreEpoch::from_uuid(Uuid::from_u128(9)), position, id)
}
