//! [`of_instance`]: one instance as it went.

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, Utc};
use uno_cqrs::Verdict;

use super::text::{span, text};
use crate::{DueText, HistoryEntry, HistoryItem, Verb};

/// What an instance went through, from its history (`SagaRunner::history`), as a sequence diagram with the
/// times at which it was recorded (UTC, by the store's clock).
///
/// ```
/// # async fn show<S: uno_saga::Saga, B: uno_core::Backend>(runner: uno_saga::SagaRunner<S, B>) -> Result<(), uno_saga::SagaError> {
/// let history = runner.history("1742", 0, 1000).await?;
/// let diagram = uno_saga::diagram::of_instance("fulfilment 1742", &history);
/// # Ok(()) }
/// ```
#[must_use]
pub fn of_instance(title: &str, history: &[HistoryItem]) -> String {
    let mut sequence = Sequence::default();
    for item in history {
        sequence.tell(item);
    }
    let mut diagram = "sequenceDiagram\n".to_owned();
    for (lane, used) in LANES.iter().zip(sequence.used) {
        let shown = match lane.id {
            "saga" => text(title),
            _ => lane.shown.to_owned(),
        };
        if used || lane.id == "saga" {
            // Writing to a string does not fail.
            let _ = writeln!(diagram, "    participant {} as {shown}", lane.id);
        }
    }
    diagram + &sequence.lines
}

struct Lane {
    id: &'static str,
    shown: &'static str,
}

/// Whom the instance speaks with, from left to right.
const LANES: [Lane; 6] = [
    lane("person", "persons"),
    lane("log", "events"),
    lane("saga", ""),
    lane("work", "commands"),
    lane("clock", "timeouts"),
    lane("outbox", "messages"),
];

const fn lane(id: &'static str, shown: &'static str) -> Lane {
    Lane { id, shown }
}

#[derive(Default)]
struct Sequence {
    lines: String,
    used: [bool; LANES.len()],
    day: Option<NaiveDate>,
}

impl Sequence {
    fn tell(&mut self, item: &HistoryItem) {
        let at = item.recorded_at();
        let day = at.date_naive();
        if self.day.replace(day) != Some(day) {
            self.line(&format!("Note over saga: {day}"));
        }
        match item.entry() {
            HistoryEntry::Event { position, name, .. } => {
                self.hears("log", at, &format!("{name} at position {position}"));
            }
            HistoryEntry::Outcome {
                command,
                verdict,
                attempts,
                ..
            } => self.hears("work", at, &outcome(command, verdict, *attempts)),
            HistoryEntry::Timeout { timeout, .. } => {
                self.hears("clock", at, &format!("time for {timeout}"));
            }
            HistoryEntry::Verb { verb, by, reason } => {
                let what = format!("{} by {by}, {reason}", word(*verb));
                self.hears("person", at, &what);
            }
            // What was said is told by what was done.
            HistoryEntry::Decided { .. } => {}
            HistoryEntry::PassedOver { why } => self.note(at, &format!("not asked, {why}")),
            HistoryEntry::Sent {
                command,
                compensation,
                ..
            } => {
                let what = match compensation {
                    true => format!("undo by {command}"),
                    false => command.clone(),
                };
                self.says("work", at, &what);
            }
            HistoryEntry::Message { queue, name, .. } => {
                self.says("outbox", at, &format!("{name} to {queue}"));
            }
            HistoryEntry::TimeoutSet { timeout, due, .. } => {
                self.says("clock", at, &format!("{timeout} {}", due_text(due)));
            }
            HistoryEntry::TimeoutCancelled { timeout, .. } => {
                self.says("clock", at, &format!("no more {timeout}"));
            }
            HistoryEntry::Status { to } => self.note(at, &format!("is {to}")),
            HistoryEntry::Parked { input, reason } => {
                self.note(at, &format!("parked at {input}, {reason}"));
            }
            HistoryEntry::Behind { input } => self.note(at, &format!("waits behind, {input}")),
            HistoryEntry::Skipped { input } => self.note(at, &format!("left out, {input}")),
            HistoryEntry::Unparked => self.note(at, "not parked any more"),
        }
    }

    /// Something comes to the instance.
    fn hears(&mut self, from: &'static str, at: DateTime<Utc>, what: &str) {
        self.uses(from);
        self.line(&format!("{from}->>saga: {} {}", time(at), text(what)));
    }

    /// The instance wants something.
    fn says(&mut self, to: &'static str, at: DateTime<Utc>, what: &str) {
        self.uses(to);
        self.line(&format!("saga->>{to}: {} {}", time(at), text(what)));
    }

    fn note(&mut self, at: DateTime<Utc>, what: &str) {
        self.line(&format!("Note over saga: {} {}", time(at), text(what)));
    }

    fn uses(&mut self, id: &str) {
        for (lane, used) in LANES.iter().zip(&mut self.used) {
            *used |= lane.id == id;
        }
    }

    fn line(&mut self, line: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.lines, "    {line}");
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%H:%M:%S%.3f").to_string()
}

fn outcome(command: &str, verdict: &Verdict, attempts: u32) -> String {
    let ended = match verdict {
        Verdict::Succeeded => "succeeded".to_owned(),
        Verdict::Rejected(reason) => format!("was rejected, {reason}"),
        Verdict::GaveUp(reason) => format!("gave up, {reason}"),
        other => format!("{other:?}"),
    };
    match attempts {
        0 | 1 => format!("{command} {ended}"),
        // Before the reason, which may be long.
        more => format!("{command}, tried {more} times, {ended}"),
    }
}

fn due_text(due: &DueText) -> String {
    match due {
        DueText::AfterMicros(micros) => {
            format!("after {}", span(std::time::Duration::from_micros(*micros)))
        }
        DueText::At(at) => format!("at {}", at.format("%F %T%.3f")),
    }
}

const fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Retry => "retry",
        Verb::Resume => "resume",
        Verb::EditAndRetry => "edit and retry",
        Verb::Cancel => "cancel",
        Verb::RetryParked => "retry what is parked",
        Verb::SkipParked => "skip what is parked first",
        Verb::DiscardParked => "discard what is parked",
    }
}
