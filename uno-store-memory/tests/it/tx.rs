//! The transaction that the caller's own work runs in.

use std::collections::BTreeMap;

use uno_core::{
    BoxError, Commit, CommitError, DocumentStore as _, DocumentWrite, EventStore as _,
    ExpectedVersion::Any, Payload, ReadStream, Transactional as _, Work,
};
use uno_store_memory::{MemoryStore, MemoryTx};

use crate::{Outcome, append};

#[tokio::test]
async fn rows_are_put_and_removed_and_listed_by_table() -> Outcome {
    let store = MemoryStore::new();
    store
        .commit(work(|tx| {
            tx.put_row("books", "a", "1");
            tx.put_row("books", "b", "2");
            tx.put_row("films", "a", "3");
            Ok(())
        }))
        .await?;
    store
        .commit(work(|tx| {
            tx.remove_row("books", "a");
            tx.put_row("books", "c", "4");
            tx.remove_row("books", "missing");
            assert_eq!(
                (tx.row("books", "a"), tx.row("books", "b").as_deref()),
                (None, Some("2"))
            );
            assert_eq!(tx.rows("books"), rows(&[("b", "2"), ("c", "4")]));
            assert_eq!(tx.rows("films"), rows(&[("a", "3")]));
            Ok(())
        }))
        .await?;
    assert_eq!(store.rows("books"), rows(&[("b", "2"), ("c", "4")]));
    assert_eq!(
        (store.row("films", "a").as_deref(), store.row("films", "b")),
        (Some("3"), None)
    );
    assert_eq!(store.rows("nothing"), BTreeMap::new());
    Ok(())
}

#[tokio::test]
async fn documents_are_read_and_written_in_work_before_those_of_the_commit() -> Outcome {
    let store = MemoryStore::new();
    let mut commit = work(|tx| {
        assert_eq!(tx.document("notes", "a"), None);
        tx.put_document("notes", "a", json("1"));
        tx.put_document("notes", "b", json("1"));
        tx.put_document("notes", "c", json("1"));
        tx.remove_document("notes", "c");
        assert_eq!(
            tx.document("notes", "a")
                .map(|document| document.body().clone()),
            Some(json("1"))
        );
        assert_eq!(tx.document("notes", "c"), None);
        Ok(())
    });
    commit
        .documents
        .push(DocumentWrite::put("notes", "b", json("2")));
    store.commit(commit).await?;
    let found = store.scan_documents("notes", None, 9).await?;
    let found: Vec<_> = found
        .iter()
        .map(|document| (document.key(), document.body().as_str()))
        .collect();
    assert_eq!(found, [("a", "1"), ("b", "2")]);
    Ok(())
}

#[tokio::test]
async fn a_document_of_work_is_refused_for_its_name_like_any_other() -> Outcome {
    let store = MemoryStore::new();
    let ended = store
        .commit(work(|tx| {
            tx.put_row("books", "a", "1");
            tx.put_document("notes", "", json("1"));
            Ok(())
        }))
        .await;
    assert!(
        matches!(
            ended,
            Err(CommitError::Append(uno_core::AppendError::Refused(_)))
        ),
        "{ended:?}"
    );
    assert_eq!(store.row("books", "a"), None);
    Ok(())
}

#[tokio::test]
async fn what_work_reads_stays_true_until_its_commit_is_done() -> Outcome {
    let store = MemoryStore::new();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut commit = Commit::new();
                commit.work.push(Box::new(|tx: &mut MemoryTx| {
                    Box::pin(async move {
                        let sold: u32 = tx.row("sold", "book").map_or(Ok(0), |n| n.parse())?;
                        // Long enough for all others to read the same, if they could.
                        tokio::task::yield_now().await;
                        tx.put_row("sold", "book", (sold + 1).to_string());
                        Ok(())
                    })
                }));
                store.commit(commit).await
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    assert_eq!(store.row("sold", "book").as_deref(), Some("20"));
    Ok(())
}

#[tokio::test]
async fn work_that_panics_lets_the_next_work_run() -> Outcome {
    let store = MemoryStore::new();
    let ended = tokio::spawn({
        let store = store.clone();
        async move { store.commit(work(|_| panic!("as planned"))).await }
    });
    assert!(ended.await.is_err_and(|error| error.is_panic()));
    store
        .commit(work(|tx| {
            tx.put_row("books", "a", "1");
            Ok(())
        }))
        .await?;
    assert_eq!(store.row("books", "a").as_deref(), Some("1"));
    store.append(append("a", Any, "1")?).await?;
    Ok(())
}

#[tokio::test]
async fn work_may_write_to_another_store_and_read_its_own() -> Outcome {
    let (store, other) = (MemoryStore::new(), MemoryStore::new());
    store.append(append("a", Any, "1")?).await?;
    let mut commit = Commit::new();
    commit.work.push({
        let (store, other) = (store.clone(), other.clone());
        Box::new(move |_: &mut MemoryTx| {
            Box::pin(async move {
                other.append(append("b", Any, "1")?).await?;
                let own = store
                    .read_stream(ReadStream::forward("note-a".parse()?))
                    .await?;
                assert_eq!(own.len(), 1);
                Ok(())
            })
        })
    });
    store.commit(commit).await?;
    assert_eq!(
        other
            .read_stream(ReadStream::forward("note-b".parse()?))
            .await?
            .len(),
        1
    );
    Ok(())
}

#[tokio::test]
async fn it_shows_how_much_was_written_and_not_what() -> Outcome {
    MemoryStore::new()
        .commit(work(|tx| {
            tx.put_row("secret", "secret", "secret");
            assert_eq!(format!("{tx:?}"), "MemoryTx { rows: 1, documents: 0, .. }");
            Ok(())
        }))
        .await?;
    Ok(())
}

/// A commit of some work that awaits nothing.
fn work(
    work: impl FnOnce(&mut MemoryTx) -> Result<(), BoxError> + Send + 'static,
) -> Commit<MemoryTx> {
    let work: Work<MemoryTx> = Box::new(move |tx| Box::pin(async move { work(tx) }));
    let mut commit = Commit::new();
    commit.work.push(work);
    commit
}

fn json(text: &str) -> Payload {
    Payload::from_stored(text)
}

fn rows(rows: &[(&str, &str)]) -> BTreeMap<String, String> {
    rows.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}
