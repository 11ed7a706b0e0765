//! Coming back to a savepoint.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use uno_core::{Command, CommandId, DocumentStore, Metadata, ProcessStore, Transactional};
use uno_testkit::conformance::{BackendHarness, Harness};
use uno_uow::{Runner, SavepointError, UnitOfWork};

use super::customer::{Customer, customer, order, orders, slip_in_order};
use crate::support::{
    account::{Account, account, put_in, slip_in},
    faulty::Faulty,
    log, names,
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

#[derive(Command, Serialize, Deserialize)]
struct SendStatement {}

pub(super) async fn everything_since_is_taken_back<H: BackendHarness>(
    harness: &Arc<H>,
    store: &Store<H>,
    guard: &Guard<H>,
) {
    slip_in(&**store, "ada", 100).await;
    slip_in_order(store, "ada").await;
    slip_in_order(store, "grace").await;
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    all_of_it(&mut uow, harness, "before").await;

    let savepoint = uow.savepoint().unwrap();
    all_of_it(&mut uow, harness, "since").await;
    put_in(&mut uow, "new", 1).await.unwrap();
    order(&mut uow, "new").await.unwrap();
    let gone = customer(&mut uow, "grace").await;
    gone.assert_unchanged();
    uow.state_repository().remove(gone);
    uow.load::<Account>(&"ada".to_owned())
        .await
        .unwrap()
        .assert_unchanged();
    uow.rollback_to(&savepoint).await.unwrap();

    // What is lent out again is as it was.
    let ada = uow.load::<Account>(&"ada".to_owned()).await.unwrap();
    assert_eq!((ada.state().balance, ada.uncommitted().len()), (105, 2));
    drop(ada);
    assert_eq!(customer(&mut uow, "ada").await.orders, 2);
    assert_eq!(customer(&mut uow, "grace").await.orders, 1);
    let new = "new".to_owned();
    assert!(!uow.repository::<Account>().exists(&new).await.unwrap());
    assert!(
        !uow.state_repository::<Customer>()
            .exists(&new)
            .await
            .unwrap()
    );

    // And what commits is what was there before.
    slip_in_order(store, "grace").await;
    runner.commit(uow).await.unwrap();
    assert_eq!(account(store, "ada").await.balance, 105);
    assert_eq!(
        names(&**store, "account-ada").await,
        ["moved", "opened", "moved"]
    );
    assert_eq!(names(&**store, "account-new").await, [] as [&str; 0]);
    assert_eq!(
        (orders(store, "ada").await, orders(store, "new").await),
        (2, 0)
    );
    assert_eq!(names(&**store, "customer-ada").await.len(), 2);
    assert_eq!(orders(store, "grace").await, 2);
    for (name, there) in [("before", true), ("since", false)] {
        let document = store.load_documents("notes", &[name.to_owned()]).await;
        assert_eq!(document.unwrap().len(), usize::from(there), "{name}");
        let row = harness.row(store, guard, name).await.unwrap();
        assert_eq!(row.is_some(), there, "{name}");
        let queue = store.read_queue(name, 0, 10).await.unwrap();
        assert_eq!(queue.len(), usize::from(there), "{name}");
    }
}

/// Some of everything.
async fn all_of_it<H: BackendHarness>(
    uow: &mut UnitOfWork<H::Store>,
    harness: &Arc<H>,
    name: &str,
) {
    put_in(uow, "ada", 5).await.unwrap();
    order(uow, "ada").await.unwrap();
    uow.put_document("notes", name, &name).unwrap();
    uow.work(harness.put_row(name, name));
    let id = *CommandId::new().as_uuid();
    uow.send(name, id, "key", &SendStatement {}).unwrap();
}

pub(super) async fn savepoints_end_with_those_before_them<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    let empty = uow.savepoint().unwrap();
    let mut savepoints = Vec::new();
    for _ in 0..4 {
        put_in(&mut uow, "ada", 5).await.unwrap();
        savepoints.push(uow.savepoint().unwrap());
    }
    // To the same one again and again.
    for _ in 0..2 {
        put_in(&mut uow, "ada", 100).await.unwrap();
        uow.rollback_to(&savepoints[2]).await.unwrap();
        let ada = uow.load::<Account>(&"ada".to_owned()).await.unwrap();
        assert_eq!((ada.state().balance, ada.uncommitted().len()), (15, 4));
    }
    uow.rollback_to(&savepoints[1]).await.unwrap();
    for later in &savepoints[2..] {
        let error = uow.rollback_to(later).await.unwrap_err();
        assert!(matches!(error, SavepointError::Gone), "{error:?}");
    }
    let mut other = runner.begin(Metadata::new());
    let error = other.rollback_to(&savepoints[0]).await.unwrap_err();
    assert!(matches!(error, SavepointError::Gone), "{error:?}");

    put_in(&mut uow, "ada", 1).await.unwrap();
    uow.rollback_to(&empty).await.unwrap();
    let receipt = runner.commit(uow).await.unwrap();
    assert_eq!(receipt.streams(), []);
    assert_eq!(log(&**store).await, []);
}

pub(super) async fn a_guard_keeps_a_unit_of_work_from_going_back<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in_order(store, "ada").await;
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    put_in(&mut uow, "ada", 5).await.unwrap();
    let before = uow.savepoint().unwrap();
    put_in(&mut uow, "ada", 7).await.unwrap();
    put_in(&mut uow, "grace", 7).await.unwrap();

    let still_lent = |error: SavepointError, stream: &str| {
        let lent = matches!(&error, SavepointError::StillLent(lent) if lent.to_string() == stream);
        assert!(lent, "{error:?}");
    };
    // Of one that was there at the savepoint, of one that came later, and of a state.
    let guard = uow.load::<Account>(&"ada".to_owned()).await.unwrap();
    still_lent(uow.savepoint().unwrap_err(), "account-ada");
    still_lent(uow.rollback_to(&before).await.unwrap_err(), "account-ada");
    drop(guard);
    let guard = uow.load::<Account>(&"grace".to_owned()).await.unwrap();
    still_lent(uow.rollback_to(&before).await.unwrap_err(), "account-grace");
    drop(guard);
    let guard = customer(&mut uow, "ada").await;
    still_lent(uow.savepoint().unwrap_err(), "customer-ada");
    still_lent(uow.rollback_to(&before).await.unwrap_err(), "customer-ada");
    drop(guard);

    // Nothing was taken back so far.
    let ada = uow.load::<Account>(&"ada".to_owned()).await.unwrap();
    assert_eq!(ada.state().balance, 12);
    drop(ada);
    uow.rollback_to(&before).await.unwrap();
    runner.commit(uow).await.unwrap();
    assert_eq!(account(store, "ada").await.balance, 5);
    assert_eq!(account(store, "grace").await.balance, 0);
}

pub(super) async fn events_that_were_taken_out_can_not_be_taken_back<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    put_in(&mut uow, "ada", 5).await.unwrap();
    let before = uow.savepoint().unwrap();
    let mut ada = uow.load::<Account>(&"ada".to_owned()).await.unwrap();
    drop(ada.take_uncommitted());
    drop(ada);
    for error in [
        uow.savepoint().unwrap_err(),
        uow.rollback_to(&before).await.unwrap_err(),
    ] {
        assert!(matches!(error, SavepointError::OutOfStep(_)), "{error:?}");
    }
}

pub(super) async fn an_aggregate_is_as_it_was_loaded<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in(&**store, "ada", 100).await;
    let runner = Runner::new(Arc::clone(store));
    for (others, snapshots) in [(1, 0), (3, 1), (9, 2)] {
        let balance = account(store, "ada").await.balance;
        let mut uow = runner.begin(Metadata::new());
        put_in(&mut uow, "ada", 5).await.unwrap();
        let before = uow.savepoint().unwrap();
        put_in(&mut uow, "ada", 7).await.unwrap();
        // Others go on meanwhile, and leave snapshots of what this unit of work has not seen.
        for _ in 0..others {
            let run = runner.run(Metadata::new(), |uow| Box::pin(put_in(uow, "ada", 1)));
            run.await.unwrap();
        }
        if snapshots > 0 {
            let stream = "account-ada".parse().unwrap();
            let kept = store.load_snapshot(&stream).await.unwrap().unwrap();
            let ada = uow.load::<Account>(&"ada".to_owned()).await.unwrap();
            assert!(kept.version() > ada.committed_version());
        }
        uow.rollback_to(&before).await.unwrap();
        let ada = uow.load::<Account>(&"ada".to_owned()).await.unwrap();
        assert_eq!(ada.state().balance, balance + 5);
        drop(ada);
        // So they are noticed.
        assert!(runner.commit(uow).await.unwrap_err().is_conflict());
        assert_eq!(account(store, "ada").await.balance, balance + others);
    }
}

pub(super) async fn a_store_that_is_away_takes_nothing_back<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in(&**store, "ada", 100).await;
    let faulty = Faulty::sound(store);
    let runner = Runner::new(Arc::clone(&faulty));
    let mut uow = runner.begin(Metadata::new());
    put_in(&mut uow, "ada", 5).await.unwrap();
    order(&mut uow, "ada").await.unwrap();
    let before = uow.savepoint().unwrap();
    order(&mut uow, "ada").await.unwrap();
    put_in(&mut uow, "ada", 7).await.unwrap();
    put_in(&mut uow, "grace", 7).await.unwrap();

    faulty.fail_reads(1);
    let error = uow.rollback_to(&before).await.unwrap_err();
    assert!(
        matches!(&error, SavepointError::Load(error) if error.is_transient()),
        "{error:?}"
    );
    assert!(uno_uow::CommandError::from(error).store_error().is_some());
    assert_eq!(customer(&mut uow, "ada").await.orders, 2);
    let ada = uow.load::<Account>(&"ada".to_owned()).await.unwrap();
    assert_eq!((ada.state().balance, ada.uncommitted().len()), (112, 3));
    drop(ada);

    uow.rollback_to(&before).await.unwrap();
    runner.commit(uow).await.unwrap();
    assert_eq!(account(store, "ada").await.balance, 105);
    assert_eq!(account(store, "grace").await.balance, 0);
    assert_eq!(orders(store, "ada").await, 1);
}

/// What a unit of work holds, as far as it matters: balances and orders by name.
#[derive(Clone, Default, Debug, PartialEq)]
struct Model {
    balances: BTreeMap<String, i64>,
    orders: BTreeMap<String, u32>,
}

pub(super) async fn any_way_there_and_back<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let mut random = fastrand::Rng::new();
    let seed = random.get_seed();
    let runner = Runner::new(Arc::clone(store));
    let mut committed = Model::default();
    for round in 0..4 {
        let mut uow = runner.begin(Metadata::new());
        let mut now = committed.clone();
        let mut savepoints = Vec::new();
        for step in 0..40 {
            let name = format!("n{}", random.u32(..3));
            match random.u32(..6) {
                0 | 1 => {
                    let balance = now.balances.entry(name.clone()).or_default();
                    *balance += i64::from(step);
                    let seen = put_in(&mut uow, &name, step.into()).await.unwrap();
                    assert_eq!(seen, *balance, "seed {seed}, round {round}, step {step}");
                }
                2 | 3 => {
                    let orders = now.orders.entry(name.clone()).or_default();
                    *orders += 1;
                    let seen = order(&mut uow, &name).await.unwrap();
                    assert_eq!(seen, *orders, "seed {seed}, round {round}, step {step}");
                }
                4 => savepoints.push((uow.savepoint().unwrap(), now.clone())),
                _ if savepoints.is_empty() => {}
                _ => {
                    savepoints.truncate(random.usize(1..=savepoints.len()));
                    let (savepoint, then) = &savepoints[savepoints.len() - 1];
                    uow.rollback_to(savepoint).await.unwrap();
                    now = then.clone();
                }
            }
        }
        runner.commit(uow).await.unwrap();
        committed = now;
        for (name, balance) in &committed.balances {
            let stored = account(store, name).await;
            assert_eq!(
                stored.balance, *balance,
                "seed {seed}, round {round}, {name}"
            );
        }
        for (name, count) in &committed.orders {
            let stored = orders(store, name).await;
            assert_eq!(stored, *count, "seed {seed}, round {round}, {name}");
        }
    }
}
