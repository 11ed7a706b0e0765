//! A stretch of the log once more, into handlers.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use uno_core::{
    Backend, Decoder, Envelope, Event, EventFilter, EventStoreExt as _, ExpectedVersion, Metadata,
    Position, RecordedEvent,
};
use uno_events::{RangeReplay, RangeReplayError, Replay};
use uno_testkit::conformance::BackendHarness;

use super::{Guard, Store, append, event};
use crate::support::log;

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Counted {
    number: u32,
}

/// Events from 1 on, with something else between them. The time is later with each.
async fn counted<B: Backend>(store: &B, count: u32) -> Vec<Arc<RecordedEvent>> {
    for number in 1..=count {
        let stream = "count-1".parse().unwrap();
        let any = ExpectedVersion::Any;
        store
            .append_events(stream, any, &[Counted { number }])
            .await
            .unwrap();
        let last = log(store).await.pop().unwrap();
        while append(store, "other-1", event("other", Metadata::new()))
            .await
            .recorded_at()
            <= last.recorded_at()
        {}
    }
    let is_counted = |event: &Arc<RecordedEvent>| event.name().as_str() == "counted";
    log(store).await.into_iter().filter(is_counted).collect()
}

type Seen = Arc<Mutex<Vec<u32>>>;

fn seen(seen: &Seen) -> Vec<u32> {
    seen.lock().unwrap().clone()
}

fn replay<B: Backend>(store: &Arc<B>, into: &Seen) -> RangeReplay {
    let into = Arc::clone(into);
    let handler = move |event: Arc<Envelope<Counted>>| {
        into.lock().unwrap().push(event.event().number);
        async { Ok(()) }
    };
    RangeReplay::new(Arc::clone(store) as _, Decoder::new())
        .handler("figures", Replay::Safe, handler)
        .unwrap()
}

pub(super) async fn a_stretch_goes_to_replay_safe_handlers_alone<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let events = counted(&**store, 9).await;
    let (into, told, records) = (Seen::default(), Seen::default(), Seen::default());
    let (telling, recording) = (Arc::clone(&told), Arc::clone(&records));
    let mut replay = replay(store, &into)
        .after(events[1].position())
        .until(events[6].position())
        .batch_size(2)
        .handler(
            "mail",
            Replay::LiveOnly,
            |_: Arc<Envelope<Counted>>| async { Err("must not happen twice".into()) },
        )
        .unwrap()
        .recorded("letters", Replay::LiveOnly, EventFilter::all(), |_| async {
            Err("must not happen twice".into())
        })
        .recorded("archive", Replay::Safe, EventFilter::all(), move |_| {
            recording.lock().unwrap().push(1);
            async { Ok(()) }
        })
        .filter(EventFilter::all().names([events[0].name().clone()]))
        .on_progress(move |progress| {
            let handled = u32::try_from(progress.handled()).unwrap();
            telling.lock().unwrap().push(handled);
        });
    // What comes later is not part of it.
    let report = replay.run().await.unwrap();
    assert_eq!(seen(&into), [3, 4, 5, 6, 7]);
    assert_eq!(seen(&records).len(), 5);
    assert_eq!(report.skipped(), ["mail", "letters"]);
    assert_eq!(report.handled(), 5);
    assert_eq!(report.position(), events[6].position());
    let told = seen(&told);
    assert!(told.is_sorted() && told.last() == Some(&5), "{told:?}");
    // It has come to its end, and that is all.
    assert_eq!(replay.run().await.unwrap(), report);
    assert_eq!(seen(&into).len(), 5);
}

pub(super) async fn a_stretch_is_given_by_times<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let events = counted(&**store, 6).await;
    let tick = TimeDelta::microseconds(1);
    for (from, until, numbers) in [
        (events[1].recorded_at(), events[3].recorded_at(), 2..=4),
        (
            events[1].recorded_at() + tick,
            events[3].recorded_at() - tick,
            3..=3,
        ),
        (chrono::DateTime::UNIX_EPOCH, events[0].recorded_at(), 1..=1),
    ] {
        let into = Seen::default();
        let mut replay = replay(store, &into).from_time(from).until_time(until);
        let report = replay.run().await.unwrap();
        assert_eq!(seen(&into), numbers.collect::<Vec<_>>());
        assert!(report.skipped().is_empty());
    }
    // Without an end, it is the log as it is when it begins.
    let into = Seen::default();
    let report = replay(store, &into).run().await.unwrap();
    assert_eq!(seen(&into), [1, 2, 3, 4, 5, 6]);
    assert_eq!(report.handled(), 6);
}

pub(super) async fn a_failure_ends_it_and_it_goes_on_there<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let events = counted(&**store, 6).await;
    let (into, is_well) = (Seen::default(), Arc::new(AtomicBool::new(false)));
    let is_well_now = Arc::clone(&is_well);
    let mut replay = replay(store, &into)
        .handler("bad", Replay::Safe, move |event: Arc<Envelope<Counted>>| {
            let is_well = is_well_now.load(Ordering::SeqCst);
            async move {
                match event.event().number {
                    3 if !is_well => Err("not three".into()),
                    4 if !is_well => panic!("not four"),
                    _ => Ok(()),
                }
            }
        })
        .unwrap();
    assert_eq!(replay.position(), Position::START);
    for _ in 0..2 {
        let error = replay.run().await.unwrap_err();
        assert_eq!(error.position(), Some(events[2].position()));
        let RangeReplayError::Handler {
            handler,
            event,
            source,
            ..
        } = error
        else {
            panic!("a handler has failed: {error}");
        };
        assert_eq!((handler.as_str(), event), ("bad", events[2].id()));
        assert_eq!(source.to_string(), "not three");
        assert_eq!(replay.position(), events[1].position());
    }
    // The one that failed comes again, to all: at least once.
    assert_eq!(seen(&into), [1, 2, 3, 3]);
    // Passed over by hand, it goes on to the next, which panics.
    let mut replay = replay.after(events[2].position());
    let error = replay.run().await.unwrap_err();
    assert_eq!(error.position(), Some(events[3].position()));
    is_well.store(true, Ordering::SeqCst);
    let report = replay.run().await.unwrap();
    assert_eq!(seen(&into), [1, 2, 3, 3, 4, 4, 5, 6]);
    assert_eq!(report.handled(), 5, "all but the one that was passed over");
}

/// Dropped in the middle of an event, it goes on with that one, and what came before is not fed again.
#[tokio::test]
async fn a_replay_that_is_dropped_goes_on_with_the_event_that_was_not_done() {
    let store = Arc::new(uno_store_memory::MemoryStore::new());
    let events = counted(&*store, 4).await;
    let (into, gate) = (Seen::default(), Arc::new(tokio::sync::Semaphore::new(2)));
    let waiting = Arc::clone(&gate);
    let mut replay = replay(&store, &into)
        .handler("slow", Replay::Safe, move |_: Arc<Envelope<Counted>>| {
            let gate = Arc::clone(&waiting);
            async move {
                gate.acquire().await?.forget();
                Ok(())
            }
        })
        .unwrap();
    {
        let mut run = std::pin::pin!(replay.run());
        // It waits for nothing but the gate, which lets two through.
        assert!(futures_util::poll!(run.as_mut()).is_pending());
    }
    assert_eq!(replay.position(), events[1].position());
    gate.add_permits(2);
    replay.run().await.unwrap();
    assert_eq!(seen(&into), [1, 2, 3, 3, 4]);
}
