//! Conflicts, failures, and what is tried again.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use uno_core::Metadata;
use uno_testkit::conformance::{BackendHarness, Harness};
use uno_uow::{CommandError, RetryPolicy, RunError, Runner};

use crate::support::{
    account::{Account, Moved, account, put_in, slip_in},
    faulty::{Fault, Faulty},
    log,
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

const QUICK: RetryPolicy =
    RetryPolicy::none().with_pauses(Duration::from_micros(10), Duration::from_millis(1));

pub(super) async fn a_conflict_is_decided_again_on_fresh_state<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in(&**store, "ada", 100).await;
    let runner = Runner::new(Arc::clone(store)).with_retry(QUICK.with_attempts(5));
    let attempts = AtomicU32::new(0);
    let (seen, receipt) = runner
        .run(Metadata::new(), |uow| {
            let attempt = attempts.fetch_add(1, Ordering::Relaxed);
            let store = Arc::clone(store);
            Box::pin(async move {
                let mut account = uow.load::<Account>(&"ada".to_owned()).await?;
                // Somebody else takes out all but 30, twice.
                if attempt < 2 {
                    slip_in(&*store, "ada", -35).await;
                }
                let seen = account.state().balance;
                account.decide(|account| account.take(30))?;
                Ok((seen, uow.metadata().correlation_id()))
            })
        })
        .await
        .unwrap();
    assert_eq!((attempts.into_inner(), seen.0), (3, 30));
    assert_eq!(receipt.streams()[0].last().get(), 4);
    assert_eq!(account(store, "ada").await.balance, 0);
    assert_eq!(log(&**store).await[3].metadata().correlation_id(), seen.1);
}

pub(super) async fn conflicts_have_a_budget<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    for budget in [1, 3] {
        let runner = Runner::new(Arc::clone(store)).with_retry(QUICK.with_attempts(budget));
        let attempts = AtomicU32::new(0);
        let result = runner
            .run(Metadata::new(), |uow| {
                attempts.fetch_add(1, Ordering::Relaxed);
                let store = Arc::clone(store);
                Box::pin(async move {
                    put_in(uow, "ada", 5).await?;
                    slip_in(&*store, "ada", 1).await;
                    Ok(())
                })
            })
            .await;
        let error = result.unwrap_err();
        assert!(matches!(error, RunError::Conflict(_)), "{error:?}");
        assert_eq!(attempts.into_inner(), budget);
    }
    assert_eq!(account(store, "ada").await.balance, 4);
}

pub(super) async fn contenders_lose_nothing<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store)).with_retry(QUICK.with_attempts(10_000));
    let contenders = (0..8).map(|_| {
        let runner = runner.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                let run = runner.run(Metadata::new(), |uow| {
                    Box::pin(async move {
                        put_in(uow, "pot", 1).await?;
                        put_in(uow, "other pot", -1).await
                    })
                });
                run.await.unwrap();
            }
        })
    });
    for contender in contenders.collect::<Vec<_>>() {
        contender.await.unwrap();
    }
    assert_eq!(account(store, "pot").await.balance, 80);
    assert_eq!(account(store, "other pot").await.balance, -80);
    assert_eq!(log(&**store).await.len(), 162);
}

pub(super) async fn an_aggregate_that_exists_can_not_be_created<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    slip_in(&**store, "ada", 100).await;
    let runner = Runner::new(Arc::clone(store)).with_retry(QUICK.with_attempts(2));
    let result = runner.run(Metadata::new(), |uow| {
        Box::pin(async move {
            let mut account = uow.create::<Account>(&"ada".to_owned())?;
            account.record(Moved { cents: 5 });
            Ok(())
        })
    });
    assert!(result.await.unwrap_err().is_conflict());
    assert_eq!(account(store, "ada").await.balance, 100);
}

pub(super) async fn a_refusal_is_not_tried_again<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let attempts = AtomicU32::new(0);
    let result = runner.run(Metadata::new(), |uow| {
        attempts.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let mut account = uow.load_or_new::<Account>(&"ada".to_owned()).await?;
            account.decide(|account| account.take(30))?;
            Ok(())
        })
    });
    let error = result.await.unwrap_err();
    assert!(error.is_rejection());
    assert_eq!(error.to_string(), "there are only 0 cents");
    assert_eq!(attempts.into_inner(), 1);

    let missing = runner.run(Metadata::new(), |uow| {
        Box::pin(async move {
            let account = uow.load::<Account>(&"nobody".to_owned()).await?;
            Ok(account.state().balance)
        })
    });
    let error = missing.await.unwrap_err();
    assert!(error.is_rejection());
    assert_eq!(error.to_string(), "there is no account-nobody");
}

pub(super) async fn an_unknown_outcome_is_not_tried_again<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    for (fault, balance) in [(Fault::UnknownLost, 0), (Fault::UnknownDone, 5)] {
        let faulty = Faulty::at(store, 1, fault);
        let runner = Runner::new(Arc::clone(&faulty));
        let attempts = AtomicU32::new(0);
        let result = runner.run(Metadata::new(), |uow| {
            attempts.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move { put_in(uow, "ada", 5).await })
        });
        let error = result.await.unwrap_err();
        assert!(matches!(error, RunError::Unknown(_)), "{error:?}");
        assert!(!error.is_conflict() && !error.is_transient());
        assert_eq!(attempts.into_inner(), 1);
        assert_eq!(account(store, "ada").await.balance, balance);
    }
}

pub(super) async fn a_store_that_is_away_is_told_from_a_failing_command<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    // While loading.
    let faulty = Faulty::sound(store);
    faulty.fail_reads(1);
    let runner = Runner::new(Arc::clone(&faulty));
    let put = || async {
        let run = runner.run(Metadata::new(), |uow| Box::pin(put_in(uow, "ada", 5)));
        run.await
    };
    let error = put().await.unwrap_err();
    assert!(error.is_transient() && !error.is_rejection(), "{error:?}");
    assert!(put().await.is_ok());

    // While committing.
    let runner = Runner::new(Faulty::at(store, 1, Fault::Unavailable));
    let run = runner.run(Metadata::new(), |uow| Box::pin(put_in(uow, "ada", 5)));
    let error = run.await.unwrap_err();
    assert!(
        error.is_transient() && matches!(error, RunError::Commit(_)),
        "{error:?}"
    );

    // Of itself.
    let run = runner.run(Metadata::new(), |_| {
        Box::pin(async { Err::<(), _>(CommandError::failed("the printer is on fire")) })
    });
    let error = run.await.unwrap_err();
    assert!(!error.is_transient() && !error.is_rejection(), "{error:?}");
    assert_eq!(account(store, "ada").await.balance, 5);
}

pub(super) async fn dropped_before_the_commit_nothing_happens<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let runner = Runner::new(Arc::clone(store));
    let run = runner.run(Metadata::new(), |uow| {
        Box::pin(async move {
            put_in(uow, "ada", 5).await?;
            pending::<()>().await;
            Ok(())
        })
    });
    let mut run = Box::pin(run);
    for _ in 0..100 {
        assert!(run.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    drop(run);
    assert_eq!(log(&**store).await, []);
    // The next one on this task is not taken for nested.
    let run = runner.run(Metadata::new(), |uow| Box::pin(put_in(uow, "ada", 5)));
    run.await.unwrap();
}
