//! `uno-bench bus`: the event bus against a loop over the same handlers.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use uno_core::{
    BoxError, Clock as _, Decoder, Envelope, Event, NewEvent, Position, RecordedEvent, SystemClock,
    Version,
};
use uno_events::EventBus;

use crate::rounds::{Bound, Rounds, Table};

/// Options of `uno-bench bus`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    rounds: Rounds,
    /// How many events are published in each round.
    #[arg(long, default_value_t = 200_000)]
    events: u32,
}

#[derive(Event, Serialize, Deserialize)]
struct OrderPlaced {
    order: String,
    total_cents: i64,
}

/// What a handler is when nobody forgets its type but its user.
type Boxed = Box<
    dyn Fn(Arc<Envelope<OrderPlaced>>) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>
        + Send
        + Sync,
>;

pub(crate) async fn run(args: Args) -> Result<Table> {
    let mut table = Table::default();
    let event = event()?;
    for handlers in [1, 4] {
        let (bus, total) = (EventBus::new(), Arc::new(AtomicU64::new(0)));
        let mut boxed: Vec<Boxed> = Vec::new();
        for n in 0..handlers {
            let adding = Arc::clone(&total);
            bus.subscribe(
                format!("handler {n}"),
                move |event: Arc<Envelope<OrderPlaced>>| {
                    let total = Arc::clone(&adding);
                    async move { add(&total, &event) }
                },
            );
            let adding = Arc::clone(&total);
            boxed.push(Box::new(move |event| {
                let total = Arc::clone(&adding);
                Box::pin(async move { add(&total, &event) })
            }));
        }
        let row = args.rounds.compare(
            format!("publish to {handlers} awaited, decoded, events/s"),
            Bound::AtLeast(0.4),
            async || {
                let start = Instant::now();
                for _ in 0..args.events {
                    bus.publish(Arc::clone(&event)).await;
                }
                Ok(f64::from(args.events) / start.elapsed().as_secs_f64())
            },
            async || {
                let decoder = Decoder::new();
                let start = Instant::now();
                for _ in 0..args.events {
                    let envelope = Arc::new(decoder.decode::<OrderPlaced>(&event)?);
                    for handler in &boxed {
                        handler(Arc::clone(&envelope))
                            .await
                            .map_err(anyhow::Error::from_boxed)?;
                    }
                }
                Ok(f64::from(args.events) / start.elapsed().as_secs_f64())
            },
        );
        table.push(row.await?);
    }
    Ok(table)
}

fn add(total: &AtomicU64, event: &Envelope<OrderPlaced>) -> Result<(), BoxError> {
    let cents = u64::try_from(event.event().total_cents)?;
    total.fetch_add(cents, Ordering::Relaxed);
    Ok(())
}

fn event() -> Result<Arc<RecordedEvent>> {
    let event = NewEvent::encode(&OrderPlaced {
        order: "order-1742".into(),
        total_cents: 1999,
    })?;
    let (version, position) = (
        Version::new(1).context("one")?,
        Position::new(1).context("one")?,
    );
    Ok(Arc::new(RecordedEvent::record(
        &event,
        "order-1742".parse()?,
        version,
        position,
        SystemClock::new().now(),
    )))
}
