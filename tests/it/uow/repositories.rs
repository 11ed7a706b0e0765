//! Finding things by their type.

use std::sync::Arc;

use uno_core::{DocumentWrite, Metadata, Payload};
use uno_domain::Aggregate;
use uno_testkit::conformance::{BackendHarness, Harness};
use uno_uow::{LoadError, RunError, Runner, StagingError};

use super::customer::{Customer, customer, slip_in_order, stored};
use crate::support::account::{Account, AccountEvent, Moved, slip_in};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

pub(super) async fn aggregates_are_found_by_type<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in(&**store, "ada", 100).await;
    let (ada, grace) = ("ada".to_owned(), "grace".to_owned());
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    let mut accounts = uow.repository::<Account>();
    assert!(accounts.exists(&ada).await.unwrap());
    assert!(!accounts.exists(&grace).await.unwrap());
    assert!(accounts.find(&grace).await.unwrap().is_none());
    assert!(accounts.load(&grace).await.unwrap_err().is_not_found());
    let found = accounts.find(&ada).await.unwrap().unwrap();
    assert_eq!(found.state().balance, 100);
    // While it is lent out, it can't be told what becomes of it.
    let in_use = accounts.exists(&ada).await;
    assert!(matches!(in_use, Err(LoadError::InUse(_))), "{in_use:?}");
    let in_use = accounts.find(&ada).await;
    assert!(matches!(in_use, Err(LoadError::InUse(_))), "{in_use:?}");
    drop(found);

    // Created and without an event it is not there, and with one it is.
    drop(accounts.create(&grace).unwrap());
    assert!(!accounts.exists(&grace).await.unwrap());
    let mut account = accounts.load_or_new(&grace).await.unwrap();
    account.record(Moved { cents: 5 });
    drop(account);
    assert!(accounts.exists(&grace).await.unwrap());
    // The repository and the unit of work have the same aggregates.
    assert_eq!(
        uow.load::<Account>(&grace).await.unwrap().state().balance,
        5
    );
    let receipt = runner.commit(uow).await.unwrap();
    assert_eq!(receipt.streams().len(), 1);
}

pub(super) async fn states_are_found_by_type<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in_order(store, "ada").await;
    let (ada, grace) = ("ada".to_owned(), "grace".to_owned());
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    let mut customers = uow.state_repository::<Customer>();
    assert!(customers.exists(&ada).await.unwrap());
    assert!(!customers.exists(&grace).await.unwrap());
    assert!(customers.find(&grace).await.unwrap().is_none());
    assert!(customers.load(&grace).await.unwrap_err().is_not_found());
    let found = customers.find(&ada).await.unwrap().unwrap();
    assert_eq!((found.orders, found.name.as_str()), (1, "ada"));
    assert!(customers.exists(&ada).await.unwrap());
    let again = customers.load(&ada).await;
    assert!(matches!(again, Err(LoadError::InUse(_))), "{again:?}");
    let again = customers.create(&ada, Customer::default());
    assert!(
        matches!(again, Err(LoadError::AlreadyTracked(_))),
        "{again:?}"
    );
    drop(found);

    let mut created = customers.create(&grace, Customer::named("Grace")).unwrap();
    assert_eq!(created.revision(), 0);
    created.orders = 7;
    drop(created);
    assert!(customers.exists(&grace).await.unwrap());
    // The same one again, with what was changed on it, and not what somebody else has stored.
    slip_in_order(store, "ada").await;
    assert_eq!(customer(&mut uow, "grace").await.orders, 7);
    assert_eq!(customer(&mut uow, "ada").await.orders, 1);
    runner.commit(uow).await.unwrap();
    let (grace, revision) = stored(store, "grace").await.unwrap();
    assert_eq!((grace.orders, grace.name.as_str()), (7, "Grace"));
    assert!(revision > 0);
}

/// Another type in the place of the customers.
#[derive(Default, Debug)]
struct Impostor;

impl Aggregate for Impostor {
    const CATEGORY: &'static str = "customer";
    type Id = String;
    type Event = AccountEvent;

    fn apply(&mut self, _: &AccountEvent) {}
}

pub(super) async fn what_can_not_be_lent_is_told_why<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in_order(store, "ada").await;
    let ada = "ada".to_owned();
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    drop(customer(&mut uow, "ada").await);
    let other = uow.repository::<Impostor>().load(&ada).await;
    assert!(
        matches!(&other, Err(LoadError::OtherType(stream)) if stream.to_string() == "customer-ada"),
        "{other:?}"
    );
    for bad in ["", "a\0b"] {
        let mut customers = uow.state_repository::<Customer>();
        let error = customers.find(&bad.to_owned()).await.unwrap_err();
        assert!(matches!(error, LoadError::Id(_)), "{error:?}");
        let error = customers
            .create(&bad.to_owned(), Customer::default())
            .unwrap_err();
        assert!(matches!(error, LoadError::Id(_)), "{error:?}");
    }

    // What has another shape is an error, and not an empty customer.
    let mut commit = uno_core::Commit::new();
    let body = Payload::from_json(r#"{"name":7}"#).unwrap();
    let write = DocumentWrite::put("customer", "odd", body);
    commit.documents.push(write);
    uno_core::Transactional::commit(&**store, commit)
        .await
        .unwrap();
    let mut customers = uow.state_repository::<Customer>();
    let error = customers.load(&"odd".to_owned()).await.unwrap_err();
    assert!(matches!(error, LoadError::State { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the stored state of customer-odd can't be decoded"
    );

    // A guard that is still alive is an error.
    let kept = customer(&mut uow, "ada").await;
    let error = runner.commit(uow).await.unwrap_err();
    assert!(
        matches!(&error, RunError::Staging(StagingError::StillLent(stream)) if stream.to_string() == "customer-ada"),
        "{error:?}"
    );
    drop(kept);
}
