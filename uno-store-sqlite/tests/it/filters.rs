//! Reads of the log by every way through its indexes, against what the filter itself says.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use uno_core::{
    AsOf, BoxError, Category, Clock, CorrelationId, Direction, EventFilter, EventId, EventName,
    EventStore, ExpectedVersion, LogPage, ManualClock, Metadata, NewEvent, Position, ReadLog,
    RecordedEvent, SchemaVersion, StreamAppend, StreamId,
};
use uno_store_sqlite::SqliteStore;
use uuid::Uuid;

use crate::support::{TestResult, file, json};

const NAMES: [&str; 5] = ["added", "moved", "paid", "sent", "never"];
const CATEGORIES: [&str; 4] = ["cart", "order", "parcel", "none"];
const ACTORS: [&str; 3] = ["ada", "bob", "nobody"];

fn correlation(number: u128) -> CorrelationId {
    CorrelationId::from_uuid(Uuid::from_u128(number))
}

fn event(rng: &mut Rng) -> NewEvent {
    let mut metadata = Metadata::new();
    if rng.u8(..) < 128 {
        metadata = metadata.with_correlation_id(correlation(rng.u128(0..3)));
    }
    if rng.u8(..) < 128 {
        metadata = metadata.with_causation_id(Uuid::from_u128(rng.u128(0..20)));
    }
    if rng.u8(..) < 128 {
        metadata = metadata.with_causing_event(causing(rng.u128(0..20)));
    }
    if rng.u8(..) < 128 {
        metadata = metadata
            .with_actor(ACTORS[rng.usize(0..2)])
            .with_header("a \"b\"", "é\u{1}");
    }
    let name = EventName::new(NAMES[rng.usize(0..4)]).unwrap();
    NewEvent::from_payload(name, SchemaVersion::FIRST, json("{}"))
        .with_metadata(metadata)
        .with_tags(["x"])
}

fn causing(number: u128) -> EventId {
    EventId::from_uuid(Uuid::from_u128(number))
}

fn filter(rng: &mut Rng, clock: &ManualClock, stored: &[EventId]) -> EventFilter {
    let mut filter = EventFilter::all();
    if rng.u8(..) < 100 {
        let count = rng.usize(0..4);
        filter = filter.names((0..count).map(|_| EventName::new(NAMES[rng.usize(..5)]).unwrap()));
    }
    if rng.u8(..) < 100 {
        let count = rng.usize(0..4);
        filter = filter
            .categories((0..count).map(|_| Category::new(CATEGORIES[rng.usize(..4)]).unwrap()));
    }
    if rng.u8(..) < 60 {
        filter = filter.correlation_id(correlation(rng.u128(0..4)));
    }
    if rng.u8(..) < 60 {
        filter = filter.actor(ACTORS[rng.usize(..3)]);
    }
    if rng.u8(..) < 40 {
        let count = rng.usize(0..30);
        filter = filter.ids((0..count).map(|_| stored[rng.usize(..stored.len())]));
    }
    if rng.u8(..) < 40 {
        let count = rng.usize(0..22);
        filter = filter.causes((0..count).map(|_| Uuid::from_u128(rng.u128(0..22))));
    }
    if rng.u8(..) < 40 {
        let count = rng.usize(0..22);
        filter = filter.causing_events((0..count).map(|_| causing(rng.u128(0..22))));
    }
    if rng.u8(..) < 80 {
        filter = filter.recorded_from(moment(rng, clock));
    }
    if rng.u8(..) < 80 {
        filter = filter.recorded_before(moment(rng, clock));
    }
    filter
}

/// A moment before, during or after what is in the log, at times between two microseconds.
fn moment(rng: &mut Rng, clock: &ManualClock) -> chrono::DateTime<chrono::Utc> {
    clock.now() - Duration::from_micros(rng.u64(0..700))
        + Duration::from_nanos(rng.u64(0..2) * 500 + rng.u64(0..50) * 1000)
}

/// What the filter itself says of the whole log.
fn model(log: &[Arc<RecordedEvent>], read: &ReadLog) -> LogPage {
    let visible = |event: &&Arc<RecordedEvent>| {
        read.moment().is_none_or(|moment| moment.includes(event))
            && match read.direction() {
                Direction::Forward => event.position() > read.start(),
                Direction::Backward => event.position() < read.start(),
            }
    };
    let mut window: Vec<_> = log.iter().filter(visible).cloned().collect();
    if read.direction() == Direction::Backward {
        window.reverse();
    }
    let end = |event: Option<&Arc<RecordedEvent>>| -> Option<(Position, EventId)> {
        event.map(|event| (event.position(), event.id()))
    };
    let fitting = window.iter().filter(|event| read.events().matches(event));
    let events: Vec<_> = fitting.take(read.max_events()).cloned().collect();
    let scanned = if events.len() == read.max_events() {
        end(events.last())
    } else {
        end(window.last())
    };
    LogPage::new(events, scanned)
}

#[tokio::test]
async fn every_way_through_the_log_gives_what_the_filter_says() -> TestResult {
    let seed = 11;
    let mut rng = Rng::with_seed(seed);
    let directory = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse()?));
    let clocked: Arc<dyn Clock> = Arc::clone(&clock) as _;
    let writer = SqliteStore::builder()
        .clock(clocked)
        .gaps(seed)
        .open(file(&directory))
        .await?;
    writer.migrate().await?;
    for _ in 0..200 {
        let stream = StreamId::new(CATEGORIES[rng.usize(..3)], rng.u8(0..9).to_string())?;
        let events = (0..rng.usize(1..4)).map(|_| event(&mut rng)).collect();
        writer
            .append(vec![StreamAppend::new(
                stream,
                ExpectedVersion::Any,
                events,
            )])
            .await?;
        clock.advance(Duration::from_micros(rng.u64(0..5)));
    }
    // A fresh one, which has nothing of the log in memory.
    let store = SqliteStore::open(file(&directory)).await?;
    let log = crate::support::log(&store).await?;
    let last = log.last().ok_or("there are events")?.position().get();
    let stored: Vec<_> = log.iter().map(|event| event.id()).collect();
    for round in 0..1500 {
        let start = Position::new(rng.u64(0..last + 10))?;
        let mut read = if rng.bool() {
            ReadLog::after(start)
        } else {
            ReadLog::before(start)
        };
        read = read
            .filter(filter(&mut rng, &clock, &stored))
            .limit([0, 1, 5, 50, 10_000][rng.usize(..5)]);
        match rng.u8(0..6) {
            0 => read = read.as_of(AsOf::Position(Position::new(rng.u64(0..last + 10))?)),
            1 => read = read.as_of(AsOf::Time(moment(&mut rng, &clock))),
            _ => {}
        }
        assert_eq!(
            store.read_log(read.clone()).await?,
            model(&log, &read),
            "round {round} of seed {seed}: {read:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn many_names_are_found_without_their_index() -> TestResult {
    let directory = tempfile::tempdir()?;
    let store = SqliteStore::open(file(&directory)).await?;
    store.migrate().await?;
    let mut rng = Rng::with_seed(1);
    let events: Vec<_> = (0..50).map(|_| event(&mut rng)).collect();
    store
        .append(vec![StreamAppend::new(
            StreamId::new("cart", "1")?,
            ExpectedVersion::Any,
            events,
        )])
        .await?;
    let store = SqliteStore::open(file(&directory)).await?;
    let names = (0..40)
        .map(|n| EventName::new(format!("name{n}")).unwrap())
        .chain([EventName::new("paid")?]);
    let read = ReadLog::after(Position::START).filter(EventFilter::all().names(names));
    let log = crate::support::log(&store).await?;
    assert_eq!(store.read_log(read.clone()).await?, model(&log, &read));
    Ok::<(), BoxError>(())
}
