//! One instance, drawn from the history that it left in a store.

use uno_saga::diagram;

use super::*;
use crate::support::rest::drained;

/// Feeds an instance in turns, each of which is over before the next begins, so that the history is the same each time.
async fn in_turns(clock: &ManualClock, store: &Arc<MemoryStore>, key: &str) {
    let clerk = Clerk::default();
    let saga = runner::<Parcel, _>(store);
    let ended = || async {
        let instance = saga.instance(key).await.unwrap();
        instance.is_some_and(|instance| instance.status().is_ended())
    };
    while !ended().await {
        clock.advance(Duration::from_millis(1500));
        let manager = SubscriptionManager::new(Arc::clone(store) as _, Arc::clone(store) as _);
        let name = SubscriptionName::new("saga.parcel").unwrap();
        let subscription = Subscription::new(name, Replay::Safe, Arc::new(saga.clone()));
        manager.subscribe(subscription).unwrap();
        manager.start_all().await.unwrap();
        in_time(manager.until_idle()).await.unwrap();
        manager.stop_all().await;

        let worker = saga.worker(clerk.bus(store)).with_poll_interval(POLL);
        let working = Running::start(|stop| async move { worker.run(stop).await });
        drained(&**store, saga.queues().0).await;
        working.stop().await;

        clock.advance(Duration::from_millis(250));
        while saga.handle_outcomes().await.unwrap() > 0 {}
    }
}

#[tokio::test]
async fn an_instance_is_drawn_from_its_history() {
    let (clock, store) = store();
    order(&*store, "a", "ship!").await;
    done(&*store, "a", "look").await;
    in_turns(&clock, &store, "a").await;
    let history = runner::<Parcel, _>(&store).history("a", 0, 1000).await;
    let drawn = diagram::of_instance("parcel a", &history.unwrap());
    let golden = "sequenceDiagram
    participant log as events
    participant saga as parcel a
    participant work as commands
    Note over saga: 2026-01-05
    log->>saga: 12:00:01.500 ordered at position 1
    Note over saga: 12:00:01.500 is running
    saga->>work: 12:00:01.500 charge
    log->>saga: 12:00:01.500 done at position 2
    work->>saga: 12:00:01.750 charge succeeded
    saga->>work: 12:00:01.750 allocate
    log->>saga: 12:00:03.250 done at position 3
    work->>saga: 12:00:03.500 allocate succeeded
    saga->>work: 12:00:03.500 ship
    log->>saga: 12:00:05.000 done at position 4
    work->>saga: 12:00:05.250 ship was rejected, no ship
    saga->>work: 12:00:05.250 undo by release
    Note over saga: 12:00:05.250 is compensating
    work->>saga: 12:00:07.000 release succeeded
    saga->>work: 12:00:07.000 undo by refund
    log->>saga: 12:00:08.500 done at position 5
    Note over saga: 12:00:08.500 not asked, it is compensating
    work->>saga: 12:00:08.750 refund succeeded
    Note over saga: 12:00:08.750 is compensated
";
    assert_eq!(drawn, golden);
}
