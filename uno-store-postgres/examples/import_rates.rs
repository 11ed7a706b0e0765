//! Events a second into an empty store, in the same run: by an import; by one caller who appends as many events at a time as an
//! import does; by 32 callers with fifty each; and by 128 callers with one each.
//!
//! `DATABASE_URL=… cargo run --release -p uno-store-postgres --example import_rates [events [rounds]]`

#![expect(clippy::print_stdout, reason = "it is what the program is for")]

use std::{env, error::Error};

use futures_util::{StreamExt as _, stream};
use tokio::{task::JoinSet, time::Instant};
use uno_core::{
    EventId, EventName, EventStore as _, ExpectedVersion, NewEvent, Payload, SchemaVersion,
    StreamAppend, StreamId,
};
use uno_store_postgres::{PgOptions, PgStore, SchemaName};

type Failure = Box<dyn Error + Send + Sync>;

/// How many events a stream gets.
const STREAM_LENGTH: usize = 20;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url = env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL must name a Postgres database that may be used")?;
    let events: usize = env::args()
        .nth(1)
        .map_or(Ok(200_000), |events| events.parse())?;
    let rounds: usize = env::args().nth(2).map_or(Ok(3), |rounds| rounds.parse())?;
    println!(
        "{:>12} {:>12} {:>12} {:>12}",
        "import", "2048 x 1", "50 x 32", "1 x 128"
    );
    for _ in 0..rounds {
        let store = fresh(&url).await?;
        let start = Instant::now();
        let source = stream::iter(0..events).map(|number| append("imported", number, 1));
        store.import(source).await?;
        print!("{:>10.0}/s", events as f64 / start.elapsed().as_secs_f64());
        for (size, callers) in [(2048, 1), (50, 32), (1, 128)] {
            let store = fresh(&url).await?;
            print!(
                " {:>10.0}/s",
                appended(&store, events, size, callers).await?
            );
        }
        println!();
    }
    Ok(())
}

async fn fresh(url: &str) -> Result<PgStore, Failure> {
    let schema = format!("rates_{}", EventId::new().as_uuid().simple());
    let store = PgStore::new(PgOptions::from_url(url)?.schema(SchemaName::new(schema)?));
    store.migrate().await?;
    Ok(store)
}

fn append(key: &str, number: usize, events: usize) -> Result<StreamAppend, Failure> {
    let stream = StreamId::new("rate", format!("{key}-{}", number / STREAM_LENGTH))?;
    let event = || -> Result<NewEvent, Failure> {
        Ok(NewEvent::from_payload(
            EventName::new("noted")?,
            SchemaVersion::FIRST,
            Payload::from_json(format!(r#"{{"note":"{}"}}"#, "x".repeat(280)))?,
        ))
    };
    let events = (0..events).map(|_| event()).collect::<Result<_, _>>()?;
    Ok(StreamAppend::new(stream, ExpectedVersion::Any, events))
}

/// Events a second by appends of `size` events, from so many callers.
async fn appended(
    store: &PgStore,
    events: usize,
    size: usize,
    callers: usize,
) -> Result<f64, Failure> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let store = store.clone();
        tasks.spawn(async move {
            for number in 0..events / size / callers {
                store
                    .append(vec![append(&caller.to_string(), number, size)?])
                    .await?;
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let appended = events / size / callers * callers * size;
    Ok(appended as f64 / start.elapsed().as_secs_f64())
}
