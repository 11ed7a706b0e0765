//! The time of recording.

use std::sync::Arc;

use uno_core::{
    EventStore as _,
    ExpectedVersion::{Any, NoStream},
    RecordedEvent,
};

use crate::conformance::{
    Harness, Outcome, Trial,
    fixture::{event, events, stream},
};

/// Guarantee 11: the time of recording never falls from one position to the next.
pub async fn the_time_of_recording_never_falls<H: Harness>(t: &Trial<H>) -> Outcome {
    for number in 0..100 {
        let (a, b) = (stream("a"), stream(&format!("{}", number % 7)));
        t.append_all(&[(&a, Any, &events(2)), (&b, Any, &events(1))])
            .await?;
        let _conflict = t.append(&b, NoStream, &[event()]).await;
    }
    never_falls(&t.log().await?);
    Ok(())
}

/// Guarantee 11: also when many append at once.
pub async fn the_time_of_recording_never_falls_under_concurrency<H: Harness>(
    t: &Trial<H>,
) -> Outcome {
    let writers = (0..8).map(|writer| {
        let store = Arc::clone(t.store());
        tokio::spawn(async move {
            for _ in 0..25 {
                let append =
                    uno_core::StreamAppend::new(stream(&format!("{writer}")), Any, events(2));
                store.append(vec![append]).await?;
            }
            Ok::<(), uno_core::AppendError>(())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await??;
    }
    let log = t.log().await?;
    assert_eq!(log.len(), 400);
    never_falls(&log);
    Ok(())
}

/// Guarantee 8: the time of recording has whole microseconds, so that a filter by it means the same everywhere.
pub async fn the_time_of_recording_has_whole_microseconds<H: Harness>(t: &Trial<H>) -> Outcome {
    t.append(&stream("a"), Any, &events(20)).await?;
    for event in t.log().await? {
        assert_eq!(
            event.recorded_at(),
            uno_core::truncate_to_micros(event.recorded_at())
        );
    }
    Ok(())
}

/// Guarantee 11: the time of recording is the store's own, and not what the event says of itself.
pub async fn the_time_of_recording_is_the_stores_own<H: Harness>(t: &Trial<H>) -> Outcome {
    let old = event().with_occurred_at("1999-12-31T23:59:59Z".parse()?);
    let coming = event().with_occurred_at("2999-12-31T23:59:59Z".parse()?);
    t.append(&stream("a"), Any, std::slice::from_ref(&old))
        .await?;
    t.append(&stream("a"), Any, &[coming.clone(), event()])
        .await?;
    let log = t.log().await?;
    assert!(
        log[0].recorded_at() > old.occurred_at(),
        "recorded long after"
    );
    assert!(
        log[2].recorded_at() < coming.occurred_at(),
        "recorded long before"
    );
    Ok(())
}

fn never_falls(log: &[Arc<RecordedEvent>]) {
    assert!(
        log.is_sorted_by_key(|event| event.recorded_at()),
        "the time of recording fell"
    );
}
