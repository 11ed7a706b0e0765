//! Attempts are counted over processes, and who fails keeps nobody else waiting.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;
use uno_core::Envelope;
use uno_events::{Replay, Subscription, SubscriptionManager};

use super::{parking::parked, support::*};

/// An event whose handling the process does not survive is tried as often as the policy says, over all processes.
#[tokio::test(start_paused = true)]
async fn a_handler_that_kills_its_process_is_counted_and_parked() {
    dies_four_times(0).await;
}

/// A claim says once that the lane was left by one that has died; when that is not heard, it is counted all the same.
#[tokio::test(start_paused = true)]
async fn a_death_counts_also_when_the_claim_that_tells_of_it_is_not_heard() {
    dies_four_times(1).await;
}

/// Of each process the first claims are made, but not answered.
async fn dies_four_times(unheard: u32) {
    let store = TestStore::timed();
    let calls = Seen::default();
    let handled = Seen::default();
    let mut deaths = 0;
    for n in 1..=20 {
        note_in(&store, &format!("thing-{}", n % 4), n).await;
    }
    loop {
        let process = store.elsewhere();
        process
            .faults()
            .claims_unheard
            .store(unheard, Ordering::Relaxed);
        let manager = SubscriptionManager::builder(process.events(), process.checkpoints())
            .instance("worker")
            .build();
        let (called, done, dying) = (calls.clone(), handled.clone(), Gate::closed());
        let dies = dying.clone();
        let handler = move |event: Arc<Envelope<Noted>>| {
            let (called, done, dies) = (called.clone(), done.clone(), dies.clone());
            async move {
                called.push(event.event().n);
                if event.event().n == 7 {
                    dies.pass().await;
                }
                done.push(event.event().n);
                Ok(())
            }
        };
        let subscription = Subscription::handler(name("a"), Replay::Safe, handler)
            .retry(quick())
            .batch_size(10)
            .no_time_limit();
        manager.subscribe(subscription).unwrap();
        manager.start_all().await.unwrap();
        tokio::select! {
            biased;
            () = dying.entered() => {
                deaths += 1;
                process.faults().cut_off.store(true, Ordering::Relaxed);
            }
            idle = manager.until_idle() => {
                idle.unwrap();
                assert_eq!(parked(&manager, "a").await, [("thing-3".to_owned(), vec![7, 11, 15, 19])]);
                let key = manager.parked_key(&name("a"), "thing-3").await.unwrap().unwrap();
                assert_eq!(key.failure().attempts(), 4);
                break;
            }
        }
    }
    assert_eq!(deaths, 4);
    assert_eq!(
        calls.all().iter().filter(|n| **n == 7).count(),
        4,
        "as often as the policy says"
    );
    let mut all = handled.all();
    all.sort_unstable();
    all.dedup();
    assert_eq!(
        all,
        [1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 13, 14, 16, 17, 18, 20]
    );
}

/// Attempts before a clean end count too: the policy is of the event, not of the process.
#[tokio::test(start_paused = true)]
async fn attempts_are_counted_over_processes_that_hand_over() {
    let store = TestStore::timed();
    let fragile = Fragile::at([1]);
    let slow = || {
        quick()
            .base(Duration::from_secs(60))
            .longest(Duration::from_secs(60))
    };
    note(&store, [1]).await;
    for attempts in 1..=3 {
        let manager = store.manager();
        manager
            .subscribe(fragile.parking("a").retry(slow()))
            .unwrap();
        manager.start_all().await.unwrap();
        until(async || fragile.calls.all().len() == attempts).await;
        manager.stop_all().await;
    }
    let manager = store.manager();
    manager
        .subscribe(fragile.parking("a").retry(slow()))
        .unwrap();
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(fragile.calls.all().len(), 4);
    assert_eq!(
        parked(&manager, "a").await,
        [("thing-1".to_owned(), vec![1])]
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_stalls_and_one_that_panics_keep_nobody_waiting() {
    let store = TestStore::timed();
    let manager = store.manager();
    let seen: Vec<Seen> = (0..98).map(|_| Seen::default()).collect();
    for (n, seen) in seen.iter().enumerate() {
        manager
            .subscribe(seen.subscription(&format!("fine {n}")))
            .unwrap();
    }
    let stalls = |_: Arc<Envelope<Noted>>| std::future::pending();
    let stalls = Subscription::handler(name("stalls"), Replay::Safe, stalls).no_time_limit();
    manager.subscribe(stalls).unwrap();
    let panicking = Fragile::at(0..1_000);
    panicking.panics.store(true, Ordering::Relaxed);
    manager
        .subscribe(
            panicking
                .parking("panics")
                .retry(quick().base(Duration::from_secs(3600))),
        )
        .unwrap();
    manager.start_all().await.unwrap();
    let start = Instant::now();
    for n in 0..500 {
        note_in(&store, &format!("thing-{}", n % 50), n).await;
    }
    for n in 0..98 {
        let receipt = note_in(&store, "thing-1", 500).await;
        let fine = name(&format!("fine {n}"));
        manager
            .wait_for(&fine, &receipt, Duration::from_secs(1))
            .await
            .unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(1));
    assert!(seen.iter().all(|seen| seen.all().len() >= 500));
    let told = status(&manager, "stalls").await;
    assert_eq!((told.counts().handled(), told.lag_events()), (0, Some(598)));
}
