//! A future that is dropped at any point leaves nothing behind but a whole commit, or none.

use std::{future::Future, pin::pin, task::Poll, time::Duration};

use sqlx::Connection;
use uno_core::{
    Commit, DocumentStore, DocumentWrite, EventStore, ExpectedVersion, Position, ReadLog,
    ReadStream, StreamAppend, Transactional,
};
use uno_store_sqlite::SqliteTx;

use crate::support::{Fixture, TestResult, event, json, log, one, poll_once, stream};

/// Polls a future so often, then drops it. Gives back whether it was done by then.
async fn drop_after(polls: usize, future: impl Future) -> bool {
    let mut future = pin!(future);
    for _ in 0..polls {
        if poll_once(&mut future).await.is_ready() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_commits_happen_whole_or_not_at_all() -> TestResult {
    let fixture = Fixture::new().await?;
    let store = &fixture.store;
    let mut done = 0;
    for round in 0..400 {
        let key = format!("{round:03}");
        let mut commit = Commit::<SqliteTx>::new();
        commit.appends.push(StreamAppend::new(
            stream(&key),
            ExpectedVersion::NoStream,
            vec![event(), event()],
        ));
        commit
            .appends
            .push(one(&format!("{key}-too"), ExpectedVersion::NoStream));
        commit
            .documents
            .push(DocumentWrite::put("notes", key, json("1")));
        done += usize::from(drop_after(round % 20, store.commit(commit)).await);
    }
    // Comes after all that were accepted.
    store
        .append(vec![one("last", ExpectedVersion::NoStream)])
        .await?;
    let events = log(store).await?;
    let documents = store.scan_documents("notes", None, 1000).await?;
    assert_eq!(events.len(), 3 * documents.len() + 1);
    assert!(documents.len() >= done);
    for document in &documents {
        let events = store
            .read_stream(ReadStream::forward(stream(document.key())))
            .await?;
        let other = store
            .read_stream(ReadStream::forward(stream(&format!(
                "{}-too",
                document.key()
            ))))
            .await?;
        assert_eq!((events.len(), other.len()), (2, 1), "{}", document.key());
    }
    at_rest(&fixture).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_work_leaves_no_transaction_open() -> TestResult {
    let fixture = Fixture::new().await?;
    sqlx::query("CREATE TABLE notes (note TEXT)")
        .execute(&mut fixture.outside().await?)
        .await?;
    for round in 0..200 {
        let mut commit = Commit::<SqliteTx>::new();
        commit.work.push(Box::new(|tx| {
            Box::pin(async move {
                sqlx::query("INSERT INTO notes VALUES ('note')")
                    .execute(tx.connection())
                    .await?;
                tokio::task::yield_now().await;
                Ok(())
            })
        }));
        commit
            .appends
            .push(one(&round.to_string(), ExpectedVersion::NoStream));
        drop_after(round % 40, fixture.store.commit(commit)).await;
    }
    fixture
        .store
        .append(vec![one("last", ExpectedVersion::NoStream)])
        .await?;
    let notes: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
        .fetch_one(&mut fixture.outside().await?)
        .await?;
    assert_eq!(log(&fixture.store).await?.len() as i64, notes + 1);
    at_rest(&fixture).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_reads_disturb_no_other() -> TestResult {
    let fixture = Fixture::new().await?;
    let store = &fixture.store;
    for key in ["a", "b"] {
        store
            .append(vec![StreamAppend::new(
                stream(key),
                ExpectedVersion::NoStream,
                (0..50).map(|_| event()).collect(),
            )])
            .await?;
    }
    for round in 0..300 {
        let polls = round % 10;
        drop_after(polls, store.read_stream(ReadStream::forward(stream("a")))).await;
        drop_after(polls, store.read_stream(ReadStream::backward(stream("a")))).await;
        drop_after(polls, store.read_log(ReadLog::before(Position::MAX))).await;
        drop_after(polls, store.head()).await;
        drop_after(polls, store.changed(store.change())).await;
        let events = store.read_stream(ReadStream::forward(stream("b"))).await?;
        assert_eq!(events.len(), 50);
        assert!(events.iter().all(|event| event.stream() == &stream("b")));
    }
    at_rest(&fixture).await
}

/// No transaction is open: another program gets the right to write without waiting.
async fn at_rest(fixture: &Fixture) -> TestResult {
    let mut outside = fixture.outside().await?;
    sqlx::query("PRAGMA busy_timeout = 0")
        .execute(&mut outside)
        .await?;
    outside
        .begin_with("BEGIN EXCLUSIVE")
        .await?
        .rollback()
        .await?;
    Ok(())
}

#[tokio::test]
async fn waiting_for_a_change_can_be_dropped_and_taken_up_again() -> TestResult {
    let fixture = Fixture::new().await?;
    let since = fixture.store.change();
    for _ in 0..3 {
        let wait = tokio::time::timeout(Duration::from_millis(1), fixture.store.changed(since));
        assert!(wait.await.is_err());
    }
    fixture
        .store
        .append(vec![one("a", ExpectedVersion::Any)])
        .await?;
    assert_eq!(
        poll_once(&mut pin!(fixture.store.changed(since))).await,
        Poll::Ready(())
    );
    Ok(())
}
