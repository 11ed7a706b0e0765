//! What the suite does not ask of a store behind a pooler: that its connections really change hands, and stay clean.

use std::collections::HashSet;

use sqlx::{
    ConnectOptions as _, Connection as _, PgConnection, Row as _, postgres::PgConnectOptions,
};
use tokio::task::JoinSet;
use uno_core::{
    AppendError, Commit, EventId, EventName, EventStore as _, ExpectedVersion, NewEvent, Payload,
    Position, ReadLog, RecordedEvent, SchemaVersion, StreamAppend, StreamId, Transactional as _,
};
use uno_store_postgres::{PgOptions, PgStore, PgTx};
use uno_testkit::conformance::{BackendHarness as _, Harness as _};

use super::{PgHarness, Schema, database_url, pgbouncer};

fn harness() -> PgHarness {
    PgHarness {
        url: || pgbouncer::pooler_url().to_owned(),
        options: |options| options.for_transaction_pooler(),
    }
}

fn one(key: &str) -> StreamAppend {
    let name = EventName::new("happened").unwrap();
    let payload = Payload::from_json("{}").unwrap();
    let event = NewEvent::from_payload(name, SchemaVersion::FIRST, payload);
    let stream = StreamId::new("pooled", key).unwrap();
    StreamAppend::new(stream, ExpectedVersion::Any, vec![event])
}

async fn client(url: &str) -> PgConnection {
    // The pooler refuses this setting, which the driver makes unless told otherwise.
    let options: PgConnectOptions = url.parse().unwrap();
    let options = options.extra_float_digits(None);
    options.connect().await.unwrap()
}

/// The server's process that this transaction runs in.
async fn server_process(url: &str) -> i32 {
    let mut connection = client(url).await;
    let row = sqlx::raw_sql("SELECT pg_backend_pid()");
    row.fetch_one(&mut connection).await.unwrap().get(0)
}

/// Open transactions and advisory locks of the pooler's connections, as the server sees them.
async fn left_open(schema: &Schema) -> i64 {
    let mut connection = PgConnection::connect(&database_url()).await.unwrap();
    let text = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1";
    let row = sqlx::query(text).bind(&schema.name);
    row.fetch_one(&mut connection).await.unwrap().get(0)
}

async fn tail(store: PgStore, count: usize) -> Vec<std::sync::Arc<RecordedEvent>> {
    let (mut seen, mut after) = (Vec::new(), Position::START);
    while seen.len() < count {
        let page = store
            .read_log(ReadLog::after(after).limit(100))
            .await
            .unwrap();
        let page = page.into_events();
        after = page.last().map_or(after, |event| event.position());
        seen.extend(page);
    }
    seen
}

/// A pooler that gave everybody a connection of their own would prove nothing.
#[tokio::test]
async fn the_pooler_is_one_in_transaction_mode() {
    let url = pgbouncer::pooler_url();
    let mut busy = Vec::new();
    let mut processes = HashSet::new();
    for _ in 1..pgbouncer::SERVER_CONNECTIONS {
        let mut connection = client(url).await;
        sqlx::raw_sql("BEGIN")
            .execute(&mut connection)
            .await
            .unwrap();
        busy.push(connection);
    }
    for _ in 0..5 {
        processes.insert(server_process(url).await);
    }
    assert_eq!(processes.len(), 1, "the only one that is free");
}

/// Many writers, work, readers and dropped futures on three connections of the server.
#[tokio::test(flavor = "multi_thread")]
async fn everybody_at_once_on_three_connections() {
    let harness = harness();
    let (store, schema) = harness.open().await.unwrap();
    let (writers, each) = (12, 40);
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let store = if writer % 2 == 0 {
            (*store).clone()
        } else {
            PgStore::new(schema.options.clone())
        };
        let rows: Vec<_> = (0..each)
            .map(|n| harness.put_row(&format!("{writer}-{n}"), "x"))
            .collect();
        tasks.spawn(async move {
            for (row, n) in rows.into_iter().zip(0..) {
                let append = one(&format!("{}", (writer + n) % 5));
                if n % 3 == 0 {
                    let mut commit = Commit::<PgTx>::new();
                    commit.work.push(row);
                    commit.appends.push(append);
                    store.commit(commit).await.unwrap();
                } else if n % 3 == 1 {
                    // Dropped on its way: stored, or not.
                    let mut dropped = Box::pin(store.append(vec![append.clone()]));
                    tokio::select! {
                        biased;
                        done = &mut dropped => { done.unwrap(); }
                        () = tokio::task::yield_now() => {}
                    }
                    drop(dropped);
                    // Again with the same id: stored once, whatever became of the first.
                    store.append(vec![append]).await.unwrap();
                } else {
                    store.append(vec![append]).await.unwrap();
                }
            }
        });
    }
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let store = PgStore::new(schema.options.clone());
            tokio::spawn(tail(store, (writers * each) as usize))
        })
        .collect();
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let log = tail((*store).clone(), (writers * each) as usize).await;
    assert_eq!(log.len(), (writers * each) as usize);
    let mut versions = std::collections::HashMap::new();
    for pair in log.windows(2) {
        assert!(pair[0].position() < pair[1].position());
        assert!(pair[0].recorded_at() <= pair[1].recorded_at());
    }
    for event in &log {
        let version = versions.entry(event.stream().clone()).or_insert(0);
        *version += 1;
        assert_eq!(event.version().get(), *version);
    }
    let ids: Vec<EventId> = log.iter().map(|event| event.id()).collect();
    for reader in readers {
        let seen = reader.await.unwrap();
        assert_eq!(seen.iter().map(|event| event.id()).collect::<Vec<_>>(), ids);
    }
    for writer in 0..writers {
        for n in (0..each).step_by(3) {
            let key = format!("{writer}-{n}");
            let row = harness.row(&store, &schema, &key).await.unwrap();
            assert_eq!(row.as_deref(), Some("x"));
        }
    }
    assert_eq!(left_open(&schema).await, 0);
    harness.close(schema).await;
}

/// Work that is abandoned: the pooler ends what the client had begun.
#[tokio::test]
async fn work_that_is_abandoned_behind_the_pooler_leaves_nothing_open() {
    let harness = harness();
    let (store, schema) = harness.open().await.unwrap();
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut commit = Commit::<PgTx>::new();
    commit.work.push(harness.put_row("abandoned", "x"));
    commit.work.push(Box::new(move |_| {
        Box::pin(async move {
            let _ = tell.send(());
            std::future::pending().await
        })
    }));
    commit.appends.push(one("a"));
    let mut committing = Box::pin(store.commit(commit));
    tokio::select! {
        _ = &mut committing => unreachable!("the work never ends"),
        told = told => told.unwrap(),
    }
    drop(committing);
    while left_open(&schema).await > 0 {
        tokio::task::yield_now().await;
    }
    let row = harness.row(&store, &schema, "abandoned").await.unwrap();
    assert_eq!(row, None);
    assert_eq!(store.head().await.unwrap().position(), Position::START);
    store.append(vec![one("a")]).await.unwrap();
    harness.close(schema).await;
}

/// A store that was not told of the pooler must not lose events by it.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_option_a_store_behind_the_pooler_fails_or_works_and_loses_nothing() {
    let harness = harness();
    let (store, schema) = harness.open().await.unwrap();
    let options = PgOptions::from_url(pgbouncer::pooler_url()).unwrap();
    let untold = options.schema(schema.options_schema());
    let mut tasks = JoinSet::new();
    for writer in 0..6 {
        let untold = PgStore::new(untold.clone());
        tasks.spawn(async move {
            let mut stored = Vec::new();
            for n in 0..10 {
                let append = one(&format!("{writer}-{n}"));
                let id = append.events()[0].id();
                match untold.append(vec![append]).await {
                    Ok(_) => stored.push(id),
                    Err(AppendError::Store(_) | AppendError::Unknown(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            stored
        });
    }
    let mut stored = HashSet::new();
    while let Some(done) = tasks.join_next().await {
        stored.extend(done.unwrap());
    }
    let log = store
        .read_log(ReadLog::after(Position::START).limit(1000))
        .await
        .unwrap();
    let log: HashSet<EventId> = log.events().iter().map(|event| event.id()).collect();
    assert!(stored.is_subset(&log), "acknowledged and not stored");
    harness.close(schema).await;
}
