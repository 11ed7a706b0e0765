//! `uno-bench upcast`: reading old events against reading those of today, and loading an aggregate with and without a snapshot.

use std::{sync::Arc, time::Instant};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uno_core::{
    Backend, Clock as _, Decoder, Event, EventName, EventSet, EventStore as _, EventStoreExt as _,
    ExpectedVersion, Metadata, NewEvent, Payload, Position, RecordedEvent, SchemaVersion,
    StreamAppend, StreamId, SystemClock, Version,
};
use uno_domain::{Aggregate, Snapshots};
use uno_store_memory::MemoryStore;
use uno_store_sqlite::SqliteStore;
use uno_uow::Runner;

use crate::rounds::{Bound, Rounds, Table};

/// Options of `uno-bench upcast`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    rounds: Rounds,
    /// How many events are read in each round.
    #[arg(long, default_value_t = 10_000)]
    events: u32,
}

#[derive(Serialize, Deserialize)]
struct OrderPlacedV1 {
    order: String,
    customer: String,
    total_amount: f64,
}

#[derive(Serialize, Deserialize)]
struct OrderPlacedV2 {
    order: String,
    customer: String,
    total_cents: i64,
}

#[derive(Serialize, Deserialize)]
struct OrderPlacedV3 {
    order: String,
    customer: String,
    total_cents: i64,
    item_count: u32,
}

/// With its chain between types.
#[derive(Event, Serialize, Deserialize)]
#[event(name = "order_placed", version = 4, upcast(1: OrderPlacedV1, 2: OrderPlacedV2, 3: OrderPlacedV3))]
struct Typed {
    order_id: String,
    customer: String,
    total_cents: i64,
    item_count: u32,
}

/// With its chain on the tree.
#[derive(Event, Serialize, Deserialize)]
#[event(name = "order_placed", version = 4, upcast(1 = cents, 2 = count, 3 = rename))]
struct Tree {
    order_id: String,
    customer: String,
    total_cents: i64,
    item_count: u32,
}

fn to_cents(dollars: f64) -> i64 {
    (dollars * 100.0).round() as i64
}

impl From<OrderPlacedV1> for OrderPlacedV2 {
    fn from(old: OrderPlacedV1) -> Self {
        Self {
            order: old.order,
            customer: old.customer,
            total_cents: to_cents(old.total_amount),
        }
    }
}

impl From<OrderPlacedV2> for OrderPlacedV3 {
    fn from(old: OrderPlacedV2) -> Self {
        Self {
            order: old.order,
            customer: old.customer,
            total_cents: old.total_cents,
            item_count: 0,
        }
    }
}

impl From<OrderPlacedV3> for Typed {
    fn from(old: OrderPlacedV3) -> Self {
        Self {
            order_id: old.order,
            customer: old.customer,
            total_cents: old.total_cents,
            item_count: old.item_count,
        }
    }
}

fn cents(mut old: Value) -> Result<Value, &'static str> {
    let dollars = old["total_amount"].as_f64().ok_or("no total_amount")?;
    let fields = old.as_object_mut().ok_or("no object")?;
    fields.remove("total_amount");
    fields.insert("total_cents".into(), to_cents(dollars).into());
    Ok(old)
}

fn count(mut old: Value) -> Value {
    old["item_count"] = 0.into();
    old
}

fn rename(mut old: Value) -> Result<Value, &'static str> {
    let fields = old.as_object_mut().ok_or("no object")?;
    let order = fields.remove("order").ok_or("no order")?;
    fields.insert("order_id".into(), order);
    Ok(old)
}

pub(crate) async fn run(args: Args) -> Result<Table> {
    let mut table = Table::default();
    // Typed and on the tree, the text alone; then the whole way from a store.
    table.push(decode::<Typed>(args, "between types", Bound::AtLeast(0.5)).await?);
    table.push(decode::<Tree>(args, "on the tree", Bound::None).await?);
    let folder = tempfile::tempdir()?;
    let sqlite = SqliteStore::open(folder.path().join("bench.db")).await?;
    sqlite.migrate().await?;
    let (sqlite, memory) = (Arc::new(sqlite), Arc::new(MemoryStore::new()));
    fill(&*memory, args.events).await?;
    fill(&*sqlite, args.events).await?;
    table.push(read::<Typed, _>(args, &*memory, "memory, between types").await?);
    table.push(read::<Tree, _>(args, &*memory, "memory, on the tree").await?);
    table.push(read::<Typed, _>(args, &*sqlite, "SQLite, between types").await?);
    table.push(read::<Tree, _>(args, &*sqlite, "SQLite, on the tree").await?);
    table.push(load(args, &memory, "memory").await?);
    table.push(load(args, &sqlite, "SQLite").await?);
    Ok(table)
}

fn old() -> Result<NewEvent> {
    new(
        1,
        &json!({ "order": "order-1742", "customer": "customer-99", "total_amount": 19.99 }),
    )
}

fn current() -> Result<NewEvent> {
    let payload = json!({
        "order_id": "order-1742", "customer": "customer-99", "total_cents": 1999, "item_count": 0,
    });
    new(4, &payload)
}

fn new(version: u32, payload: &Value) -> Result<NewEvent> {
    let name = EventName::new("order_placed")?;
    let payload = Payload::from_json(payload.to_string()).map_err(anyhow::Error::from)?;
    Ok(NewEvent::from_payload(
        name,
        SchemaVersion::new(version),
        payload,
    ))
}

async fn decode<E: Event>(args: Args, how: &str, bound: Bound) -> Result<crate::rounds::Row> {
    let record = |event: &NewEvent| -> Result<_> {
        let (version, position) = (
            Version::new(1).context("one")?,
            Position::new(1).context("one")?,
        );
        let now = SystemClock::new().now();
        let stream: StreamId = "order-1742".parse()?;
        Ok(Arc::new(RecordedEvent::record(
            event, stream, version, position, now,
        )))
    };
    let (old, current) = (record(&old()?)?, record(&current()?)?);
    let decoder = Decoder::new();
    let decode_all = |record: &Arc<RecordedEvent>| -> Result<f64> {
        let start = Instant::now();
        for _ in 0..args.events {
            std::hint::black_box(decoder.decode::<E>(record)?);
        }
        Ok(f64::from(args.events) / start.elapsed().as_secs_f64())
    };
    let what = format!("decode through 3 steps {how}, events/s");
    args.rounds
        .compare(
            what,
            bound,
            async || decode_all(&old),
            async || decode_all(&current),
        )
        .await
}

/// Two streams of as many events: old ones, and those of today.
async fn fill<B: Backend>(store: &B, events: u32) -> Result<()> {
    for (stream, old_ones) in [("order-old", true), ("order-new", false)] {
        let mut left = events;
        while left > 0 {
            let batch = left.min(500);
            left -= batch;
            let event = || if old_ones { old() } else { current() };
            let batch = (0..batch).map(|_| event()).collect::<Result<Vec<_>>>()?;
            let append = StreamAppend::new(stream.parse()?, ExpectedVersion::Any, batch);
            store.append(vec![append]).await?;
        }
    }
    Ok(())
}

async fn read<E: EventSet, B: Backend>(
    args: Args,
    store: &B,
    what: &str,
) -> Result<crate::rounds::Row> {
    let decoder = Decoder::new();
    let (old, new): (StreamId, StreamId) = ("order-old".parse()?, "order-new".parse()?);
    let read = async |stream: &StreamId| -> Result<f64> {
        let start = Instant::now();
        let events = store.read_events::<E>(stream, &decoder).await?;
        ensure!(events.len() == args.events as usize, "events are missing");
        Ok(f64::from(args.events) / start.elapsed().as_secs_f64())
    };
    let what = format!("read through 3 steps, {what}, events/s");
    args.rounds
        .compare(
            what,
            Bound::AtLeast(0.5),
            async || read(&old).await,
            async || read(&new).await,
        )
        .await
}

/// Adds up, and remembers 24 sums: less than 1 KiB.
#[derive(Serialize, Deserialize, Default)]
struct Account<const SNAPSHOTS: bool> {
    balance: i64,
    by_hour: Vec<i64>,
}

#[derive(Event, Serialize, Deserialize)]
struct Moved {
    cents: i64,
    hour: u8,
}

impl<const SNAPSHOTS: bool> Aggregate for Account<SNAPSHOTS> {
    const CATEGORY: &'static str = "account";
    type Id = u32;
    type Event = Moved;

    fn apply(&mut self, event: &Moved) {
        self.balance += event.cents;
        self.by_hour.resize(24, 0);
        if let Some(sum) = self.by_hour.get_mut(usize::from(event.hour)) {
            *sum += event.cents;
        }
    }

    fn snapshots() -> Option<Snapshots<Self>> {
        SNAPSHOTS.then(|| Snapshots::every(1000).shape("account/1"))
    }
}

async fn load<B: Backend>(args: Args, store: &Arc<B>, what: &str) -> Result<crate::rounds::Row> {
    const EVENTS: u64 = 10_000;
    let runner = Runner::new(Arc::clone(store));
    for batch in 0..EVENTS / 500 {
        let mut uow = runner.begin(Metadata::new());
        let mut account = uow.load_or_new::<Account<true>>(&7).await?;
        for n in 0..500 {
            let hour = u8::try_from((batch + n) % 24)?;
            account.record(Moved { cents: 17, hour });
        }
        drop(account);
        runner.commit(uow).await?;
    }
    let stream = Account::<true>::stream_id(&7)?;
    let snapshot = store.load_snapshot(&stream).await?.context("no snapshot")?;
    ensure!(
        snapshot.version().get() == EVENTS && snapshot.body().len() <= 1024,
        "the snapshot is another one: {} bytes at {}",
        snapshot.body().len(),
        snapshot.version()
    );
    let with = async || -> Result<f64> {
        let start = Instant::now();
        for _ in 0..20 {
            let mut uow = runner.begin(Metadata::new());
            let account = uow.load::<Account<true>>(&7).await?;
            ensure!(account.state().balance == 170_000, "another balance");
        }
        Ok(20.0 / start.elapsed().as_secs_f64())
    };
    let without = async || -> Result<f64> {
        let start = Instant::now();
        let mut uow = runner.begin(Metadata::new());
        let account = uow.load::<Account<false>>(&7).await?;
        ensure!(account.state().balance == 170_000, "another balance");
        Ok(1.0 / start.elapsed().as_secs_f64())
    };
    let what = format!("load 10,000 events from a snapshot, {what}, loads/s");
    args.rounds
        .compare(what, Bound::AtLeast(20.0), with, without)
        .await
}
