//! What is kept as a state commits with everything else, or not at all.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use uno_core::{CommandId, CommitError, CorrelationId, Metadata, Stale};
use uno_testkit::conformance::{BackendHarness, Harness};
use uno_uow::{CommandError, RetryPolicy, RunError, Runner, StagingError};

use super::customer::{Customer, CustomerOrdered, customer, order, orders, slip_in_order, stored};
use crate::support::{
    account::{account, put_in, slip_in},
    log, names,
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

pub(super) async fn a_state_commits_with_the_events_of_others<H: BackendHarness>(
    harness: &Arc<H>,
    store: &Store<H>,
    guard: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let metadata = Metadata::new()
        .with_correlation_id(CorrelationId::new())
        .with_causation_id(*CommandId::new().as_uuid())
        .with_actor("ada");
    for round in 1..=3 {
        let mut uow = runner.begin(metadata.clone());
        order(&mut uow, "ada").await.unwrap();
        put_in(&mut uow, "ada", 5).await.unwrap();
        uow.work(harness.put_row("orders", &round.to_string()));
        let receipt = runner.commit(uow).await.unwrap();
        let streams: Vec<_> = receipt
            .streams()
            .iter()
            .map(|appended| appended.stream().to_string())
            .collect();
        assert_eq!(streams, ["customer-ada", "account-ada"]);
        let last = log(&**store).await.last().unwrap().position();
        assert_eq!(receipt.position(), Some(last));
        assert_eq!(orders(store, "ada").await, round);
        let row = harness.row(store, guard, "orders").await.unwrap();
        assert_eq!(row, Some(round.to_string()));
    }
    assert_eq!(
        names(&**store, "customer-ada").await,
        ["customer_ordered"; 3]
    );
    let events = log(&**store).await;
    assert!(events.iter().all(|event| *event.metadata() == metadata));
}

pub(super) async fn whoever_was_slower_commits_nothing<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in_order(store, "ada").await;
    slip_in(&**store, "ada", 100).await;
    let runner = Runner::new(Arc::clone(store)).with_retry(RetryPolicy::none());
    // Somebody else has changed the state, the events are as they were.
    let mut uow = runner.begin(Metadata::new());
    order(&mut uow, "ada").await.unwrap();
    put_in(&mut uow, "ada", 5).await.unwrap();
    slip_in_order(store, "ada").await;
    let error = runner.commit(uow).await.unwrap_err();
    let stale = matches!(
        &error,
        RunError::Conflict(CommitError::Stale(Stale::Document { collection, key }))
            if collection == "customer" && key == "ada"
    );
    assert!(stale && error.is_conflict(), "{error:?}");
    assert_eq!(
        (
            orders(store, "ada").await,
            account(store, "ada").await.balance
        ),
        (2, 100)
    );

    // Somebody else has appended events, the state is as it was.
    let mut uow = runner.begin(Metadata::new());
    order(&mut uow, "ada").await.unwrap();
    put_in(&mut uow, "ada", 5).await.unwrap();
    slip_in(&**store, "ada", 1).await;
    let error = runner.commit(uow).await.unwrap_err();
    assert!(
        matches!(error, RunError::Conflict(CommitError::Append(_))),
        "{error:?}"
    );
    assert_eq!(
        (
            orders(store, "ada").await,
            account(store, "ada").await.balance
        ),
        (2, 101)
    );
    assert_eq!(names(&**store, "customer-ada").await.len(), 2);
}

pub(super) async fn a_conflict_on_a_state_is_decided_again<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let attempts = AtomicU32::new(0);
    let (seen, _) = runner
        .run(Metadata::new(), |uow| {
            let attempt = attempts.fetch_add(1, Ordering::Relaxed);
            let store = Arc::clone(store);
            Box::pin(async move {
                let seen = order(uow, "ada").await?;
                // Somebody else is faster, twice: first by creating what is not there.
                if attempt < 2 {
                    let other = tokio::spawn(async move { slip_in_order(&store, "ada").await });
                    other.await.map_err(CommandError::failed)?;
                }
                Ok(seen)
            })
        })
        .await
        .unwrap();
    assert_eq!((attempts.into_inner(), seen), (3, 3));
    assert_eq!(orders(store, "ada").await, 3);
    // Each order was told of once, in its order.
    let events = log(&**store).await;
    let told: Vec<_> = events
        .iter()
        .map(|event| event.payload().as_str())
        .collect();
    let expected: Vec<_> = (1..=3)
        .map(|orders| serde_json::to_string(&CustomerOrdered { orders }).unwrap())
        .collect();
    assert_eq!(told, expected);
}

pub(super) async fn contenders_for_a_state_lose_nothing<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let retry = RetryPolicy::default().with_attempts(10_000);
    let runner = Runner::new(Arc::clone(store)).with_retry(retry);
    let contenders = (0..6).map(|_| {
        let runner = runner.clone();
        tokio::spawn(async move {
            for _ in 0..6 {
                let run = runner.run(Metadata::new(), |uow| Box::pin(order(uow, "ada")));
                run.await.unwrap();
            }
        })
    });
    for contender in contenders.collect::<Vec<_>>() {
        contender.await.unwrap();
    }
    assert_eq!(orders(store, "ada").await, 36);
    assert_eq!(log(&**store).await.len(), 36);
}

pub(super) async fn a_state_that_exists_can_not_be_created<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in_order(store, "ada").await;
    let runner = Runner::new(Arc::clone(store)).with_retry(RetryPolicy::none().with_attempts(2));
    let result = runner.run(Metadata::new(), |uow| {
        Box::pin(async move {
            let mut customers = uow.state_repository();
            customers.create(&"ada".to_owned(), Customer::named("another"))?;
            Ok(())
        })
    });
    assert!(result.await.unwrap_err().is_conflict());
    assert_eq!(stored(store, "ada").await.unwrap().0.name, "ada");
}

pub(super) async fn what_was_not_changed_is_not_written<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in_order(store, "ada").await;
    let before = stored(store, "ada").await;
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    // Read, and changed there and back.
    assert_eq!(customer(&mut uow, "ada").await.orders, 1);
    let mut ada = customer(&mut uow, "ada").await;
    ada.orders += 1;
    ada.orders -= 1;
    drop(ada);
    runner.commit(uow).await.unwrap();
    assert_eq!(stored(store, "ada").await, before);
    // So it is no conflict either that somebody else has changed it.
    let mut uow = runner.begin(Metadata::new());
    assert_eq!(customer(&mut uow, "ada").await.orders, 1);
    slip_in_order(store, "ada").await;
    runner.commit(uow).await.unwrap();
}

pub(super) async fn a_state_that_was_only_read_can_be_held_still<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in_order(store, "ada").await;
    let runner = Runner::new(Arc::clone(store));
    for (raises, moves) in [(false, false), (false, true), (true, false), (true, true)] {
        let (before, events) = (stored(store, "ada").await, log(&**store).await.len());
        let mut uow = runner.begin(Metadata::new());
        let mut ada = customer(&mut uow, "ada").await;
        if raises {
            // An event that is decided on a state holds it still by itself.
            ada.raise(CustomerOrdered { orders: 0 });
        } else {
            ada.assert_unchanged();
        }
        drop(ada);
        put_in(&mut uow, "grace", 5).await.unwrap();
        if moves {
            slip_in_order(store, "ada").await;
            assert!(runner.commit(uow).await.unwrap_err().is_conflict());
            assert_eq!(log(&**store).await.len(), events + 1);
        } else {
            runner.commit(uow).await.unwrap();
            assert_eq!(stored(store, "ada").await, before);
        }
    }
}

pub(super) async fn a_state_is_removed<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let (ada, runner) = ("ada".to_owned(), Runner::new(Arc::clone(store)));
    slip_in_order(store, "ada").await;

    // Unless somebody else has changed it meanwhile.
    let mut uow = runner.begin(Metadata::new());
    let gone = customer(&mut uow, "ada").await;
    uow.state_repository().remove(gone);
    slip_in_order(store, "ada").await;
    assert!(runner.commit(uow).await.unwrap_err().is_conflict());
    assert_eq!(orders(store, "ada").await, 2);

    // Removed, and put again in the same unit of work.
    let old = stored(store, "ada").await.unwrap().1;
    let mut uow = runner.begin(Metadata::new());
    let gone = customer(&mut uow, "ada").await;
    let mut customers = uow.state_repository::<Customer>();
    customers.remove(gone);
    assert!(!customers.exists(&ada).await.unwrap());
    assert!(customers.find(&ada).await.unwrap().is_none());
    drop(customers.create(&ada, Customer::named("again")).unwrap());
    assert_eq!(customers.load(&ada).await.unwrap().name, "again");
    runner.commit(uow).await.unwrap();
    let (again, revision) = stored(store, "ada").await.unwrap();
    assert_eq!((again.name.as_str(), again.orders), ("again", 0));
    assert_ne!(revision, old);

    // Removed for good, with a last word.
    let mut uow = runner.begin(Metadata::new());
    let mut gone = customer(&mut uow, "ada").await;
    gone.raise(CustomerOrdered { orders: 0 });
    uow.state_repository().remove(gone);
    runner.commit(uow).await.unwrap();
    assert_eq!(stored(store, "ada").await, None);
    assert_eq!(names(&**store, "customer-ada").await.len(), 3);

    // Created and removed at once, it never was.
    let mut uow = runner.begin(Metadata::new());
    let mut customers = uow.state_repository::<Customer>();
    let created = customers.create(&ada, Customer::named("never")).unwrap();
    customers.remove(created);
    runner.commit(uow).await.unwrap();
    assert_eq!(stored(store, "ada").await, None);
}

pub(super) async fn a_state_that_can_not_be_stored_is_refused<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in_order(store, "ada").await;
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    customer(&mut uow, "ada").await.rating = f64::NAN;
    put_in(&mut uow, "ada", 5).await.unwrap();
    let error = runner.commit(uow).await.unwrap_err();
    let RunError::Staging(StagingError::Refused(refusal)) = &error else {
        panic!("it is refused before the commit: {error:?}");
    };
    assert_eq!(refusal.field(), "payload.rating");
    assert_eq!(log(&**store).await.len(), 1);
}
