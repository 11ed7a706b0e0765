//! A hundred subscriptions that follow the end of the log: what the others notice of one that stalls and of one that panics.

use std::{
    panic,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    sync::{Notify, Semaphore},
    time::{sleep_until, timeout},
};
use uno_core::{
    BoxError, Envelope, EventStoreExt as _, ExpectedVersion, ParkingStore as _, StreamId,
    SubscriptionName,
};
use uno_events::{EventHandler, Replay, RetryPolicy, Subscription, SubscriptionManager};
use uno_store_postgres::PgStore;

use super::{Args, Load, OrderPlaced, memory};
use crate::rounds::{Bound, Table};

/// How many subscriptions are looked at; two more stall and panic.
const OTHERS: usize = 98;
/// How many events each round has. The next one is appended when all have handled the last, so that nothing waits in line.
///
/// What holds up one event holds it up for all who handle it: the 99th percentile is that of the events, and with fifty of them it was the
/// worst one alone.
const EVENTS: usize = 510;
/// How far apart events are appended, beside back to back: a delay is told at a rate that the machine can keep up with. Back to back there is never an idle core, and
/// what any other subscription does at all is time that the others wait.
const PACE: Duration = Duration::from_millis(10);
/// The first ones warm up, and count for nothing.
const WARM_UP: usize = 10;
/// How many events are appended while one is stalled and its memory is measured.
const GROWTH: u64 = 200_000;
/// How many of them are appended at once.
const APPEND: u64 = 200;
/// Nothing here takes as long.
const FOR_EVER: Duration = Duration::from_secs(60);

pub(super) async fn measure(
    args: &Args,
    schema: &str,
    store: &PgStore,
    table: &mut Table,
) -> Result<()> {
    // What is printed of a panic would count as time that it takes.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        if what.payload().downcast_ref::<&str>() != Some(&PANIC) {
            hook(what);
        }
    }));
    let (mut disturbed, mut undisturbed) = (0, 0);
    let mut next = || {
        disturbed += 1;
        format!("disturbed-{disturbed}")
    };
    let mut other = || {
        undisturbed += 1;
        format!("undisturbed-{undisturbed}")
    };
    let row = args.rounds.compare(
        "p99 from commit to handled, one stalled, one panicking, us",
        Bound::AtMost(1.25),
        async || p99(store, &next(), true, PACE).await,
        async || p99(store, &other(), false, PACE).await,
    );
    table.push(row.await?);
    let row = args.rounds.compare(
        "the same, events back to back",
        Bound::None,
        async || p99(store, &next(), true, Duration::ZERO).await,
        async || p99(store, &other(), false, Duration::ZERO).await,
    );
    table.push(row.await?);
    let _ = panic::take_hook();
    let row = args.rounds.fewer(3).compare(
        "memory while one is stalled beyond that of the store, MiB",
        Bound::AtMost(64.0),
        async || memory::in_a_process(Load::Stalled, schema, GROWTH),
        async || Ok(1.0),
    );
    table.push(row.await?);
    Ok(())
}

/// When each of the others has handled each event.
struct Watch {
    start: Instant,
    /// Microseconds since the start, for each event and each of the others.
    handled: Vec<AtomicU64>,
    /// A permit for each event that one of the others has handled.
    done: Semaphore,
}

impl Watch {
    fn now(&self) -> u64 {
        // A benchmark does not last for half a million years.
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn place(event: usize, which: usize) -> usize {
        event * OTHERS + which
    }
}

/// One of the others.
struct Other {
    watch: Arc<Watch>,
    which: usize,
}

impl EventHandler<OrderPlaced> for Other {
    async fn handle(&self, event: &Envelope<OrderPlaced>) -> Result<(), BoxError> {
        let event = usize::try_from(event.event().total_cents)?;
        let place = Watch::place(event, self.which);
        self.watch.handled[place].store(self.watch.now(), Ordering::Release);
        self.watch.done.add_permits(1);
        Ok(())
    }
}

/// Does not end until it is let go.
#[derive(Clone, Default)]
struct Stalled {
    met: Arc<Notify>,
    gone: Arc<Notify>,
}

impl EventHandler<OrderPlaced> for Stalled {
    async fn handle(&self, _: &Envelope<OrderPlaced>) -> Result<(), BoxError> {
        self.met.notify_one();
        self.gone.notified().await;
        // The ones behind it must not be stalled, or it could not be stopped.
        self.gone.notify_one();
        Ok(())
    }
}

const PANIC: &str = "as it does at every event";

struct Panicking;

impl EventHandler<OrderPlaced> for Panicking {
    async fn handle(&self, _: &Envelope<OrderPlaced>) -> Result<(), BoxError> {
        panic::panic_any(PANIC)
    }
}

/// The 99th percentile of the microseconds from an acknowledgement to the end of a handler, over all events and all the others. Whether
/// disturbed or not there are as many subscriptions.
async fn p99(store: &PgStore, run: &str, disturbed: bool, pace: Duration) -> Result<f64> {
    let watch = Arc::new(Watch {
        start: Instant::now(),
        handled: (0..EVENTS * OTHERS).map(|_| AtomicU64::new(0)).collect(),
        done: Semaphore::new(0),
    });
    let stalled = Stalled::default();
    let manager = SubscriptionManager::new(Arc::new(store.clone()), Arc::new(store.clone()));
    for which in 0..OTHERS {
        let watch = Arc::clone(&watch);
        manager.subscribe(live(run, &which.to_string(), Other { watch, which })?)?;
    }
    if disturbed {
        manager.subscribe(live(run, "stalled", stalled.clone())?.no_time_limit())?;
        // At every event it panics as often as it may, and parks it.
        let often = RetryPolicy::new().base(Duration::from_millis(1));
        manager.subscribe(live(run, "panicking", Panicking)?.retry(often))?;
    } else {
        manager.subscribe(live(run, "stalled", Calm)?)?;
        manager.subscribe(live(run, "panicking", Calm)?)?;
    }
    manager.start_all().await?;
    let appended = append(store, run, &watch, pace).await;
    stalled.gone.notify_one();
    let parked = store.count_parked(&name(run, "panicking")?).await?;
    manager.stop_all().await;
    ensure!(
        (parked > 0) == disturbed,
        "{parked} events were parked, so nothing was shown"
    );
    percentile(&watch, &appended?)
}

/// What stands in for the two where nothing is disturbed.
struct Calm;

impl EventHandler<OrderPlaced> for Calm {
    async fn handle(&self, _: &Envelope<OrderPlaced>) -> Result<(), BoxError> {
        Ok(())
    }
}

fn name(run: &str, which: &str) -> Result<SubscriptionName> {
    Ok(SubscriptionName::new(format!("{run}-{which}"))?)
}

fn live(
    run: &str,
    which: &str,
    handler: impl EventHandler<OrderPlaced> + 'static,
) -> Result<Subscription> {
    Ok(Subscription::handler(name(run, which)?, Replay::Safe, handler).start_at_head())
}

/// Appends one event after the other, each in a stream of its own; gives when each was acknowledged.
async fn append(store: &PgStore, run: &str, watch: &Watch, pace: Duration) -> Result<Vec<u64>> {
    let mut appended = Vec::with_capacity(EVENTS);
    let mut due = Instant::now();
    for event in 0..EVENTS {
        sleep_until(due.into()).await;
        due += pace;
        let stream = StreamId::new("order", format!("{run}-{event}"))?;
        let order = [OrderPlaced::new(event.try_into()?)];
        store
            .append_events(stream, ExpectedVersion::NoStream, &order)
            .await?;
        appended.push(watch.now());
        let all = timeout(FOR_EVER, watch.done.acquire_many(OTHERS.try_into()?)).await;
        all.with_context(|| format!("event {event} was not handled by all"))??
            .forget();
    }
    Ok(appended)
}

fn percentile(watch: &Watch, appended: &[u64]) -> Result<f64> {
    let mut took = Vec::with_capacity(EVENTS * OTHERS);
    for (event, appended) in appended.iter().enumerate().skip(WARM_UP) {
        for which in 0..OTHERS {
            let handled = watch.handled[Watch::place(event, which)].load(Ordering::Acquire);
            // It may be handled before the acknowledgement is heard.
            took.push(handled.saturating_sub(*appended).max(1));
        }
    }
    took.sort_unstable();
    let place = (took.len() * 99).div_ceil(100).saturating_sub(1);
    let p99 = took.get(place).context("nothing was handled")?;
    Ok(*p99 as f64)
}

/// One is stalled at the first event, and another follows, while the log grows.
pub(super) async fn stall(store: &PgStore, run: &str, events: u64) -> Result<()> {
    let (stalled, count) = (Stalled::default(), Count::default());
    let manager = SubscriptionManager::new(Arc::new(store.clone()), Arc::new(store.clone()));
    manager.subscribe(live(run, "stalled", stalled.clone())?.no_time_limit())?;
    manager.subscribe(live(run, "other", count.clone())?)?;
    manager.start_all().await?;
    for first in (0..events).step_by(usize::try_from(APPEND)?) {
        let orders: Vec<OrderPlaced> = (first..(first + APPEND).min(events))
            .map(OrderPlaced::new)
            .collect();
        let stream = StreamId::new("order", format!("{run}-{first}"))?;
        store
            .append_events(stream, ExpectedVersion::NoStream, &orders)
            .await?;
        if first == 0 {
            let met = timeout(FOR_EVER, stalled.met.notified()).await;
            met.context("the one that is to stall was given nothing")?;
        }
    }
    count.until(events).await?;
    // The process ends with one that is stalled: what it would handle when it is let go is not of interest.
    drop(manager);
    Ok(())
}

/// Counts.
#[derive(Clone, Default)]
struct Count {
    events: Arc<AtomicU64>,
    more: Arc<Notify>,
}

impl EventHandler<OrderPlaced> for Count {
    async fn handle(&self, _: &Envelope<OrderPlaced>) -> Result<(), BoxError> {
        self.events.fetch_add(1, Ordering::AcqRel);
        self.more.notify_one();
        Ok(())
    }
}

impl Count {
    async fn until(&self, events: u64) -> Result<()> {
        while self.events.load(Ordering::Acquire) < events {
            let more = timeout(FOR_EVER, self.more.notified()).await;
            more.context("nothing is handled any more")?;
        }
        Ok(())
    }
}
