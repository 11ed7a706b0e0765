//! Timers and the inbox by a clock that the test moves.

use std::{sync::Arc, time::Duration};

use uno_core::{
    Clock as _, Commit, Due, DueTimers, InboxStore as _, InboxWrite, ManualClock, Metadata,
    NewTimer, Payload, TimerStore as _, TimerWrite, Transactional as _,
};
use uno_store_memory::{MemoryStore, MemoryTx};
use uuid::Uuid;

use crate::Outcome;

fn timer(id: u128, due: Due) -> TimerWrite {
    let (id, payload) = (Uuid::from_u128(id), Payload::from_stored("{}"));
    TimerWrite::Set(NewTimer::new(
        "order",
        "a",
        id,
        due,
        payload,
        Metadata::new(),
    ))
}

fn ids(due: &DueTimers) -> Vec<u128> {
    due.timers()
        .iter()
        .map(|timer| timer.id().as_u128())
        .collect()
}

/// By a clock that stands still: what is due, and how long until the next is, to the microsecond.
#[tokio::test]
async fn timers_are_due_by_the_clock_of_the_store() -> Outcome {
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse()?));
    let store = MemoryStore::builder().clock(clock.clone()).build();
    let (second, micro) = (Duration::from_secs(1), Duration::from_micros(1));
    let mut commit = Commit::<MemoryTx>::new();
    commit.timers = vec![
        timer(1, Due::After(2 * second)),
        timer(2, Due::After(second + Duration::from_nanos(999))),
        timer(3, Due::At("2026-01-01T00:00:01.000001Z".parse()?)),
    ];
    store.commit(commit).await?;
    let due = store.due_timers("order", 10).await?;
    assert_eq!((ids(&due), due.next_in()), (vec![], Some(second)));
    clock.advance(second - micro);
    let due = store.due_timers("order", 10).await?;
    assert_eq!((ids(&due), due.next_in()), (vec![], Some(micro)));
    clock.advance(micro);
    let due = store.due_timers("order", 10).await?;
    assert_eq!((ids(&due), due.next_in()), (vec![2], Some(micro)));
    assert_eq!(due.now(), clock.now());
    clock.advance(micro);
    let due = store.due_timers("order", 10).await?;
    assert_eq!(
        (ids(&due), due.next_in()),
        (vec![2, 3], Some(second - micro))
    );
    clock.advance(2 * second);
    let due = store.due_timers("order", 10).await?;
    assert_eq!((ids(&due), due.next_in()), (vec![2, 3, 1], None));
    Ok(())
}

#[tokio::test]
async fn what_was_handled_is_as_old_as_the_clock_of_the_store_says() -> Outcome {
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse()?));
    let store = MemoryStore::builder().clock(clock.clone()).build();
    let (hour, micro) = (Duration::from_secs(3600), Duration::from_micros(1));
    for id in [1, 2] {
        let mut commit = Commit::<MemoryTx>::new();
        let write = InboxWrite::new("mailer", Uuid::from_u128(id), Payload::from_stored("[]"));
        commit.inbox.push(write);
        store.commit(commit).await?;
        let found = store.load_inbox("mailer", &[Uuid::from_u128(id)]).await?;
        assert_eq!(found[0].handled_at(), clock.now());
        clock.advance(hour);
    }
    assert_eq!(store.prune_inbox("mailer", 2 * hour).await?, 0);
    assert_eq!(store.prune_inbox("mailer", 2 * hour - micro).await?, 1);
    assert_eq!(store.prune_inbox("mailer", hour).await?, 0);
    clock.advance(micro);
    assert_eq!(store.prune_inbox("mailer", hour).await?, 1);
    Ok(())
}
