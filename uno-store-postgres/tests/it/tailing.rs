//! The reader's protocol: what must hold, and the simpler ways that must fail.
//!
//! Long because each simpler protocol stands beside the one that holds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::{task::JoinSet, time::sleep};
use uno_core::{
    Commit, EventFilter, EventId, EventName, EventStore as _, EventStoreExt as _, ExpectedVersion,
    Position, ReadLog, Transactional as _, Version,
};
use uno_store_postgres::{PgStore, PgTx};

use crate::support::{Fixture, append, database_url, foreign_append, until, whole_log};

/// The positions after one, by a statement of the test's own.
async fn positions(fixture: &Fixture, connection: &mut PgConnection, condition: &str) -> Vec<i64> {
    let text = format!("SELECT position FROM @.events WHERE {condition} ORDER BY position");
    let rows = sqlx::query(fixture.sql(&text))
        .fetch_all(connection)
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn what_is_not_decided_hides_what_comes_after_it() {
    let fixture = Fixture::new().await;
    let (store, outside) = (fixture.store(), fixture.store());
    let mut slow = fixture.connection().await;
    fixture.run(&mut slow, "BEGIN").await;
    foreign_append(&fixture, &mut slow, "slow").await;
    let after = outside
        .append(vec![append("fast", ExpectedVersion::Any, 1)])
        .await
        .unwrap()
        .position()
        .unwrap();

    // Another store, which was told of nothing, sees neither.
    assert!(whole_log(&store).await.is_empty());
    assert_eq!(store.head().await.unwrap().position(), Position::START);
    assert_eq!(
        store
            .read_log(ReadLog::after(Position::START))
            .await
            .unwrap()
            .scanned(),
        None
    );
    assert!(
        store
            .read_log(ReadLog::before(Position::MAX))
            .await
            .unwrap()
            .events()
            .is_empty()
    );
    // The stream itself is no secret.
    assert_eq!(crate::support::whole_stream(&store, "fast").await.len(), 1);

    // Control: the reader that just goes on from the highest position. It will never see the other event.
    let mut connection = fixture.connection().await;
    let naive = positions(&fixture, &mut connection, "position > 0").await;
    assert_eq!(naive, [after.as_i64()]);

    fixture.run(&mut slow, "COMMIT").await;
    let log = whole_log(&store).await;
    assert_eq!(log.len(), 2);
    assert!(log[0].position() < after);
    let naive = positions(&fixture, &mut connection, &format!("position > {after}")).await;
    assert!(
        naive.is_empty(),
        "the control has skipped an event, as it must"
    );
    fixture.close().await;
}

#[tokio::test]
async fn a_rollback_leaves_a_hole_and_holds_nothing_back() {
    let fixture = Fixture::new().await;
    let (store, outside) = (fixture.store(), fixture.store());
    let mut slow = fixture.connection().await;
    fixture.run(&mut slow, "BEGIN").await;
    foreign_append(&fixture, &mut slow, "slow").await;
    let after = outside
        .append(vec![append("fast", ExpectedVersion::Any, 1)])
        .await
        .unwrap()
        .position();
    assert!(whole_log(&store).await.is_empty());
    fixture.run(&mut slow, "ROLLBACK").await;
    let log = whole_log(&store).await;
    assert_eq!(
        log.iter().map(|event| event.position()).collect::<Vec<_>>(),
        [after.unwrap()]
    );
    fixture.close().await;
}

/// Control: the horizon in the scan's own statement. The scan's snapshot is older than the horizon.
#[tokio::test]
async fn a_horizon_in_the_statement_that_scans_skips_events() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let mut slow = fixture.connection().await;
    fixture.run(&mut slow, "BEGIN").await;
    foreign_append(&fixture, &mut slow, "slow").await;
    let after = store
        .append(vec![append("fast", ExpectedVersion::Any, 1)])
        .await
        .unwrap()
        .position()
        .unwrap();

    // A gate between the snapshot of the reader's statement and its horizon.
    let mut gate = fixture.connection().await;
    fixture
        .run(&mut gate, "SELECT pg_advisory_lock(hashtext('@'), 1)")
        .await;
    let mut reader = fixture.connection().await;
    let process = fixture
        .number(&mut reader, "SELECT pg_backend_pid()::bigint")
        .await;
    let text = fixture.sql(
        "WITH gate AS MATERIALIZED (SELECT pg_advisory_lock(hashtext('@'), 1)),
              horizon AS MATERIALIZED (SELECT @.log_horizon() AS reached FROM gate)
         SELECT position FROM horizon, @.events WHERE position > 0 AND position <= reached",
    );
    let reading = tokio::spawn(async move {
        let rows = sqlx::query(text).fetch_all(&mut reader).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect::<Vec<i64>>()
    });
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = {process} AND wait_event = 'advisory'"
    );
    let mut watch = fixture.connection().await;
    loop {
        if fixture.number(&mut watch, &waiting).await == 1 {
            break;
        }
    }
    fixture.run(&mut slow, "COMMIT").await;
    fixture
        .run(&mut gate, "SELECT pg_advisory_unlock(hashtext('@'), 1)")
        .await;
    assert_eq!(
        reading.await.unwrap(),
        [after.as_i64()],
        "the control has skipped an event, as it must"
    );
    assert_eq!(whole_log(&store).await.len(), 2);
    fixture.close().await;
}

#[tokio::test]
async fn a_horizon_in_a_transaction_with_an_old_snapshot_is_refused() {
    let fixture = Fixture::new().await;
    let mut connection = fixture.connection().await;
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        fixture
            .run(&mut connection, &format!("BEGIN ISOLATION LEVEL {level}"))
            .await;
        let error = sqlx::query(fixture.sql("SELECT @.log_horizon()"))
            .fetch_one(&mut connection)
            .await
            .unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "UN002");
        fixture.run(&mut connection, "ROLLBACK").await;
    }
    fixture.close().await;
}

#[tokio::test]
async fn a_page_reaches_a_committed_event_and_nothing_else() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    store
        .append(vec![append("a", ExpectedVersion::Any, 3)])
        .await
        .unwrap();
    let last = store
        .append(vec![append("b", ExpectedVersion::Any, 1)])
        .await
        .unwrap()
        .position()
        .unwrap();
    // Positions that are drawn and never used.
    let mut connection = fixture.connection().await;
    fixture.run(&mut connection, "BEGIN").await;
    foreign_append(&fixture, &mut connection, "c").await;
    fixture.run(&mut connection, "ROLLBACK").await;
    let none = EventFilter::all().names([EventName::new("other").unwrap()]);
    let page = store
        .read_log(ReadLog::after(Position::START).filter(none.clone()))
        .await
        .unwrap();
    assert!(page.events().is_empty());
    assert_eq!(page.scanned().unwrap().0, last);
    assert_eq!(
        store
            .read_log(ReadLog::after(last).filter(none))
            .await
            .unwrap()
            .scanned(),
        None
    );
    let page = store
        .read_log(ReadLog::after(Position::START).limit(2))
        .await
        .unwrap();
    assert_eq!(page.scanned().unwrap().0, page.events()[1].position());
    fixture.close().await;
}

/// What one reads that one was told to be committed waits for those who are in the middle of a commit.
#[tokio::test]
async fn an_append_that_returned_is_seen_though_others_are_under_way() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let mut slow = fixture.connection().await;
    fixture.run(&mut slow, "BEGIN").await;
    foreign_append(&fixture, &mut slow, "slow").await;
    let told = store
        .append(vec![append("fast", ExpectedVersion::Any, 1)])
        .await
        .unwrap()
        .position()
        .unwrap();
    let reading = tokio::spawn({
        let store = store.clone();
        async move { (whole_log(&store).await, store.head().await.unwrap()) }
    });
    until(|| async { !store.log_status().await.unwrap().appending().is_empty() }).await;
    let status = store.log_status().await.unwrap();
    assert!(status.horizon() < told);
    assert_eq!(status.appending()[0].state(), "idle in transaction");
    assert!(status.appending()[0].process().is_some());
    fixture.run(&mut slow, "COMMIT").await;
    let (log, head) = reading.await.unwrap();
    assert_eq!(log.len(), 2);
    assert_eq!(head.position(), told);
    assert!(store.log_status().await.unwrap().appending().is_empty());
    fixture.close().await;
}

#[tokio::test]
async fn a_standstill_elsewhere_holds_nothing_back() {
    let fixture = Fixture::new().await;
    let neighbour = Fixture::new().await;
    let store = fixture.store();
    // A transaction that has written elsewhere, and one that appends to another store of the same database.
    let mut open = fixture.connection().await;
    fixture
        .run(
            &mut open,
            "BEGIN; CREATE TEMPORARY TABLE scratch (n int); INSERT INTO scratch VALUES (1)",
        )
        .await;
    let mut appending = neighbour.connection().await;
    neighbour.run(&mut appending, "BEGIN").await;
    foreign_append(&neighbour, &mut appending, "a").await;

    store
        .append(vec![append("a", ExpectedVersion::Any, 1)])
        .await
        .unwrap();
    assert_eq!(whole_log(&fixture.store()).await.len(), 1);
    assert!(whole_log(&neighbour.store()).await.is_empty());
    neighbour.run(&mut appending, "ROLLBACK").await;
    fixture.close().await;
    neighbour.close().await;
}

/// Everything at once, for a while: grouped appends of two processes, commits with work, foreign writers that hesitate
/// before and after, roll back, and use savepoints. Two readers with pages of different sizes, and a naive one.
#[tokio::test(flavor = "multi_thread")]
async fn every_reader_sees_every_event_in_order_under_fire() {
    let fixture = Arc::new(Fixture::new().await);
    let stores = [fixture.store(), fixture.store()];
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for n in 0..4_u64 {
        let (store, stop) = (stores[n as usize % 2].clone(), Arc::clone(&stop));
        writers.spawn(async move {
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                let request = append(
                    format!("g{}", (n + round) % 7),
                    ExpectedVersion::Any,
                    1 + (round % 3) as usize,
                );
                store.append(vec![request]).await.unwrap();
            }
        });
    }
    for n in 0..2_u64 {
        let (store, stop) = (stores[n as usize].clone(), Arc::clone(&stop));
        writers.spawn(async move {
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                let mut commit = Commit::new();
                commit.appends.push(append(
                    format!("w{n}-{}", round % 3),
                    ExpectedVersion::Any,
                    2,
                ));
                commit.work.push(Box::new(move |tx: &mut PgTx| {
                    Box::pin(async move {
                        // A write before the append, so that the transaction has its id before its positions.
                        sqlx::query("CREATE TEMPORARY TABLE IF NOT EXISTS scratch (n int)")
                            .execute(tx.connection())
                            .await?;
                        sqlx::query("SELECT pg_sleep(random() / 200)")
                            .execute(tx.connection())
                            .await?;
                        if round % 5 == 0 {
                            Err("rolled back".into())
                        } else {
                            Ok(())
                        }
                    })
                }));
                let done = store.commit(commit).await;
                assert_eq!(done.is_ok(), round % 5 != 0, "{done:?}");
            }
        });
    }
    for n in 0..3_u64 {
        let (fixture, stop) = (Arc::clone(&fixture), Arc::clone(&stop));
        writers.spawn(async move {
            let mut connection = PgConnection::connect(&database_url()).await.unwrap();
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                round += 1;
                fixture
                    .run(
                        &mut connection,
                        "BEGIN; SELECT pg_sleep(random() / 200); SAVEPOINT a",
                    )
                    .await;
                foreign_append(&fixture, &mut connection, &format!("f{n}")).await;
                if round % 3 == 0 {
                    fixture.run(&mut connection, "ROLLBACK TO a").await;
                    foreign_append(&fixture, &mut connection, &format!("f{n}")).await;
                }
                foreign_append(&fixture, &mut connection, &format!("f{n}")).await;
                fixture
                    .run(&mut connection, "SELECT pg_sleep(random() / 100)")
                    .await;
                fixture
                    .run(
                        &mut connection,
                        if round % 4 == 0 { "ROLLBACK" } else { "COMMIT" },
                    )
                    .await;
            }
        });
    }

    let tail = |store: PgStore, page: usize, stop: Arc<AtomicBool>| async move {
        let mut pager = store.pages(Position::START, EventFilter::all(), page);
        let mut seen: Vec<(Position, EventId)> = Vec::new();
        loop {
            let last_round = stop.load(Ordering::Relaxed);
            while let Some(events) = pager.next_page().await.unwrap() {
                seen.extend(events.iter().map(|event| (event.position(), event.id())));
            }
            if last_round {
                return seen;
            }
        }
    };
    let done = Arc::new(AtomicBool::new(false));
    let readers = [
        tokio::spawn(tail(fixture.store(), 3, Arc::clone(&done))),
        tokio::spawn(tail(stores[0].clone(), 500, Arc::clone(&done))),
    ];
    let naive = tokio::spawn({
        let (fixture, done) = (Arc::clone(&fixture), Arc::clone(&done));
        async move {
            let mut connection = PgConnection::connect(&database_url()).await.unwrap();
            let (mut seen, mut last) = (0, 0);
            loop {
                let last_round = done.load(Ordering::Relaxed);
                let found =
                    positions(&fixture, &mut connection, &format!("position > {last}")).await;
                seen += found.len();
                last = found.last().copied().unwrap_or(last);
                if last_round {
                    return seen;
                }
            }
        }
    });
    sleep(Duration::from_secs(3)).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    done.store(true, Ordering::Relaxed);

    let log = whole_log(&fixture.store()).await;
    let all: Vec<(Position, EventId)> = log
        .iter()
        .map(|event| (event.position(), event.id()))
        .collect();
    let mut connection = fixture.connection().await;
    assert_eq!(
        fixture
            .number(&mut connection, "SELECT count(*) FROM @.events")
            .await,
        all.len() as i64
    );
    for reader in readers {
        let seen = reader.await.unwrap();
        assert_eq!(seen.len(), all.len());
        assert!(seen == all, "a reader saw another order than the log has");
    }
    let mut versions = std::collections::HashMap::new();
    for event in &log {
        let version = versions
            .entry(event.stream().clone())
            .or_insert(Version::EMPTY);
        assert_eq!(event.version(), version.next());
        *version = event.version();
    }
    let naive = naive.await.unwrap();
    assert!(
        naive < all.len(),
        "the naive reader must skip some: it saw {naive} of {}",
        all.len()
    );
    Arc::into_inner(fixture).unwrap().close().await;
}
