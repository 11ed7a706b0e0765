//! Timeouts on stores: once, in time, across deaths; and what persons do with what is stuck.
//!
//! Long because the cases share their small domain.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use uno_core::{
    Backend, Command, CommandId, Commit, Decoder, Envelope, Event, EventStoreExt, ExpectedVersion,
    ManualClock, Metadata, NewMessage, ProcessStatus, ProcessStore, TimerStore, Transactional,
};
use uno_cqrs::{CommandOutcome, Verdict};
use uno_events::{Replay, Subscription, SubscriptionManager};
use uno_saga::{
    HistoryEntry, Input, Intervention, Outputs, Route, Saga, SagaError, SagaRunner,
    TransitionError, Verb, VerbError,
};
use uno_store_memory::MemoryStore;

use crate::support::{
    faulty::{Fault, Faulty},
    rest::{Running, in_time, until},
};

#[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Lent {
    book: String,
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Remind {
    book: String,
    number: u32,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
enum Due {
    Remind,
    GiveUp,
}

/// Reminds the reader twice, an hour apart, and gives up after a day.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
struct Lending {
    book: String,
    reminders: u32,
}

const HOUR: Duration = Duration::from_secs(3600);

impl Saga for Lending {
    const NAME: &'static str = "lending";
    type Event = Lent;
    type Command = Remind;
    type Timeout = Due;

    fn route(event: &Envelope<Lent>) -> Route {
        Route::Start(event.event().book.clone())
    }

    fn react(&mut self, input: Input<'_, Lent, Due>) -> Outputs<Remind, Due> {
        match input {
            Input::Event(event) => {
                self.book.clone_from(&event.event().book);
                Outputs::after(HOUR, Due::Remind).and_after(24 * HOUR, Due::GiveUp)
            }
            Input::Timeout(Due::Remind) => {
                self.reminders += 1;
                let number = self.reminders;
                let book = self.book.clone();
                let outputs = Outputs::send(Remind { book, number });
                let outputs = outputs.and_message("mail", "reminder", &number);
                match number {
                    1 => outputs.and_after(HOUR, Due::Remind),
                    _ => outputs,
                }
            }
            Input::Timeout(Due::GiveUp) => Outputs::complete(),
            _ => Outputs::none(),
        }
    }
}

fn lending<B: Backend>(store: &Arc<B>) -> SagaRunner<Lending, B> {
    SagaRunner::new(Arc::clone(store), Decoder::new()).unwrap()
}

async fn lend<B: Backend>(store: &Arc<B>, saga: &SagaRunner<Lending, B>, books: &[String]) {
    for book in books {
        let stream = format!("book-{book}").parse().unwrap();
        let lent = Lent { book: book.clone() };
        store
            .append_events(stream, ExpectedVersion::Any, &[lent])
            .await
            .unwrap();
    }
    let manager = SubscriptionManager::new(store.clone(), store.clone());
    let name = uno_core::SubscriptionName::new("saga.lending").unwrap();
    let saga = Arc::new(saga.clone());
    manager
        .subscribe(Subscription::new(name, Replay::Safe, saga))
        .unwrap();
    manager.start_all().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    manager.stop_all().await;
}

fn memory() -> (Arc<MemoryStore>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
    let store = MemoryStore::builder().clock(clock.clone()).build();
    (Arc::new(store), clock)
}

fn books(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{n:04}")).collect()
}

async fn reminders<B: Backend>(store: &B) -> Vec<(String, u32)> {
    let queue = store.read_queue("saga.lending.commands", 0, 10_000).await;
    let mut sent: Vec<_> = queue
        .unwrap()
        .iter()
        .map(|queued| {
            let remind: Remind = serde_json::from_str(queued.message().payload().as_str()).unwrap();
            (remind.book, remind.number)
        })
        .collect();
    sent.sort();
    sent
}

#[tokio::test]
async fn timeouts_fire_when_they_are_due_and_once() {
    let (store, clock) = memory();
    let saga = lending(&store);
    lend(&store, &saga, &books(3)).await;
    let fired = saga.fire_timers().await.unwrap();
    assert_eq!((fired.count, fired.next_in), (0, Some(HOUR)));
    clock.advance(HOUR - Duration::from_micros(1));
    assert_eq!(saga.fire_timers().await.unwrap().count, 0);
    clock.advance(Duration::from_micros(1));
    let fired = saga.fire_timers().await.unwrap();
    assert_eq!((fired.count, fired.next_in), (3, Some(Duration::ZERO)));
    let fired = saga.fire_timers().await.unwrap();
    assert_eq!((fired.count, fired.next_in), (0, Some(HOUR)));
    assert_eq!(reminders(&*store).await.len(), 3);
    assert_eq!(store.queue_depth("mail").await.unwrap().0, 3);
    assert_eq!(saga.timeouts("0001").await.unwrap().len(), 2);
    clock.advance(30 * HOUR);
    // In the order of their times: the second reminder, then the end.
    assert_eq!(saga.fire_timers().await.unwrap().count, 6);
    let one = saga.instance("0001").await.unwrap().unwrap();
    assert_eq!((one.state().reminders, one.timeouts().len()), (2, 0));
    // It awaits the outcomes of its commands.
    assert_eq!(one.status(), ProcessStatus::Running);
    assert_eq!(saga.status().timers, 9);
    let items = saga.history("0001", 0, 100).await.unwrap();
    let due: Vec<String> = items
        .iter()
        .filter_map(|item| match item.entry() {
            HistoryEntry::Timeout { due_at, .. } => Some(due_at.to_rfc3339()),
            _ => None,
        })
        .collect();
    let at = |text: &str| format!("2026-01-{text}:00:00+00:00");
    assert_eq!(due, [at("01T01"), at("01T02"), at("02T00")]);
    // A page from the middle.
    let rest = saga.history("0001", items[3].number(), 2).await.unwrap();
    assert_eq!(rest, items[4..6]);
}

#[tokio::test]
async fn many_are_fired_in_pages_by_two_runners_at_once() {
    let (store, clock) = memory();
    let (saga, other) = (lending(&store), lending(&store));
    lend(&store, &saga, &books(700)).await;
    clock.advance(HOUR);
    let poll = Duration::from_millis(5);
    let running = [saga.clone(), other]
        .map(|saga| Running::start(|stop| async move { saga.run(poll, stop).await }));
    until(&*store, || async { reminders(&*store).await.len() >= 700 }).await;
    for running in running {
        running.stop().await;
    }
    let expected: Vec<_> = books(700).into_iter().map(|book| (book, 1)).collect();
    assert_eq!(reminders(&*store).await, expected);
}

/// A death, or a doubtful answer, at every commit on the way: each timeout has effect once.
#[tokio::test]
async fn timeouts_have_effect_once_whatever_the_store_says() {
    for fault in Fault::ALL {
        for number in 1..=4 {
            let (store, clock) = memory();
            let sound = lending(&store);
            lend(&store, &sound, &books(3)).await;
            let faulty = Faulty::at(&store, number, fault);
            let saga = lending(&faulty);
            for _ in 0..4 {
                clock.advance(HOUR);
                for _ in 0..2 {
                    tokio::select! {
                        biased;
                        () = faulty.died() => {}
                        _ = saga.fire_timers() => {}
                    }
                }
            }
            faulty.catch_up().await;
            for _ in 0..4 {
                clock.advance(HOUR);
                while sound.fire_timers().await.unwrap().count > 0 {}
            }
            let once = books(3)
                .into_iter()
                .flat_map(|book| [(book.clone(), 1), (book, 2)]);
            let expected: Vec<_> = once.collect();
            assert_eq!(reminders(&*store).await, expected, "{fault:?} at {number}");
            assert_eq!(store.queue_depth("mail").await.unwrap().0, 6);
            assert_eq!(sound.timeouts("0000").await.unwrap().len(), 1);
        }
    }
}

/// A timer whose text this code does not know parks its instance, and is kept as it was.
#[tokio::test]
async fn a_timeout_that_can_not_be_read_parks_its_instance() {
    let (store, clock) = memory();
    let saga = lending(&store);
    lend(&store, &saga, &books(2)).await;
    let timer = store
        .list_timers("lending", "0000")
        .await
        .unwrap()
        .remove(0);
    let spoiled = uno_core::NewTimer::new(
        "lending",
        "0000",
        timer.id(),
        uno_core::Due::At(timer.due_at()),
        uno_core::Payload::from_json(r#""Other""#).unwrap(),
        Metadata::new(),
    );
    let mut commit = Commit::new();
    commit.timers.push(uno_core::TimerWrite::Set(spoiled));
    store.commit(commit).await.unwrap();
    clock.advance(HOUR);
    assert_eq!(saga.fire_timers().await.unwrap().count, 2);
    assert_eq!(reminders(&*store).await, [("0001".to_owned(), 1)]);
    let parked = saga.parked(None, 10).await.unwrap();
    let reason = parked[0].reason.as_deref().unwrap();
    assert!(
        reason.starts_with("a timeout of instance 0000 is malformed"),
        "{reason}"
    );
    let inputs = saga.parked_inputs("0000").await.unwrap();
    assert_eq!((inputs[0].id, inputs.len()), (timer.id(), 1));
    // What is due later goes behind it, and left out, it is not pending any more.
    clock.advance(24 * HOUR);
    while saga.fire_timers().await.unwrap().count > 0 {}
    let why = Intervention::new("ada", "nobody knows it");
    saga.skip_parked("0000", &why).await.unwrap();
    let retried = saga.retry_parked("0000", &why).await.unwrap();
    assert_eq!((retried.handled, retried.parked_again), (1, None));
    let status = saga.instance("0000").await.unwrap().unwrap().status();
    assert_eq!(status, ProcessStatus::Completed);
}

/// The second version of it: the state has another shape.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
struct Lending2 {
    title: String,
}

impl Saga for Lending2 {
    const NAME: &'static str = "lending";
    const VERSION: u32 = 2;
    type Event = Lent;
    type Command = Remind;
    type Timeout = Due;

    fn route(event: &Envelope<Lent>) -> Route {
        Route::Start(event.event().book.clone())
    }

    fn react(&mut self, _: Input<'_, Lent, Due>) -> Outputs<Remind, Due> {
        Outputs::complete()
    }

    fn upgrade(
        from: u32,
        state: serde_json::Value,
    ) -> Result<serde_json::Value, uno_core::BoxError> {
        assert_eq!(from, 1);
        let title = state.get("book").cloned().ok_or("no book")?;
        Ok(serde_json::json!({ "title": title }))
    }
}

#[tokio::test]
async fn instances_go_on_under_a_new_version_and_an_old_one_leaves_them_alone() {
    let (store, clock) = memory();
    let old = lending(&store);
    lend(&store, &old, &books(2)).await;
    let new = SagaRunner::<Lending2, _>::new(Arc::clone(&store), Decoder::new()).unwrap();
    let seen = new.instance("0000").await.unwrap().unwrap();
    assert_eq!(seen.state().title, "0000");
    clock.advance(HOUR);
    assert_eq!(new.fire_timers().await.unwrap().count, 2);
    let ended = new.instance("0001").await.unwrap().unwrap();
    assert_eq!(ended.status(), ProcessStatus::Completed);
    // The old code gets hold of it: it sets it aside, and does not touch it.
    let before = store
        .load_processes("lending", &["0000".to_owned()])
        .await
        .unwrap();
    lend(&store, &old, &["0000".to_owned()]).await;
    let after = store
        .load_processes("lending", &["0000".to_owned()])
        .await
        .unwrap();
    assert_eq!(after[0].status(), ProcessStatus::Parked);
    assert_eq!(after[0].body(), before[0].body());
    let error = old.instance("0000").await.unwrap_err();
    assert!(
        matches!(
            error,
            SagaError::Transition(TransitionError::NewerVersion {
                found: 2,
                known: 1,
                ..
            })
        ),
        "{error:?}"
    );
    let why = Intervention::new("ada", "deployed");
    let retried = new.retry_parked("0000", &why).await.unwrap();
    assert_eq!((retried.handled, retried.parked_again), (1, None));
}

#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Refund {
    cents: i64,
}

/// Undoes something at once.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
struct Undoing {}

impl Saga for Undoing {
    const NAME: &'static str = "undoing";
    type Event = Lent;
    type Command = Refund;
    type Timeout = Due;

    fn route(event: &Envelope<Lent>) -> Route {
        Route::Start(event.event().book.clone())
    }

    fn react(&mut self, _: Input<'_, Lent, Due>) -> Outputs<Refund, Due> {
        Outputs::on_undo(Refund { cents: 7 }).and_compensate()
    }
}

/// Lets the last command that an instance sent be rejected or succeed.
async fn answer(store: &MemoryStore, saga: &SagaRunner<Undoing, MemoryStore>, verdict: Verdict) {
    let (commands, outcomes) = saga.queues();
    let sent = store.read_queue(commands, 0, 10).await.unwrap();
    let sent = sent.last().unwrap().message();
    let id = CommandId::from_uuid(sent.id());
    let outcome = CommandOutcome::new(id, sent.name(), verdict);
    let metadata = sent.metadata().clone();
    let message: NewMessage = outcome.to_message(outcomes, sent.key(), metadata).unwrap();
    let mut commit = Commit::new();
    commit.messages.push(message);
    store.commit(commit).await.unwrap();
    assert_eq!(saga.handle_outcomes().await.unwrap(), 1);
}

#[tokio::test]
async fn persons_help_what_is_stuck_and_it_is_told() {
    let (store, _) = memory();
    let saga = SagaRunner::<Undoing, _>::new(Arc::clone(&store), Decoder::new()).unwrap();
    let lent = Lent {
        book: "x".to_owned(),
    };
    let stream = "book-x".parse().unwrap();
    store
        .append_events(stream, ExpectedVersion::Any, &[lent])
        .await
        .unwrap();
    let manager = SubscriptionManager::new(store.clone(), store.clone());
    let name = uno_core::SubscriptionName::new("saga.undoing").unwrap();
    let consumer = Arc::new(saga.clone());
    manager
        .subscribe(Subscription::new(name, Replay::Safe, consumer))
        .unwrap();
    manager.start_all().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    manager.stop_all().await;

    let why = Intervention::new("ada", "the bank was closed");
    let status = async || saga.instance("x").await.unwrap().unwrap().status();
    let error = saga.retry("x", &why).await.unwrap_err();
    let compensating = ProcessStatus::Compensating;
    assert!(
        matches!(error, VerbError::NotStuck { status, .. } if status == compensating),
        "{error:?}"
    );
    let error = saga.resume("y", &why).await.unwrap_err();
    assert!(matches!(error, VerbError::NoInstance(_)), "{error:?}");
    let no = || Verdict::Rejected("no".to_owned());
    answer(&store, &saga, no()).await;
    assert_eq!(status().await, ProcessStatus::Stuck);
    assert_eq!(saga.counts().await.unwrap().stuck, 1);
    saga.retry("x", &why).await.unwrap();
    assert_eq!(status().await, compensating);
    answer(&store, &saga, no()).await;
    saga.edit_and_retry("x", Refund { cents: 5 }, &why)
        .await
        .unwrap();
    let sent = store.read_queue(saga.queues().0, 0, 10).await.unwrap();
    let payloads: Vec<_> = sent
        .iter()
        .map(|sent| sent.message().payload().as_str())
        .collect();
    assert_eq!(
        payloads,
        [r#"{"cents":7}"#, r#"{"cents":7}"#, r#"{"cents":5}"#]
    );
    assert_eq!(sent[2].message().metadata().actor(), Some("ada"));
    answer(&store, &saga, no()).await;
    saga.resume("x", &why).await.unwrap();
    assert_eq!(status().await, ProcessStatus::Compensated);
    let items = saga.history("x", 0, 100).await.unwrap();
    let verbs: Vec<Verb> = items
        .iter()
        .filter_map(|item| match item.entry() {
            HistoryEntry::Verb { verb, by, reason } => {
                assert_eq!((&**by, &**reason), ("ada", "the bank was closed"));
                Some(*verb)
            }
            _ => None,
        })
        .collect();
    assert_eq!(verbs, [Verb::Retry, Verb::EditAndRetry, Verb::Resume]);
    let error = saga.cancel("x", &why).await.unwrap_err();
    assert!(matches!(error, VerbError::Ended { .. }), "{error:?}");
}
