//! Whatever the store says to a commit, and wherever the process dies: effects come once.

use std::{sync::Arc, time::Duration};

use uno_core::{Backend, Decoder, Metadata, SubscriptionName};
use uno_cqrs::{CommandOutcome, CommandWorker, DocumentProjector, Documents, Verdict};
use uno_events::{Replay, Subscription, SubscriptionManager};
use uno_testkit::conformance::{BackendHarness, Harness};
use uno_uow::{RetryPolicy, Runner};

use super::{
    documents::Balances,
    teller::{Deposit, How, Misbehave, Teller, Withdraw, enqueue},
};
use crate::support::{
    account::{account, slip_in},
    faulty::{Fault, Faulty},
    rest::{Running, drained, in_time},
};

type Store<H> = Arc<<H as Harness>::Store>;
type Guard<H> = <H as Harness>::Guard;

const QUICK: RetryPolicy = RetryPolicy::none()
    .with_attempts(2)
    .with_pauses(Duration::from_micros(10), Duration::from_millis(1));

fn start<B: Backend>(store: &Arc<B>, queue: &str) -> Running {
    let worker = CommandWorker::new(Teller::new().bus(store), queue)
        .with_outcomes(format!("outcomes of {queue}"))
        .with_retry(QUICK);
    Running::start(|stop| async move { worker.run(stop).await })
}

/// Five commands that take one commit each.
async fn enqueue_all<B: Backend>(store: &Arc<B>, queue: &str) {
    let (one, other) = (format!("{queue} 1"), format!("{queue} 2"));
    let withdraw = |cents| Withdraw {
        account: one.clone(),
        cents,
    };
    let deposit = |account: &str| Deposit {
        account: account.to_owned(),
        cents: 10,
    };
    enqueue(store, queue, &[("a", deposit(&one))]).await;
    enqueue(store, queue, &[("a", withdraw(3)), ("a", withdraw(100))]).await;
    enqueue(store, queue, &[("a", Misbehave { how: How::Fail })]).await;
    enqueue(store, queue, &[("b", deposit(&other))]).await;
}

async fn assert_once<B: Backend>(store: &Arc<B>, queue: &str, context: &str) {
    let balance = |n| async move { account(store, &format!("{queue} {n}")).await.balance };
    assert_eq!((balance(1).await, balance(2).await), (7, 10), "{context}");
    let told = store
        .read_queue(&format!("outcomes of {queue}"), 0, 100)
        .await
        .unwrap();
    let mut verdicts: Vec<_> = told
        .iter()
        .map(|queued| {
            let outcome = CommandOutcome::from_message(queued).unwrap();
            let verdict = match outcome.verdict() {
                Verdict::Succeeded => "succeeded",
                Verdict::Rejected(_) => "rejected",
                _ => "gave up",
            };
            format!("{} {} {verdict}", queued.message().key(), outcome.command())
        })
        .collect();
    // Those of one key are in order.
    verdicts.sort_by_key(|text| text.as_bytes()[0]);
    let expected = [
        "a deposit succeeded",
        "a withdraw succeeded",
        "a withdraw rejected",
        "a misbehave gave up",
        "b deposit succeeded",
    ];
    assert_eq!(verdicts, expected, "{context}");
}

pub(super) async fn every_command_takes_effect_once_whatever_the_store_says<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    for fault in Fault::ALL {
        for number in 1..=5 {
            let queue = format!("{fault:?} {number}");
            enqueue_all(store, &queue).await;
            let faulty = Faulty::at(store, number, fault);
            let running = start(&faulty, &queue);
            tokio::select! {
                // Of the last commit: its effect may be seen before it is known that nothing comes after it.
                () = drained(&**store, &queue) => {}
                () = faulty.died() => {}
            }
            if fault.is_death() {
                in_time(faulty.died()).await;
                running.crash().await;
                let after = start(store, &queue);
                drained(&**store, &queue).await;
                after.stop().await;
            } else {
                running.stop().await;
                faulty.catch_up().await;
            }
            assert_once(store, &queue, &queue).await;
        }
    }
}

pub(super) async fn a_store_that_panics_closes_no_lane<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    for number in 1..=5 {
        let queue = format!("q{number}");
        enqueue_all(store, &queue).await;
        let faulty = Faulty::at(store, number, Fault::Panics);
        let running = start(&faulty, &queue);
        drained(&**store, &queue).await;
        running.stop().await;
        assert_once(store, &queue, &queue).await;
    }
}

/// Keeps the balances of all accounts, in batches of two events.
pub(super) async fn project<B: Backend>(store: &Arc<B>, instance: &str) -> SubscriptionManager {
    let projector = DocumentProjector::new(Balances, Arc::clone(store), Decoder::new()).unwrap();
    let quick = uno_events::RetryPolicy::new()
        .retries(2)
        .base(Duration::from_micros(10));
    let name = SubscriptionName::new("balances").unwrap();
    let subscription = Subscription::new(name, Replay::Safe, Arc::new(projector));
    let (log, checkpoints) = (Arc::clone(store), Arc::clone(store));
    let manager = SubscriptionManager::builder(log, checkpoints)
        .instance(instance)
        .poll_interval(Duration::from_millis(5))
        .build();
    manager
        .subscribe(subscription.batch_size(2).retry(quick).no_parking())
        .unwrap();
    manager.start_all().await.unwrap();
    manager
}

pub(super) async fn documents_take_every_event_once_whatever_the_store_says<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let documents = Documents::<Balances>::new(Arc::clone(store) as _);
    let mut total = 0;
    for fault in Fault::ALL {
        for number in 1..=3 {
            let name = format!("{fault:?}{number}");
            for cents in 1..=5 {
                slip_in(&**store, &name, cents).await;
                total += 1;
            }
            let faulty = Faulty::at(store, number, fault);
            let manager = project(&faulty, "one").await;
            tokio::select! {
                idle = in_time(manager.until_idle()) => idle.unwrap(),
                () = faulty.died() => assert!(fault.is_death(), "{name}"),
            }
            if !fault.is_death() {
                manager.stop_all().await;
            }
            drop(manager);
            let manager = project(store, "one").await;
            in_time(manager.until_idle()).await.unwrap();
            manager.stop_all().await;
            faulty.catch_up().await;
            let here = documents.get(&name).await.unwrap().unwrap();
            assert_eq!((here.events, here.cents), (5, 15), "{name}");
            assert_eq!(documents.get("all").await.unwrap().unwrap().events, total);
        }
    }
}

pub(super) async fn two_projectors_take_every_event_once<H: BackendHarness>(
    _: &Arc<H>,
    store: &Store<H>,
    _: &Guard<H>,
) {
    let managers = [project(store, "one").await, project(store, "other").await];
    let runner = Runner::new(Arc::clone(store));
    for n in 0..30 {
        let run = runner.run(Metadata::new(), |uow| {
            Box::pin(async move {
                crate::support::account::put_in(uow, &format!("account {}", n % 3), 1).await
            })
        });
        run.await.unwrap();
        tokio::task::yield_now().await;
    }
    for manager in &managers {
        in_time(manager.until_idle()).await.unwrap();
    }
    for manager in managers {
        manager.stop_all().await;
    }
    let all = Documents::<Balances>::new(Arc::clone(store) as _)
        .get("all")
        .await;
    let all = all.unwrap().unwrap();
    assert_eq!((all.events, all.cents), (33, 30));
}
