//! What is outside of the store: at least once, and harmless when it is more, or too late.

use std::{
    collections::BTreeMap,
    num::NonZeroU16,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use uno_core::{
    Backend, BoxError, CheckpointStore as _, CheckpointWrite, Decoder, Envelope, SubscriptionName,
};
use uno_cqrs::{Marked, Sink, SinkFeed, Upsert};
use uno_events::{Consumer, Replay, RetryPolicy, Subscription, SubscriptionManager};
use uno_testkit::conformance::{BackendHarness, Harness};

use super::documents::batch;
use crate::support::{
    account::{AccountEvent, slip_in},
    log,
    rest::in_time,
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// What is under a key: how new it is, and what it is, if it is there.
type Entries = BTreeMap<String, (u64, Option<String>)>;

/// The last movement of each account, and of all; nothing if it was of nothing.
#[derive(Clone, Debug, Default)]
struct Engine {
    entries: Arc<Mutex<Entries>>,
    /// It takes whatever it is given: what a sink must not do.
    careless: bool,
    calls: Arc<AtomicUsize>,
    /// So many calls fail, after some of it was taken.
    failing: Arc<AtomicUsize>,
}

impl Engine {
    fn entries(&self) -> BTreeMap<String, Option<String>> {
        let entries = self.entries.lock().unwrap();
        let entry =
            |(key, (_, body)): (&String, &(u64, Option<String>))| (key.clone(), body.clone());
        entries.iter().map(entry).collect()
    }

    fn take_one(&self, upsert: &Marked) {
        let mut entries = self.entries.lock().unwrap();
        let there = entries.get(upsert.key()).map_or(0, |(mark, _)| *mark);
        if self.careless || upsert.mark() > there {
            let body = upsert.body().map(|body| body.as_str().to_owned());
            entries.insert(upsert.key().to_owned(), (upsert.mark(), body));
        }
    }
}

impl Sink for Engine {
    const NAME: &'static str = "engine";
    type Event = AccountEvent;

    fn upserts(&self, event: &Envelope<AccountEvent>) -> Result<Vec<Upsert>, BoxError> {
        let cents = match event.event() {
            AccountEvent::Opened(_) => 0,
            AccountEvent::Moved(moved) => moved.cents,
        };
        let own = event.stream().key();
        let own = match cents {
            0 => Upsert::remove(own),
            cents => Upsert::put(own, &cents)?,
        };
        Ok(vec![own, Upsert::put("last", &event.position().get())?])
    }

    async fn take(&self, upserts: &[Marked]) -> Result<(), BoxError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let fails = self.failing.load(Ordering::Relaxed) > 0;
        self.failing
            .fetch_sub(usize::from(fails), Ordering::Relaxed);
        let some = if fails {
            upserts.len() / 2
        } else {
            upserts.len()
        };
        for upsert in &upserts[..some] {
            self.take_one(upsert);
        }
        if fails {
            return Err("as asked".into());
        }
        Ok(())
    }
}

/// What the log comes to.
async fn expected<B: Backend>(store: &B) -> BTreeMap<String, Option<String>> {
    let mut newest = BTreeMap::new();
    for record in log(store).await {
        let event = Decoder::new().decode::<AccountEvent>(&record).unwrap();
        let cents = match event.event() {
            AccountEvent::Opened(_) => 0,
            AccountEvent::Moved(moved) => moved.cents,
        };
        let own = event.stream().key().to_owned();
        newest.insert(own, (cents != 0).then(|| cents.to_string()));
        newest.insert("last".to_owned(), Some(event.position().to_string()));
    }
    newest
}

async fn movements<B: Backend>(store: &B, count: i64) {
    for turn in 0..count {
        slip_in(store, &format!("a{}", turn % 3), turn % 4).await;
    }
}

/// A subscription with quick retries.
async fn run<B: Backend>(engine: &Engine, store: &Arc<B>, lanes: u16) {
    let feed = SinkFeed::new(engine.clone(), Arc::clone(store) as _, Decoder::new()).unwrap();
    let manager = SubscriptionManager::builder(Arc::clone(store) as _, Arc::clone(store) as _)
        .poll_interval(Duration::from_millis(5))
        .build();
    let name = SubscriptionName::new(Engine::NAME).unwrap();
    let quick = RetryPolicy::new()
        .retries(4)
        .base(Duration::from_micros(10));
    let subscription = Subscription::new(name, Replay::Safe, Arc::new(feed))
        .batch_size(7)
        .lanes(NonZeroU16::new(lanes).unwrap())
        .retry(quick);
    manager.subscribe(subscription).unwrap();
    manager.start_all().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    manager.stop_all().await;
}

pub(super) async fn what_comes_again_and_late_does_no_harm<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    movements(&**store, 30).await;
    let expected = expected(&**store).await;
    // A process that was asleep has the first half in hand, and writes it when all is done.
    for careless in [false, true] {
        let engine = Engine {
            careless,
            ..Engine::default()
        };
        // Each by a checkpoint of its own, as those have it who did not save theirs.
        let again = || async {
            let checkpoints = Arc::new(uno_store_memory::MemoryStore::new());
            SinkFeed::new(engine.clone(), checkpoints as _, Decoder::new()).unwrap()
        };
        let all = batch(&**store, None).await;
        let half = all.events()[..15].to_vec();
        let half = uno_events::Batch::new(half, all.checkpoint().clone());
        for batch in [&half, &all, &all, &half] {
            again().await.consume(batch.clone()).await.unwrap();
        }
        let is_right = engine.entries() == expected;
        assert_eq!(is_right, !careless, "{:#?}", engine.entries());
        let calls = engine.calls.load(Ordering::Relaxed);
        assert_eq!(calls, 4, "one call for a batch");
    }
}

pub(super) async fn a_sink_that_fails_is_fed_again<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    movements(&**store, 30).await;
    let engine = Engine::default();
    engine.failing.store(4, Ordering::Relaxed);
    run(&engine, store, 1).await;
    assert_eq!(engine.entries(), expected(&**store).await);
    assert_eq!(engine.failing.load(Ordering::Relaxed), 0);
}

pub(super) async fn lanes_that_overtake_each_other_do_no_harm<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    movements(&**store, 60).await;
    // All lanes have something to say of the last one.
    let engine = Engine::default();
    run(&engine, store, 3).await;
    assert_eq!(engine.entries(), expected(&**store).await);
}

pub(super) async fn what_was_taken_and_not_noted_comes_again<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    movements(&**store, 20).await;
    let engine = Engine::default();
    let all = batch(&**store, None).await;
    let name = SubscriptionName::new(Engine::NAME).unwrap();
    let write = CheckpointWrite::new(name.clone(), None, all.checkpoint().checkpoint());
    let all = uno_events::Batch::new(all.events().to_vec(), write);
    // The process dies between the two: its checkpoint was never saved.
    let elsewhere = Arc::new(uno_store_memory::MemoryStore::new());
    let feed = SinkFeed::new(engine.clone(), elsewhere as _, Decoder::new()).unwrap();
    feed.consume(all.clone()).await.unwrap();
    let taken = engine.entries();
    assert_eq!(taken, expected(&**store).await);
    let lane = uno_core::Lane::FIRST;
    assert_eq!(store.load_checkpoint(&name, lane).await.unwrap(), None);
    run(&engine, store, 1).await;
    assert_eq!(engine.entries(), taken);
    movements(&**store, 5).await;
    // The checkpoint has moved since: what is taken is not newer, and the move of the checkpoint is refused.
    let late = SinkFeed::new(engine.clone(), Arc::clone(store) as _, Decoder::new()).unwrap();
    assert!(late.consume(all).await.is_err());
    run(&engine, store, 1).await;
    assert_eq!(engine.entries(), expected(&**store).await);
}
