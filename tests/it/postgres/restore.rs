//! A store that is dumped while it is written to and read from, and restored elsewhere, is the store it was at that moment.

use std::{collections::HashMap, env, fs, path::PathBuf, process::Command, sync::Arc};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, PgConnection, Row as _, postgres::PgConnectOptions,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uno_core::{
    BoxError, CheckpointStore as _, CheckpointWrite, Decoder, Envelope, EventId, EventStore as _,
    EventStoreExt as _, ExpectedVersion, Lane, Position, ReadLog, RecordedEvent, StoreError,
    StreamId, SubscriptionName,
};
use uno_cqrs::{Projection, Projector};
use uno_events::{Replay, StopReason, Subscription, SubscriptionManager};
use uno_store_postgres::{PgOptions, PgStore, PgTx, SchemaName};

use super::database_url;
use crate::support::{
    account::Moved,
    rest::{in_time, until},
};

const SCHEMA: &str = "shop";

/// A database of its own.
struct Database {
    name: String,
    connection: PgConnection,
}

impl Database {
    async fn new() -> Self {
        let name = format!("d_{}", EventId::new().as_uuid().simple());
        let server: PgConnectOptions = database_url().parse().unwrap();
        let create = AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"));
        let mut outside = server.connect().await.unwrap();
        sqlx::query(create).execute(&mut outside).await.unwrap();
        let connection = server.database(&name).connect().await.unwrap();
        Self { name, connection }
    }

    fn url(&self) -> String {
        let url = database_url();
        let (base, rest) = url
            .split_once('?')
            .map_or((url.as_str(), None), |(b, r)| (b, Some(r)));
        let (server, _) = base.rsplit_once('/').unwrap();
        let options = rest.map_or_else(String::new, |rest| format!("?{rest}"));
        format!("{server}/{}{options}", self.name)
    }

    fn store(&self, schema: &str) -> Arc<PgStore> {
        let options = PgOptions::from_url(&self.url()).unwrap();
        Arc::new(PgStore::new(
            options.schema(SchemaName::new(schema).unwrap()),
        ))
    }

    async fn run(&mut self, text: &str) {
        let text = AssertSqlSafe(text.to_owned());
        sqlx::raw_sql(text)
            .execute(&mut self.connection)
            .await
            .unwrap();
    }

    async fn number(&mut self, text: &str) -> i64 {
        let text = AssertSqlSafe(text.to_owned());
        sqlx::query(text)
            .fetch_one(&mut self.connection)
            .await
            .unwrap()
            .get(0)
    }

    /// Removes the database, whoever is still connected.
    async fn close(self) {
        let server: PgConnectOptions = database_url().parse().unwrap();
        let drop = AssertSqlSafe(format!("DROP DATABASE {} WITH (FORCE)", self.name));
        let mut outside = server.connect().await.unwrap();
        sqlx::query(drop).execute(&mut outside).await.unwrap();
    }
}

/// Runs one of the programs that come with the server.
fn tool(name: &str, arguments: &[&str]) {
    let path = env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let program = env::split_paths(&path)
        .chain(debian.map(|version| version.path().join("bin")))
        .map(|folder: PathBuf| folder.join(name))
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("no {name} found: install PostgreSQL's client programs"));
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn dump(from: &Database, folder: &TempDir) -> String {
    let file = folder.path().join(format!("{}.sql", EventId::new()));
    let file = file.to_str().unwrap().to_owned();
    tool(
        "pg_dump",
        &["--dbname", &from.url(), "--schema", SCHEMA, "--file", &file],
    );
    file
}

fn restore(file: &str, to: &Database) {
    let strict = ["-X", "-q", "-v", "ON_ERROR_STOP=1"];
    let mut arguments = strict.to_vec();
    let url = to.url();
    arguments.extend(["--dbname", &url, "--file", file]);
    tool("psql", &arguments);
}

/// Puts a row for each event that it handles; for one that it handles again, it fails.
#[derive(Debug)]
struct Handled;

impl Projection<PgStore> for Handled {
    const NAME: &'static str = "handled";
    type Event = Moved;

    async fn project(&self, event: &Envelope<Moved>, tx: &mut PgTx) -> Result<(), BoxError> {
        let insert = sqlx::query("INSERT INTO shop.handled (position, cents) VALUES ($1, $2)")
            .bind(event.position().as_i64())
            .bind(event.event().cents);
        insert.execute(tx.connection()).await?;
        Ok(())
    }
}

fn name() -> SubscriptionName {
    SubscriptionName::new("handled").unwrap()
}

async fn subscribe(store: &Arc<PgStore>) -> SubscriptionManager {
    let projector = Projector::new(Handled, Arc::clone(store), Decoder::new()).unwrap();
    let manager = SubscriptionManager::new(Arc::clone(store) as _, Arc::clone(store) as _);
    let subscription = Subscription::new(name(), Replay::Safe, Arc::new(projector));
    manager.subscribe(subscription.batch_size(7)).unwrap();
    manager.start_all().await.unwrap();
    manager
}

/// Appends from several writers to streams that they share, until it is told to stop.
fn write(store: &Arc<PgStore>, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
    let writer = |writer: i64| {
        let (store, stop) = (Arc::clone(store), stop.clone());
        tokio::spawn(async move {
            let mut cents = writer;
            while !stop.is_cancelled() {
                cents += 4;
                append(&store, cents % 5, cents).await;
            }
        })
    };
    (0..4).map(writer).collect()
}

async fn append(store: &PgStore, key: i64, cents: i64) -> Position {
    let stream = StreamId::new("account", key.to_string()).unwrap();
    let moved = [Moved { cents }];
    let receipt = store.append_events(stream, ExpectedVersion::Any, &moved);
    receipt.await.unwrap().position().unwrap()
}

async fn log(store: &PgStore) -> Vec<Arc<RecordedEvent>> {
    let read = ReadLog::after(Position::START).limit(1_000_000);
    store.read_log(read).await.unwrap().into_events()
}

/// A store that has been written to and read from, and still is.
struct Running {
    database: Database,
    store: Arc<PgStore>,
    manager: SubscriptionManager,
    writers: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Running {
    async fn start() -> Self {
        let mut database = Database::new().await;
        let store = database.store(SCHEMA);
        store.migrate().await.unwrap();
        let table =
            "CREATE TABLE shop.handled (position bigint PRIMARY KEY, cents bigint NOT NULL)";
        database.run(table).await;
        let manager = subscribe(&store).await;
        let stop = CancellationToken::new();
        let writers = write(&store, &stop);
        let running = Self {
            database,
            store,
            manager,
            writers,
            stop,
        };
        running.goes_on(100).await;
        running
    }

    async fn handled(&self) -> u64 {
        let checkpoint = self
            .store
            .load_checkpoint(&name(), Lane::FIRST)
            .await
            .unwrap();
        checkpoint.map_or(0, |checkpoint| checkpoint.position().get())
    }

    /// Waits until the subscription has come to a position.
    async fn reaches(&self, position: u64) {
        until(&*self.store, || async { self.handled().await >= position }).await;
    }

    /// Waits until it has come so much further.
    async fn goes_on(&self, positions: u64) {
        self.reaches(self.handled().await + positions).await;
    }

    /// Stops writers and subscription.
    async fn stop(self) -> (Database, Arc<PgStore>) {
        self.stop.cancel();
        for writer in self.writers {
            writer.await.unwrap();
        }
        self.manager.stop_all().await;
        (self.database, self.store)
    }
}

/// Every event of the log is handled, once.
async fn assert_handled(database: &mut Database, store: &PgStore) {
    let events = log(store).await.len() as i64;
    assert_eq!(
        database.number("SELECT count(*) FROM shop.handled").await,
        events
    );
    let strays = "SELECT count(*) FROM shop.handled h LEFT JOIN shop.events e USING (position) WHERE e.id IS NULL";
    assert_eq!(database.number(strays).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_dumped_under_fire_goes_on_elsewhere_without_a_skip() {
    let folder = TempDir::new().unwrap();
    let running = Running::start().await;
    let file = dump(&running.database, &folder);
    running.goes_on(50).await;
    let (mut original, first) = running.stop().await;

    let mut copy = Database::new().await;
    restore(&file, &copy);
    let second = copy.store(SCHEMA);
    // Nothing to migrate, and nothing that a new connection complains of.
    second.migrate().await.unwrap();
    assert_eq!(
        second.head().await.unwrap().epoch(),
        first.head().await.unwrap().epoch()
    );
    let (whole, restored) = (log(&first).await, log(&second).await);
    assert!(restored.len() >= 50 && restored.len() < whole.len());
    let by_id: HashMap<_, _> = whole.iter().map(|event| (event.id(), event)).collect();
    for event in &restored {
        assert_eq!(by_id.get(&event.id()), Some(&event), "to the byte");
    }
    let behind =
        "SELECT (SELECT max(position) FROM shop.events) - last_value FROM shop.events_position";
    assert!(copy.number(behind).await <= 0, "no position is given twice");

    // The subscription goes on where the dump has it, though the original lives on with an append of its own open.
    original.run("BEGIN; SELECT shop.enter_log()").await;
    let manager = subscribe(&second).await;
    let stop = CancellationToken::new();
    let writers = write(&second, &stop);
    let end = append(&second, 0, 1).await.get() + 50;
    until(&*second, || async {
        second.head().await.unwrap().position().get() >= end
    })
    .await;
    stop.cancel();
    for writer in writers {
        writer.await.unwrap();
    }
    in_time(manager.until_idle()).await.unwrap();
    manager.stop_all().await;
    assert_handled(&mut copy, &second).await;
    let after = log(&second).await;
    assert_eq!(
        &after[..restored.len()],
        &restored[..],
        "the restored log is the beginning"
    );
    let mut versions = HashMap::new();
    for event in &after {
        let version = versions.entry(event.stream().clone()).or_insert(0);
        *version += 1;
        assert_eq!(event.version().get(), *version);
    }
    assert!(
        after
            .windows(2)
            .all(|pair| pair[0].recorded_at() <= pair[1].recorded_at())
    );

    // What keeps the order is there as well: each has its locks, and facts stay facts.
    let classes = "SELECT count(*) FROM shop.meta WHERE log_class = shop.log_class() AND queue_class = shop.queue_class() AND draw_class = shop.draw_class()";
    assert_eq!(copy.number(classes).await, 1);
    let triggers = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'shop.events'::regclass AND NOT tgisinternal AND tgenabled = 'O'";
    assert_eq!(copy.number(triggers).await, original.number(triggers).await);
    original.run("ROLLBACK").await;
    original.close().await;
    copy.close().await;
}

/// A checkpoint that is ahead of the backup, kept by a consumer elsewhere, does not pass for one of the restored log.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_beyond_an_older_backup_is_of_another_log() {
    let folder = TempDir::new().unwrap();
    let running = Running::start().await;
    let file = dump(&running.database, &folder);
    // Beyond everything that can be in the dump: the subscription may lag behind the log.
    let dumped = running.store.head().await.unwrap().position();
    running.reaches(dumped.get() + 50).await;
    let (original, first) = running.stop().await;
    let ahead = first
        .load_checkpoint(&name(), Lane::FIRST)
        .await
        .unwrap()
        .unwrap();

    let copy = Database::new().await;
    restore(&file, &copy);
    let second = copy.store(SCHEMA);
    let saved = second
        .load_checkpoint(&name(), Lane::FIRST)
        .await
        .unwrap()
        .unwrap();
    assert!(saved.position() < ahead.position());
    let write = CheckpointWrite::new(name(), Some(saved.position()), ahead);
    second.save_checkpoint(write).await.unwrap();
    // While the log is shorter than the checkpoint, and when another event has its position.
    for longer in [false, true] {
        while longer && append(&second, 1, 1).await < ahead.position() {}
        let manager = subscribe(&second).await;
        assert!(in_time(manager.until_idle()).await.is_err());
        let status = manager.status().await.remove(0);
        assert!(
            matches!(status.state().failure(), Some(StopReason::LogDiverged { checkpoint, .. })
                if *checkpoint == ahead.position()),
            "{status:?}"
        );
        manager.stop_all().await;
    }
    original.close().await;
    copy.close().await;
}

/// The texts of functions keep the name that the schema had: under another one they would write to somebody else's store.
#[tokio::test]
async fn a_schema_that_was_renamed_is_refused() {
    let folder = TempDir::new().unwrap();
    let mut database = Database::new().await;
    let store = database.store(SCHEMA);
    store.migrate().await.unwrap();
    append(&store, 1, 1).await;
    let file = dump(&database, &folder);
    database.run("ALTER SCHEMA shop RENAME TO moved").await;
    // In the place of the old one there is another store now.
    restore(&file, &database);
    let moved = database.store("moved");
    for error in [
        moved.head().await.unwrap_err(),
        moved.migrate().await.unwrap_err(),
    ] {
        assert!(
            matches!(&error, StoreError::Corrupt { what } if what.contains("renamed")),
            "{error}"
        );
    }
    // The one with its own name is a store of its own.
    let shop = database.store(SCHEMA);
    append(&shop, 1, 2).await;
    assert_eq!(log(&shop).await.len(), 2);
    assert_eq!(
        database.number("SELECT count(*) FROM moved.events").await,
        1
    );
    database.close().await;
}
