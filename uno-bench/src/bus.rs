//! `uno-bench bus`: the event bus against the same handlers called by hand.
//!
//! Both sides have the same handlers: closures behind one pointer whose boxed futures add a number of the event to a sum. The
//! side by hand knows its handlers and calls them one after the other; the bus finds them, isolates them, bounds them and
//! reports what became of each. Where events are decoded, both sides decode each event once.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};
use uno_core::{
    BoxError, Clock as _, Decoder, Envelope, Event, EventName, NewEvent, Payload, Position,
    RecordedEvent, SchemaVersion, SystemClock, Version,
};
use uno_events::{BoundedQueue, EventBus, HandlerOptions, NamePattern, Topic};

use crate::rounds::{Bound, Rounds, Row, Table};

/// Options of `uno-bench bus`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    rounds: Rounds,
    /// How many events are published in each round.
    #[arg(long, default_value_t = 200_000)]
    events: u32,
    /// Measures these only.
    #[arg(long, value_enum)]
    only: Option<Part>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Publishing to handlers that are waited for.
    Awaited,
    /// Publishing into queues.
    Queued,
    /// Finding the handlers.
    Routed,
}

/// How many events a queue has space for, on both sides.
const CAPACITY: usize = 1024;

#[derive(Event, Serialize, Deserialize)]
struct OrderPlaced {
    order: String,
    total_cents: i64,
}

type Handling = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// A handler of which its user knows no more than what it takes.
type Boxed<T> = Box<dyn Fn(Arc<T>) -> Handling + Send + Sync>;

pub(crate) async fn run(args: Args) -> Result<Table> {
    let mut table = Table::default();
    let wanted = |part| args.only.is_none_or(|only| only == part);
    if wanted(Part::Awaited) {
        for handlers in [1, 4] {
            table.push(args.decoded(handlers).await?);
        }
        for handlers in [1, 4] {
            table.push(args.recorded(handlers).await?);
        }
    }
    if wanted(Part::Queued) {
        for queues in [1, 2] {
            table.push(args.queued(queues).await?);
        }
    }
    if wanted(Part::Routed) {
        table.push(args.routed().await?);
        table.push(args.patterned().await?);
    }
    Ok(table)
}

impl Args {
    async fn decoded(self, handlers: usize) -> Result<Row> {
        let (bus, sum, event) = (EventBus::new(), Sum::default(), order_placed()?);
        let mut boxed: Vec<Boxed<Envelope<OrderPlaced>>> = Vec::new();
        for n in 0..handlers {
            let own = sum.clone();
            bus.subscribe(
                format!("handler {n}"),
                move |event: Arc<Envelope<OrderPlaced>>| {
                    let sum = own.clone();
                    async move { sum.add(&event) }
                },
            );
            let own = sum.clone();
            boxed.push(Box::new(move |event| {
                let sum = own.clone();
                Box::pin(async move { sum.add(&event) })
            }));
        }
        let decoder = Decoder::new();
        let by_hand = async || {
            let start = Instant::now();
            for _ in 0..self.events {
                let envelope = Arc::new(decoder.decode::<OrderPlaced>(&event)?);
                for handler in &boxed {
                    let handled = handler(Arc::clone(&envelope)).await;
                    handled.map_err(|error| anyhow!(error))?;
                }
            }
            Ok(self.rate_since(start))
        };
        let by_bus = async || self.publish_all(&bus, std::slice::from_ref(&event)).await;
        let what = format!("publish to {handlers} awaited, decoded once");
        let (rounds, bound) = (self.rounds, Bound::AtLeast(0.4));
        rounds.compare(what, bound, by_bus, by_hand).await
    }

    async fn recorded(self, handlers: usize) -> Result<Row> {
        let (bus, sum, event) = (EventBus::new(), Sum::default(), order_placed()?);
        let mut boxed: Vec<Boxed<RecordedEvent>> = Vec::new();
        for _ in 0..handlers {
            sum.subscribe(&bus, Topic::All);
            boxed.push(sum.boxed());
        }
        let by_hand = async || {
            let start = Instant::now();
            for _ in 0..self.events {
                for handler in &boxed {
                    let handled = handler(Arc::clone(&event)).await;
                    handled.map_err(|error| anyhow!(error))?;
                }
            }
            Ok(self.rate_since(start))
        };
        let by_bus = async || self.publish_all(&bus, std::slice::from_ref(&event)).await;
        let what = format!("publish to {handlers} awaited, not decoded");
        self.rounds
            .compare(what, Bound::None, by_bus, by_hand)
            .await
    }

    /// From the first event on its way until the last one is handled, by a task of its own for each handler.
    async fn queued(self, queues: usize) -> Result<Row> {
        let event = order_placed()?;
        let of_bus = Tally::default();
        let bus = EventBus::new();
        for n in 0..queues {
            let tally = of_bus.clone();
            let options = HandlerOptions::new().queued(BoundedQueue::block(CAPACITY));
            bus.subscribe_recorded_with(
                format!("handler {n}"),
                Topic::All,
                options,
                move |event: Arc<RecordedEvent>| {
                    let tally = tally.clone();
                    async move { tally.add(&event) }
                },
            );
        }
        let of_hand = Tally::default();
        let mut senders = Vec::new();
        for _ in 0..queues {
            let (sender, mut receiver) = mpsc::channel::<Arc<RecordedEvent>>(CAPACITY);
            let tally = of_hand.clone();
            let handler: Boxed<RecordedEvent> = Box::new(move |event| {
                let tally = tally.clone();
                Box::pin(async move { tally.add(&event) })
            });
            tokio::spawn(async move {
                while let Some(event) = receiver.recv().await {
                    if handler(event).await.is_err() {
                        return;
                    }
                }
            });
            senders.push(sender);
        }
        let total = u64::from(self.events) * u64::try_from(queues)?;
        // On both sides the publisher is a task of the runtime, as its receivers are.
        let by_bus = async || {
            of_bus.expect(total);
            let (bus, event, start) = (bus.clone(), Arc::clone(&event), Instant::now());
            let publishing = tokio::spawn(async move {
                for _ in 0..self.events {
                    let published = bus.publish(Arc::clone(&event)).await;
                    ensure!(published.is_ok(), "{published:?}");
                }
                Ok(())
            });
            publishing.await??;
            of_bus.reached().await;
            Ok(self.rate_since(start))
        };
        let by_hand = async || {
            of_hand.expect(total);
            let (senders, event, start) = (senders.clone(), Arc::clone(&event), Instant::now());
            let sending = tokio::spawn(async move {
                for _ in 0..self.events {
                    for sender in &senders {
                        sender.send(Arc::clone(&event)).await?;
                    }
                }
                anyhow::Ok(())
            });
            sending.await??;
            of_hand.reached().await;
            Ok(self.rate_since(start))
        };
        let what = format!("publish to {queues} queued, against mpsc({CAPACITY})");
        let (rounds, bound) = (self.rounds, Bound::AtLeast(0.6));
        rounds.compare(what, bound, by_bus, by_hand).await
    }

    /// A thousand names against ten. The same number of kinds is published, so that caches see the same.
    async fn routed(self) -> Result<Row> {
        let (many, few) = (bus_with_names(1000)?, bus_with_names(10)?);
        let events = (0..10).map(kind).collect::<Result<Vec<_>>>()?;
        let of_many = async || self.publish_all(&many, &events).await;
        let of_few = async || self.publish_all(&few, &events).await;
        let what = "publish with 1,000 names subscribed, against 10";
        // No more is the aim; the rest is what two measurements of one thing differ by.
        let (rounds, bound) = (self.rounds, Bound::AtLeast(0.95));
        rounds.compare(what, bound, of_many, of_few).await
    }

    /// The same, with handlers by pattern, which are matched when a name is first seen.
    async fn patterned(self) -> Result<Row> {
        let (many, few) = (bus_with_names(1000)?, bus_with_names(10)?);
        for bus in [&many, &few] {
            let topic = Topic::Pattern(NamePattern::new("*_nowhere")?);
            Sum::default().subscribe(bus, topic);
        }
        let events = (0..10).map(kind).collect::<Result<Vec<_>>>()?;
        let of_many = async || self.publish_all(&many, &events).await;
        let of_few = async || self.publish_all(&few, &events).await;
        let what = "the same with a pattern, against 10 and a pattern";
        let (rounds, bound) = (self.rounds, Bound::AtLeast(0.95));
        rounds.compare(what, bound, of_many, of_few).await
    }

    /// Publishes the events in turn, and tells how many a second.
    async fn publish_all(self, bus: &EventBus, events: &[Arc<RecordedEvent>]) -> Result<f64> {
        let start = Instant::now();
        for event in events.iter().cycle().take(usize::try_from(self.events)?) {
            let published = bus.publish(Arc::clone(event)).await;
            ensure!(published.is_ok(), "{published:?}");
        }
        Ok(self.rate_since(start))
    }

    fn rate_since(self, start: Instant) -> f64 {
        f64::from(self.events) / start.elapsed().as_secs_f64()
    }
}

/// What handlers add to.
#[derive(Clone, Default)]
struct Sum(Arc<AtomicU64>);

impl Sum {
    fn add(&self, event: &Envelope<OrderPlaced>) -> Result<(), BoxError> {
        let cents = u64::try_from(event.event().total_cents)?;
        self.0.fetch_add(cents, Ordering::Relaxed);
        Ok(())
    }

    fn add_version(&self, event: &RecordedEvent) -> Result<(), BoxError> {
        self.0.fetch_add(event.version().get(), Ordering::Relaxed);
        Ok(())
    }

    fn subscribe(&self, bus: &EventBus, topic: Topic) {
        let own = self.clone();
        bus.subscribe_recorded("handler", topic, move |event: Arc<RecordedEvent>| {
            let sum = own.clone();
            async move { sum.add_version(&event) }
        });
    }

    fn boxed(&self) -> Boxed<RecordedEvent> {
        let own = self.clone();
        Box::new(move |event| {
            let sum = own.clone();
            Box::pin(async move { sum.add_version(&event) })
        })
    }
}

/// Counts events, and tells when there were as many as expected.
#[derive(Clone, Default)]
struct Tally(Arc<(AtomicU64, AtomicU64, Notify)>);

impl Tally {
    fn expect(&self, events: u64) {
        self.0.0.store(0, Ordering::Relaxed);
        self.0.1.store(events, Ordering::Relaxed);
    }

    fn add(&self, event: &RecordedEvent) -> Result<(), BoxError> {
        let (count, expected, reached) = &*self.0;
        let before = count.fetch_add(event.version().get(), Ordering::Relaxed);
        if before + 1 == expected.load(Ordering::Relaxed) {
            reached.notify_one();
        }
        Ok(())
    }

    async fn reached(&self) {
        self.0.2.notified().await;
    }
}

fn bus_with_names(names: usize) -> Result<EventBus> {
    let (bus, sum) = (EventBus::new(), Sum::default());
    for n in 0..names {
        let topic = Topic::Name(EventName::new(name(n))?);
        sum.subscribe(&bus, topic);
    }
    Ok(bus)
}

fn name(n: usize) -> String {
    format!("kind_of_event_{n}")
}

fn order_placed() -> Result<Arc<RecordedEvent>> {
    recorded(&NewEvent::encode(&OrderPlaced {
        order: "order-1742".into(),
        total_cents: 1999,
    })?)
}

fn kind(n: usize) -> Result<Arc<RecordedEvent>> {
    let (name, payload) = (EventName::new(name(n))?, Payload::from_json("{}")?);
    recorded(&NewEvent::from_payload(name, SchemaVersion::FIRST, payload))
}

fn recorded(event: &NewEvent) -> Result<Arc<RecordedEvent>> {
    let (version, position) = (
        Version::new(1).context("one")?,
        Position::new(1).context("one")?,
    );
    Ok(Arc::new(RecordedEvent::record(
        event,
        "order-1742".parse()?,
        version,
        position,
        SystemClock::new().now(),
    )))
}
