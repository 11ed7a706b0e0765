//! Sagas of steps on a store: over subscription, bus, worker and timers, wherever a process dies, and changed under way.

mod drawn;

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use uno::{BuildError, MemoryStore, Uno};
use uno_core::{
    Backend, Decoder, Envelope, ManualClock, ProcessStatus, QueuedMessage, SubscriptionName,
};
use uno_events::{Replay, Subscription, SubscriptionManager};
use uno_saga::{
    Answer, DefinitionError, Intervention, SagaError, SagaRunner, StepSaga, Steps, StepsError,
    Stepwise, TransitionError,
};
use uno_testkit::GivenSaga;

use super::fulfil::{
    Allocate, Charge, Clerk, DeskEvent, Ordered, Refund, Release, Sent, Ship, done, order,
};
use crate::support::{
    faulty::{Fault, Faulty},
    log,
    rest::{Running, in_time, until},
};

const POLL: Duration = Duration::from_millis(5);
const HALF_AN_HOUR: Duration = Duration::from_secs(1800);

/// Takes an order from the money to the parcel, once somebody has looked at it, or half an hour has gone by.
macro_rules! parcel {
    ($name:ident, $version:expr, $steps:expr) => {
        #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
        struct $name {
            order: String,
        }

        impl StepSaga for $name {
            const NAME: &'static str = "parcel";
            const VERSION: u32 = $version;
            type Event = DeskEvent;
            type Command = Sent;

            fn key(event: &Envelope<DeskEvent>) -> Option<String> {
                Some(event.stream().key().to_owned())
            }

            fn start(event: &Envelope<DeskEvent>) -> Option<Self> {
                match event.event() {
                    DeskEvent::Ordered(event) => Some(Self {
                        order: event.order.clone(),
                    }),
                    _ => None,
                }
            }

            fn steps() -> Steps<Self> {
                $steps
            }
        }
    };
}

macro_rules! the {
    ($command:ident) => {
        |it: &Self| $command {
            order: it.order.clone(),
        }
    };
}

parcel!(
    Parcel,
    1,
    Steps::new()
        .step("charge", the!(Charge))
        .undo(the!(Refund))
        .fork([
            Steps::new()
                .step("allocate", the!(Allocate))
                .undo(the!(Release)),
            Steps::new()
                .wait_for("look", |_, event| look(event))
                .on_timeout(HALF_AN_HOUR, Steps::new()),
        ])
        .step("ship", the!(Ship))
);

fn look(event: &Envelope<DeskEvent>) -> Option<Answer> {
    match event.event() {
        DeskEvent::Done(done) if done.step == "look" => Some(Answer::Accepted),
        _ => None,
    }
}

/// What each plan comes to.
const PLANS: [(&str, &[&str], &str); 5] = [
    ("fine", &["charge", "allocate", "ship"], "completed"),
    ("looked", &["charge", "allocate", "ship"], "completed"),
    ("allocate!", &["charge", "refund"], "compensated"),
    ("charge?", &["refund"], "compensated"),
    (
        "looked ship!",
        &["charge", "allocate", "release", "refund"],
        "compensated",
    ),
];

fn runner<S: StepSaga, B: Backend>(store: &Arc<B>) -> SagaRunner<Stepwise<S>, B> {
    SagaRunner::new(Arc::clone(store), Decoder::new()).unwrap()
}

/// One process that runs it, until it is stopped or dies.
struct Process<S, B: Backend> {
    saga: SagaRunner<Stepwise<S>, Faulty<B>>,
    manager: SubscriptionManager,
    parts: [Running; 2],
}

impl<S: StepSaga, B: Backend> Process<S, B> {
    async fn start(store: &Arc<Faulty<B>>, clerk: &Clerk) -> Self {
        let saga = runner::<S, _>(store);
        let (log, checkpoints) = (Arc::clone(store), Arc::clone(store));
        let manager = SubscriptionManager::builder(log, checkpoints)
            .instance("world")
            .poll_interval(POLL)
            .build();
        let name = SubscriptionName::new("saga.parcel").unwrap();
        let subscription = Subscription::new(name, Replay::Safe, Arc::new(saga.clone()));
        manager.subscribe(subscription).unwrap();
        // A process may die while it starts.
        tokio::select! {
            started = manager.start_all() => started.unwrap(),
            () = store.died() => {}
        }
        let quick = uno_uow::RetryPolicy::none()
            .with_attempts(2)
            .with_pauses(Duration::from_micros(10), Duration::from_millis(1));
        let worker = saga.worker(clerk.bus(store));
        let worker = worker.with_retry(quick).with_poll_interval(POLL);
        let runs = saga.clone();
        Self {
            saga,
            manager,
            parts: [
                Running::start(|stop| async move { worker.run(stop).await }),
                Running::start(|stop| async move { runs.run(POLL, stop).await }),
            ],
        }
    }

    async fn stop(self) {
        self.manager.stop_all().await;
        for part in self.parts {
            part.stop().await;
        }
    }

    async fn crash(self) {
        drop(self.manager);
        for part in self.parts {
            part.crash().await;
        }
    }

    /// Whether all orders of a batch have come to their ends.
    async fn has_ended(&self, batch: &str) -> bool {
        for (plan, _, _) in PLANS {
            let instance = self.saga.instance(&name_of(batch, plan)).await.unwrap();
            if !instance.is_some_and(|instance| instance.status().is_ended()) {
                return false;
            }
        }
        true
    }
}

fn name_of(batch: &str, plan: &str) -> String {
    format!("{batch}, {plan}")
}

async fn order_all<B: Backend>(store: &B, batch: &str) {
    for (plan, _, _) in PLANS {
        let name = name_of(batch, plan);
        order(store, &name, plan).await;
        if plan.contains("looked") {
            done(store, &name, "look").await;
        }
    }
}

fn store() -> (Arc<ManualClock>, Arc<MemoryStore>) {
    let clock = ManualClock::at("2026-01-05T12:00:00Z".parse().unwrap());
    let clock = Arc::new(clock);
    let store = MemoryStore::builder().clock(Arc::clone(&clock) as _);
    (clock, Arc::new(store.build()))
}

/// Lets a process run until a batch has ended or it dies, while time goes by; how many commits it asked for.
async fn live(
    clock: &ManualClock,
    store: Arc<Faulty<MemoryStore>>,
    clerk: &Clerk,
    batch: &str,
) -> usize {
    let process = Process::<Parcel, _>::start(&store, clerk).await;
    let ended = until(&*store, || async {
        clock.advance(Duration::from_secs(60));
        process.has_ended(batch).await
    });
    tokio::select! {
        biased;
        () = store.died() => process.crash().await,
        () = ended => process.stop().await,
    }
    store.catch_up().await;
    store.commits()
}

/// Every order of the batch has come to what its plan says, each command took effect once, and the money is where it
/// should be.
async fn assert_ended(store: &Arc<MemoryStore>, clerk: &Clerk, batch: &str) {
    let events = log(&**store).await;
    for (plan, steps, status) in PLANS {
        let order = name_of(batch, plan);
        let instance = runner::<Parcel, _>(store).instance(&order).await;
        let instance = instance.unwrap().unwrap();
        let here = events.iter().filter(|event| event.stream().key() == order);
        let done = here.filter_map(|event| {
            let payload: serde_json::Value =
                serde_json::from_str(event.payload().as_str()).unwrap();
            let step = payload.get("step")?.as_str()?.to_owned();
            (step != "look").then_some(step)
        });
        assert_eq!(done.collect::<Vec<_>>(), steps, "{order}: {instance:?}");
        assert_eq!(instance.status().as_str(), status, "{order}: {instance:?}");
        assert_eq!(instance.in_flight(), [], "{order}");
        let kept = i64::from(status == "completed");
        assert_eq!(clerk.charged(&order), kept, "the money of {order}");
    }
    for queue in ["saga.parcel.commands", "saga.parcel.outcomes"] {
        let left: Vec<QueuedMessage> = uno_core::ProcessStore::read_queue(&**store, queue, 0, 10)
            .await
            .unwrap();
        assert!(left.is_empty(), "{queue} after {batch}: {left:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn steps_come_to_their_ends_over_bus_and_worker() {
    let (clock, store) = store();
    let clerk = Clerk::default();
    order_all(&*store, "batch").await;
    live(&clock, Faulty::sound(&store), &clerk, "batch").await;
    assert_ended(&store, &clerk, "batch").await;
}

/// One fault at every commit that there is.
async fn at_every_commit(fault: Fault) {
    let (clock, store) = store();
    let clerk = Clerk::default();
    order_all(&*store, "sound").await;
    let commits = live(&clock, Faulty::sound(&store), &clerk, "sound").await;
    assert!(commits >= 20, "{commits} commits");
    for number in 1..=commits {
        let batch = format!("{fault:?} at {number}");
        order_all(&*store, &batch).await;
        let faulty = Faulty::at(&store, number, fault);
        in_time(live(&clock, faulty, &clerk, &batch)).await;
        in_time(live(&clock, Faulty::sound(&store), &clerk, &batch)).await;
        assert_ended(&store, &clerk, &batch).await;
    }
}

#[tokio::test(start_paused = true)]
async fn steps_come_to_their_ends_after_a_death_before_any_commit() {
    at_every_commit(Fault::DiesBefore).await;
}

#[tokio::test(start_paused = true)]
async fn steps_come_to_their_ends_after_a_death_after_any_commit() {
    at_every_commit(Fault::DiesAfter).await;
}

#[tokio::test(start_paused = true)]
async fn steps_come_to_their_ends_when_commits_are_unknown() {
    at_every_commit(Fault::UnknownLate).await;
}

parcel!(
    Longer,
    1,
    Parcel::steps_of()
        .step("wrap", the!(Allocate))
        .undo(the!(Release))
);
parcel!(Shorter, 1, Steps::new().step("charge", the!(Charge)));
parcel!(
    Newer,
    2,
    Steps::new().step("charge", the!(Charge)).undo(the!(Refund))
);

impl Parcel {
    fn steps_of<S: StepSaga<Event = DeskEvent, Command = Sent> + AsRef<str>>() -> Steps<S> {
        Steps::new()
            .step("charge", |it: &S| Charge {
                order: it.as_ref().to_owned(),
            })
            .undo(|it: &S| Refund {
                order: it.as_ref().to_owned(),
            })
            .wait_for("look", |_, event| look(event))
    }
}

impl AsRef<str> for Longer {
    fn as_ref(&self) -> &str {
        &self.order
    }
}

/// Lets the instance of an order come to where it waits for a look, by the first definition.
async fn waiting(store: &Arc<MemoryStore>, clerk: &Clerk) {
    order(&**store, "a", "fine").await;
    let sound = Faulty::sound(store);
    let process = Process::<Parcel, _>::start(&sound, clerk).await;
    let looked_for = || async {
        let instance = process.saga.instance("a").await.unwrap();
        instance.is_some_and(|instance| instance.state().at().eq(["look"]))
    };
    until(&**store, looked_for).await;
    process.stop().await;
}

#[tokio::test]
async fn an_instance_goes_on_by_a_definition_with_other_steps_behind_it() {
    let (_, store) = store();
    let clerk = Clerk::default();
    waiting(&store, &clerk).await;
    done(&*store, "a", "look").await;
    let sound = Faulty::sound(&store);
    let process = Process::<Longer, _>::start(&sound, &clerk).await;
    until(&*store, || async {
        let instance = process.saga.instance("a").await.unwrap().unwrap();
        instance.status() == ProcessStatus::Completed
    })
    .await;
    let a = process.saga.instance("a").await.unwrap().unwrap();
    assert_eq!(a.state().data().unwrap().order, "a");
    process.stop().await;
    assert_eq!(clerk.charged("a"), 1);
}

#[tokio::test]
async fn an_instance_at_a_step_that_is_gone_is_parked_and_goes_on_by_a_definition_that_has_it() {
    let (_, store) = store();
    let clerk = Clerk::default();
    waiting(&store, &clerk).await;
    done(&*store, "a", "look").await;
    let sound = Faulty::sound(&store);
    let process = Process::<Shorter, _>::start(&sound, &clerk).await;
    until(&*store, || async {
        process.saga.counts().await.unwrap().parked == 1
    })
    .await;
    let error = process.saga.instance("a").await.unwrap_err();
    assert!(
        matches!(&error, SagaError::Transition(TransitionError::Unreadable { key, source })
            if key == "a" && source.to_string().starts_with("it is at the step look, which version 1")),
        "{error:?}"
    );
    process.stop().await;
    // Another version, and no way from the one to the other.
    let error = runner::<Newer, _>(&store).instance("a").await.unwrap_err();
    assert!(
        matches!(&error, SagaError::Transition(TransitionError::Unreadable { source, .. })
            if source.to_string() == "there is no upgrade from version 1"),
        "{error:?}"
    );

    let process = Process::<Parcel, _>::start(&sound, &clerk).await;
    let person = Intervention::new("ada", "rolled back");
    process.saga.retry_parked("a", &person).await.unwrap();
    until(&*store, || async {
        let instance = process.saga.instance("a").await.unwrap().unwrap();
        instance.status() == ProcessStatus::Completed
    })
    .await;
    process.stop().await;
}

#[test]
fn a_definition_that_can_not_be_run_is_told_when_the_application_is_built() {
    parcel!(
        Twice,
        1,
        Steps::new()
            .step("charge", the!(Charge))
            .step("charge", the!(Charge))
    );
    let store = Arc::new(MemoryStore::new());
    let error = SagaRunner::<Stepwise<Twice>, _>::new(Arc::clone(&store), Decoder::new());
    let error = error.unwrap_err();
    assert_eq!(error.to_string(), "two steps are named charge");
    let clerk = Clerk::default();
    let builder = || {
        Uno::builder(Arc::clone(&store))
            .command::<Charge>(clerk.clone())
            .command::<Refund>(clerk.clone())
            .command::<Allocate>(clerk.clone())
            .command::<Release>(clerk.clone())
            .command::<Ship>(clerk.clone())
    };
    assert!(builder().steps::<Parcel>().build().is_ok());
    let error = builder().steps::<Twice>().build().unwrap_err();
    assert!(
        matches!(
            error,
            BuildError::Saga {
                saga: "parcel",
                source: DefinitionError::Steps(StepsError::Duplicate("charge")),
            }
        ),
        "{error:?}"
    );
}

#[test]
fn steps_are_tested_as_other_sagas_are() {
    let ordered = || Ordered {
        order: "order".to_owned(),
        plan: String::new(),
    };
    let one = || "order".to_owned();
    // The key is that of the stream.
    GivenSaga::<Stepwise<Parcel>>::new()
        .event(ordered())
        .expect_sent([Charge { order: one() }])
        .succeeded::<Charge>()
        .expect_sent([Allocate { order: one() }])
        .rejected::<Allocate>("there is none")
        .expect_sent([Refund { order: one() }])
        .expect_status(ProcessStatus::Compensating)
        .succeeded::<Refund>()
        .expect_status(ProcessStatus::Compensated);
}
