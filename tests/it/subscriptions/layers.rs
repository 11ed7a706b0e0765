//! Layers around a handler that a durable subscription runs: what counts as an attempt, and what an open circuit does to a lane.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;
use uno_core::{BoxError, Envelope, ParkedKey};
use uno_events::{
    CircuitBreaker, CircuitState, HandlerCall, HandlerLayer, HandlerMetrics, Layers, Logging,
    Replay, Retry, RetryPolicy, SharedHandler, Subscription, SubscriptionManager,
    SubscriptionState, Timeout, Tracing,
};
use uno_testkit::faults::{HandlerFault, HandlerFaults};

use super::support::*;

const SECOND: Duration = Duration::from_secs(1);

/// Retries of a layer that do not wait.
fn at_once(retries: u32) -> Retry {
    Retry::by(RetryPolicy::new().retries(retries).base(Duration::ZERO))
}

/// A handler with these layers and faults further within than all of them, and what it has handled.
fn handler(layers: Layers, faults: &HandlerFaults) -> (SharedHandler<Noted>, Seen) {
    let numbers = Seen::default();
    let seen = numbers.clone();
    let layers = layers.layer(faults.clone());
    let handler = layers.around(move |event: Arc<Envelope<Noted>>| {
        seen.push(event.event().n);
        async { Ok(()) }
    });
    (handler, numbers)
}

fn subscription(handler: SharedHandler<Noted>, retries: u32) -> Subscription {
    Subscription::handler(name("a"), Replay::Safe, handler).retry(quick().retries(retries))
}

/// Returns when so many events are parked.
async fn until_parked(manager: &SubscriptionManager, events: u64) {
    until(async || status(manager, "a").await.parked() == Some(events)).await;
}

async fn parked(manager: &SubscriptionManager, key: &str) -> ParkedKey {
    manager.parked_key(&name("a"), key).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_retries_of_a_layer_are_one_attempt_of_the_subscription() {
    let store = TestStore::timed();
    let (calls, attempts) = (HandlerMetrics::new(), HandlerMetrics::new());
    let faults = HandlerFaults::none().always(HandlerFault::Fails);
    let layers = Layers::new()
        .layer(calls.clone())
        .layer(at_once(2))
        .layer(attempts.clone());
    let (handler, handled) = handler(layers, &faults);
    let manager = store.manager();
    manager.subscribe(subscription(handler, 1)).unwrap();
    note_in(&store, "thing-1", 1).await;
    manager.start_all().await.unwrap();
    until_parked(&manager, 1).await;

    // Two attempts of the subscription, each of three of the layer.
    let parked = parked(&manager, "thing-1").await;
    assert_eq!(parked.failure().attempts(), 2);
    assert_eq!(parked.failure().error(), "planned failure");
    assert_eq!((calls.counts().calls(), attempts.counts().calls()), (2, 6));
    assert_eq!((faults.calls(), handled.all().len()), (6, 0));
    let counts = status(&manager, "a").await.counts();
    assert_eq!((counts.failed(), counts.retried()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_works_within_is_no_trouble_of_the_subscription() {
    let store = TestStore::timed();
    let faults = HandlerFaults::none()
        .nth(2, HandlerFault::Fails)
        .nth(3, HandlerFault::Panics)
        .nth(4, HandlerFault::Hangs);
    let layers = Layers::new()
        .layer(at_once(3))
        .layer(Timeout::after(SECOND));
    let (handler, handled) = handler(layers, &faults);
    let manager = store.manager();
    manager.subscribe(subscription(handler, 0)).unwrap();
    note(&store, 1..=3).await;
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(handled.all(), [1, 2, 3]);
    assert_eq!(faults.calls(), 6);
    let counts = status(&manager, "a").await.counts();
    assert_eq!(
        (counts.handled(), counts.failed(), counts.retried()),
        (3, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_timeout_within_a_retry_is_an_attempt_and_the_one_of_the_subscription_is_for_all() {
    let check = async |limit: Option<Duration>, expected: (usize, u64)| {
        let store = TestStore::timed();
        let faults = HandlerFaults::none()
            .nth(1, HandlerFault::Hangs)
            .nth(2, HandlerFault::Hangs);
        let layers = Layers::new()
            .layer(at_once(2))
            .layer(Timeout::after(SECOND));
        let (handler, handled) = handler(layers, &faults);
        let subscription = subscription(handler, 1);
        let manager = store.manager();
        manager
            .subscribe(match limit {
                Some(limit) => subscription.time_limit(limit),
                None => subscription.no_time_limit(),
            })
            .unwrap();
        note(&store, [1]).await;
        manager.start_all().await.unwrap();
        manager.until_idle().await.unwrap();
        let counts = status(&manager, "a").await.counts();
        assert_eq!(
            (handled.all().len(), counts.failed()),
            expected,
            "{limit:?}"
        );
    };
    // Three attempts of a layer, two of which hang for a second: within one attempt of the subscription.
    check(None, (1, 0)).await;
    check(Some(3 * SECOND), (1, 0)).await;
    // The first is cut off while the layer waits for its second attempt, and the second succeeds at once.
    check(Some(SECOND + SECOND / 2), (1, 1)).await;
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_holds_the_lane_and_parks_nobody() {
    let store = TestStore::timed();
    let breaker = CircuitBreaker::with(2, 60 * SECOND);
    let faults = HandlerFaults::none().always(HandlerFault::Fails);
    let (handler, handled) = handler(Layers::new().layer(breaker.clone()), &faults);
    let manager = store.manager();
    manager.subscribe(subscription(handler, 5)).unwrap();
    for n in 1..=20 {
        note_in(&store, &format!("thing-{n}"), n).await;
    }
    manager.start_all().await.unwrap();
    while !matches!(breaker.state(), CircuitState::Open(_)) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // What is outside is down, and the breaker knows: the lane waits at the first event, and comes back after each rest.
    let start = Instant::now();
    while !is_held(&manager).await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(50 * SECOND).await;
    assert_eq!(faults.calls(), 2, "it is left alone");
    assert!(is_held(&manager).await);
    faults.heal();
    manager.until_idle().await.unwrap();
    let took = start.elapsed();
    assert!(took >= 59 * SECOND && took < 70 * SECOND, "{took:?}");
    assert_eq!(handled.all(), (1..=20).collect::<Vec<_>>());
    let status = status(&manager, "a").await;
    assert_eq!(status.parked(), Some(0));
    assert_eq!(status.state(), &SubscriptionState::CaughtUp);
}

/// Whether the lane says that the circuit is why it does not go on.
async fn is_held(manager: &SubscriptionManager) -> bool {
    match status(manager, "a").await.state() {
        SubscriptionState::Retrying { error, .. } => error.contains("circuit is open"),
        _ => false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_event_behind_a_breaker_is_parked_after_its_attempts_and_no_other() {
    // With all the layers: the breaker opens because of the one event, and each trial is an attempt at it.
    let store = TestStore::timed();
    let metrics = HandlerMetrics::new();
    let numbers = Seen::default();
    let seen = numbers.clone();
    let handler = Layers::standard(metrics.clone()).around(move |event: Arc<Envelope<Noted>>| {
        let n = event.event().n;
        seen.push(n);
        async move {
            if n == 2 {
                Err("it is bad".into())
            } else {
                Ok(())
            }
        }
    });
    let manager = store.manager();
    let subscription = subscription(handler, 3).no_time_limit();
    manager.subscribe(subscription).unwrap();
    for n in 1..=10 {
        note_in(&store, &format!("thing-{n}"), n).await;
    }
    manager.start_all().await.unwrap();
    until_parked(&manager, 1).await;
    while status(&manager, "a").await.state() != &SubscriptionState::CaughtUp {
        tokio::time::sleep(SECOND).await;
    }
    let status = status(&manager, "a").await;
    assert_eq!(status.parked(), Some(1), "the others were only in its way");
    assert_eq!(parked(&manager, "thing-2").await.failure().attempts(), 4);
    let mut handled = numbers.all();
    // Four calls at the first attempt, one at the second, with which the circuit opens, and one for each trial.
    assert_eq!(handled.iter().filter(|n| **n == 2).count(), 7);
    handled.retain(|n| *n != 2);
    assert_eq!(handled, [1, 3, 4, 5, 6, 7, 8, 9, 10]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_retried_on_request_waits_for_an_open_circuit_too() {
    let store = TestStore::timed();
    let breaker = CircuitBreaker::with(1, 60 * SECOND);
    let faults = HandlerFaults::none().nth(1, HandlerFault::Fails);
    let (handler, handled) = handler(Layers::new().layer(breaker.clone()), &faults);
    let manager = store.manager();
    manager.subscribe(subscription(handler, 0)).unwrap();
    note_in(&store, "thing-1", 1).await;
    manager.start_all().await.unwrap();
    until_parked(&manager, 1).await;
    manager.retry_parked(&name("a"), "thing-1").await.unwrap();
    while !is_held(&manager).await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(faults.calls(), 1);
    manager.until_idle().await.unwrap();
    assert_eq!(handled.all(), [1]);
    assert_eq!(status(&manager, "a").await.parked(), Some(0));
}

/// Notes who a layer takes the handler for, and how it ended.
struct Noting(Arc<Mutex<Vec<String>>>);

impl HandlerLayer for Noting {
    async fn handle(&self, call: HandlerCall<'_>) -> Result<(), BoxError> {
        let result = call.next().await;
        let note = format!(
            "{} {} {} {}",
            call.handler().unwrap_or("?"),
            call.event().name(),
            call.attempts(),
            result.is_ok()
        );
        self.0.lock().unwrap().push(note);
        result
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_logging_and_tracing_see_each_call_of_the_subscription() {
    let store = TestStore::timed();
    let notes = Arc::<Mutex<Vec<String>>>::default();
    let metrics = HandlerMetrics::new();
    let faults = HandlerFaults::none()
        .nth(2, HandlerFault::Fails)
        .nth(3, HandlerFault::Panics)
        .nth(5, HandlerFault::Delay(SECOND));
    let layers = Layers::new()
        .named("mail")
        .layer(Noting(Arc::clone(&notes)))
        .layer(Tracing::new())
        .layer(Logging::new())
        .layer(metrics.clone());
    let (handler, handled) = handler(layers, &faults);
    let manager = store.manager();
    manager.subscribe(subscription(handler, 3)).unwrap();
    note(&store, 1..=3).await;
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(handled.all(), [1, 2, 3]);
    assert_eq!(
        *notes.lock().unwrap(),
        [
            "mail noted 1 true",
            "mail noted 0 false",
            "mail noted 0 false",
            "mail noted 1 true",
            "mail noted 1 true",
        ]
    );
    let counts = metrics.counts();
    assert_eq!(
        (
            counts.calls(),
            counts.handled(),
            counts.failed(),
            counts.panicked()
        ),
        (5, 3, 1, 1)
    );
    let longest = metrics.durations().quantile(1.0).unwrap();
    assert!(longest >= SECOND, "{longest:?}");
}
