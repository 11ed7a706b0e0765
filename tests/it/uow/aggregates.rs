//! Loading, creating and tracking aggregates.

use std::sync::Arc;

use uno_core::{EventStoreExt, ExpectedVersion, Metadata};
use uno_domain::{Aggregate, AggregateRoot};
use uno_testkit::conformance::BackendHarness;
use uno_uow::{LoadError, RunError, Runner, StagingError, UnitOfWork};

use crate::support::account::{Account, AccountEvent, Impostor, Moved, account, put_in, slip_in};

type Store<H> = Arc<<H as uno_testkit::conformance::Harness>::Store>;
type Guard<H> = <H as uno_testkit::conformance::Harness>::Guard;

fn begin<H: BackendHarness>(store: &Store<H>) -> UnitOfWork<H::Store> {
    Runner::new(Arc::clone(store)).begin(Metadata::new())
}

pub(super) async fn an_aggregate_is_there_once<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in(&**store, "ada", 100).await;
    let mut uow = begin::<H>(store);
    let id = "ada".to_owned();
    let mut first = uow.load::<Account>(&id).await.unwrap();
    first.record(Moved { cents: 5 });
    assert!(matches!(
        uow.load::<Account>(&id).await,
        Err(LoadError::InUse(_))
    ));
    assert!(matches!(
        uow.load_or_new::<Account>(&id).await,
        Err(LoadError::InUse(_))
    ));
    assert!(matches!(
        uow.create::<Account>(&id),
        Err(LoadError::AlreadyTracked(_))
    ));
    assert!(matches!(
        uow.load::<Impostor>(&id).await,
        Err(LoadError::OtherType(_))
    ));
    drop(first);
    // The same root, with what was recorded on it, and not what somebody else has appended.
    slip_in(&**store, "ada", 1000).await;
    let again = uow.load::<Account>(&id).await.unwrap();
    assert_eq!(again.state().balance, 105);
    assert_eq!(again.uncommitted().len(), 1);
}

pub(super) async fn what_is_not_there_may_be_created<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let mut uow = runner.begin(Metadata::new());
    let id = "ada".to_owned();
    assert!(uow.load::<Account>(&id).await.unwrap_err().is_not_found());
    drop(uow.create::<Account>(&id).unwrap());
    // Created and without an event, it is still not there.
    assert!(uow.load::<Account>(&id).await.unwrap_err().is_not_found());
    let mut account = uow.load_or_new::<Account>(&id).await.unwrap();
    account.record(Moved { cents: 5 });
    drop(account);
    assert_eq!(uow.load::<Account>(&id).await.unwrap().state().balance, 5);
    let receipt = runner.commit(uow).await.unwrap();
    assert_eq!(receipt.streams()[0].first().get(), 1);

    for bad in ["", "a\0b"] {
        let error = begin::<H>(store)
            .load::<Account>(&bad.to_owned())
            .await
            .unwrap_err();
        assert!(matches!(error, LoadError::Id(_)), "{error:?}");
    }
}

pub(super) async fn a_guard_that_is_still_alive_is_an_error<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    // Kept beyond the closure.
    let kept = runner.run(Metadata::new(), |uow| {
        Box::pin(async move {
            let mut account = uow.create::<Account>(&"ada".to_owned())?;
            account.record(Moved { cents: 5 });
            Ok(account)
        })
    });
    let error = kept.await.unwrap_err();
    assert!(
        matches!(&error, RunError::Staging(StagingError::StillLent(_))),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "account-ada is still lent out: drop its guard before the unit of work ends"
    );
    // Leaked.
    let leaked = runner.run(Metadata::new(), |uow| {
        Box::pin(async move {
            let mut account = uow.create::<Account>(&"ada".to_owned())?;
            account.record(Moved { cents: 5 });
            std::mem::forget(account);
            Ok(())
        })
    });
    let error = leaked.await.unwrap_err();
    assert!(
        matches!(&error, RunError::Staging(StagingError::StillLent(_))),
        "{error:?}"
    );
    assert_eq!(crate::support::log(&**store).await, []);
}

pub(super) async fn events_that_were_taken_out_are_an_error<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    type Meddle = fn(&mut AggregateRoot<Account>, &mut AggregateRoot<Account>);
    let meddlers: [Meddle; 5] = [
        |one, _| drop(one.take_uncommitted()),
        |one, _| one.clear_uncommitted(),
        |one, _| one.mark_committed(one.version()).unwrap(),
        |one, _| *one = AggregateRoot::new("somebody else".to_owned()),
        std::mem::swap,
    ];
    let runner = Runner::new(Arc::clone(store));
    for meddle in meddlers {
        let mut uow = runner.begin(Metadata::new());
        let mut one = uow.create::<Account>(&"ada".to_owned()).unwrap();
        let mut other = uow.create::<Account>(&"grace".to_owned()).unwrap();
        one.record(Moved { cents: 5 });
        meddle(&mut one, &mut other);
        drop((one, other));
        let error = runner.commit(uow).await.unwrap_err();
        assert!(
            matches!(error, RunError::Staging(StagingError::OutOfStep(_))),
            "{error:?}"
        );
    }
    assert_eq!(crate::support::log(&**store).await, []);
}

pub(super) async fn a_long_stream_is_loaded_to_its_end<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    // Page by page: exactly full pages, and one that is not.
    for (id, length) in [("a", 999_usize), ("b", 1000), ("c", 1001), ("d", 2000)] {
        let stream = Account::stream_id(&id.to_owned()).unwrap();
        let events = vec![AccountEvent::from(Moved { cents: 1 }); length];
        store
            .append_events(stream, ExpectedVersion::NoStream, &events)
            .await
            .unwrap();
        let loaded = account(store, id).await;
        assert_eq!(usize::try_from(loaded.moves).unwrap(), length);
    }
}

pub(super) async fn two_at_once_on_another_task<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in(&**store, "ada", 100).await;
    let runner = Runner::new(Arc::clone(store));
    let transfer = tokio::spawn(async move {
        let run = runner.run(Metadata::new(), |uow| {
            Box::pin(async move {
                let mut from = uow.load::<Account>(&"ada".to_owned()).await?;
                let mut to = uow.load_or_new::<Account>(&"grace".to_owned()).await?;
                from.decide(|account| account.take(30))?;
                to.record(Moved { cents: 30 });
                Ok((from.state().balance, to.state().balance))
            })
        });
        run.await.unwrap()
    });
    let (balances, receipt) = transfer.await.unwrap();
    assert_eq!(balances, (70, 30));
    assert_eq!(receipt.streams().len(), 2);
    let mut uow = begin::<H>(store);
    assert_eq!(put_in(&mut uow, "grace", 1).await.unwrap(), 31);
}
