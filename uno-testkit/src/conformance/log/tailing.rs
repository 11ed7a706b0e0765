//! Reading the log while others append: guarantee 4, which is where stores lose events.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::{JoinHandle, yield_now},
    time::timeout,
};
use uno_core::{
    AppendError, AsOf, BoxError, EventFilter, EventStore,
    ExpectedVersion::{Any, NoStream},
    Position, ReadLog, RecordedEvent, StreamAppend, Version,
};

use crate::conformance::{
    Harness, Outcome, Trial,
    fixture::{events, ids, positions, stream, stream_in},
    together::{start, succeed},
};

/// Guarantee 4: a reader that goes on from where its pages have come sees every event, once, in position order.
pub async fn a_reader_sees_every_event_once_in_order<H: Harness>(t: &Trial<H>) -> Outcome {
    let (writers, done) = write(t);
    let readers = vec![tail(t, EventFilter::all(), 1000, &done)];
    stop(writers, &done).await?;
    complete(t, &EventFilter::all(), &succeed(readers).await?.concat()).await
}

/// Guarantee 4: the same in small pages, by several readers at once.
pub async fn readers_of_small_pages_see_every_event_once_in_order<H: Harness>(
    t: &Trial<H>,
) -> Outcome {
    let (writers, done) = write(t);
    let readers = [1, 3, 10]
        .map(|limit| tail(t, EventFilter::all(), limit, &done))
        .into();
    stop(writers, &done).await?;
    for seen in succeed(readers).await? {
        complete(t, &EventFilter::all(), &seen).await?;
    }
    Ok(())
}

/// Guarantee 4: the same through a filter, where most pages are empty and yet come further.
pub async fn a_filtered_reader_sees_every_event_that_fits<H: Harness>(t: &Trial<H>) -> Outcome {
    let filter = EventFilter::all().categories([stream_in("order", "x").category().clone()]);
    let (writers, done) = write(t);
    let readers = vec![tail(t, filter.clone(), 2, &done)];
    stop(writers, &done).await?;
    complete(t, &filter, &succeed(readers).await?.concat()).await
}

/// Guarantee 4 and `changed`: a reader that waits to be told misses nothing: the mark is taken before it reads.
pub async fn a_reader_that_waits_to_be_told_misses_nothing<H: Harness>(t: &Trial<H>) -> Outcome {
    let (writers, done) = write(t);
    let (mut seen, mut after) = (Vec::new(), Position::START);
    while seen.len() < TOTAL {
        let mark = t.store().change();
        let page = t.store().read_log(ReadLog::after(after)).await?;
        seen.extend_from_slice(page.events());
        match page.scanned() {
            Some((scanned, _)) => after = scanned,
            None => timeout(Duration::from_secs(30), t.store().changed(mark))
                .await
                .map_err(|_| "was not told")?,
        }
    }
    stop(writers, &done).await?;
    complete(t, &EventFilter::all(), &seen).await
}

/// Guarantee 4: once a reader has seen a position, no event appears at or below it.
pub async fn nothing_appears_below_what_was_seen<H: Harness>(t: &Trial<H>) -> Outcome {
    let (writers, done) = write(t);
    let mut known: Vec<Arc<RecordedEvent>> = Vec::new();
    loop {
        let ended = writers.iter().all(JoinHandle::is_finished);
        let log = t.log().await?;
        assert!(log.len() >= known.len(), "the log only grows");
        assert_eq!(ids(&log[..known.len()]), ids(&known), "and only at its end");
        known = log;
        if ended {
            break;
        }
        yield_now().await;
    }
    stop(writers, &done).await?;
    complete(t, &EventFilter::all(), &known).await
}

/// Guarantee 4: the head is never ahead of what can be read, never goes back, and nothing appears below it.
pub async fn the_head_is_never_ahead_of_the_log<H: Harness>(t: &Trial<H>) -> Outcome {
    let (writers, done) = write(t);
    let mut heads = Vec::new();
    loop {
        let ended = writers.iter().all(JoinHandle::is_finished);
        let head = t.store().head().await?;
        let read = ReadLog::after(Position::START)
            .as_of(AsOf::Position(head.position()))
            .limit(usize::MAX);
        let below = t.store().read_log(read).await?.into_events();
        assert_eq!(
            below.last().map(|event| (event.position(), event.id())),
            head.last(),
            "the head can be read"
        );
        heads.push((head.position(), below.len()));
        if ended {
            break;
        }
        yield_now().await;
    }
    stop(writers, &done).await?;
    assert!(heads.is_sorted(), "the head never goes back: {heads:?}");
    let log = positions(&t.log().await?);
    for (head, count) in heads {
        assert_eq!(
            log.iter().filter(|position| **position <= head).count(),
            count,
            "below {head}"
        );
    }
    Ok(())
}

const WRITERS: usize = 8;
const ROUNDS: usize = 20;
/// Each writer appends one, two and three events in turn, to two streams.
const TOTAL: usize = WRITERS * (ROUNDS / 2) * 3;

type Writers = Vec<JoinHandle<Result<(), AppendError>>>;

/// Writers that append to shared streams, some of it in vain. The mark is set when they have ended.
fn write<H: Harness>(t: &Trial<H>) -> (Writers, Arc<AtomicBool>) {
    let writers = start(WRITERS, |writer| {
        let store = Arc::clone(t.store());
        async move {
            for round in 0..ROUNDS {
                let a = StreamAppend::new(stream(&format!("{}", writer % 3)), Any, events(1));
                let b = StreamAppend::new(
                    stream_in("order", &format!("{}", round % 5)),
                    Any,
                    events(1),
                );
                store
                    .append(if round % 2 == 0 { vec![a] } else { vec![b, a] })
                    .await?;
                // Lets readers in between, also where appending never waits.
                yield_now().await;
                // Conflicts, so that a store that draws positions draws some for nothing.
                let vain =
                    StreamAppend::new(stream(&format!("{}", writer % 3)), NoStream, events(2));
                assert!(
                    store
                        .append(vec![vain])
                        .await
                        .is_err_and(|error| error.is_conflict())
                );
            }
            Ok(())
        }
    });
    (writers, Arc::new(AtomicBool::new(false)))
}

/// Waits for the writers.
async fn stop(writers: Writers, done: &AtomicBool) -> Result<(), BoxError> {
    succeed(writers).await?;
    done.store(true, Ordering::SeqCst);
    Ok(())
}

/// Reads on and on, till everything has come that will.
fn tail<H: Harness>(
    t: &Trial<H>,
    filter: EventFilter,
    limit: usize,
    done: &Arc<AtomicBool>,
) -> JoinHandle<Result<Vec<Arc<RecordedEvent>>, BoxError>> {
    let (store, done) = (Arc::clone(t.store()), Arc::clone(done));
    tokio::spawn(async move {
        let (mut seen, mut after) = (Vec::new(), Position::START);
        loop {
            let ended = done.load(Ordering::SeqCst);
            let page = store
                .read_log(ReadLog::after(after).filter(filter.clone()).limit(limit))
                .await?;
            seen.extend_from_slice(page.events());
            match page.scanned() {
                Some((scanned, _)) => {
                    assert!(
                        scanned > after,
                        "a page after {after} has come to {scanned}"
                    );
                    after = scanned;
                }
                None if ended => return Ok(seen),
                None => yield_now().await,
            }
        }
    })
}

/// Whether a reader has seen all that is there now, in order, and versions have risen with positions.
async fn complete<H: Harness>(
    t: &Trial<H>,
    filter: &EventFilter,
    seen: &[Arc<RecordedEvent>],
) -> Outcome {
    let all = t.log().await?;
    assert_eq!(all.len(), TOTAL, "everything was stored");
    let fits: Vec<_> = all
        .into_iter()
        .filter(|event| filter.matches(event))
        .collect();
    assert!(!fits.is_empty(), "the filter lets something through");
    assert_eq!(
        positions(seen),
        positions(&fits),
        "every position, once, in order"
    );
    assert_eq!(seen, fits);
    let mut versions = HashMap::new();
    for event in seen {
        let before = versions
            .insert(event.stream(), event.version())
            .unwrap_or(Version::EMPTY);
        assert_eq!(
            event.version(),
            before.next(),
            "{} goes on without a hole",
            event.stream()
        );
    }
    Ok(())
}
