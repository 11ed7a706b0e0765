//! When the checkpoint is saved, and how it is reset.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use uno_core::{Envelope, Position};
use uno_events::{Replay, Subscription, SubscriptionError, SubscriptionManager};

use super::support::*;

#[tokio::test]
async fn a_reset_replays_from_the_last_event_up_to_there() {
    let (store, seen) = (TestStore::with_gaps(9), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    manager.start_all().await.unwrap();
    let third = note(&store, 1..=3).await.position().unwrap();
    note(&store, 4..=6).await;
    manager.until_idle().await.unwrap();

    manager.reset(&name("a"), third).await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(
        seen.all(),
        [1, 2, 3, 4, 5, 6, 4, 5, 6],
        "it was running, so it goes on"
    );

    manager.stop_all().await;
    manager.reset(&name("a"), Position::START).await.unwrap();
    assert_eq!(store.checkpoint("a").await, Some(0));
    assert_eq!(status(&manager, "a").await.position(), Position::START);
    assert_eq!(seen.all().len(), 9, "it was stopped, so it stays so");
    manager.start_all().await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(seen.all().len(), 15);

    manager.reset(&name("a"), Position::MAX).await.unwrap();
    manager.until_idle().await.unwrap();
    assert_eq!(
        seen.all().len(),
        15,
        "nothing comes after the end of the log"
    );
}

#[tokio::test]
async fn a_live_only_subscription_is_not_reset() {
    let store = TestStore::new();
    let manager = store.manager();
    let handler = |_: Arc<Envelope<Noted>>| async { Ok(()) };
    manager
        .subscribe(Subscription::handler(
            name("mail"),
            Replay::LiveOnly,
            handler,
        ))
        .unwrap();
    note(&store, [1, 2]).await;
    manager.start_all().await.unwrap();
    let refused = manager.reset(&name("mail"), Position::START).await;
    assert!(matches!(refused, Err(SubscriptionError::LiveOnly(_))));
    manager.until_idle().await.unwrap();
    assert_eq!(
        (
            store.checkpoint("mail").await,
            status(&manager, "mail").await.replay()
        ),
        (Some(2), Replay::LiveOnly)
    );
}

#[tokio::test]
async fn what_was_passed_over_is_saved_in_strides_and_on_stopping() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = SubscriptionManager::builder(store.events(), store.checkpoints())
        .save_every(100)
        .build();
    manager.subscribe(seen.subscription("a")).unwrap();
    manager.start_all().await.unwrap();
    for n in 0..950 {
        ignore(&store, [n]).await;
        manager.until_idle().await.unwrap();
    }
    let saves = store.faults().saves.load(Ordering::Relaxed);
    assert_eq!(saves, 9, "once in a hundred positions");
    assert_eq!(store.checkpoint("a").await, Some(900));
    assert_eq!(status(&manager, "a").await.position().get(), 950);
    assert_eq!(status(&manager, "a").await.lag_events(), Some(0));
    manager.stop_all().await;
    assert_eq!(store.checkpoint("a").await, Some(950));
}

#[tokio::test(start_paused = true)]
async fn what_was_passed_over_is_saved_after_a_while_at_the_end() {
    let (store, seen) = (TestStore::new(), Seen::default());
    let manager = store.manager();
    manager.subscribe(seen.subscription("a")).unwrap();
    manager.start_all().await.unwrap();
    ignore(&store, [1]).await;
    manager.until_idle().await.unwrap();
    assert_eq!(store.checkpoint("a").await, None);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(store.checkpoint("a").await, Some(1));
    let saves = store.faults().saves.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(
        store.faults().saves.load(Ordering::Relaxed),
        saves,
        "and not again"
    );
}
