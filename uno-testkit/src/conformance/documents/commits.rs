//! Documents together, and with the checkpoint of whoever writes them: what a read model stands on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::task::yield_now;
use uno_core::{
    BoxError, Checkpoint, CheckpointWrite, CommitError, DocumentStore as _, DocumentWrite, EventId,
    FieldValue, FindDocuments, Position, Stale, StoreEpoch,
};
use uuid::Uuid;

use crate::conformance::{
    DocumentCommit, DocumentHarness, DocumentTrial, Outcome,
    fixture::{json, subscription},
    together::{drop_after, finish, start, succeed},
};

/// Guarantee 1: documents and the checkpoint of a commit are there together when it returns.
pub async fn a_checkpoint_moves_with_the_documents<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let (one, other) = (subscription("one"), subscription("other"));
    assert_eq!(t.checkpoint(&one).await?, None);
    let mut before = None;
    for number in [1, 2, 7] {
        let body = number.to_string();
        t.commit(|commit| {
            commit.documents = vec![counted("a", &body), counted("b", &body)];
            commit
                .checkpoints
                .push(CheckpointWrite::new(one.clone(), before, at(number)));
        })
        .await?;
        before = Some(at(number).position());
        assert_eq!(t.checkpoint(&one).await?, Some(at(number)));
        assert_eq!(t.document("counts", "a").await?, Some(json(&body)));
        assert_eq!(t.document("counts", "b").await?, Some(json(&body)));
    }
    assert_eq!(t.checkpoint(&other).await?, None, "nobody moved it");
    Ok(())
}

/// Guarantee 1, and [`CheckpointStore`](uno_core::CheckpointStore): when the checkpoint is not where it is expected, no document changes, and
/// what they are found by does not either.
pub async fn a_stale_checkpoint_leaves_documents_as_they_were<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let name = subscription("counts");
    t.commit(|commit| {
        commit.documents = vec![counted("a", "1"), counted("b", "1")];
        commit
            .checkpoints
            .push(CheckpointWrite::new(name.clone(), None, at(1)));
    })
    .await?;
    let before = all(t).await?;
    for expected in [None, Some(at(2).position()), Some(Position::START)] {
        let result = t
            .commit(|commit| {
                commit.documents = vec![
                    counted("a", "2"),
                    DocumentWrite::remove("counts", "b"),
                    counted("c", "2"),
                ];
                commit
                    .checkpoints
                    .push(CheckpointWrite::new(name.clone(), expected, at(3)));
            })
            .await;
        assert!(
            matches!(&result, Err(CommitError::Stale(Stale::Checkpoint(of))) if *of == name),
            "expecting {expected:?}: {result:?}"
        );
        assert_eq!(all(t).await?, before, "expecting {expected:?}");
        assert_eq!(t.checkpoint(&name).await?, Some(at(1)));
    }
    Ok(())
}

/// Guarantee 5: when a document is not as it is expected, the checkpoint does not move.
pub async fn a_stale_document_leaves_the_checkpoint<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let name = subscription("counts");
    t.commit(|commit| {
        commit.documents = vec![counted("a", "1")];
        commit
            .checkpoints
            .push(CheckpointWrite::new(name.clone(), None, at(1)));
    })
    .await?;
    let before = all(t).await?;
    for wrong in [
        counted("a", "2").expecting(0),
        DocumentWrite::keep("counts", "missing", 3),
        DocumentWrite::remove("counts", "a").expecting(u64::MAX),
    ] {
        let result = t
            .commit(|commit| {
                commit.documents = vec![counted("b", "2"), wrong.clone(), counted("c", "2")];
                commit.checkpoints.push(CheckpointWrite::new(
                    name.clone(),
                    Some(at(1).position()),
                    at(2),
                ));
            })
            .await;
        assert!(
            matches!(&result, Err(CommitError::Stale(Stale::Document { .. }))),
            "{wrong:?}: {result:?}"
        );
        assert_eq!(all(t).await?, before, "{wrong:?}");
        assert_eq!(t.checkpoint(&name).await?, Some(at(1)), "{wrong:?}");
    }
    Ok(())
}

/// Guarantee 1: of many who have projected the same stretch one commits, and what there is is what it made of it.
pub async fn of_many_who_project_a_stretch_one_does<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let name = subscription("counts");
    let mut before = None;
    for round in 1..=8 {
        let tasks = start(5, |number| {
            let store = Arc::clone(t.store());
            let mut commit = DocumentCommit::new();
            let body = format!("{round}{number}");
            commit.documents = vec![counted("a", &body), counted("b", &body)];
            commit
                .checkpoints
                .push(CheckpointWrite::new(name.clone(), before, at(round)));
            async move { H::commit(&store, commit).await.map(|()| body) }
        });
        let results = finish(tasks).await?;
        let won: Vec<_> = results.iter().filter_map(|one| one.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "in round {round}: {results:?}");
        let lost = results.iter().filter_map(|one| one.as_ref().err());
        for error in lost {
            assert!(
                matches!(error, CommitError::Stale(Stale::Checkpoint(of)) if *of == name),
                "in round {round}: {error:?}"
            );
        }
        for key in ["a", "b"] {
            assert_eq!(t.document("counts", key).await?, Some(json(won[0])));
        }
        assert_eq!(t.checkpoint(&name).await?, Some(at(round)));
        before = Some(at(round).position());
    }
    Ok(())
}

/// Guarantee 1: whoever reads while others commit sees all documents of a commit or none, and those of a commit whose checkpoint there is.
pub async fn nobody_sees_half_a_commit<H: DocumentHarness>(t: &DocumentTrial<'_, H>) -> Outcome {
    const COMMITS: u64 = 40;
    let name = subscription("counts");
    let done = Arc::new(AtomicBool::new(false));
    let readers = start(3, |_| {
        let (store, name, done) = (Arc::clone(t.store()), name.clone(), Arc::clone(&done));
        async move {
            loop {
                let is_last = done.load(Ordering::Acquire);
                // What the checkpoint tells of is there, whoever looks afterwards.
                let come = H::checkpoint(&store, &name).await?;
                let found = store.scan_documents("counts", None, 10).await?;
                let bodies: Vec<_> = found.iter().map(|found| found.body().as_str()).collect();
                let count: u64 = bodies.first().map_or(Ok(0), |body| body.parse())?;
                assert!(
                    bodies.iter().all(|body| *body == bodies[0]) && [0, 2].contains(&bodies.len()),
                    "documents of one commit: {bodies:?}"
                );
                let come = come.map_or(0, |come| come.position().get());
                assert!(come <= count, "{bodies:?}, at {come}");
                if is_last {
                    return Ok::<_, BoxError>(());
                }
                yield_now().await;
            }
        }
    });
    let mut before = None;
    for number in 1..=COMMITS {
        t.commit(|commit| {
            let body = number.to_string();
            commit.documents = vec![counted("a", &body), counted("b", &body)];
            commit
                .checkpoints
                .push(CheckpointWrite::new(name.clone(), before, at(number)));
        })
        .await?;
        before = Some(at(number).position());
        yield_now().await;
    }
    done.store(true, Ordering::Release);
    succeed(readers).await?;
    Ok(())
}

/// Guarantee 1: a commit whose future is dropped happens whole or not at all, and holds up nobody.
pub async fn a_dropped_commit_is_whole_or_absent<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let name = subscription("counts");
    let mut before = None;
    for polls in 0..30 {
        let (number, body) = (polls as u64 + 1, (polls + 1).to_string());
        let moved = || CheckpointWrite::new(name.clone(), before, at(number));
        let mut commit = DocumentCommit::new();
        commit.documents = vec![counted("a", &body), counted("b", &body)];
        commit.checkpoints.push(moved());
        let ended = drop_after(polls, H::commit(t.store(), commit)).await;
        // It may still be under way: who moves the checkpoint finds that it was carried out, or makes that impossible.
        let settled = t.commit(|commit| commit.checkpoints.push(moved())).await;
        let was_carried_out = match settled {
            Ok(()) => false,
            Err(CommitError::Stale(Stale::Checkpoint(_))) => true,
            Err(error) => return Err(error.into()),
        };
        if let Some(ended) = ended {
            ended?;
            assert!(was_carried_out, "it was said to be, after {polls} polls");
        }
        for key in ["a", "b"] {
            let is_new = t.document("counts", key).await? == Some(json(&body));
            assert_eq!(is_new, was_carried_out, "{key} after {polls} polls");
        }
        assert_eq!(t.checkpoint(&name).await?, Some(at(number)));
        before = Some(at(number).position());
    }
    Ok(())
}

/// A number, which it is found by too.
fn counted(key: &str, number: &str) -> DocumentWrite {
    DocumentWrite::put("counts", key, json(number)).with_field("count", FieldValue::of(number))
}

/// All documents, as they are and as they are found.
async fn all<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Result<impl PartialEq + std::fmt::Debug + use<H>, BoxError> {
    let scanned = t.store().scan_documents("counts", None, 100).await?;
    let found = FindDocuments::new("counts", "count");
    Ok((scanned, t.store().find_documents(found).await?))
}

/// The same checkpoint for the same number.
fn at(number: u64) -> Checkpoint {
    let id = EventId::from_uuid(Uuid::from_u128(u128::from(number) << 64 | 7));
    let position = Position::new(number).unwrap_or(Position::MAX);
    Checkpoint::after(StoreEpoch::from_uuid(Uuid::from_u128(9)), position, id)
}
