//! Appends a second, grouped and one transaction each, with 1, 32 and 128 callers in the same run; beside them, as a
//! yardstick, plain prepared inserts into a table with the same keys: no streams, no conflicts, no order.
//!
//! `DATABASE_URL=… cargo run --release -p uno-store-postgres --example append_rates [seconds [rounds]]`

#![expect(clippy::print_stdout, reason = "it is what the program is for")]

use std::{env, error::Error, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::{task::JoinSet, time::Instant};
use uno_core::{
    EventId, EventName, EventStore as _, ExpectedVersion, NewEvent, Payload, SchemaVersion,
    StreamAppend, StreamId, Version,
};
use uno_store_postgres::{PgOptions, PgStore, SchemaName};

/// How many events a stream gets before the next one is begun.
const STREAM_LENGTH: u64 = 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL must name a Postgres database that may be used")?;
    let seconds: u64 = env::args()
        .nth(1)
        .map_or(Ok(3), |seconds| seconds.parse())?;
    let rounds: usize = env::args().nth(2).map_or(Ok(2), |rounds| rounds.parse())?;
    let schema = format!("rates_{}", EventId::new().as_uuid().simple());
    let options = PgOptions::from_url(&url)?.schema(SchemaName::new(schema.as_str())?);
    PgStore::new(options.clone()).migrate().await?;

    let table = format!(
        "CREATE TABLE {schema}.raw (position bigserial PRIMARY KEY, id uuid UNIQUE NOT NULL DEFAULT gen_random_uuid(), \
         stream text NOT NULL, version bigint NOT NULL, payload json NOT NULL, UNIQUE (stream, version))"
    );
    let mut connection = PgConnection::connect(&url).await?;
    sqlx::raw_sql(AssertSqlSafe(table))
        .execute(&mut connection)
        .await?;
    println!(
        "{:>8} {:>12} {:>12} {:>12} {:>8}",
        "callers", "raw insert", "one each", "grouped", "times"
    );
    for _ in 0..rounds {
        for callers in [1, 32, 128] {
            let raw = raw_rate(&url, &schema, callers.min(32), seconds).await?;
            // As many connections as are of use: more callers than that share them.
            let alone = PgStore::new(
                options
                    .clone()
                    .max_connections(2 * callers.min(32))
                    .without_grouping(),
            );
            let alone = rate(&alone, callers, seconds).await?;
            let grouped = rate(&PgStore::new(options.clone()), callers, seconds).await?;
            println!(
                "{callers:>8} {raw:>10.0}/s {alone:>10.0}/s {grouped:>10.0}/s {:>8.2}",
                grouped / alone
            );
        }
    }
    Ok(())
}

/// Appends a second, with this many callers, each to streams of its own.
async fn rate(store: &PgStore, callers: u32, seconds: u64) -> Result<f64, Box<dyn Error>> {
    let payload = Payload::from_json(format!(r#"{{"note":"{}"}}"#, "x".repeat(280)))?;
    let run = EventId::new();
    let begin = Instant::now() + Duration::from_millis(300);
    let end = begin + Duration::from_secs(seconds);
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let (store, payload) = (store.clone(), payload.clone());
        tasks.spawn(async move {
            let mut counted = 0_u64;
            let mut sent = 0_u64;
            while Instant::now() < end {
                let stream =
                    StreamId::new("rate", format!("{run}-{caller}-{}", sent / STREAM_LENGTH))?;
                let event = NewEvent::from_payload(
                    EventName::new("noted")?,
                    SchemaVersion::FIRST,
                    payload.clone(),
                );
                let expected = ExpectedVersion::Exact(Version::new(sent % STREAM_LENGTH)?);
                store
                    .append(vec![StreamAppend::new(stream, expected, vec![event])])
                    .await?;
                sent += 1;
                if Instant::now() >= begin {
                    counted += 1;
                }
            }
            Ok::<u64, Box<dyn Error + Send + Sync>>(counted)
        });
    }
    let mut total = 0;
    while let Some(done) = tasks.join_next().await {
        total += done?.map_err(|error| error.to_string())?;
    }
    Ok(total as f64 / seconds as f64)
}

/// Inserts a second, on this many connections.
async fn raw_rate(
    url: &str,
    schema: &str,
    connections: u32,
    seconds: u64,
) -> Result<f64, Box<dyn Error>> {
    let payload = format!(r#"{{"note":"{}"}}"#, "x".repeat(280));
    let run = EventId::new();
    let begin = Instant::now() + Duration::from_millis(300);
    let end = begin + Duration::from_secs(seconds);
    let mut tasks = JoinSet::new();
    for number in 0..connections {
        let mut connection = PgConnection::connect(url).await?;
        let text = format!(
            "INSERT INTO {schema}.raw (stream, version, payload) VALUES ($1, $2, $3::text::json)"
        );
        let payload = payload.clone();
        tasks.spawn(async move {
            let (mut counted, mut sent) = (0_u64, 0_i64);
            while Instant::now() < end {
                let insert = sqlx::query(AssertSqlSafe(text.clone()));
                let insert = insert
                    .bind(format!("{run}-{number}"))
                    .bind(sent)
                    .bind(&payload);
                insert.execute(&mut connection).await?;
                sent += 1;
                counted += u64::from(Instant::now() >= begin);
            }
            Ok::<u64, sqlx::Error>(counted)
        });
    }
    let mut total = 0;
    while let Some(done) = tasks.join_next().await {
        total += done??;
    }
    Ok(total as f64 / seconds as f64)
}
