//! A schema for each test, and short ways to say what the tests say often.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use uno_core::{
    EventId, EventName, EventStore as _, ExpectedVersion, NewEvent, Payload, ReadLog, ReadStream,
    RecordedEvent, SchemaVersion, StreamAppend, StreamId,
};
use uno_store_postgres::{PgOptions, PgStore, SchemaName};

/// The server that the tests may use.
pub(crate) fn database_url() -> String {
    std::env::var("DATABASE_URL")
        .expect("DATABASE_URL must name a Postgres database that the tests may use")
}

/// A schema of its own, migrated.
pub(crate) struct Fixture {
    pub(crate) schema: String,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let fixture = Self::unmigrated();
        fixture.store().migrate().await.unwrap();
        fixture
    }

    pub(crate) fn unmigrated() -> Self {
        Self {
            schema: format!("t_{}", EventId::new().as_uuid().simple()),
        }
    }

    pub(crate) fn options(&self) -> PgOptions {
        PgOptions::from_url(&database_url())
            .unwrap()
            .application_name(&self.schema)
            .schema(SchemaName::new(self.schema.as_str()).unwrap())
    }

    pub(crate) fn store(&self) -> PgStore {
        PgStore::new(self.options())
    }

    /// A connection of the test's own.
    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(&database_url()).await.unwrap()
    }

    /// SQL with `@` for the schema.
    pub(crate) fn sql(&self, text: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(text.replace('@', &self.schema))
    }

    pub(crate) async fn run(&self, connection: &mut PgConnection, text: &str) {
        sqlx::raw_sql(self.sql(text))
            .execute(connection)
            .await
            .unwrap();
    }

    /// The first column of the first row.
    pub(crate) async fn number(&self, connection: &mut PgConnection, text: &str) -> i64 {
        sqlx::query(self.sql(text))
            .fetch_one(connection)
            .await
            .unwrap()
            .get(0)
    }

    /// Removes the schema. A test that fails leaves it, to be looked at.
    pub(crate) async fn close(self) {
        let mut connection = self.connection().await;
        // The server may still be at a question whose asker was dropped, and have locks that it took in another order.
        while let Err(error) = sqlx::raw_sql(self.sql("DROP SCHEMA IF EXISTS @ CASCADE"))
            .execute(&mut connection)
            .await
        {
            let code = error.as_database_error().and_then(|error| error.code());
            assert_eq!(code.as_deref(), Some("40P01"), "{error}");
        }
    }
}

pub(crate) fn stream(key: impl AsRef<str>) -> StreamId {
    StreamId::new("order", key.as_ref()).unwrap()
}

pub(crate) fn event(payload: &str) -> NewEvent {
    NewEvent::from_payload(
        EventName::new("happened").unwrap(),
        SchemaVersion::FIRST,
        Payload::from_json(payload).unwrap(),
    )
}

pub(crate) fn events(count: usize) -> Vec<NewEvent> {
    (0..count).map(|n| event(&n.to_string())).collect()
}

pub(crate) fn append(
    key: impl AsRef<str>,
    expected: ExpectedVersion,
    count: usize,
) -> StreamAppend {
    StreamAppend::new(stream(key), expected, events(count))
}

/// How many sessions of a store have a transaction open, or hold a lock that outlives transactions.
pub(crate) async fn sessions_in_transactions(
    fixture: &Fixture,
    connection: &mut PgConnection,
) -> i64 {
    let text = "SELECT count(*) FROM pg_stat_activity WHERE application_name = '@' AND state LIKE 'idle in transaction%'";
    fixture.number(connection, text).await
}

pub(crate) async fn whole_log(store: &PgStore) -> Vec<Arc<RecordedEvent>> {
    store
        .read_log(ReadLog::after(uno_core::Position::START).limit(1_000_000))
        .await
        .unwrap()
        .into_events()
}

pub(crate) async fn whole_stream(store: &PgStore, key: &str) -> Vec<Arc<RecordedEvent>> {
    store
        .read_stream(ReadStream::forward(stream(key)).limit(1_000_000))
        .await
        .unwrap()
}

/// Begins an append as a foreign writer does, with plain SQL: the next version of a stream, without the commit.
pub(crate) async fn foreign_append(fixture: &Fixture, connection: &mut PgConnection, key: &str) {
    let text = format!(
        "WITH s AS (INSERT INTO @.streams (category, key, version) VALUES ('order', '{key}', 1)
                    ON CONFLICT (category, key) DO UPDATE SET version = streams.version + 1 RETURNING id, version)
         INSERT INTO @.events (id, stream, version, schema_version, occurred_at, name, payload)
         SELECT gen_random_uuid(), s.id, s.version, 1, now(), 'foreign', '{{}}' FROM s"
    );
    fixture.run(connection, &text).await;
}

/// Waits until a condition holds, asking again and again.
pub(crate) async fn until<F: Future<Output = bool>>(mut condition: impl FnMut() -> F) {
    let asked = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), asked)
        .await
        .expect("it never came true");
}

/// Asserts that positions rise along the log, and that each stream's versions are 1, 2, 3, ….
pub(crate) fn assert_lawful(log: &[Arc<RecordedEvent>]) {
    let mut versions = std::collections::HashMap::new();
    for event in log {
        let version = versions.entry(event.stream().clone()).or_insert(0);
        *version += 1;
        assert_eq!(
            event.version().get(),
            *version,
            "versions of {}",
            event.stream()
        );
    }
    for pair in log.windows(2) {
        assert!(pair[0].position() < pair[1].position());
        assert!(pair[0].recorded_at() <= pair[1].recorded_at());
    }
}
