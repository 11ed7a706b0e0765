//! What is outside is away for long: a breaker's trials are no attempts at the events that happen to be tried, but for those that may be
//! at fault themselves.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use uno_core::{BoxError, Envelope};
use uno_events::{
    CallError, CircuitBreaker, HandlerCall, HandlerLayer, Layers, Replay, Retry, RetryPolicy,
    Subscription, SubscriptionState,
};

use super::support::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// What is outside, and what it does with an event.
#[derive(Clone)]
struct Outside {
    /// What it says to this event, if it refuses it.
    refuses: Arc<dyn Fn(u32) -> Option<String> + Send + Sync>,
    seen: Seen,
}

impl Outside {
    fn new(refuses: impl Fn(u32) -> Option<String> + Send + Sync + 'static) -> Self {
        Self {
            refuses: Arc::new(refuses),
            seen: Seen::default(),
        }
    }

    /// One that is away until it is told otherwise.
    fn away() -> (Self, Arc<AtomicBool>) {
        let back = Arc::<AtomicBool>::default();
        let is_back = Arc::clone(&back);
        let refuses = move |n| {
            let away = !is_back.load(Ordering::Relaxed);
            away.then(|| format!("mail server refused letter {n}"))
        };
        (Self::new(refuses), back)
    }

    /// A subscription that gives an event so many attempts.
    fn subscription(&self, layers: &Layers, attempts: u32) -> Subscription {
        let outside = self.clone();
        let handler = layers.around(move |event: Arc<Envelope<Noted>>| {
            let n = event.event().n;
            let refused = (outside.refuses)(n);
            if refused.is_none() {
                outside.seen.push(n);
            }
            async move { refused.map_or(Ok(()), |error| Err(error.into())) }
        });
        Subscription::handler(name("a"), Replay::Safe, handler).retry(quick().retries(attempts - 1))
    }
}

/// Twenty events, each of a stream of its own.
async fn store() -> TestStore {
    let store = TestStore::timed();
    for n in 1..=20 {
        note_in(&store, &format!("thing-{n}"), n).await;
    }
    store
}

/// How many events an outage parks that is shorter than what a breaker bears with, and what is handled when it is over.
async fn parked_in_an_outage(breaker: impl HandlerLayer) -> (u64, Vec<u32>) {
    let store = store().await;
    let (outside, back) = Outside::away();
    let manager = store.manager();
    let subscription = outside.subscription(&Layers::new().layer(breaker), 3);
    manager.subscribe(subscription).unwrap();
    manager.start_all().await.unwrap();
    tokio::time::sleep(50 * MINUTE).await;
    back.store(true, Ordering::Relaxed);
    manager.until_idle().await.unwrap();
    let parked = status(&manager, "a").await.parked().unwrap();
    (parked, outside.seen.all())
}

#[tokio::test(start_paused = true)]
async fn an_outage_parks_no_event_but_the_one_that_may_be_its_cause() {
    // The first has been tried three times before anything else was: nobody knows yet that it is not to blame.
    let (parked, handled) = parked_in_an_outage(CircuitBreaker::with(2, MINUTE)).await;
    assert_eq!((parked, handled), (1, (2..=20).collect()));
    // It is the breaker that sees to it: one whose trials are all attempts parks one event after the other.
    let (parked, _) = parked_in_an_outage(Naive::default()).await;
    assert!(parked > 10, "{parked}");
    let impatient = CircuitBreaker::with(2, MINUTE).outages_up_to(Duration::ZERO);
    let (parked, _) = parked_in_an_outage(impatient).await;
    assert!(parked > 10, "{parked}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_known_through_the_layers_around_the_breaker() {
    let store = store().await;
    let (outside, back) = Outside::away();
    // The retries beyond the trial meet a circuit that is open again.
    let layers = Layers::new()
        .layer(Retry::by(RetryPolicy::new().retries(3).base(SECOND)))
        .layer(CircuitBreaker::with(2, MINUTE));
    let manager = store.manager();
    manager
        .subscribe(outside.subscription(&layers, 3).no_time_limit())
        .unwrap();
    manager.start_all().await.unwrap();
    tokio::time::sleep(50 * MINUTE).await;
    back.store(true, Ordering::Relaxed);
    manager.until_idle().await.unwrap();
    assert_eq!(status(&manager, "a").await.parked(), Some(1));
    assert_eq!(outside.seen.all(), (2..=20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn bad_events_that_fail_alike_are_held_for_an_outage_and_then_parked() {
    let store = store().await;
    let start = Instant::now();
    let bad = |n: u32| (n <= 3).then(|| format!("letter {n} has no address"));
    let outside = Outside::new(bad);
    let breaker = CircuitBreaker::with(1, 10 * SECOND).outages_up_to(10 * MINUTE);
    let manager = store.manager();
    manager
        .subscribe(outside.subscription(&Layers::new().layer(breaker), 2))
        .unwrap();
    manager.start_all().await.unwrap();
    until(async || status(&manager, "a").await.state() == &SubscriptionState::CaughtUp).await;
    let took = start.elapsed();
    assert!(took > 10 * MINUTE && took < 13 * MINUTE, "{took:?}");
    assert_eq!(status(&manager, "a").await.parked(), Some(3));
    assert_eq!(outside.seen.all(), (4..=20).collect::<Vec<_>>());
    for n in 1..=3 {
        let key = manager.parked_key(&name("a"), &format!("thing-{n}")).await;
        assert_eq!(key.unwrap().unwrap().failure().attempts(), 2, "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn bad_events_that_fail_in_their_own_ways_are_no_outage() {
    let store = store().await;
    let start = Instant::now();
    let outside = Outside::new(|n| match n {
        1 => Some("no address".to_owned()),
        2 => Some("no sender".to_owned()),
        _ => None,
    });
    let breaker = CircuitBreaker::with(1, 10 * SECOND);
    let manager = store.manager();
    manager
        .subscribe(outside.subscription(&Layers::new().layer(breaker), 2))
        .unwrap();
    manager.start_all().await.unwrap();
    until(async || status(&manager, "a").await.state() == &SubscriptionState::CaughtUp).await;
    assert!(start.elapsed() < 2 * MINUTE, "{:?}", start.elapsed());
    assert_eq!(status(&manager, "a").await.parked(), Some(2));
    assert_eq!(outside.seen.all(), (3..=20).collect::<Vec<_>>());
}

/// A breaker by hand, as a user may write one: two failures in a row open it for a minute, and each trial is an attempt.
#[derive(Default)]
struct Naive(Mutex<(u32, Option<Instant>)>);

impl HandlerLayer for Naive {
    async fn handle(&self, call: HandlerCall<'_>) -> Result<(), BoxError> {
        let open = self.0.lock().unwrap().1;
        if let Some(rest) = open.and_then(|until| until.checked_duration_since(Instant::now()))
            && !rest.is_zero()
        {
            return Err(CallError::CircuitOpen(rest).into());
        }
        let result = call.next().await;
        let mut now = self.0.lock().unwrap();
        now.0 = if result.is_ok() { 0 } else { now.0 + 1 };
        now.1 = (now.0 >= 2).then(|| Instant::now() + MINUTE);
        result
    }
}
