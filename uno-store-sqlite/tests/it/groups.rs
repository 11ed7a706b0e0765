//! Commits that are carried out together: each is judged by itself, and after those before it.

use uno_core::{
    Acknowledgement, AppendError, Checkpoint, CheckpointStore, CheckpointWrite, Commit,
    CommitError, DocumentStore, DocumentWrite, EventStore, ExpectedVersion, Metadata, NewMessage,
    Position, ProcessStatus, ProcessStore, ProcessWrite, ReadStream, Snapshot, Stale, StreamAppend,
    SubscriptionName, Transactional, Version,
};
use uno_store_sqlite::SqliteTx;
use uuid::Uuid;

use crate::support::{
    Fixture, TestResult, appending, event, exact, json, log, one, stream, together,
};

fn commit(fill: impl FnOnce(&mut Commit<SqliteTx>)) -> Commit<SqliteTx> {
    let mut commit = Commit::new();
    fill(&mut commit);
    commit
}

fn conflict(error: &CommitError) -> Option<(ExpectedVersion, u64)> {
    match error {
        CommitError::Append(AppendError::Conflict {
            expected, actual, ..
        }) => Some((*expected, actual.get())),
        _ => None,
    }
}

#[tokio::test]
async fn what_waits_is_carried_out_in_one_transaction() -> TestResult {
    let fixture = Fixture::new().await?;
    let mut outside = fixture.outside().await?;
    let commits = (0..200).map(|n| appending(one(&n.to_string(), ExpectedVersion::NoStream)));
    let results = together(&fixture.store, commits.collect()).await?;
    assert!(results.iter().all(Result::is_ok));
    // Taken once for the whole group.
    let times: i64 = sqlx::query_scalar("SELECT count(DISTINCT recorded_at) FROM uno_events")
        .fetch_one(&mut outside)
        .await?;
    assert_eq!(times, 1);
    let positions: Vec<_> = results
        .into_iter()
        .map(|result| result.unwrap().position().unwrap())
        .collect();
    assert!(
        positions.is_sorted(),
        "in the order in which they were asked for"
    );
    Ok(())
}

#[tokio::test]
async fn a_commit_is_judged_after_those_before_it() -> TestResult {
    let fixture = Fixture::new().await?;
    let results = together(
        &fixture.store,
        vec![
            appending(one("a", ExpectedVersion::NoStream)),
            appending(one("a", ExpectedVersion::NoStream)),
            appending(one("a", exact(1))),
            appending(one("a", ExpectedVersion::StreamExists)),
            appending(one("a", exact(2))),
            appending(one("b", ExpectedVersion::StreamExists)),
            appending(one("a", ExpectedVersion::Any)),
            commit(|commit| {
                commit
                    .unchanged
                    .push((stream("a"), Version::new(3).unwrap()));
            }),
            commit(|commit| {
                commit
                    .unchanged
                    .push((stream("a"), Version::new(4).unwrap()));
            }),
        ],
    )
    .await?;
    let conflicts: Vec<_> = results
        .iter()
        .map(|result| result.as_ref().err().and_then(conflict))
        .collect();
    let expected = [
        None,
        Some((ExpectedVersion::NoStream, 1)),
        None,
        None,
        Some((exact(2), 3)),
        Some((ExpectedVersion::StreamExists, 0)),
        None,
        Some((exact(3), 4)),
        None,
    ];
    assert_eq!(conflicts, expected);
    let versions: Vec<_> = log(&fixture.store)
        .await?
        .iter()
        .map(|event| event.version().get())
        .collect();
    assert_eq!(versions, [1, 2, 3, 4]);
    Ok(())
}

#[tokio::test]
async fn the_same_append_twice_in_a_group_is_stored_once() -> TestResult {
    let fixture = Fixture::new().await?;
    let (any, exactly) = (
        one("a", ExpectedVersion::Any),
        one("b", ExpectedVersion::NoStream),
    );
    let elsewhere = StreamAppend::new(stream("c"), ExpectedVersion::Any, any.events().to_vec());
    let appends = [any.clone(), exactly.clone(), any, exactly, elsewhere];
    let results = together(&fixture.store, appends.into_iter().map(appending).collect()).await?;
    assert_eq!(results[0].as_ref().unwrap(), results[2].as_ref().unwrap());
    assert_eq!(results[1].as_ref().unwrap(), results[3].as_ref().unwrap());
    assert!(
        matches!(
            results[4],
            Err(CommitError::Append(AppendError::DuplicateEvent { .. }))
        ),
        "{:?}",
        results[4]
    );
    assert_eq!(log(&fixture.store).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn an_append_that_was_stored_before_disturbs_nobody_in_its_group() -> TestResult {
    let fixture = Fixture::new().await?;
    let (any, exactly) = (
        one("a", ExpectedVersion::Any),
        one("b", ExpectedVersion::NoStream),
    );
    let first = fixture.store.append(vec![any.clone()]).await?;
    let second = fixture.store.append(vec![exactly.clone()]).await?;
    let elsewhere = StreamAppend::new(stream("c"), ExpectedVersion::Any, any.events().to_vec());
    let new = one("d", ExpectedVersion::NoStream);
    let results = together(
        &fixture.store,
        [any, new, exactly, elsewhere]
            .into_iter()
            .map(appending)
            .collect(),
    )
    .await?;
    assert_eq!(results[0].as_ref().unwrap(), &first);
    assert_eq!(results[1].as_ref().unwrap().streams()[0].last().get(), 1);
    assert_eq!(results[2].as_ref().unwrap(), &second);
    assert!(
        matches!(
            results[3],
            Err(CommitError::Append(AppendError::DuplicateEvent { .. }))
        ),
        "{:?}",
        results[3]
    );
    assert_eq!(log(&fixture.store).await?.len(), 3);
    Ok(())
}

#[tokio::test]
async fn a_repeated_commit_is_found_out_before_what_is_stale_about_it() -> TestResult {
    let fixture = Fixture::new().await?;
    let epoch = fixture.store.head().await?.epoch();
    let moving = |append: StreamAppend| {
        commit(|commit| {
            let name = SubscriptionName::new("mail").unwrap();
            commit
                .checkpoints
                .push(CheckpointWrite::new(name, None, Checkpoint::start(epoch)));
            commit.appends.push(append);
        })
    };
    let append = one("a", ExpectedVersion::Any);
    let first = fixture.store.commit(moving(append.clone())).await?;
    assert_eq!(fixture.store.commit(moving(append)).await?, first);
    let stale = fixture
        .store
        .commit(moving(one("a", ExpectedVersion::Any)))
        .await;
    assert!(
        matches!(stale, Err(CommitError::Stale(Stale::Checkpoint(_)))),
        "{stale:?}"
    );
    Ok(())
}

#[tokio::test]
async fn of_several_writes_to_a_document_the_last_one_stays() -> TestResult {
    let fixture = Fixture::new().await?;
    let put = |key: &str, body: &str| {
        commit(|commit| {
            commit
                .documents
                .push(DocumentWrite::put("notes", key, json(body)));
        })
    };
    let remove =
        |key: &str| commit(|commit| commit.documents.push(DocumentWrite::remove("notes", key)));
    fixture.store.commit(put("old", "0")).await?;
    let commits = vec![
        put("a", "1"),
        put("a", "2"),
        put("b", "1"),
        remove("b"),
        remove("old"),
        remove("c"),
        put("c", "3"),
    ];
    assert!(
        together(&fixture.store, commits)
            .await?
            .iter()
            .all(Result::is_ok)
    );
    let documents = fixture.store.scan_documents("notes", None, 10).await?;
    let documents: Vec<_> = documents
        .iter()
        .map(|document| (document.key(), document.body().as_str()))
        .collect();
    assert_eq!(documents, [("a", "2"), ("c", "3")]);
    Ok(())
}

#[tokio::test]
async fn checkpoints_and_processes_move_one_step_for_one_winner() -> TestResult {
    let fixture = Fixture::new().await?;
    let epoch = fixture.store.head().await?.epoch();
    let at = |number: u64| Position::new(number).unwrap();
    let name = SubscriptionName::new("mail")?;
    let moved = |from: Option<u64>, to: u64| {
        commit(|commit| {
            let checkpoint = Checkpoint::after(epoch, at(to), event().id());
            commit
                .checkpoints
                .push(CheckpointWrite::new(name.clone(), from.map(at), checkpoint));
        })
    };
    let saved = |revision: u64, body: &str| {
        let write = ProcessWrite::new(
            "shipping",
            "order-1",
            revision,
            ProcessStatus::Running,
            json(body),
        );
        commit(|commit| commit.processes.push(write))
    };
    let commits = vec![
        moved(None, 1),
        moved(None, 2),
        moved(Some(1), 3),
        saved(0, "1"),
        saved(0, "2"),
        saved(1, "3"),
        moved(Some(1), 4),
    ];
    let results = together(&fixture.store, commits).await?;
    let done: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(done, [true, false, true, true, false, true, false]);
    assert_eq!(
        fixture
            .store
            .load_checkpoint(&name, uno_core::Lane::FIRST)
            .await?
            .unwrap()
            .position(),
        at(3)
    );
    let instances = fixture
        .store
        .load_processes("shipping", &["order-1".to_owned()])
        .await?;
    assert_eq!(
        (instances[0].revision(), instances[0].body().as_str()),
        (2, "3")
    );
    Ok(())
}

#[tokio::test]
async fn a_message_may_come_and_go_within_a_group() -> TestResult {
    let fixture = Fixture::new().await?;
    let id = |number: u128| Uuid::from_u128(number);
    let add = |number: u128| {
        let message = NewMessage::new(
            "mail",
            id(number),
            "key",
            "send",
            json("{}"),
            Metadata::new(),
        );
        commit(|commit| commit.messages.push(message))
    };
    let handled = |number: u128| {
        commit(|commit| {
            commit
                .acknowledgements
                .push(Acknowledgement::new("mail", id(number)));
        })
    };
    fixture.store.commit(add(1)).await?;
    let commits = vec![
        add(2),
        handled(2),
        handled(1),
        handled(1),
        add(1),
        add(1),
        add(3),
    ];
    let results = together(&fixture.store, commits).await?;
    let done: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(done, [true, true, true, false, true, false, true]);
    let waiting = fixture.store.read_queue("mail", 0, 10).await?;
    let ids: Vec<_> = waiting
        .iter()
        .map(|message| message.message().id())
        .collect();
    assert_eq!(ids, [id(1), id(3)]);
    assert!(waiting[0].number() > 1, "a number is never used again");
    assert_eq!(fixture.store.queue_depth("mail").await?.0, 2);
    // Also when nothing is left that would remember it.
    together(&fixture.store, vec![handled(1), handled(3)]).await?;
    fixture.store.commit(add(4)).await?;
    let next = fixture.store.read_queue("mail", 0, 10).await?;
    assert!(next[0].number() > waiting[1].number());
    Ok(())
}

#[tokio::test]
async fn the_newest_snapshot_stays() -> TestResult {
    let fixture = Fixture::new().await?;
    let snapshot = |version: u64, body: &str| {
        let version = Version::new(version).unwrap();
        let snapshot = Snapshot::new(stream("a"), version, event().id(), "shape", json(body));
        commit(|commit| commit.snapshots.push(snapshot))
    };
    together(
        &fixture.store,
        vec![snapshot(2, "2"), snapshot(3, "3"), snapshot(1, "1")],
    )
    .await?;
    fixture.store.commit(snapshot(2, "4")).await?;
    let kept = fixture.store.load_snapshot(&stream("a")).await?.unwrap();
    assert_eq!(
        (kept.version().get(), kept.body().as_str(), kept.is_intact()),
        (3, "3", true)
    );
    Ok(())
}

/// A statement can fail for a reason that nobody foresaw; here a trigger of somebody else's.
#[tokio::test]
async fn what_fails_unexpectedly_fails_alone() -> TestResult {
    let fixture = Fixture::new().await?;
    let trigger = "CREATE TRIGGER no_bad BEFORE INSERT ON uno_documents WHEN NEW.key = 'bad' BEGIN SELECT RAISE(ABORT, 'bad'); END";
    sqlx::query(trigger)
        .execute(&mut fixture.outside().await?)
        .await?;
    let both = |key: &str| {
        commit(|commit| {
            commit.appends.push(one(key, ExpectedVersion::NoStream));
            commit
                .documents
                .push(DocumentWrite::put("notes", key, json("1")));
        })
    };
    let results = together(&fixture.store, vec![both("a"), both("bad"), both("c")]).await?;
    let done: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(done, [true, false, true]);
    assert!(
        matches!(results[1], Err(CommitError::Append(AppendError::Store(_)))),
        "{:?}",
        results[1]
    );
    assert_eq!(
        fixture
            .store
            .read_stream(ReadStream::forward(stream("bad")))
            .await?,
        []
    );
    let versions: Vec<_> = log(&fixture.store)
        .await?
        .iter()
        .map(|event| event.version().get())
        .collect();
    assert_eq!(versions, [1, 1]);
    Ok(())
}

#[tokio::test]
async fn a_group_of_commits_that_all_fail_writes_nothing() -> TestResult {
    let fixture = Fixture::new().await?;
    let commits = (0..3).map(|n| appending(one("a", exact(n + 1)))).collect();
    let results = together(&fixture.store, commits).await?;
    assert!(
        results
            .iter()
            .all(|result| result.as_ref().is_err_and(CommitError::is_conflict))
    );
    fixture
        .store
        .append(vec![one("a", ExpectedVersion::NoStream)])
        .await?;
    Ok(())
}
