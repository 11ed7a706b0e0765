//! Many who append at once.

use std::sync::Arc;

use tokio::sync::Barrier;
use uno_core::{
    AppendError, EventStore, EventStoreExt as _,
    ExpectedVersion::{self, Any, NoStream},
    NewEvent, Receipt, StreamAppend, StreamId, Version,
};

use crate::conformance::{
    Harness, Outcome, Trial,
    fixture::{event, events, exact, ids, named, new_ids, stream, version, versions},
    together::{finish, start, succeed},
};

/// Guarantee 2: of sixteen who append at the same version, exactly one wins, round after round, and the others are told the truth.
pub async fn of_many_contenders_exactly_one_wins<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("contended");
    let mut winners = Vec::new();
    for round in 0..12 {
        let mut won = Vec::new();
        for (new, result) in contend(t, 16, |_| (notes.clone(), exact(round))).await? {
            match result {
                Ok(receipt) => won.push((new, receipt)),
                Err(AppendError::Conflict {
                    stream,
                    expected,
                    actual,
                }) => {
                    assert_eq!(
                        (&stream, expected, actual),
                        (&notes, exact(round), version(round + 1))
                    );
                }
                Err(error) => return Err(error.into()),
            }
        }
        let [(new, receipt)] = won.as_slice() else {
            panic!("round {round} had {} winners", won.len())
        };
        assert_eq!(receipt.streams()[0].last(), version(round + 1));
        winners.push(new.id());
    }
    assert_eq!(
        ids(&t.stream(&notes).await?),
        winners,
        "the stream is what the winners appended"
    );
    assert_eq!(ids(&t.log().await?), winners, "and the losers left nothing");
    Ok(())
}

/// Guarantee 2: of sixteen who begin a stream, exactly one does, on every one of many new streams.
pub async fn of_many_beginners_exactly_one_begins_the_stream<H: Harness>(t: &Trial<H>) -> Outcome {
    for round in 0..8 {
        let notes = stream(&format!("new {round}"));
        let results = contend(t, 16, |_| (notes.clone(), NoStream)).await?;
        let won: Vec<_> = results
            .iter()
            .filter(|(_, result)| result.is_ok())
            .map(|(new, _)| new.id())
            .collect();
        assert_eq!(won.len(), 1, "one begins {notes}");
        assert!(
            results
                .iter()
                .all(|(_, result)| result.as_ref().err().is_none_or(AppendError::is_conflict)),
            "the others conflict: {results:?}"
        );
        assert_eq!(ids(&t.stream(&notes).await?), won);
    }
    Ok(())
}

/// Guarantees 1 and 3: appends to one stream that expect nothing all succeed, and all are stored.
pub async fn parallel_appends_of_any_version_are_all_stored<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    let results = contend(t, 20, |_| (notes.clone(), Any)).await?;
    let mut appended = Vec::new();
    for (new, result) in results {
        result?;
        appended.push(new.id());
    }
    let stored = t.stream(&notes).await?;
    assert_eq!(versions(&stored), (1..=20).collect::<Vec<_>>());
    let mut found = ids(&stored);
    found.sort_unstable();
    appended.sort_unstable();
    assert_eq!(found, appended);
    Ok(())
}

/// `append`: a receipt is true however many append at once: its versions hold the events of its own append, in a row.
pub async fn receipts_are_true_under_contention<H: Harness>(t: &Trial<H>) -> Outcome {
    let tasks = start(12, |number| {
        let store = Arc::clone(t.store());
        async move {
            let mut done = Vec::new();
            for round in 0..6 {
                let (notes, batch) = (
                    stream(&format!("{}", (number + round) % 3)),
                    events(1 + (number + round) % 4),
                );
                let append = StreamAppend::new(notes.clone(), Any, batch.clone());
                done.push((notes, batch, store.append(vec![append]).await?));
            }
            Ok::<_, AppendError>(done)
        }
    });
    let log = t.log().await;
    for (notes, batch, receipt) in succeed(tasks).await?.into_iter().flatten() {
        let stored = t.stream(&notes).await?;
        let part = &receipt.streams()[0];
        let own: Vec<_> = stored
            .iter()
            .filter(|event| event.version() >= part.first() && event.version() <= part.last())
            .cloned()
            .collect();
        assert_eq!(ids(&own), new_ids(&batch), "{notes}");
        assert_eq!(own.last().map(|event| event.position()), receipt.position());
    }
    assert!(log?.len() <= t.log().await?.len(), "the log only grows");
    Ok(())
}

/// Guarantee 1: appends to the same streams, named in every order, do not wait for each other for ever.
pub async fn appends_to_several_streams_do_not_deadlock<H: Harness>(t: &Trial<H>) -> Outcome {
    let tasks = start(8, |number| {
        let store = Arc::clone(t.store());
        async move {
            let mut random = fastrand::Rng::with_seed(number as u64);
            for _ in 0..12 {
                let mut keys = ["a", "b", "c", "d"];
                random.shuffle(&mut keys);
                let appends = keys.map(|key| StreamAppend::new(stream(key), Any, events(1)));
                store.append(appends.to_vec()).await?;
            }
            Ok::<_, AppendError>(())
        }
    });
    succeed(tasks).await?;
    for key in ["a", "b", "c", "d"] {
        assert_eq!(
            versions(&t.stream(&stream(key)).await?),
            (1..=96).collect::<Vec<_>>(),
            "{key}"
        );
    }
    Ok(())
}

/// Guarantee 5: the same append by many at once is stored once, and all get the same receipt.
pub async fn the_same_append_by_many_at_once_is_stored_once<H: Harness>(t: &Trial<H>) -> Outcome {
    for (round, expected) in [Any, NoStream, exact(0), Any, NoStream]
        .into_iter()
        .enumerate()
    {
        let (notes, batch) = (stream(&format!("{round}")), events(3));
        let barrier = Arc::new(Barrier::new(10));
        let tasks = start(10, |_| {
            let (store, barrier) = (Arc::clone(t.store()), Arc::clone(&barrier));
            let append = StreamAppend::new(notes.clone(), expected, batch.clone());
            async move {
                barrier.wait().await;
                store.append(vec![append]).await
            }
        });
        let receipts = succeed(tasks).await?;
        assert!(
            receipts.iter().all(|receipt| *receipt == receipts[0]),
            "{receipts:?}"
        );
        assert_eq!(ids(&t.stream(&notes).await?), new_ids(&batch));
    }
    Ok(())
}

/// Guarantee 5: one event id to many streams at once: one stream gets it, for the others it is a duplicate.
pub async fn one_id_to_many_streams_at_once_is_stored_once<H: Harness>(t: &Trial<H>) -> Outcome {
    for round in 0..5 {
        let new = event();
        let barrier = Arc::new(Barrier::new(8));
        let tasks = start(8, |number| {
            let (store, barrier, new) = (Arc::clone(t.store()), Arc::clone(&barrier), new.clone());
            async move {
                barrier.wait().await;
                let notes = stream(&format!("{round} {number}"));
                store
                    .append(vec![StreamAppend::new(notes, Any, vec![event(), new])])
                    .await
            }
        });
        let mut stored = 0;
        for result in finish(tasks).await? {
            match result {
                Ok(_) => stored += 1,
                Err(AppendError::DuplicateEvent { id, .. }) => assert_eq!(id, new.id()),
                Err(error) => return Err(error.into()),
            }
        }
        assert_eq!((stored, t.log().await?.len()), (1, (round + 1) * 2));
    }
    Ok(())
}

/// Guarantees 2 and 6: those who lose, read, and try again all get through, and nobody decides on what is no longer so.
pub async fn those_who_try_again_all_get_through<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("counter");
    let tasks = start(6, |_| {
        let (store, notes) = (Arc::clone(t.store()), notes.clone());
        async move {
            let (mut known, mut done) = (Version::EMPTY, 0);
            while done < 8 {
                // Says which version it was decided for.
                let decided = named("decided", &known.next().to_string());
                let append =
                    StreamAppend::new(notes.clone(), ExpectedVersion::Exact(known), vec![decided]);
                match store.append(vec![append]).await {
                    Ok(receipt) => {
                        known = receipt.streams()[0].last();
                        done += 1;
                    }
                    Err(AppendError::Conflict { actual, .. }) => {
                        assert!(
                            actual > known,
                            "a conflict at {actual}, where {known} was expected"
                        );
                        known = actual;
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        }
    });
    succeed(tasks).await?;
    let stored = t.stream(&notes).await?;
    assert_eq!(versions(&stored), (1..=48).collect::<Vec<_>>());
    for event in stored {
        assert_eq!(
            event.payload().as_str(),
            event.version().to_string(),
            "decided for another version"
        );
    }
    Ok(())
}

/// Guarantee 1: nobody reads half an append, neither of one stream nor of two.
pub async fn nobody_reads_half_an_append<H: Harness>(t: &Trial<H>) -> Outcome {
    let (a, b) = (stream("a"), stream("b"));
    let writers = start(4, |_| {
        let (store, a, b) = (Arc::clone(t.store()), a.clone(), b.clone());
        async move {
            for _ in 0..10 {
                store
                    .append(vec![
                        StreamAppend::new(b.clone(), Any, events(2)),
                        StreamAppend::new(a.clone(), Any, events(5)),
                    ])
                    .await?;
            }
            Ok::<_, AppendError>(())
        }
    });
    loop {
        let done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let of_a = t.stream(&a).await?.len();
        let of_b = t.stream(&b).await?.len();
        assert!(
            of_a.is_multiple_of(5) && of_b.is_multiple_of(2),
            "{of_a} of {a} and {of_b} of {b}"
        );
        assert!(
            of_b * 5 >= of_a * 2,
            "{of_b} of {b}, read after {of_a} of {a}"
        );
        if done {
            break;
        }
        tokio::task::yield_now().await;
    }
    succeed(writers).await?;
    assert_eq!(
        (t.stream(&a).await?.len(), t.stream(&b).await?.len()),
        (200, 80)
    );
    Ok(())
}

/// Guarantees 1 and 3: appends to streams of their own, at once and through the trait object.
pub async fn parallel_appends_to_streams_of_their_own<H: Harness>(t: &Trial<H>) -> Outcome {
    let tasks = start(10, |number| {
        let store: Arc<dyn EventStore> = Arc::clone(t.store()) as Arc<dyn EventStore>;
        async move {
            let notes = stream(&format!("{number}"));
            for round in 0..10 {
                store
                    .append(vec![StreamAppend::new(
                        notes.clone(),
                        exact(round),
                        events(1),
                    )])
                    .await?;
            }
            let mut pages =
                store.pages(uno_core::Position::START, uno_core::EventFilter::all(), 100);
            let mut own = 0;
            while let Some(page) = pages.next_page().await? {
                own += page.iter().filter(|event| *event.stream() == notes).count();
            }
            Ok::<_, uno_core::BoxError>(own)
        }
    });
    assert_eq!(succeed(tasks).await?, [10; 10]);
    assert_eq!(t.log().await?.len(), 100);
    Ok(())
}

/// So many who append one event each, all at the same moment.
async fn contend<H: Harness>(
    t: &Trial<H>,
    count: usize,
    at: impl Fn(usize) -> (StreamId, ExpectedVersion),
) -> Result<Vec<(NewEvent, Result<Receipt, AppendError>)>, uno_core::BoxError> {
    let barrier = Arc::new(Barrier::new(count));
    let tasks = start(count, |number| {
        let (store, barrier, new) = (Arc::clone(t.store()), Arc::clone(&barrier), event());
        let (notes, expected) = at(number);
        async move {
            barrier.wait().await;
            let result = store
                .append(vec![StreamAppend::new(notes, expected, vec![new.clone()])])
                .await;
            (new, result)
        }
    });
    finish(tasks).await
}
