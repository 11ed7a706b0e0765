//! `uno-bench projection`: read models on Postgres. Catching up with one upsert for each event, beside evento's subscription that does the
//! same; how far one is behind while others append; and what it costs to find documents by their fields, and to let them be found.
//!
//! On the Postgres that `DATABASE_URL` names, in a schema of its own, or else a throw-away one. The peer is a program by itself
//! (`peers/evento`), so that nobody else builds it; it is built here when it is needed.

mod catch_up;
mod found;
mod lag;
mod peer;
mod sales;

use std::{
    env,
    process::{Command, ExitStatus},
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;
use futures_util::{StreamExt as _, stream};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uno_core::{
    BoxError, Event, EventStore as _, ExpectedVersion, NewEvent, StreamAppend, StreamId,
};
use uno_store_postgres::{PgOptions, PgStore, SchemaName};

use crate::rounds::{Rounds, Table};

/// Options of `uno-bench projection`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    rounds: Rounds,
    /// How many events there are to catch up with, and how many documents to be found.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// How many of them the peer is given in each round.
    #[arg(long, default_value_t = 50_000)]
    peer_events: u64,
    /// For how many seconds events are appended while the lag is looked at.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many events a projection is given at a time; as the framework does unless it is said.
    #[arg(long)]
    batch: Option<usize>,
    /// Only this part; all of them unless it is said.
    #[arg(long)]
    only: Option<Part>,
}

/// A part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Catching up with the log, beside evento.
    CatchUp,
    /// How far a projection is behind under load.
    Lag,
    /// Finding documents by their fields.
    Found,
}

impl Args {
    fn is_wanted(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

/// How many events a stream has.
const STREAM: u64 = 10;
/// How many products there are: each has a row in the read model. No batch has a product twice, so each event is an upsert.
const PRODUCTS: u64 = 100_000;

/// Of about 300 bytes, as it is stored.
#[derive(Event, serde::Serialize, serde::Deserialize)]
struct OrderPlaced {
    order: String,
    product: String,
    cents: u64,
    note: String,
}

impl OrderPlaced {
    fn new(number: u64) -> Self {
        Self {
            order: format!("order-{number}"),
            product: format!("product-{}", number % PRODUCTS),
            cents: number,
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
    let server = Server {
        schema: format!("bench_{}", std::process::id()),
        url,
    };
    let store = server.open(4)?;
    store.migrate().await?;
    let table = measure(args, &server, &store).await;
    server
        .run(format!("DROP SCHEMA {} CASCADE", server.schema))
        .await?;
    Ok(Some(table?))
}

async fn measure(args: &Args, server: &Server, store: &PgStore) -> Result<Table> {
    let mut table = Table::default();
    sales::create_table(server).await?;
    if args.is_wanted(Part::CatchUp) || args.is_wanted(Part::Found) {
        load(store, args.events).await?;
        let Server { schema, .. } = server;
        server
            .run(format!("VACUUM ANALYZE {schema}.events, {schema}.streams"))
            .await?;
    }
    if args.is_wanted(Part::CatchUp) {
        catch_up::measure(args, server, store, &mut table).await?;
    }
    if args.is_wanted(Part::Found) {
        found::measure(args, server, store, &mut table).await?;
    }
    if args.is_wanted(Part::Lag) {
        lag::measure(args, server, &mut table).await?;
    }
    Ok(table)
}

/// The same again, by `cargo xtask pg`, which has a server.
fn with_a_server(args: &Args) -> Result<ExitStatus> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command
        .args(["xtask", "pg", "--"])
        .arg(env::current_exe().context("failed to find our own program")?)
        .arg("projection")
        .args(["--events", &args.events.to_string()])
        .args(["--peer-events", &args.peer_events.to_string()])
        .args(["--seconds", &args.seconds.to_string()])
        .args(args.rounds.to_args());
    if let Some(batch) = args.batch {
        command.args(["--batch", &batch.to_string()]);
    }
    if let Some(only) = args.only.and_then(|only| only.to_possible_value()) {
        command.args(["--only", only.get_name()]);
    }
    command.status().context("failed to start a server")
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

/// Where the store is, for a look at it from outside.
struct Server {
    url: String,
    schema: String,
}

impl Server {
    fn open(&self, connections: u32) -> Result<PgStore> {
        let options = PgOptions::from_url(&self.url)?.schema(SchemaName::new(&*self.schema)?);
        Ok(PgStore::new(options.max_connections(connections)))
    }

    async fn run(&self, statements: String) -> Result<()> {
        let mut connection = PgConnection::connect(&self.url).await?;
        sqlx::raw_sql(AssertSqlSafe(statements))
            .execute(&mut connection)
            .await
            .context("the server refused")?;
        Ok(connection.close().await?)
    }

    /// The two numbers that a query gives.
    async fn two(&self, query: String) -> Result<(i64, i64)> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let row = sqlx::query_as(AssertSqlSafe(query))
            .fetch_one(&mut connection)
            .await
            .context("the server refused")?;
        connection.close().await?;
        Ok(row)
    }

    /// Removes what a projection has kept, so that another one begins with nothing.
    async fn forget(&self) -> Result<()> {
        let schema = &self.schema;
        self.run(format!(
            "TRUNCATE {schema}.documents, {schema}.document_fields; TRUNCATE {schema}.sales; CHECKPOINT"
        ))
        .await
    }
}
