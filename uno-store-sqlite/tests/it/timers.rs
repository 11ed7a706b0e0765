//! Timers and the inbox by a clock that the test moves, and in groups of commits.

use std::{sync::Arc, time::Duration};

use uno_core::{
    Clock as _, Commit, CommitError, Due, DueTimers, EventStore as _, InboxStore as _, InboxWrite,
    ManualClock, Metadata, NewTimer, Payload, Stale, TimerStore as _, TimerWrite,
    Transactional as _,
};
use uno_store_sqlite::{SqliteStore, SqliteTx};
use uuid::Uuid;

use crate::support::{Fixture, TestResult, file, together};

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
async fn timers_are_due_by_the_clock_of_the_store() -> TestResult {
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse()?));
    let directory = tempfile::tempdir()?;
    let builder = SqliteStore::builder().clock(clock.clone());
    let store = builder.open(file(&directory)).await?;
    store.migrate().await?;
    let (second, micro) = (Duration::from_secs(1), Duration::from_micros(1));
    let mut commit = Commit::<SqliteTx>::new();
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
async fn what_was_handled_is_as_old_as_the_clock_of_the_store_says() -> TestResult {
    let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse()?));
    let directory = tempfile::tempdir()?;
    let builder = SqliteStore::builder().clock(clock.clone());
    let store = builder.open(file(&directory)).await?;
    store.migrate().await?;
    let (hour, micro) = (Duration::from_secs(3600), Duration::from_micros(1));
    for id in [1, 2] {
        let mut commit = Commit::<SqliteTx>::new();
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

/// Each commit of a group finds the timers as those before it leave them.
#[tokio::test]
async fn a_group_moves_timers_one_commit_after_the_other() -> TestResult {
    let fixture = Fixture::new().await?;
    let moves = |timers: Vec<TimerWrite>| {
        let mut commit = Commit::<SqliteTx>::new();
        commit.timers = timers;
        commit
    };
    let process = || "order".to_owned();
    let fire = |id| {
        let id = Uuid::from_u128(id);
        TimerWrite::Fire {
            process: process(),
            id,
        }
    };
    let cancel = |id| {
        let id = Uuid::from_u128(id);
        TimerWrite::Cancel {
            process: process(),
            id,
        }
    };
    let now = Due::After(Duration::ZERO);
    let results = together(
        &fixture.store,
        vec![
            moves(vec![timer(1, now), timer(2, now), timer(3, now)]),
            moves(vec![fire(1), cancel(2)]),
            moves(vec![fire(1)]),
            moves(vec![fire(2)]),
            moves(vec![timer(2, Due::After(Duration::MAX))]),
            moves(vec![fire(2), timer(4, now)]),
            moves(vec![fire(4), fire(5), fire(3)]),
            moves(vec![fire(3), timer(4, Due::After(Duration::MAX))]),
        ],
    )
    .await?;
    let stale: Vec<_> = results
        .iter()
        .map(|result| match result {
            Err(CommitError::Stale(Stale::Timer { id, .. })) => Some(id.as_u128()),
            other => {
                assert!(other.is_ok(), "{other:?}");
                None
            }
        })
        .collect();
    assert_eq!(
        stale,
        [None, None, Some(1), Some(2), None, None, Some(5), None]
    );
    let left = fixture.store.list_timers("order", "a").await?;
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].id().as_u128(), left[0].due_at()), (4, Due::LATEST));
    Ok(())
}

/// Of two in a group who have handled a message, the first has.
#[tokio::test]
async fn a_group_handles_a_message_once() -> TestResult {
    let fixture = Fixture::new().await?;
    let id = Uuid::from_u128(7);
    let handle = |outputs: &str| {
        let mut commit = Commit::<SqliteTx>::new();
        let write = InboxWrite::new("mailer", id, Payload::from_stored(outputs));
        commit.inbox.push(write);
        commit
    };
    let results = together(&fixture.store, vec![handle("1"), handle("2")]).await?;
    assert!(results[0].is_ok(), "{results:?}");
    assert!(
        matches!(&results[1], Err(CommitError::Stale(Stale::Inbox { .. }))),
        "{results:?}"
    );
    let found = fixture.store.load_inbox("mailer", &[id]).await?;
    assert_eq!(found[0].outputs().as_str(), "1");
    Ok(())
}
