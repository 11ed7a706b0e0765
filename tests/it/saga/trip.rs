//! [`Trip`]: a saga that does what its events say, so that each case can make the instance that it needs.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use uno_core::{
    Backend, Checkpoint, CheckpointWrite, Command, CommandId, CommandSet, Commit, Decoder,
    Envelope, Event, EventStoreExt, ExpectedVersion, Lane, Metadata, Position, SubscriptionName,
};
use uno_cqrs::{CommandOutcome, Verdict};
use uno_events::{Batch, ConsumeError, Consumer};
use uno_saga::{
    HistoryEntry, Input, Intervention, Missing, Outputs, Route, Saga, SagaError, SagaRunner,
};

use crate::support::log;

/// Something is said of a trip.
#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(super) struct Said {
    pub(super) trip: String,
    pub(super) how: How,
    pub(super) wants: Vec<Want>,
}

#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub(super) enum How {
    Start,
    StartStrict,
    Continue,
    ContinueStrict,
    Stop,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(super) enum Want {
    /// Send a command, undone by another with the same number.
    Book(u32),
    /// Set a timeout, in so many seconds.
    After(u64, String),
    Cancel(String),
    /// Put a message into this queue.
    Post(String),
    Compensate,
    Complete,
    /// Panic, unless the saga is of a kind that knows better.
    Panic,
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(super) struct Book {
    pub(super) n: u32,
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(super) struct Unbook {
    pub(super) n: u32,
}

#[derive(CommandSet, Clone, Debug, PartialEq)]
pub(super) enum Booking {
    Book(Book),
    Unbook(Unbook),
}

/// Kinds of the saga: they differ in what follows on a missing instance, and in whether they panic.
pub(super) const PARKS: u8 = 0;
pub(super) const RETRIES: u8 = 1;
pub(super) const DISCARDS: u8 = 2;
/// Parks too, and was mended: it does not panic.
pub(super) const MENDED: u8 = 3;

/// Remembers what it was told.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
pub(super) struct Trip<const KIND: u8> {
    pub(super) seen: Vec<String>,
}

impl<const KIND: u8> Saga for Trip<KIND> {
    const NAME: &'static str = "trip";
    const MISSING: Missing = match KIND {
        RETRIES => Missing::Retry,
        DISCARDS => Missing::Discard,
        _ => Missing::Park,
    };
    type Event = Said;
    type Command = Booking;
    type Timeout = String;

    fn route(event: &Envelope<Said>) -> Route {
        let trip = event.event().trip.clone();
        match event.event().how {
            How::Start => Route::Start(trip),
            How::StartStrict => Route::StartStrict(trip),
            How::Continue => Route::Continue(trip),
            How::ContinueStrict => Route::ContinueStrict(trip),
            How::Stop => Route::Stop(trip),
        }
    }

    fn react(&mut self, input: Input<'_, Said, String>) -> Outputs<Booking, String> {
        match input {
            Input::Event(event) => {
                self.seen.push(format!("{:?}", event.event().how));
                let wants = event.event().wants.iter();
                wants.fold(Outputs::none(), |outputs, want| match want {
                    Want::Book(n) => outputs.and_send(Book { n: *n }).undo(Unbook { n: *n }),
                    Want::After(seconds, what) => {
                        outputs.and_after(Duration::from_secs(*seconds), what.clone())
                    }
                    Want::Cancel(what) => outputs.and_cancel(what.clone()),
                    Want::Post(queue) => outputs.and_message(queue, "said", &1),
                    Want::Compensate => outputs.and_compensate(),
                    Want::Complete => outputs.and_complete(),
                    Want::Panic if KIND == MENDED => outputs,
                    Want::Panic => panic!("as asked"),
                })
            }
            Input::Outcome(outcome) => {
                self.seen
                    .push(format!("{} {:?}", outcome.command(), outcome.verdict()));
                match outcome.verdict() {
                    // There is no queue without a name: the store refuses it.
                    Verdict::Rejected(why) if why == "post to nowhere" => {
                        Outputs::message("", "no", &1)
                    }
                    _ => Outputs::none(),
                }
            }
            Input::Timeout(what) => {
                self.seen.push(what.clone());
                Outputs::message(what.strip_prefix("to:").unwrap_or("mail"), "rang", what)
            }
            _ => Outputs::none(),
        }
    }
}

/// The saga on a store.
pub(super) fn trips<const KIND: u8, B: Backend>(store: &Arc<B>) -> SagaRunner<Trip<KIND>, B> {
    SagaRunner::new(Arc::clone(store), Decoder::new()).unwrap()
}

pub(super) fn subscription() -> SubscriptionName {
    SubscriptionName::new("saga.trip").unwrap()
}

/// Appends an event.
pub(super) async fn say<B: Backend>(store: &B, trip: &str, how: How, wants: &[Want]) {
    let said = Said {
        trip: trip.to_owned(),
        how,
        wants: wants.to_vec(),
    };
    let stream = format!("trip-{trip}").parse().unwrap();
    store
        .append_events(stream, ExpectedVersion::Any, &[said])
        .await
        .unwrap();
}

/// Feeds the saga what is new in the log, as one batch.
pub(super) async fn feed<S: Saga, B: Backend>(
    saga: &SagaRunner<S, B>,
    store: &B,
) -> Result<(), ConsumeError> {
    let saved = store
        .load_checkpoint(&subscription(), Lane::FIRST)
        .await
        .unwrap();
    let from = saved.map(|checkpoint| checkpoint.position());
    let after = from.unwrap_or(Position::START);
    let events: Vec<_> = log(store)
        .await
        .into_iter()
        .filter(|event| event.position() > after)
        .collect();
    let last = events.last().unwrap();
    let epoch = store.head().await.unwrap().epoch();
    let to = Checkpoint::after(epoch, last.position(), last.id());
    saga.consume(Batch::new(
        events,
        CheckpointWrite::new(subscription(), from, to),
    ))
    .await
}

/// Appends an event and feeds it.
pub(super) async fn tell<S: Saga, B: Backend>(
    saga: &SagaRunner<S, B>,
    store: &B,
    trip: &str,
    how: How,
    wants: &[Want],
) {
    say(store, trip, how, wants).await;
    feed(saga, store).await.unwrap();
}

/// Puts the outcome of the `n`th command that a trip has sent into its queue.
pub(super) async fn answer<B: Backend>(
    store: &B,
    trip: &str,
    n: u32,
    command: &str,
    verdict: Verdict,
) {
    let id = CommandId::stable(["trip", trip, &n.to_string()]);
    let outcome = CommandOutcome::new(id, command, verdict);
    let message = outcome.to_message("saga.trip.outcomes", trip, Metadata::new());
    let mut commit = Commit::new();
    commit.messages.push(message.unwrap());
    store.commit(commit).await.unwrap();
}

/// The same, and has it handled.
pub(super) async fn settle<S: Saga, B: Backend>(
    saga: &SagaRunner<S, B>,
    store: &B,
    trip: &str,
    n: u32,
    command: &str,
    verdict: Verdict,
) {
    answer(store, trip, n, command, verdict).await;
    assert_eq!(saga.handle_outcomes().await.unwrap(), 1);
}

pub(super) fn rejected() -> Verdict {
    Verdict::Rejected("no".to_owned())
}

pub(super) fn person() -> Intervention {
    Intervention::new("ada", "looked at it")
}

/// All that can be told of a trip, but for ids and times: how it stands, what it remembers, what it waits for, what it has
/// sent, what is parked, and the kinds of its history's entries.
pub(super) async fn told<B: Backend>(store: &Arc<B>, trip: &str) -> Vec<String> {
    let saga = trips::<MENDED, B>(store);
    let mut told = Vec::new();
    match saga.instance(trip).await {
        Ok(Some(instance)) => {
            told.push(instance.status().to_string());
            told.extend(
                instance
                    .state()
                    .seen
                    .iter()
                    .map(|seen| format!("seen {seen}")),
            );
            let in_flight = instance.in_flight().iter();
            told.extend(in_flight.map(|pending| format!("awaits {}", pending.command())));
            told.extend(
                instance
                    .to_undo()
                    .iter()
                    .map(|undo| format!("to undo: {undo}")),
            );
            told.extend(instance.stuck().map(|why| format!("stuck: {why}")));
            told.extend(
                instance
                    .timeouts()
                    .iter()
                    .map(|text| format!("pending {text}")),
            );
        }
        Ok(None) => told.push("nothing".to_owned()),
        Err(SagaError::Transition(error)) => told.push(error.to_string()),
        Err(error) => panic!("{error}"),
    }
    for timer in saga.timeouts(trip).await.unwrap() {
        told.push(format!("timer {}", timer.payload().as_str()));
    }
    for queue in ["saga.trip.commands", "saga.trip.outcomes", "mail", "other"] {
        for queued in store.read_queue_of(queue, trip, 0, 1000).await.unwrap() {
            let message = queued.message();
            told.push(format!(
                "{queue}: {} {}",
                message.name(),
                message.payload().as_str()
            ));
        }
    }
    let parked = saga.parked_inputs(trip).await.unwrap();
    told.push(format!("{} parked", parked.len()));
    told.extend(kinds(&saga, trip).await);
    told
}

/// The kinds of the entries of a history.
pub(super) async fn kinds<S: Saga, B: Backend>(saga: &SagaRunner<S, B>, trip: &str) -> Vec<String> {
    let items = saga.history(trip, 0, 10_000).await.unwrap();
    assert!(items.is_sorted_by(|a, b| a.number() < b.number()));
    let kind = |entry: &HistoryEntry| match serde_json::to_value(entry).unwrap() {
        serde_json::Value::Object(object) => object.keys().next().unwrap().clone(),
        other => other.as_str().unwrap().to_owned(),
    };
    items.iter().map(|item| kind(item.entry())).collect()
}
