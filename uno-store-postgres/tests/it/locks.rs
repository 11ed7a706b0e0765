//! The lock that says who is about to draw: that it is really held, by whoever appends, before the draw.

use sqlx::PgConnection;
use uno_core::{Commit, EventStore as _, ExpectedVersion, Transactional as _};
use uno_store_postgres::{PgStore, PgTx};

use crate::support::{Fixture, append, assert_lawful, foreign_append, stream, until, whole_log};

/// Shared locks of the log's class that are granted, of a session or of all.
const HELD: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = @.log_class()::oid \
     AND objsubid = 2 AND mode = 'ShareLock' AND granted";

async fn held(fixture: &Fixture, connection: &mut PgConnection) -> i64 {
    fixture.number(connection, HELD).await
}

/// Appends through the store while the draw is kept from happening, and looks at the lock meanwhile.
async fn held_before_the_draw(
    fixture: &Fixture,
    append: impl Future<Output = ()> + Send + 'static,
) {
    let mut gate = fixture.connection().await;
    let before = fixture
        .number(&mut gate, "SELECT last_value FROM @.events_position")
        .await;
    fixture
        .run(&mut gate, "SELECT pg_advisory_lock(@.draw_class(), 0)")
        .await;
    let appending = tokio::spawn(append);
    let mut watch = fixture.connection().await;
    loop {
        if held(fixture, &mut watch).await == 1 {
            break;
        }
    }
    assert_eq!(
        fixture
            .number(&mut watch, "SELECT last_value FROM @.events_position")
            .await,
        before,
        "nothing is drawn yet"
    );
    let key = format!("{HELD} AND objid::bigint = {before}");
    assert_eq!(
        fixture.number(&mut watch, &key).await,
        1,
        "the key is the bound"
    );
    fixture
        .run(&mut gate, "SELECT pg_advisory_unlock(@.draw_class(), 0)")
        .await;
    appending.await.unwrap();
    assert_eq!(held(fixture, &mut watch).await, 0);
}

#[tokio::test]
async fn the_lock_is_held_before_a_position_is_drawn() {
    let fixture = Fixture::new().await;
    for store in [
        fixture.store(),
        PgStore::new(fixture.options().without_grouping()),
    ] {
        held_before_the_draw(&fixture, async move {
            store
                .append(vec![append("a", ExpectedVersion::Any, 1)])
                .await
                .unwrap();
        })
        .await;
    }
    let store = fixture.store();
    held_before_the_draw(&fixture, async move {
        let mut commit = Commit::new();
        commit.appends.push(append("b", ExpectedVersion::Any, 3));
        commit
            .work
            .push(Box::new(|_: &mut PgTx| Box::pin(async { Ok(()) })));
        store.commit(commit).await.unwrap();
    })
    .await;
    fixture.close().await;
}

/// A row trigger looks at the lock at the first moment at which a position is there.
const LOOK: &str = "CREATE TABLE @.looked (held bigint, bound bigint, position bigint);
    CREATE FUNCTION @.look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO @.looked SELECT count(*), max(objid::bigint), new.position FROM pg_locks
        WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND classid = @.log_class()::oid AND mode = 'ShareLock' AND granted;
        RETURN new;
    END $$;
    CREATE TRIGGER look BEFORE INSERT ON @.events FOR EACH ROW EXECUTE FUNCTION @.look();";

#[tokio::test]
async fn foreign_writers_and_copy_take_the_lock_too() {
    let fixture = Fixture::new().await;
    let mut connection = fixture.connection().await;
    fixture.run(&mut connection, LOOK).await;
    foreign_append(&fixture, &mut connection, "a").await;
    fixture
        .run(
            &mut connection,
            "INSERT INTO @.streams (category, key, version) VALUES ('order', 'copied', 2)",
        )
        .await;
    let id = fixture
        .number(
            &mut connection,
            "SELECT id FROM @.streams WHERE key = 'copied'",
        )
        .await;
    let copy = fixture.sql("COPY @.events (id, stream, version, schema_version, occurred_at, name, payload) FROM STDIN");
    let mut sink = connection.copy_in_raw(&copy.0).await.unwrap();
    for version in [1, 2] {
        let uuid = uno_core::EventId::new();
        sink.send(format!("{uuid}\t{id}\t{version}\t1\t2020-01-01\tcopied\t{{}}\n").as_bytes())
            .await
            .unwrap();
    }
    sink.finish().await.unwrap();
    let wrong = "SELECT count(*) FROM @.looked WHERE held <> 1 OR bound >= position";
    assert_eq!(fixture.number(&mut connection, wrong).await, 0);
    assert_eq!(
        fixture
            .number(&mut connection, "SELECT count(*) FROM @.looked")
            .await,
        3
    );
    assert_lawful(&whole_log(&fixture.store()).await);
    fixture.close().await;
}

#[tokio::test]
async fn appending_again_takes_the_first_key_again() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let (mut connection, mut watch) = (fixture.connection().await, fixture.connection().await);
    fixture.run(&mut connection, "BEGIN").await;
    foreign_append(&fixture, &mut connection, "a").await;
    let first = fixture
        .number(&mut watch, &HELD.replace("count(*)", "objid::bigint"))
        .await;
    for _ in 0..50 {
        // Others draw meanwhile, so that a new key would be another one.
        store
            .append(vec![append("other", ExpectedVersion::Any, 1)])
            .await
            .unwrap();
        foreign_append(&fixture, &mut connection, "a").await;
    }
    assert_eq!(
        held(&fixture, &mut watch).await,
        1,
        "one lock, however many appends"
    );
    assert_eq!(
        fixture
            .number(&mut watch, &HELD.replace("count(*)", "objid::bigint"))
            .await,
        first
    );
    fixture.run(&mut connection, "COMMIT").await;
    assert_eq!(held(&fixture, &mut watch).await, 0);
    assert_lawful_but_for_times(&fixture).await;
    fixture.close().await;
}

#[tokio::test]
async fn a_savepoint_that_is_rolled_back_takes_lock_and_key_with_it() {
    let fixture = Fixture::new().await;
    let (mut connection, mut watch) = (fixture.connection().await, fixture.connection().await);
    fixture.run(&mut connection, "BEGIN; SAVEPOINT a").await;
    foreign_append(&fixture, &mut connection, "a").await;
    assert_eq!(held(&fixture, &mut watch).await, 1);
    fixture.run(&mut connection, "ROLLBACK TO a").await;
    assert_eq!(held(&fixture, &mut watch).await, 0);
    foreign_append(&fixture, &mut connection, "a").await;
    assert_eq!(held(&fixture, &mut watch).await, 1);
    // The one outside the savepoint stays when an inner one goes.
    fixture.run(&mut connection, "SAVEPOINT b").await;
    foreign_append(&fixture, &mut connection, "b").await;
    fixture.run(&mut connection, "ROLLBACK TO b").await;
    assert_eq!(held(&fixture, &mut watch).await, 1);
    assert!(whole_log(&fixture.store()).await.is_empty());
    fixture.run(&mut connection, "COMMIT").await;
    assert_eq!(whole_log(&fixture.store()).await.len(), 1);
    fixture.close().await;
}

#[tokio::test]
async fn the_bound_is_right_beyond_32_bits() {
    let fixture = Fixture::new().await;
    let mut connection = fixture.connection().await;
    for start in [
        (1_i64 << 31) - 3,
        (1 << 32) - 3,
        (3 << 31) - 3,
        (1 << 40) - 3,
    ] {
        fixture
            .run(
                &mut connection,
                &format!("SELECT setval('@.events_position', {start})"),
            )
            .await;
        let outside = fixture.store();
        fixture.run(&mut connection, "BEGIN").await;
        foreign_append(&fixture, &mut connection, "slow").await;
        // Past the limit, with the slow one still open.
        let last = outside
            .append(vec![append("a", ExpectedVersion::Any, 6)])
            .await
            .unwrap()
            .position()
            .unwrap();
        let horizon = fixture.store().log_status().await.unwrap().horizon();
        assert_eq!(horizon.as_i64(), start);
        fixture.run(&mut connection, "COMMIT").await;
        assert_eq!(fixture.store().head().await.unwrap().position(), last);
    }
    assert_lawful_but_for_times(&fixture).await;
    fixture.close().await;
}

#[tokio::test]
async fn events_are_never_changed_or_removed() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    store
        .append(vec![append("a", ExpectedVersion::Any, 1)])
        .await
        .unwrap();
    let mut connection = fixture.connection().await;
    for text in [
        "UPDATE @.events SET name = 'x'",
        "DELETE FROM @.events",
        "TRUNCATE @.events",
        "DELETE FROM @.events WHERE false",
    ] {
        let error = sqlx::query(fixture.sql(text))
            .execute(&mut connection)
            .await
            .unwrap_err();
        assert_eq!(
            error.as_database_error().unwrap().code().unwrap(),
            "UN004",
            "{text}"
        );
    }
    assert_eq!(whole_log(&store).await.len(), 1);
    fixture.close().await;
}

/// A stream that another process has locked makes nobody wait but those who want it.
#[tokio::test]
async fn a_locked_stream_delays_its_own_callers_only() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    store
        .append(vec![append("locked", ExpectedVersion::Any, 1)])
        .await
        .unwrap();
    let mut owner = fixture.connection().await;
    fixture
        .run(
            &mut owner,
            "BEGIN; SELECT 1 FROM @.streams WHERE key = 'locked' FOR UPDATE",
        )
        .await;

    let locked: Vec<_> = [ExpectedVersion::Any, ExpectedVersion::StreamExists]
        .into_iter()
        .map(|expected| {
            let store = store.clone();
            tokio::spawn(async move { store.append(vec![append("locked", expected, 1)]).await })
        })
        .collect();
    for n in 0..20 {
        store
            .append(vec![append(
                format!("free{n}"),
                ExpectedVersion::NoStream,
                1,
            )])
            .await
            .unwrap();
    }
    assert!(locked.iter().all(|task| !task.is_finished()));
    // Nobody who waits holds the log back.
    assert_eq!(whole_log(&fixture.store()).await.len(), 21);
    fixture.run(&mut owner, "COMMIT").await;
    for task in locked {
        task.await.unwrap().unwrap();
    }
    assert_eq!(
        store
            .read_stream(uno_core::ReadStream::forward(stream("locked")))
            .await
            .unwrap()
            .len(),
        3
    );
    fixture.close().await;
}

#[tokio::test]
async fn a_stream_that_stays_locked_is_given_up() {
    let fixture = Fixture::new().await;
    let store = PgStore::new(
        fixture
            .options()
            .lock_timeout(std::time::Duration::from_millis(100)),
    );
    store
        .append(vec![append("locked", ExpectedVersion::Any, 1)])
        .await
        .unwrap();
    let mut owner = fixture.connection().await;
    fixture
        .run(
            &mut owner,
            "BEGIN; SELECT 1 FROM @.streams WHERE key = 'locked' FOR UPDATE",
        )
        .await;
    let error = store
        .append(vec![append("locked", ExpectedVersion::Any, 1)])
        .await
        .unwrap_err();
    assert!(error.is_transient(), "{error}");
    fixture.run(&mut owner, "COMMIT").await;
    store
        .append(vec![append("locked", ExpectedVersion::Any, 1)])
        .await
        .unwrap();
    until(|| async { whole_log(&store).await.len() == 2 }).await;
    fixture.close().await;
}

/// Foreign writers set their own times of recording.
async fn assert_lawful_but_for_times(fixture: &Fixture) {
    let log = whole_log(&fixture.store()).await;
    assert!(
        log.windows(2)
            .all(|pair| pair[0].position() < pair[1].position())
    );
}
