//! How much is tried again, in virtual time.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use uno_core::Metadata;
use uno_store_memory::MemoryStore;
use uno_uow::{CommandError, RetryBudget, RetryPolicy, RunError, Runner};

use crate::support::{
    account::{account, put_in},
    faulty::{Fault, Faulty},
};

/// A store on which others are always faster.
fn hopeless() -> Arc<Faulty<MemoryStore>> {
    Faulty::new(&Arc::new(MemoryStore::new()), |_| Some(Fault::Conflict))
}

async fn put<B: uno_core::Backend>(runner: &Runner<B>) -> Result<(), RunError> {
    let run = runner.run(Metadata::new(), |uow| Box::pin(put_in(uow, "ada", 5)));
    run.await.map(drop)
}

const PATIENT: RetryPolicy = RetryPolicy::none()
    .with_attempts(u32::MAX)
    .with_pauses(Duration::from_secs(1), Duration::from_secs(1));

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_after_the_time_limit() {
    for seconds in [0, 10, 100] {
        let (store, limit) = (hopeless(), Duration::from_secs(seconds));
        let runner = Runner::new(Arc::clone(&store))
            .with_retry(PATIENT.with_time_limit(limit))
            .with_retry_budget(RetryBudget::unlimited());
        let begun = Instant::now();
        let error = put(&runner).await.unwrap_err();
        assert!(error.is_conflict(), "{error:?}");
        // A pause takes from half a second to a second, and there is one between each two attempts.
        assert!(begun.elapsed() <= limit, "{:?}", begun.elapsed());
        let attempts = store.commits() as u64;
        assert!(
            (seconds.max(1)..=2 * seconds + 1).contains(&attempts),
            "{attempts} attempts in {seconds} s"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_has_begun_is_not_cut_short() {
    let store = Faulty::at(&Arc::new(MemoryStore::new()), 1, Fault::Conflict);
    let runner = Runner::new(Arc::clone(&store))
        .with_retry(PATIENT.with_time_limit(Duration::from_secs(10)));
    let slow = || async {
        let run = runner.run(Metadata::new(), |uow| {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(60)).await;
                put_in(uow, "ada", 5).await
            })
        });
        run.await.map(drop)
    };
    // In conflict, it was the only one; without a conflict, nothing is said about time.
    assert!(slow().await.unwrap_err().is_conflict());
    assert_eq!(store.commits(), 1);
    slow().await.unwrap();
    assert_eq!(store.commits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_conflicts_does_not_multiply_the_load() {
    let policy = RetryPolicy::default().with_attempts(10);
    // As many attempts as the policy allows, where nothing is counted.
    let store = hopeless();
    let runner = Runner::new(Arc::clone(&store))
        .with_retry(policy)
        .with_retry_budget(RetryBudget::unlimited());
    storm(&runner).await;
    assert_eq!(store.commits(), 2000);

    // 200 runs, 20 retries that were saved, and half a retry for each run.
    let store = hopeless();
    let budget = RetryBudget::new(20)
        .with_retries_per_run(0.5)
        .with_retries_per_second(0.0);
    let runner = Runner::new(Arc::clone(&store))
        .with_retry(policy)
        .with_retry_budget(budget.clone());
    storm(&runner).await;
    let commits = store.commits();
    assert!((200..=200 + 20 + 100).contains(&commits), "{commits}");
    assert_eq!(budget.left(), 0);
    // The budget is shared with whoever has it, also on another store, where nobody is faster but once.
    let other = Faulty::at(&Arc::new(MemoryStore::new()), 1, Fault::Conflict);
    let budget = budget.with_retries_per_run(0.0);
    let runner = Runner::new(Arc::clone(&other)).with_retry_budget(budget);
    assert!(put(&runner).await.unwrap_err().is_conflict());
    put(&runner).await.unwrap();
    assert_eq!(other.commits(), 2);
}

async fn storm(runner: &Runner<Faulty<MemoryStore>>) {
    let runs = (0..200).map(|_| {
        let runner = runner.clone();
        tokio::spawn(async move { put(&runner).await.unwrap_err().is_conflict() })
    });
    for run in runs.collect::<Vec<_>>() {
        assert!(run.await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn time_fills_the_budget_again() {
    let store = hopeless();
    let budget = RetryBudget::new(5)
        .with_retries_per_run(0.0)
        .with_retries_per_second(1.0);
    let quick = RetryPolicy::none()
        .with_attempts(10)
        .with_pauses(Duration::from_micros(2), Duration::from_micros(2));
    let runner = Runner::new(Arc::clone(&store))
        .with_retry(quick)
        .with_retry_budget(budget);
    let mut before = 0;
    for (seconds, attempts) in [(0, 6), (0, 1), (3, 4), (1, 2), (3600, 6)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        assert!(put(&runner).await.unwrap_err().is_conflict());
        assert_eq!(store.commits() - before, attempts, "after {seconds} s");
        before = store.commits();
    }
}

/// By default, contention of everyday use is tried again as ever.
#[tokio::test(start_paused = true)]
async fn the_default_is_generous() {
    let inner = Arc::new(MemoryStore::new());
    // Every third commit alone goes through.
    let store = Faulty::new(&inner, |number| {
        (!number.is_multiple_of(3)).then_some(Fault::Conflict)
    });
    let runner = Runner::new(Arc::clone(&store));
    for _ in 0..2000 {
        put(&runner).await.unwrap();
    }
    assert_eq!(account(&inner, "ada").await.balance, 10_000);
    assert_eq!(store.commits(), 6000);
}

/// What is not a conflict takes nothing out of the budget.
#[tokio::test(start_paused = true)]
async fn only_conflicts_are_paid_for() {
    let inner = Arc::new(MemoryStore::new());
    let budget = RetryBudget::new(3)
        .with_retries_per_run(0.0)
        .with_retries_per_second(0.0);
    for fault in [
        Fault::Unavailable,
        Fault::UnknownLost,
        Fault::UnknownDone,
        Fault::UnknownLate,
    ] {
        let store = Faulty::at(&inner, 1, fault);
        let runner = Runner::new(Arc::clone(&store)).with_retry_budget(budget.clone());
        let error = put(&runner).await.unwrap_err();
        assert!(!error.is_conflict(), "{error:?}");
        assert_eq!(store.commits(), 1, "{fault:?} is not tried again");
    }
    let runner = Runner::new(Arc::clone(&inner)).with_retry_budget(budget.clone());
    let refused = runner.run(Metadata::new(), |_| {
        Box::pin(async { Err::<(), _>(CommandError::rejected("no")) })
    });
    assert!(refused.await.unwrap_err().is_rejection());
    assert_eq!(budget.left(), 3);
}
