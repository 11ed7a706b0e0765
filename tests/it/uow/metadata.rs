//! Who and what everything goes back to: from a command on the bus to the last event that comes of it.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use uno_core::{
    Backend, Command, CommandId, CommandSet, CorrelationId, Decoder, Envelope, Metadata,
    ProcessStore, SubscriptionName,
};
use uno_cqrs::{CommandBus, CommandHandler};
use uno_events::{Replay, Subscription, SubscriptionManager};
use uno_saga::{Input, Outputs, Route, Saga, SagaRunner};
use uno_testkit::conformance::{BackendHarness, Harness};
use uno_uow::{CommandError, Runner, UnitOfWork};

use super::customer::order;
use crate::support::{
    account::{AccountEvent, put_in},
    log,
    rest::{Running, in_time, until},
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

const POLL: Duration = Duration::from_millis(5);

/// Puts money into an account.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Deposit {
    account: String,
    cents: i64,
}

/// Counts an order of the account's owner.
#[derive(Command, Serialize, Deserialize, Clone, Debug, PartialEq)]
struct CountOrder {
    customer: String,
}

#[derive(CommandSet, Clone, Debug, PartialEq)]
enum Sent {
    Deposit(Deposit),
    CountOrder(CountOrder),
}

#[derive(Clone)]
struct Clerk;

impl<B: Backend> CommandHandler<Deposit, B> for Clerk {
    async fn handle(&self, command: &Deposit, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
        put_in(uow, &command.account, command.cents).await.map(drop)
    }
}

impl<B: Backend> CommandHandler<CountOrder, B> for Clerk {
    async fn handle(
        &self,
        command: &CountOrder,
        uow: &mut UnitOfWork<B>,
    ) -> Result<(), CommandError> {
        order(uow, &command.customer).await.map(drop)
    }
}

/// Gives a bonus to a new account, and counts an order for the bonus.
#[derive(Serialize, Deserialize, Default, Clone, Debug, PartialEq)]
struct Welcome;

impl Saga for Welcome {
    const NAME: &'static str = "welcome";
    type Event = AccountEvent;
    type Command = Sent;
    type Timeout = uno_saga::NoTimeout;

    fn route(event: &Envelope<AccountEvent>) -> Route {
        match event.event() {
            AccountEvent::Opened(opened) if opened.owner == "ada" => Route::Start("ada".to_owned()),
            AccountEvent::Moved(moved) if moved.cents == 7 => Route::Continue("ada".to_owned()),
            _ => Route::Ignore,
        }
    }

    fn react(&mut self, input: Input<'_, AccountEvent>) -> Outputs<Sent> {
        match input {
            Input::Event(event) => match event.event() {
                AccountEvent::Opened(_) => Outputs::send(Deposit {
                    account: "bonus".to_owned(),
                    cents: 7,
                }),
                AccountEvent::Moved(_) => Outputs::send(CountOrder {
                    customer: "ada".to_owned(),
                }),
            },
            _ => Outputs::none(),
        }
    }
}

/// Command on the bus → event → saga → queued command → worker → event → saga → queued command → worker → event.
pub(super) async fn metadata_goes_from_a_command_to_the_last_event<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let bus = CommandBus::builder(Runner::new(Arc::clone(store)))
        .handler::<Deposit>(Clerk)
        .handler::<CountOrder>(Clerk)
        .build()
        .unwrap();
    let saga = SagaRunner::<Welcome, _>::new(Arc::clone(store), Decoder::new()).unwrap();
    let manager = SubscriptionManager::builder(store.clone(), store.clone())
        .poll_interval(POLL)
        .build();
    let name = SubscriptionName::new("saga.welcome").unwrap();
    let subscription = Subscription::new(name, Replay::Safe, Arc::new(saga.clone()));
    manager.subscribe(subscription).unwrap();
    manager.start_all().await.unwrap();
    let worker = saga.worker(bus.clone()).with_poll_interval(POLL);
    let worker = Running::start(|stop| async move { worker.run(stop).await });

    let metadata = Metadata::new()
        .with_correlation_id(CorrelationId::new())
        .with_causation_id(*CommandId::new().as_uuid())
        .with_actor("ada")
        .with_tenant("acme")
        .with_traceparent(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
                .parse()
                .unwrap(),
        )
        .with_header("channel", "web");
    let deposit = Deposit {
        account: "ada".to_owned(),
        cents: 5,
    };
    bus.execute_as(deposit, metadata.clone()).await.unwrap();
    let last = |events: &[Arc<uno_core::RecordedEvent>]| {
        let last = events.iter().rev();
        last.clone()
            .find(|event| event.stream().to_string() == "customer-ada")
            .cloned()
    };
    until(&**store, || async { last(&log(&**store).await).is_some() }).await;
    manager.stop_all().await;
    in_time(worker.stop()).await;

    let events = log(&**store).await;
    let of = |stream: &str, name: &str| {
        let here = events.iter();
        let mut here = here
            .filter(|event| event.stream().to_string() == stream && event.name().as_str() == name);
        let event = here.next().unwrap();
        assert!(here.next().is_none(), "{name} of {stream} happened once");
        Arc::clone(event)
    };
    // All of it is the same throughout, but for what the direct cause is, and the last event before it.
    let on_the_way = |metadata: &Metadata, stream: &str| match stream {
        "account-ada" => metadata.clone(),
        "account-bonus" => metadata
            .clone()
            .with_causing_event(of("account-ada", "opened").id()),
        _ => metadata
            .clone()
            .with_causing_event(of("account-bonus", "moved").id()),
    };
    for event in &events {
        let cause = event.metadata().causation_id().unwrap();
        assert_eq!(
            *event.metadata(),
            on_the_way(&metadata, &event.stream().to_string()).with_causation_id(cause),
            "{event:?}"
        );
    }
    // The first events are caused by the command that was executed, which has an id of its own.
    let opened = of("account-ada", "opened");
    let command = opened.metadata().causation_id().unwrap();
    assert_ne!(Some(command), metadata.causation_id());
    assert_eq!(
        of("account-ada", "moved").metadata().causation_id(),
        Some(command)
    );
    // The later ones by the commands that the saga has sent. Each has a stable id, and was caused by the event before.
    let sent = |number: &str| *CommandId::stable(["welcome", "ada", number]).as_uuid();
    assert_eq!(
        of("account-bonus", "moved").metadata().causation_id(),
        Some(sent("1"))
    );
    let last = last(&events).unwrap();
    assert_eq!(last.metadata().causation_id(), Some(sent("2")));
    assert_eq!(last.metadata().correlation_id(), metadata.correlation_id());
    // What became of each command says so as well.
    let outcomes = store.read_queue(saga.queues().1, 0, 10).await.unwrap();
    let causes: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.message().metadata().clone())
        .collect();
    let expected = [("1", "account-bonus"), ("2", "customer-ada")]
        .map(|(number, stream)| on_the_way(&metadata, stream).with_causation_id(sent(number)));
    assert_eq!(causes, expected);
}

/// A command that a saga or a handler sends, as it waits in its queue, names what it was sent for as its cause.
pub(super) async fn a_command_in_a_queue_names_its_cause<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let metadata = Metadata::new()
        .with_correlation_id(CorrelationId::new())
        .with_actor("ada")
        .with_tenant("acme");
    // From a handler: the command that it handles.
    let cause = *CommandId::new().as_uuid();
    let mut uow = runner.begin(metadata.clone().with_causation_id(cause));
    let count = CountOrder {
        customer: "ada".to_owned(),
    };
    uow.send("orders", *CommandId::new().as_uuid(), "ada", &count)
        .unwrap();
    put_in(&mut uow, "ada", 5).await.unwrap();
    runner.commit(uow).await.unwrap();
    let queue = store.read_queue("orders", 0, 10).await.unwrap();
    let expected = metadata.clone().with_causation_id(cause);
    assert_eq!(*queue[0].message().metadata(), expected);

    // From a saga: the event.
    let saga = SagaRunner::<Welcome, _>::new(Arc::clone(store), Decoder::new()).unwrap();
    let manager = SubscriptionManager::builder(store.clone(), store.clone()).build();
    let name = SubscriptionName::new("saga.welcome").unwrap();
    let subscription = Subscription::new(name, Replay::Safe, Arc::new(saga.clone()));
    manager.subscribe(subscription).unwrap();
    manager.start_all().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    manager.stop_all().await;
    let opened = &log(&**store).await[0];
    let sent = store.read_queue(saga.queues().0, 0, 10).await.unwrap();
    let expected = metadata
        .with_causation_id(*opened.id().as_uuid())
        .with_causing_event(opened.id());
    assert_eq!(*sent[0].message().metadata(), expected);
}
