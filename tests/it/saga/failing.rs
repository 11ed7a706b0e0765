//! Instances that can't go on: they are named, wait, and keep no other waiting.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uno_core::{
    Backend, Checkpoint, CheckpointStore, CheckpointWrite, Command, CommandId, Commit, Decoder,
    Envelope, Metadata, NewMessage, Payload, Position, ProcessStatus, ProcessStore, ProcessWrite,
    RecordedEvent,
};
use uno_cqrs::{CommandOutcome, Verdict};
use uno_events::{Batch, ConsumeError, Consumer, StopReason};
use uno_saga::{Input, Outputs, Route, Saga, SagaError, SagaRunner};
use uno_testkit::conformance::{BackendHarness, Harness};

use super::{
    fulfil::{Charge, DeskEvent, Fulfil, done, order},
    world::{name, saga, subscribe},
};
use crate::support::{
    log,
    rest::{Running, in_time, until},
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

/// Starts these orders, without anybody carrying out their commands.
async fn start_orders<B: Backend>(store: &Arc<B>, orders: &[(&str, &str)]) {
    for (key, plan) in orders {
        order(&**store, key, plan).await;
    }
    let manager = subscribe(store, &saga(store));
    manager.start_all().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    manager.stop_all().await;
}

/// Puts an instance into the store as it is not.
async fn spoil<B: Backend>(store: &B, key: &str, body: &str) {
    let found = store
        .load_processes("fulfil", &[key.to_owned()])
        .await
        .unwrap();
    let revision = found.first().map_or(0, |record| record.revision());
    let body = Payload::from_json(body).unwrap();
    let mut commit = Commit::new();
    let write = ProcessWrite::new("fulfil", key, revision, ProcessStatus::Running, body);
    commit.processes.push(write);
    store.commit(commit).await.unwrap();
}

async fn tell<B: Backend>(store: &B, messages: Vec<NewMessage>) {
    let mut commit = Commit::new();
    commit.messages = messages;
    store.commit(commit).await.unwrap();
}

/// The outcome of the first command of an order.
fn charged(key: &str) -> NewMessage {
    let id = CommandId::stable(["fulfil", key, "1"]);
    let outcome = CommandOutcome::new(id, Charge::NAME, Verdict::Succeeded);
    outcome
        .to_message("saga.fulfil.outcomes", key, Metadata::new())
        .unwrap()
}

async fn in_flight<B: Backend>(saga: &SagaRunner<Fulfil, B>, key: &str) -> usize {
    saga.instance(key).await.unwrap().unwrap().in_flight().len()
}

async fn waiting<B: Backend>(store: &B) -> Vec<String> {
    let left = store
        .read_queue("saga.fulfil.outcomes", 0, 1000)
        .await
        .unwrap();
    left.iter()
        .map(|queued| queued.message().key().to_owned())
        .collect()
}

pub(super) async fn an_instance_that_can_not_be_read_keeps_no_other_waiting<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    start_orders(store, &[("a", "fine"), ("b", "fine"), ("c", "fine")]).await;
    let sound = store
        .load_processes("fulfil", &["b".to_owned()])
        .await
        .unwrap();
    spoil(&**store, "b", r#"{"from":"another time"}"#).await;
    tell(&**store, ["b", "a", "c"].map(charged).into()).await;
    let saga = saga(store);
    assert_eq!(saga.handle_outcomes().await.unwrap(), 2);
    assert_eq!(
        (in_flight(&saga, "a").await, in_flight(&saga, "c").await),
        (0, 0)
    );
    assert_eq!(waiting(&**store).await, ["b"]);
    let status = saga.status();
    assert_eq!(status.outcomes, 2);
    let failing = status.failing.unwrap();
    assert!(
        failing.starts_with("instance b can't be read: missing field"),
        "{failing}"
    );
    let error = saga.handle_outcomes().await.unwrap_err();
    assert!(
        matches!(&error, SagaError::Unreadable { key, .. } if key == "b"),
        "{error:?}"
    );
    assert!(saga.instance("b").await.is_err());

    // Once it can be read, it goes on, and nothing is failing any more.
    spoil(&**store, "b", sound[0].body().as_str()).await;
    assert_eq!(saga.handle_outcomes().await.unwrap(), 1);
    assert_eq!(in_flight(&saga, "b").await, 0);
    assert_eq!(saga.status().failing, None);
    assert_eq!(saga.handle_outcomes().await.unwrap(), 0);
}

pub(super) async fn a_saga_that_panics_on_an_outcome_keeps_no_other_waiting<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    start_orders(store, &[("a", "panic"), ("b", "fine")]).await;
    let runner = saga(store);
    let outcomes = runner.clone();
    let running = Running::start(|stop: CancellationToken| async move {
        outcomes
            .run_outcomes(std::time::Duration::from_millis(5), stop)
            .await;
    });
    tell(&**store, vec![charged("a")]).await;
    until(&**store, || async { runner.status().failing.is_some() }).await;
    assert_eq!(
        runner.status().failing.as_deref(),
        Some("the saga panicked in instance a")
    );
    // It is still running, and handles the others.
    tell(&**store, vec![charged("b")]).await;
    until(&**store, || async { in_flight(&runner, "b").await == 0 }).await;
    running.stop().await;
    assert_eq!(waiting(&**store).await, ["a"]);
    assert_eq!(in_flight(&runner, "a").await, 1);
}

pub(super) async fn many_malformed_outcomes_keep_no_other_waiting<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    start_orders(store, &[("a", "fine"), ("b", "fine")]).await;
    // More than are read at once.
    let mut messages: Vec<_> = (0..600)
        .map(|_| {
            let id = *CommandId::new().as_uuid();
            let payload = Payload::from_json("{}").unwrap();
            let queue = "saga.fulfil.outcomes";
            NewMessage::new(queue, id, "a", "command_outcome", payload, Metadata::new())
        })
        .collect();
    // What comes later for the same instance waits behind them, wherever it is.
    messages.push(charged("a"));
    messages.push(charged("b"));
    tell(&**store, messages).await;
    let saga = saga(store);
    assert_eq!(saga.handle_outcomes().await.unwrap(), 1);
    assert_eq!(
        (in_flight(&saga, "a").await, in_flight(&saga, "b").await),
        (1, 0)
    );
    assert_eq!(waiting(&**store).await, ["a"; 601]);
    let error = saga.handle_outcomes().await.unwrap_err();
    assert!(
        matches!(&error, SagaError::Malformed { key, .. } if key == "a"),
        "{error:?}"
    );
}

pub(super) async fn an_outcome_without_an_instance_is_taken_off<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    start_orders(store, &[("a", "fine")]).await;
    tell(&**store, ["nobody", "a"].map(charged).into()).await;
    let saga = saga(store);
    assert_eq!(saga.handle_outcomes().await.unwrap(), 2);
    assert_eq!(waiting(&**store).await, Vec::<String>::new());
    assert!(saga.instance("nobody").await.unwrap().is_none());
}

/// Feeds the saga everything in the log after a position, as one batch.
async fn feed<S: Saga, B: Backend>(
    saga: &SagaRunner<S, B>,
    store: &B,
    after: Option<Position>,
) -> Result<(), ConsumeError> {
    let events: Vec<Arc<RecordedEvent>> = log(store).await;
    let last = events.last().unwrap();
    let epoch = store.head().await.unwrap().epoch();
    let to = Checkpoint::after(epoch, last.position(), last.id());
    let from = after.unwrap_or(Position::START);
    let events = events
        .iter()
        .filter(|event| event.position() > from)
        .cloned()
        .collect();
    saga.consume(Batch::new(events, CheckpointWrite::new(name(), after, to)))
        .await
}

/// The position of the `n`th event in the log, from 0.
async fn position<B: Backend>(store: &B, n: usize) -> Position {
    log(store).await[n].position()
}

#[track_caller]
fn assert_names(result: Result<(), ConsumeError>, position: Position, what: &str) {
    match result {
        Err(ConsumeError::Handler {
            position: at,
            source,
        }) => {
            assert_eq!(at, position, "{source}");
            assert_eq!(source.to_string(), what);
        }
        other => panic!("{what} was expected, and {other:?} came"),
    }
}

pub(super) async fn a_strict_route_stops_at_its_event<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    order(&**store, "a", "fine").await;
    done(&**store, "nobody", "charge").await;
    order(&**store, "b", "fine").await;
    let saga = saga(store);
    let at = position(&**store, 1).await;
    assert_names(
        feed(&saga, &**store, None).await,
        at,
        "there is no instance nobody",
    );
    // Nothing of the batch is kept.
    assert!(saga.instance("a").await.unwrap().is_none());
    assert_eq!(store.queue_depth(saga.queues().0).await.unwrap().0, 0);

    // In a subscription, what comes before it is handled.
    let manager = subscribe(store, &saga);
    manager.start_all().await.unwrap();
    assert!(in_time(manager.until_idle()).await.is_err());
    let status = manager.status_of(&name()).await.unwrap();
    let why = status.state().failure().unwrap().clone();
    assert!(
        matches!(why, StopReason::Failed { position, .. } if position == at),
        "{why:?}"
    );
    assert!(saga.instance("a").await.unwrap().is_some());
    assert!(saga.instance("b").await.unwrap().is_none());
}

pub(super) async fn an_instance_that_can_not_be_read_stops_at_its_event<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    start_orders(store, &[("a", "fine"), ("b", "fine")]).await;
    let after = position(&**store, 1).await;
    spoil(&**store, "b", "{}").await;
    for key in ["a", "a", "b", "a", "b"] {
        done(&**store, key, "look").await;
    }
    let saga = saga(store);
    let at = position(&**store, 4).await;
    assert_names(
        feed(&saga, &**store, Some(after)).await,
        at,
        "instance b can't be read",
    );
    assert_eq!(saga.instance("a").await.unwrap().unwrap().state().inputs, 1);
}

/// Remembers a number that may not be one.
#[derive(Serialize, Deserialize, Default, Clone, Debug)]
struct Average {
    of: f64,
}

#[derive(Command, Serialize, Deserialize, Clone, Debug)]
struct Nothing {}

impl Saga for Average {
    const NAME: &'static str = "average";
    type Event = DeskEvent;
    type Command = Nothing;

    fn route(event: &Envelope<DeskEvent>) -> Route {
        Route::Start(event.stream().key().to_owned())
    }

    fn react(&mut self, input: Input<'_, DeskEvent>) -> Outputs<Nothing> {
        if let Input::Event(event) = input
            && let DeskEvent::Done(done) = event.event()
        {
            self.of = 0.0 / done.step.parse::<f64>().unwrap();
        }
        Outputs::none()
    }
}

pub(super) async fn a_state_that_can_not_be_stored_stops_at_its_event<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    // Stored as null, it could never be read again, and the instance would be lost.
    for (key, step) in [("a", "1"), ("b", "1"), ("b", "0"), ("a", "1")] {
        done(&**store, key, step).await;
    }
    let saga = SagaRunner::<Average, _>::new(Arc::clone(store), Decoder::new()).unwrap();
    let at = position(&**store, 2).await;
    assert_names(
        feed(&saga, &**store, None).await,
        at,
        "instance b can't be stored",
    );
    assert!(saga.instance("a").await.unwrap().is_none());
}

pub(super) async fn a_batch_that_was_handled_is_not_handled_again<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    order(&**store, "a", "fine").await;
    let saga = saga(store);
    feed(&saga, &**store, None).await.unwrap();
    let again = feed(&saga, &**store, None).await;
    // Refused by its own strictness here; where it is not strict, by the checkpoint.
    assert!(again.is_err());
    done(&**store, "a", "look").await;
    let after = store
        .load_checkpoint(&name())
        .await
        .unwrap()
        .unwrap()
        .position();
    feed(&saga, &**store, Some(after)).await.unwrap();
    let stale = feed(&saga, &**store, Some(after)).await;
    assert!(matches!(stale, Err(ConsumeError::Stale(_))), "{stale:?}");
    assert_eq!(saga.instance("a").await.unwrap().unwrap().state().inputs, 2);
    assert_eq!(store.queue_depth(saga.queues().0).await.unwrap().0, 1);
}
