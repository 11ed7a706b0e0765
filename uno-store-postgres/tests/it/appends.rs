//! Appending, alone and in company.

use std::collections::BTreeMap;

use tokio::task::JoinSet;
use uno_core::{
    AppendError, CorrelationId, EventStore as _, ExpectedVersion, Metadata, Position, StreamAppend,
    Version,
};
use uno_store_postgres::PgStore;

use crate::support::{
    Fixture, append, assert_lawful, event, events, stream, until, whole_log, whole_stream,
};

fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

#[tokio::test]
async fn what_is_appended_is_read_back_equal() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let metadata = Metadata::new()
        .with_correlation_id(CorrelationId::new())
        .with_causation_id(*CorrelationId::new().as_uuid())
        .with_actor("ada \"the\" \\ first")
        .with_tenant("é")
        .with_traceparent(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
                .parse()
                .unwrap(),
        )
        .with_header("a b", "{}\n\"");
    let rich = event(r#"{ "a" : [1.50, -0, 1e2], "a":"é\n", "b": null }"#)
        .with_metadata(metadata)
        .with_tags(["a,b", "{c}", "\"d\"", "e\\f", "NULL", ""])
        .with_occurred_at("1969-07-20T20:17:40.123456Z".parse().unwrap());
    let plain = event("null");
    let sent = vec![rich, plain];
    let receipt = store
        .append(vec![StreamAppend::new(
            stream("é'; --"),
            ExpectedVersion::NoStream,
            sent.clone(),
        )])
        .await
        .unwrap();

    for read in [
        whole_stream(&store, "é'; --").await,
        whole_log(&store).await,
    ] {
        assert_eq!(read.len(), 2);
        for (sent, (read, number)) in sent.iter().zip(read.iter().zip(1..)) {
            assert_eq!(read.id(), sent.id());
            assert_eq!(read.stream(), &stream("é'; --"));
            assert_eq!(read.version(), version(number));
            assert_eq!(read.name(), sent.name());
            assert_eq!(read.schema_version(), sent.schema_version());
            assert_eq!(read.payload(), sent.payload());
            assert_eq!(read.occurred_at(), sent.occurred_at());
            assert_eq!(read.metadata(), sent.metadata());
            assert_eq!(read.tags(), sent.tags());
        }
        assert_eq!(read[0].recorded_at(), read[1].recorded_at());
        assert_eq!(receipt.position(), Some(read[1].position()));
    }
    assert_eq!(
        store.head().await.unwrap().position(),
        receipt.position().unwrap()
    );
    fixture.close().await;
}

#[tokio::test]
async fn expected_versions_hold_and_conflicts_are_honest() {
    let fixture = Fixture::new().await;
    for store in [
        fixture.store(),
        PgStore::new(fixture.options().without_grouping()),
    ] {
        let key = format!("{store:?}").len().to_string();
        let conflict = async |expected: ExpectedVersion, actual: u64| {
            let error = store
                .append(vec![append(&key, expected, 1)])
                .await
                .unwrap_err();
            let AppendError::Conflict {
                stream: at,
                expected: told,
                actual: found,
            } = error
            else {
                panic!("{error}")
            };
            assert_eq!((at, told, found), (stream(&key), expected, version(actual)));
        };
        conflict(ExpectedVersion::StreamExists, 0).await;
        conflict(ExpectedVersion::Exact(version(1)), 0).await;
        store
            .append(vec![append(&key, ExpectedVersion::NoStream, 2)])
            .await
            .unwrap();
        conflict(ExpectedVersion::NoStream, 2).await;
        conflict(ExpectedVersion::Exact(version(1)), 2).await;
        conflict(ExpectedVersion::Exact(version(3)), 2).await;
        conflict(ExpectedVersion::Exact(Version::MAX), 2).await;
        store
            .append(vec![append(&key, ExpectedVersion::Exact(version(2)), 1)])
            .await
            .unwrap();
        store
            .append(vec![append(&key, ExpectedVersion::StreamExists, 1)])
            .await
            .unwrap();
        store
            .append(vec![append(&key, ExpectedVersion::Any, 1)])
            .await
            .unwrap();
        assert_eq!(whole_stream(&store, &key).await.len(), 5);
    }
    fixture.close().await;
}

#[tokio::test]
async fn several_streams_are_all_or_nothing() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let receipt = store
        .append(vec![
            append("b", ExpectedVersion::Any, 2),
            append("a", ExpectedVersion::NoStream, 1),
        ])
        .await
        .unwrap();
    let told: Vec<_> = receipt
        .streams()
        .iter()
        .map(|s| (s.stream().key(), s.first().get(), s.last().get()))
        .collect();
    assert_eq!(told, [("b", 1, 2), ("a", 1, 1)]);
    let error = store
        .append(vec![
            append("c", ExpectedVersion::Any, 1),
            append("a", ExpectedVersion::NoStream, 1),
        ])
        .await
        .unwrap_err();
    assert!(error.is_conflict());
    assert!(whole_stream(&store, "c").await.is_empty());
    assert_lawful(&whole_log(&store).await);
    fixture.close().await;
}

#[tokio::test]
async fn the_same_events_again_give_the_first_receipt() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let first = events(2);
    let at =
        |expected, events: &[_]| vec![StreamAppend::new(stream("a"), expected, events.to_vec())];
    let receipt = store
        .append(at(ExpectedVersion::NoStream, &first))
        .await
        .unwrap();
    store
        .append(vec![append("a", ExpectedVersion::Any, 1)])
        .await
        .unwrap();
    for expected in [
        ExpectedVersion::NoStream,
        ExpectedVersion::Exact(Version::EMPTY),
        ExpectedVersion::Any,
        ExpectedVersion::StreamExists,
    ] {
        assert_eq!(
            store.append(at(expected, &first)).await.unwrap(),
            receipt,
            "{expected}"
        );
    }
    let elsewhere = [
        at(ExpectedVersion::Exact(version(1)), &first),
        at(ExpectedVersion::Exact(version(3)), &first),
        at(ExpectedVersion::Any, &[first[1].clone(), first[0].clone()]),
        at(ExpectedVersion::Any, &[first[0].clone(), event("1")]),
        at(ExpectedVersion::Any, &[event("1"), first[1].clone()]),
        vec![StreamAppend::new(
            stream("b"),
            ExpectedVersion::Any,
            first.clone(),
        )],
        vec![StreamAppend::new(
            stream("b"),
            ExpectedVersion::StreamExists,
            first.clone(),
        )],
    ];
    for again in elsewhere {
        let error = store.append(again).await.unwrap_err();
        assert!(
            matches!(error, AppendError::DuplicateEvent { .. }),
            "{error}"
        );
    }
    assert_eq!(whole_log(&store).await.len(), 3);
    assert!(whole_stream(&store, "b").await.is_empty());
    fixture.close().await;
}

/// The second attempt looks for the streams before the first has begun one of them, and then waits for the first.
#[tokio::test]
async fn the_same_events_again_while_the_first_attempt_is_under_way_give_its_receipt() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    store
        .append(vec![append("a", ExpectedVersion::NoStream, 1)])
        .await
        .unwrap();
    let mut gate = fixture.connection().await;
    fixture
        .run(&mut gate, "SELECT pg_advisory_lock(@.draw_class(), 0)")
        .await;
    let request = vec![
        append("a", ExpectedVersion::Exact(version(1)), 1),
        append("b", ExpectedVersion::NoStream, 1),
    ];
    let attempt = |store: PgStore| {
        let request = request.clone();
        tokio::spawn(async move { store.append(request).await })
    };
    let first = attempt(PgStore::new(fixture.options().without_grouping()));
    let count = async |text: &str| {
        let mut connection = fixture.connection().await;
        fixture.number(&mut connection, text).await
    };
    let draws = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = @.log_class()::oid \
         AND mode = 'ShareLock' AND granted";
    until(|| async { count(draws).await == 1 }).await;
    let second = attempt(PgStore::new(fixture.options().without_grouping()));
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = '@' AND wait_event_type = 'Lock'";
    until(|| async { count(waits).await == 1 }).await;
    fixture
        .run(&mut gate, "SELECT pg_advisory_unlock(@.draw_class(), 0)")
        .await;

    let receipt = first.await.unwrap().unwrap();
    assert_eq!(second.await.unwrap().unwrap(), receipt);
    assert_eq!(whole_log(&store).await.len(), 3);
    fixture.close().await;
}

#[tokio::test]
async fn a_duplicate_in_a_group_disturbs_nobody_else() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let stored = events(1);
    store
        .append(vec![StreamAppend::new(
            stream("a"),
            ExpectedVersion::NoStream,
            stored.clone(),
        )])
        .await
        .unwrap();
    let mut tasks = JoinSet::new();
    for n in 0..40_usize {
        let store = store.clone();
        let request = match n % 4 {
            0 => StreamAppend::new(stream("a"), ExpectedVersion::Any, stored.clone()),
            1 => StreamAppend::new(
                stream(format!("b{n}")),
                ExpectedVersion::Any,
                stored.clone(),
            ),
            2 => append("a", ExpectedVersion::NoStream, 1),
            _ => append(format!("c{n}"), ExpectedVersion::NoStream, 1),
        };
        tasks.spawn(async move { (n, store.append(vec![request]).await) });
    }
    while let Some(done) = tasks.join_next().await {
        let (n, result) = done.unwrap();
        match n % 4 {
            0 => assert_eq!(result.unwrap().streams()[0].last(), version(1)),
            1 => assert!(
                matches!(result, Err(AppendError::DuplicateEvent { .. })),
                "{result:?}"
            ),
            2 => assert!(result.unwrap_err().is_conflict()),
            _ => assert_eq!(result.unwrap().streams()[0].last(), version(1)),
        }
    }
    assert_eq!(whole_log(&store).await.len(), 11);
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_want_the_same_version_exactly_one_wins() {
    let fixture = Fixture::new().await;
    // Two stores, as two processes would have.
    let stores = [fixture.store(), fixture.store()];
    for round in 0..25 {
        let mut tasks = JoinSet::new();
        for n in 0..32 {
            let store = stores[n % 2].clone();
            tasks.spawn(async move {
                store
                    .append(vec![append(
                        "hot",
                        ExpectedVersion::Exact(version(round)),
                        1,
                    )])
                    .await
            });
        }
        let results = tasks.join_all().await;
        let won = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(won, 1);
        for lost in results.iter().filter_map(|result| result.as_ref().err()) {
            assert!(
                matches!(lost, AppendError::Conflict { actual, .. } if *actual == version(round + 1)),
                "{lost}"
            );
        }
    }
    assert_lawful(&whole_log(&stores[0]).await);
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_to_several_streams_in_any_order_never_deadlock() {
    let fixture = Fixture::new().await;
    let stores = [
        fixture.store(),
        fixture.store(),
        PgStore::new(fixture.options().without_grouping()),
    ];
    let mut tasks = JoinSet::new();
    for n in 0..300_usize {
        let store = stores[n % 3].clone();
        tasks.spawn(async move {
            // Any four of forty streams, in an order that differs from caller to caller; some of them new.
            let keys: BTreeMap<usize, usize> = (0..4)
                .map(|k| ((n * 7 + k * 13 * (n % 5 + 1)) % 40, k))
                .collect();
            let mut keys: Vec<usize> = keys.into_keys().collect();
            if n % 2 == 0 {
                keys.reverse();
            }
            let request = keys
                .iter()
                .map(|key| append(format!("{key}"), ExpectedVersion::Any, 1 + n % 3))
                .collect();
            store.append(request).await.unwrap();
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_lawful(&whole_log(&stores[0]).await);
    fixture.close().await;
}

#[tokio::test]
async fn an_empty_request_appends_nothing_and_bad_ones_are_refused() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let receipt = store.append(Vec::new()).await.unwrap();
    assert_eq!((receipt.position(), receipt.streams().len()), (None, 0));
    let refused = [
        vec![append("a", ExpectedVersion::Any, 0)],
        vec![
            append("a", ExpectedVersion::Any, 1),
            append("a", ExpectedVersion::Any, 1),
        ],
    ];
    for request in refused {
        let error = store.append(request).await.unwrap_err();
        assert!(matches!(error, AppendError::Refused(_)), "{error}");
    }
    assert_eq!(store.head().await.unwrap().position(), Position::START);
    fixture.close().await;
}
