//! Futures that are dropped: at every await, and what is left behind.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use sqlx::PgConnection;
use tokio::{task::yield_now, time::timeout};
use uno_core::{
    CheckpointStore as _, Commit, DocumentStore as _, DocumentWrite, EventStore as _,
    ExpectedVersion, Payload, Position, ProcessStore as _, ReadLog, ReadStream, Transactional as _,
};
use uno_store_postgres::{PgStore, PgTx};

use crate::support::{
    Fixture, append, assert_lawful, sessions_in_transactions, stream, until, whole_log,
    whole_stream,
};

/// Polls a future a number of times, letting others run in between, and drops it. Says whether it was done before.
async fn poll_and_drop<T>(times: usize, future: impl Future<Output = T>) -> bool {
    let mut future = pin!(future);
    for _ in 0..times {
        if future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
        {
            return true;
        }
        yield_now().await;
        // Let the driver's input and output happen, too.
        tokio::time::sleep(Duration::from_micros(50)).await;
    }
    false
}

/// What must hold after any number of drops: nothing is open, and the store works.
async fn assert_clean(fixture: &Fixture, connection: &mut PgConnection, store: &PgStore) {
    until(|| async {
        let mut connection = fixture.connection().await;
        let held = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
             WHERE a.application_name = '@' AND l.locktype IN ('advisory', 'transactionid')";
        fixture.number(&mut connection, held).await == 0
    })
    .await;
    // One that is being ended may still be shown for a moment, though it holds nothing.
    until(|| async {
        let mut connection = fixture.connection().await;
        sessions_in_transactions(fixture, &mut connection).await == 0
    })
    .await;
    // A connection that were still in a transaction would acknowledge this, and lose it.
    let told = store
        .append(vec![append("after", ExpectedVersion::Any, 1)])
        .await
        .unwrap();
    let stored = format!(
        "SELECT count(*) FROM @.events WHERE position = {}",
        told.position().unwrap()
    );
    assert_eq!(fixture.number(connection, &stored).await, 1);
}

#[tokio::test]
async fn an_append_that_is_dropped_happens_whole_or_not_at_all() {
    let fixture = Fixture::new().await;
    let mut connection = fixture.connection().await;
    let stores = [
        fixture.store(),
        PgStore::new(fixture.options().max_connections(1)),
        PgStore::new(fixture.options().without_grouping()),
        PgStore::new(fixture.options().for_transaction_pooler()),
    ];
    for store in &stores {
        let mut finished = 0;
        for round in 0..120 {
            let requests = vec![
                append("x", ExpectedVersion::Any, 2),
                append(format!("{round}"), ExpectedVersion::Any, 1),
            ];
            finished += usize::from(poll_and_drop(round % 40, store.append(requests)).await);
        }
        assert_clean(&fixture, &mut connection, store).await;
        assert!(finished < 120, "some must have been dropped");
    }
    let store = &stores[0];
    assert_lawful(&whole_log(store).await);
    let pairs = whole_stream(store, "x").await.len();
    let mut singles = 0;
    for round in 0..120 {
        singles += whole_stream(store, &round.to_string()).await.len();
    }
    assert_eq!(pairs, singles * 2, "no append is half there");
    fixture.close().await;
}

#[tokio::test]
async fn a_commit_with_work_that_is_dropped_happens_whole_or_not_at_all() {
    let fixture = Fixture::new().await;
    let mut connection = fixture.connection().await;
    fixture
        .run(&mut connection, "CREATE TABLE @.rows (n int)")
        .await;
    for store in [
        fixture.store(),
        PgStore::new(fixture.options().max_connections(1)),
    ] {
        for round in 0..60 {
            let insert = fixture.sql("INSERT INTO @.rows VALUES (1)");
            let mut commit = Commit::new();
            commit.appends.push(append("x", ExpectedVersion::Any, 1));
            commit.work.push(Box::new(move |tx: &mut PgTx| {
                Box::pin(async move {
                    sqlx::query(insert).execute(tx.connection()).await?;
                    sqlx::query("SELECT pg_sleep(0.002)")
                        .execute(tx.connection())
                        .await?;
                    Ok(())
                })
            }));
            poll_and_drop(round, store.commit(commit)).await;
        }
        assert_clean(&fixture, &mut connection, &store).await;
    }
    let rows = fixture
        .number(&mut connection, "SELECT count(*) FROM @.rows")
        .await;
    assert_eq!(whole_stream(&fixture.store(), "x").await.len() as i64, rows);
    fixture.close().await;
}

/// Work that would go on for ever, in the program or in the server, ends with its caller.
#[tokio::test]
async fn work_whose_caller_goes_away_ends() {
    let fixture = Fixture::new().await;
    let mut connection = fixture.connection().await;
    let store = PgStore::new(fixture.options().max_connections(1));
    for statement in ["SELECT 1", "SELECT pg_sleep(1000)"] {
        let (begun, mut has_begun) = tokio::sync::mpsc::channel(1);
        let mut commit = Commit::new();
        commit.work.push(Box::new(move |tx: &mut PgTx| {
            Box::pin(async move {
                begun.send(()).await?;
                sqlx::query(statement).execute(tx.connection()).await?;
                std::future::pending().await
            })
        }));
        let committing = tokio::spawn({
            let store = store.clone();
            async move { store.commit(commit).await }
        });
        has_begun.recv().await.unwrap();
        until(|| async {
            let mut connection = fixture.connection().await;
            let open = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = '@' AND query = '{statement}'"
            );
            fixture.number(&mut connection, &open).await == 1
        })
        .await;
        committing.abort();
        assert!(committing.await.unwrap_err().is_cancelled());
        timeout(
            Duration::from_secs(20),
            assert_clean(&fixture, &mut connection, &store),
        )
        .await
        .unwrap();
    }
    fixture.close().await;
}

#[tokio::test]
async fn work_that_panics_takes_nothing_with_it() {
    let fixture = Fixture::new().await;
    let mut connection = fixture.connection().await;
    let store = PgStore::new(fixture.options().max_connections(1));
    let mut commit = Commit::new();
    commit.appends.push(append("x", ExpectedVersion::Any, 1));
    commit.work.push(Box::new(|tx: &mut PgTx| {
        Box::pin(async move {
            sqlx::query("CREATE TEMPORARY TABLE scratch (n int)")
                .execute(tx.connection())
                .await?;
            if true {
                panic!("as the test wants it")
            } else {
                Ok(())
            }
        })
    }));
    assert!(matches!(
        store.commit(commit).await,
        Err(uno_core::CommitError::Work(_))
    ));
    assert_clean(&fixture, &mut connection, &store).await;
    assert!(whole_stream(&store, "x").await.is_empty());
    fixture.close().await;
}

/// A statement of the work fails, and the work says that all is well.
#[tokio::test]
async fn work_that_hides_a_failure_is_found_out() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    for with_events in [true, false] {
        let mut commit = Commit::new();
        if with_events {
            commit.appends.push(append("x", ExpectedVersion::Any, 1));
        }
        commit.work.push(Box::new(|tx: &mut PgTx| {
            Box::pin(async move {
                let _hidden = sqlx::query("SELECT 1 / 0").execute(tx.connection()).await;
                Ok(())
            })
        }));
        let error = store.commit(commit).await.unwrap_err();
        assert!(matches!(error, uno_core::CommitError::Work(_)), "{error}");
    }
    assert!(whole_log(&store).await.is_empty());
    fixture.close().await;
}

#[tokio::test]
async fn reads_that_are_dropped_leave_good_connections() {
    let fixture = Fixture::new().await;
    let mut connection = fixture.connection().await;
    let store = PgStore::new(fixture.options().max_connections(1));
    store
        .append(vec![append("x", ExpectedVersion::Any, 50)])
        .await
        .unwrap();
    let mut commit = Commit::new();
    commit.documents.push(DocumentWrite::put(
        "c",
        "k",
        Payload::from_json("1").unwrap(),
    ));
    store.commit(commit).await.unwrap();
    let keys = [String::from("k")];
    for times in 0..30 {
        poll_and_drop(times, store.read_log(ReadLog::after(Position::START))).await;
        poll_and_drop(times, store.read_stream(ReadStream::forward(stream("x")))).await;
        poll_and_drop(times, store.head()).await;
        poll_and_drop(times, store.load_documents("c", &keys)).await;
        poll_and_drop(times, store.list_checkpoints()).await;
        poll_and_drop(times, store.read_queue("q", 0, 10)).await;
        poll_and_drop(times, store.load_snapshot(&stream("x"))).await;
        poll_and_drop(times, store.migrate()).await;
        poll_and_drop(times, store.changed(store.change())).await;
    }
    assert_clean(&fixture, &mut connection, &store).await;
    assert_eq!(store.load_documents("c", &keys).await.unwrap().len(), 1);
    fixture.close().await;
}
