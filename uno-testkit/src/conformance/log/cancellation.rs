//! Futures that are dropped half way.

use std::sync::Arc;

use uno_core::{
    Direction, EventFilter, EventStore as _,
    ExpectedVersion::{Any, NoStream},
    Position, ReadLog, ReadStream, StreamAppend,
};

use crate::conformance::{
    Harness, Outcome, Trial,
    fixture::{events, ids, new_ids, stream, versions},
    together::{drop_after, start},
};

/// How often a future is polled before it is dropped: from not at all to where most stores are done.
const POLLS: std::ops::Range<usize> = 0..48;

/// Guarantee 10: an append that is dropped after any number of polls is stored whole or not at all, and can be repeated.
pub async fn a_dropped_append_is_whole_or_absent<H: Harness>(t: &Trial<H>) -> Outcome {
    for polls in POLLS {
        let (notes, batch) = (stream(&format!("{polls}")), events(5));
        let append = StreamAppend::new(notes.clone(), NoStream, batch.clone());
        let done = drop_after(polls, t.store().append(vec![append])).await;
        let stored = t.stream(&notes).await?;
        if let Some(result) = done {
            result?;
            assert_eq!(stored.len(), 5, "what returned is stored");
        }
        assert!(
            stored.is_empty() || ids(&stored) == new_ids(&batch),
            "{} of 5 after {polls} polls",
            stored.len()
        );
        // It may be under way still. Appending it again is definite.
        t.append(&notes, NoStream, &batch).await?;
        assert_eq!(ids(&t.stream(&notes).await?), new_ids(&batch));
    }
    Ok(())
}

/// Guarantees 1 and 10: the same for an append to several streams.
pub async fn a_dropped_append_to_several_streams_is_whole_or_absent<H: Harness>(
    t: &Trial<H>,
) -> Outcome {
    for polls in POLLS {
        let (a, b) = (stream(&format!("a{polls}")), stream(&format!("b{polls}")));
        let (first, second) = (events(2), events(3));
        let request = vec![
            StreamAppend::new(a.clone(), NoStream, first.clone()),
            StreamAppend::new(b.clone(), NoStream, second.clone()),
        ];
        let _done = drop_after(polls, t.store().append(request)).await;
        // It may be under way still. Either it has begun the streams, or this append does, and then it never can.
        let (third, fourth) = (events(1), events(1));
        match t
            .append_all(&[(&a, NoStream, &third), (&b, NoStream, &fourth)])
            .await
        {
            Ok(_) => {
                assert_eq!(
                    ids(&t.stream(&a).await?),
                    new_ids(&third),
                    "after {polls} polls"
                );
                assert_eq!(
                    ids(&t.stream(&b).await?),
                    new_ids(&fourth),
                    "after {polls} polls"
                );
            }
            Err(error) if error.is_conflict() => {
                assert_eq!(
                    ids(&t.stream(&a).await?),
                    new_ids(&first),
                    "after {polls} polls"
                );
                assert_eq!(
                    ids(&t.stream(&b).await?),
                    new_ids(&second),
                    "after {polls} polls"
                );
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Guarantee 10: an append that is dropped holds up nobody who comes after it, on the same stream least of all.
pub async fn a_dropped_append_holds_up_nobody<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("busy");
    for polls in POLLS {
        let append = StreamAppend::new(notes.clone(), Any, events(2));
        let _done = drop_after(polls, t.store().append(vec![append])).await;
        let own = events(1);
        t.append(&notes, Any, &own).await?;
        assert!(
            ids(&t.stream(&notes).await?).contains(&own[0].id()),
            "stored after {polls} polls of another"
        );
    }
    let stored = t.stream(&notes).await?;
    assert_eq!(
        versions(&stored),
        (1..=stored.len() as u64).collect::<Vec<_>>()
    );
    Ok(())
}

/// Guarantee 10: many tasks that are aborted while they append leave whole appends only, and a store that works.
pub async fn aborted_tasks_leave_whole_appends<H: Harness>(t: &Trial<H>) -> Outcome {
    for round in 0..5 {
        let tasks = start(12, |number| {
            let store = Arc::clone(t.store());
            async move {
                for step in 0..4 {
                    let notes = stream(&format!("{}", (number + step) % 5));
                    store
                        .append(vec![StreamAppend::new(notes, Any, events(3))])
                        .await?;
                }
                Ok::<_, uno_core::AppendError>(())
            }
        });
        for _ in 0..round * 4 {
            tokio::task::yield_now().await;
        }
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            // Either it was done before, or it was aborted; a panic of the store is neither.
            if let Err(error) = task.await {
                assert!(error.is_cancelled(), "{error}");
            }
        }
        t.append(&stream("after"), Any, &events(1)).await?;
    }
    // What was aborted may be under way still: this append to every stream is in line behind it.
    for key in 0..5 {
        let notes = stream(&format!("{key}"));
        t.append(&notes, Any, &events(3)).await?;
        let stored = t.stream(&notes).await?;
        assert!(
            stored.len().is_multiple_of(3),
            "{} of {notes}",
            stored.len()
        );
        assert_eq!(
            versions(&stored),
            (1..=stored.len() as u64).collect::<Vec<_>>()
        );
    }
    Ok(())
}

/// Guarantee 10: reads that are dropped leave everything as it is, and the store works.
pub async fn dropped_reads_change_nothing<H: Harness>(t: &Trial<H>) -> Outcome {
    let notes = stream("a");
    t.append(&notes, Any, &events(50)).await?;
    let (log, head) = (t.log().await?, t.store().head().await?);
    for polls in 0..16 {
        let _page = drop_after(polls, t.store().read_log(ReadLog::after(Position::START))).await;
        let _page = drop_after(
            polls,
            t.store().read_stream(ReadStream::backward(notes.clone())),
        )
        .await;
        let _head = drop_after(polls, t.store().head()).await;
        let _told = drop_after(polls, t.store().changed(t.store().change())).await;
        let _made = drop_after(polls, t.store().migrate()).await;
    }
    assert_eq!(
        (t.log().await?, t.store().head().await?),
        (log.clone(), head)
    );
    assert_eq!(
        t.paged(&EventFilter::all(), Direction::Forward, 7).await?,
        log
    );
    t.append(&notes, Any, &events(1)).await?;
    assert_eq!(t.stream(&notes).await?.len(), 51);
    Ok(())
}
