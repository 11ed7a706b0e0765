//! Timers across restarts and between processes, by the clock of the store: on Postgres, that of the database.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;
use uno_core::{Backend, Clock as _, EventId, EventStore as _, ManualClock, SystemClock};
use uno_saga::HistoryEntry;
use uno_store_memory::MemoryStore;
use uno_store_postgres::{PgOptions, PgStore, SchemaName};
use uno_store_sqlite::SqliteStore;

use super::trip::{How, MENDED, Want, kinds, say, tell, trips};
use crate::support::rest::{Running, until};

const HOUR: u64 = 3600;
const POLL: Duration = Duration::from_millis(5);

/// A store that outlives processes, and whose clock a test moves.
#[async_trait]
trait Movable: Sized + Send + Sync {
    type Store: Backend;

    async fn open() -> Self;
    /// The store as a process that has just started sees it.
    async fn process(&self) -> Arc<Self::Store>;
    async fn advance(&self, seconds: u64);
    async fn close(self);
}

struct Memory(Arc<MemoryStore>, Arc<ManualClock>);

#[async_trait]
impl Movable for Memory {
    type Store = MemoryStore;

    async fn open() -> Self {
        let clock = manual();
        Self(
            Arc::new(MemoryStore::builder().clock(clock.clone()).build()),
            clock,
        )
    }

    async fn process(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.0)
    }

    async fn advance(&self, seconds: u64) {
        self.1.advance(Duration::from_secs(seconds));
    }

    async fn close(self) {}
}

struct Sqlite(TempDir, Arc<ManualClock>);

#[async_trait]
impl Movable for Sqlite {
    type Store = SqliteStore;

    async fn open() -> Self {
        let opened = Self(tempfile::tempdir().unwrap(), manual());
        opened.process().await.migrate().await.unwrap();
        opened
    }

    async fn process(&self) -> Arc<SqliteStore> {
        let builder = SqliteStore::builder().clock(self.1.clone());
        Arc::new(builder.open(self.0.path().join("store.db")).await.unwrap())
    }

    async fn advance(&self, seconds: u64) {
        self.1.advance(Duration::from_secs(seconds));
    }

    async fn close(self) {}
}

/// A schema in which the clock of the database is another one, which begins an hour behind that of the processes.
struct Postgres(PgOptions, String);

impl Postgres {
    async fn run(&self, statements: Vec<String>) {
        let mut connection = PgConnection::connect(&url()).await.unwrap();
        for statement in statements {
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut connection)
                .await
                .unwrap();
        }
    }
}

#[async_trait]
impl Movable for Postgres {
    type Store = PgStore;

    async fn open() -> Self {
        let schema = format!("c_{}", EventId::new().as_uuid().simple());
        let name = SchemaName::new(schema.as_str()).unwrap();
        let opened = Self(PgOptions::from_url(&url()).unwrap().schema(name), schema);
        opened.process().await.migrate().await.unwrap();
        let schema = &opened.1;
        // Functions of the store that ask for the time find this function before the database's own.
        opened
            .run(vec![
                format!("CREATE TABLE {schema}.skew (by interval NOT NULL)"),
                format!("INSERT INTO {schema}.skew VALUES (interval '-1 hour')"),
                format!(
                    "CREATE FUNCTION {schema}.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS \
                     'SELECT pg_catalog.clock_timestamp() + (SELECT by FROM {schema}.skew)'"
                ),
                format!(
                    "DO $do$ DECLARE f text; BEGIN \
                     FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace = '{schema}'::regnamespace \
                     AND p.proname <> 'clock_timestamp' AND p.prosrc LIKE '%clock_timestamp%' \
                     LOOP EXECUTE 'ALTER FUNCTION ' || f || ' SET search_path = {schema}, pg_catalog'; END LOOP; END $do$"
                ),
            ])
            .await;
        opened
    }

    async fn process(&self) -> Arc<PgStore> {
        Arc::new(PgStore::new(self.0.clone()))
    }

    async fn advance(&self, seconds: u64) {
        let schema = &self.1;
        let moved = format!("UPDATE {schema}.skew SET by = by + interval '{seconds} seconds'");
        self.run(vec![moved]).await;
    }

    async fn close(self) {
        self.run(vec![format!("DROP SCHEMA {} CASCADE", self.1)])
            .await;
    }
}

fn manual() -> Arc<ManualClock> {
    Arc::new(ManualClock::at("2001-01-01T00:00:00Z".parse().unwrap()))
}

fn url() -> String {
    std::env::var("DATABASE_URL")
        .expect("DATABASE_URL must name a Postgres database that the tests may use")
}

/// A process that does nothing but fire the timers of its saga.
fn firing<B: Backend>(store: &Arc<B>) -> Running {
    let saga = trips::<MENDED, _>(store);
    Running::start(|stop| async move { saga.run_timers(POLL, stop).await })
}

async fn rang<B: Backend>(store: &B) -> u64 {
    store.queue_depth("mail").await.unwrap().0
}

/// Many trips, with a timeout in an hour and one in two.
async fn many<B: Backend>(store: &Arc<B>, count: usize) -> Vec<String> {
    let saga = trips::<MENDED, _>(store);
    let trips: Vec<_> = (0..count).map(|n| format!("{n:03}")).collect();
    let wants = [
        Want::After(HOUR, "one".into()),
        Want::After(2 * HOUR, "two".into()),
    ];
    for trip in &trips {
        say(&**store, trip, How::Start, &wants).await;
    }
    super::trip::feed(&saga, &**store).await.unwrap();
    trips
}

async fn seen<B: Backend>(store: &Arc<B>, trip: &str) -> Vec<String> {
    let found = trips::<MENDED, _>(store)
        .instance(trip)
        .await
        .unwrap()
        .unwrap();
    found.state().seen.clone()
}

async fn the_stores_clock_decides<M: Movable>() {
    let opened = M::open().await;
    let store = opened.process().await;
    let saga = trips::<MENDED, _>(&store);
    tell(
        &saga,
        &*store,
        "a",
        How::Start,
        &[Want::After(600, "ten minutes".into())],
    )
    .await;
    let due = saga.timeouts("a").await.unwrap()[0].due_at();
    // By the process's own clock it would be due for long.
    let ours = SystemClock::new().now();
    assert!(
        due < ours - Duration::from_secs(2400),
        "{due}, and here it is {ours}"
    );
    let fired = saga.fire_timers().await.unwrap();
    assert_eq!(fired.count, 0);
    let left = fired.next_in.unwrap();
    assert!(
        left <= Duration::from_secs(600) && left > Duration::from_secs(300),
        "{left:?}"
    );
    opened.advance(601).await;
    assert_eq!(saga.fire_timers().await.unwrap().count, 1);
    assert_eq!(saga.fire_timers().await.unwrap().count, 0);
    assert_eq!(seen(&store, "a").await, ["Start", "ten minutes"]);
    drop((saga, store));
    opened.close().await;
}

async fn a_timer_that_was_due_while_no_process_ran_fires_at_the_next_start<M: Movable>() {
    let opened = M::open().await;
    {
        let store = opened.process().await;
        let saga = trips::<MENDED, _>(&store);
        let wants = [
            Want::After(2 * HOUR, "second".into()),
            Want::After(HOUR, "first".into()),
        ];
        tell(&saga, &*store, "a", How::Start, &wants).await;
    }
    opened.advance(5 * HOUR).await;
    let store = opened.process().await;
    let running = firing(&store);
    until(&*store, || async { rang(&*store).await >= 2 }).await;
    running.stop().await;
    // In the order of their times, each told with the time at which it was due.
    assert_eq!(seen(&store, "a").await, ["Start", "first", "second"]);
    let saga = trips::<MENDED, _>(&store);
    let late = saga.history("a", 0, 100).await.unwrap();
    let late: Vec<_> = late
        .iter()
        .filter_map(|item| match item.entry() {
            HistoryEntry::Timeout { due_at, .. } => {
                Some((item.recorded_at() - *due_at).num_hours())
            }
            _ => None,
        })
        .collect();
    assert_eq!(late, [4, 3]);
    drop((saga, store));
    opened.close().await;
}

async fn timers_fire_once_across_a_death<M: Movable>() {
    let opened = M::open().await;
    let store = opened.process().await;
    let trips = many(&store, 40).await;
    let first = firing(&store);
    opened.advance(HOUR).await;
    until(&*store, || async { rang(&*store).await >= 40 }).await;
    opened.advance(HOUR).await;
    // Wherever it is.
    tokio::task::yield_now().await;
    first.crash().await;
    drop(store);
    let store = opened.process().await;
    let second = firing(&store);
    until(&*store, || async { rang(&*store).await >= 80 }).await;
    second.stop().await;
    assert_eq!(rang(&*store).await, 80);
    for trip in &trips {
        assert_eq!(seen(&store, trip).await, ["Start", "one", "two"], "{trip}");
    }
    drop(store);
    opened.close().await;
}

async fn two_processes_fire_each_timer_once<M: Movable>() {
    let opened = M::open().await;
    let stores = [opened.process().await, opened.process().await];
    let trips = many(&stores[0], 60).await;
    let sagas = stores.each_ref().map(super::trip::trips::<MENDED, _>);
    let running = sagas
        .clone()
        .map(|saga| Running::start(|stop| async move { saga.run_timers(POLL, stop).await }));
    opened.advance(HOUR).await;
    until(&*stores[0], || async { rang(&*stores[0]).await >= 60 }).await;
    opened.advance(HOUR).await;
    until(&*stores[0], || async { rang(&*stores[0]).await >= 120 }).await;
    // A process counts what it knows to be committed, which is after everybody else may see it.
    let fired = || sagas.iter().map(|saga| saga.status().timers).sum::<u64>();
    until(&*stores[0], || async { fired() >= 120 }).await;
    for running in running {
        running.stop().await;
    }
    assert_eq!(rang(&*stores[0]).await, 120);
    assert_eq!(fired(), 120);
    for trip in &trips {
        assert_eq!(
            seen(&stores[1], trip).await,
            ["Start", "one", "two"],
            "{trip}"
        );
        let entries = kinds(&sagas[1], trip).await;
        assert_eq!(entries.iter().filter(|kind| *kind == "timeout").count(), 2);
    }
    drop((sagas, stores));
    opened.close().await;
}

macro_rules! clocks {
    ($($name:ident: $movable:ident),+) => {$(
        mod $name {
            #[tokio::test]
            async fn the_stores_clock_decides() {
                super::the_stores_clock_decides::<super::$movable>().await;
            }

            #[tokio::test]
            async fn a_timer_that_was_due_while_no_process_ran_fires_at_the_next_start() {
                super::a_timer_that_was_due_while_no_process_ran_fires_at_the_next_start::<super::$movable>().await;
            }

            #[tokio::test]
            async fn timers_fire_once_across_a_death() {
                super::timers_fire_once_across_a_death::<super::$movable>().await;
            }

            #[tokio::test]
            async fn two_processes_fire_each_timer_once() {
                super::two_processes_fire_each_timer_once::<super::$movable>().await;
            }
        }
    )+};
}

clocks!(memory: Memory, sqlite: Sqlite, postgres: Postgres);
