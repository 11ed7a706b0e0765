//! Many commits at once, some of which fail.

use std::sync::Arc;

use uno_core::{
    AppendError, Commit, CommitError, DocumentStore as _, DocumentWrite, EventStore as _,
    ExpectedVersion::{Any, NoStream},
    StreamAppend, Transactional as _,
};

use super::all_parts::AllParts;
use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{event, events, ids, json, new_ids, stream, version, versions},
    together::{drop_after, finish, start, succeed},
};

/// Guarantee 4: commits whose work fails disturb none of those beside them.
pub async fn commits_with_failing_work_disturb_nobody<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let tasks = start(12, |number| {
        let (store, fails) = (Arc::clone(t.store()), number % 3 == 0);
        let works: Vec<_> = (0..6)
            .map(|round| t.harness().put_row(&format!("{number} {round}"), "1"))
            .collect();
        async move {
            for work in works {
                let mut commit = Commit::new();
                commit.work.push(work);
                if fails {
                    commit
                        .work
                        .push(Box::new(|_| Box::pin(async { Err("as planned".into()) })));
                }
                commit.appends.push(StreamAppend::new(
                    stream(&format!("{}", number % 4)),
                    Any,
                    events(2),
                ));
                match store.commit(commit).await {
                    Ok(_) => assert!(!fails, "failing work can't succeed"),
                    Err(CommitError::Work(_)) => assert!(fails, "work that is fine can't fail"),
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        }
    });
    succeed(tasks).await?;
    for number in 0..12 {
        for round in 0..6 {
            assert_eq!(
                t.row(&format!("{number} {round}")).await?.is_some(),
                number % 3 > 0,
                "{number}, {round}"
            );
        }
    }
    assert_eq!(t.log().await?.len(), 8 * 6 * 2);
    for key in 0..4 {
        let stored = t.stream(&stream(&format!("{key}"))).await?;
        assert_eq!(
            versions(&stored),
            (1..=stored.len() as u64).collect::<Vec<_>>()
        );
    }
    Ok(())
}

/// Guarantee 4: each conflict is told to its own caller, and to nobody else.
pub async fn one_conflict_is_one_callers<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let taken = stream("taken");
    t.append(&taken, Any, &events(1)).await?;
    for round in 0..6 {
        let tasks = start(16, |number| {
            let store = Arc::clone(t.store());
            let notes = if number % 4 == 0 {
                taken.clone()
            } else {
                stream(&format!("{round} {number}"))
            };
            async move {
                let mut commit = Commit::new();
                commit.appends.push(StreamAppend::new(
                    notes.clone(),
                    NoStream,
                    events(1 + number % 3),
                ));
                commit.documents.push(DocumentWrite::put(
                    "notes",
                    format!("{round} {number}"),
                    json("1"),
                ));
                (number, notes, store.commit(commit).await)
            }
        });
        for (number, notes, result) in finish(tasks).await? {
            let document = t.document("notes", &format!("{round} {number}")).await?;
            match result {
                Ok(receipt) => {
                    assert!(number % 4 > 0, "{notes} was there already");
                    assert_eq!(
                        (receipt.streams()[0].stream(), receipt.streams()[0].last()),
                        (&notes, version(1 + number as u64 % 3))
                    );
                    assert!(document.is_some(), "what succeeded is there");
                }
                Err(CommitError::Append(AppendError::Conflict { stream, actual, .. })) => {
                    assert_eq!((number % 4, &stream, actual), (0, &taken, version(1)));
                    assert!(document.is_none(), "what failed is not");
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    assert_eq!(t.stream(&taken).await?.len(), 1);
    Ok(())
}

/// Guarantee 1: commits to the same streams and documents, in every order, do not wait for each other for ever.
pub async fn commits_to_the_same_things_do_not_deadlock<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let tasks = start(8, |number| {
        let store = Arc::clone(t.store());
        async move {
            let mut random = fastrand::Rng::with_seed(number as u64);
            for _ in 0..8 {
                let mut keys = ["a", "b", "c"];
                let mut commit = Commit::new();
                random.shuffle(&mut keys);
                commit.appends = keys
                    .map(|key| StreamAppend::new(stream(key), Any, events(1)))
                    .to_vec();
                random.shuffle(&mut keys);
                commit.documents = keys
                    .map(|key| DocumentWrite::put("notes", key, json("1")))
                    .to_vec();
                store.commit(commit).await?;
            }
            Ok::<_, CommitError>(())
        }
    });
    succeed(tasks).await?;
    for key in ["a", "b", "c"] {
        assert_eq!(t.stream(&stream(key)).await?.len(), 64, "{key}");
    }
    Ok(())
}

/// Guarantee 5: many commits that are dropped or aborted at any moment happen whole or not at all, and the store works on.
pub async fn aborted_commits_happen_whole_or_not_at_all<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    let mut all = Vec::new();
    for round in 0..4 {
        let mut tasks = Vec::new();
        for number in 0..8 {
            let parts = AllParts::prepare(t, &format!("{round} {number}")).await?;
            let (store, commit) = (Arc::clone(t.store()), parts.commit(t));
            // Every other one gives up by itself, after so many polls.
            let polls = if number % 2 == 0 {
                usize::MAX
            } else {
                round * 4 + number / 2
            };
            tasks.push(tokio::spawn(async move {
                drop_after(polls, store.commit(commit)).await
            }));
            all.push(parts);
        }
        for _ in 0..round * 6 {
            tokio::task::yield_now().await;
        }
        for task in tasks.iter().step_by(2) {
            task.abort();
        }
        for task in tasks {
            match task.await {
                Ok(Some(result)) => drop(result?),
                Ok(None) => {}
                Err(error) => assert!(error.is_cancelled(), "{error}"),
            }
        }
    }
    let mut stored = 0;
    for parts in &all {
        stored += if parts.settle(t).await? { 2 } else { 1 };
    }
    assert_eq!(t.log().await?.len(), stored);
    Ok(())
}

/// Guarantee 1: nobody sees the document of a commit without its events.
pub async fn nobody_sees_half_a_commit<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    let (store, batches): (_, Vec<_>) =
        (Arc::clone(t.store()), (0..100).map(|_| event()).collect());
    let writer = tokio::spawn({
        let (notes, batches) = (notes.clone(), batches.clone());
        async move {
            for (number, new) in (1..).zip(batches) {
                let mut commit = Commit::new();
                commit
                    .appends
                    .push(StreamAppend::new(notes.clone(), Any, vec![new]));
                commit.documents.push(DocumentWrite::put(
                    "notes",
                    "count",
                    json(&format!("{number}")),
                ));
                store.commit(commit).await?;
            }
            Ok::<_, CommitError>(())
        }
    });
    loop {
        let ended = writer.is_finished();
        let events = t.stream(&notes).await?.len();
        let found = t
            .store()
            .load_documents("notes", &[String::from("count")])
            .await?;
        let count: usize = found
            .first()
            .map_or(Ok(0), |document| document.body().as_str().parse())?;
        assert!(
            count >= events,
            "{events} events, and then a count of {count}"
        );
        let stored = t.stream(&notes).await?.len();
        assert!(
            stored >= count,
            "a count of {count}, and then {stored} events"
        );
        if ended {
            break;
        }
        tokio::task::yield_now().await;
    }
    writer.await??;
    assert_eq!(ids(&t.stream(&notes).await?), new_ids(&batches));
    assert_eq!(
        t.store().head().await?.last().map(|(_, id)| id),
        batches.last().map(uno_core::NewEvent::id)
    );
    Ok(())
}
