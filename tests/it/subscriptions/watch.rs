//! Live feeds: they hand over from old events to new ones without a gap or a double, and cost nobody anything.

mod handover;

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt, stream::FusedStream as _};
use uno_core::{
    Checkpoint, Decoder, EventFilter, EventStore, Position, ReadLog, RecordedEvent, StoreEpoch,
};
use uno_events::{
    LogFeed, RetryPolicy, SubscriptionManager, TypedWatch, Watch, WatchError, WatchOptions, Watched,
};

use super::support::*;
use crate::support::rest::in_time;

async fn next(watch: &mut Watch) -> Watched {
    in_time(watch.next()).await.unwrap().unwrap()
}

async fn next_event(watch: &mut Watch) -> u64 {
    loop {
        if let Watched::Event(event) = next(watch).await {
            return event.position().get();
        }
    }
}

async fn whole_log(store: &dyn EventStore) -> Vec<Arc<RecordedEvent>> {
    let read = ReadLog::after(Position::START).limit(1_000_000);
    store.read_log(read).await.unwrap().into_events()
}

#[tokio::test]
async fn from_the_head_means_what_is_appended_once_it_is_open() {
    let store = TestStore::new();
    note(&store, 0..5).await;
    let mut watch = Watch::open(store.events(), WatchOptions::from_head())
        .await
        .unwrap();
    note(&store, 5..7).await;
    assert_eq!(next_event(&mut watch).await, 6);
    assert_eq!(next_event(&mut watch).await, 7);
    let position = Position::new(7).unwrap();
    assert_eq!(next(&mut watch).await, Watched::CaughtUp { position });
    note(&store, [7]).await;
    assert!(matches!(next(&mut watch).await, Watched::Event(_)));
}

#[tokio::test]
async fn on_an_empty_log_it_has_caught_up_at_once() {
    for options in [WatchOptions::from_start(), WatchOptions::from_head()] {
        let store = TestStore::new();
        let mut watch = Watch::open(store.events(), options).await.unwrap();
        let position = Position::START;
        assert_eq!(next(&mut watch).await, Watched::CaughtUp { position });
        note(&store, [1]).await;
        assert_eq!(next_event(&mut watch).await, 1);
    }
}

#[tokio::test]
async fn a_place_that_the_log_does_not_have_is_refused() {
    let store = TestStore::new();
    note(&store, 0..5).await;
    let log = whole_log(&store).await;
    let epoch = store.head().await.unwrap().epoch();
    let other = StoreEpoch::new();
    let (third, fourth) = (&log[2], &log[3]);
    for options in [
        WatchOptions::after(Position::new(6).unwrap()),
        WatchOptions::after(Position::MAX),
        WatchOptions::after_checkpoint(Checkpoint::after(other, third.position(), third.id())),
        WatchOptions::after_checkpoint(Checkpoint::after(epoch, third.position(), fourth.id())),
        WatchOptions::after_checkpoint(Checkpoint::start(other)),
    ] {
        let refused = Watch::open(store.events(), options).await;
        assert!(
            matches!(refused, Err(WatchError::LogDiverged { .. })),
            "{refused:?}"
        );
    }
    for (options, first) in [
        (WatchOptions::after(Position::new(4).unwrap()), 5),
        (WatchOptions::after_checkpoint(Checkpoint::start(epoch)), 1),
        (
            WatchOptions::after_checkpoint(Checkpoint::after(epoch, third.position(), third.id())),
            4,
        ),
    ] {
        let mut watch = Watch::open(store.events(), options).await.unwrap();
        assert_eq!(next_event(&mut watch).await, first);
    }
}

#[tokio::test]
async fn who_falls_behind_is_told_and_then_given_everything() {
    let store = TestStore::new();
    let options = WatchOptions::from_head().page_size(10).fell_behind_at(30);
    let mut watch = Watch::open(store.events(), options).await.unwrap();
    assert!(matches!(next(&mut watch).await, Watched::CaughtUp { .. }));
    // No more than it bears.
    note(&store, 0..30).await;
    for position in 1..=30 {
        let Watched::Event(event) = next(&mut watch).await else {
            panic!("it is not too far behind");
        };
        assert_eq!(event.position().get(), position);
    }
    note(&store, 30..61).await;
    let behind = next(&mut watch).await;
    let (position, head) = (Position::new(30).unwrap(), Position::new(61).unwrap());
    assert_eq!(behind, Watched::FellBehind { position, head });
    assert_eq!(behind.lag(), 31);
    for position in 31..=61 {
        assert_eq!(next_event(&mut watch).await, position);
    }
    let position = head;
    assert_eq!(next(&mut watch).await, Watched::CaughtUp { position });
}

#[tokio::test]
async fn a_slow_reader_holds_one_page() {
    let store = TestStore::new();
    let options = WatchOptions::from_start().page_size(10);
    let mut watch = Watch::open(store.events(), options).await.unwrap();
    note(&store, 0..1_000).await;
    assert_eq!(next_event(&mut watch).await, 1);
    note(&store, 1_000..2_000).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let read = store.faults().events_read.load(Ordering::Relaxed);
    assert_eq!(read, 10, "nothing is read that was not asked for");
    for position in 2..=2_000 {
        assert_eq!(next_event(&mut watch).await, position);
    }
}

#[tokio::test]
async fn one_that_nobody_polls_holds_up_nobody() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    let mut left_alone = manager.watch(WatchOptions::from_head()).await.unwrap();
    note(&store, [1]).await;
    // The read is under way, at a place where it holds what others wait for.
    assert!(left_alone.next().now_or_never().is_none());
    manager.start_all().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    assert_eq!(seen.all(), [1]);
    assert_eq!(next_event(&mut left_alone).await, 1);
}

#[tokio::test]
async fn those_who_watch_the_end_read_it_once() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    manager.start_all().await.unwrap();
    let mut watches = Vec::new();
    for _ in 0..50 {
        watches.push(manager.watch(WatchOptions::from_head()).await.unwrap());
    }
    for n in 0..50_u32 {
        note(&store, n * 10..n * 10 + 10).await;
        for watch in &mut watches {
            for m in 0..10 {
                assert_eq!(next_event(watch).await, u64::from(n * 10 + m + 1));
            }
        }
    }
    let read = store.faults().events_read.load(Ordering::Relaxed);
    assert!(
        read <= 500 + 100,
        "{read} events were read for 51 readers of 500"
    );
}

#[tokio::test(start_paused = true)]
async fn outages_are_waited_out_in_silence_or_told() {
    for told in [false, true] {
        let store = TestStore::new();
        note(&store, [1]).await;
        let mut options =
            WatchOptions::from_start().retry(quick().longest(Duration::from_millis(50)));
        if told {
            options = options.report_outages();
        }
        let mut watch = Watch::open(store.events(), options).await.unwrap();
        store.faults().unavailable.store(20, Ordering::Relaxed);
        if told {
            for failed in 1..=20 {
                let error = watch.next().await.unwrap().unwrap_err();
                assert!(
                    matches!(error, WatchError::Outage { attempt, .. } if attempt == failed),
                    "{error:?}"
                );
                assert!(error.goes_on() && !watch.is_terminated());
            }
        }
        assert_eq!(next_event(&mut watch).await, 1);
        assert_eq!(store.faults().unavailable.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_get_better_ends_it_after_a_few_attempts() {
    for (failures, ends) in [(3, false), (4, true)] {
        let store = TestStore::new();
        note(&store, [1]).await;
        let options = WatchOptions::from_start().retry(RetryPolicy::new().retries(3));
        let mut watch = Watch::open(store.events(), options).await.unwrap();
        store.faults().corrupt.store(failures, Ordering::Relaxed);
        let first = watch.next().await.unwrap();
        if ends {
            let error = first.unwrap_err();
            assert!(matches!(error, WatchError::Store(_)), "{error:?}");
            assert!(!error.goes_on() && watch.is_terminated());
            assert!(watch.next().await.is_none());
        } else {
            assert!(matches!(first.unwrap(), Watched::Event(_)));
        }
    }
}

#[tokio::test]
async fn a_store_that_panics_ends_it_visibly() {
    let store = TestStore::new();
    note(&store, [1]).await;
    let mut watch = Watch::open(store.events(), WatchOptions::from_start())
        .await
        .unwrap();
    store.faults().panics.store(true, Ordering::Relaxed);
    let error = in_time(watch.next()).await.unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the feed was interrupted: the store panics"
    );
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn to_drop_it_frees_everything() {
    let store = TestStore::new();
    note(&store, 0..100).await;
    let events = store.events();
    let left: Weak<dyn EventStore> = Arc::downgrade(&events);
    // One with a page in hand, and one that waits for more.
    let mut full = Watch::open(events.clone(), WatchOptions::from_start())
        .await
        .unwrap();
    next_event(&mut full).await;
    let mut waiting = Watch::open(events, WatchOptions::from_head())
        .await
        .unwrap();
    assert!(matches!(next(&mut waiting).await, Watched::CaughtUp { .. }));
    assert!(waiting.next().now_or_never().is_none());
    drop((full, waiting));
    in_time(async {
        while left.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn it_outlives_the_manager_that_it_came_from() {
    let store = TestStore::new();
    let manager = store.manager();
    let mut watch = manager.watch(WatchOptions::from_head()).await.unwrap();
    drop(manager);
    note(&store, [1]).await;
    assert_eq!(next_event(&mut watch).await, 1);
}

#[tokio::test]
async fn typed_feeds_decode_and_go_on_after_what_they_cannot() {
    let store = TestStore::new();
    note(&store, [1]).await;
    ignore(&store, [2]).await;
    append(&store, &[Mangled { text: "?".into() }]).await;
    note(&store, [4]).await;
    let manager = store.manager();
    let watch = manager.watch_events::<Noted>(WatchOptions::from_start());
    let mut watch = watch.await.unwrap();
    let first = in_time(watch.next()).await.unwrap().unwrap();
    assert_eq!(first.into_event().unwrap().event(), &Noted { n: 1 });
    let error = in_time(watch.next()).await.unwrap().unwrap_err();
    assert!(
        matches!(&error, WatchError::Decode(decode) if decode.position().get() == 3),
        "{error:?}"
    );
    assert!(error.goes_on());
    let options = WatchOptions::after_checkpoint(watch.checkpoint());
    let last = in_time(StreamExt::next(&mut watch)).await.unwrap().unwrap();
    assert_eq!(last.into_event().unwrap().event(), &Noted { n: 4 });

    let again = TypedWatch::<Noted>::open(store.events(), Decoder::new(), options);
    let again = again.await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(again.into_event().unwrap().event(), &Noted { n: 4 });
}

#[tokio::test]
async fn to_begin_at_the_head_does_not_cost_the_others_their_ring() {
    let store = TestStore::new();
    let feed = LogFeed::new(store.events(), 100, Duration::from_secs(3600));
    let (all, mark) = (EventFilter::all(), store.change());
    // The ring begins here, at the start of the log.
    feed.read(Position::START, &all, 10, mark).await.unwrap();
    note(&store, 0..50).await;
    let mut watch = Watch::on(feed.clone(), WatchOptions::from_head())
        .await
        .unwrap();
    assert!(matches!(next(&mut watch).await, Watched::CaughtUp { .. }));
    let reads = store.faults().reads.load(Ordering::Relaxed);
    let page = feed
        .read(Position::START, &all, 100, store.change())
        .await
        .unwrap();
    assert_eq!(page.events().len(), 50);
    let read_since = store.faults().reads.load(Ordering::Relaxed) - reads;
    assert_eq!(read_since, 0, "all of it is in the ring");

    // Who claims to be where no event is, is given what comes after it: nothing, and not for ever.
    let beyond = Position::new(60).unwrap();
    let read = feed.read(beyond, &all, 10, store.change());
    assert_eq!(in_time(read).await.unwrap().scanned(), None);
    let read = feed.read(Position::START, &all, 100, store.change());
    assert_eq!(in_time(read).await.unwrap().events().len(), 50);
}

#[tokio::test]
async fn a_watch_polls_as_often_as_the_manager() {
    let store = TestStore::new();
    store.faults().silent.store(true, Ordering::Relaxed);
    let manager = SubscriptionManager::builder(store.events(), store.checkpoints())
        .poll_interval(Duration::from_millis(2))
        .build();
    let mut watch = manager.watch(WatchOptions::from_head()).await.unwrap();
    assert!(matches!(next(&mut watch).await, Watched::CaughtUp { .. }));
    // As by another process: nobody tells of it.
    note(&store, [1]).await;
    assert_eq!(next_event(&mut watch).await, 1);
}
