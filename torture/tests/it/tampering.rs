//! The judge reads the database by its own SQL, and that is worth something: what is done to the tables behind the store's
//! back, it says.

use std::sync::Arc;

use sqlx::{Connection as _, PgConnection, SqliteConnection};
use uno_core::{
    Commit, EventName, EventStore as _, ExpectedVersion, NewEvent, Payload, SchemaVersion,
    StreamAppend, Transactional as _,
};
use uno_torture::{
    arena::{Arena, PostgresArena, SqliteArena},
    campaign::Grounds,
    session::sql,
};

use crate::begin;

/// What is done to the tables, and the laws that are broken then.
type Deed = (&'static str, &'static [&'static str]);

/// The good log has batch 1 (`a-1`: 3 events), batch 2 with a row of the user's (`b-1`: 2 events), and batch 3 (`a-1`: 1).
const ON_POSTGRES: &[Deed] = &[
    ("", &[]),
    (
        "DELETE FROM {s}.events WHERE position = (SELECT max(position) FROM {s}.events)",
        &["lost", "stream-rows"],
    ),
    (
        "DELETE FROM {s}.events WHERE position = (SELECT min(position) FROM {s}.events)",
        &["halved", "holes", "lost"],
    ),
    (
        "UPDATE {s}.events SET payload = (payload::text || ' ')::json WHERE version = 2 AND stream = 1",
        &["payloads"],
    ),
    (
        "UPDATE {s}.events SET recorded_at = recorded_at - interval '1 hour' WHERE version = 2 AND stream = 1",
        &["recorded"],
    ),
    (
        "UPDATE {s}.events SET id = gen_random_uuid() WHERE position = (SELECT max(position) FROM {s}.events)",
        &["lost", "payloads", "unintended"],
    ),
    (
        "UPDATE {s}.events SET position = position + 1000 WHERE version = 1 AND stream = 1",
        &["holes", "receipts", "recorded", "shuffled"],
    ),
    (
        "UPDATE {s}.events SET version = version + 1 WHERE position = (SELECT max(position) FROM {s}.events)",
        &["holes", "receipts", "stream-rows"],
    ),
    (
        "UPDATE {s}.streams SET version = version + 1 WHERE id = 1",
        &["stream-rows"],
    ),
    ("DELETE FROM {s}.torture_rows", &["rows"]),
    (
        "INSERT INTO {s}.torture_rows SELECT r.batch, now() FROM {s}.torture_rows r",
        &["rows"],
    ),
    (
        "ALTER TABLE {s}.events DROP CONSTRAINT events_id_once, DROP CONSTRAINT events_version_once; \
         INSERT INTO {s}.events (position, id, stream, version, schema_version, occurred_at, name, payload) \
         SELECT position + 1000, id, stream, 5, schema_version, occurred_at, name, payload FROM {s}.events \
         WHERE position = (SELECT max(position) FROM {s}.events); \
         UPDATE {s}.streams SET version = 5 WHERE id = 1",
        &["doubled", "halved", "receipts"],
    ),
];

const ON_SQLITE: &[Deed] = &[
    ("", &[]),
    (
        "DELETE FROM uno_events WHERE position = (SELECT max(position) FROM uno_events)",
        &["lost"],
    ),
    (
        "DELETE FROM uno_events WHERE position = (SELECT min(position) FROM uno_events)",
        &["halved", "holes", "lost"],
    ),
    (
        "UPDATE uno_events SET payload = payload || ' ' WHERE version = 2 AND stream = 1",
        &["payloads"],
    ),
    (
        "UPDATE uno_events SET key = '2' WHERE version = 2 AND stream = 1",
        &["payloads"],
    ),
    (
        "UPDATE uno_events SET recorded_at = recorded_at - 3600000000 WHERE version = 2 AND stream = 1",
        &["recorded"],
    ),
    (
        "UPDATE uno_events SET id = randomblob(16) WHERE position = (SELECT max(position) FROM uno_events)",
        &["lost", "payloads", "unintended"],
    ),
    (
        "UPDATE uno_events SET version = version + 1 WHERE position = (SELECT max(position) FROM uno_events)",
        &["holes", "receipts"],
    ),
    ("DELETE FROM torture_rows", &["rows"]),
    (
        "INSERT INTO torture_rows SELECT * FROM torture_rows",
        &["rows"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_judge_sees_what_is_done_to_a_schema() {
    let (grounds, seed) = begin("tampering");
    for (number, (deed, expected)) in ON_POSTGRES.iter().enumerate() {
        let arena = good::<PostgresArena>(&grounds, seed, number).await;
        let tampering = format!("ALTER TABLE {{s}}.events DISABLE TRIGGER USER; {deed}");
        let mut session: PgConnection = arena.outside().await.unwrap();
        sqlx::raw_sql(sql(arena.schema(), &tampering))
            .execute(&mut session)
            .await
            .unwrap_or_else(|error| panic!("{deed}: {error}"));
        says(&*arena, deed, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_judge_sees_what_is_done_to_a_file() {
    let (grounds, seed) = begin("tampering-sqlite");
    for (number, (deed, expected)) in ON_SQLITE.iter().enumerate() {
        let arena = good::<SqliteArena>(&grounds, seed, number).await;
        let mut session: SqliteConnection = arena.outside().await.unwrap();
        let tampering = "DROP TRIGGER uno_events_no_update; DROP TRIGGER uno_events_no_delete";
        for text in [tampering, deed] {
            sqlx::raw_sql(text)
                .execute(&mut session)
                .await
                .unwrap_or_else(|error| panic!("{deed}: {error}"));
        }
        session.close().await.unwrap();
        says(&*arena, deed, expected).await;
    }
}

/// A log in which nothing is wrong.
async fn good<A: Arena>(grounds: &Grounds, seed: u64, number: usize) -> Arc<A> {
    let arena = A::open(grounds, seed, &format!("tampering{number}"))
        .await
        .unwrap();
    let (_, store) = arena.stores().await.unwrap().remove(0);
    let ledger = arena.ledger();
    for (rows, key, count) in [(false, "a", 3), (true, "b", 2), (false, "a", 1)] {
        let batch = ledger.intend(rows, &[(format!("{key}-1"), count)]).unwrap();
        let mut events = Vec::new();
        for index in 0..count {
            let payload = Payload::from_json(ledger.space().payload(batch, index)).unwrap();
            let name = EventName::new("tampered").unwrap();
            events.push(
                NewEvent::from_payload(name, SchemaVersion::FIRST, payload)
                    .with_id(ledger.space().event_id(batch, index)),
            );
        }
        let stream = format!("{key}-1").parse().unwrap();
        let append = StreamAppend::new(stream, ExpectedVersion::Any, events);
        let receipt = if rows {
            let mut commit = Commit::new();
            commit.appends.push(append);
            let row = arena.row(batch, std::time::Duration::ZERO, false);
            commit.work.push(row);
            store.commit(commit).await.unwrap()
        } else {
            store.append(vec![append]).await.unwrap()
        };
        ledger.receipt(batch, &receipt).unwrap();
    }
    arena
}

async fn says<A: Arena>(arena: &A, deed: &str, expected: &[&str]) {
    let verdict = arena.judge().await.unwrap();
    let broken: Vec<&str> = verdict.broken.iter().map(|(law, _)| law).collect();
    assert_eq!(broken, expected, "{deed}: {:?}", verdict.examples);
    arena.clear_away().await.unwrap();
}
