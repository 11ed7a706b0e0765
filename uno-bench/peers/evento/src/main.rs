//! `uno-bench-evento`: evento's subscription, doing the work that `uno-bench projection` measures, in a process of its own.
//!
//! It takes orders line by line from its standard input, and answers each with one line:
//! `load EVENTS PRODUCTS` writes the events, `run CHUNK EVENTS` has a new subscription upsert a row for each of so many of them and
//! answers with how many it did in a second.
//!
//! It is as fast as evento lets one be: a pool that is warm, nothing traced, the checkpoint saved once for each chunk (evento's
//! default), a statement that is prepared once. A handler is given one event, and no transaction, so each upsert is a
//! statement and a commit of its own.

use std::{
    env, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};
use evento::{
    Aggregate, AggregateEvent, Executor, Postgres,
    metadata::Event,
    subscription::{Context, SubscriptionBuilder},
};
use sqlx::{PgPool, postgres::PgPoolOptions};
use sqlx_migrator::{Migrate as _, Plan};
use ulid::Ulid;

/// How many events a stream has.
const STREAM: u64 = 10;
/// How many events are written by one call.
const WRITE: u64 = 10_000;

/// As in `uno-bench`: of about 300 bytes.
#[evento::aggregate(name = "shop/Order")]
pub enum Order {
    OrderPlaced {
        order: String,
        product: String,
        cents: u64,
        note: String,
    },
}

const UPSERT: &str = "INSERT INTO evento_sales AS t (product, orders, cents) VALUES ($1, 1, $2) \
     ON CONFLICT (product) DO UPDATE SET orders = t.orders + 1, cents = t.cents + excluded.cents";

/// What the handler works with.
#[derive(Clone)]
struct Sales {
    pool: PgPool,
    handled: Arc<AtomicU64>,
    wanted: u64,
}

#[evento::subscription]
async fn upsert<E: Executor>(context: &Context<'_, E>, event: Event<OrderPlaced>) -> Result<()> {
    let sales: Sales = context.extract();
    sqlx::query(UPSERT)
        .bind(&event.data.product)
        .bind(i64::try_from(event.data.cents)?)
        .execute(&sales.pool)
        .await?;
    if sales.handled.fetch_add(1, Ordering::Relaxed) + 1 == sales.wanted {
        context.stop();
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let url = env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    // One for the subscription, one for the handler, and one to spare.
    let pool = PgPoolOptions::new()
        .min_connections(3)
        .max_connections(3)
        .test_before_acquire(false)
        .connect(&url)
        .await?;
    evento::sql_migrator::new::<sqlx::Postgres>()?
        .run(&mut *pool.acquire().await?, &Plan::apply_all())
        .await?;
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS evento_sales (product text COLLATE \"C\" PRIMARY KEY, orders bigint NOT NULL, cents bigint NOT NULL)",
    )
    .execute(&pool)
    .await?;
    let executor: Postgres = pool.clone().into();
    let mut runs = 0_u32;
    for line in io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["load", events, products] => {
                load(&executor, events.parse()?, products.parse()?).await?;
                sqlx::query("VACUUM ANALYZE event").execute(&pool).await?;
                println!("loaded");
            }
            ["run", chunk, events] => {
                runs += 1;
                let rate = run(&executor, &pool, runs, chunk.parse()?, events.parse()?).await?;
                println!("{rate}");
            }
            _ => bail!("there is no order {line:?}"),
        }
    }
    Ok(())
}

async fn load(executor: &Postgres, events: u64, products: u64) -> Result<()> {
    let note = "to be left with the neighbours, who know of it; ".repeat(4);
    for first in (0..events).step_by(usize::try_from(WRITE)?) {
        let mut written = Vec::with_capacity(usize::try_from(WRITE)?);
        for number in first..(first + WRITE).min(events) {
            let data = bitcode::encode(&OrderPlaced {
                order: format!("order-{number}"),
                product: format!("product-{}", number % products),
                cents: number,
                note: note.clone(),
            });
            written.push(evento::Event {
                id: Ulid::generate(),
                aggregate_id: format!("order-{}", number / STREAM),
                aggregate_type: Order::aggregate_type().to_owned(),
                version: u16::try_from(number % STREAM + 1)?,
                name: OrderPlaced::event_name().to_owned(),
                data,
                ..evento::Event::default()
            });
        }
        executor.write(written).await?;
    }
    Ok(())
}

/// A subscription from the beginning of the log; how many events a second it upserted.
async fn run(
    executor: &Postgres,
    pool: &PgPool,
    number: u32,
    chunk: u16,
    events: u64,
) -> Result<f64> {
    sqlx::query("TRUNCATE evento_sales").execute(pool).await?;
    let sales = Sales {
        pool: pool.clone(),
        handled: Arc::default(),
        wanted: events,
    };
    let handled = Arc::clone(&sales.handled);
    let mut subscription = SubscriptionBuilder::new(format!("sales-{number}"))
        .handler(upsert())
        .data(sales)
        .chunk_size(chunk)
        .no_retry();
    let begun = Instant::now();
    subscription.run_once(executor).await?;
    let rate = events as f64 / begun.elapsed().as_secs_f64();
    let handled = handled.load(Ordering::Relaxed);
    ensure!(
        handled == events,
        "{handled} events were handled instead of {events}"
    );
    let (orders, cents): (i64, i64) =
        sqlx::query_as("SELECT sum(orders)::bigint, sum(cents)::bigint FROM evento_sales")
            .fetch_one(pool)
            .await?;
    let due = (events, events * events.saturating_sub(1) / 2);
    ensure!(
        (orders.cast_unsigned(), cents.cast_unsigned()) == due,
        "{orders} orders of {cents} cents are not {} of {}",
        due.0,
        due.1
    );
    Ok(rate)
}
