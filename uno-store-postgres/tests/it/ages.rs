//! How long a transaction may hold the log back, and who is shown to do so.

use std::time::Duration;

use sqlx::PgConnection;
use uno_core::{Commit, EventStore as _, ExpectedVersion, StoreError, Transactional as _};
use uno_store_postgres::{PgOptions, PgStore, PgTx, SchemaName};

use crate::support::{Fixture, append, database_url, foreign_append, until, whole_log};

const LIMIT: &str = "SELECT extract(epoch FROM current_setting('idle_in_transaction_session_timeout')::interval)::bigint";

async fn limit(fixture: &Fixture, connection: &mut PgConnection) -> i64 {
    fixture.number(connection, LIMIT).await
}

#[tokio::test]
async fn whoever_draws_gets_a_limit_for_silence_and_a_stricter_one_stays() {
    let fixture = Fixture::new().await;
    let mut connection = fixture.connection().await;
    for (own, then) in [("0", 10), ("1min", 10), ("3s", 3)] {
        let set = format!("SET idle_in_transaction_session_timeout = '{own}'");
        fixture.run(&mut connection, &set).await;
        let before = limit(&fixture, &mut connection).await;
        fixture.run(&mut connection, "BEGIN; SAVEPOINT a").await;
        assert_eq!(limit(&fixture, &mut connection).await, before);
        foreign_append(&fixture, &mut connection, "a").await;
        assert_eq!(limit(&fixture, &mut connection).await, then);
        fixture.run(&mut connection, "ROLLBACK TO a").await;
        assert_eq!(limit(&fixture, &mut connection).await, before);
        foreign_append(&fixture, &mut connection, "a").await;
        assert_eq!(limit(&fixture, &mut connection).await, then);
        fixture.run(&mut connection, "COMMIT").await;
        assert_eq!(limit(&fixture, &mut connection).await, before);
    }
    fixture.close().await;
}

/// The one limit that the test makes shorter, so as not to take ten seconds.
const IMPATIENT: &str = "SET LOCAL idle_in_transaction_session_timeout = '100ms'";

#[tokio::test]
async fn a_foreign_transaction_that_falls_silent_is_ended_and_the_log_goes_on() {
    let fixture = Fixture::new().await;
    let mut silent = fixture.connection().await;
    fixture
        .run(&mut silent, &format!("BEGIN; {IMPATIENT}"))
        .await;
    foreign_append(&fixture, &mut silent, "silent").await;
    let store = fixture.store();
    let last = store
        .append(vec![append("a", ExpectedVersion::Any, 1)])
        .await
        .unwrap();
    until(|| async { store.log_status().await.unwrap().appending().is_empty() }).await;
    assert_eq!(
        Some(fixture.store().head().await.unwrap().position()),
        last.position()
    );
    assert_eq!(whole_log(&fixture.store()).await.len(), 1);
    sqlx::raw_sql("COMMIT")
        .execute(&mut silent)
        .await
        .unwrap_err();
    fixture.close().await;
}

/// Work that appends by hand and then thinks: the only way in which a commit of ours has drawn before it is at its end.
#[tokio::test]
async fn work_that_has_drawn_and_thinks_is_ended() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let insert = fixture
        .sql(&format!(
            "{IMPATIENT}; INSERT INTO @.events (id, stream, version, schema_version, occurred_at, name, payload)
             VALUES (gen_random_uuid(), nextval('@.streams_id'), 1, 1, now(), 'by_hand', '{{}}')"
        ))
        .0;
    let (tell, told) = tokio::sync::oneshot::channel();
    let (go_on, went_on) = tokio::sync::oneshot::channel::<()>();
    let mut commit = Commit::new();
    commit.work.push(Box::new(move |tx: &mut PgTx| {
        Box::pin(async move {
            sqlx::raw_sql(sqlx::AssertSqlSafe(insert))
                .execute(tx.connection())
                .await?;
            let _ = tell.send(());
            let _ = went_on.await;
            Ok(())
        })
    }));
    commit.appends.push(append("a", ExpectedVersion::Any, 1));
    let committing = tokio::spawn({
        let store = store.clone();
        async move { store.commit(commit).await }
    });
    told.await.unwrap();
    until(|| async { store.log_status().await.unwrap().appending().is_empty() }).await;
    drop(go_on);
    let error = committing.await.unwrap().unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(whole_log(&store).await.is_empty());
    store
        .append(vec![append("a", ExpectedVersion::NoStream, 1)])
        .await
        .unwrap();
    fixture.close().await;
}

#[tokio::test]
async fn the_culprits_are_shown_oldest_first_and_can_be_ended() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let (mut old, mut young) = (fixture.connection().await, fixture.connection().await);
    fixture
        .run(&mut old, "SET application_name = 'the old one'; BEGIN")
        .await;
    let process = fixture
        .number(&mut old, "SELECT pg_backend_pid()::bigint")
        .await;
    foreign_append(&fixture, &mut old, "old").await;
    until(|| async {
        store.log_status().await.unwrap().appending()[0].age() > Duration::from_millis(50)
    })
    .await;
    fixture
        .run(&mut young, "SET application_name = 'the young one'; BEGIN")
        .await;
    foreign_append(&fixture, &mut young, "young").await;
    let last = store
        .append(vec![append("a", ExpectedVersion::Any, 1)])
        .await
        .unwrap();

    let status = store.log_status().await.unwrap();
    assert!(Some(status.horizon()) < last.position());
    let shown: Vec<_> = status.appending().iter().map(|a| a.application()).collect();
    assert_eq!(shown, ["the old one", "the young one"]);
    let [eldest, youngest] = status.appending() else {
        panic!("{status:?}");
    };
    assert_eq!(eldest.process().map(i64::from), Some(process));
    assert_eq!(eldest.state(), "idle in transaction");
    assert!(eldest.age() > youngest.age());

    assert!(
        store
            .end_appending(Duration::from_secs(3600))
            .await
            .unwrap()
            .is_empty()
    );
    let ended = store.end_appending(eldest.age()).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].process().map(i64::from), Some(process));
    until(|| async { store.log_status().await.unwrap().appending().len() == 1 }).await;
    assert_eq!(store.end_appending(Duration::ZERO).await.unwrap().len(), 1);
    until(|| async { whole_log(&fixture.store()).await.len() == 1 }).await;
    fixture.close().await;
}

#[tokio::test]
async fn a_role_that_may_not_end_others_is_told_so() {
    let fixture = Fixture::new().await;
    let mut owner = fixture.connection().await;
    fixture
        .run(
            &mut owner,
            "CREATE ROLE @ LOGIN PASSWORD 'canary'; GRANT USAGE ON SCHEMA @ TO @; GRANT SELECT ON ALL TABLES IN SCHEMA @ TO @;
             GRANT ALL ON ALL SEQUENCES IN SCHEMA @ TO @",
        )
        .await;
    fixture.run(&mut owner, "BEGIN").await;
    foreign_append(&fixture, &mut owner, "a").await;
    let url = database_url();
    let (_, rest) = url.split_once("://").unwrap();
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let options =
        PgOptions::from_url(&format!("postgres://{}:canary@{host}", fixture.schema)).unwrap();
    let schema = SchemaName::new(fixture.schema.as_str()).unwrap();
    let store = PgStore::new(options.schema(schema));
    // What it may not know of others is empty, but that somebody is there it sees.
    assert_eq!(store.log_status().await.unwrap().appending().len(), 1);
    for rights in ["", "pg_read_all_stats"] {
        if !rights.is_empty() {
            let grant = format!("GRANT {rights} TO @");
            fixture.run(&mut fixture.connection().await, &grant).await;
        }
        let error = store.end_appending(Duration::ZERO).await.unwrap_err();
        assert!(matches!(error, StoreError::Unsupported { .. }), "{error}");
    }
    fixture
        .run(&mut owner, "COMMIT; DROP OWNED BY @; DROP ROLE @")
        .await;
    assert_eq!(whole_log(&fixture.store()).await.len(), 1);
    fixture.close().await;
}
