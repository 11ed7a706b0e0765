//! [`HistoryEntry`]: what an instance went through. Stored format: version with care.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uno_core::{BoxError, CommandId, EventId, HistoryRecord, Payload, Position, ProcessStatus};
use uno_cqrs::{CommandOutcome, Verdict};
use uuid::Uuid;

/// Something that happened to an instance.
///
/// What an entry causes follows it: the input, what the saga said, what was sent. Bodies of events and commands are not
/// copied; an event is found in the log by its position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HistoryEntry {
    /// An event was routed to it.
    Event {
        /// Where the event is.
        position: Position,
        /// Its id.
        id: EventId,
        /// Its name.
        name: String,
        /// When it happened.
        occurred_at: DateTime<Utc>,
    },
    /// A command that it sent has an outcome.
    Outcome {
        /// Which command.
        id: CommandId,
        /// The command's name.
        command: String,
        /// How it ended.
        verdict: Verdict,
        /// How often it was tried.
        attempts: u32,
        /// When it was tried first, by the worker's clock.
        first_attempt_at: Option<DateTime<Utc>>,
        /// When it was tried last, by the worker's clock.
        last_attempt_at: Option<DateTime<Utc>>,
    },
    /// A timeout has fired.
    Timeout {
        /// Its id.
        id: Uuid,
        /// The timeout as JSON text.
        timeout: String,
        /// When it was due, by the store's clock.
        due_at: DateTime<Utc>,
    },
    /// A person did something.
    Verb {
        /// What.
        verb: Verb,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// What the saga said to the input before, in words.
    Decided {
        /// One line for each output.
        outputs: Vec<String>,
    },
    /// The saga was not asked about the input before.
    PassedOver {
        /// Why not.
        why: String,
    },
    /// A command was sent.
    Sent {
        /// Its id.
        id: CommandId,
        /// Its name.
        command: String,
        /// Whether it is a compensation.
        compensation: bool,
    },
    /// A message was put into an outbox queue.
    Message {
        /// Its id.
        id: Uuid,
        /// Which queue.
        queue: String,
        /// Its name.
        name: String,
    },
    /// A timeout was set.
    TimeoutSet {
        /// Its id.
        id: Uuid,
        /// The timeout as JSON text.
        timeout: String,
        /// When it will be due.
        due: DueText,
    },
    /// A timeout was cancelled, or moved by setting it again.
    TimeoutCancelled {
        /// Its id.
        id: Uuid,
        /// The timeout as JSON text.
        timeout: String,
    },
    /// It stands otherwise than before.
    Status {
        /// As [`ProcessStatus::as_str`] says.
        to: String,
    },
    /// It could not take an input, which was set aside.
    Parked {
        /// The input.
        input: String,
        /// Why.
        reason: String,
    },
    /// An input was put behind those that are parked.
    Behind {
        /// The input.
        input: String,
    },
    /// A parked input was left out.
    Skipped {
        /// The input.
        input: String,
    },
    /// No input is parked any more.
    Unparked,
}

/// When a timeout was to be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DueText {
    /// So many microseconds after the entry was recorded.
    AfterMicros(u64),
    /// At this time.
    At(DateTime<Utc>),
}

impl DueText {
    pub(crate) fn after(wait: Duration) -> Self {
        Self::AfterMicros(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX))
    }
}

/// What a person did with an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verb {
    /// Sent the compensation that failed again.
    Retry,
    /// Took the compensation that failed for done.
    Resume,
    /// Changed the compensation that failed, and sent it.
    EditAndRetry,
    /// Ended it as it was.
    Cancel,
    /// Had its parked inputs handled.
    RetryParked,
    /// Left out the first parked input.
    SkipParked,
    /// Left out all parked inputs.
    DiscardParked,
}

impl HistoryEntry {
    pub(crate) fn outcome(outcome: &CommandOutcome) -> Self {
        Self::Outcome {
            id: outcome.command_id(),
            command: outcome.command().to_owned(),
            verdict: outcome.verdict().clone(),
            attempts: outcome.attempts(),
            first_attempt_at: outcome.first_attempt_at(),
            last_attempt_at: outcome.last_attempt_at(),
        }
    }

    pub(crate) fn status(to: ProcessStatus) -> Self {
        Self::Status {
            to: to.as_str().to_owned(),
        }
    }

    pub(crate) fn passed_over(why: impl Into<String>) -> Self {
        Self::PassedOver { why: why.into() }
    }

    pub(crate) fn parked(input: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Parked {
            input: input.into(),
            reason: reason.into(),
        }
    }
}

/// An entry in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryItem {
    number: u64,
    recorded_at: DateTime<Utc>,
    entry: HistoryEntry,
}

impl HistoryItem {
    #[cfg(test)]
    pub(crate) fn new(number: u64, recorded_at: DateTime<Utc>, entry: HistoryEntry) -> Self {
        Self {
            number,
            recorded_at,
            entry,
        }
    }

    pub(crate) fn read(record: &HistoryRecord) -> Result<Self, BoxError> {
        Ok(Self {
            number: record.number(),
            recorded_at: record.recorded_at(),
            entry: serde_json::from_str(record.entry().as_str())?,
        })
    }

    /// Its place: numbers rise along the history, with holes.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When it was recorded, by the store's clock.
    #[must_use]
    pub fn recorded_at(&self) -> DateTime<Utc> {
        self.recorded_at
    }

    /// What happened.
    #[must_use]
    pub fn entry(&self) -> &HistoryEntry {
        &self.entry
    }
}

/// How many entries a save may have: their numbers are its revision, and behind it their place.
const ENTRIES: u64 = 1 << 20;

/// The number of the first entry of the save that makes this revision.
///
/// It is derived from the revision, and not from a counter in the instance, because what is told of an instance that can't be
/// decoded must have a number too.
pub(crate) const fn first_entry(revision: u64) -> u64 {
    revision.saturating_mul(ENTRIES)
}

/// Entries as they are stored. Those that do not fit the numbers of one save, or can't be encoded, are told of by one in their place.
pub(crate) fn encode(entries: &[HistoryEntry]) -> Vec<Payload> {
    let most = usize::try_from(ENTRIES).unwrap_or(usize::MAX) - 1;
    let lost = |what: &str| {
        let entry = HistoryEntry::passed_over(what);
        Payload::encode(&entry).ok()
    };
    let kept = entries.iter().take(most).filter_map(|entry| {
        Payload::encode(entry)
            .ok()
            .or_else(|| lost("an entry could not be stored"))
    });
    let mut payloads: Vec<_> = kept.collect();
    if entries.len() > most {
        payloads.extend(lost("more happened than one save can tell"));
    }
    payloads
}
