//! What it costs to read the due timers and to fire one, at 10,000 and at 1,000,000 pending ones.
//!
//! `cargo run --release -p uno-store-sqlite --example timers`

#![expect(clippy::print_stdout, reason = "it is what the program is for")]

use std::{error::Error, time::Duration};

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::time::Instant;
use uno_core::{
    Commit, Due, EventId, EventStore as _, Metadata, NewTimer, Payload, TimerStore as _,
    TimerWrite, Transactional as _,
};
use uno_store_sqlite::{SqliteStore, SqliteTx};

/// How many are due at each look.
const DUE: usize = 100;

/// How often it is looked.
const LOOKS: usize = 500;

/// The times that it takes to read the due timers, and to fire one of them while another is set.
async fn measure(store: &SqliteStore) -> Result<(Vec<Duration>, Vec<Duration>), Box<dyn Error>> {
    let mut commit = Commit::<SqliteTx>::new();
    commit.timers = (0..DUE).map(|_| due()).collect();
    store.commit(commit).await?;
    let (mut reads, mut fires) = (Vec::new(), Vec::new());
    for _ in 0..LOOKS {
        let begun = Instant::now();
        let read = store.due_timers("order", DUE).await?;
        reads.push(begun.elapsed());
        let first = read.timers().first().ok_or("nothing is due")?;
        let (process, id) = ("order".to_owned(), first.id());
        let mut commit = Commit::<SqliteTx>::new();
        commit.timers = vec![TimerWrite::Fire { process, id }, due()];
        let begun = Instant::now();
        store.commit(commit).await?;
        fires.push(begun.elapsed());
    }
    Ok((reads, fires))
}

fn due() -> TimerWrite {
    let (id, due) = (*EventId::new().as_uuid(), Due::After(Duration::ZERO));
    let payload = Payload::from_stored("{\"deadline\":\"payment\"}");
    TimerWrite::Set(NewTimer::new(
        "order",
        "late",
        id,
        due,
        payload,
        Metadata::new(),
    ))
}

/// The middle one, and that of which one in a hundred is longer.
fn shown(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |part: usize| {
        times
            .get(times.len() * part / 100)
            .copied()
            .unwrap_or_default()
    };
    format!("{:>9.2?} {:>9.2?}", at(50), at(99))
}

/// From tomorrow on, one a second.
const FILL: &str = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?) \
     INSERT INTO uno_timers (process, due_at, id, key, payload, metadata) \
     SELECT 'order', (unixepoch() + 86400 + n) * 1000000, randomblob(16), 'key ' || (n / 3), '{\"deadline\":\"payment\"}', '{}' \
     FROM numbers";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "{:>10} {:>19} {:>19}",
        "pending", "due p50, p99", "fire p50, p99"
    );
    for pending in [10_000, 1_000_000] {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("store.db");
        let store = SqliteStore::open(&path).await?;
        store.migrate().await?;
        let options = SqliteConnectOptions::new().filename(&path);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        sqlx::query(FILL)
            .bind(pending)
            .execute(&mut connection)
            .await?;
        // What was filled in goes to its place, so that the looks do not pay for it.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        let (reads, fires) = measure(&store).await?;
        println!("{pending:>10} {} {}", shown(reads), shown(fires));
        store.close().await;
    }
    Ok(())
}
