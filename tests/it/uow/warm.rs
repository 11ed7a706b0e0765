//! What one unit of work leaves for the next saves reading, and is never believed without proof.

use std::sync::Arc;

use uno_core::{Backend, Metadata};
use uno_testkit::{
    conformance::{BackendHarness, Harness},
    faults::{Call, FaultStore, Faults},
};
use uno_uow::{CommandError, RetryPolicy, RunError, Runner, UnitOfWork, Warm};

use crate::support::account::{Account, account, put_in, slip_in};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

async fn pay_in<B: Backend>(
    runner: &Runner<B>,
    warm: &mut Warm,
    runs: &mut u32,
) -> Result<i64, RunError> {
    let run = runner.run_warm(Metadata::new(), warm, |uow| {
        *runs += 1;
        Box::pin(async move { put_in(uow, "ada", 10).await })
    });
    run.await.map(|(balance, _)| balance)
}

async fn take<B: Backend>(uow: &mut UnitOfWork<B>, cents: i64) -> Result<(), CommandError> {
    let mut account = uow.load::<Account>(&"ada".to_owned()).await?;
    Ok(account.decide(|account| account.take(cents))?)
}

pub(super) async fn what_was_written_is_not_read_again<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let store = Arc::new(FaultStore::new(Arc::clone(store), Faults::none()));
    let runner = Runner::new(Arc::clone(&store)).with_retry(RetryPolicy::none());
    let (mut warm, mut runs) = (Warm::default(), 0);
    assert!(warm.is_empty());
    for expected in 1..=10 {
        let balance = pay_in(&runner, &mut warm, &mut runs).await.unwrap();
        assert_eq!(
            (balance, runs),
            (expected * 10, u32::try_from(expected).unwrap())
        );
        assert!(!warm.is_empty());
    }
    assert_eq!(
        (
            store.calls(Call::ReadStream),
            store.calls(Call::LoadSnapshot)
        ),
        (1, 1)
    );
    // Snapshots were made on the way, and are what the events say.
    assert_eq!(account(&store, "ada").await.balance, 100);
    assert!(store.calls(Call::LoadSnapshot) > 1);
}

pub(super) async fn what_others_have_written_is_noticed<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store)).with_retry(RetryPolicy::none());
    let (mut warm, mut runs) = (Warm::default(), 0);
    pay_in(&runner, &mut warm, &mut runs).await.unwrap();

    // A decision on what is out of date is made again; that is no retry of the policy, which has none.
    slip_in(&**store, "ada", 1).await;
    assert_eq!(pay_in(&runner, &mut warm, &mut runs).await.unwrap(), 21);
    assert_eq!(runs, 3);

    // So is a refusal, which no commit would prove wrong.
    slip_in(&**store, "ada", 100).await;
    let withdrawn = runner.run_warm(Metadata::new(), &mut warm, |uow| {
        Box::pin(async move { take(uow, 50).await })
    });
    withdrawn.await.unwrap();
    let refused = runner.run_warm(Metadata::new(), &mut warm, |uow| {
        Box::pin(async move { take(uow, 72).await })
    });
    assert!(refused.await.unwrap_err().is_rejection());
    assert!(warm.is_empty());

    // And what was only looked at.
    pay_in(&runner, &mut warm, &mut runs).await.unwrap();
    slip_in(&**store, "ada", 1000).await;
    let looked = runner.run_warm(Metadata::new(), &mut warm, |uow| {
        Box::pin(async move {
            let account = uow.load::<Account>(&"ada".to_owned()).await?;
            Ok(account.state().balance)
        })
    });
    assert_eq!(looked.await.unwrap().0, 1081);
    assert_eq!(account(store, "ada").await.balance, 1081);
}
