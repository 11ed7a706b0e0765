//! Layers around handlers: time limits, retries, circuit breakers, metrics, and one's own.
//!
//! Long because the layers are tried in combination with one another, by the same scripted handler.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use uno_core::{BoxError, Envelope};
use uno_events::{
    CallError, CircuitBreaker, CircuitState, EventBus, HandlerCall, HandlerLayer, HandlerMetrics,
    HandlerOptions, HandlerResult, Layers, Logging, Retry, RetryPolicy, SharedHandler, Timeout,
    Topic, Tracing, handler_fn,
};
use uno_testkit::faults::{HandlerFault, HandlerFaults};

use super::support::*;

const SECOND: Duration = Duration::from_secs(1);

/// What a handler does at each of its calls, in turn; when there is no more to tell, it works.
#[derive(Clone, Copy)]
enum Does {
    Works,
    Fails,
    Panics,
    Hangs,
}
use Does::{Fails, Hangs, Panics, Works};

fn scripted(script: &'static [Does]) -> (SharedHandler<Placed>, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&calls);
    let handler = handler_fn(move |_: Arc<Envelope<Placed>>| {
        let call = counting.fetch_add(1, Ordering::Relaxed) as usize;
        async move {
            match script.get(call).unwrap_or(&Works) {
                Works => Ok(()),
                Fails => Err(BoxError::from("does not work")),
                Panics => panic!("by intent"),
                Hangs => std::future::pending().await,
            }
        }
    });
    (handler, calls)
}

/// A bus with one scripted handler within layers.
fn bus_with(layers: Layers, script: &'static [Does]) -> (EventBus, Arc<AtomicU32>) {
    let (bus, (handler, calls)) = (EventBus::new(), scripted(script));
    bus.subscribe_with("scripted", HandlerOptions::new().layers(layers), handler);
    (bus, calls)
}

/// The one outcome of a publish, and after how many attempts.
async fn outcome(bus: &EventBus) -> (HandlerResult, u32) {
    let published = bus.publish(placed(1)).await;
    let outcome = published.outcomes().next().unwrap();
    assert_eq!(outcome.name(), "scripted");
    (outcome.result().clone(), outcome.attempts())
}

fn failed() -> HandlerResult {
    HandlerResult::Failed("does not work".into())
}

fn in_steps_of(base: Duration, retries: u32) -> Retry {
    Retry::by(RetryPolicy::new().retries(retries).base(base))
}

#[tokio::test(start_paused = true)]
async fn a_retry_tries_three_times_more_with_growing_jittered_waits() {
    let (bus, calls) = bus_with(Layers::new().layer(Retry::new()), &[Fails, Panics, Fails]);
    let start = Instant::now();
    assert_eq!(outcome(&bus).await, (HandlerResult::Handled, 4));
    // One, two and four seconds, each between its half and its whole.
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(3500) && took <= Duration::from_millis(7010),
        "{took:?}"
    );
    assert_eq!(outcome(&bus).await, (HandlerResult::Handled, 1));

    let (bus, calls_of_bad) = bus_with(Layers::new().layer(Retry::new()), &[Fails; 9]);
    assert_eq!(outcome(&bus).await, (failed(), 4));
    assert_eq!(
        (
            calls.load(Ordering::Relaxed),
            calls_of_bad.load(Ordering::Relaxed)
        ),
        (5, 4)
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_failure_of_a_retry_is_what_comes_out() {
    let layers = || Layers::new().layer(in_steps_of(SECOND, 1));
    let check = async |script, expected| {
        let (bus, _) = bus_with(layers(), script);
        assert_eq!(outcome(&bus).await, (expected, 2));
    };
    check(&[Panics, Fails], failed()).await;
    check(
        &[Fails, Panics],
        HandlerResult::Panicked("by intent".into()),
    )
    .await;
    check(&[Fails, Hangs], HandlerResult::TimedOut(30 * SECOND)).await;
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_the_bus_and_of_the_handler_is_for_each_attempt() {
    let check = async |options: HandlerOptions, limit: Duration| {
        let (bus, (handler, _)) = (EventBus::new(), scripted(&[Hangs, Hangs]));
        let layers = Layers::new().layer(in_steps_of(Duration::ZERO, 3));
        bus.subscribe_with("scripted", options.layers(layers), handler);
        let start = Instant::now();
        assert_eq!(outcome(&bus).await, (HandlerResult::Handled, 3));
        let took = start.elapsed();
        assert!(took >= 2 * limit && took < 3 * limit, "{took:?}");
    };
    check(HandlerOptions::new(), 30 * SECOND).await;
    check(HandlerOptions::new().time_limit(SECOND), SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_inside_of_a_retry_is_for_an_attempt_and_outside_for_all() {
    let short = Timeout::after(SECOND);
    let inside = Layers::new().layer(in_steps_of(SECOND, 3)).layer(short);
    let (bus, _) = bus_with(inside, &[Hangs, Hangs]);
    assert_eq!(outcome(&bus).await, (HandlerResult::Handled, 3));

    let outside = Layers::new().layer(short).layer(in_steps_of(SECOND, 3));
    let (bus, _) = bus_with(outside, &[Hangs]);
    let start = Instant::now();
    assert_eq!(outcome(&bus).await, (HandlerResult::TimedOut(SECOND), 1));
    assert!(start.elapsed() < 2 * SECOND);

    let (bus, _) = bus_with(Layers::new().layer(Timeout::new()), &[Hangs]);
    assert_eq!(
        outcome(&bus).await,
        (HandlerResult::TimedOut(30 * SECOND), 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_after_five_failures_in_a_row_and_tries_again_after_thirty_seconds() {
    let breaker = CircuitBreaker::new();
    let (bus, calls) = bus_with(
        Layers::new().layer(breaker.clone()),
        &[
            Fails, Fails, Fails, Fails, Works, Fails, Panics, Fails, Panics, Fails, Fails, Works,
        ],
    );
    for expected in [1, 2, 3, 4] {
        assert_eq!(outcome(&bus).await, (failed(), 1));
        assert_eq!(breaker.state(), CircuitState::Closed { failures: expected });
    }
    assert_eq!(outcome(&bus).await, (HandlerResult::Handled, 1));
    assert_eq!(breaker.state(), CircuitState::Closed { failures: 0 });

    for _ in 0..5 {
        outcome(&bus).await;
    }
    let rest = 30 * SECOND;
    assert_eq!(breaker.state(), CircuitState::Open(rest));
    assert_eq!(outcome(&bus).await, (HandlerResult::CircuitOpen(rest), 0));
    tokio::time::advance(10 * SECOND).await;
    assert_eq!(
        outcome(&bus).await,
        (HandlerResult::CircuitOpen(20 * SECOND), 0)
    );
    assert_eq!(calls.load(Ordering::Relaxed), 10, "it is left alone");

    // A trial that fails opens it for as long again; one that succeeds closes it.
    tokio::time::advance(20 * SECOND).await;
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    assert_eq!(outcome(&bus).await, (failed(), 1));
    assert_eq!(outcome(&bus).await, (HandlerResult::CircuitOpen(rest), 0));
    tokio::time::advance(rest).await;
    assert_eq!(outcome(&bus).await, (HandlerResult::Handled, 1));
    assert_eq!(breaker.state(), CircuitState::Closed { failures: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_half_open_breaker_lets_one_call_through_and_forgets_a_trial_that_was_dropped() {
    let breaker = CircuitBreaker::with(1, SECOND);
    let (bus, calls) = bus_with(Layers::new().layer(breaker.clone()), &[Fails, Hangs, Hangs]);
    outcome(&bus).await;
    tokio::time::advance(SECOND).await;
    {
        let trial = bus.publish(placed(1));
        tokio::pin!(trial);
        assert!(futures_util::poll!(trial.as_mut()).is_pending());
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
        assert_eq!(
            outcome(&bus).await,
            (HandlerResult::CircuitOpen(Duration::ZERO), 0)
        );
    }
    // The trial was dropped and decided nothing: the next call is one again.
    let trial = bus.publish(placed(1));
    tokio::pin!(trial);
    assert!(futures_util::poll!(trial.as_mut()).is_pending());
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_ends_the_retries_outside_of_it() {
    let layers = Layers::new()
        .layer(in_steps_of(SECOND, 20))
        .layer(CircuitBreaker::with(3, 60 * SECOND));
    let (bus, _) = bus_with(layers, &[Fails; 20]);
    let (result, attempts) = outcome(&bus).await;
    assert!(matches!(result, HandlerResult::CircuitOpen(_)), "{result}");
    assert_eq!(attempts, 3);
}

#[tokio::test(start_paused = true)]
async fn a_shared_breaker_opens_for_all_handlers_that_it_is_around() {
    let (bus, breaker) = (EventBus::new(), CircuitBreaker::with(1, SECOND));
    let layers = Layers::new().layer(breaker);
    for name in ["one", "other"] {
        bus.subscribe(name, layers.around(scripted(&[Fails; 9]).0));
    }
    let published = bus.publish(placed(1)).await;
    let expected = [
        ("one", failed()),
        ("other", HandlerResult::CircuitOpen(SECOND)),
    ];
    assert_eq!(results(&published), expected);
}

#[tokio::test(start_paused = true)]
async fn metrics_count_calls_outside_of_a_retry_and_attempts_inside() {
    let (calls, attempts) = (HandlerMetrics::new(), HandlerMetrics::new());
    let layers = Layers::new()
        .layer(calls.clone())
        .layer(in_steps_of(SECOND, 2))
        .layer(CircuitBreaker::with(4, 60 * SECOND))
        .layer(attempts.clone())
        .layer(Timeout::after(SECOND));
    let (bus, _) = bus_with(layers, &[Works, Fails, Panics, Works, Hangs, Fails, Panics]);
    for _ in 0..3 {
        outcome(&bus).await;
    }
    let counts = attempts.counts();
    assert_eq!(
        (
            counts.calls(),
            counts.handled(),
            counts.failed(),
            counts.panicked(),
            counts.timed_out()
        ),
        (7, 2, 2, 2, 1)
    );
    let counts = calls.counts();
    assert_eq!(
        (counts.calls(), counts.handled(), counts.panicked()),
        (3, 2, 1)
    );
    assert_eq!(
        (counts.running(), counts.cancelled(), counts.circuit_open()),
        (0, 0, 0)
    );
    outcome(&bus).await;
    assert_eq!(
        attempts.counts().calls(),
        8,
        "the breaker has let one through"
    );
}

#[tokio::test(start_paused = true)]
async fn metrics_know_true_quantiles_and_count_what_is_cut_off() {
    let metrics = HandlerMetrics::new();
    let bus = EventBus::new();
    bus.subscribe_with(
        "sleeps",
        HandlerOptions::new().layers(Layers::new().layer(metrics.clone())),
        |event: Arc<Envelope<Placed>>| async move {
            tokio::time::sleep(Duration::from_millis(event.event().n.into())).await;
            Ok(())
        },
    );
    for n in 1..=100 {
        bus.publish(placed(n)).await;
    }
    let durations = metrics.durations();
    assert_eq!(durations.count(), 100);
    for (share, millis) in [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100)] {
        let (quantile, true_one) = (
            durations.quantile(share).unwrap(),
            Duration::from_millis(millis),
        );
        // Less than 1 % too long, and a timer ticks once a millisecond.
        let most = (true_one + Duration::from_millis(2)).mul_f64(1.01);
        assert!(
            quantile >= true_one && quantile <= most,
            "{share}: {quantile:?}"
        );
    }
    {
        let publishing = bus.publish(placed(1000));
        tokio::pin!(publishing);
        assert!(futures_util::poll!(publishing.as_mut()).is_pending());
        assert_eq!(metrics.counts().running(), 1);
    }
    let counts = metrics.counts();
    assert_eq!(
        (counts.running(), counts.cancelled(), counts.calls()),
        (0, 1, 101)
    );
    assert_eq!(metrics.durations().count(), 100);
}

/// Notes when a call comes by, and what it sees.
struct Noting(&'static str, Arc<Mutex<Vec<String>>>);

impl HandlerLayer for Noting {
    async fn handle(&self, call: HandlerCall<'_>) -> Result<(), BoxError> {
        let note = |what: String| self.1.lock().unwrap().push(format!("{} {what}", self.0));
        note(format!(
            "in {} {}",
            call.handler().unwrap_or("?"),
            call.event().name()
        ));
        let result = call.next().await;
        let error = result
            .as_ref()
            .err()
            .and_then(|error| CallError::of(&**error));
        note(format!("out {} {error:?}", call.attempts()));
        result
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_layer_is_the_outermost_and_each_sees_the_call() {
    let notes: Arc<Mutex<Vec<String>>> = Arc::default();
    let noting = |name| Noting(name, Arc::clone(&notes));
    let layers = Layers::new()
        .named("by itself")
        .layer(noting("first"))
        .layer(in_steps_of(SECOND, 1))
        .layer(noting("last"));
    let (bus, _) = bus_with(layers.clone(), &[Panics]);
    bus.publish(placed(1)).await;
    let expected = [
        "first in scripted placed",
        "last in scripted placed",
        "last out 1 Some(Panicked(\"by intent\"))",
        "last in scripted placed",
        "last out 2 None",
        "first out 2 None",
    ];
    assert_eq!(std::mem::take(&mut *notes.lock().unwrap()), expected);

    // The same around a handler of recorded events, which the bus then knows under its own name.
    let bus = EventBus::new();
    let handler = layers.around_recorded(|_| std::future::ready(Ok(())));
    bus.subscribe_recorded("recorded", Topic::All, handler);
    bus.publish(placed(1)).await;
    assert_eq!(notes.lock().unwrap()[0], "first in recorded placed");
}

/// A layer that panics itself.
struct Broken;

impl HandlerLayer for Broken {
    async fn handle(&self, _: HandlerCall<'_>) -> Result<(), BoxError> {
        panic!("the layer")
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_panics_harms_nobody_else() {
    let (bus, _) = bus_with(Layers::new().layer(Broken), &[]);
    let expected = HandlerResult::Panicked("the layer".into());
    assert_eq!(outcome(&bus).await, (expected, 0));
}

#[tokio::test(start_paused = true)]
async fn the_standard_layers_retry_and_open_and_count() {
    let metrics = HandlerMetrics::new();
    let (bus, _) = bus_with(Layers::standard(metrics.clone()), &[Fails; 5]);
    assert_eq!(outcome(&bus).await, (failed(), 4));
    let (result, attempts) = outcome(&bus).await;
    assert!(matches!(result, HandlerResult::CircuitOpen(_)), "{result}");
    assert_eq!((attempts, metrics.counts().calls()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_handler_publishes_and_retries_within_its_layers() {
    // The place is lent from within layers too.
    let bus = EventBus::builder().max_concurrency(1).build();
    let inner = bus.clone();
    let calls = Calls::default();
    bus.subscribe("inner", calls.noter::<Envelope<Shipped>>("inner"));
    let layers = Layers::new()
        .layer(Tracing::new())
        .layer(Logging::new())
        .layer(in_steps_of(SECOND, 3))
        .layer(Timeout::new());
    let tried = Arc::new(AtomicU32::new(0));
    bus.subscribe_with(
        "outer",
        HandlerOptions::new().layers(layers),
        move |_: Arc<Envelope<Placed>>| {
            let (bus, tried) = (inner.clone(), Arc::clone(&tried));
            async move {
                assert!(bus.publish(shipped(1)).await.is_ok());
                match tried.fetch_add(1, Ordering::Relaxed) {
                    0 => Err("once more".into()),
                    _ => Ok(()),
                }
            }
        },
    );
    let published = bus.publish(placed(1)).await;
    assert_eq!(published.outcomes().next().unwrap().attempts(), 2);
    assert_eq!(calls.take(), ["inner", "inner"]);
}

#[tokio::test(start_paused = true)]
async fn handlers_fail_by_plan() {
    let check = async |faults: HandlerFaults, expected: &[HandlerResult]| {
        let layers = Layers::new().layer(faults.clone());
        let (bus, calls) = bus_with(layers, &[]);
        let start = Instant::now();
        let mut called = 0;
        for expected in expected {
            let (result, attempts) = outcome(&bus).await;
            assert_eq!(result, *expected);
            called += attempts;
        }
        assert_eq!(calls.load(Ordering::Relaxed), called);
        assert_eq!(faults.calls(), expected.len() as u64);
        faults.heal();
        assert_eq!(outcome(&bus).await, (HandlerResult::Handled, 1));
        start.elapsed()
    };
    let (handled, failed) = (
        HandlerResult::Handled,
        HandlerResult::Failed("planned failure".into()),
    );
    let none = HandlerFaults::none;
    let panicked = HandlerResult::Panicked("planned panic".into());
    let plan = none()
        .nth(2, HandlerFault::Fails)
        .nth(3, HandlerFault::Panics);
    check(
        plan,
        &[handled.clone(), failed.clone(), panicked, handled.clone()],
    )
    .await;
    let plan = none()
        .named("placed", HandlerFault::Fails)
        .named("shipped", HandlerFault::Panics);
    check(plan, &[failed.clone(), failed]).await;
    let after = HandlerResult::Failed("planned failure after the work".into());
    check(none().always(HandlerFault::FailsAfter), &[after]).await;
    let took = check(
        none().always(HandlerFault::Delay(SECOND)),
        &[handled.clone(), handled],
    )
    .await;
    assert!(took >= 2 * SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_panics_is_tried_again_by_one_further_out() {
    let faults = HandlerFaults::none()
        .nth(1, HandlerFault::Panics)
        .nth(2, HandlerFault::Hangs);
    let layers = Layers::new()
        .layer(in_steps_of(SECOND, 3))
        .layer(Timeout::after(SECOND))
        .layer(faults.clone());
    let (bus, _) = bus_with(layers, &[]);
    assert_eq!(
        (outcome(&bus).await, faults.calls()),
        ((HandlerResult::Handled, 1), 3)
    );
}
