//! What can be wrong with a file, and how that is said.

use std::{fs, time::Duration};

use sqlx::Connection;
use uno_core::{
    AppendError, CheckpointStore, CommitError, DocumentStore, EventStore, ExpectedVersion,
    Position, ProcessStore, ReadLog, ReadStream, StoreError, SubscriptionName, Transactional,
};
use uno_store_sqlite::SqliteStore;

use crate::support::{Fixture, TestResult, appending, file, log, one, stream};

/// What every call to a store says.
async fn answers(store: &SqliteStore) -> Vec<StoreError> {
    let name = SubscriptionName::new("mail").unwrap();
    let keys = ["key".to_owned()];
    let append = store.append(vec![one("a", ExpectedVersion::Any)]).await;
    let commit = store
        .commit(appending(one("a", ExpectedVersion::Any)))
        .await;
    let mut answers = vec![
        match append {
            Err(AppendError::Store(error)) => error,
            other => panic!("{other:?}"),
        },
        match commit {
            Err(CommitError::Append(AppendError::Store(error))) => error,
            other => panic!("{other:?}"),
        },
    ];
    answers.extend(
        store
            .read_stream(ReadStream::forward(stream("a")))
            .await
            .err(),
    );
    answers.extend(
        store
            .read_stream(ReadStream::backward(stream("a")))
            .await
            .err(),
    );
    answers.extend(store.read_log(ReadLog::after(Position::START)).await.err());
    answers.extend(store.head().await.err());
    answers.extend(store.load_snapshot(&stream("a")).await.err());
    answers.extend(store.load_documents("notes", &keys).await.err());
    answers.extend(store.scan_documents("notes", None, 1).await.err());
    answers.extend(
        store
            .load_checkpoint(&name, uno_core::Lane::FIRST)
            .await
            .err(),
    );
    answers.extend(store.list_checkpoints().await.err());
    answers.extend(store.load_processes("shipping", &keys).await.err());
    answers.extend(store.list_processes("shipping", &[], None, 1).await.err());
    answers.extend(store.read_queue("mail", 0, 1).await.err());
    answers.extend(store.queue_depth("mail").await.err());
    answers
}

const CALLS: usize = 15;

#[tokio::test]
async fn a_store_without_a_schema_says_so_on_every_call() -> TestResult {
    let directory = tempfile::tempdir()?;
    let store = SqliteStore::open(file(&directory)).await?;
    let answers = answers(&store).await;
    assert_eq!(answers.len(), CALLS);
    assert!(
        answers
            .iter()
            .all(|error| matches!(error, StoreError::NotMigrated { .. })),
        "{answers:?}"
    );
    store.migrate().await?;
    store.append(vec![one("a", ExpectedVersion::Any)]).await?;
    assert_eq!(log(&store).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() -> TestResult {
    let fixture = Fixture::new().await?;
    let used = fixture.store.clone();
    used.append(vec![one("a", ExpectedVersion::Any)]).await?;
    sqlx::query("INSERT INTO uno_migrations VALUES (99, 'from the future', '', 0)")
        .execute(&mut fixture.outside().await?)
        .await?;

    let store = SqliteStore::open(fixture.path()).await?;
    let answers = answers(&store).await;
    assert_eq!(answers.len(), CALLS);
    assert!(
        answers.iter().all(|error| matches!(
            error,
            StoreError::NewerSchema {
                found: 99,
                known: 1,
                ..
            }
        )),
        "{answers:?}"
    );
    assert!(matches!(
        store.migrate().await,
        Err(StoreError::NewerSchema { found: 99, .. })
    ));
    // Also by a store that was in use when somebody else migrated.
    let result = used.append(vec![one("a", ExpectedVersion::Any)]).await;
    assert!(
        matches!(
            result,
            Err(AppendError::Store(StoreError::NewerSchema {
                found: 99,
                ..
            }))
        ),
        "{result:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_schema_that_somebody_else_made_is_refused() -> TestResult {
    let fixture = Fixture::new().await?;
    sqlx::query("UPDATE uno_migrations SET checksum = 'other'")
        .execute(&mut fixture.outside().await?)
        .await?;
    let store = SqliteStore::open(fixture.path()).await?;
    let answers = answers(&store).await;
    assert!(
        answers
            .iter()
            .all(|error| matches!(error, StoreError::Corrupt { .. })),
        "{answers:?}"
    );
    assert!(matches!(
        store.migrate().await,
        Err(StoreError::Corrupt { .. })
    ));
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_opened_is_unavailable() -> TestResult {
    let directory = tempfile::tempdir()?;
    for path in [
        directory.path().join("missing/store.db"),
        directory.path().to_owned(),
    ] {
        let opened = SqliteStore::open(&path).await;
        assert!(
            matches!(opened, Err(StoreError::Unavailable { .. })),
            "{path:?}: {opened:?}"
        );
    }
    let opened = SqliteStore::builder()
        .must_exist()
        .open(file(&directory))
        .await;
    assert!(
        matches!(opened, Err(StoreError::Unavailable { .. })),
        "{opened:?}"
    );
    assert!(!file(&directory).exists());
    Ok(())
}

#[tokio::test]
async fn what_is_not_a_database_is_said_to_be_none() -> TestResult {
    let directory = tempfile::tempdir()?;
    fs::write(
        file(&directory),
        "Dear diary, today I went to the market. ".repeat(100),
    )?;
    let opened = SqliteStore::open(file(&directory)).await;
    assert!(
        matches!(opened, Err(StoreError::Corrupt { .. })),
        "{opened:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_database_in_memory_is_refused() {
    for path in [":memory:", ""] {
        let opened = SqliteStore::open(path).await;
        assert!(
            matches!(opened, Err(StoreError::Unsupported { .. })),
            "{opened:?}"
        );
    }
}

#[tokio::test]
async fn a_path_is_a_path_and_never_a_uri() -> TestResult {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("file:store.db?mode=memory");
    SqliteStore::open(&path).await?.migrate().await?;
    assert!(path.exists());
    Ok(())
}

#[tokio::test]
async fn a_store_that_is_only_read_reads_and_refuses_to_write() -> TestResult {
    let fixture = Fixture::new().await?;
    fixture
        .store
        .append(vec![one("a", ExpectedVersion::Any)])
        .await?;
    let store = SqliteStore::builder()
        .read_only()
        .open(fixture.path())
        .await?;
    assert_eq!(log(&store).await?.len(), 1);
    let result = store.append(vec![one("a", ExpectedVersion::Any)]).await;
    assert!(
        matches!(result, Err(AppendError::Store(StoreError::ReadOnly { .. }))),
        "{result:?}"
    );
    assert!(matches!(
        store.migrate().await,
        Err(StoreError::ReadOnly { .. })
    ));
    let since = store.change();
    fixture
        .store
        .append(vec![one("a", ExpectedVersion::Any)])
        .await?;
    store.changed(since).await;
    assert_eq!(log(&store).await?.len(), 2);
    Ok(())
}

/// Whoever may write everywhere (root) finds no file that it may not write.
#[tokio::test]
async fn a_file_that_may_not_be_written_is_read_only() -> TestResult {
    let fixture = Fixture::new().await?;
    fixture.store.close().await;
    let mut permissions = fs::metadata(fixture.path())?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(fixture.path(), permissions)?;
    let may_write_all_the_same = fs::OpenOptions::new()
        .write(true)
        .open(fixture.path())
        .is_ok();
    match SqliteStore::open(fixture.path()).await {
        Err(StoreError::ReadOnly { .. }) => assert!(!may_write_all_the_same),
        Ok(_) => assert!(may_write_all_the_same),
        other => panic!("{other:?}"),
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_open_and_migrate_at_once() -> TestResult {
    let directory = tempfile::tempdir()?;
    let path = file(&directory);
    let opened = (0..16).map(|number| {
        let path = path.clone();
        tokio::spawn(async move {
            let store = SqliteStore::open(path).await?;
            store.migrate().await?;
            store
                .append(vec![one(&number.to_string(), ExpectedVersion::NoStream)])
                .await?;
            Ok::<_, uno_core::BoxError>(store.head().await?.epoch())
        })
    });
    let mut epochs = Vec::new();
    for store in opened.collect::<Vec<_>>() {
        epochs.push(store.await??);
    }
    epochs.dedup();
    assert_eq!(epochs.len(), 1);
    assert_eq!(log(&SqliteStore::open(&path).await?).await?.len(), 16);
    Ok(())
}

#[tokio::test]
async fn somebody_elses_lock_is_waited_for_and_then_told() -> TestResult {
    let fixture = Fixture::new().await?;
    let store = SqliteStore::builder()
        .busy_timeout(Duration::from_millis(20))
        .open(fixture.path())
        .await?;
    let mut outside = fixture.outside().await?;
    let lock = outside.begin_with("BEGIN IMMEDIATE").await?;
    let result = store.append(vec![one("a", ExpectedVersion::Any)]).await;
    assert!(
        result.as_ref().is_err_and(AppendError::is_transient),
        "{result:?}"
    );
    lock.rollback().await?;
    store.append(vec![one("a", ExpectedVersion::Any)]).await?;
    Ok(())
}

#[tokio::test]
async fn a_closed_store_is_unavailable_and_its_file_free() -> TestResult {
    let fixture = Fixture::new().await?;
    fixture
        .store
        .append(vec![one("a", ExpectedVersion::Any)])
        .await?;
    fixture.store.clone().close().await;
    let answers = answers(&fixture.store).await;
    assert_eq!(answers.len(), CALLS);
    assert!(answers.iter().all(StoreError::is_transient), "{answers:?}");
    // Every connection is closed by now. (That SQLite then removes its log of changes is usual, but not promised.)
    #[cfg(target_os = "linux")]
    assert_eq!(crate::processes::locks(&fixture.path())?, 0);
    fixture.store.close().await;
    assert_eq!(
        log(&SqliteStore::open(fixture.path()).await?).await?.len(),
        1
    );
    Ok(())
}

#[tokio::test]
async fn events_are_never_changed_nor_removed() -> TestResult {
    let fixture = Fixture::new().await?;
    fixture
        .store
        .append(vec![one("a", ExpectedVersion::Any)])
        .await?;
    let mut outside = fixture.outside().await?;
    for change in [
        "UPDATE uno_events SET payload = '1'",
        "DELETE FROM uno_events",
    ] {
        let error = sqlx::query(change).execute(&mut outside).await.unwrap_err();
        assert!(error.to_string().contains("events are never"), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn acknowledged_means_on_the_disk_unless_it_is_said_otherwise() -> TestResult {
    let fixture = Fixture::new().await?;
    let level = |store: SqliteStore| async move {
        let mut commit = uno_core::Commit::<uno_store_sqlite::SqliteTx>::new();
        commit.work.push(Box::new(|tx| {
            Box::pin(async move {
                let level: i64 = sqlx::query_scalar("PRAGMA synchronous")
                    .fetch_one(tx.connection())
                    .await?;
                Err(level.to_string().into())
            })
        }));
        match store.commit(commit).await {
            Err(CommitError::Work(level)) => level.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(level(fixture.store.clone()).await, "2", "full");
    let store = SqliteStore::builder()
        .danger_synchronous_off()
        .open(fixture.path())
        .await?;
    assert_eq!(level(store).await, "0", "off");
    Ok(())
}
