//! Instances as they went.

use chrono::{DateTime, Utc};
use uno_core::{CommandId, EventId, Payload, ProcessStatus};
use uno_cqrs::Verdict;
use uuid::Uuid;

use super::*;
use crate::{DueText, HistoryEntry, HistoryItem, Verb, diagram};

/// Entries, each so many milliseconds after the one before.
fn items(entries: Vec<(u64, HistoryEntry)>) -> Vec<HistoryItem> {
    let mut at: DateTime<Utc> = "2026-01-05T23:59:59Z".parse().unwrap();
    let item = |(number, (after, entry)): (usize, (u64, HistoryEntry))| {
        at += Duration::from_millis(after);
        HistoryItem::new(number as u64, at, entry)
    };
    entries.into_iter().enumerate().map(item).collect()
}

fn sent(command: &str, compensation: bool) -> HistoryEntry {
    HistoryEntry::Sent {
        id: CommandId::stable([command]),
        command: command.to_owned(),
        compensation,
    }
}

fn outcome(command: &str, verdict: Verdict, attempts: u32) -> HistoryEntry {
    HistoryEntry::Outcome {
        id: CommandId::stable([command]),
        command: command.to_owned(),
        verdict,
        attempts,
        first_attempt_at: None,
        last_attempt_at: None,
    }
}

/// One of each kind, with this text wherever one can stand.
fn all(what: &str) -> Vec<(u64, HistoryEntry)> {
    let text = || what.to_owned();
    let id = Uuid::nil();
    vec![
        (
            0,
            HistoryEntry::Event {
                position: Position::START.next(),
                id: EventId::new(),
                name: text(),
                occurred_at: DateTime::UNIX_EPOCH,
            },
        ),
        (
            0,
            HistoryEntry::Decided {
                outputs: vec![text()],
            },
        ),
        (0, sent(what, false)),
        (
            0,
            HistoryEntry::TimeoutSet {
                id,
                timeout: text(),
                due: DueText::AfterMicros(1_800_000_000),
            },
        ),
        (
            0,
            HistoryEntry::TimeoutSet {
                id,
                timeout: text(),
                due: DueText::At("2026-02-01T00:00:00Z".parse().unwrap()),
            },
        ),
        (
            5,
            HistoryEntry::TimeoutCancelled {
                id,
                timeout: text(),
            },
        ),
        (
            5,
            HistoryEntry::Message {
                id,
                queue: text(),
                name: text(),
            },
        ),
        (900, outcome(what, Verdict::Succeeded, 1)),
        (
            1000,
            HistoryEntry::Timeout {
                id,
                timeout: text(),
                due_at: DateTime::UNIX_EPOCH,
            },
        ),
        (0, HistoryEntry::status(ProcessStatus::Compensating)),
        (0, sent(what, true)),
        (10, outcome(what, Verdict::GaveUp(text()), 3)),
        (10, outcome(what, Verdict::Rejected(text()), 0)),
        (
            10,
            HistoryEntry::Verb {
                verb: Verb::EditAndRetry,
                by: text(),
                reason: text(),
            },
        ),
        (10, HistoryEntry::passed_over(what)),
        (10, HistoryEntry::parked(what, what)),
        (10, HistoryEntry::Behind { input: text() }),
        (10, HistoryEntry::Skipped { input: text() }),
        (10, HistoryEntry::Unparked),
    ]
}

#[test]
fn an_instance_is_drawn_as_it_went_with_times() {
    let golden = "sequenceDiagram
    participant person as persons
    participant log as events
    participant saga as fulfilment 7
    participant work as commands
    participant clock as timeouts
    participant outbox as messages
    Note over saga: 2026-01-05
    log->>saga: 23:59:59.000 it at position 1
    saga->>work: 23:59:59.000 it
    saga->>clock: 23:59:59.000 it after 30 min
    saga->>clock: 23:59:59.000 it at 2026-02-01 00#58;00#58;00.000
    saga->>clock: 23:59:59.005 no more it
    saga->>outbox: 23:59:59.010 it to it
    work->>saga: 23:59:59.910 it succeeded
    Note over saga: 2026-01-06
    clock->>saga: 00:00:00.910 time for it
    Note over saga: 00:00:00.910 is compensating
    saga->>work: 00:00:00.910 undo by it
    work->>saga: 00:00:00.920 it, tried 3 times, gave up, it
    work->>saga: 00:00:00.930 it was rejected, it
    person->>saga: 00:00:00.940 edit and retry by it, it
    Note over saga: 00:00:00.950 not asked, it
    Note over saga: 00:00:00.960 parked at it, it
    Note over saga: 00:00:00.970 waits behind, it
    Note over saga: 00:00:00.980 left out, it
    Note over saga: 00:00:00.990 not parked any more
";
    assert_eq!(
        diagram::of_instance("fulfilment 7", &items(all("it"))),
        golden
    );
}

#[test]
fn only_those_are_drawn_with_whom_it_spoke() {
    let golden = "sequenceDiagram
    participant saga as fulfilment 7
    participant work as commands
    Note over saga: 2026-01-05
    saga->>work: 23:59:59.000 charge
";
    let items = items(vec![(0, sent("charge", false))]);
    assert_eq!(diagram::of_instance("fulfilment 7", &items), golden);
    let none = "sequenceDiagram\n    participant saga as fulfilment 7\n";
    assert_eq!(diagram::of_instance("fulfilment 7", &[]), none);
}

#[test]
fn no_text_breaks_a_sequence() {
    let lines = diagram::of_instance("x", &items(all("x"))).lines().count();
    for what in NASTY {
        // Also as it is read from a store.
        let stored = all(what).into_iter().map(|(after, entry)| {
            let payload = Payload::encode(&entry);
            let read = payload.map(|payload| serde_json::from_str(payload.as_str()).unwrap());
            (after, read.unwrap_or(entry))
        });
        let diagram = diagram::of_instance(what, &items(stored.collect()));
        assert_eq!(diagram.lines().count(), lines, "{diagram}");
        let starts = ["participant ", "Note over saga: ", "saga->>"];
        assert_lines(&diagram, |line| {
            let known = starts.iter().any(|start| line.starts_with(start))
                || line
                    .split_once("->>saga: ")
                    .is_some_and(|(from, _)| ["log", "work", "clock", "person"].contains(&from));
            known && !line.contains(['"', '%', '{', '['])
        });
    }
}
