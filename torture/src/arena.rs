//! [`Arena`]: a log of its own in one of the stores, for the campaigns that all stores go through.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use uno_core::{Backend, Transactional, Work};

use crate::{campaign::Grounds, judge::Verdict, ledger::Ledger};

mod postgres;
mod sqlite;

pub use postgres::PostgresArena;
pub use sqlite::SqliteArena;

/// The transaction of an arena's store.
pub type TxOf<A> = <<A as Arena>::Store as Transactional>::Tx;

/// A log of its own: handles on it as if each were a process of its own, and a way to look at it past the store.
pub trait Arena: Sized + Send + Sync + 'static {
    /// The store.
    type Store: Backend<Tx: 'static> + Clone + 'static;
    /// A session of our own, past the store.
    type Outside: Send;

    /// The store's name for people.
    const NAME: &'static str;

    /// An empty log.
    fn open(
        grounds: &Grounds,
        seed: u64,
        name: &str,
    ) -> impl Future<Output = Result<Arc<Self>>> + Send;

    /// What was intended and what became of it.
    fn ledger(&self) -> &Ledger;

    /// New handles on the log, each with what is particular about it. What one does is known by its place in this list.
    fn stores(&self) -> impl Future<Output = Result<Vec<(&'static str, Self::Store)>>> + Send;

    /// Work in a unit of work: writes the user's row of a batch, waits, and fails if it is told to.
    fn row(&self, batch: u64, pause: Duration, fail: bool) -> Work<TxOf<Self>>;

    /// Work that takes its time within the database.
    fn slow(&self, pause: Duration) -> Work<TxOf<Self>>;

    /// A session of our own.
    fn outside(&self) -> impl Future<Output = Result<Self::Outside>> + Send;

    /// Whether another session sees the row and the first event of a batch.
    fn sees(
        &self,
        outside: &mut Self::Outside,
        batch: u64,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// How many transactions the store with this place leaves open, though nothing asks it for anything.
    fn left_open(
        &self,
        outside: &mut Self::Outside,
        store: usize,
    ) -> impl Future<Output = Result<u64>> + Send;

    /// Waits until nothing is under way any more. Gives how much still is, after the longest time that anything may take.
    fn settle(&self, outside: &mut Self::Outside) -> impl Future<Output = Result<u64>> + Send;

    /// How many commits of an event, a document, a message and a process are there in part.
    fn halves(&self, outside: &mut Self::Outside) -> impl Future<Output = Result<u64>> + Send;

    /// How many deadlocks there were since it was opened.
    fn deadlocks(&self) -> u64;

    /// What the judge says.
    fn judge(&self) -> impl Future<Output = Result<Verdict>> + Send;

    /// Removes a log in which nothing was wrong.
    fn clear_away(&self) -> impl Future<Output = Result<()>> + Send;
}

/// Where plain commits put the document, the message and the process that go with their first event, and are named after it.
pub(crate) const PLACE: &str = "torture";
/// The category of those commits' streams.
pub(crate) const WHOLE: &str = "whole";
