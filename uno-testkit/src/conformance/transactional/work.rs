//! The caller's own work within the transaction.

use std::sync::Arc;

use tokio::sync::oneshot;
use uno_core::{
    AppendError, Checkpoint, CheckpointStore as _, CheckpointWrite, Commit, CommitError,
    DocumentWrite, EventStore as _,
    ExpectedVersion::{Any, NoStream},
    StoreError, StreamAppend, Transactional as _, Work,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial, TxOf,
    fixture::{assert_conflict, event, events, json, stream, subscription},
};

/// Guarantee 1: what work has written is there after the commit.
pub async fn what_work_writes_is_committed<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    assert_eq!(t.row("a").await?, None);
    t.commit(|commit| commit.work.push(t.harness().put_row("a", "1")))
        .await?;
    assert_eq!(t.row("a").await?.as_deref(), Some("1"));
    t.commit(|commit| commit.work.push(t.harness().put_row("a", "2")))
        .await?;
    assert_eq!(t.row("a").await?.as_deref(), Some("2"));
    Ok(())
}

/// Guarantee 2: work runs in order.
pub async fn work_runs_in_order<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    t.commit(|commit| {
        for number in 1..=5 {
            commit
                .work
                .push(t.harness().put_row("a", &format!("{number}")));
            commit
                .work
                .push(t.harness().copy_row("a", &format!("copy {number}")));
        }
    })
    .await?;
    assert_eq!(t.row("a").await?.as_deref(), Some("5"));
    for number in 1..=5 {
        assert_eq!(
            t.row(&format!("copy {number}")).await?,
            Some(format!("{number}"))
        );
    }
    Ok(())
}

/// [`Transactional::Tx`](uno_core::Transactional::Tx): work sees what was committed, and what work before it has written.
pub async fn work_sees_what_is_committed_and_its_own_writes<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    t.commit(|commit| commit.work.push(t.harness().put_row("old", "1")))
        .await?;
    t.commit(|commit| {
        commit.work.push(t.harness().copy_row("old", "copy of old"));
        commit.work.push(t.harness().put_row("new", "2"));
        commit.work.push(t.harness().copy_row("new", "copy of new"));
    })
    .await?;
    assert_eq!(t.row("copy of old").await?.as_deref(), Some("1"));
    assert_eq!(t.row("copy of new").await?.as_deref(), Some("2"));
    Ok(())
}

/// Guarantees 1 and 2: work that fails takes what was written before it along.
pub async fn work_that_fails_takes_all_rows_along<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let result = t
        .commit(|commit| {
            commit.work.push(t.harness().put_row("a", "1"));
            commit.work.push(t.harness().copy_row("missing", "b"));
        })
        .await;
    assert!(matches!(result, Err(CommitError::Work(_))), "{result:?}");
    assert_eq!((t.row("a").await?, t.row("b").await?), (None, None));
    Ok(())
}

/// Guarantees 1 and 2: while work runs, nobody sees anything of the commit, neither its rows nor its events.
pub async fn nothing_is_visible_while_work_runs<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (started, mut held, release) = hold();
    let notes = stream("a");
    let mut commit = Commit::new();
    commit.work.push(t.harness().put_row("a", "1"));
    commit.work.push(held.work());
    commit
        .appends
        .push(StreamAppend::new(notes.clone(), NoStream, events(2)));
    commit
        .documents
        .push(DocumentWrite::put("notes", "a", json("1")));
    let store = Arc::clone(t.store());
    let committing = tokio::spawn(async move { store.commit(commit).await });
    started.await?;
    assert_eq!(t.row("a").await?, None);
    assert_eq!((t.stream(&notes).await?, t.log().await?), (vec![], vec![]));
    assert_eq!(
        (
            t.document("notes", "a").await?,
            t.store().head().await?.last()
        ),
        (None, None)
    );
    let _sent = release.send(());
    committing.await??;
    assert_eq!(t.row("a").await?.as_deref(), Some("1"));
    assert_eq!(
        (
            t.stream(&notes).await?.len(),
            t.document("notes", "a").await?
        ),
        (2, Some(json("1")))
    );
    Ok(())
}

/// Guarantee 2: the append comes after the work, and the store holds nothing that other writers need while it runs; or, where
/// the caller's work keeps all writers waiting (declared as [`ONE_WRITER`](BackendHarness::ONE_WRITER)), they wait and then succeed.
pub async fn other_writers_while_work_runs<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let (started, mut held, release) = hold();
    let notes = stream("a");
    let mut commit = Commit::new();
    commit.work.push(t.harness().put_row("a", "1"));
    commit.work.push(held.work());
    commit
        .appends
        .push(StreamAppend::new(notes.clone(), NoStream, events(2)));
    let store = Arc::clone(t.store());
    let committing = tokio::spawn(async move { store.commit(commit).await });
    started.await?;
    let store = Arc::clone(t.store());
    let other = tokio::spawn(async move {
        store
            .append(vec![StreamAppend::new(stream("a"), NoStream, events(1))])
            .await
    });
    if H::ONE_WRITER {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert!(!other.is_finished(), "the other writer waits");
        let _sent = release.send(());
        committing.await??;
        assert_conflict(other.await?, &notes, NoStream, 2);
    } else {
        other.await??;
        t.append(&stream("b"), Any, &events(3)).await?;
        let _sent = release.send(());
        match committing.await? {
            Err(CommitError::Append(error)) => {
                assert_conflict::<()>(Err(error), &notes, NoStream, 1);
            }
            other => panic!("the other writer was first, and the commit gave {other:?}"),
        }
        assert_eq!(t.row("a").await?, None, "the work of the commit that lost");
    }
    Ok(())
}

/// Guarantee 7: a write through the same store, awaited from within work, is refused and not left to wait for itself.
pub async fn a_write_from_within_work_is_refused<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let store = Arc::clone(t.store());
    let nested: Work<TxOf<H>> = Box::new(move |_| {
        Box::pin(async move {
            let append = StreamAppend::new(stream("nested"), Any, vec![event()]);
            let result = store.append(vec![append]).await;
            assert!(
                matches!(
                    result,
                    Err(AppendError::Store(StoreError::Unsupported { .. }))
                ),
                "append: {result:?}"
            );

            let mut commit = Commit::new();
            commit
                .documents
                .push(DocumentWrite::put("notes", "nested", json("1")));
            let result = store.commit(commit).await;
            let refused = |error: &CommitError| {
                matches!(
                    error,
                    CommitError::Append(AppendError::Store(StoreError::Unsupported { .. }))
                )
            };
            assert!(result.as_ref().is_err_and(refused), "commit: {result:?}");

            let checkpoint = Checkpoint::start(uno_core::StoreEpoch::new());
            let result = store
                .save_checkpoint(CheckpointWrite::new(
                    subscription("nested"),
                    None,
                    checkpoint,
                ))
                .await;
            assert!(
                result.as_ref().is_err_and(refused),
                "save_checkpoint: {result:?}"
            );
            Ok(())
        })
    });
    t.commit(|commit| {
        commit.work.push(nested);
        commit.work.push(t.harness().put_row("a", "1"));
        commit
            .appends
            .push(StreamAppend::new(stream("outer"), Any, vec![event()]));
    })
    .await?;
    assert_eq!(
        (t.log().await?.len(), t.row("a").await?.as_deref()),
        (1, Some("1"))
    );
    assert_eq!(t.document("notes", "nested").await?, None);
    t.append(&stream("after"), Any, &[event()]).await?;
    Ok(())
}

/// Guarantee 5: a commit that is dropped while its work runs leaves nothing, and nothing that holds up others.
pub async fn a_commit_dropped_in_its_work_leaves_nothing<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    for round in 0..5 {
        let (started, mut held, release) = hold();
        let mut commit = Commit::new();
        commit
            .work
            .push(t.harness().put_row(&format!("{round}"), "1"));
        commit.work.push(held.work());
        commit
            .appends
            .push(StreamAppend::new(stream("dropped"), Any, events(2)));
        let store = Arc::clone(t.store());
        let committing = tokio::spawn(async move { store.commit(commit).await });
        started.await?;
        committing.abort();
        assert!(
            committing.await.is_err_and(|error| error.is_cancelled()),
            "it was waiting"
        );
        // A store may go on with the commit all the same, and then it fails here: this work has nobody to release it.
        drop(release);
        t.append(&stream("after"), Any, &events(1)).await?;
        t.commit(|commit| commit.work.push(t.harness().put_row("after", "1")))
            .await?;
        assert_eq!(t.row(&format!("{round}")).await?, None);
    }
    assert_eq!(
        (
            t.stream(&stream("dropped")).await?.len(),
            t.stream(&stream("after")).await?.len()
        ),
        (0, 5)
    );
    Ok(())
}

/// Work that says when it has started, and waits until it is released; it fails if nobody can release it any more.
struct Held(Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>);

impl Held {
    fn work<Tx>(&mut self) -> Work<Tx> {
        let held = self.0.take();
        Box::new(|_| {
            Box::pin(async move {
                if let Some((started, released)) = held {
                    let _sent = started.send(());
                    released.await?;
                }
                Ok(())
            })
        })
    }
}

fn hold() -> (oneshot::Receiver<()>, Held, oneshot::Sender<()>) {
    let ((started, has_started), (release, released)) = (oneshot::channel(), oneshot::channel());
    (has_started, Held(Some((started, released))), release)
}
