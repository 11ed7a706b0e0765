//! Imports keep every guarantee of appends, whatever happens to them on the way.
//!
//! Long because each guarantee of an append is asked of them again.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{FutureExt as _, Stream, StreamExt as _, stream as streams};
use tokio::{sync::oneshot, task::JoinSet, time::timeout};
use uno_core::{
    AppendError, BoxError, CorrelationId, EventId, EventStore as _, ExpectedVersion, Metadata,
    NewEvent, Position, ReadLog, StreamAppend, Version,
};
use uno_store_postgres::{ImportError, ImportFailure, Imported, PgStore};

use crate::support::{
    Fixture, append, assert_lawful, event, sessions_in_transactions, stream, until, whole_log,
    whole_stream,
};

type Expected<'a> = dyn Fn(&AppendError) -> bool + 'a;
type Source = Result<StreamAppend, BoxError>;

fn source(appends: &[StreamAppend]) -> impl Stream<Item = Source> + Send + use<> {
    streams::iter(appends.to_vec()).map(Ok)
}

async fn import(store: &PgStore, appends: &[StreamAppend]) -> Result<Imported, ImportError> {
    store.import(source(appends)).await
}

/// Appends of 1, 2 and 3 events, to a hundred streams in turn, with every kind of expected version.
fn many(count: usize) -> Vec<StreamAppend> {
    let mut versions = vec![0_u64; 100];
    (0..count)
        .map(|number| {
            let (key, added) = (number % 100, 1 + number % 3);
            let version = versions[key];
            versions[key] += added as u64;
            let expected = match (version, number % 4) {
                (0, 0 | 1) => ExpectedVersion::NoStream,
                (0, _) => ExpectedVersion::Any,
                (_, 0) => ExpectedVersion::StreamExists,
                (_, 1) => ExpectedVersion::Any,
                (version, _) => ExpectedVersion::Exact(Version::new(version).unwrap()),
            };
            append(format!("i{key}"), expected, added)
        })
        .collect()
}

fn ids(appends: &[StreamAppend]) -> Vec<EventId> {
    let events = appends.iter().flat_map(StreamAppend::events);
    events.map(NewEvent::id).collect()
}

async fn stored(store: &PgStore) -> Vec<EventId> {
    whole_log(store)
        .await
        .iter()
        .map(|event| event.id())
        .collect()
}

fn failure(error: &ImportError) -> &AppendError {
    match error.cause() {
        ImportFailure::Append(error) => error,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_import_is_as_if_each_append_had_been_made_in_turn() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let appends = many(3_000);
    let imported = import(&store, &appends).await.unwrap();
    assert_eq!(imported.appends(), 3_000);
    assert_eq!(imported.events(), 6_000);
    assert_eq!(imported.repeated(), 0);
    // Read your own import.
    let log = whole_log(&store).await;
    assert_eq!(
        log.last().map(|event| event.position()),
        imported.position()
    );
    assert_lawful(&log);
    assert_eq!(stored(&store).await, ids(&appends));
    // What follows goes on from there.
    let version = whole_stream(&store, "i7").await.len() as u64;
    let expected = ExpectedVersion::Exact(Version::new(version).unwrap());
    store.append(vec![append("i7", expected, 1)]).await.unwrap();
    assert_lawful(&whole_log(&store).await);
    fixture.close().await;
}

#[tokio::test]
async fn events_are_read_back_equal() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let odd = "a\tb\nc\\N\"{,}' \u{1f980}\u{301}";
    let metadata = Metadata::new()
        .with_correlation_id(CorrelationId::from_uuid(*EventId::new().as_uuid()))
        .with_causation_id(*EventId::new().as_uuid())
        .with_actor(odd)
        .with_tenant("")
        .with_traceparent(
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
                .parse()
                .unwrap(),
        )
        .with_headers([(odd.to_owned(), odd.to_owned())].into());
    let odd_event = |payload: &str| {
        event(payload)
            .with_metadata(metadata.clone())
            .with_tags([odd, "", "NULL", "{}"])
    };
    let payloads = [
        r#"{ "b":1,  "a":[-0.0,1e300,"\u00e9"] , "b":2}"#.to_owned(),
        "null".to_owned(),
        "[".repeat(64) + &"]".repeat(64),
        format!("\"{}\"", "x".repeat((1 << 20) - 2)),
    ];
    let appended: Vec<NewEvent> = payloads.iter().map(|text| odd_event(text)).collect();
    let key = "k\\N\"{,}' \u{1f980}\u{301}";
    let item = |events| StreamAppend::new(stream(key), ExpectedVersion::Any, events);
    import(&store, &[item(appended.clone()), item(vec![event("1")])])
        .await
        .unwrap();
    let read = whole_stream(&store, key).await;
    assert_eq!(read.len(), 5);
    for (read, appended) in read.iter().zip(&appended) {
        assert_eq!(read.id(), appended.id());
        assert_eq!(read.name(), appended.name());
        assert_eq!(read.payload().as_str(), appended.payload().as_str());
        assert_eq!(read.metadata(), appended.metadata());
        assert_eq!(read.tags(), appended.tags());
        assert_eq!(read.occurred_at(), appended.occurred_at());
        assert_eq!(read.schema_version(), appended.schema_version());
    }
    fixture.close().await;
}

#[tokio::test]
async fn an_import_that_is_run_again_stores_what_is_missing() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let appends = many(2_500);
    for (already, end) in [(0, 1_000), (1_000, 1_001), (1_001, 2_500), (2_500, 2_500)] {
        let imported = import(&store, &appends[..end]).await.unwrap();
        assert_eq!(imported.appends(), end as u64);
        assert_eq!(imported.repeated(), already as u64);
        let added = ids(&appends[already..end]).len() as u64;
        assert_eq!(imported.events(), added);
        assert_eq!(imported.position().is_some(), added > 0);
    }
    assert_eq!(stored(&store).await, ids(&appends));
    assert_lawful(&whole_log(&store).await);
    fixture.close().await;
}

#[tokio::test]
async fn all_before_an_append_that_is_not_taken_is_stored_and_nothing_from_it_on() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let elsewhere = append("elsewhere", ExpectedVersion::NoStream, 1);
    store.append(vec![elsewhere.clone()]).await.unwrap();
    let id = elsewhere.events()[0].id();
    let taken = StreamAppend::new(
        stream("i3"),
        ExpectedVersion::Any,
        vec![event("1"), elsewhere.events()[0].clone()],
    );
    let large = StreamAppend::new(
        stream("i3"),
        ExpectedVersion::Any,
        vec![event(&format!("\"{}\"", "x".repeat(1 << 20)))],
    );
    let wrong = append("i3", ExpectedVersion::NoStream, 1);
    let missing = append("nowhere", ExpectedVersion::StreamExists, 1);
    // In the first chunk, at the beginning of it, and in a later one.
    for at in [0, 10, 2_100] {
        let rejected: [(&StreamAppend, &Expected<'_>); 4] = [
            (&wrong, &|error| {
                matches!(error, AppendError::Conflict { .. })
            }),
            (
                &missing,
                &|error| matches!(error, AppendError::Conflict { actual, .. } if actual.get() == 0),
            ),
            (&taken, &|error| {
                matches!(error, AppendError::DuplicateEvent { id: named, stream: of }
                    if *named == id && *of == stream("i3"))
            }),
            (&large, &|error| matches!(error, AppendError::Refused(_))),
        ];
        for (rejected, expected) in rejected {
            let fixture = Fixture::new().await;
            let store = fixture.store();
            store.append(vec![elsewhere.clone()]).await.unwrap();
            let mut appends = many(2_500);
            if at == 0 {
                store
                    .append(vec![append("i3", ExpectedVersion::Any, 1)])
                    .await
                    .unwrap();
            }
            let before = stored(&store).await;
            appends.insert(at, rejected.clone());
            let error = import(&store, &appends).await.unwrap_err();
            assert!(expected(failure(&error)), "{error:?}");
            assert_eq!(error.imported().appends(), at as u64);
            assert_eq!(stored(&store).await[before.len()..], ids(&appends[..at]));
            fixture.close().await;
        }
    }
    fixture.close().await;
}

#[tokio::test]
async fn a_source_that_fails_ends_the_import_and_what_it_gave_before_is_stored() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let appends = many(10);
    let failing = source(&appends).chain(streams::iter([Err(BoxError::from("torn file"))]));
    let error = store.import(failing).await.unwrap_err();
    assert!(
        matches!(error.cause(), ImportFailure::Source(cause) if cause.to_string() == "torn file")
    );
    assert_eq!(error.imported().appends(), 10);
    assert_eq!(stored(&store).await, ids(&appends));
    let nothing = store.import(streams::empty()).await.unwrap();
    assert_eq!(nothing, Imported::default());
    fixture.close().await;
}

/// An id that occurs twice is judged as by appends: the same append again is repeated, another one is refused.
#[tokio::test]
async fn an_id_that_occurs_twice_is_judged_as_by_appends() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let first = append("a", ExpectedVersion::Any, 2);
    let imported = import(&store, &[first.clone(), first.clone()])
        .await
        .unwrap();
    assert_eq!((imported.events(), imported.repeated()), (2, 1));
    let other = StreamAppend::new(stream("b"), ExpectedVersion::Any, first.events().to_vec());
    let error = import(&store, &[first, other]).await.unwrap_err();
    assert!(matches!(
        failure(&error),
        AppendError::DuplicateEvent { .. }
    ));
    assert_eq!(whole_log(&store).await.len(), 2);
    fixture.close().await;
}

/// An append with more events than a chunk is one transaction all the same.
#[tokio::test]
async fn a_large_append_is_not_divided() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let items = [
        append("small", ExpectedVersion::Any, 1),
        append("large", ExpectedVersion::NoStream, 5_000),
        append("small", ExpectedVersion::Any, 1),
    ];
    assert_eq!(import(&store, &items).await.unwrap().events(), 5_002);
    let mut connection = fixture.connection().await;
    let transactions = "SELECT count(DISTINCT e.xmin::text) FROM @.events e JOIN @.streams s ON s.id = e.stream WHERE s.key = 'large'";
    assert_eq!(fixture.number(&mut connection, transactions).await, 1);
    fixture.close().await;
}

/// Readers see every event exactly in order while several import, append and read.
#[tokio::test(flavor = "multi_thread")]
async fn imports_appends_and_readers_go_side_by_side() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let mut tasks = JoinSet::new();
    for importer in 0..3 {
        let store = fixture.store();
        tasks.spawn(async move {
            let appends: Vec<StreamAppend> = (0..3_000)
                .map(|n| {
                    append(
                        format!("{}", (n * 7 + importer) % 50),
                        ExpectedVersion::Any,
                        1,
                    )
                })
                .collect();
            import(&store, &appends).await.unwrap();
        });
    }
    for writer in 0..4 {
        let store = store.clone();
        tasks.spawn(async move {
            for n in 0..100 {
                let key = format!("{}", (n * 3 + writer) % 50);
                store
                    .append(vec![append(key, ExpectedVersion::Any, 1)])
                    .await
                    .unwrap();
            }
        });
    }
    let tail = fixture.store();
    let mut seen = Vec::new();
    let mut after = Position::START;
    while seen.len() < 9_400 {
        let page = tail
            .read_log(ReadLog::after(after).limit(500))
            .await
            .unwrap();
        let page = page.into_events();
        after = page.last().map_or(after, |event| event.position());
        seen.extend(page);
        while let Some(done) = tasks.try_join_next() {
            done.unwrap();
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_lawful(&seen);
    let log = whole_log(&store).await;
    assert_eq!(
        log.iter().map(|event| event.id()).collect::<Vec<_>>(),
        seen.iter().map(|event| event.id()).collect::<Vec<_>>()
    );
    fixture.close().await;
}

/// An import that waits for a stream holds no reader back.
#[tokio::test]
async fn an_import_that_waits_for_a_stream_holds_nobody_back() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    store
        .append(vec![append("locked", ExpectedVersion::Any, 1)])
        .await
        .unwrap();
    let mut owner = fixture.connection().await;
    let lock = "BEGIN; SELECT 1 FROM @.streams WHERE key = 'locked' FOR UPDATE";
    fixture.run(&mut owner, lock).await;
    let importing = tokio::spawn({
        let store = store.clone();
        async move { import(&store, &[append("locked", ExpectedVersion::Any, 1)]).await }
    });
    let mut watch = fixture.connection().await;
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = '@' AND wait_event_type = 'Lock'";
    while fixture.number(&mut watch, waiting).await == 0 {
        tokio::task::yield_now().await;
    }
    let last = store
        .append(vec![append("free", ExpectedVersion::Any, 1)])
        .await
        .unwrap();
    let status = fixture.store().log_status().await.unwrap();
    assert_eq!(Some(status.horizon()), last.position());
    assert!(status.appending().is_empty());
    fixture.run(&mut owner, "COMMIT").await;
    importing.await.unwrap().unwrap();
    assert_eq!(whole_stream(&store, "locked").await.len(), 2);
    fixture.close().await;
}

/// Two that import the same events at once store them once.
#[tokio::test(flavor = "multi_thread")]
async fn two_imports_of_the_same_events_store_them_once() {
    let fixture = Fixture::new().await;
    let appends = Arc::new(many(2_500));
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let (store, appends) = (fixture.store(), Arc::clone(&appends));
        tasks.spawn(async move { import(&store, &appends).await });
    }
    let mut events = 0;
    while let Some(done) = tasks.join_next().await {
        let imported = done.unwrap().unwrap();
        assert_eq!(imported.appends(), 2_500);
        events += imported.events();
    }
    assert_eq!(events, ids(&appends).len() as u64);
    assert_eq!(stored(&fixture.store()).await, ids(&appends));
    fixture.close().await;
}

/// Dropped after each number of appends that were taken from the source: whole chunks are stored, nothing is left open, and
/// the next one goes on.
#[tokio::test]
async fn a_dropped_import_leaves_whole_chunks_and_the_next_one_goes_on() {
    let fixture = Fixture::new().await;
    let store = PgStore::new(fixture.options().max_connections(1));
    let appends = many(4_000);
    for end in [500, 1_500, 2_500, 3_500] {
        // Yields that many, then nothing more, for ever; and tells.
        let (tell, told) = oneshot::channel();
        let mut tell = Some(tell);
        let stuck = streams::poll_fn(move |_| {
            if let Some(tell) = tell.take() {
                let _ = tell.send(());
            }
            std::task::Poll::<Option<Source>>::Pending
        });
        let importing = store.import(source(&appends[..end]).chain(stuck));
        tokio::select! {
            _ = importing => unreachable!("the source never ends"),
            told = told => told.unwrap(),
        }
        // With one connection, the next read waits until the chunk on its way is done.
        let log = stored(&store).await;
        assert_eq!(log, ids(&appends)[..log.len()], "a beginning of the import");
        let mut connection = fixture.connection().await;
        assert_eq!(sessions_in_transactions(&fixture, &mut connection).await, 0);
    }
    let imported = import(&store, &appends).await.unwrap();
    assert!(imported.repeated() > 2_000);
    assert_eq!(stored(&store).await, ids(&appends));
    assert_lawful(&whole_log(&store).await);
    fixture.close().await;
}

/// Dropped at its first, second, third, … await.
#[tokio::test]
async fn an_import_dropped_at_any_await_is_whole_or_absent() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let mut polls = 0;
    loop {
        // Every one of the first, then in wider steps: most of them are waits for the server.
        polls += 1 + polls / 16;
        let item = append(format!("p{polls}"), ExpectedVersion::NoStream, 3);
        let items = [item];
        let mut importing = Box::pin(import(&store, &items));
        let mut done = None;
        for _ in 0..polls {
            done = importing.as_mut().now_or_never();
            if done.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if let Some(done) = done {
            assert_eq!(done.unwrap().events(), 3);
            break;
        }
        drop(importing);
    }
    let mut connection = fixture.connection().await;
    let busy =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = '@' AND state <> 'idle'";
    while fixture.number(&mut connection, busy).await > 0 {
        tokio::task::yield_now().await;
    }
    let partial =
        "SELECT count(*) FROM (SELECT FROM @.events GROUP BY stream HAVING count(*) <> 3) s";
    assert_eq!(fixture.number(&mut connection, partial).await, 0);
    assert_eq!(sessions_in_transactions(&fixture, &mut connection).await, 0);
    fixture.close().await;
}

/// The server ends the session of an import again and again; whatever the import then says is so.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_whose_sessions_are_ended_says_what_is_so_and_goes_on() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let appends = many(6_000);
    let mut killer = fixture.connection().await;
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '@' AND state <> 'idle'";
    let stop = std::sync::atomic::AtomicBool::new(false);
    // Once before anything is stored, and again whenever more is.
    let killing = async {
        let (mut killed, mut next) = (0, 0);
        while !stop.load(Ordering::Relaxed) {
            if fixture
                .number(&mut killer, "SELECT count(*) FROM @.events")
                .await
                >= next
            {
                let ended = fixture.number(&mut killer, kill).await;
                killed += ended;
                next += ended.min(1) * 1_500;
            }
        }
        killed
    };
    let importing = async {
        for _ in 0..50 {
            match import(&store, &appends).await {
                Ok(_) => break,
                Err(error) => assert!(
                    matches!(
                        failure(&error),
                        AppendError::Store(_) | AppendError::Unknown(_)
                    ),
                    "{error:?}"
                ),
            }
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (killed, ()) = tokio::join!(killing, importing);
    assert!(killed > 0, "nothing was disturbed");
    let imported = import(&store, &appends).await.unwrap();
    assert_eq!(imported.appends(), 6_000);
    let log = whole_log(&store).await;
    assert_lawful(&log);
    assert_eq!(stored(&store).await, ids(&appends));
    assert_eq!(
        log.iter()
            .map(|event| event.id())
            .collect::<HashSet<_>>()
            .len(),
        log.len()
    );
    fixture.close().await;
}

#[tokio::test]
async fn it_works_with_one_connection_behind_a_pooler_and_not_within_work() {
    let fixture = Fixture::new().await;
    let store = PgStore::new(
        fixture
            .options()
            .max_connections(1)
            .for_transaction_pooler(),
    );
    let appends = many(2_500);
    import(&store, &appends).await.unwrap();
    assert_eq!(stored(&store).await, ids(&appends));

    let (outer, inner) = (fixture.store(), fixture.store());
    let nested = outer.clone();
    let mut commit = uno_core::Commit::new();
    commit.work.push(Box::new(move |_| {
        Box::pin(async move {
            let within = import(&nested, &[append("n", ExpectedVersion::Any, 1)]).await;
            assert!(matches!(
                failure(&within.unwrap_err()),
                AppendError::Store(_)
            ));
            Ok(())
        })
    }));
    uno_core::Transactional::commit(&outer, commit)
        .await
        .unwrap();
    let heard = inner.change();
    import(&outer, &[append("n", ExpectedVersion::Any, 1)])
        .await
        .unwrap();
    timeout(Duration::from_secs(20), inner.changed(heard))
        .await
        .unwrap();
    until(|| async { whole_stream(&inner, "n").await.len() == 1 }).await;
    fixture.close().await;
}
