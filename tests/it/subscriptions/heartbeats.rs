//! What a subscription asks of its store while nothing happens.

use std::sync::atomic::Ordering;

use uno_core::{ParkingRequest, ParkingStore as _};
use uno_events::{SubscriptionManager, SubscriptionState};

use super::{sharing::lanes, support::*};

/// How often the store is asked for requests while so many claims are made.
async fn asked_in_claims(store: &TestStore, claims: usize) -> usize {
    let faults = store.faults();
    let read = || {
        (
            faults.claims.load(Ordering::Relaxed),
            faults.requests_listed.load(Ordering::Relaxed),
        )
    };
    let (claims_before, asked_before) = read();
    until(async || read().0 >= claims_before + claims).await;
    read().1 - asked_before
}

/// Asks past every manager.
async fn ask(store: &TestStore, key: &str, request: ParkingRequest) {
    let noted = store.memory().request(&name("a"), key, request).await;
    assert!(noted.unwrap(), "{key} is not parked");
}

async fn until_caught_up(manager: &SubscriptionManager) {
    until(async || status(manager, "a").await.state() == &SubscriptionState::CaughtUp).await;
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_one_call_unless_something_is_parked() {
    let (store, fragile) = (TestStore::timed(), Fragile::at([2]));
    let manager = store.manager();
    manager
        .subscribe(fragile.parking("a").lanes(lanes(4)))
        .unwrap();
    manager.start_all().await.unwrap();
    note_in(&store, "thing-1", 1).await;
    until_caught_up(&manager).await;
    assert_eq!(asked_in_claims(&store, 10).await, 0);

    note_in(&store, "thing-2", 2).await;
    until(async || store.memory().count_parked(&name("a")).await.unwrap() == 1).await;
    assert!(asked_in_claims(&store, 10).await >= 9);

    // As another process asks: nobody tells this one.
    fragile.mend();
    ask(&store, "thing-2", ParkingRequest::Retry).await;
    until(async || fragile.seen.all() == [1, 2]).await;
    until(async || store.memory().count_parked(&name("a")).await.unwrap() == 0).await;
    until_caught_up(&manager).await;
    assert_eq!(asked_in_claims(&store, 10).await, 0);
}

/// What is asked for before the lanes are open is not missed, whoever parked it.
#[tokio::test(start_paused = true)]
async fn a_request_that_was_there_before_the_process_is_carried_out() {
    for request in [
        ParkingRequest::Retry,
        ParkingRequest::Skip,
        ParkingRequest::Discard,
    ] {
        let (store, fragile) = (TestStore::timed(), Fragile::at([1]));
        let manager = store.manager();
        manager.subscribe(fragile.parking("a")).unwrap();
        manager.start_all().await.unwrap();
        note_in(&store, "thing-1", 1).await;
        until(async || store.memory().count_parked(&name("a")).await.unwrap() == 1).await;
        manager.stop_all().await;
        drop(manager);
        ask(&store, "thing-1", request).await;

        let elsewhere = store.elsewhere();
        let manager = elsewhere.manager();
        fragile.mend();
        manager.subscribe(fragile.parking("a")).unwrap();
        manager.start_all().await.unwrap();
        until(async || store.memory().count_parked(&name("a")).await.unwrap() == 0).await;
        let handled: &[u32] = match request {
            ParkingRequest::Retry => &[1],
            _ => &[],
        };
        assert_eq!(fragile.seen.all(), handled, "{request:?}");
    }
}
