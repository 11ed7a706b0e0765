//! [`Evidence`]: everything that the judge is shown.

use std::collections::{BTreeMap, BTreeSet};

use super::{appending::Entry, diary::Line, ledger::Row, poison::Attempt};

/// What there is when a phase is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// Of the poison.
    pub(crate) seed: u64,
    /// What the log has.
    pub(crate) log: BTreeMap<Entry, Logged>,
    /// What was acknowledged to those who append.
    pub(crate) acknowledged: BTreeSet<Entry>,
    /// The table, in the order in which it was written.
    pub(crate) rows: Vec<Row>,
    /// The file, likewise.
    pub(crate) diary: Vec<Line>,
    /// The attempts at poisoned events, by subscription.
    pub(crate) attempts: BTreeMap<(&'static str, Entry), Vec<Attempt>>,
    /// Subscriptions that have stopped of their own accord, and why.
    pub(crate) stops: Vec<String>,
    /// Processes that ended otherwise than they had to.
    pub(crate) ends: Vec<String>,
}

/// An event of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) position: u64,
    pub(crate) id: u128,
}
