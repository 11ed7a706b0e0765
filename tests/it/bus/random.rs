//! Queues and turns under publishers of several threads, by a seed that is printed.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;
use uno_core::{
    Envelope, EventStore as _, EventStoreExt as _, ExpectedVersion, Position, ReadLog,
    RecordedEvent,
};
use uno_events::{BoundedQueue, EventBus, Gap, HandlerOptions, HandlerResult, Topic};
use uno_store_memory::MemoryStore;

use super::support::*;

const STREAMS: usize = 4;
const EVENTS: u32 = 300;

/// What one handler has seen, and whether it is in the middle of something, by stream.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Noted>>);

/// The positions in the order in which they came, and how many calls are under way for each stream.
type Noted = (Vec<Position>, HashMap<String, u32>);

impl Seen {
    fn enter(&self, event: &RecordedEvent) -> u32 {
        let mut seen = self.0.lock().unwrap();
        seen.0.push(event.position());
        let busy = seen.1.entry(event.stream().to_string()).or_default();
        *busy += 1;
        *busy
    }

    fn leave(&self, event: &RecordedEvent) {
        *self
            .0
            .lock()
            .unwrap()
            .1
            .get_mut(&event.stream().to_string())
            .unwrap() -= 1;
    }

    fn positions(&self) -> Vec<Position> {
        self.0.lock().unwrap().0.clone()
    }
}

fn handler(
    seen: &Seen,
    seed: u64,
) -> impl Fn(
    Arc<RecordedEvent>,
) -> futures_util::future::BoxFuture<'static, Result<(), uno_core::BoxError>>
+ Send
+ Sync
+ 'static
+ use<> {
    let (seen, random) = (seen.clone(), Arc::new(Mutex::new(Rng::with_seed(seed))));
    move |event| {
        let (seen, yields) = (seen.clone(), random.lock().unwrap().u8(0..4));
        Box::pin(async move {
            let busy = seen.enter(&event);
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            seen.leave(&event);
            match busy {
                1 => Ok(()),
                _ => Err("two of one stream at once".into()),
            }
        })
    }
}

/// Events of several streams, as a store has them.
async fn log() -> (Arc<MemoryStore>, Vec<Arc<RecordedEvent>>) {
    let store = Arc::new(MemoryStore::new());
    for n in 0..EVENTS {
        let stream = format!("order-{}", n as usize % STREAMS).parse().unwrap();
        store
            .append_events(stream, ExpectedVersion::Any, &[Placed { n }])
            .await
            .unwrap();
    }
    let page = store
        .read_log(ReadLog::after(Position::START).limit(10_000))
        .await
        .unwrap();
    (store, page.into_events())
}

async fn round(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let (store, events) = log().await;
    let bus = EventBus::builder()
        .max_concurrency(random.usize(1..6))
        .build();
    let gaps: Arc<Mutex<Vec<Gap>>> = Arc::default();
    let told = Arc::clone(&gaps);
    let capacity = random.usize(1..20);
    let options = [
        ("ordered", HandlerOptions::new().ordered_by_stream()),
        (
            "blocks",
            HandlerOptions::new().queued(BoundedQueue::block(capacity)),
        ),
        (
            "spills",
            HandlerOptions::new().queued(BoundedQueue::spill_to_log(capacity, store)),
        ),
        (
            "drops",
            HandlerOptions::new().queued(BoundedQueue::drop_with_gap(capacity, move |gap| {
                told.lock().unwrap().push(gap);
                async { Ok(()) }
            })),
        ),
    ];
    let seen = options.map(|(name, options)| {
        let seen = Seen::default();
        bus.subscribe_recorded_with(name, Topic::All, options, handler(&seen, random.u64(..)));
        seen
    });
    // One publisher for each stream: events of a stream are published one after the other, those of several at once.
    let publishers: Vec<_> = (0..STREAMS)
        .map(|stream| {
            let (bus, mut random) = (bus.clone(), Rng::with_seed(random.u64(..)));
            let events: Vec<_> = events
                .iter()
                .skip(stream)
                .step_by(STREAMS)
                .cloned()
                .collect();
            tokio::spawn(async move {
                let mut dropped = 0;
                for event in events {
                    let published = bus.publish(event).await;
                    for outcome in published.outcomes() {
                        let fits = match outcome.name() {
                            "ordered" => *outcome.result() == HandlerResult::Handled,
                            "blocks" => *outcome.result() == HandlerResult::Queued,
                            "spills" => outcome.is_ok(),
                            _ => true,
                        };
                        assert!(fits, "{outcome:?} (seed {seed})");
                        dropped += u64::from(*outcome.result() == HandlerResult::Dropped);
                    }
                    for _ in 0..random.u8(0..3) {
                        tokio::task::yield_now().await;
                    }
                }
                dropped
            })
        })
        .collect();
    let mut dropped = 0;
    for publisher in publishers {
        dropped += publisher.await.unwrap();
    }
    let report = bus.shutdown(Duration::from_secs(60)).await;
    assert!(report.is_complete(), "{report:?} (seed {seed})");

    let all: BTreeSet<_> = events.iter().map(|event| event.position()).collect();
    let [ordered, blocks, spills, drops] = seen.map(|seen| seen.positions());
    for (name, positions) in [
        ("ordered", &ordered),
        ("blocks", &blocks),
        ("spills", &spills),
    ] {
        assert_eq!(positions.len(), all.len(), "{name} (seed {seed})");
        assert_eq!(
            &positions.iter().copied().collect::<BTreeSet<_>>(),
            &all,
            "{name} (seed {seed})"
        );
    }
    // In order of their publishes, which within a stream is that of the log. What was spilled comes in the log's order.
    for (name, positions) in [
        ("ordered", &ordered),
        ("blocks", &blocks),
        ("drops", &drops),
    ] {
        for stream in 0..STREAMS as u64 {
            let of_stream: Vec<_> = positions
                .iter()
                .map(|position| position.get())
                .filter(|position| (position - 1) % STREAMS as u64 == stream)
                .collect();
            assert!(of_stream.is_sorted(), "{name}: {of_stream:?} (seed {seed})");
        }
    }
    let told: u64 = gaps.lock().unwrap().iter().map(Gap::events).sum();
    assert_eq!(
        told, dropped,
        "every dropped event is in a gap (seed {seed})"
    );
    assert_eq!(
        drops.len() as u64 + dropped,
        all.len() as u64,
        "seed {seed}"
    );
    for status in bus.status() {
        if let Some(queue) = status.queue() {
            assert_eq!(
                (queue.failed(), queue.lost(), queue.refused()),
                (0, 0, 0),
                "seed {seed}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nothing_is_lost_doubled_or_out_of_order_by_any_seed() {
    let mut seeds = Rng::new();
    for _ in 0..12 {
        round(seeds.u64(..)).await;
    }
}

/// Handlers that publish into all kinds of handlers from within: whatever they meet, they come to an end.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn re_entrant_publishes_never_wait_for_themselves_by_any_seed() {
    let mut seeds = Rng::new();
    for _ in 0..12 {
        let seed = seeds.u64(..);
        let mut random = Rng::with_seed(seed);
        let bus = EventBus::builder()
            .max_concurrency(random.usize(1..4))
            .no_time_limit()
            .build();
        for n in 0..5 {
            let (inner, random_of) = (
                bus.clone(),
                Arc::new(Mutex::new(Rng::with_seed(random.u64(..)))),
            );
            let plain = HandlerOptions::new();
            let options = match random.u8(0..4) {
                0 => plain,
                1 => plain.ordered_by_stream(),
                2 => plain.queued(BoundedQueue::block(random.usize(1..4))),
                _ => plain
                    .ordered_by_stream()
                    .queued(BoundedQueue::block(random.usize(1..4))),
            };
            bus.subscribe_with(
                format!("handler {n}"),
                options,
                move |event: Arc<Envelope<Placed>>| {
                    let (bus, random) = (inner.clone(), Arc::clone(&random_of));
                    async move {
                        let n = event.event().n;
                        let (stream, side_by_side) = {
                            let mut random = random.lock().unwrap();
                            (format!("order-{}", random.u8(0..3)), random.bool())
                        };
                        tokio::task::yield_now().await;
                        if n == 0 {
                            return Ok(());
                        }
                        let publish = || bus.publish(recorded_in(&stream, &Placed { n: n - 1 }));
                        match side_by_side {
                            true => drop(tokio::join!(publish(), publish())),
                            false => drop(publish().await),
                        }
                        Ok(())
                    }
                },
            );
        }
        let publishing: Vec<_> = (0..6)
            .map(|n| {
                let bus = bus.clone();
                let event = recorded_in(&format!("order-{}", n % 3), &Placed { n: 2 });
                tokio::spawn(async move { bus.publish(event).await })
            })
            .collect();
        let all = async {
            for publish in publishing {
                publish.await.unwrap();
            }
            bus.shutdown(Duration::from_secs(60)).await
        };
        let ended = tokio::time::timeout(Duration::from_secs(60), all).await;
        let report = ended.unwrap_or_else(|_| panic!("it does not come to an end (seed {seed})"));
        assert!(report.is_complete(), "{report:?} (seed {seed})");
    }
}
