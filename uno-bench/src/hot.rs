//! `uno-bench hot`: many callers, one aggregate, PostgreSQL.
//!
//! The base is what event-sourcing libraries for Rust do with a command, written by hand with as little as it takes: load the stream, fold
//! it, insert at the next version, and on a unique violation begin again. No library's own code can be slower than necessary here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Row as _, postgres::PgPoolOptions};
use tokio::task::JoinSet;
use uno_core::{Backend, Command, Event, EventSet, EventStore as _};
use uno_cqrs::{CommandBus, CommandHandler};
use uno_domain::Aggregate;
use uno_store_postgres::PgStore;
use uno_uow::{CommandError, RetryBudget, RetryPolicy, Runner, UnitOfWork};
use uuid::Uuid;

use crate::rounds::{Bound, Rounds, Table};

/// Options of `uno-bench hot`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    rounds: Rounds,
    /// The PostgreSQL to use; the bench makes a schema `uno` and a table `hot_events` in it.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database: String,
    /// How many callers there are, each with one command at a time.
    #[arg(long, default_value_t = 8)]
    callers: u64,
    /// How many commands are carried out in each round, all on one new aggregate.
    #[arg(long, default_value_t = 1000)]
    commands: u64,
}

/// About 300 bytes as JSON.
#[derive(Event, Serialize, Deserialize, Clone)]
struct SeatTaken {
    seat: u64,
    note: String,
}

#[derive(EventSet)]
enum ShowEvent {
    Taken(SeatTaken),
}

#[derive(Default)]
struct Show {
    taken: u64,
}

impl Aggregate for Show {
    const CATEGORY: &'static str = "show";
    type Id = Uuid;
    type Event = ShowEvent;

    fn apply(&mut self, event: &ShowEvent) {
        let ShowEvent::Taken(taken) = event;
        self.taken = self.taken.max(taken.seat);
    }
}

impl Show {
    fn take(&self) -> SeatTaken {
        SeatTaken {
            seat: self.taken + 1,
            note: "x".repeat(260),
        }
    }
}

#[derive(Command, Serialize, Deserialize)]
struct TakeSeat {
    show: Uuid,
}

#[derive(Command, Serialize, Deserialize)]
struct GrabSeat {
    show: Uuid,
}

struct Booking;

impl<B: Backend> CommandHandler<TakeSeat, B> for Booking {
    async fn handle(
        &self,
        command: &TakeSeat,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        take(uow, command.show).await
    }
}

impl<B: Backend> CommandHandler<GrabSeat, B> for Booking {
    async fn handle(
        &self,
        command: &GrabSeat,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        take(uow, command.show).await
    }
}

async fn take<B: Backend>(uow: &mut UnitOfWork<B>, show: Uuid) -> Result<(), CommandError> {
    let mut show = uow.load_or_new::<Show>(&show).await?;
    show.record_with(Show::take);
    Ok(())
}

pub(crate) async fn run(args: Args) -> Result<Table> {
    let store = Arc::new(PgStore::connect(&args.database)?);
    store.migrate().await?;
    // Whoever has no lanes is to go on until it succeeds, as the base does.
    let retry = RetryPolicy::default().with_attempts(10_000);
    let runner = Runner::new(Arc::clone(&store))
        .with_retry(retry)
        .with_retry_budget(RetryBudget::unlimited());
    let bus = CommandBus::builder(runner)
        .handler_with::<TakeSeat, _>(Booking, |options| {
            options.one_at_a_time::<Show>(|command| command.show)
        })
        .handler::<GrabSeat>(Booking)
        .build()?;
    let pool = base_pool(&args).await?;

    let mut table = Table::default();
    let ours = async || {
        let bus = bus.clone();
        round(&args, move |show| {
            let bus = bus.clone();
            async move { Ok(bus.execute(TakeSeat { show }).await.map(drop)?) }
        })
        .await
    };
    let without = async || {
        let bus = bus.clone();
        round(&args, move |show| {
            let bus = bus.clone();
            async move { Ok(bus.execute(GrabSeat { show }).await.map(drop)?) }
        })
        .await
    };
    let base = async || {
        let pool = pool.clone();
        round(&args, move |show| {
            let pool = pool.clone();
            async move { take_by_hand(&pool, show).await }
        })
        .await
    };
    let callers = args.callers;
    let what = format!("{callers} callers, one aggregate, in its lane, commands/s");
    let row = args.rounds.compare(what, Bound::AtLeast(4.0), ours, base);
    table.push(row.await?);
    let what = format!("{callers} callers, one aggregate, no lane, commands/s");
    let row = args.rounds.compare(what, Bound::None, without, base);
    table.push(row.await?);
    Ok(table)
}

/// Has all callers work on one new aggregate; how many commands a second succeeded.
async fn round<F: Future<Output = Result<()>> + Send + 'static>(
    args: &Args,
    command: impl Fn(Uuid) -> F + Clone + Send + 'static,
) -> Result<f64> {
    let show = *uno_core::CommandId::new().as_uuid();
    let left = Arc::new(AtomicU64::new(args.commands));
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..args.callers {
        let (command, left) = (command.clone(), Arc::clone(&left));
        callers.spawn(async move {
            let take = |left: u64| left.checked_sub(1);
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                .is_ok()
            {
                command(show).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(args.commands as f64 / begun.elapsed().as_secs_f64())
}

async fn base_pool(args: &Args) -> Result<PgPool> {
    let connections = u32::try_from(args.callers)?;
    let pool = PgPoolOptions::new()
        .min_connections(connections)
        .max_connections(connections)
        .connect(&args.database)
        .await
        .context("can't connect")?;
    let durable: String = sqlx::query("select current_setting('synchronous_commit')")
        .fetch_one(&pool)
        .await?
        .get(0);
    ensure!(durable == "on", "the base would not be durable");
    sqlx::query(
        "create table if not exists hot_events (stream uuid, version bigint, name text not null, payload text not null, \
         position bigserial, recorded_at timestamptz not null default now(), primary key (stream, version))",
    )
    .execute(&pool)
    .await?;
    Ok(pool)
}

/// Load, decide, insert, and all over again when somebody was faster.
async fn take_by_hand(pool: &PgPool, stream: Uuid) -> Result<()> {
    loop {
        let rows = sqlx::query(
            "select version, payload from hot_events where stream = $1::text::uuid order by version",
        )
        .bind(stream.to_string())
        .fetch_all(pool)
        .await?;
        let (mut show, mut version) = (Show::default(), 0_i64);
        for row in &rows {
            version = row.get(0);
            show.apply(&ShowEvent::Taken(serde_json::from_str(row.get(1))?));
        }
        let inserted = sqlx::query(
            "insert into hot_events (stream, version, name, payload) values ($1::text::uuid, $2, 'seat_taken', $3)",
        )
        .bind(stream.to_string())
        .bind(version + 1)
        .bind(serde_json::to_string(&show.take())?)
        .execute(pool)
        .await;
        match inserted {
            Ok(_) => return Ok(()),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {}
            Err(error) => return Err(error.into()),
        }
    }
}
