//! The judge of rebuilds: folds the log by itself, and compares it with the documents of a generation, byte for byte.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, num::NonZeroU16};

use uno_core::{Lane, Position};

use super::books::{ALL, Book, CATEGORY};

/// What must never be.
pub const LAWS: &[(&str, &str)] = &[
    (
        "no fold",
        "generations that are not a fold of the log up to their checkpoints, byte for byte",
    ),
    (
        "behind",
        "generations that are not a fold of the whole log when all is quiet",
    ),
    (
        "left over",
        "dropped generations of which documents are left when all is quiet",
    ),
    ("read failed", "reads that failed"),
    (
        "mixed",
        "reads of more than one state, or of more than one generation",
    ),
    ("unread", "reads that saw less than one before them"),
    (
        "wait failed",
        "waits for what was appended that came to nothing",
    ),
    (
        "waited in vain",
        "reads that saw less than what was waited for before them",
    ),
    (
        "failed",
        "rebuilds, returns and drops that failed for no reason of ours",
    ),
    (
        "stuck",
        "rebuilds, returns and drops that did not come to an end",
    ),
    ("parked", "keys that are parked, though no event fails"),
    ("process", "processes that ended by themselves"),
];

/// An event of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) position: i64,
    pub(crate) account: String,
    pub(crate) cents: i64,
}

/// What there is at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Where each lane of the generation is.
    pub(crate) lanes: Vec<i64>,
    pub(crate) documents: BTreeMap<String, String>,
    /// What the log has after a place that was asked for.
    pub(crate) log: Vec<Logged>,
}

/// What the judge knows of the log: as far as a checkpoint says that nothing more comes before it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Folder {
    log: Vec<Logged>,
}

impl Folder {
    /// The last event that is known for good.
    pub(crate) fn last(&self) -> i64 {
        self.log.last().map_or(0, |event| event.position)
    }

    /// How many events are known.
    pub(crate) fn events(&self) -> u64 {
        self.log.len() as u64
    }

    /// What is not as it should be in a snapshot that has the log after [`last`](Self::last).
    pub(crate) fn judge(&mut self, snapshot: &Snapshot) -> Option<String> {
        let known = self.log.len();
        self.log.extend(snapshot.log.iter().cloned());
        let expected = self.fold(&snapshot.lanes);
        let furthest = snapshot.lanes.iter().copied().max().unwrap_or_default();
        // An event beyond it may yet be followed by one at a lower position.
        let sure = self.log.partition_point(|event| event.position <= furthest);
        self.log.truncate(sure.max(known));
        difference(&expected, &snapshot.documents)
    }

    /// The same when nothing is written any more: all of the log is to be in the documents.
    pub(crate) fn judge_whole(&mut self, snapshot: &Snapshot) -> Option<String> {
        self.log.extend(snapshot.log.iter().cloned());
        difference(&self.fold(&[i64::MAX]), &snapshot.documents)
    }

    /// What the documents are, if each lane has come so far.
    fn fold(&self, lanes: &[i64]) -> BTreeMap<String, String> {
        let count = u16::try_from(lanes.len()).ok().and_then(NonZeroU16::new);
        let Some(count) = count else {
            return BTreeMap::new();
        };
        let mut books: BTreeMap<&str, (Book, usize)> = BTreeMap::new();
        let mut all = Book::default();
        for event in &self.log {
            let account = event.account.as_str();
            let (book, lane) = books.entry(account).or_insert_with(|| {
                let lane = Lane::of(&format!("{CATEGORY}-{account}"), count);
                (Book::default(), usize::from(lane.get()))
            });
            if event.position <= lanes[*lane] {
                let position = Position::new(event.position.cast_unsigned());
                let position = position.unwrap_or(Position::START);
                *book = std::mem::take(book).with(false, position, event.cents);
                all = all.with(true, position, event.cents);
            }
        }
        let mut texts: BTreeMap<String, String> = books
            .into_iter()
            .filter(|(_, (book, _))| book.events > 0)
            .map(|(account, (book, _))| (account.to_owned(), text(&book)))
            .collect();
        if all.events > 0 {
            texts.insert(ALL.to_owned(), text(&all));
        }
        texts
    }
}

/// How a book is stored. By hand, so that nothing of the framework is between us and the bytes.
fn text(book: &Book) -> String {
    let Book {
        events,
        cents,
        chain,
    } = book;
    format!(r#"{{"events":{events},"cents":{cents},"chain":{chain}}}"#)
}

fn difference(
    expected: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
) -> Option<String> {
    let keys = expected.keys().chain(found.keys());
    let mut wrong = keys.filter(|key| expected.get(*key) != found.get(*key));
    let key = wrong.next()?;
    let (is, be) = (found.get(key), expected.get(key));
    Some(format!("{key} is {is:?} and should be {be:?}"))
}
