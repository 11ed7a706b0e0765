//! Revisions of documents, and writes that expect one.

use std::sync::Arc;

use tokio::sync::Barrier;
use uno_core::{BoxError, CommitError, Document, DocumentStore as _, DocumentWrite, Stale};

use crate::conformance::{
    DocumentCommit, DocumentHarness, DocumentTrial, Outcome,
    fixture::json,
    together::{finish, start, succeed},
};

/// Guarantee 4: each put gives a revision that the document never had, from 1 upwards, and nothing else changes it.
pub async fn each_put_gives_a_new_revision<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    let mut seen = Vec::new();
    // The same content again is a put like any other.
    for body in ["1", "2", "2"] {
        write(t, put("a", body)).await?;
        let revision = revision(t, "a").await?;
        assert!(revision > 0 && !seen.contains(&revision), "{revision}");
        seen.push(revision);
        write(t, put("b", "1")).await?;
        assert_eq!(self::revision(t, "a").await?, revision, "b was put, not a");
        let scanned = t.store().scan_documents("notes", None, 1).await?;
        assert_eq!(scanned[0].revision(), revision, "as a scan shows it");
    }
    Ok(())
}

/// Guarantee 4: a document that was removed and put again has a revision that it never had.
pub async fn a_revision_never_comes_again<H: DocumentHarness>(t: &DocumentTrial<'_, H>) -> Outcome {
    let mut seen = Vec::new();
    for _ in 0..3 {
        write(t, put("a", "1")).await?;
        let revision = revision(t, "a").await?;
        assert!(!seen.contains(&revision), "{revision} again");
        seen.push(revision);
        write(t, DocumentWrite::remove("notes", "a")).await?;
        assert_eq!(self::revision(t, "a").await?, 0);
    }
    write(t, put("a", "1")).await?;
    for old in seen {
        assert_stale(t, put("a", "2").expecting(old)).await?;
    }
    Ok(())
}

/// Guarantee 5: what is as expected is changed.
pub async fn an_expected_revision_lets_the_commit_through<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    write(t, put("a", "1").expecting(0)).await?;
    for body in ["2", "3"] {
        let now = revision(t, "a").await?;
        write(t, put("a", body).expecting(now)).await?;
        assert_eq!(t.document("notes", "a").await?, Some(json(body)));
    }
    let now = revision(t, "a").await?;
    write(t, DocumentWrite::keep("notes", "a", now)).await?;
    write(t, DocumentWrite::remove("notes", "a").expecting(now)).await?;
    assert_eq!(t.document("notes", "a").await?, None);
    write(t, DocumentWrite::keep("notes", "a", 0)).await?;
    write(t, DocumentWrite::remove("notes", "a").expecting(0)).await?;
    assert_eq!(
        t.document("notes", "a").await?,
        None,
        "what must not exist does not exist afterwards"
    );
    write(t, put("a", "4").expecting(0)).await?;
    assert_eq!(t.document("notes", "a").await?, Some(json("4")));
    Ok(())
}

/// Guarantee 5: a put at another revision is stale, whether it is older, newer, or of another document.
pub async fn a_put_at_another_revision_is_stale<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    for wrong in others(t).await? {
        assert_stale(t, put("a", "9").expecting(wrong)).await?;
    }
    Ok(())
}

/// Guarantee 5: a removal at another revision is stale.
pub async fn a_removal_at_another_revision_is_stale<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    for wrong in others(t).await? {
        assert_stale(t, DocumentWrite::remove("notes", "a").expecting(wrong)).await?;
    }
    Ok(())
}

/// Guarantee 5: a document that is taken for granted and has another revision is stale.
pub async fn a_document_taken_for_granted_at_another_revision_is_stale<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    for wrong in others(t).await? {
        assert_stale(t, DocumentWrite::keep("notes", "a", wrong)).await?;
    }
    Ok(())
}

/// Guarantee 5: a document that does not exist has revision 0, and no other.
pub async fn a_missing_document_is_at_revision_zero<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    for revision in [1, 7, i64::MAX.cast_unsigned(), u64::MAX] {
        assert_stale(t, put("a", "1").expecting(revision)).await?;
        assert_stale(t, DocumentWrite::remove("notes", "a").expecting(revision)).await?;
        assert_stale(t, DocumentWrite::keep("notes", "a", revision)).await?;
    }
    write(t, put("a", "1").expecting(0)).await?;
    assert_stale(t, put("a", "2").expecting(0)).await
}

/// Guarantee 4: a document that is only taken for granted keeps its content and its revision.
pub async fn a_document_taken_for_granted_stays_as_it_is<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    write(t, put("a", "1")).await?;
    let before = documents(t).await?;
    let now = revision(t, "a").await?;
    for _ in 0..2 {
        write(t, DocumentWrite::keep("notes", "a", now)).await?;
        assert_eq!(documents(t).await?, before);
    }
    Ok(())
}

/// Guarantee 5: what is expected is expected of the document before the commit, however often the commit writes it.
pub async fn what_is_expected_is_expected_before_the_commit<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    t.commit(|commit| {
        commit.documents = vec![
            put("a", "1").expecting(0),
            put("a", "2").expecting(0),
            DocumentWrite::keep("notes", "a", 0),
        ];
    })
    .await?;
    assert_eq!(t.document("notes", "a").await?, Some(json("2")));
    let now = revision(t, "a").await?;
    t.commit(|commit| {
        commit.documents = vec![
            put("a", "3"),
            DocumentWrite::remove("notes", "a").expecting(now),
            put("a", "4"),
        ];
    })
    .await?;
    assert_eq!(t.document("notes", "a").await?, Some(json("4")));
    // Two things cannot both be so.
    let now = revision(t, "a").await?;
    let result = t
        .commit(|commit| {
            commit.documents = vec![
                DocumentWrite::remove("notes", "a").expecting(now),
                put("a", "5").expecting(0),
            ];
        })
        .await;
    assert!(is_stale(&result, "a"), "{result:?}");
    assert_eq!(t.document("notes", "a").await?, Some(json("4")));
    Ok(())
}

/// Guarantee 5: of many who write a document at the same revision, one does; those who try again all get through.
pub async fn of_many_who_write_a_document_one_does<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    for round in 0..6 {
        // In turn a document that is new, and one that is there.
        let now = revision(t, "a").await?;
        let barrier = Arc::new(Barrier::new(6));
        let tasks = start(6, |number| {
            let (store, barrier) = (Arc::clone(t.store()), Arc::clone(&barrier));
            let mut commit = DocumentCommit::new();
            let body = format!("[{round},{number}]");
            commit.documents.push(put("a", &body).expecting(now));
            async move {
                barrier.wait().await;
                H::commit(&store, commit).await.map(|_| body)
            }
        });
        let results = finish(tasks).await?;
        let won: Vec<_> = results
            .iter()
            .filter_map(|result| result.as_ref().ok())
            .collect();
        assert_eq!(won.len(), 1, "in round {round}: {results:?}");
        let lost = results.iter().filter_map(|result| result.as_ref().err());
        assert!(
            lost.into_iter().all(CommitError::is_conflict),
            "{results:?}"
        );
        assert_eq!(t.document("notes", "a").await?, Some(json(won[0])));
        if round % 3 == 2 {
            write(t, DocumentWrite::remove("notes", "a")).await?;
        }
    }
    let tasks = start(4, |_| {
        let store = Arc::clone(t.store());
        async move {
            for _ in 0..8 {
                while let Err(error) = count::<H>(&store).await {
                    if !error.is_conflict() {
                        return Err(error);
                    }
                }
            }
            Ok(())
        }
    });
    succeed(tasks).await?;
    assert_eq!(t.document("notes", "count").await?, Some(json("32")));
    Ok(())
}

/// Guarantee 5: what two commits take for granted and each other changes, they do not both get, whether it exists or not.
pub async fn two_commits_cannot_both_keep_what_the_other_writes<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    for round in 0..12 {
        let keys = [format!("a{round}"), format!("b{round}")];
        let mut now = [0, 0];
        if round % 2 == 0 {
            for (key, now) in keys.iter().zip(&mut now) {
                write(t, put(key, "0")).await?;
                *now = revision(t, key).await?;
            }
        }
        let barrier = Arc::new(Barrier::new(2));
        let tasks = start(2, |own| {
            let other = 1 - own;
            let (store, barrier) = (Arc::clone(t.store()), Arc::clone(&barrier));
            let mut commit = DocumentCommit::new();
            let kept = DocumentWrite::keep("notes", keys[other].as_str(), now[other]);
            commit.documents = vec![kept, put(&keys[own], "1").expecting(now[own])];
            async move {
                barrier.wait().await;
                H::commit(&store, commit).await
            }
        });
        let results = finish(tasks).await?;
        let won = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(won, 1, "in round {round}: {results:?}");
        let mut written = 0;
        for key in &keys {
            written += usize::from(t.document("notes", key).await? == Some(json("1")));
        }
        assert_eq!(written, 1, "in round {round}");
    }
    Ok(())
}

/// Guarantee 5: a put that expects nothing moves the revision on, so that one who expects the old one is stale.
pub async fn a_put_that_expects_nothing_is_noticed<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Outcome {
    write(t, put("a", "1").expecting(0)).await?;
    let now = revision(t, "a").await?;
    write(t, put("a", "2")).await?;
    assert_stale(t, put("a", "3").expecting(now)).await?;
    assert_eq!(t.document("notes", "a").await?, Some(json("2")));
    Ok(())
}

/// Counts one further, if nobody else does meanwhile.
async fn count<H: DocumentHarness>(store: &Arc<H::Store>) -> Result<(), CommitError> {
    let found = store.load_documents("notes", &["count".to_owned()]).await?;
    let (revision, count) = found.first().map_or((0, 0), |document| {
        let count: u32 = document.body().as_str().parse().unwrap_or(0);
        (document.revision(), count)
    });
    let mut commit = DocumentCommit::new();
    let next = put("count", &(count + 1).to_string());
    commit.documents.push(next.expecting(revision));
    H::commit(store, commit).await
}

/// Puts documents `a` and `b`, and gives revisions that `a` does not have.
async fn others<H: DocumentHarness>(t: &DocumentTrial<'_, H>) -> Result<Vec<u64>, BoxError> {
    let mut wrong = vec![0, u64::MAX];
    write(t, put("a", "1")).await?;
    wrong.push(revision(t, "a").await?);
    write(t, put("a", "2")).await?;
    write(t, put("b", "1")).await?;
    wrong.push(revision(t, "b").await?);
    let now = revision(t, "a").await?;
    wrong.extend([now - 1, now + 1]);
    Ok(wrong)
}

/// Fails unless the write is stale, and changes nothing.
async fn assert_stale<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
    stale: DocumentWrite,
) -> Outcome {
    let before = documents(t).await?;
    let (key, shown) = (stale.key().to_owned(), format!("{stale:?}"));
    let result = t.commit(|commit| commit.documents.push(stale)).await;
    assert!(is_stale(&result, &key), "{shown}: {result:?}");
    assert_eq!(documents(t).await?, before, "{shown}");
    Ok(())
}

fn is_stale<T>(result: &Result<T, CommitError>, of: &str) -> bool {
    matches!(result, Err(error @ CommitError::Stale(Stale::Document { collection, key }))
        if collection == "notes" && key == of && error.is_conflict())
}

fn put(key: &str, body: &str) -> DocumentWrite {
    DocumentWrite::put("notes", key, json(body))
}

async fn write<H: DocumentHarness>(t: &DocumentTrial<'_, H>, write: DocumentWrite) -> Outcome {
    t.commit(|commit| commit.documents.push(write)).await?;
    Ok(())
}

async fn documents<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
) -> Result<Vec<Document>, BoxError> {
    Ok(t.store().scan_documents("notes", None, 100).await?)
}

/// The revision of a document, 0 if it does not exist.
async fn revision<H: DocumentHarness>(
    t: &DocumentTrial<'_, H>,
    key: &str,
) -> Result<u64, BoxError> {
    let found = t.store().load_documents("notes", &[key.to_owned()]).await?;
    Ok(found.first().map_or(0, Document::revision))
}
