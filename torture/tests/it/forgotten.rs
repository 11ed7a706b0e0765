//! A server that crashes forgets transactions of which nothing had reached the disk, and gives their ids to others.

use std::time::Duration;

use sqlx::{PgConnection, Row as _};
use tokio::time::timeout;
use uno_core::{
    Commit, CommitError, EventName, EventStore as _, ExpectedVersion, NewEvent, Payload,
    ReadStream, SchemaVersion, StreamAppend, Transactional as _,
};
use uno_store_postgres::{PgOptions, PgStore, PgTx};
use uno_torture::{
    server::{OwnServer, SecondServer},
    session::Database,
};

use crate::begin;

/// A table whose rows are looked at when they are committed, for as long as somebody holds an advisory lock.
const SETUP: &str = "CREATE TABLE gated (n int); \
    CREATE FUNCTION wait_at_the_gate() RETURNS trigger LANGUAGE plpgsql AS $$ \
        BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NULL; END $$; \
    CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON gated DEFERRABLE INITIALLY DEFERRED \
        FOR EACH ROW EXECUTE FUNCTION wait_at_the_gate()";

/// Who waits at the gate, by the id of the transaction.
const WAITING: &str = "SELECT a.backend_xid::text::bigint FROM pg_stat_activity a \
    JOIN pg_locks l ON l.pid = a.pid WHERE l.locktype = 'advisory' AND NOT l.granted AND l.objid = 77";

/// The commit of a unit of work hangs when the server is killed; after that another transaction has its id, and commits.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_a_crash_took_is_not_taken_for_another_with_its_id() {
    let (grounds, _) = begin("forgotten");
    let second = SecondServer::start(&grounds.database, "forgotten")
        .await
        .unwrap();
    let (server, database) = (second.server(), second.database());
    let store = PgStore::new(PgOptions::from_url(database.url()).unwrap());
    store.migrate().await.unwrap();
    let mut session = database.connect("test").await.unwrap();
    sqlx::raw_sql(SETUP).execute(&mut session).await.unwrap();

    // What the server writes to disk of its own accord it may write at any time, so the first attempt may show nothing.
    for attempt in 0..5 {
        let key = format!("attempt-{attempt}");
        if forget_and_give_again(&store, server, database, &key).await {
            return;
        }
    }
    panic!("the server forgot no transaction in any of five crashes");
}

/// Whether the server gave the id again. Then the commit must have been told to have failed.
async fn forget_and_give_again(
    store: &PgStore,
    server: &OwnServer,
    database: &Database,
    key: &str,
) -> bool {
    let mut gate = database.connect_patiently("test").await.unwrap();
    let mut watch = database.connect("test").await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_lock(77)")
        .execute(&mut gate)
        .await
        .unwrap();
    sqlx::raw_sql("CHECKPOINT")
        .execute(&mut watch)
        .await
        .unwrap();
    server.freeze_writers(&mut watch).await.unwrap();

    let committing = tokio::spawn({
        let (store, commit) = (store.clone(), unit_of_work(key));
        async move { store.commit(commit).await }
    });
    let transaction = waiting(&mut watch).await;
    server.kill().await.unwrap();
    server.start().await.unwrap();
    let again = give_until(database, transaction).await;

    let told = timeout(Duration::from_secs(60), committing)
        .await
        .expect("a commit ends, come what may")
        .unwrap();
    let stream = key.parse().unwrap();
    let stored = store
        .read_stream(ReadStream::forward(stream))
        .await
        .unwrap();
    assert!(stored.is_empty(), "nobody opened the gate: {stored:?}");
    match told {
        Err(CommitError::Append(error)) => assert!(error.is_transient(), "{error}"),
        Err(error) => panic!("{error}"),
        Ok(receipt) => panic!("acknowledged, and not stored: {receipt:?}"),
    }
    again
}

fn unit_of_work(key: &str) -> Commit<PgTx> {
    let event = NewEvent::from_payload(
        EventName::new("forgotten").unwrap(),
        SchemaVersion::FIRST,
        Payload::from_json("{}").unwrap(),
    );
    let stream = key.parse().unwrap();
    let mut commit = Commit::new();
    commit
        .appends
        .push(StreamAppend::new(stream, ExpectedVersion::Any, vec![event]));
    commit.work.push(Box::new(|tx: &mut PgTx| {
        Box::pin(async move {
            sqlx::raw_sql("INSERT INTO gated VALUES (1)")
                .execute(tx.connection())
                .await?;
            Ok(())
        })
    }));
    commit
}

/// Waits until a transaction waits at the gate, and gives its id.
async fn waiting(watch: &mut PgConnection) -> i64 {
    let found = async {
        loop {
            let rows = sqlx::query(WAITING).fetch_all(&mut *watch).await.unwrap();
            if let Some(row) = rows.first() {
                break row.get(0);
            }
        }
    };
    timeout(Duration::from_secs(60), found)
        .await
        .expect("the commit comes to the gate")
}

/// Commits transactions until one has this id, or a later one. Whether one had it.
async fn give_until(database: &Database, transaction: i64) -> bool {
    let mut session = database.connect_patiently("test").await.unwrap();
    loop {
        let given: i64 = sqlx::query("SELECT pg_current_xact_id()::text::bigint")
            .fetch_one(&mut session)
            .await
            .unwrap()
            .get(0);
        if given >= transaction {
            return given == transaction;
        }
    }
}
