//! [`Evidence`]: everything that the judge is shown.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    appending::Entry,
    diary::Line,
    ledger::Row,
    poison::{Attempt, Recipe},
    relief::Parked,
};

/// What there is when a phase is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// Of the ids.
    pub(crate) seed: u64,
    /// What the matter is with events.
    pub(crate) recipe: Option<Recipe>,
    /// Whether no process died of what the other subscription handled, or was killed.
    pub(crate) apart: bool,
    /// What the log has.
    pub(crate) log: BTreeMap<Entry, Logged>,
    /// What was acknowledged to those who append.
    pub(crate) acknowledged: BTreeSet<Entry>,
    /// The table, in the order in which it was written.
    pub(crate) rows: Vec<Row>,
    /// The file, likewise.
    pub(crate) diary: Vec<Line>,
    /// The attempts at poisoned events, by subscription.
    pub(crate) attempts: Tried,
    /// The same when all else was handled, before handlers were mended.
    pub(crate) tried: Tried,
    /// What was parked then, and what was asked for.
    pub(crate) parked: Vec<Parked>,
    /// What was handled by then of keys that were parked, at or behind the event that they are parked for.
    pub(crate) ahead: Vec<(&'static str, Entry)>,
    /// How many keys stayed parked when a process died while it tried them again, and were asked for once more.
    pub(crate) asked_again: u64,
    /// The keys that were parked at the end.
    pub(crate) left: Vec<String>,
    /// Processes that were killed or frozen, or could die of something else than an event.
    pub(crate) harmed: BTreeSet<u32>,
    /// Processes that died.
    pub(crate) dead: BTreeSet<u32>,
    /// How often the server was killed.
    pub(crate) servers: u64,
    /// Subscriptions that have stopped of their own accord, and why.
    pub(crate) stops: Vec<String>,
    /// Processes that ended otherwise than they had to.
    pub(crate) ends: Vec<String>,
}

/// Attempts by subscription and event.
pub(crate) type Tried = BTreeMap<(&'static str, Entry), Vec<Attempt>>;

/// An event of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) position: u64,
    pub(crate) id: u128,
}
