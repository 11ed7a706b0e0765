//! What a reader was given, against the log.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Stored;
use crate::sequence::Sequence;

/// What a reader was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReaderVerdict {
    /// Which reader.
    pub name: String,
    /// How many events it was given.
    pub delivered: u64,
    /// Events of the log that it was not given.
    pub skipped: u64,
    /// Events that it was given again.
    pub redelivered: u64,
    /// Events that came after one with a higher position.
    pub disordered: u64,
    /// Events that came after one of the same stream with a higher version.
    pub inverted: u64,
    /// Events that are not in the log, or not there.
    pub phantoms: u64,
    /// Checkpoints that are not the place of an event.
    pub checkpoints: u64,
    /// Whether it came to the end.
    pub finished: bool,
}

impl ReaderVerdict {
    /// The laws that were broken, with how often.
    pub fn breaches(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("skipped", self.skipped),
            ("redelivered", self.redelivered),
            ("disordered", self.disordered.max(self.inverted)),
            ("phantoms", self.phantoms),
            ("checkpoints", self.checkpoints),
            ("unfinished", u64::from(!self.finished)),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
    }

    /// Whether the reader was given exactly the log.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.breaches().next().is_none()
    }
}

/// Compares what a reader was given with the log.
#[must_use]
pub fn judge_reader(sequence: &Sequence, stored: &Stored) -> ReaderVerdict {
    // The log is in the order of positions, and most ranges are short.
    let (after, up_to) = sequence.range.unwrap_or((i64::MIN, i64::MAX));
    let from = stored
        .events
        .partition_point(|event| event.position <= after);
    let to = stored
        .events
        .partition_point(|event| event.position <= up_to);
    let events = stored.events.get(from..to).unwrap_or_default();
    let in_category = |stream: i64| {
        let category = stored
            .name(stream)
            .split_once('-')
            .map(|(category, _)| category);
        sequence
            .category
            .as_deref()
            .is_none_or(|wanted| category == Some(wanted))
    };
    let mut times: HashMap<(i64, u128), u64> = HashMap::with_capacity(events.len());
    let mut places = HashMap::with_capacity(events.len());
    for event in events.iter().filter(|event| in_category(event.stream)) {
        times.insert((event.position, event.id), 0);
        places.insert(event.id, (event.stream, event.version));
    }

    let mut verdict = ReaderVerdict {
        name: sequence.name.clone(),
        delivered: sequence.events.len() as u64,
        finished: sequence.finished,
        ..ReaderVerdict::default()
    };
    let mut highest = i64::MIN;
    let mut versions: HashMap<i64, i64> = HashMap::new();
    for (position, id) in &sequence.events {
        match times.get_mut(&(*position, *id)) {
            Some(times) => {
                *times += 1;
                verdict.redelivered += u64::from(*times > 1);
            }
            None => verdict.phantoms += 1,
        }
        verdict.disordered += u64::from(*position < highest);
        highest = highest.max(*position);
        if let Some((stream, version)) = places.get(id) {
            let seen = versions.entry(*stream).or_default();
            verdict.inverted += u64::from(*version < *seen);
            *seen = (*seen).max(*version);
        }
    }
    // A checkpoint may be at an event that the reader did not want.
    let is_event = |(position, id): &(i64, u128)| {
        let place = stored
            .events
            .binary_search_by_key(position, |event| event.position);
        place.is_ok_and(|place| stored.events[place].id == *id)
    };
    verdict.checkpoints = sequence
        .checkpoints
        .iter()
        .filter(|checkpoint| !is_event(checkpoint))
        .count() as u64;
    verdict.skipped = times.values().filter(|times| **times == 0).count() as u64;
    verdict
}
