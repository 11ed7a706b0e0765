//! Two stores on one file, as in two processes: what one appends, readers of the other see, in order and once.

use std::time::Duration;

use tokio::time::timeout;
use uno_core::{
    BoxError, EventFilter, EventName, EventStore, ExpectedVersion, Position, ReadLog, StreamAppend,
};
use uno_store_sqlite::SqliteStore;

use crate::support::{Fixture, TestResult, event, exact, log, named, one, stream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_both_stores_see_every_event_once_in_order() -> TestResult {
    const APPENDS: usize = 300;
    let fixture = Fixture::new().await?;
    let other = SqliteStore::open(fixture.path()).await?;
    let writers: Vec<_> = [
        (&fixture.store, "a"),
        (&other, "b"),
        (&fixture.store, "c"),
        (&other, "d"),
    ]
    .into_iter()
    .map(|(store, key)| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..APPENDS {
                let events = (0..=number % 3).map(|_| event()).collect();
                store
                    .append(vec![StreamAppend::new(
                        stream(key),
                        ExpectedVersion::Any,
                        events,
                    )])
                    .await?;
                // Gives way now and then, so that the two take turns.
                if number % 7 == 0 {
                    store.head().await?;
                }
            }
            Ok::<_, BoxError>(())
        })
    })
    .collect();
    let all = 4 * (0..APPENDS).map(|number| number % 3 + 1).sum::<usize>();
    let readers: Vec<_> = [
        (&fixture.store, 1000),
        (&other, 1000),
        (&fixture.store, 7),
        (&other, 3),
    ]
    .into_iter()
    .map(|(store, limit)| {
        let store = store.clone();
        tokio::spawn(async move {
            let (mut seen, mut position) = (Vec::new(), Position::START);
            while seen.len() < all {
                let since = store.change();
                let page = store
                    .read_log(ReadLog::after(position).limit(limit))
                    .await?;
                match page.scanned() {
                    Some((scanned, _)) => position = scanned,
                    None => store.changed(since).await,
                }
                seen.extend(page.into_events());
            }
            Ok::<_, BoxError>(seen)
        })
    })
    .collect();
    for writer in writers {
        writer.await??;
    }
    let log = log(&SqliteStore::open(fixture.path()).await?).await?;
    assert_eq!(log.len(), all);
    for reader in readers {
        assert_eq!(timeout(Duration::from_secs(60), reader).await???, log);
    }
    Ok(())
}

#[tokio::test]
async fn what_was_just_written_is_read_back_as_the_file_has_it() -> TestResult {
    let fixture = Fixture::new().await?;
    let other = SqliteStore::open(fixture.path()).await?;
    let names = EventFilter::all().names([EventName::new("second")?]);
    for number in 0..20 {
        let store = if number % 3 == 0 {
            &other
        } else {
            &fixture.store
        };
        let events = vec![named("first"), named("second")];
        store
            .append(vec![StreamAppend::new(
                stream("a"),
                exact(2 * number),
                events,
            )])
            .await?;
        let fresh = SqliteStore::open(fixture.path()).await?;
        // From now on its pages go at least so far.
        assert_eq!(fixture.store.head().await?, fresh.head().await?);
        for start in [0, 1, number, 2 * number, 2 * number + 1, 2 * number + 2] {
            for (filter, limit) in [
                (EventFilter::all(), 100),
                (EventFilter::all(), 2),
                (names.clone(), 100),
                (names.clone(), 1),
                (names.clone(), 0),
            ] {
                let read = ReadLog::after(Position::new(start)?)
                    .filter(filter)
                    .limit(limit);
                let expected = fresh.read_log(read.clone()).await?;
                assert_eq!(
                    fixture.store.read_log(read.clone()).await?,
                    expected,
                    "{read:?}"
                );
            }
        }
        fresh.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn more_than_is_kept_is_read_from_the_file() -> TestResult {
    let fixture = Fixture::new().await?;
    for key in ["a", "b", "c"] {
        let events = (0..3000).map(|_| event()).collect();
        fixture
            .store
            .append(vec![StreamAppend::new(
                stream(key),
                ExpectedVersion::NoStream,
                events,
            )])
            .await?;
    }
    let (mut count, mut position) = (0, Position::START);
    while let Some((scanned, _)) = {
        let page = fixture.store.read_log(ReadLog::after(position)).await?;
        count += page.events().len();
        page.scanned()
    } {
        position = scanned;
    }
    assert_eq!(count, 9000);
    Ok(())
}

#[tokio::test]
async fn what_another_process_commits_is_told() -> TestResult {
    let fixture = Fixture::new().await?;
    let other = SqliteStore::open(fixture.path()).await?;
    for _ in 0..3 {
        let since = fixture.store.change();
        other.append(vec![one("a", ExpectedVersion::Any)]).await?;
        timeout(Duration::from_secs(30), fixture.store.changed(since)).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_stores_that_append_to_a_stream_at_once_one_wins() -> TestResult {
    let fixture = Fixture::new().await?;
    let other = SqliteStore::open(fixture.path()).await?;
    for version in 0..200 {
        let (one, two) = tokio::join!(
            fixture.store.append(vec![one("a", exact(version))]),
            other.append(vec![one("a", exact(version))]),
        );
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        let error = one.err().or(two.err()).unwrap();
        assert!(error.is_conflict(), "{error:?}");
    }
    assert_eq!(log(&other).await?.len(), 200);
    Ok(())
}
