//! The store is away: what the status says then.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use uno_core::Clock as _;
use uno_events::{SubscriptionManager, SubscriptionState, SubscriptionStatus};
use uno_store_memory::MemoryStore;
use uno_testkit::faults::{Call, Fault, FaultStore, Faults};

use super::support::*;

const LEASE: Duration = Duration::from_secs(5);
const HOUR: Duration = Duration::from_secs(3600);

type Store = FaultStore<MemoryStore>;

/// A store of events that were all handled, and the manager that has done it. It looks for new ones only once an hour.
async fn caught_up() -> (Arc<Store>, SubscriptionManager, Seen, TokioClock) {
    let clock = TokioClock::new();
    let memory = MemoryStore::builder().clock(Arc::new(clock)).build();
    let store = Arc::new(FaultStore::new(Arc::new(memory), Faults::none()));
    let seen = Seen::default();
    let manager = SubscriptionManager::builder(store.clone(), store.clone())
        .clock(Arc::new(clock))
        .lease(LEASE)
        .poll_interval(HOUR)
        .build();
    let lanes = NonZeroU16::new(2).unwrap();
    manager
        .subscribe(seen.subscription("a").lanes(lanes))
        .unwrap();
    for n in 1..=10 {
        note_in(&*store, &format!("thing-{n}"), n).await;
    }
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    let told = status(&manager, "a").await;
    assert_eq!(told.state(), &SubscriptionState::CaughtUp);
    assert_eq!(
        (told.lag_events(), told.lag()),
        (Some(0), Some(Duration::ZERO))
    );
    (store, manager, seen, clock)
}

/// All that a server says which is not there.
fn down() -> Faults {
    Call::ALL.into_iter().fold(Faults::none(), |faults, call| {
        faults.from(call, 1, Fault::Unavailable)
    })
}

/// When the lanes were renewed last and what the store says, if the status is that they are not held.
fn unheld(status: &SubscriptionStatus) -> Option<(DateTime<Utc>, Option<&str>)> {
    match status.state() {
        SubscriptionState::Unheld { renewed, error } => Some((*renewed, error.as_deref())),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_shows_at_the_next_claim_and_lanes_that_are_not_held_once_leases_run_out()
 {
    let (store, manager, seen, clock) = caught_up().await;
    store.set(down());
    let away = clock.now();
    tokio::time::sleep(LEASE / 2).await;
    let told = status(&manager, "a").await;
    // The lanes themselves wait for the next hour, and know of nothing.
    let SubscriptionState::Retrying { attempt, error } = told.state() else {
        panic!("{}", told.state());
    };
    assert!(*attempt > 0 && error.contains("not available"), "{error}");
    assert_eq!(
        (told.head(), told.lag_events(), told.lag()),
        (None, None, None)
    );
    assert_eq!(told.parked(), None);

    tokio::time::sleep(LEASE).await;
    let told = status(&manager, "a").await;
    let (renewed, error) = unheld(&told).unwrap();
    assert!(renewed <= away, "{renewed}");
    assert!(error.is_some_and(|error| error.contains("not available")));
    let text = told.state().to_string();
    assert!(
        text.starts_with("not holding its lanes, last renewed at 2026-"),
        "{text}"
    );
    assert_eq!((told.lag_events(), told.lag()), (None, None));

    store.set(Faults::none());
    note_in(&*store, "thing-1", 11).await;
    until(async || seen.all().len() == 11).await;
    until(async || status(&manager, "a").await.state() == &SubscriptionState::CaughtUp).await;
    assert_eq!(status(&manager, "a").await.lag_events(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_shows_once_leases_have_run_out() {
    let (store, manager, seen, _) = caught_up().await;
    let silent = Faults::none().from(Call::ClaimLanes, 1, Fault::Delay(LEASE * 4));
    store.set(silent);
    // The claim that was the last to be answered may be a third of a lease ago.
    tokio::time::sleep(LEASE * 2).await;
    let told = status(&manager, "a").await;
    let (_, error) = unheld(&told).unwrap();
    assert_eq!(error, None);
    assert!(
        told.state()
            .to_string()
            .ends_with("the store does not answer")
    );
    // The end of the log can be asked for, and nothing has come to it.
    assert_eq!(told.lag_events(), Some(0));

    store.set(Faults::none());
    note_in(&*store, "thing-1", 11).await;
    until(async || seen.all().len() == 11).await;
    assert_eq!(unheld(&status(&manager, "a").await), None);
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_told_whatever_the_store_does() {
    let (store, manager, _, _) = caught_up().await;
    manager.pause(&name("a")).await.unwrap();
    store.set(down());
    tokio::time::sleep(LEASE * 2).await;
    assert_eq!(
        status(&manager, "a").await.state(),
        &SubscriptionState::Paused
    );
}

#[tokio::test(start_paused = true)]
async fn how_far_it_is_behind_is_not_told_when_nobody_knows_where_its_lanes_are() {
    let (store, manager, _, _) = caught_up().await;
    manager.stop_all().await;
    assert_eq!(status(&manager, "a").await.lag_events(), Some(0));
    store.set(Faults::none().from(Call::ListLanes, 1, Fault::Unavailable));
    let told = status(&manager, "a").await;
    assert!(told.head().is_some());
    assert_eq!((told.lag_events(), told.lag()), (None, None));
}
