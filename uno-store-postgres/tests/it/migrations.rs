//! Migrations, and what a connection is checked for before it is trusted.

use tokio::task::JoinSet;
use uno_core::{AppendError, EventStore as _, ExpectedVersion, ReadStream, StoreError};
use uno_store_postgres::{PgOptions, PgStore};

use crate::support::{Fixture, append, database_url, stream, whole_log};

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_may_migrate_at_once() {
    let fixture = Fixture::unmigrated();
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let store = fixture.store();
        tasks.spawn(async move { store.migrate().await });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    let mut connection = fixture.connection().await;
    assert_eq!(
        fixture
            .number(&mut connection, "SELECT count(*) FROM @.migrations")
            .await,
        5
    );
    assert_eq!(
        fixture
            .number(&mut connection, "SELECT count(*) FROM @.meta")
            .await,
        1
    );
    let store = fixture.store();
    let epoch = store.head().await.unwrap().epoch();
    store
        .append(vec![append("a", ExpectedVersion::Any, 1)])
        .await
        .unwrap();
    store.migrate().await.unwrap();
    assert_eq!(store.head().await.unwrap().epoch(), epoch);
    assert_eq!(whole_log(&store).await.len(), 1);
    fixture.close().await;
}

#[tokio::test]
async fn an_unmigrated_store_says_so_everywhere_and_works_once_it_is_migrated() {
    let fixture = Fixture::unmigrated();
    let store = fixture.store();
    assert!(matches!(
        store.head().await,
        Err(StoreError::NotMigrated { .. })
    ));
    let read = store.read_stream(ReadStream::forward(stream("a"))).await;
    assert!(matches!(read, Err(StoreError::NotMigrated { .. })));
    let error = store
        .append(vec![append("a", ExpectedVersion::Any, 1)])
        .await
        .unwrap_err();
    assert!(
        matches!(error, AppendError::Store(StoreError::NotMigrated { .. })),
        "{error}"
    );
    fixture.store().migrate().await.unwrap();
    store
        .append(vec![append("a", ExpectedVersion::Any, 1)])
        .await
        .unwrap();
    fixture.close().await;
}

#[tokio::test]
async fn a_failed_migration_leaves_nothing_behind() {
    let fixture = Fixture::unmigrated();
    let mut connection = fixture.connection().await;
    // In the way of a later statement.
    fixture
        .run(
            &mut connection,
            "CREATE SCHEMA @; CREATE TABLE @.queue (n int)",
        )
        .await;
    assert!(fixture.store().migrate().await.is_err());
    assert_eq!(
        fixture
            .number(
                &mut connection,
                "SELECT count(*) FROM pg_tables WHERE schemaname = '@'"
            )
            .await,
        1
    );
    fixture.run(&mut connection, "DROP TABLE @.queue").await;
    fixture.store().migrate().await.unwrap();
    fixture.close().await;
}

/// Does something to a migrated store, and says what a new store then says.
async fn after(text: &str) -> (StoreError, StoreError) {
    let fixture = Fixture::new().await;
    fixture
        .store()
        .append(vec![append("a", ExpectedVersion::Any, 2)])
        .await
        .unwrap();
    let mut connection = fixture.connection().await;
    fixture.run(&mut connection, text).await;
    let store = fixture.store();
    let read = store
        .head()
        .await
        .err()
        .unwrap_or(StoreError::Unsupported { what: "failing" });
    let migrated = store
        .migrate()
        .await
        .err()
        .unwrap_or(StoreError::Unsupported { what: "failing" });
    fixture.close().await;
    (read, migrated)
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let (read, migrated) =
        after("INSERT INTO @.migrations (version, name, checksum) VALUES (99, 'later', '')").await;
    for error in [read, migrated] {
        assert!(
            matches!(
                error,
                StoreError::NewerSchema {
                    found: 99,
                    known: 5,
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_older_schema_asks_to_be_migrated() {
    let (read, _) = after("DELETE FROM @.migrations WHERE version = 5").await;
    assert!(matches!(read, StoreError::NotMigrated { .. }), "{read}");
}

#[tokio::test]
async fn a_migration_that_is_not_the_one_that_was_applied_is_refused() {
    let (_, migrated) = after("UPDATE @.migrations SET checksum = 'x' WHERE version = 1").await;
    assert!(matches!(migrated, StoreError::Corrupt { .. }), "{migrated}");
}

#[tokio::test]
async fn a_sequence_that_would_give_positions_twice_or_out_of_order_is_refused() {
    for text in [
        "SELECT setval('@.events_position', 1)",
        "ALTER SEQUENCE @.events_position CACHE 10",
        "ALTER SEQUENCE @.events_position INCREMENT 2",
        "ALTER SEQUENCE @.events_position CYCLE",
        "ALTER SEQUENCE @.queue_number CACHE 10",
    ] {
        let (read, _) = after(text).await;
        assert!(matches!(read, StoreError::Corrupt { .. }), "{text}: {read}");
    }
}

/// A role with settings of its own.
async fn with_role(settings: &[&str], check: impl AsyncFnOnce(&Fixture, PgOptions)) {
    let fixture = Fixture::new().await;
    let mut connection = fixture.connection().await;
    fixture
        .run(
            &mut connection,
            "CREATE ROLE @ LOGIN PASSWORD 'canary'; GRANT USAGE ON SCHEMA @ TO @",
        )
        .await;
    fixture
        .run(
            &mut connection,
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA @ TO @",
        )
        .await;
    fixture
        .run(
            &mut connection,
            "GRANT ALL ON ALL SEQUENCES IN SCHEMA @ TO @",
        )
        .await;
    for setting in settings {
        fixture
            .run(&mut connection, &format!("ALTER ROLE @ SET {setting}"))
            .await;
    }
    let url = database_url();
    let (_, rest) = url.split_once("://").unwrap();
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let options =
        PgOptions::from_url(&format!("postgres://{}:canary@{host}", fixture.schema)).unwrap();
    let options =
        options.schema(uno_store_postgres::SchemaName::new(fixture.schema.as_str()).unwrap());
    check(&fixture, options).await;
    fixture
        .run(&mut connection, "DROP OWNED BY @; DROP ROLE @")
        .await;
    fixture.close().await;
}

#[tokio::test]
async fn a_role_without_rights_to_create_can_use_the_store() {
    with_role(&[], async |_, options| {
        let store = PgStore::new(options);
        store.migrate().await.unwrap();
        store
            .append(vec![append("a", ExpectedVersion::Any, 1)])
            .await
            .unwrap();
        assert_eq!(whole_log(&store).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_acknowledged_is_refused() {
    with_role(&["synchronous_commit = off"], async |_, options| {
        let store = PgStore::new(options.clone());
        for error in [
            store.head().await.unwrap_err(),
            store.migrate().await.unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::NotDurable { .. }), "{error}");
        }
        let store = PgStore::new(options.danger_accept_lossy_durability());
        store
            .append(vec![append("a", ExpectedVersion::Any, 1)])
            .await
            .unwrap();
    })
    .await;
}

/// `fsync` can't be set for one role, and the server of the tests keeps it on; so a function of the role's own says that it is off.
#[tokio::test]
async fn a_server_that_does_not_flush_is_refused() {
    with_role(&[], async |fixture, options| {
        let mut connection = fixture.connection().await;
        let lie = "CREATE FUNCTION @.current_setting(name text) RETURNS text LANGUAGE sql STABLE
             RETURN CASE name WHEN 'fsync' THEN 'off' ELSE pg_catalog.current_setting(name) END;
             ALTER ROLE @ SET search_path = @, pg_catalog";
        fixture.run(&mut connection, lie).await;
        let store = PgStore::new(options.clone());
        let error = store.head().await.unwrap_err();
        assert!(
            matches!(&error, StoreError::NotDurable { reason, .. } if reason.contains("fsync")),
            "{error}"
        );
        let store = PgStore::new(options.danger_accept_lossy_durability());
        store
            .append(vec![append("a", ExpectedVersion::Any, 1)])
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_read_only_store_can_be_read() {
    with_role(
        &["default_transaction_read_only = on"],
        async |_, options| {
            for store in [
                PgStore::new(options.clone()),
                PgStore::new(options.without_grouping()),
            ] {
                assert!(whole_log(&store).await.is_empty());
                let error = store
                    .append(vec![append("a", ExpectedVersion::Any, 1)])
                    .await
                    .unwrap_err();
                assert!(
                    matches!(error, AppendError::Store(StoreError::ReadOnly { .. })),
                    "{error}"
                );
            }
        },
    )
    .await;
}

#[tokio::test]
async fn another_default_isolation_level_changes_nothing() {
    with_role(
        &["default_transaction_isolation = 'serializable'"],
        async |_, options| {
            for store in [
                PgStore::new(options.clone()),
                PgStore::new(options.for_transaction_pooler()),
            ] {
                store
                    .append(vec![append("a", ExpectedVersion::Any, 1)])
                    .await
                    .unwrap();
                assert!(!whole_log(&store).await.is_empty());
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_the_password_stays_secret() {
    let url = "postgres://user:canary@127.0.0.1:1/nothing";
    for store in [
        PgStore::connect(url).unwrap(),
        PgStore::new(PgOptions::from_url(url).unwrap().without_grouping()),
    ] {
        let error = store
            .append(vec![append("a", ExpectedVersion::Any, 1)])
            .await
            .unwrap_err();
        assert!(error.is_transient());
        let mut text = format!("{store:?} {error:?} {error}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text.push_str(&format!(" {cause:?} {cause}"));
            source = cause.source();
        }
        assert!(
            text.contains("postgres://127.0.0.1:1/nothing (schema uno)"),
            "{text}"
        );
        assert!(!text.contains("canary"), "{text}");
        assert!(store.head().await.unwrap_err().is_transient());
        assert!(store.migrate().await.unwrap_err().is_transient());
    }
}
