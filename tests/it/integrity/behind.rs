//! Behind the store's back: rows of the log are changed by SQL, by somebody who may.

use std::sync::Arc;

use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions,
};
use uno_core::{Backend, EventStore};
use uno_integrity::BreachKind;
use uno_testkit::conformance::Harness as _;

use super::chains::{append, chain, run};
use crate::{
    postgres::{PgHarness, database_url},
    sqlite::SqliteHarness,
};

/// What is done, and what is found: the version of the only stream, which has 100 events.
const DEEDS: [(&str, u64, BreachKind); 6] = [
    (
        "UPDATE events SET payload = '{\"cents\": 1000000}' WHERE version = 70",
        70,
        BreachKind::Altered,
    ),
    (
        "UPDATE events SET name = 'money_withdrawn' WHERE version = 1",
        1,
        BreachKind::Altered,
    ),
    (
        "DELETE FROM events WHERE version = 64",
        64,
        BreachKind::Missing,
    ),
    (
        "DELETE FROM events WHERE version > 90",
        91,
        BreachKind::Missing,
    ),
    ("DELETE FROM events", 1, BreachKind::Missing),
    (
        "UPDATE events SET version = 170 WHERE version = 70",
        70,
        BreachKind::Missing,
    ),
];

async fn tell<B: Backend>(store: &Arc<B>, deed: &str, number: u64, kind: BreachKind) {
    let log: Arc<dyn EventStore> = store.clone();
    let all = chain(store).verifier(log).verify_all().await.unwrap();
    let first = all.breaches().first();
    assert_eq!(
        first.map(|breach| (breach.version().get(), breach.kind())),
        Some((number, kind)),
        "{deed}: {all}"
    );
}

#[tokio::test]
async fn what_sql_does_to_a_log_in_sqlite_is_named() {
    for (deed, number, kind) in DEEDS {
        let harness = SqliteHarness {
            gaps: Some(7),
            readers: 2,
        };
        let (store, directory) = harness.open().await.unwrap();
        append(&*store, "account-1", 100).await;
        run(store.clone(), &store, chain(&store)).await;
        let options = SqliteConnectOptions::new().filename(directory.path().join("store.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let sql = format!(
            "DROP TRIGGER uno_events_no_update; DROP TRIGGER uno_events_no_delete; {}",
            deed.replace("events", "uno_events")
        );
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        tell(&store, deed, number, kind).await;
        harness.close(directory).await;
    }
}

#[tokio::test]
async fn what_sql_does_to_a_log_in_postgres_is_named() {
    for (deed, number, kind) in DEEDS {
        let harness = PgHarness::plain();
        let (store, schema) = harness.open().await.unwrap();
        append(&*store, "account-1", 100).await;
        run(store.clone(), &store, chain(&store)).await;
        let mut connection = PgConnection::connect(&database_url()).await.unwrap();
        let events = format!("{}.events", schema.name);
        let sql = format!(
            "DROP TRIGGER append_only ON {events}; {}",
            deed.replace("events", &events)
        );
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        tell(&store, deed, number, kind).await;
        harness.close(schema).await;
    }
}
