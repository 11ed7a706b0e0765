//! The judge: compares what the ledger says, what the database holds, and what each reader was given.
//!
//! It is told nothing by the store: the log comes from the judge's own SQL, the rest from files.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::{
    ledger::{Batch, History, Outcome},
    sequence::Sequence,
    tally::Tally,
};

pub(crate) mod process;

mod readers;
mod stored;
#[cfg(test)]
mod tests;

pub use readers::{ReaderVerdict, judge_reader};
pub use stored::{Stored, StoredEvent};

/// The laws, each with what a breach of it is.
pub const LAWS: [(&str, &str); 22] = [
    ("lost", "acknowledged events that are not stored"),
    (
        "unintended",
        "stored events that nobody intended, or in another stream than intended",
    ),
    (
        "resurrected",
        "stored events of batches that certainly failed",
    ),
    ("doubled", "events stored twice"),
    ("halved", "batches stored in part"),
    (
        "holes",
        "versions that do not follow the one before, in the order of positions",
    ),
    (
        "shuffled",
        "batches whose events do not stand together and in order in their stream",
    ),
    ("receipts", "receipts that say something else than the log"),
    (
        "repeats",
        "appends of the same events again with another receipt than the first",
    ),
    (
        "rows",
        "rows of a unit of work without its events, events without its row, or rows twice",
    ),
    ("payloads", "events with another payload than their own"),
    (
        "recorded",
        "times of recording that fall from one position to the next",
    ),
    (
        "stream-rows",
        "streams whose own record is not at the version of their last event",
    ),
    ("skipped", "events that a reader was not given"),
    ("redelivered", "events that a reader was given twice"),
    (
        "disordered",
        "events that a reader was given after one with a higher position",
    ),
    (
        "phantoms",
        "events that a reader was given and that are not in the log",
    ),
    (
        "checkpoints",
        "checkpoints a reader was offered that are not the place of a committed event",
    ),
    (
        "own-appends",
        "appends that their own store did not find in the stream right after",
    ),
    ("unfinished", "readers that did not come to the end"),
    ("deadlocks", "deadlocks"),
    ("unexplained", "errors that nothing explains"),
];

/// What the judge found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// Breaches of each law; laws that were kept are left out.
    pub broken: Tally,
    /// What was looked at.
    pub facts: Tally,
    /// What each reader was given.
    pub readers: Vec<ReaderVerdict>,
    /// The first breaches, in words.
    pub examples: Vec<String>,
}

impl Verdict {
    /// Counts a breach, and keeps the first few in words.
    pub fn breach(&mut self, law: &str, count: u64, example: impl FnOnce() -> String) {
        if count == 0 {
            return;
        }
        self.broken.add(law, count);
        if self.examples.len() < 20 {
            self.examples.push(format!("{law}: {}", example()));
        }
    }
}

/// Judges a log and its readers. Writers must have ended, or what is under way is taken for lost.
#[must_use]
pub fn judge(history: &History, stored: &Stored, sequences: &[Sequence]) -> Verdict {
    let mut verdict = Verdict::default();
    for message in &history.unexplained {
        verdict.breach("unexplained", 1, || message.clone());
    }
    let found = judge_log(history, stored, &mut verdict);
    for (number, batch) in &history.batches {
        judge_batch(
            *number,
            batch,
            found.get(number).map_or(&[], Vec::as_slice),
            stored,
            &mut verdict,
        );
    }
    for (batch, rows) in &stored.rows {
        if history.batches.get(batch).is_none_or(|batch| !batch.rows) {
            verdict.breach("rows", *rows, || {
                format!("{rows} of batch {batch}, which has none")
            });
        }
    }
    for sequence in sequences {
        let reader = judge_reader(sequence, stored);
        for (law, count) in reader.breaches() {
            verdict.breach(law, count, || {
                format!("{count} by reader {}", sequence.name)
            });
        }
        for message in &sequence.unexplained {
            verdict.breach("unexplained", 1, || {
                format!("reader {}: {message}", sequence.name)
            });
        }
        verdict.facts.add("delivered", reader.delivered);
        verdict.facts.add("readings", 1);
        verdict.readers.push(reader);
    }
    verdict
}

/// The stored events of each batch, as (index, place in the log).
type Found = HashMap<u64, Vec<(u32, usize)>>;

/// What can be said of the log by itself, and which events belong to which batch.
fn judge_log(history: &History, stored: &Stored, verdict: &mut Verdict) -> Found {
    let mut found: Found = HashMap::new();
    let mut ids = HashSet::with_capacity(stored.events.len());
    let mut versions: HashMap<i64, i64> = HashMap::new();
    let mut recorded = i64::MIN;
    for (place, event) in stored.events.iter().enumerate() {
        let position = event.position;
        if !ids.insert(event.id) {
            verdict.breach("doubled", 1, || {
                format!("{:032x} again at position {position}", event.id)
            });
        }
        match history.space.parse(event.id) {
            Some((batch, index)) => found.entry(batch).or_default().push((index, place)),
            None => verdict.breach("unintended", 1, || {
                format!("{:032x} at position {position}", event.id)
            }),
        }
        let version = versions.entry(event.stream).or_default();
        if event.version != *version + 1 {
            let (stream, before) = (stored.name(event.stream), *version);
            verdict.breach("holes", 1, || {
                format!(
                    "{stream} has version {} after {before}, at position {position}",
                    event.version
                )
            });
        }
        *version = (*version).max(event.version);
        if stored.times_rise && event.recorded < recorded {
            let by = recorded - event.recorded;
            verdict.breach("recorded", 1, || {
                format!("by {by} µs at position {position}")
            });
        }
        recorded = recorded.max(event.recorded);
        if !event.own_payload {
            verdict.breach("payloads", 1, || {
                format!("{:032x} at position {position}", event.id)
            });
        }
    }
    for (stream, (name, version)) in &stored.streams {
        let last = versions.get(stream).copied().unwrap_or_default();
        if let Some(version) = version.filter(|version| *version != last) {
            verdict.breach("stream-rows", 1, || {
                format!("{name} is at {version}, its last event has {last}")
            });
        }
    }
    for batch in found
        .keys()
        .filter(|batch| !history.batches.contains_key(batch))
    {
        verdict.breach("unintended", 1, || format!("batch {batch}"));
    }
    verdict.facts.add("stored", stored.events.len() as u64);
    verdict.facts.add("streams", versions.len() as u64);
    let holes = stored
        .events
        .windows(2)
        .filter(|pair| pair[1].position != pair[0].position + 1)
        .count();
    verdict.facts.add("gaps between positions", holes as u64);
    found
}

fn judge_batch(
    number: u64,
    batch: &Batch,
    found: &[(u32, usize)],
    stored: &Stored,
    verdict: &mut Verdict,
) {
    let wanted = History::events(batch);
    let present = found.len() as u64;
    verdict.facts.add("batches", 1);
    count_outcome(batch, present > 0, verdict);

    if present != 0 && present != wanted {
        verdict.breach("halved", 1, || {
            format!("batch {number} has {present} of {wanted} events")
        });
    }
    match &batch.outcome {
        Outcome::Acknowledged { position, streams } => {
            verdict.facts.add("acknowledged", wanted);
            if present < wanted {
                verdict.breach("lost", wanted - present, || {
                    format!("{} of {wanted} of batch {number}", wanted - present)
                });
            } else if !receipt_fits(*position, streams, batch, found, stored) {
                verdict.breach("receipts", 1, || {
                    format!("batch {number}: position {position}, {streams:?}")
                });
            }
        }
        Outcome::Failed(why) => {
            verdict.breach("resurrected", present, || format!("batch {number}, {why}"));
        }
        Outcome::Unknown => {}
    }
    verdict.breach("repeats", batch.repeated.1, || format!("batch {number}"));

    let rows = stored.rows.get(&number).copied().unwrap_or_default();
    if batch.rows && rows != u64::from(present > 0) {
        verdict.breach("rows", 1, || {
            format!("batch {number} has {rows} rows and {present} events")
        });
    }
    judge_places(number, batch, found, stored, verdict);
}

fn count_outcome(batch: &Batch, present: bool, verdict: &mut Verdict) {
    let facts = &mut verdict.facts;
    facts.add("appended again", batch.repeated.0);
    match &batch.outcome {
        Outcome::Failed(why) => facts.add(&format!("failed: {why}"), 1),
        Outcome::Acknowledged { .. } => facts.add("acknowledged batches", 1),
        Outcome::Unknown => {}
    }
    let doubt = match &batch.outcome {
        Outcome::Unknown if present => "unknown: left, stored",
        Outcome::Unknown => "unknown: left, absent",
        Outcome::Acknowledged { .. } => "unknown: resolved, stored",
        Outcome::Failed(_) => "unknown: resolved, absent",
    };
    if batch.doubted || batch.outcome == Outcome::Unknown {
        facts.add("unknown", 1);
        facts.add(doubt, 1);
    }
}

/// Whether each event is in its stream, next to its neighbours of the batch.
fn judge_places(
    number: u64,
    batch: &Batch,
    found: &[(u32, usize)],
    stored: &Stored,
    verdict: &mut Verdict,
) {
    // By index: of each index its event.
    let events: HashMap<u32, &StoredEvent> = found
        .iter()
        .map(|(index, place)| (*index, &stored.events[*place]))
        .collect();
    let mut first = 0;
    for (stream, count) in &batch.streams {
        let mut before: Option<&StoredEvent> = None;
        for index in first..first + count {
            let Some(event) = events.get(&index).copied() else {
                continue;
            };
            if stored.name(event.stream) != stream {
                let in_stream = stored.name(event.stream);
                verdict.breach("unintended", 1, || {
                    format!("event {index} of batch {number} in {in_stream} instead of {stream}")
                });
            }
            if before.is_some_and(|before| {
                event.version != before.version + 1 || event.position <= before.position
            }) {
                verdict.breach("shuffled", 1, || {
                    format!("event {index} of batch {number} in {stream}")
                });
            }
            before = Some(event);
        }
        first += count;
    }
    let beyond = found.iter().filter(|(index, _)| *index >= first).count() as u64;
    verdict.breach("unintended", beyond, || {
        format!("{beyond} events beyond the last of batch {number}")
    });
}

fn receipt_fits(
    position: u64,
    streams: &[(String, u64)],
    batch: &Batch,
    found: &[(u32, usize)],
    stored: &Stored,
) -> bool {
    let events = found.iter().map(|(_, place)| &stored.events[*place]);
    let last = events.clone().map(|event| event.position).max();
    let fits = |(stream, first): &(String, u64)| {
        let lowest = events
            .clone()
            .filter(|event| stored.name(event.stream) == stream)
            .map(|event| event.version)
            .min();
        lowest.map(i64::cast_unsigned) == Some(*first)
    };
    // Who writes by COPY is not told positions.
    (position == 0 || last.map(i64::cast_unsigned) == Some(position))
        && streams.len() == batch.streams.len()
        && streams.iter().all(fits)
}
