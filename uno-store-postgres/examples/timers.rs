//! What it costs to read the due timers and to fire one, at 10,000 and at 1,000,000 pending ones.
//!
//! `cargo xtask pg -- cargo run --release -p uno-store-postgres --example timers`, or with `DATABASE_URL` set.

#![expect(clippy::print_stdout, reason = "it is what the program is for")]

use std::{env, error::Error, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::time::Instant;
use uno_core::{
    Commit, Due, EventId, EventStore as _, Metadata, NewTimer, Payload, TimerStore as _,
    TimerWrite, Transactional as _,
};
use uno_store_postgres::{PgOptions, PgStore, PgTx, SchemaName};

/// How many are due at each look.
const DUE: usize = 100;

/// How often it is looked.
const LOOKS: usize = 500;

/// The times that it takes to read the due timers, and to fire one of them while another is set.
async fn measure(store: &PgStore) -> Result<(Vec<Duration>, Vec<Duration>), Box<dyn Error>> {
    let mut commit = Commit::<PgTx>::new();
    commit.timers = (0..DUE).map(|_| due()).collect();
    store.commit(commit).await?;
    let (mut reads, mut fires) = (Vec::new(), Vec::new());
    for _ in 0..LOOKS {
        let begun = Instant::now();
        let read = store.due_timers("order", DUE).await?;
        reads.push(begun.elapsed());
        let first = read.timers().first().ok_or("nothing is due")?;
        let (process, id) = ("order".to_owned(), first.id());
        let mut commit = Commit::<PgTx>::new();
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

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL must name a Postgres database that may be used")?;
    let mut connection = PgConnection::connect(&url).await?;
    println!(
        "{:>10} {:>19} {:>19}",
        "pending", "due p50, p99", "fire p50, p99"
    );
    for pending in [10_000, 1_000_000] {
        let schema = format!("timers_{}", EventId::new().as_uuid().simple());
        let options = PgOptions::from_url(&url)?.schema(SchemaName::new(schema.as_str())?);
        let store = PgStore::new(options);
        store.migrate().await?;
        let fill = format!(
            "INSERT INTO {schema}.timers SELECT 'order', gen_random_uuid(), 'key ' || n / 3, \
             now() + interval '1 day' + n * interval '1 second', '{{\"deadline\":\"payment\"}}', '{{}}' \
             FROM generate_series(1, {pending}) n"
        );
        sqlx::raw_sql(AssertSqlSafe(fill))
            .execute(&mut connection)
            .await?;
        let (reads, fires) = measure(&store).await?;
        println!("{pending:>10} {} {}", shown(reads), shown(fires));
        let drop = format!("DROP SCHEMA {schema} CASCADE");
        sqlx::raw_sql(AssertSqlSafe(drop))
            .execute(&mut connection)
            .await?;
    }
    Ok(())
}
