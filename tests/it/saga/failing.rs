//! Instances that can't go on: they are parked, told of, helped by persons, and keep no other waiting.
//!
//! Long because the cases share their small domain.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uno_core::{
    Backend, Checkpoint, CheckpointStore, CheckpointWrite, Command, CommandId, Commit, Decoder,
    Envelope, EventStoreExt, Lane, Metadata, NewMessage, Payload, Position, ProcessStatus,
    ProcessStore, ProcessWrite, RecordedEvent,
};
use uno_cqrs::{CommandOutcome, Verdict};
use uno_events::{Batch, ConsumeError, Consumer, StopReason};
use uno_saga::{
    HistoryEntry, Input, Intervention, NoTimeout, Outputs, ParkedInstance, Route, Saga, SagaError,
    SagaRunner, TransitionError, VerbError,
};
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
    let status = found
        .first()
        .map_or(ProcessStatus::Running, |record| record.status());
    let body = Payload::from_json(body).unwrap();
    let mut commit = Commit::new();
    let write = ProcessWrite::new("fulfil", key, revision, status, body);
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

fn person() -> Intervention {
    Intervention::new("ada", "looked at it")
}

/// The status of an instance in the store, and its body.
async fn stored<B: Backend>(store: &B, process: &str, key: &str) -> (ProcessStatus, String) {
    let found = store.load_processes(process, &[key.to_owned()]).await;
    let found = found.unwrap();
    (found[0].status(), found[0].body().as_str().to_owned())
}

/// The keys that are parked, why, and how many inputs of each.
async fn parked<S: Saga, B: Backend>(saga: &SagaRunner<S, B>) -> Vec<(String, String, usize)> {
    let parked = saga.parked(None, 10).await.unwrap();
    let told = |parked: ParkedInstance| (parked.key, parked.reason.unwrap(), parked.inputs);
    parked.into_iter().map(told).collect()
}

pub(super) async fn an_instance_that_can_not_be_read_is_parked_by_itself<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    start_orders(store, &[("a", "fine"), ("b", "fine"), ("c", "fine")]).await;
    let sound = stored(&**store, "fulfil", "b").await.1;
    let spoiled = r#"{"from": "another  time"}"#;
    spoil(&**store, "b", spoiled).await;
    tell(&**store, ["b", "a", "c"].map(charged).into()).await;
    let saga = saga(store);
    assert_eq!(saga.handle_outcomes().await.unwrap(), 3);
    assert_eq!(
        (in_flight(&saga, "a").await, in_flight(&saga, "c").await),
        (0, 0)
    );
    assert_eq!(waiting(&**store).await, Vec::<String>::new());
    let status = saga.status();
    assert_eq!(
        (status.outcomes, status.parked, status.failing),
        (3, 1, None)
    );
    // Byte for byte as it was.
    let (status, body) = stored(&**store, "fulfil", "b").await;
    assert_eq!((status, &*body), (ProcessStatus::Parked, spoiled));
    let (key, reason, inputs) = parked(&saga).await.remove(0);
    assert_eq!((&*key, inputs), ("b", 1));
    assert!(
        reason.starts_with("instance b can't be read: missing field"),
        "{reason}"
    );
    let error = saga.instance("b").await.unwrap_err();
    assert!(
        matches!(&error, SagaError::Transition(TransitionError::Unreadable { key, .. }) if key == "b"),
        "{error:?}"
    );
    // What comes later goes behind, and a retry that does not help leaves everything as it is.
    done(&**store, "b", "look").await;
    feed_on(&saga, store).await;
    assert_eq!(parked(&saga).await, [("b".to_owned(), reason.clone(), 2)]);
    let again = saga.retry_parked("b", &person()).await.unwrap();
    assert_eq!((again.handled, again.parked_again), (0, Some(reason)));
    assert_eq!(
        stored(&**store, "fulfil", "b").await,
        (ProcessStatus::Parked, spoiled.to_owned())
    );

    // Once it can be read, it goes on with what has waited, in order.
    spoil(&**store, "b", &sound).await;
    let retried = saga.retry_parked("b", &person()).await.unwrap();
    assert_eq!((retried.handled, retried.parked_again), (2, None));
    assert_eq!(in_flight(&saga, "b").await, 0);
    let b = saga.instance("b").await.unwrap().unwrap();
    assert_eq!((b.status(), b.state().inputs), (ProcessStatus::Running, 3));
    assert_eq!(store.queue_depth(saga.parked_queue()).await.unwrap().0, 0);
    let error = saga.retry_parked("b", &person()).await.unwrap_err();
    assert!(matches!(error, VerbError::NotParked { .. }), "{error:?}");
    let names = history(&saga, "b").await;
    let tail = [
        "parked", "behind", "verb", "parked", "verb", "outcome", "decided", "event", "decided",
        "unparked",
    ];
    assert!(names.ends_with(&tail.map(str::to_owned)), "{names:?}");
}

/// The kinds of entries in a history, in order.
async fn history<S: Saga, B: Backend>(saga: &SagaRunner<S, B>, key: &str) -> Vec<String> {
    let items = saga.history(key, 0, 10_000).await.unwrap();
    assert!(items.is_sorted_by(|a, b| a.number() < b.number()));
    let kind = |entry: &HistoryEntry| match serde_json::to_value(entry).unwrap() {
        serde_json::Value::Object(object) => object.keys().next().unwrap().clone(),
        other => other.as_str().unwrap().to_owned(),
    };
    items.iter().map(|item| kind(item.entry())).collect()
}

/// Lets the saga's subscription come to the end of the log.
async fn feed_on<B: Backend>(saga: &SagaRunner<Fulfil, B>, store: &Arc<B>) {
    let manager = subscribe(store, saga);
    manager.start_all().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    manager.stop_all().await;
}

pub(super) async fn a_saga_that_panics_is_parked_and_what_it_panics_at_can_be_skipped<
    H: BackendHarness,
>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    start_orders(store, &[("a", "panic"), ("b", "fine")]).await;
    let runner = saga(store);
    let outcomes = runner.clone();
    let running = Running::start(|stop: CancellationToken| async move {
        outcomes
            .run(std::time::Duration::from_millis(5), stop)
            .await;
    });
    tell(&**store, vec![charged("a"), charged("b")]).await;
    until(&**store, || async { waiting(&**store).await.is_empty() }).await;
    running.stop().await;
    let panicked = "the saga panicked in instance a".to_owned();
    assert_eq!(parked(&runner).await, [("a".to_owned(), panicked, 1)]);
    assert_eq!(
        (in_flight(&runner, "a").await, in_flight(&runner, "b").await),
        (1, 0)
    );
    done(&**store, "a", "look").await;
    feed_on(&runner, store).await;
    // Left out, the outcome is settled all the same; the saga is only not asked.
    runner.skip_parked("a", &person()).await.unwrap();
    let a = runner.instance("a").await.unwrap().unwrap();
    assert_eq!(
        (a.status(), a.in_flight().len()),
        (ProcessStatus::Parked, 0)
    );
    let retried = runner.retry_parked("a", &person()).await.unwrap();
    assert_eq!((retried.handled, retried.parked_again), (1, None));
    let a = runner.instance("a").await.unwrap().unwrap();
    assert_eq!((a.status(), a.state().inputs), (ProcessStatus::Running, 2));
}

pub(super) async fn many_malformed_outcomes_are_parked_in_order_and_discarded<H: BackendHarness>(
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
    // What comes later for the same instance goes behind them, wherever it is.
    messages.push(charged("a"));
    messages.push(charged("b"));
    tell(&**store, messages).await;
    let saga = saga(store);
    while saga.handle_outcomes().await.unwrap() > 0 {}
    assert_eq!(
        (in_flight(&saga, "a").await, in_flight(&saga, "b").await),
        (1, 0)
    );
    let (key, reason, inputs) = parked(&saga).await.remove(0);
    assert_eq!((&*key, inputs), ("a", 601));
    assert!(
        reason.starts_with("an outcome of instance a is malformed"),
        "{reason}"
    );
    let inputs = saga.parked_inputs("a").await.unwrap();
    assert!(
        inputs[600].input.starts_with("outcome of charge"),
        "{:?}",
        inputs[600]
    );
    let counts = saga.counts().await.unwrap();
    assert_eq!(
        (counts.parked, counts.parked_inputs, counts.stuck),
        (1, 601, 0)
    );
    assert!(counts.parked_since.is_some());
    saga.discard_parked("a", &person()).await.unwrap();
    let a = saga.instance("a").await.unwrap().unwrap();
    assert_eq!(
        (a.status(), a.in_flight().len()),
        (ProcessStatus::Running, 0)
    );
    assert_eq!(saga.counts().await.unwrap().parked_inputs, 0);
}

pub(super) async fn no_more_is_parked_than_may_be<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    start_orders(store, &[("a", "panic"), ("b", "panic"), ("c", "fine")]).await;
    let saga = saga(store).with_parked_limit(1);
    tell(&**store, ["a", "b", "c"].map(charged).into()).await;
    assert_eq!(saga.handle_outcomes().await.unwrap(), 2);
    // Nothing is lost: it waits where it was, and that is told.
    assert_eq!(waiting(&**store).await, ["b"]);
    let error = saga.handle_outcomes().await.unwrap_err();
    assert!(
        matches!(error, SagaError::TooManyParked { limit: 1, .. }),
        "{error:?}"
    );
    let failing = saga.status().failing.unwrap();
    assert!(
        failing.starts_with("instance b can't be parked"),
        "{failing}"
    );
    // A subscription stops.
    done(&**store, "nobody", "look").await;
    let at = log(&**store).await.last().unwrap().position();
    let manager = subscribe(store, &saga);
    manager.start_all().await.unwrap();
    assert!(in_time(manager.until_idle()).await.is_err());
    let status = manager.status_of(&name()).await.unwrap();
    let why = status.state().failure().unwrap().clone();
    assert!(
        matches!(why, StopReason::Failed { position, .. } if position == at),
        "{why:?}"
    );
    // With room again, everything goes on.
    saga.discard_parked("a", &person()).await.unwrap();
    assert_eq!(saga.handle_outcomes().await.unwrap(), 1);
    assert_eq!(waiting(&**store).await, Vec::<String>::new());
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

pub(super) async fn an_event_for_a_missing_instance_is_parked<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    order(&**store, "a", "fine").await;
    done(&**store, "nobody", "charge").await;
    order(&**store, "b", "fine").await;
    let saga = saga(store);
    feed(&saga, &**store, None).await.unwrap();
    assert!(saga.instance("b").await.unwrap().is_some());
    assert!(saga.instance("nobody").await.unwrap().is_none());
    let why = "there is no instance nobody".to_owned();
    assert_eq!(parked(&saga).await, [("nobody".to_owned(), why.clone(), 1)]);
    assert_eq!(stored(&**store, "fulfil", "nobody").await.1, "null");
    // It starts after all: behind what is parked, until a person decides.
    let after = log(&**store).await.last().unwrap().position();
    let ordered = super::fulfil::Ordered {
        order: "nobody".to_owned(),
        plan: "fine".to_owned(),
    };
    let stream = "desk-nobody".parse().unwrap();
    store
        .append_events(stream, uno_core::ExpectedVersion::Any, &[ordered])
        .await
        .unwrap();
    feed(&saga, &**store, Some(after)).await.unwrap();
    let again = saga.retry_parked("nobody", &person()).await.unwrap();
    assert_eq!((again.handled, again.parked_again), (0, Some(why)));
    saga.skip_parked("nobody", &person()).await.unwrap();
    let retried = saga.retry_parked("nobody", &person()).await.unwrap();
    assert_eq!((retried.handled, retried.parked_again), (1, None));
    let nobody = saga.instance("nobody").await.unwrap().unwrap();
    assert_eq!(
        (nobody.status(), nobody.in_flight().len()),
        (ProcessStatus::Running, 1)
    );

    // Where all of it is left out, there is a tombstone, from which a start begins anew.
    let after = log(&**store).await.last().unwrap().position();
    done(&**store, "late", "charge").await;
    feed(&saga, &**store, Some(after)).await.unwrap();
    saga.discard_parked("late", &person()).await.unwrap();
    let (status, body) = stored(&**store, "fulfil", "late").await;
    assert_eq!((status, &*body), (ProcessStatus::Cancelled, "null"));
    let after = log(&**store).await.last().unwrap().position();
    let ordered = super::fulfil::Ordered {
        order: "late".to_owned(),
        plan: "fine".to_owned(),
    };
    let stream = "desk-late".parse().unwrap();
    store
        .append_events(stream, uno_core::ExpectedVersion::Any, &[ordered])
        .await
        .unwrap();
    feed(&saga, &**store, Some(after)).await.unwrap();
    let late = saga.instance("late").await.unwrap().unwrap();
    assert_eq!(late.status(), ProcessStatus::Running);
}

pub(super) async fn an_instance_is_parked_at_its_event_with_what_came_before_in_effect<
    H: BackendHarness,
>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    start_orders(store, &[("a", "fine"), ("b", "fine")]).await;
    let after = position(&**store, 1).await;
    // Started again, strictly: that is an error.
    done(&**store, "a", "look").await;
    done(&**store, "b", "look").await;
    let ordered = super::fulfil::Ordered {
        order: "a".to_owned(),
        plan: "fine".to_owned(),
    };
    let stream = "desk-a".parse().unwrap();
    store
        .append_events(stream, uno_core::ExpectedVersion::Any, &[ordered])
        .await
        .unwrap();
    done(&**store, "a", "look").await;
    done(&**store, "b", "look").await;
    let saga = saga(store);
    feed(&saga, &**store, Some(after)).await.unwrap();
    let inputs = async |key| saga.instance(key).await.unwrap().unwrap().state().inputs;
    assert_eq!((inputs("a").await, inputs("b").await), (2, 3));
    let why = "instance a has started already".to_owned();
    assert_eq!(parked(&saga).await, [("a".to_owned(), why, 2)]);
    saga.cancel("a", &person()).await.unwrap();
    let a = saga.instance("a").await.unwrap().unwrap();
    assert_eq!(a.status(), ProcessStatus::Cancelled);
    assert_eq!(saga.counts().await.unwrap().parked_inputs, 0);
    let error = saga.cancel("a", &person()).await.unwrap_err();
    assert!(matches!(error, VerbError::Ended { .. }), "{error:?}");
    let error = saga.cancel("x", &person()).await.unwrap_err();
    assert!(matches!(error, VerbError::NoInstance(_)), "{error:?}");
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
    type Timeout = NoTimeout;

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

pub(super) async fn a_state_that_can_not_be_stored_is_parked<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    // Stored as null, it could never be read again, and the instance would be lost.
    for (key, step) in [("a", "1"), ("b", "1"), ("b", "0"), ("b", "0"), ("a", "1")] {
        done(&**store, key, step).await;
    }
    let saga = SagaRunner::<Average, _>::new(Arc::clone(store), Decoder::new()).unwrap();
    feed(&saga, &**store, None).await.unwrap();
    assert!(saga.instance("a").await.unwrap().is_some());
    let (key, reason, inputs) = parked(&saga).await.remove(0);
    // What came before it is kept.
    assert_eq!((&*key, inputs), ("b", 2));
    assert!(reason.starts_with("instance b can't be stored"), "{reason}");
    assert!(saga.instance("b").await.unwrap().is_some());
}

pub(super) async fn a_batch_that_was_handled_is_not_handled_again<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    order(&**store, "a", "fine").await;
    let saga = saga(store);
    feed(&saga, &**store, None).await.unwrap();
    // By its own strictness it would be parked; the checkpoint keeps it from that.
    let again = feed(&saga, &**store, None).await;
    assert!(matches!(again, Err(ConsumeError::Stale(_))), "{again:?}");
    done(&**store, "a", "look").await;
    let after = store
        .load_checkpoint(&name(), Lane::FIRST)
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
