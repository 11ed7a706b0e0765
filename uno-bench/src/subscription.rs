//! `uno-bench subscription`: a durable subscription that catches up, against a scan of the same rows by hand; and a hundred that follow
//! the end of the log, with and without one that stalls and one that panics.
//!
//! On Postgres: the one that `DATABASE_URL` names, in a schema of its own, or else a throw-away one.

mod by_hand;
mod hundred;
mod memory;

use std::{
    env,
    process::{Command, ExitStatus},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use uno_core::{
    BoxError, Envelope, Event, EventStore as _, ExpectedVersion, NewEvent, StreamAppend, StreamId,
    SubscriptionName,
};
use uno_events::{EventHandler, Replay, Subscription, SubscriptionManager};
use uno_store_postgres::{PgOptions, PgStore, SchemaName};

use crate::rounds::{Bound, Rounds, Table};

/// Options of `uno-bench subscription`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    rounds: Rounds,
    /// How many events there are to catch up with.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Only this part; all of them unless it is said.
    #[arg(long)]
    only: Option<Part>,
    /// Measures the memory of this, once, in this process, and prints it. Used by the measurement itself.
    #[arg(long, hide = true, requires = "schema")]
    memory_of: Option<Load>,
    /// The schema of the store. Used by the measurement itself.
    #[arg(long, hide = true)]
    schema: Option<String>,
}

/// A part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Catching up with the log, and the memory that it takes.
    CatchUp,
    /// A hundred subscriptions, one of which stalls and one panics, and the memory of the one that stalls.
    Hundred,
}

/// What takes memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Load {
    /// Catching up with the log.
    CatchUp,
    /// Being stalled while the log grows.
    Stalled,
}

impl Args {
    fn is_wanted(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

/// How many events a stream has.
const STREAM: u64 = 10;

#[derive(Event, Serialize, Deserialize)]
struct OrderPlaced {
    order: String,
    customer: String,
    total_cents: u64,
    note: String,
}

impl OrderPlaced {
    /// Of about 300 bytes, as it is stored.
    fn new(number: u64) -> Self {
        Self {
            order: format!("order-{number}"),
            customer: format!("customer-{}", number % 1_000),
            total_cents: number,
            note: "to be left with the neighbours, who know of it; ".repeat(4),
        }
    }
}

/// Whether everything was as it is to be; the table is printed by whoever calls.
pub(crate) async fn run(args: &Args) -> Result<Option<Table>> {
    let Ok(url) = env::var("DATABASE_URL") else {
        let status = with_a_server(args)?;
        ensure!(status.success(), "the measurement failed: {status}");
        return Ok(None);
    };
    if let (Some(load), Some(schema)) = (args.memory_of, &args.schema) {
        memory::of(load, &open(&url, schema)?, args.events).await?;
        return Ok(None);
    }
    let schema = format!("bench_{}", std::process::id());
    let store = open(&url, &schema)?;
    store.migrate().await?;
    if args.is_wanted(Part::CatchUp) {
        load(&store, args.events).await?;
        by_hand::analyze(&url, &schema).await?;
    }
    let table = measure(args, &url, &schema, &store).await;
    by_hand::drop_schema(&url, &schema).await?;
    Ok(Some(table?))
}

/// The same again, by `cargo xtask pg`, which has a server.
fn with_a_server(args: &Args) -> Result<ExitStatus> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let only = match args.only {
        None => &[][..],
        Some(Part::CatchUp) => &["--only", "catch-up"],
        Some(Part::Hundred) => &["--only", "hundred"],
    };
    Command::new(cargo)
        .args(["xtask", "pg", "--"])
        .arg(env::current_exe().context("failed to find our own program")?)
        .arg("subscription")
        .args(["--events", &args.events.to_string()])
        .args(args.rounds.to_args())
        .args(only)
        .status()
        .context("failed to start a server")
}

fn open(url: &str, schema: &str) -> Result<PgStore> {
    let options = PgOptions::from_url(url)?.schema(SchemaName::new(schema)?);
    Ok(PgStore::new(options.max_connections(4)))
}

async fn load(store: &PgStore, events: u64) -> Result<()> {
    println!("loading {events} events");
    let appends = (0..events.div_ceil(STREAM)).map(|stream| {
        let numbers = stream * STREAM..((stream + 1) * STREAM).min(events);
        let encoded: Result<Vec<NewEvent>, _> = numbers
            .map(|number| NewEvent::encode(&OrderPlaced::new(number)))
            .collect();
        let id = StreamId::new("order", stream.to_string()).map_err(BoxError::from)?;
        let events = encoded.map_err(BoxError::from)?;
        Ok(StreamAppend::new(id, ExpectedVersion::NoStream, events))
    });
    store.import(stream::iter(appends).boxed()).await?;
    Ok(())
}

async fn measure(args: &Args, url: &str, schema: &str, store: &PgStore) -> Result<Table> {
    let mut table = Table::default();
    if args.is_wanted(Part::CatchUp) {
        catching_up(args, url, schema, store, &mut table).await?;
    }
    if args.is_wanted(Part::Hundred) {
        hundred::measure(args, schema, store, &mut table).await?;
    }
    Ok(table)
}

async fn catching_up(
    args: &Args,
    url: &str,
    schema: &str,
    store: &PgStore,
    table: &mut Table,
) -> Result<()> {
    let per_second = |start: Instant| args.events as f64 / start.elapsed().as_secs_f64();
    let mut round = 0_u64;
    let row = args.rounds.compare(
        "catch up, against a scan by hand, events/s",
        Bound::AtLeast(0.6),
        async || {
            round += 1;
            let start = Instant::now();
            catch_up(store, &format!("round-{round}"), args.events).await?;
            Ok(per_second(start))
        },
        async || {
            let start = Instant::now();
            by_hand::scan(url, schema, args.events).await?;
            Ok(per_second(start))
        },
    );
    table.push(row.await?);
    let row = args.rounds.fewer(3).compare(
        "memory of catching up beyond that of the store, MiB",
        Bound::AtMost(64.0),
        async || memory::in_a_process(Load::CatchUp, schema, args.events),
        async || Ok(1.0),
    );
    table.push(row.await?);
    Ok(())
}

/// Adds up what it is given.
#[derive(Clone, Default)]
struct Sum {
    events: Arc<AtomicU64>,
    cents: Arc<AtomicU64>,
}

impl EventHandler<OrderPlaced> for Sum {
    async fn handle(&self, event: &Envelope<OrderPlaced>) -> Result<(), BoxError> {
        self.events.fetch_add(1, Ordering::Relaxed);
        self.cents
            .fetch_add(event.event().total_cents, Ordering::Relaxed);
        Ok(())
    }
}

/// A durable subscription from the beginning of the log to its end.
async fn catch_up(store: &PgStore, name: &str, events: u64) -> Result<()> {
    let sum = Sum::default();
    let manager = SubscriptionManager::new(Arc::new(store.clone()), Arc::new(store.clone()));
    let name = SubscriptionName::new(name)?;
    manager.subscribe(Subscription::handler(name, Replay::Safe, sum.clone()))?;
    manager.start_all().await?;
    manager.until_idle().await?;
    manager.stop_all().await;
    is_right(
        events,
        sum.events.load(Ordering::Relaxed),
        sum.cents.load(Ordering::Relaxed),
    )
}

fn is_right(events: u64, count: u64, cents: u64) -> Result<()> {
    let due = (events, events * events.saturating_sub(1) / 2);
    ensure!(
        (count, cents) == due,
        "{count} events and {cents} cents are not {} and {}",
        due.0,
        due.1
    );
    Ok(())
}
