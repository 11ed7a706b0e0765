//! Who and what everything goes back to, from the first event to the last.

use std::{collections::BTreeMap, sync::Arc};

use uno_core::{CommandId, CorrelationId, Metadata, ProcessStore};
use uno_testkit::conformance::{BackendHarness, Harness};
use uuid::Uuid;

use super::{
    fulfil::{Clerk, order_as},
    world::{World, saga, subscribe},
};
use crate::support::{faulty::Faulty, log, rest::in_time};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

pub(super) async fn metadata_goes_through_the_whole_chain<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
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
    order_as(&**store, "1742", "ship!", metadata.clone()).await;

    // From the event to the command: the event is the cause, the rest is handed on.
    let saga = saga(store);
    let manager = subscribe(store, &saga);
    manager.start_all().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    manager.stop_all().await;
    let events = log(&**store).await;
    let sent = store.read_queue(saga.queues().0, 0, 10).await.unwrap();
    let caused_by_event = metadata
        .clone()
        .with_causation_id(*events[0].id().as_uuid())
        .with_causing_event(events[0].id());
    assert_eq!(*sent[0].message().metadata(), caused_by_event);

    // From the command to its events and its outcome, and from there to the next commands: the command is the cause.
    let world = World::start(&Faulty::sound(store), &Clerk::default()).await;
    assert!(world.rest().await);
    world.stop().await;
    let events = log(&**store).await;
    let id = |n: &str| *CommandId::stable(["fulfil", "1742", n]).as_uuid();
    let causes: Vec<Uuid> = events[1..]
        .iter()
        .map(|event| event.metadata().causation_id().unwrap())
        .collect();
    // Charged, allocated, (the third command was refused), released, refunded.
    assert_eq!(causes, [id("1"), id("2"), id("4"), id("5")]);
    // The event on the way: the charge was for the order, and all the rest goes back to the charge, through commands and outcomes alone.
    for (event, causing) in events[1..].iter().zip([0, 1, 1, 1]) {
        let cause = event.metadata().causation_id().unwrap();
        let metadata = metadata.clone().with_causing_event(events[causing].id());
        assert_eq!(*event.metadata(), metadata.with_causation_id(cause));
    }
}

/// A command that comes of an outcome names the command whose outcome it was as its cause.
#[tokio::test]
async fn what_comes_of_an_outcome_is_caused_by_its_command() {
    let store = Arc::new(uno_store_memory::MemoryStore::new());
    let saga = saga(&store);
    order_as(
        &*store,
        "1742",
        "charge!",
        Metadata::new().with_actor("ada"),
    )
    .await;
    let manager = subscribe(&store, &saga);
    manager.start_all().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    manager.stop_all().await;
    // The charge is given up, so that the refund comes of its outcome.
    let charge = &store.read_queue(saga.queues().0, 0, 10).await.unwrap()[0];
    let id = CommandId::from_uuid(charge.message().id());
    let verdict = uno_cqrs::Verdict::GaveUp("no".to_owned());
    let outcome = uno_cqrs::CommandOutcome::new(id, "charge", verdict);
    let metadata = charge
        .message()
        .metadata()
        .clone()
        .with_causation_id(*id.as_uuid());
    let runner = uno_uow::Runner::new(Arc::clone(&store));
    let mut uow = runner.begin(Metadata::new());
    uow.enqueue(
        outcome
            .to_message(saga.queues().1, "1742", metadata.clone())
            .unwrap(),
    );
    runner.commit(uow).await.unwrap();
    assert_eq!(saga.handle_outcomes().await.unwrap(), 1);
    let sent = store.read_queue(saga.queues().0, 0, 10).await.unwrap();
    let by_name: BTreeMap<_, _> = sent
        .iter()
        .map(|queued| (queued.message().name(), queued.message().metadata()))
        .collect();
    assert_eq!(by_name["refund"], &metadata);
    assert_eq!(by_name["refund"].actor(), Some("ada"));
}
