//! How far a projection is behind while 32 append, half as fast as they can.
//!
//! The lag of an event is the time from when its append was acknowledged until the checkpoint that is committed with its document is seen
//! to have come to it. It is looked for every few milliseconds, so it is told too long rather than too short.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use uno_core::{
    CheckpointStore as _, EventStoreExt as _, ExpectedVersion, Lane, Position, StreamId,
    SubscriptionName,
};
use uno_events::{Replay, Subscription, SubscriptionManager};
use uno_store_postgres::PgStore;

use super::{Args, OrderPlaced, STREAM, Server, sales::Form};
use crate::rounds::{Bound, Row, Table};

/// How many append at once.
const APPENDERS: u64 = 32;
/// For how long the rate is measured that they are to keep half of.
const RATE: Duration = Duration::from_secs(10);
/// How often it is looked how far the projection has come.
const LOOK: Duration = Duration::from_millis(5);
/// Nothing is behind for as long.
const FOR_EVER: Duration = Duration::from_secs(120);

pub(super) async fn measure(args: &Args, server: &Server, table: &mut Table) -> Result<()> {
    let store = server.open(10)?;
    let (events, took) = append(&store, "rate", None, RATE, &Awaited::default()).await?;
    let most = events as f64 / took.as_secs_f64();
    println!("{APPENDERS} appenders alone: {most:.0} events/s");
    let form = Form::Documents;
    let seconds = Duration::from_secs(args.seconds);
    let (rate, mut lags) = behind(server, &store, form, most / 2.0, seconds).await?;
    lags.sort_unstable();
    let last = lags.last().context("nothing was appended")?.as_secs_f64();
    let at = |share: usize| lags[(lags.len() * share).div_ceil(1_000) - 1].as_secs_f64();
    println!(
        "{form:?}, while {rate:.0} events/s are appended for {} s: half are seen within {:.3} s, 99 % within {:.3} s, 99.9 % within \
         {:.3} s, all within {last:.3} s",
        args.seconds,
        at(500),
        at(990),
        at(999),
    );
    // Else it was not what it was to be measured under.
    table.push(Row::of(
        format!("appended meanwhile, against half of {most:.0}, events/s"),
        Bound::AtLeast(0.95),
        vec![rate],
        vec![most / 2.0],
    ));
    for (what, figure) in [("p99", at(990)), ("most", last)] {
        let what = format!("{what} lag, ms, against a second");
        table.push(Row::of(
            what,
            Bound::AtMost(2.0),
            vec![figure * 1e3],
            vec![1e3],
        ));
    }
    Ok(())
}

/// Appended, and not yet seen in the read model: when each was acknowledged.
type Awaited = Arc<Mutex<BTreeMap<Position, Instant>>>;

/// Appends for so long, at this rate or as fast as it goes; how many events, and how long it took.
async fn append(
    store: &PgStore,
    run: &str,
    rate: Option<f64>,
    lasting: Duration,
    awaited: &Awaited,
) -> Result<(u64, Duration)> {
    let begun = Instant::now();
    let mut appenders = JoinSet::new();
    for appender in 0..APPENDERS {
        let (store, awaited) = (store.clone(), Arc::clone(awaited));
        let run = format!("{run}-{appender}");
        appenders.spawn(async move {
            let mut pace = rate.map(|rate| {
                let mut pace = interval(Duration::from_secs_f64(APPENDERS as f64 / rate));
                // Who was late makes up for it.
                pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
                pace
            });
            let mut sent = 0_u64;
            while begun.elapsed() < lasting {
                if let Some(pace) = &mut pace {
                    pace.tick().await;
                }
                let stream = StreamId::new("order", format!("{run}-{}", sent / STREAM))?;
                let order = [OrderPlaced::new(sent * APPENDERS + appender)];
                let receipt = store
                    .append_events(stream, ExpectedVersion::Any, &order)
                    .await?;
                sent += 1;
                if rate.is_some()
                    && let Some(position) = receipt.position()
                {
                    let mut awaited = awaited.lock().unwrap_or_else(PoisonError::into_inner);
                    awaited.insert(position, Instant::now());
                }
            }
            anyhow::Ok(sent)
        });
    }
    let mut events = 0;
    while let Some(sent) = appenders.join_next().await {
        events += sent??;
    }
    Ok((events, begun.elapsed()))
}

/// Has a projection follow while events are appended; the rate at which they were, and the lag of each.
async fn behind(
    server: &Server,
    store: &PgStore,
    form: Form,
    rate: f64,
    lasting: Duration,
) -> Result<(f64, Vec<Duration>)> {
    let name = SubscriptionName::new(format!("lag-{form:?}"))?;
    let consumer = form.consumer(store, &server.schema)?;
    let manager = SubscriptionManager::new(Arc::new(store.clone()), Arc::new(store.clone()));
    manager.subscribe(Subscription::new(name.clone(), Replay::Safe, consumer).start_at_head())?;
    manager.start_all().await?;
    let awaited = Awaited::default();
    let done = Arc::new(AtomicBool::new(false));
    let looking = tokio::spawn(look(
        server.open(1)?,
        name,
        Arc::clone(&awaited),
        Arc::clone(&done),
    ));
    let appended = append(store, &format!("{form:?}"), Some(rate), lasting, &awaited).await;
    done.store(true, Ordering::Release);
    let lags = looking.await?;
    manager.stop_all().await;
    let (events, took) = appended?;
    let lags = lags?;
    ensure!(
        lags.len() as u64 == events,
        "{} of {events} events were seen",
        lags.len()
    );
    Ok((events as f64 / took.as_secs_f64(), lags))
}

/// The lag of each event, as soon as the projection has come to it; until there are no more.
async fn look(
    store: PgStore,
    name: SubscriptionName,
    awaited: Awaited,
    done: Arc<AtomicBool>,
) -> Result<Vec<Duration>> {
    let mut lags = Vec::new();
    let mut since: Option<Instant> = None;
    loop {
        // Before the checkpoint is read: what is acknowledged meanwhile is looked at the next time.
        let is_last = done.load(Ordering::Acquire);
        let checkpoint = store.load_checkpoint(&name, Lane::FIRST).await?;
        let (now, come) = (
            Instant::now(),
            checkpoint.map_or(Position::START, |checkpoint| checkpoint.position()),
        );
        let left = {
            let mut awaited = awaited.lock().unwrap_or_else(PoisonError::into_inner);
            let later = awaited.split_off(&come.next());
            let seen = std::mem::replace(&mut *awaited, later);
            lags.extend(
                seen.values()
                    .map(|acknowledged| now.saturating_duration_since(*acknowledged)),
            );
            awaited.len()
        };
        if is_last && left == 0 {
            return Ok(lags);
        }
        if is_last {
            let since = since.get_or_insert(now);
            ensure!(since.elapsed() < FOR_EVER, "{left} events are never seen");
        }
        sleep(LOOK).await;
    }
}
