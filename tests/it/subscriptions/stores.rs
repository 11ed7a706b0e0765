//! Sharing and parking on every store, and processes that die at any call to it.

use std::{
    collections::BTreeMap,
    num::NonZeroU16,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::task::JoinHandle;
use uno_core::{
    Backend, Commit, Decoder, DocumentWrite, EventFilter, EventName, EventStore, Payload,
};
use uno_events::{
    Batch, ConsumeError, Consumer, Replay, RetryPolicy, Subscription, SubscriptionManager,
    SubscriptionState,
};
use uno_testkit::{
    conformance::{BackendHarness, Harness},
    faults::{Call, Fault, FaultStore, Faults, at_every},
};

use super::support::{Noted, name, note_in, status};
use crate::support::rest::in_time;

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

const EFFECTS: &str = "effects";

/// Keeps, under each stream, the numbers that took effect, in order. Fails at a number until it is mended.
#[derive(Debug)]
pub(super) struct Effects<B> {
    store: Arc<B>,
    fails_at: u32,
    mended: Arc<AtomicBool>,
}

impl<B> Effects<B> {
    /// One that never fails.
    pub(super) fn sound(store: &Arc<B>) -> Self {
        Self {
            store: Arc::clone(store),
            fails_at: 0,
            mended: Arc::default(),
        }
    }
}

impl<B: Backend> Effects<B> {
    pub(super) fn subscription(self, subscription: &str) -> Subscription {
        let retry = RetryPolicy::new()
            .retries(1)
            .base(Duration::from_micros(100));
        Subscription::new(name(subscription), Replay::Safe, Arc::new(self))
            .batch_size(3)
            .retry(retry)
            .start_at_head()
    }
}

#[async_trait]
impl<B: Backend> Consumer for Effects<B> {
    fn filter(&self) -> EventFilter {
        EventFilter::all().names([EventName::new("noted").unwrap()])
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        let (events, checkpoint) = batch.into_parts();
        let mut by_stream: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for event in &events {
            let noted = Decoder::new().decode::<Noted>(event)?;
            let n = noted.event().n;
            if n == self.fails_at && !self.mended.load(Ordering::Relaxed) {
                return Err(ConsumeError::Handler {
                    position: event.position(),
                    source: "broken".into(),
                });
            }
            let of = by_stream.entry(event.stream().to_string()).or_default();
            of.push(n);
        }
        let keys: Vec<String> = by_stream.keys().cloned().collect();
        if !keys.is_empty() {
            for document in self.store.load_documents(EFFECTS, &keys).await? {
                let before: Vec<u32> = serde_json::from_str(document.body().as_str()).unwrap();
                if let Some(of) = by_stream.get_mut(document.key()) {
                    of.splice(0..0, before);
                }
            }
        }
        let mut commit = Commit::new();
        for (stream, numbers) in by_stream {
            let body = Payload::encode(&numbers).unwrap();
            commit
                .documents
                .push(DocumentWrite::put(EFFECTS, stream, body));
        }
        commit.checkpoints.push(checkpoint);
        self.store.commit(commit).await?;
        Ok(())
    }
}

/// What took effect in a stream.
pub(super) async fn effects<B: Backend>(store: &B, stream: &str) -> Vec<u32> {
    let key = [stream.to_owned()];
    let found = store.load_documents(EFFECTS, &key).await.unwrap();
    found.first().map_or_else(Vec::new, |document| {
        serde_json::from_str(document.body().as_str()).unwrap()
    })
}

pub(super) fn manager<B: Backend>(
    store: &Arc<B>,
    instance: &str,
    lease: Duration,
) -> SubscriptionManager {
    SubscriptionManager::builder(Arc::clone(store) as _, Arc::clone(store) as _)
        .instance(instance)
        .lease(lease)
        .poll_interval(Duration::from_millis(5))
        .build()
}

/// What has been done of a scenario, whichever process did it.
#[derive(Default)]
struct Progress {
    /// Appends by itself, since it is not the process that dies.
    appending: Option<JoinHandle<()>>,
    parked: bool,
}

/// One process goes on with a scenario, to its end: events of two streams come, one can't be handled and is parked, the consumer is
/// mended, and the parked events are handled.
async fn go_on<B: Backend>(
    manager: &SubscriptionManager,
    inner: &Arc<B>,
    run: &str,
    mended: &AtomicBool,
    progress: &Mutex<Progress>,
) {
    let of = |n: u32| {
        format!(
            "{}-{run}",
            ["bad", "good"][usize::from(n.is_multiple_of(2))]
        )
    };
    // A store that is away for a moment.
    while manager.start_all().await.is_err() {
        tokio::task::yield_now().await;
    }
    let append = || {
        let (inner, streams) = (Arc::clone(inner), (1..=8).map(of).collect::<Vec<_>>());
        tokio::spawn(async move {
            for (n, stream) in (1..).zip(streams) {
                note_in(&*inner, &stream, n).await;
            }
        })
    };
    let appended = || {
        let mut progress = progress.lock().unwrap();
        let appending = progress.appending.get_or_insert_with(append);
        appending.is_finished()
    };
    while !appended() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    idle(manager).await;
    let (subscription, bad) = (name(run), of(1));
    if !progress.lock().unwrap().parked {
        let key = inner.parked_key(&subscription, &bad).await.unwrap();
        let key = key.unwrap_or_else(|| panic!("{run}: not parked"));
        assert_eq!(key.events(), 3, "{run}: 3 and what is behind it");
        progress.lock().unwrap().parked = true;
    }
    mended.store(true, Ordering::Relaxed);
    while inner
        .parked_key(&subscription, &bad)
        .await
        .unwrap()
        .is_some()
    {
        let _ = manager.retry_parked(&subscription, &bad).await;
        idle(manager).await;
    }
}

/// Waits until nothing is to be done, also when the store is away for a moment.
async fn idle(manager: &SubscriptionManager) {
    while manager.until_idle().await.is_err() {
        tokio::task::yield_now().await;
    }
}

/// Whatever befalls whichever call, each event takes effect once and in order, parked or not.
pub(super) async fn faults_anywhere_in_parking_and_retry_double_and_lose_nothing<
    H: BackendHarness,
>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let calls = [
        Call::Commit,
        Call::NoteAttempt,
        Call::ClaimLanes,
        Call::LoadCheckpoint,
        Call::ParkedKey,
        Call::ListRequests,
        Call::Request,
    ];
    let faults = [
        Fault::CrashBefore,
        Fault::CrashAfter,
        Fault::Unavailable,
        Fault::UnknownStored,
    ];
    let mut met = 0;
    for (number_of_call, call) in calls.into_iter().enumerate() {
        for (number_of_fault, fault) in faults.into_iter().enumerate() {
            met += at_every(call, fault, |number, faults| async move {
                let run = format!("c{number_of_call}f{number_of_fault}n{number}");
                let (mended, progress) = (Arc::default(), Mutex::default());
                let faulty = Arc::new(FaultStore::new(Arc::clone(store), faults));
                {
                    let mended = Arc::clone(&mended);
                    let manager = manager(&faulty, "worker", Duration::from_secs(3));
                    let consumer = Effects { store: Arc::clone(&faulty), fails_at: 3, mended: Arc::clone(&mended) };
                    manager.subscribe(consumer.subscription(&run)).unwrap();
                    tokio::select! {
                        () = in_time(go_on(&manager, store, &run, &mended, &progress)) => manager.stop_all().await,
                        () = faulty.crashed() => {}
                    }
                }
                let calls = faulty.calls(call);
                // Another one brings it to its end.
                let manager = manager(store, "worker", Duration::from_secs(3));
                let consumer = Effects { store: Arc::clone(store), fails_at: 3, mended: Arc::clone(&mended) };
                manager.subscribe(consumer.subscription(&run)).unwrap();
                in_time(go_on(&manager, store, &run, &mended, &progress)).await;
                manager.stop_all().await;
                let what = format!("{fault:?} at {call:?} {number}");
                assert_eq!(effects(&**store, &format!("bad-{run}")).await, [1, 3, 5, 7], "{what}");
                assert_eq!(effects(&**store, &format!("good-{run}")).await, [2, 4, 6, 8], "{what}");
                calls
            })
            .await;
        }
    }
    assert!(met > 50, "only {met} faults were met");
}

/// Two processes share the lanes; one dies, and the other has them all once the lease has run out.
pub(super) async fn lanes_are_shared_and_taken_over<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let lease = Duration::from_millis(300);
    let lanes = NonZeroU16::new(4).unwrap();
    let start = |store: &Arc<FaultStore<H::Store>>, instance: &str| {
        let manager = manager(store, instance, lease);
        manager
            .subscribe(Effects::sound(store).subscription("shared").lanes(lanes))
            .unwrap();
        manager
    };
    let one = Arc::new(FaultStore::new(Arc::clone(store), Faults::none()));
    let first = start(&one, "one");
    first.start_all().await.unwrap();
    let other = Arc::new(FaultStore::new(Arc::clone(store), Faults::none()));
    let second = start(&other, "other");
    second.start_all().await.unwrap();
    let mut n = 0;
    let mut append = async || {
        n += 1;
        note_in(&**store, &format!("thing-{}", n % 10), n).await;
    };
    in_time(async {
        loop {
            append().await;
            // A store in memory never waits.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let here = async |manager| {
                let status = status(manager, "shared").await;
                status.lanes().iter().filter(|lane| lane.is_here()).count()
            };
            if (here(&first).await, here(&second).await) == (2, 2) {
                return;
            }
        }
    })
    .await;
    for _ in 0..20 {
        append().await;
    }
    let crash = Faults::none()
        .from(Call::Commit, 1, Fault::CrashBefore)
        .from(Call::ClaimLanes, 1, Fault::CrashBefore);
    one.set(crash);
    in_time(one.crashed()).await;
    drop(first);
    for _ in 0..20 {
        append().await;
    }
    in_time(second.until_idle()).await.unwrap();
    let told = status(&second, "shared").await;
    assert!(told.lanes().iter().all(|lane| lane.is_here()));
    assert_eq!(told.state(), &SubscriptionState::CaughtUp);
    second.stop_all().await;
    for stream in 0..10 {
        let expected: Vec<u32> = (1..=n).filter(|n| n % 10 == stream).collect();
        let effects = effects(&**store, &format!("thing-{stream}")).await;
        assert_eq!(effects, expected, "stream {stream}");
    }
}

/// A reset to a time begins with the first event recorded at or after it.
pub(super) async fn a_reset_to_a_time_finds_the_first_event_from_then_on<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    for n in 1..=25 {
        note_in(&**store, "thing-1", n).await;
    }
    let events = crate::support::log(&**store).await;
    let manager = manager(store, "worker", Duration::from_secs(3));
    let seen = super::support::Seen::default();
    manager.subscribe(seen.subscription("a")).unwrap();
    for at in [0, 1, 7, 24] {
        let time = events[at].recorded_at();
        let first = events.iter().position(|event| event.recorded_at() >= time);
        manager.reset_to_time(&name("a"), time).await.unwrap();
        let before = seen.all().len();
        manager.start_all().await.unwrap();
        in_time(manager.until_idle()).await.unwrap();
        manager.stop_all().await;
        let first = u32::try_from(first.unwrap()).unwrap() + 1;
        assert_eq!(
            seen.all()[before..],
            (first..=25).collect::<Vec<_>>(),
            "{at}"
        );
    }
    let end = events[24].recorded_at() + Duration::from_micros(1);
    manager.reset_to_time(&name("a"), end).await.unwrap();
    let head = store.head().await.unwrap().position();
    assert_eq!(status(&manager, "a").await.position(), head);
    let beginning = events[0].recorded_at() - Duration::from_secs(1);
    manager.reset_to_time(&name("a"), beginning).await.unwrap();
    assert_eq!(status(&manager, "a").await.position().get(), 0);
}

/// The cases on one store.
macro_rules! suite {
    ($name:ident, $harness:expr) => {
        mod $name {
            crate::support::on_store!($harness; super:
                faults_anywhere_in_parking_and_retry_double_and_lose_nothing
                lanes_are_shared_and_taken_over
                a_reset_to_a_time_finds_the_first_event_from_then_on);
        }
    };
}

crate::support::on_each_store!(suite);
