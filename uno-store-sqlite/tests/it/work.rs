//! The caller's own work: whatever it does, it does it to its own commit only.

use std::{future::pending, time::Duration};

use sqlx::Connection;
use uno_core::{
    AppendError, BoxError, Commit, CommitError, EventStore, ExpectedVersion, ReadStream,
    StoreError, Transactional, Work,
};
use uno_store_sqlite::{SqliteStore, SqliteTx};

use crate::support::{Fixture, TestResult, event, one, stream};

async fn with_table() -> Result<Fixture, BoxError> {
    let fixture = Fixture::new().await?;
    sqlx::query("CREATE TABLE notes (note TEXT)")
        .execute(&mut fixture.outside().await?)
        .await?;
    Ok(fixture)
}

async fn notes(fixture: &Fixture) -> Result<Vec<String>, BoxError> {
    Ok(sqlx::query_scalar("SELECT note FROM notes ORDER BY note")
        .fetch_all(&mut fixture.outside().await?)
        .await?)
}

/// Work that runs these statements, one after the other.
fn runs(statements: &'static [&'static str]) -> Work<SqliteTx> {
    Box::new(move |tx| {
        Box::pin(async move {
            for statement in statements {
                sqlx::query(*statement).execute(tx.connection()).await?;
            }
            Ok(())
        })
    })
}

fn with_work(work: Work<SqliteTx>, stream: &str) -> Commit<SqliteTx> {
    let mut commit = Commit::new();
    commit.work.push(work);
    commit.appends.push(one(stream, ExpectedVersion::NoStream));
    commit
}

const NOTE: &str = "INSERT INTO notes VALUES ('here')";

/// That a commit failed for its work, that nothing of it is left, and that the store goes on.
#[track_caller]
fn said(result: Result<uno_core::Receipt, CommitError>) -> String {
    match result {
        Err(CommitError::Work(error)) => error.to_string(),
        other => panic!("expected the work to fail, and got {other:?}"),
    }
}

async fn goes_on(fixture: &Fixture) -> TestResult {
    assert_eq!(notes(fixture).await?, [] as [&str; 0]);
    assert_eq!(
        fixture
            .store
            .read_stream(ReadStream::forward(stream("a")))
            .await?,
        []
    );
    fixture
        .store
        .append(vec![one("b", ExpectedVersion::Any)])
        .await?;
    fixture.store.commit(with_work(runs(&[NOTE]), "c")).await?;
    assert_eq!(notes(fixture).await?, ["here"]);
    Ok(())
}

#[tokio::test]
async fn work_that_fails_takes_its_commit_along() -> TestResult {
    let fixture = with_table().await?;
    let mut commit = with_work(runs(&[NOTE]), "a");
    commit
        .work
        .push(Box::new(|_| Box::pin(async { Err("no".into()) })));
    assert_eq!(said(fixture.store.commit(commit).await), "no");
    goes_on(&fixture).await
}

#[tokio::test]
async fn work_that_panics_takes_its_commit_along() -> TestResult {
    let fixture = with_table().await?;
    let mut commit = with_work(runs(&[NOTE]), "a");
    commit
        .work
        .push(Box::new(|_| Box::pin(async { panic!("oh") })));
    assert_eq!(
        said(fixture.store.commit(commit).await),
        "the work panicked: oh"
    );
    let mut commit = with_work(runs(&[NOTE]), "a");
    commit.work.push(Box::new(|_| panic!("at once")));
    assert_eq!(
        said(fixture.store.commit(commit).await),
        "the work panicked: at once"
    );
    goes_on(&fixture).await
}

#[tokio::test]
async fn work_that_does_not_end_is_stopped() -> TestResult {
    let fixture = with_table().await?;
    let store = SqliteStore::builder()
        .work_timeout(Duration::from_millis(20))
        .open(fixture.path())
        .await?;
    let mut commit = with_work(runs(&[NOTE]), "a");
    commit.work.push(Box::new(|_| Box::pin(pending())));
    assert_eq!(said(store.commit(commit).await), "the work took too long");
    goes_on(&fixture).await
}

#[tokio::test]
async fn work_that_ends_the_transaction_fails() -> TestResult {
    let fixture = with_table().await?;
    for end in [
        &["ROLLBACK"] as &[_],
        &["ROLLBACK", "BEGIN"],
        &["DELETE FROM notes", "COMMIT"],
        &["COMMIT", "BEGIN IMMEDIATE"],
    ] {
        assert_eq!(
            said(fixture.store.commit(with_work(runs(end), "a")).await),
            "the work ended the transaction",
            "{end:?}"
        );
    }
    goes_on(&fixture).await
}

#[tokio::test]
async fn a_transaction_of_sqlx_within_work_is_a_savepoint() -> TestResult {
    let fixture = with_table().await?;
    let mut commit = Commit::<SqliteTx>::new();
    commit.work.push(Box::new(|tx| {
        Box::pin(async move {
            let mut kept = tx.connection().begin().await?;
            sqlx::query("INSERT INTO notes VALUES ('kept')")
                .execute(&mut *kept)
                .await?;
            kept.commit().await?;
            let mut dropped = tx.connection().begin().await?;
            sqlx::query("INSERT INTO notes VALUES ('dropped')")
                .execute(&mut *dropped)
                .await?;
            drop(dropped);
            Ok(())
        })
    }));
    fixture.store.commit(commit).await?;
    assert_eq!(notes(&fixture).await?, ["kept"]);
    Ok(())
}

#[tokio::test]
async fn a_savepoint_that_is_left_open_fails_the_commit() -> TestResult {
    let fixture = with_table().await?;
    let mut commit = with_work(runs(&[NOTE]), "a");
    commit.work.push(Box::new(|tx| {
        Box::pin(async move {
            std::mem::forget(tx.connection().begin().await?);
            Ok(())
        })
    }));
    assert_eq!(
        said(fixture.store.commit(commit).await),
        "the work left a savepoint open"
    );
    goes_on(&fixture).await
}

#[tokio::test]
async fn a_write_through_the_store_from_within_work_is_refused() -> TestResult {
    let fixture = with_table().await?;
    let again = SqliteStore::open(fixture.path()).await?;
    for store in [fixture.store.clone(), again] {
        let mut commit = Commit::<SqliteTx>::new();
        commit.work.push(Box::new(|_| {
            Box::pin(async move {
                let nested = store.append(vec![one("a", ExpectedVersion::Any)]).await;
                assert!(
                    matches!(
                        nested,
                        Err(AppendError::Store(StoreError::Unsupported { .. }))
                    ),
                    "{nested:?}"
                );
                assert_eq!(
                    store.read_stream(ReadStream::forward(stream("a"))).await?,
                    []
                );
                Ok(())
            })
        }));
        fixture.store.commit(commit).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_work_of_a_repeated_commit_is_undone() -> TestResult {
    let fixture = with_table().await?;
    let event = event();
    let again = || {
        let mut commit = Commit::<SqliteTx>::new();
        commit.work.push(runs(&[NOTE]));
        let events = vec![event.clone()];
        commit.appends.push(uno_core::StreamAppend::new(
            stream("a"),
            ExpectedVersion::Any,
            events,
        ));
        commit
    };
    let first = fixture.store.commit(again()).await?;
    assert_eq!(fixture.store.commit(again()).await?, first);
    assert_eq!(notes(&fixture).await?, ["here"]);
    Ok(())
}

#[tokio::test]
async fn work_alone_is_a_commit() -> TestResult {
    let fixture = with_table().await?;
    let mut commit = Commit::<SqliteTx>::new();
    commit.work.push(runs(&[NOTE]));
    let receipt = fixture.store.commit(commit).await?;
    assert_eq!(receipt.position(), None);
    assert_eq!(notes(&fixture).await?, ["here"]);
    Ok(())
}

#[tokio::test]
async fn work_before_the_store_is_migrated_says_so() -> TestResult {
    let directory = tempfile::tempdir()?;
    let store = SqliteStore::open(crate::support::file(&directory)).await?;
    let result = store.commit(with_work(runs(&["SELECT 1"]), "a")).await;
    assert!(
        matches!(
            result,
            Err(CommitError::Append(AppendError::Store(
                StoreError::NotMigrated { .. }
            )))
        ),
        "{result:?}"
    );
    Ok(())
}
