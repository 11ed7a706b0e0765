//! Timers and the inbox: what they cost the server, and what happens at the same time.

use std::time::Duration;

use sqlx::{PgConnection, Row as _};
use uno_core::{
    Commit, CommitError, Due, EventId, InboxStore as _, InboxWrite, Metadata, NewTimer, Payload,
    Stale, TimerStore as _, TimerWrite, Transactional as _,
};
use uno_store_postgres::{PgStore, PgTx};
use uuid::Uuid;

use crate::support::{Fixture, until};

fn set(id: Uuid) -> TimerWrite {
    let (due, payload) = (Due::After(Duration::ZERO), Payload::from_stored("{}"));
    TimerWrite::Set(NewTimer::new(
        "order",
        "a",
        id,
        due,
        payload,
        Metadata::new(),
    ))
}

fn fire(id: Uuid) -> TimerWrite {
    let process = "order".to_owned();
    TimerWrite::Fire { process, id }
}

fn commit(timers: Vec<TimerWrite>) -> Commit<PgTx> {
    let mut commit = Commit::new();
    commit.timers = timers;
    commit
}

fn new_id() -> Uuid {
    *EventId::new().as_uuid()
}

async fn pending(store: &PgStore) -> Vec<Uuid> {
    let listed = store.list_timers("order", "a").await.unwrap();
    listed.iter().map(uno_core::Timer::id).collect()
}

/// How many pages the server looks at to find the due timers, once it has its plan.
async fn pages(fixture: &Fixture, connection: &mut PgConnection) -> i64 {
    let explain = "EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT text) SELECT * FROM @.due_timers('order', 10)";
    let mut pages = 0;
    for _ in 0..2 {
        let rows = sqlx::query(fixture.sql(explain))
            .fetch_all(&mut *connection)
            .await;
        let lines: Vec<String> = rows.unwrap().iter().map(|row| row.get(0)).collect();
        let buffers = lines.iter().find(|line| line.contains("Buffers: shared"));
        pages = buffers
            .unwrap_or_else(|| panic!("the server does not say what it has read: {lines:?}"))
            .split([' ', '='])
            .filter_map(|word| word.parse::<i64>().ok())
            .sum();
    }
    pages
}

/// The cost of finding the due ones depends on how many are due: also when the planner knows nothing of the table, or has
/// another idea of it.
#[tokio::test]
async fn what_is_pending_costs_nothing() {
    let fixture = Fixture::new().await;
    let mut connection = fixture.connection().await;
    let fill = "INSERT INTO @.timers SELECT 'order', gen_random_uuid(), 'key ' || n, now() + n * interval '1 hour', '{}', '{}' \
         FROM generate_series(-5, $) n";
    fixture
        .run(&mut connection, &fill.replace('$', "100"))
        .await;
    let few = pages(&fixture, &mut connection).await;
    fixture
        .run(&mut connection, &fill.replace("-5, $", "101, 50000"))
        .await;
    let many = pages(&fixture, &mut connection).await;
    fixture.run(&mut connection, "ANALYZE @.timers").await;
    let known = pages(&fixture, &mut connection).await;
    // Those that are due, a few levels of the index, and the one that is next.
    for pages in [few, many, known] {
        assert!((1..=40).contains(&pages), "{few}, {many}, {known} pages");
    }
    let due = fixture.store().due_timers("order", 10).await.unwrap();
    assert_eq!(due.timers().len(), 6);
    fixture.close().await;
}

/// A timer that somebody is about to set anew is there all the same, and is fired as they leave it.
#[tokio::test]
async fn a_timer_that_is_being_set_anew_can_be_fired() {
    let fixture = Fixture::new().await;
    let (store, id, other) = (fixture.store(), new_id(), new_id());
    store
        .commit(commit(vec![set(id), set(other)]))
        .await
        .unwrap();
    let mut slow = fixture.connection().await;
    let mut outside = fixture.connection().await;
    fixture.run(&mut slow, "BEGIN").await;
    let change = "UPDATE @.timers SET due_at = now() + interval '1 hour', payload = '[2]'";
    fixture.run(&mut slow, change).await;
    let firing = tokio::spawn({
        let store = store.clone();
        async move { store.commit(commit(vec![fire(id)])).await }
    });
    wait_for_waiting(&fixture, &mut outside).await;
    fixture.run(&mut slow, "COMMIT").await;
    firing.await.unwrap().unwrap();
    assert_eq!(pending(&store).await, [other]);
    fixture.close().await;
}

/// Of two processes who fire a timer at the same moment, the one who waits for the other finds it gone.
#[tokio::test]
async fn a_timer_that_is_being_fired_is_gone() {
    let fixture = Fixture::new().await;
    let (store, id) = (fixture.store(), new_id());
    store.commit(commit(vec![set(id)])).await.unwrap();
    let mut slow = fixture.connection().await;
    let mut outside = fixture.connection().await;
    fixture.run(&mut slow, "BEGIN").await;
    fixture.run(&mut slow, "DELETE FROM @.timers").await;
    let firing = tokio::spawn({
        let store = store.clone();
        async move { store.commit(commit(vec![fire(id)])).await }
    });
    wait_for_waiting(&fixture, &mut outside).await;
    fixture.run(&mut slow, "COMMIT").await;
    match firing.await.unwrap() {
        Err(CommitError::Stale(Stale::Timer { id: gone, .. })) => assert_eq!(gone, id),
        other => panic!("it was fired twice: {other:?}"),
    }
    fixture.close().await;
}

/// Whoever has handled a message at the same moment, in whichever process: one has.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_handled_once_in_all_processes() {
    let fixture = Fixture::new().await;
    let stores = [
        fixture.store(),
        fixture.store(),
        PgStore::new(fixture.options().without_grouping()),
    ];
    for _ in 0..10 {
        let (id, timer) = (new_id(), new_id());
        stores[0].commit(commit(vec![set(timer)])).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..9 {
            let store = stores[n % 3].clone();
            tasks.spawn(async move {
                let mut commit = commit(vec![set(new_id())]);
                if n % 2 == 0 {
                    commit.timers.push(fire(timer));
                }
                let outputs = Payload::from_stored("[]");
                commit.inbox.push(InboxWrite::new("mailer", id, outputs));
                store.commit(commit).await
            });
        }
        let results = tasks.join_all().await;
        let done = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(done, 1, "{results:?}");
        for refused in results.into_iter().filter_map(Result::err) {
            assert!(matches!(refused, CommitError::Stale(_)), "{refused}");
        }
    }
    // A timer for each that was handled; those that were to be fired may be left, when one won that does not.
    let left = pending(&stores[0]).await.len();
    assert!((10..=20).contains(&left), "{left} timers");
    assert!(
        stores[0]
            .load_inbox("mailer", &[new_id()])
            .await
            .unwrap()
            .is_empty()
    );
    fixture.close().await;
}

/// Waits until a session of the store waits for a lock.
async fn wait_for_waiting(fixture: &Fixture, connection: &mut PgConnection) {
    let text = "SELECT count(*) FROM pg_stat_activity WHERE application_name = '@' AND wait_event_type = 'Lock'";
    let connection = tokio::sync::Mutex::new(connection);
    until(|| async { fixture.number(&mut **connection.lock().await, text).await > 0 }).await;
}
