//! What comes, in which order, and from where on.

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use uno_core::{
    Checkpoint, CheckpointStore as _, CheckpointWrite, Decoder, Envelope, EventFilter, EventId,
    EventName, EventSet, EventStore, Position, ReadLog, RecordedEvent, StoreEpoch,
    SubscriptionStore,
};
use uno_events::{
    Batch, ConsumeError, Consumer, Replay, StopReason, Subscription, SubscriptionManager,
    SubscriptionState,
};

use super::support::*;

#[derive(EventSet, Clone, Debug, PartialEq)]
enum Either {
    Noted(Noted),
    Ignored(Ignored),
}

#[tokio::test]
async fn events_come_in_order_once_each_before_and_after_the_start() {
    let store = TestStore::with_gaps(1);
    let (seen, manager) = (Seen::default(), store.manager());
    note(&store, 1..=250).await;
    manager
        .subscribe(seen.subscription("a").batch_size(7))
        .unwrap();
    manager.start_all().await.unwrap();
    for n in 251..=500 {
        note(&store, [n]).await;
    }
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), (1..=500).collect::<Vec<_>>());
    let status = status(&manager, "a").await;
    assert_eq!(status.counts().handled(), 500);
    assert_eq!(status.state(), &SubscriptionState::CaughtUp);
    assert_eq!(
        (status.lag_events(), status.lag()),
        (Some(0), Some(Duration::ZERO))
    );
}

#[tokio::test]
async fn a_subscription_goes_on_where_it_stopped() {
    let store = TestStore::new();
    let seen = Seen::default();
    for from in [1, 11, 21] {
        let manager = store.manager();
        manager.subscribe(seen.subscription("a")).unwrap();
        manager.start_all().await.unwrap();
        note(&store, from..from + 10).await;
        manager.until_idle().await.unwrap();
        manager.stop_all().await;
    }
    assert_eq!(seen.all(), (1..=30).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_set_is_matched_and_what_is_not_in_it_is_passed_over() {
    let store = TestStore::new();
    let (seen, manager) = (Seen::default(), store.manager());
    let both = Seen::default();
    manager.subscribe(seen.subscription("noted")).unwrap();
    let note_both = both.clone();
    let handler = move |event: Arc<Envelope<Either>>| {
        let both = note_both.clone();
        async move {
            match event.event() {
                Either::Noted(event) => both.push(event.n),
                Either::Ignored(event) => both.push(event.n + 1000),
            }
            Ok(())
        }
    };
    manager
        .subscribe(Subscription::handler(name("both"), Replay::Safe, handler))
        .unwrap();
    manager.start_all().await.unwrap();
    for n in 0..10 {
        note(&store, [n]).await;
        ignore(&store, [n]).await;
    }
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), (0..10).collect::<Vec<_>>());
    assert_eq!(
        both.all(),
        (0..10).flat_map(|n| [n, n + 1000]).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_recorded_handler_gets_what_its_filter_lets_through() {
    let store = TestStore::new();
    let manager = store.manager();
    let names = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&names);
    let handler = move |event: Arc<RecordedEvent>| {
        noted.lock().unwrap().push(event.name().to_string());
        async { Ok(()) }
    };
    let filter = EventFilter::all().names([EventName::new("ignored").unwrap()]);
    manager
        .subscribe(Subscription::recorded(
            name("raw"),
            Replay::Safe,
            filter,
            handler,
        ))
        .unwrap();
    manager.start_all().await.unwrap();
    note(&store, [1]).await;
    ignore(&store, [2, 3]).await;
    manager.until_idle().await.unwrap();
    assert_eq!(*names.lock().unwrap(), ["ignored", "ignored"]);
}

#[tokio::test]
async fn a_live_only_subscription_starts_at_the_end_and_saves_that_at_once() {
    let store = TestStore::new();
    note(&store, 1..=5).await;
    let seen = Seen::default();
    let live = || {
        let seen = seen.clone();
        Subscription::handler(
            name("mail"),
            Replay::LiveOnly,
            move |event: Arc<Envelope<Noted>>| {
                seen.push(event.event().n);
                async { Ok(()) }
            },
        )
    };
    let manager = store.manager();
    manager.subscribe(live()).unwrap();
    manager.start_all().await.unwrap();
    assert_eq!(
        store.checkpoint("mail").await,
        Some(5),
        "saved before anything else"
    );
    note(&store, [6]).await;
    drop(manager);

    // Whatever came while it was down is for it.
    note(&store, [7]).await;
    let manager = store.manager();
    manager.subscribe(live()).unwrap();
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all().iter().filter(|n| **n < 6).count(), 0);
    assert_eq!(seen.all().last(), Some(&7));
    assert!(seen.all().contains(&6));
}

#[tokio::test]
async fn a_live_only_subscription_on_an_empty_log_gets_the_first_event() {
    let store = TestStore::new();
    let (seen, manager) = (Seen::default(), store.manager());
    let noted = seen.clone();
    let handler = move |event: Arc<Envelope<Noted>>| {
        noted.push(event.event().n);
        async { Ok(()) }
    };
    manager
        .subscribe(Subscription::handler(
            name("mail"),
            Replay::LiveOnly,
            handler,
        ))
        .unwrap();
    manager.start_all().await.unwrap();
    assert_eq!(store.checkpoint("mail").await, Some(0));
    note(&store, [1]).await;
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), [1]);
}

#[tokio::test]
async fn a_replay_safe_subscription_may_start_at_the_end() {
    let store = TestStore::new();
    note(&store, 1..=5).await;
    let (seen, manager) = (Seen::default(), store.manager());
    manager
        .subscribe(seen.subscription("a").start_at_head())
        .unwrap();
    manager.start_all().await.unwrap();
    note(&store, [6]).await;
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), [6]);
}

/// Keeps the batches that it is given.
#[derive(Debug)]
struct Batches {
    checkpoints: Arc<dyn SubscriptionStore>,
    filter: EventFilter,
    batches: Mutex<Vec<(Vec<u64>, CheckpointWrite)>>,
}

#[async_trait]
impl Consumer for Batches {
    fn filter(&self) -> EventFilter {
        self.filter.clone()
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        let positions = batch
            .events()
            .iter()
            .map(|event| event.position().get())
            .collect();
        self.checkpoints
            .save_checkpoint(batch.checkpoint().clone())
            .await?;
        self.batches
            .lock()
            .unwrap()
            .push((positions, batch.checkpoint().clone()));
        Ok(())
    }
}

#[tokio::test]
async fn batches_follow_one_another_and_their_checkpoints_are_committed_events() {
    let store = TestStore::with_gaps(3);
    for n in 0..200 {
        if n % 3 == 0 {
            note(&store, [n]).await
        } else {
            ignore(&store, [n]).await
        };
    }
    let filter = EventFilter::all().names([EventName::new("noted").unwrap()]);
    let consumer = Arc::new(Batches {
        checkpoints: store.checkpoints(),
        filter,
        batches: Mutex::default(),
    });
    let manager = store.manager();
    let fed: Arc<dyn Consumer> = consumer.clone();
    manager
        .subscribe(Subscription::new(name("c"), Replay::Safe, fed).batch_size(10))
        .unwrap();
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    manager.stop_all().await;

    let log = store
        .memory()
        .read_log(ReadLog::after(Position::START))
        .await
        .unwrap();
    let mut before = None;
    let mut handled = Vec::new();
    for (positions, write) in consumer.batches.lock().unwrap().iter() {
        assert!(positions.len() <= 10);
        assert_eq!(
            write.expected(),
            before,
            "each starts where the one before ended"
        );
        let to = write.checkpoint();
        assert!(log.events().iter().any(|event| event.position() == to.position() && Some(event.id()) == to.event_id()));
        assert!(
            positions
                .iter()
                .all(|p| *p > before.map_or(0, Position::get) && *p <= to.position().get())
        );
        handled.extend(positions.iter().copied());
        before = Some(to.position());
    }
    let wanted = log
        .events()
        .iter()
        .filter(|event| event.name().as_str() == "noted");
    assert_eq!(
        handled,
        wanted
            .map(|event| event.position().get())
            .collect::<Vec<_>>()
    );
    assert_eq!(
        before,
        log.events().last().map(|event| event.position()),
        "what was passed over is saved on stopping"
    );
}

#[tokio::test]
async fn a_checkpoint_from_another_log_stops_visibly() {
    let check = async |saved: fn(StoreEpoch) -> Checkpoint| {
        let store = TestStore::new();
        note(&store, 1..=5).await;
        let epoch = store.memory().head().await.unwrap().epoch();
        let write = CheckpointWrite::new(name("a"), None, saved(epoch));
        store.memory().save_checkpoint(write).await.unwrap();
        let (seen, manager) = (Seen::default(), store.manager());
        manager.subscribe(seen.subscription("a")).unwrap();
        manager.subscribe(seen.subscription("b")).unwrap();
        manager.start_all().await.unwrap();
        assert!(manager.until_idle().await.is_err());
        let state = status(&manager, "a").await.state().clone();
        assert!(
            matches!(state.failure(), Some(StopReason::LogDiverged { .. })),
            "{state:?}"
        );
        manager.stop(&name("a")).await.unwrap();
        manager.unsubscribe(&name("a")).await.unwrap();
        manager.until_idle().await.unwrap();
        assert_eq!(seen.all(), [1, 2, 3, 4, 5], "the other one goes on");
    };
    // The event there is another one.
    check(|epoch| Checkpoint::after(epoch, Position::new(3).unwrap(), EventId::new())).await;
    // The log is shorter.
    check(|epoch| Checkpoint::after(epoch, Position::new(9).unwrap(), EventId::new())).await;
    // The store is another one.
    check(|_| Checkpoint::start(StoreEpoch::new())).await;
}

#[tokio::test(start_paused = true)]
async fn events_of_which_no_hint_comes_are_found_by_polling() {
    let store = TestStore::new();
    store.faults().silent.store(true, Ordering::Relaxed);
    let (seen, manager) = (Seen::default(), store.manager());
    for subscription in ["a", "b", "c"] {
        manager.subscribe(seen.subscription(subscription)).unwrap();
    }
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    let start = tokio::time::Instant::now();
    note(&store, [1]).await;
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), [1, 1, 1]);
    assert!(
        start.elapsed() <= Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn the_decoder_of_the_manager_raises_old_events() {
    #[derive(uno_core::Event, serde::Serialize, serde::Deserialize)]
    #[event(name = "noted", version = 2, upcast_elsewhere)]
    struct Renamed {
        number: u32,
    }
    let store = TestStore::new();
    note(&store, [7]).await;
    let raise = |mut old: serde_json::Value| {
        old["number"] = old["n"].take();
        Ok(old)
    };
    let decoder = Decoder::builder()
        .events::<Renamed>()
        .upcast("noted", 1, raise)
        .build()
        .unwrap();
    let manager = SubscriptionManager::builder(store.events(), store.checkpoints())
        .decoder(decoder)
        .build();
    let seen = Seen::default();
    let noted = seen.clone();
    let handler = move |event: Arc<Envelope<Renamed>>| {
        noted.push(event.event().number);
        async { Ok(()) }
    };
    manager
        .subscribe(Subscription::handler(name("a"), Replay::Safe, handler))
        .unwrap();
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all(), [7]);
}
