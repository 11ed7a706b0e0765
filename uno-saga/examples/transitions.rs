//! Transitions of sagas a second with 32 commands side by side, and beside them the bare transaction: one read, one write, one
//! append, by 32 callers. Then how late timeouts fire when 500 a second are due.
//!
//! `cargo xtask pg -- cargo run --release -p uno-saga --example transitions [rounds [instances]]`, or with `DATABASE_URL` set.

#![expect(clippy::print_stdout, reason = "it is what the program is for")]

use std::{env, error::Error, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use uno_core::{
    Backend, Clock as _, Command, Commit, Decoder, Envelope, Event, EventId, EventSet,
    EventStore as _, EventStoreExt as _, ExpectedVersion, NewEvent, Payload, ProcessStatus,
    ProcessStore as _, ProcessWrite, StreamAppend, StreamId, SubscriptionName, SystemClock,
    Transactional as _,
};
use uno_cqrs::{CommandBus, CommandHandler};
use uno_domain::Aggregate;
use uno_events::{Replay, Subscription, SubscriptionManager};
use uno_saga::{HistoryEntry, Input, NoTimeout, Outputs, Route, Saga, SagaRunner};
use uno_store_postgres::{PgOptions, PgStore, PgTx, SchemaName};
use uno_uow::{CommandError, Runner, UnitOfWork};

type AnyError = Box<dyn Error + Send + Sync>;

/// How many callers, and how many commands side by side.
const WORKERS: usize = 32;
/// How many commands an instance sends, one after the other.
const STEPS: u64 = 5;
/// How long the bare transactions of a round last.
const BARE_FOR: Duration = Duration::from_secs(4);
/// How many timeouts are due a second, and for how long.
const A_SECOND: i64 = 500;
const SECONDS: i64 = 10;

#[derive(Event, Serialize, Deserialize, Clone, Debug)]
struct Begun {
    order: String,
}

#[derive(Event, Serialize, Deserialize, Clone, Debug)]
struct StepTaken {
    order: String,
    number: u64,
}

#[derive(EventSet, Clone, Debug)]
enum Progress {
    Begun(Begun),
    Taken(StepTaken),
}

#[derive(Command, Serialize, Deserialize, Clone, Debug)]
struct TakeStep {
    order: String,
    number: u64,
}

/// Sends a command, waits for its event, and sends the next.
#[derive(Serialize, Deserialize, Default, Clone, Debug)]
struct Walk {
    taken: u64,
}

impl Saga for Walk {
    const NAME: &'static str = "walk";
    type Event = Progress;
    type Command = TakeStep;
    type Timeout = NoTimeout;

    fn route(event: &Envelope<Progress>) -> Route {
        match event.event() {
            Progress::Begun(e) => Route::StartStrict(e.order.clone()),
            Progress::Taken(e) => Route::ContinueStrict(e.order.clone()),
        }
    }

    fn react(&mut self, input: Input<'_, Progress>) -> Outputs<TakeStep> {
        let Input::Event(event) = input else {
            return Outputs::none();
        };
        let (order, number) = match event.event() {
            Progress::Begun(e) => (e.order.clone(), 1),
            Progress::Taken(e) if e.number == STEPS => return Outputs::complete(),
            Progress::Taken(e) => (e.order.clone(), e.number + 1),
        };
        self.taken = number;
        Outputs::send(TakeStep { order, number })
    }
}

/// What the steps are taken in.
#[derive(Debug, Default)]
struct Path;

impl Aggregate for Path {
    const CATEGORY: &'static str = "path";
    type Id = String;
    type Event = StepTaken;

    fn apply(&mut self, _: &StepTaken) {}
}

struct Steps;

impl<B: Backend> CommandHandler<TakeStep, B> for Steps {
    async fn handle(
        &self,
        command: &TakeStep,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        let mut path = uow.load_or_new::<Path>(&command.order).await?;
        let TakeStep { order, number } = command.clone();
        path.record(StepTaken { order, number });
        Ok(())
    }
}

/// Waits until a time.
#[derive(Event, Serialize, Deserialize, Clone, Debug)]
struct Awaited {
    key: String,
    until: DateTime<Utc>,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug)]
struct Due;

#[derive(Serialize, Deserialize, Default, Clone, Debug)]
struct Wait {}

impl Saga for Wait {
    const NAME: &'static str = "wait";
    type Event = Awaited;
    type Command = TakeStep;
    type Timeout = Due;

    fn route(event: &Envelope<Awaited>) -> Route {
        Route::StartStrict(event.event().key.clone())
    }

    fn react(&mut self, input: Input<'_, Awaited, Due>) -> Outputs<TakeStep, Due> {
        match input {
            Input::Event(event) => Outputs::at(event.event().until, Due),
            Input::Timeout(_) => Outputs::complete(),
            _ => Outputs::none(),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let url = env::var("DATABASE_URL")
        .map_err(|_| "DATABASE_URL must name a Postgres database that may be used")?;
    let number = |place, default| env::args().nth(place).map_or(Ok(default), |it| it.parse());
    let (rounds, instances): (usize, usize) = (number(1, 5)?, number(2, 1000)?);

    println!(
        "{:>6} {:>12} {:>14} {:>8} {:>10} {:>8}",
        "round", "bare /s", "transitions /s", "times", "steps /s", "times"
    );
    let mut columns: [Vec<f64>; 5] = Default::default();
    for round in 1..=rounds {
        // In turn, so that whatever else the machine does meets both.
        let bare = bare_rate(&store(&url).await?).await?;
        let seconds = walk(store(&url).await?, instances).await?;
        // Of each step there are two inputs, the event and the command's outcome; and one event begins it all.
        let transitions = (instances as f64) * (1 + 2 * STEPS) as f64 / seconds;
        let steps = (instances as f64) * STEPS as f64 / seconds;
        let row = [bare, transitions, transitions / bare, steps, steps / bare];
        println!("{}", shown(&round.to_string(), row));
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    println!("{}", shown("median", columns.map(median)));

    let mut late = lateness(store(&url).await?).await?;
    late.sort_by(f64::total_cmp);
    let at = |part: usize| {
        late.get(late.len() * part / 1000)
            .copied()
            .unwrap_or(f64::NAN)
    };
    println!(
        "{} timeouts, {A_SECOND} a second: {:.3} s late at half, {:.3} s at 99 %, {:.3} s at most",
        late.len(),
        at(500),
        at(990),
        late.last().copied().unwrap_or(f64::NAN)
    );
    Ok(())
}

fn shown(name: &str, [bare, transitions, times, steps, of_them]: [f64; 5]) -> String {
    format!("{name:>6} {bare:>12.0} {transitions:>14.0} {times:>8.2} {steps:>10.0} {of_them:>8.2}")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A store of its own.
async fn store(url: &str) -> Result<Arc<PgStore>, AnyError> {
    let schema = format!("transitions_{}", EventId::new().as_uuid().simple());
    let store = PgStore::new(PgOptions::from_url(url)?.schema(SchemaName::new(schema)?));
    store.migrate().await?;
    Ok(Arc::new(store))
}

/// One read, one write and one append, a second.
async fn bare_rate(store: &Arc<PgStore>) -> Result<f64, AnyError> {
    let (begun, mut tasks) = (Instant::now(), JoinSet::new());
    for caller in 0..WORKERS {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let (mut done, mut order) = (0_u64, 0_u64);
            while begun.elapsed() < BARE_FOR {
                // As many transactions on each instance as a saga has steps.
                let key = format!("{caller}-{order}");
                for number in 1..=STEPS {
                    bare(&store, &key, number).await?;
                    done += 1;
                }
                order += 1;
            }
            Ok::<u64, AnyError>(done)
        });
    }
    let mut done = 0;
    while let Some(task) = tasks.join_next().await {
        done += task??;
    }
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}

async fn bare(store: &PgStore, key: &str, number: u64) -> Result<(), AnyError> {
    let found = store.load_processes("bare", &[key.to_owned()]).await?;
    let revision = found.first().map_or(0, |record| record.revision());
    let mut commit = Commit::<PgTx>::new();
    let body = Payload::encode(&Walk { taken: number })?;
    commit.processes = vec![ProcessWrite::new(
        "bare",
        key,
        revision,
        ProcessStatus::Running,
        body,
    )];
    let event = NewEvent::encode(&StepTaken {
        order: key.to_owned(),
        number,
    })?;
    let stream = StreamId::new("bare", key)?;
    commit.appends = vec![StreamAppend::new(stream, ExpectedVersion::Any, vec![event])];
    store.commit(commit).await?;
    Ok(())
}

/// How many seconds it takes until so many instances have taken all their steps.
async fn walk(store: Arc<PgStore>, instances: usize) -> Result<f64, AnyError> {
    let order = |number: usize| format!("order-{number}");
    begin(
        &store,
        (0..instances).map(|number| {
            (
                order(number),
                Begun {
                    order: order(number),
                },
            )
        }),
    )
    .await?;
    let saga = SagaRunner::<Walk, _>::new(Arc::clone(&store), Decoder::new())?;
    let bus = CommandBus::builder(Runner::new(Arc::clone(&store)))
        .handler::<TakeStep>(Steps)
        .build()?;
    let worker = saga.worker(bus).with_concurrency(WORKERS);
    let begun = Instant::now();
    let stop = CancellationToken::new();
    let manager = start(&saga, &store, &stop).await?;
    let working = tokio::spawn({
        let stop = stop.clone();
        async move { worker.run(stop).await }
    });
    let wanted = instances as u64 * STEPS;
    while saga.status().outcomes < wanted {
        sleep(Duration::from_millis(2)).await;
    }
    let open = [ProcessStatus::Running];
    while !saga.list(&open, None, 1).await?.is_empty() {
        sleep(Duration::from_millis(2)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    stop.cancel();
    manager.stop_all().await;
    working.await?;
    Ok(seconds)
}

/// How many seconds late each timeout fired, by the store's clock.
async fn lateness(store: Arc<PgStore>) -> Result<Vec<f64>, AnyError> {
    // Late enough that all are set before the first is due.
    let first = SystemClock::new().now() + chrono::Duration::seconds(20);
    let count = A_SECOND * SECONDS;
    let events = (0..count).map(|number| {
        let until = first + chrono::Duration::microseconds(number * 1_000_000 / A_SECOND);
        let key = number.to_string();
        (format!("wait-{number}"), Awaited { key, until })
    });
    begin(&store, events).await?;
    let saga = SagaRunner::<Wait, _>::new(Arc::clone(&store), Decoder::new())?;
    let stop = CancellationToken::new();
    let manager = start(&saga, &store, &stop).await?;
    while saga.status().timers < count.cast_unsigned() {
        sleep(Duration::from_millis(100)).await;
    }
    stop.cancel();
    manager.stop_all().await;
    let mut late = Vec::new();
    for number in 0..count {
        for item in saga.history(&number.to_string(), 0, 100).await? {
            if let HistoryEntry::Timeout { due_at, .. } = item.entry() {
                let micros = (item.recorded_at() - *due_at).num_microseconds();
                late.push(micros.unwrap_or(i64::MAX) as f64 / 1e6);
            }
        }
    }
    Ok(late)
}

/// Appends an event to each stream.
async fn begin<E: EventSet + Sync>(
    store: &Arc<PgStore>,
    events: impl Iterator<Item = (String, E)>,
) -> Result<(), AnyError> {
    for (stream, event) in events {
        let stream: StreamId = stream.parse()?;
        store
            .append_events(stream, ExpectedVersion::NoStream, &[event])
            .await?;
    }
    Ok(())
}

/// Starts the subscription, and the handling of outcomes and timers.
async fn start<S: Saga>(
    saga: &SagaRunner<S, PgStore>,
    store: &Arc<PgStore>,
    stop: &CancellationToken,
) -> Result<SubscriptionManager, AnyError> {
    let manager = SubscriptionManager::new(Arc::clone(store) as _, Arc::clone(store) as _);
    let name = SubscriptionName::new(format!("saga.{}", S::NAME))?;
    manager.subscribe(Subscription::new(
        name,
        Replay::Safe,
        Arc::new(saga.clone()),
    ))?;
    manager.start_all().await?;
    let (saga, stop) = (saga.clone(), stop.clone());
    tokio::spawn(async move { saga.run(Duration::from_millis(500), stop).await });
    Ok(manager)
}
