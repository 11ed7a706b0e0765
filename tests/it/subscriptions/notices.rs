//! What happens is told to who wants to hear of it.

use uno_events::{Happened, Notice, SubscriptionManager};

use super::support::*;

#[tokio::test(start_paused = true)]
async fn what_happens_is_told_at_once_and_a_slow_listener_is_told_of_the_gap() {
    let (store, fragile) = (TestStore::timed(), Fragile::at([3]));
    let manager = SubscriptionManager::builder(store.events(), store.checkpoints())
        .fell_behind_at(50)
        .build();
    let mut notices = manager.notices();
    let mut slow = manager.notices();
    manager
        .subscribe(fragile.parking("a").retry(quick().retries(0)))
        .unwrap();
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    let mut next = async || match notices.next().await {
        Some(Notice::Of { subscription, what }) => {
            assert_eq!(subscription, name("a"));
            what
        }
        other => panic!("{other:?}"),
    };
    let lane = uno_core::Lane::FIRST;
    assert_eq!(next().await, Happened::LaneTaken { lane });
    assert_eq!(next().await, Happened::CaughtUp);
    note(&store, [1, 2, 3]).await;
    let key = "thing-1".into();
    assert_eq!(
        next().await,
        Happened::Parked {
            key,
            position: uno_core::Position::new(3).unwrap()
        }
    );
    manager.until_idle().await.unwrap();
    manager.pause(&name("a")).await.unwrap();
    for n in 0..100 {
        note_in(&store, "thing-2", n + 10).await;
    }
    // Somebody who follows the log has read what is new.
    manager
        .subscribe(Seen::default().subscription("b"))
        .unwrap();
    manager.start(&name("b")).await.unwrap();
    until(async || status(&manager, "b").await.lag_events() == Some(0)).await;
    manager.resume(&name("a")).await.unwrap();
    manager.until_idle().await.unwrap();
    manager.stop_all().await;
    let mut rest = Vec::new();
    while let Some(Notice::Of { subscription, what }) = notices.try_next() {
        if subscription == name("a") {
            rest.push(what);
        }
    }
    assert_eq!(rest.len(), 2, "{rest:?}");
    assert!(
        matches!(rest[0], Happened::FellBehind { lag } if lag >= 50),
        "{rest:?}"
    );
    assert_eq!(rest[1], Happened::CaughtUp);

    for n in 0..SubscriptionManager::NOTICES_KEPT {
        let again = name(&format!("again {n}"));
        manager
            .subscribe(Seen::default().subscription(again.as_str()))
            .unwrap();
        manager.start(&again).await.unwrap();
        manager.until_idle().await.unwrap();
        manager.unsubscribe(&again).await.unwrap();
    }
    assert!(matches!(slow.next().await, Some(Notice::Missed(missed)) if missed > 0));
    assert!(matches!(slow.next().await, Some(Notice::Of { .. })));
}
