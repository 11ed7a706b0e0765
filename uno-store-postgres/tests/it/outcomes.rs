//! What is told when the link fails: the truth, or that it is not known.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use uno_core::{
    AppendError, Commit, CommitError, EventStore as _, ExpectedVersion, StreamAppend,
    Transactional as _,
};
use uno_store_postgres::{PgOptions, PgStore, PgTx, SchemaName};

use crate::support::{
    Fixture, append, assert_lawful, database_url, events, stream, until, whole_log, whole_stream,
};

/// A relay between store and server that cuts one connection after a number of messages from the store, counted over all
/// connections: they are handed on, and their answers are not.
struct Relay {
    url: String,
    left: Arc<AtomicI64>,
}

impl Relay {
    async fn start() -> Self {
        let url = database_url();
        let (scheme, rest) = url.split_once("://").unwrap();
        let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (host, path) = rest.split_once('/').unwrap();
        let server = if host.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:5432")
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let counter = Arc::clone(&left);
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                connections.spawn(relay(client, server, Arc::clone(&counter)));
            }
        });
        let user = if user.is_empty() {
            String::new()
        } else {
            format!("{user}@")
        };
        Self {
            url: format!("{scheme}://{user}127.0.0.1:{port}/{path}"),
            left,
        }
    }

    fn store(&self, fixture: &Fixture, options: impl Fn(PgOptions) -> PgOptions) -> PgStore {
        let schema = SchemaName::new(fixture.schema.as_str()).unwrap();
        let relayed = PgOptions::from_url(&self.url)
            .unwrap()
            .schema(schema)
            .without_hints()
            .deadline(Duration::from_secs(5));
        PgStore::new(options(relayed))
    }

    fn cut_after(&self, messages: i64) {
        self.left.store(messages, Ordering::SeqCst);
    }
}

async fn relay(client: TcpStream, server: TcpStream, left: Arc<AtomicI64>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers =
        tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read) = from_client.read(&mut buffer).await {
        // The cut comes before the message is handed on, so that its answer can't slip through.
        let cut = left.fetch_sub(1, Ordering::SeqCst) == 1;
        if cut {
            answers.abort();
        }
        if cut {
            while !answers.is_finished() {
                tokio::task::yield_now().await;
            }
        }
        if read == 0 || to_server.write_all(&buffer[..read]).await.is_err() || cut {
            return;
        }
    }
}

/// Cuts the link at every message of an append: what was told is what happened.
async fn append_is_honest_at_every_cut(options: impl Fn(PgOptions) -> PgOptions) {
    let fixture = Fixture::new().await;
    let relay = Relay::start().await;
    let outside = fixture.store();
    let mut cuts = 0;
    for n in 1..40 {
        let store = relay.store(&fixture, &options);
        // On a fresh connection, and on one that was used.
        if n % 2 == 0 {
            store
                .append(vec![append("warm", ExpectedVersion::Any, 1)])
                .await
                .unwrap();
        }
        let key = format!("cut{n}");
        let request = StreamAppend::new(stream(&key), ExpectedVersion::NoStream, events(2));
        relay.cut_after(n / 2);
        let told = store.append(vec![request.clone()]).await;
        let ended = relay.left.swap(i64::MAX, Ordering::SeqCst) > 0;
        cuts += u32::from(!ended);
        match told {
            Ok(receipt) => {
                let stored = whole_stream(&outside, &key).await;
                assert_eq!(stored.len(), 2, "cut {n}");
                assert_eq!(
                    receipt.position(),
                    stored.last().map(|event| event.position())
                );
            }
            Err(AppendError::Unknown(_)) => {
                // Definite, once it is asked again.
                outside.append(vec![request.clone()]).await.unwrap();
                assert_eq!(whole_stream(&outside, &key).await.len(), 2, "cut {n}");
            }
            Err(error) => {
                assert!(error.is_transient(), "cut {n}: {error}");
                assert!(
                    whole_stream(&outside, &key).await.is_empty(),
                    "cut {n}: {error}"
                );
            }
        }
    }
    assert!(cuts >= 8, "the link was cut {cuts} times only");
    assert_lawful(&whole_log(&outside).await);
    fixture.close().await;
}

#[tokio::test]
async fn an_append_is_honest_at_every_cut_of_the_link() {
    append_is_honest_at_every_cut(|options| options).await;
}

#[tokio::test]
async fn an_append_by_itself_is_honest_at_every_cut_of_the_link() {
    append_is_honest_at_every_cut(PgOptions::without_grouping).await;
}

#[tokio::test]
async fn an_append_behind_a_pooler_is_honest_at_every_cut_of_the_link() {
    append_is_honest_at_every_cut(PgOptions::for_transaction_pooler).await;
}

#[tokio::test]
async fn a_commit_with_work_is_honest_at_every_cut_of_the_link_and_runs_its_work_once() {
    let fixture = Fixture::new().await;
    let mut connection = fixture.connection().await;
    fixture
        .run(&mut connection, "CREATE TABLE @.rows (n bigint)")
        .await;
    let relay = Relay::start().await;
    let outside = fixture.store();
    let (mut cuts, mut done, mut undone) = (0, 0, 0);
    for n in 1..40_i64 {
        let store = relay.store(&fixture, |options| options);
        if n % 2 == 0 {
            store
                .append(vec![append("warm", ExpectedVersion::Any, 1)])
                .await
                .unwrap();
        }
        let ran = Arc::new(AtomicI64::new(0));
        let mut commit = Commit::new();
        commit
            .appends
            .push(append(format!("cut{n}"), ExpectedVersion::NoStream, 1));
        let (insert, counter) = (
            fixture.sql("INSERT INTO @.rows VALUES ($1)"),
            Arc::clone(&ran),
        );
        commit.work.push(Box::new(move |tx: &mut PgTx| {
            Box::pin(async move {
                counter.fetch_add(1, Ordering::SeqCst);
                sqlx::query(insert).bind(n).execute(tx.connection()).await?;
                Ok(())
            })
        }));
        relay.cut_after(n / 2);
        let told = store.commit(commit).await;
        let ended = relay.left.swap(i64::MAX, Ordering::SeqCst) > 0;
        cuts += u32::from(!ended);
        assert!(ran.load(Ordering::SeqCst) <= 1, "work never runs twice");
        let rows = fixture
            .number(
                &mut connection,
                &format!("SELECT count(*) FROM @.rows WHERE n = {n}"),
            )
            .await;
        let stored = whole_stream(&outside, &format!("cut{n}")).await.len();
        assert_eq!(
            rows as usize, stored,
            "cut {n}: rows and events go together"
        );
        match told {
            Ok(_) => {
                assert_eq!(stored, 1, "cut {n}");
                done += 1;
            }
            Err(CommitError::Append(AppendError::Unknown(_))) => {
                panic!("cut {n}: the server could have been asked")
            }
            Err(error) => {
                assert_eq!(stored, 0, "cut {n}: {error}");
                undone += 1;
            }
        }
    }
    assert!(
        cuts >= 8 && done > 0 && undone > 0,
        "{cuts} cuts, {done} done, {undone} undone"
    );
    fixture.close().await;
}

/// The server ends the session in the middle of an append that waits for its draw.
#[tokio::test]
async fn an_append_whose_session_is_ended_is_sent_again() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let mut gate = fixture.connection().await;
    for (n, key) in ["a", "b"].into_iter().enumerate() {
        fixture
            .run(&mut gate, "SELECT pg_advisory_lock(@.draw_class(), 0)")
            .await;
        let appending = tokio::spawn({
            let store = store.clone();
            async move {
                store
                    .append(vec![append(key, ExpectedVersion::NoStream, 1)])
                    .await
            }
        });
        let fixture = &fixture;
        until(|| async move {
            let mut connection = fixture.connection().await;
            let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' \
                 AND classid = @.log_class()::oid AND mode = 'ShareLock' AND granted";
            fixture.number(&mut connection, end).await == 1
        })
        .await;
        fixture
            .run(&mut gate, "SELECT pg_advisory_unlock(@.draw_class(), 0)")
            .await;
        appending.await.unwrap().unwrap();
        assert_eq!(whole_log(&store).await.len(), n + 1);
    }
    fixture.close().await;
}

/// All connections of a store end, as when the server is started anew: nobody notices.
#[tokio::test]
async fn connections_that_ended_are_replaced() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let mut connection = fixture.connection().await;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '@'";
    for n in 0..5 {
        store
            .append(vec![append("a", ExpectedVersion::Any, 1)])
            .await
            .unwrap();
        assert_eq!(whole_log(&store).await.len(), n * 3 + 1);
        assert!(fixture.number(&mut connection, end).await > 0);
        store
            .append(vec![append("a", ExpectedVersion::Any, 1)])
            .await
            .unwrap();
        fixture.number(&mut connection, end).await;
        assert_eq!(whole_log(&store).await.len(), n * 3 + 2);
        fixture.number(&mut connection, end).await;
        let mut commit = Commit::new();
        commit.appends.push(append("a", ExpectedVersion::Any, 1));
        commit
            .work
            .push(Box::new(|_: &mut PgTx| Box::pin(async { Ok(()) })));
        store.commit(commit).await.unwrap();
    }
    fixture.close().await;
}
