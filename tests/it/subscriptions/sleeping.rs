//! A process that is stopped in its tracks for longer than its lease, and wakes up: a real one, which runs its test again.

use std::{
    env, fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use uno_core::{Backend, Decoder, EventFilter, Stale};
use uno_events::{Batch, ConsumeError, Consumer, Replay, Subscription};
use uno_store_postgres::{PgOptions, PgStore, SchemaName};
use uno_store_sqlite::SqliteStore;
use uno_testkit::conformance::Harness as _;

use super::{
    stores::{Effects, effects, manager},
    support::*,
};
use crate::{
    postgres::{PgHarness, database_url},
    sqlite::SqliteHarness,
    support::rest::in_time,
};

/// Where a child finds the files that it and its parent tell each other by, and which store it is; whoever is not told is the parent.
const FOLDER: &str = "UNO_TEST_SLEEPING";
const STORE: &str = "UNO_TEST_SLEEPING_STORE";
const LEASE: Duration = Duration::from_millis(600);
const STREAM: &str = "thing-1";
/// The event that the child has in hand when it is stopped.
const IN_HAND: u32 = 2;

/// The child has its lane.
const READY: &str = "ready";
/// The child has the event in hand.
const MET: &str = "met";
/// The child may commit.
const GO: &str = "go";
/// The child was refused, because another has its lane.
const REFUSED: &str = "refused";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopped_process_commits_when_it_wakes_is_refused_on_postgres() {
    if let Some((signs, schema)) = told() {
        let options = PgOptions::from_url(&database_url()).unwrap();
        let options = options.schema(SchemaName::new(schema).unwrap());
        return work(PgStore::new(options), signs).await;
    }
    let harness = PgHarness::plain();
    let (store, schema) = harness.open().await.unwrap();
    put_to_sleep(&store, "postgres", &schema.name).await;
    harness.close(schema).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopped_process_commits_when_it_wakes_is_refused_on_sqlite() {
    if let Some((signs, file)) = told() {
        return work(SqliteStore::open(file).await.unwrap(), signs).await;
    }
    let harness = SqliteHarness {
        gaps: None,
        readers: 2,
    };
    let (store, folder) = harness.open().await.unwrap();
    let file = folder.path().join("store.db");
    put_to_sleep(&store, "sqlite", file.to_str().unwrap()).await;
    harness.close(folder).await;
}

/// What the child is told.
fn told() -> Option<(Signs, String)> {
    let folder = env::var_os(FOLDER)?;
    Some((Signs(PathBuf::from(folder)), env::var(STORE).unwrap()))
}

async fn put_to_sleep<B: Backend>(store: &Arc<B>, suffix: &str, where_it_is: &str) {
    let folder = tempfile::tempdir().unwrap();
    let signs = Signs(folder.path().to_owned());
    let mut sleeper = Sleeper::start(suffix, &folder, where_it_is);
    signs.seen(READY).await;
    note_in(&**store, STREAM, 1).await;
    in_time(until(async || effects(&**store, STREAM).await == [1])).await;
    note_in(&**store, STREAM, IN_HAND).await;
    signs.seen(MET).await;

    sleeper.signal("STOP");
    let awake = manager(store, "awake", LEASE);
    awake
        .subscribe(Effects::sound(store).subscription("a"))
        .unwrap();
    in_time(async {
        while awake.start_all().await.is_err() {}
        // It may have been stopped with a lock of the store's in its hands, which is no matter of leases: then it is woken, and stopped
        // again.
        let taken = || until(async || effects(&**store, STREAM).await == [1, 2]);
        while timeout(LEASE * 10, taken()).await.is_err() {
            sleeper.signal("CONT");
            sleep(LEASE / 20).await;
            sleeper.signal("STOP");
        }
    })
    .await;
    assert_eq!(lanes_here(&awake, "a").await, [0]);
    assert!(!signs.is_there(REFUSED), "it sleeps");

    signs.give(GO);
    sleeper.signal("CONT");
    signs.seen(REFUSED).await;
    note_in(&**store, STREAM, 3).await;
    in_time(awake.until_idle()).await.unwrap();
    assert_eq!(effects(&**store, STREAM).await, [1, 2, 3]);
    sleeper.end().await;
    awake.stop_all().await;
    assert_eq!(effects(&**store, STREAM).await, [1, 2, 3]);
}

/// The child: handles what comes until its standard input ends.
async fn work<B: Backend>(store: B, signs: Signs) {
    let store = Arc::new(store);
    let manager = manager(&store, "asleep", LEASE);
    let consumer = Drowsy {
        inner: Effects::sound(&store),
        signs: signs.clone(),
    };
    let subscription = Subscription::new(name("a"), Replay::Safe, Arc::new(consumer));
    manager.subscribe(subscription.no_time_limit()).unwrap();
    manager.start_all().await.unwrap();
    until(async || lanes_here(&manager, "a").await == [0]).await;
    signs.give(READY);
    let end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    end.await.unwrap().unwrap();
    manager.stop_all().await;
}

/// Waits for a sign before it commits a certain event, and gives one when it is refused.
#[derive(Debug)]
struct Drowsy<B> {
    inner: Effects<B>,
    signs: Signs,
}

#[async_trait]
impl<B: Backend> Consumer for Drowsy<B> {
    fn filter(&self) -> EventFilter {
        self.inner.filter()
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        let number = |event| Decoder::new().decode::<Noted>(event).unwrap().event().n;
        if batch.events().iter().any(|event| number(event) == IN_HAND) {
            self.signs.give(MET);
            self.signs.seen(GO).await;
        }
        let consumed = self.inner.consume(batch).await;
        if let Err(ConsumeError::Stale(Stale::Lease { .. })) = &consumed {
            self.signs.give(REFUSED);
        }
        consumed
    }
}

/// Files that are there or not.
#[derive(Clone, Debug)]
struct Signs(PathBuf);

impl Signs {
    fn file(&self, sign: &str) -> PathBuf {
        self.0.join(sign)
    }

    fn is_there(&self, sign: &str) -> bool {
        self.file(sign).exists()
    }

    fn give(&self, sign: &str) {
        fs::write(self.file(sign), "").unwrap();
    }

    /// Waits for it. By hand: an async closure that borrows is not known to be `Send`.
    async fn seen(&self, sign: &str) {
        in_time(async {
            while !self.is_there(sign) {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

/// A process that can be stopped, and is gone when this is.
struct Sleeper(Child);

impl Sleeper {
    fn start(suffix: &str, folder: &TempDir, store: &str) -> Self {
        let test = format!(
            "subscriptions::sleeping::what_a_stopped_process_commits_when_it_wakes_is_refused_on_{suffix}"
        );
        let said = fs::File::create(Path::new(folder.path()).join("said")).unwrap();
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", &test])
            .env(FOLDER, folder.path())
            .env(STORE, store)
            .stdin(Stdio::piped())
            .stdout(said)
            .spawn();
        Self(child.unwrap())
    }

    fn signal(&self, signal: &str) {
        let script = ["-c", "kill -s \"$1\" \"$2\"", "sh", signal];
        let sent = Command::new("sh")
            .args(script)
            .arg(self.0.id().to_string())
            .status();
        assert!(sent.unwrap().success(), "{signal}");
    }

    /// Has it end in order.
    async fn end(&mut self) {
        drop(self.0.stdin.take());
        let mut ended = None;
        in_time(until(async || {
            ended = self.0.try_wait().unwrap();
            ended.is_some()
        }))
        .await;
        assert!(ended.unwrap().success(), "{ended:?}");
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
