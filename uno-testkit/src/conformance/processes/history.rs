//! Histories of instances.

use uno_core::{
    AppendError, BoxError, CommitError, ExpectedVersion::NoStream, HistoryRecord, Payload,
    ProcessStatus, ProcessStore as _, ProcessWrite, Stale, StreamAppend, TimerStore as _,
    truncate_to_micros,
};

use crate::conformance::{
    BackendHarness, Outcome, Trial,
    fixture::{HOSTILE, event, events, json, stream},
};

/// Guarantee 5: entries come back equal, in order, with the store's time.
pub async fn entries_come_back_equal_and_in_order<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let texts = ["{ \"b\" : [1E2, -0.0] ,\"a\":\"\\u0001é\" }", "null", "[]"];
    let before = t.store().due_timers("order", 0).await?.now();
    save(t, ("order", "a"), 0, 1, &texts).await?;
    save(t, ("order", "a"), 1, 4, &[]).await?;
    save(t, ("order", "a"), 2, 4, &["4"]).await?;
    // With a gap: numbers are the writer's.
    save(t, ("order", "a"), 3, 9, &["9"]).await?;
    let after = t.store().due_timers("order", 0).await?.now();
    let history = read(t, "order", "a").await?;
    assert_eq!(numbers(&history), [1, 2, 3, 4, 9]);
    let found: Vec<_> = history
        .iter()
        .map(|record| record.entry().as_str())
        .collect();
    assert_eq!(found, [texts[0], texts[1], texts[2], "4", "9"]);
    for record in &history {
        let time = record.recorded_at();
        assert!((before..=after).contains(&time), "{record:?}");
        assert_eq!(time, truncate_to_micros(time), "whole microseconds");
    }
    Ok(())
}

/// `read_history`: from a number on, at most so many.
pub async fn a_history_is_read_from_a_number_on<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    let highest = i64::MAX.cast_unsigned() - 1;
    save(t, ("order", "a"), 0, 1, &["1", "2", "3", "4"]).await?;
    save(t, ("order", "a"), 1, highest, &["5"]).await?;
    let all = read(t, "order", "a").await?;
    assert_eq!(numbers(&all), [1, 2, 3, 4, highest]);
    for (at, record) in all.iter().enumerate() {
        let number = record.number();
        let rest = t.store().read_history("order", "a", number, 100).await?;
        assert_eq!(rest, all[at + 1..]);
        let page = t.store().read_history("order", "a", number - 1, 2).await?;
        assert_eq!(page, all[at..(at + 2).min(5)]);
    }
    for after in [i64::MAX.cast_unsigned(), 1 << 63, u64::MAX] {
        let rest = t.store().read_history("order", "a", after, 100).await?;
        assert_eq!(rest, [], "after {after}");
    }
    assert_eq!(t.store().read_history("order", "a", 0, 0).await?, []);
    Ok(())
}

/// Guarantee 5: the entries of a save that is stale, or whose commit fails, are not kept.
pub async fn entries_are_kept_exactly_if_their_save_is<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    save(t, ("order", "a"), 0, 1, &["1"]).await?;
    let before = read(t, "order", "a").await?;
    let stale = save(t, ("order", "a"), 0, 2, &["\"stale\""]).await;
    assert!(
        matches!(stale, Err(CommitError::Stale(Stale::Process { .. }))),
        "{stale:?}"
    );
    t.append(&stream("a"), NoStream, &[event()]).await?;
    let conflict = t
        .commit(|commit| {
            commit
                .processes
                .push(write(("order", "a"), 1, 2, &["\"conflict\""]));
            commit
                .processes
                .push(write(("order", "b"), 0, 1, &["\"conflict\""]));
            let append = StreamAppend::new(stream("a"), NoStream, events(1));
            commit.appends.push(append);
        })
        .await;
    assert!(conflict.is_err_and(|error| error.is_conflict()));
    assert_eq!(read(t, "order", "a").await?, before);
    assert_eq!(read(t, "order", "b").await?, []);
    save(t, ("order", "a"), 1, 2, &["2"]).await?;
    assert_eq!(entries(&read(t, "order", "a").await?), ["1", "2"]);
    Ok(())
}

/// Guarantee 5: an entry is never changed: one whose number is taken is not kept, and its commit happens all the same.
pub async fn an_entry_is_never_changed<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    save(t, ("order", "a"), 0, 1, &["1", "2"]).await?;
    let before = read(t, "order", "a").await?;
    save(t, ("order", "a"), 1, 2, &["\"two\"", "3"]).await?;
    let history = read(t, "order", "a").await?;
    assert_eq!(entries(&history), ["1", "2", "3"]);
    assert_eq!(history[..2], before);
    let keys = ["a".to_owned()];
    let found = t.store().load_processes("order", &keys).await?;
    assert_eq!(found[0].revision(), 2);
    Ok(())
}

/// Guarantees 1 and 5: several saves of an instance in one commit add to its history one after the other.
pub async fn several_saves_in_a_commit_keep_all_entries<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    t.commit(|commit| {
        commit.processes = vec![
            write(("order", "a"), 0, 1, &["1", "2"]),
            write(("order", "b"), 0, 1, &["\"b\""]),
            write(("order", "a"), 1, 3, &["3"]),
            write(("order", "a"), 2, 3, &["\"taken\"", "4"]),
        ];
    })
    .await?;
    assert_eq!(entries(&read(t, "order", "a").await?), ["1", "2", "3", "4"]);
    assert_eq!(entries(&read(t, "order", "b").await?), ["\"b\""]);
    Ok(())
}

/// [`ProcessWrite::with_history`]: histories of other processes and other instances are others.
pub async fn histories_are_apart<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for (process, key) in [
        ("order", "a"),
        ("Order", "a"),
        ("order", "A"),
        ("order", "aa"),
    ] {
        let text = format!("\"{process} {key}\"");
        save(t, (process, key), 0, 1, &[&text]).await?;
    }
    for (process, key) in [
        ("order", "a"),
        ("Order", "a"),
        ("order", "A"),
        ("order", "aa"),
    ] {
        let expected = format!("\"{process} {key}\"");
        assert_eq!(entries(&read(t, process, key).await?), [expected.as_str()]);
    }
    let long = "x".repeat(513);
    for nobody in ["", "nobody", "a\0b", &long] {
        assert_eq!(read(t, nobody, "a").await?, []);
        assert_eq!(read(t, "order", nobody).await?, []);
    }
    Ok(())
}

/// `read_history`: hostile texts as processes, keys and entries are nothing but texts.
pub async fn hostile_histories_are_nothing_but_histories<H: BackendHarness>(
    t: &Trial<H>,
) -> Outcome {
    for text in HOSTILE {
        let entry = Payload::encode(text)?;
        save(t, (text, text), 0, 1, &[entry.as_str()]).await?;
        assert_eq!(entries(&read(t, text, text).await?), [entry.as_str()]);
    }
    Ok(())
}

/// [`Limits::check_commit`](uno_core::Limits::check_commit): entries with a number that nobody could read, or that can't be kept,
/// are refused.
pub async fn entries_that_cannot_be_kept_are_refused<H: BackendHarness>(t: &Trial<H>) -> Outcome {
    for first in [0, i64::MAX.cast_unsigned(), u64::MAX] {
        match save(t, ("order", "a"), 0, first, &["1"]).await {
            Err(CommitError::Append(AppendError::Refused(refusal))) => {
                assert_eq!(refusal.field(), "process.history", "{refusal}");
            }
            other => panic!("expected number {first} to be refused, and got {other:?}"),
        }
    }
    assert_eq!(read(t, "order", "a").await?, []);
    let keys = ["a".to_owned()];
    assert_eq!(t.store().load_processes("order", &keys).await?, []);
    Ok(())
}

fn write(
    (process, key): (&str, &str),
    revision: u64,
    first: u64,
    entries: &[&str],
) -> ProcessWrite {
    let entries: Vec<Payload> = entries.iter().map(|text| json(text)).collect();
    ProcessWrite::new(process, key, revision, ProcessStatus::Running, json("{}"))
        .with_history(first, entries)
}

async fn save<H: BackendHarness>(
    t: &Trial<H>,
    instance: (&str, &str),
    revision: u64,
    first: u64,
    entries: &[&str],
) -> Result<(), CommitError> {
    let write = write(instance, revision, first, entries);
    t.commit(|commit| commit.processes.push(write))
        .await
        .map(drop)
}

async fn read<H: BackendHarness>(
    t: &Trial<H>,
    process: &str,
    key: &str,
) -> Result<Vec<HistoryRecord>, BoxError> {
    Ok(t.store().read_history(process, key, 0, usize::MAX).await?)
}

fn numbers(history: &[HistoryRecord]) -> Vec<u64> {
    history.iter().map(HistoryRecord::number).collect()
}

fn entries(history: &[HistoryRecord]) -> Vec<&str> {
    history
        .iter()
        .map(|record| record.entry().as_str())
        .collect()
}
