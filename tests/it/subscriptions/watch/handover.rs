//! Watchers that come at any time, are slow and lose patience are given what is in the log, while writers append.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use uno_core::{
    EventFilter, EventName, EventStore, EventStoreExt as _, ExpectedVersion, Position,
    RecordedEvent,
};
use uno_events::{LogFeed, Watch, WatchOptions, Watched};
use uno_testkit::conformance::Harness as _;

use super::{super::support::*, whole_log};
use crate::{postgres::PgHarness, sqlite::SqliteHarness, support::rest::in_time};

/// Up to where a watcher must come, once that is known.
type End = tokio::sync::watch::Receiver<Option<Position>>;

/// A watcher that loses patience, is slow, or is opened anew where it was, by chance.
struct Watcher {
    feed: LogFeed,
    filter: EventFilter,
    rng: fastrand::Rng,
    end: End,
    watch: Watch,
    caught_up: bool,
}

impl Watcher {
    async fn open(feed: LogFeed, seed: u64, end: End) -> (Self, Position) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let filter = match rng.u8(0..3) {
            0 => EventFilter::all(),
            1 => EventFilter::all().names([EventName::new("noted").unwrap()]),
            _ => EventFilter::all().names([EventName::new("nobody").unwrap()]),
        };
        let head = feed.store().head().await.unwrap().position();
        let options = match rng.u8(0..3) {
            0 => WatchOptions::from_start(),
            1 => WatchOptions::from_head(),
            _ => WatchOptions::after(Position::new(rng.u64(0..=head.get())).unwrap()),
        };
        let options = Self::settings(&mut rng, options).filter(filter.clone());
        let watch = Watch::on(feed.clone(), options).await.unwrap();
        let from = watch.checkpoint().position();
        let watcher = Self {
            feed,
            filter,
            rng,
            end,
            watch,
            caught_up: false,
        };
        (watcher, from)
    }

    fn settings(rng: &mut fastrand::Rng, options: WatchOptions) -> WatchOptions {
        options
            .page_size(rng.usize(1..50))
            .fell_behind_at(rng.u64(0..50))
            .poll_interval(Duration::from_millis(2))
    }

    /// Watches until it has come to the end, and tells what it was given.
    async fn run(mut self) -> Vec<Arc<RecordedEvent>> {
        let mut given = Vec::new();
        while !self.has_ended() {
            match self.item().await {
                Some(Watched::Event(event)) => {
                    assert!(self.watch.checkpoint().position() >= event.position());
                    given.push(event);
                }
                Some(Watched::CaughtUp { position }) => {
                    assert!(!self.caught_up, "told twice");
                    self.caught_up = true;
                    assert_eq!(position, self.watch.checkpoint().position());
                }
                Some(Watched::FellBehind { position, head }) => {
                    assert!(self.caught_up && head > position);
                    self.caught_up = false;
                }
                Some(other) => panic!("{other:?}"),
                None => {}
            }
            if self.rng.u8(0..60) == 0 {
                self.come_back().await;
            }
            for _ in 0..self.rng.u8(0..4) {
                tokio::task::yield_now().await;
            }
        }
        given
    }

    /// Opens the watch anew where it was, as a client does whose connection was lost.
    async fn come_back(&mut self) {
        let options = WatchOptions::after_checkpoint(self.watch.checkpoint());
        let options = Self::settings(&mut self.rng, options).filter(self.filter.clone());
        self.watch = Watch::on(self.feed.clone(), options).await.unwrap();
        self.caught_up = false;
    }

    /// The next item; nothing when patience is lost, or when there is no more to come.
    async fn item(&mut self) -> Option<Watched> {
        if self.rng.u8(0..4) == 0 {
            return self
                .watch
                .next()
                .now_or_never()
                .map(|item| item.unwrap().unwrap());
        }
        // Beyond the last event there is none to be awaited, and a filter may keep the last ones back.
        let waited = tokio::time::timeout(Duration::from_millis(5), self.watch.next()).await;
        waited.ok().map(|item| item.unwrap().unwrap())
    }

    fn has_ended(&self) -> bool {
        let end = *self.end.borrow();
        end.is_some_and(|end| self.watch.checkpoint().position() >= end)
    }
}

/// What every watcher was given is what the log has after the place that it began at.
async fn check(
    store: &dyn EventStore,
    watchers: Vec<(EventFilter, Position, Vec<Arc<RecordedEvent>>)>,
    seed: u64,
) {
    let log = whole_log(store).await;
    for (number, (filter, from, given)) in watchers.into_iter().enumerate() {
        let wanted: Vec<_> = log
            .iter()
            .filter(|event| event.position() > from && filter.matches(event))
            .cloned()
            .collect();
        assert!(
            given == wanted,
            "seed {seed}, watcher {number} from {from}: {} of {}",
            given.len(),
            wanted.len()
        );
    }
}

/// Watchers that come while writers append, and a few that were there before.
async fn watchers_agree_with_the_log(
    store: Arc<dyn EventStore>,
    capacity: usize,
    writers: u32,
    rounds: u32,
    seed: u64,
) {
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..rng.u8(0..20) {
        write(&*store, &mut rng, 0).await;
    }
    let feed = LogFeed::new(store.clone(), capacity, Duration::from_millis(1));
    let (ended, end) = tokio::sync::watch::channel(None);
    let mut writing = Vec::new();
    for writer in 0..writers {
        let (store, mut rng) = (store.clone(), rng.fork());
        writing.push(tokio::spawn(async move {
            for _ in 0..rounds {
                write(&*store, &mut rng, writer).await;
                for _ in 0..rng.u8(0..6) {
                    tokio::task::yield_now().await;
                }
            }
        }));
    }
    let mut watching = Vec::new();
    for _ in 0..8 {
        let (watcher, from) = Watcher::open(feed.clone(), rng.u64(..), end.clone()).await;
        let filter = watcher.filter.clone();
        watching.push((filter, from, tokio::spawn(watcher.run())));
        for _ in 0..rng.u8(0..40) {
            tokio::task::yield_now().await;
        }
    }
    for writer in writing {
        in_time(writer).await.unwrap();
    }
    ended.send_replace(Some(store.head().await.unwrap().position()));
    let mut watchers = Vec::new();
    for (filter, from, watching) in watching {
        let given = match in_time(watching).await {
            Ok(given) => given,
            Err(error) => panic!("seed {seed}: {error}"),
        };
        watchers.push((filter, from, given));
    }
    check(&*store, watchers, seed).await;
}

/// Some events to the stream of a writer.
async fn write(store: &dyn EventStore, rng: &mut fastrand::Rng, writer: u32) {
    let stream = format!("thing-{writer}").parse().unwrap();
    let count = rng.u32(1..6);
    let appended = if rng.bool() {
        let events: Vec<_> = (0..count).map(|n| Noted { n }).collect();
        store
            .append_events(stream, ExpectedVersion::Any, &events)
            .await
    } else {
        let events: Vec<_> = (0..count).map(|n| Ignored { n }).collect();
        store
            .append_events(stream, ExpectedVersion::Any, &events)
            .await
    };
    appended.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_watchers_are_given_what_is_in_the_log() {
    for round in 0..6 {
        for capacity in [1, 20, 10_000] {
            // Other cases in each run; what failed is tried again by putting its seed here.
            let seed = fastrand::u64(..);
            let store = TestStore::with_gaps(seed).events();
            watchers_agree_with_the_log(store, capacity, 1 + round % 3, 60, seed).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_appends_in_sqlite_are_handed_over() {
    let harness = SqliteHarness {
        gaps: Some(11),
        readers: 2,
    };
    for seed in [fastrand::u64(..), fastrand::u64(..)] {
        let (store, guard) = harness.open().await.unwrap();
        watchers_agree_with_the_log(store, 20, 4, 30, seed).await;
        harness.close(guard).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_appends_in_postgres_are_handed_over() {
    let harness = PgHarness::plain();
    for seed in [fastrand::u64(..), fastrand::u64(..)] {
        let (store, guard) = harness.open().await.unwrap();
        watchers_agree_with_the_log(store, 20, 4, 30, seed).await;
        harness.close(guard).await;
    }
}
