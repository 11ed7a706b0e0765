//! The campaign against cancellation: every future of a store is polled a few times, or for a while, and dropped.
//!
//! After each drop the store must do the next thing as if nothing had been, another session must see it, and in the end no
//! transaction is open and no commit is there in part. The control does the same to the driver itself, and loses rows.

mod calls;
mod control;
mod dropping;
mod sharing;

use std::{fmt, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use tokio::{task::JoinSet, time::timeout};
use uno_core::{Commit, EventStore as _, ReadStream, StreamId, Transactional as _};

use self::{calls::Call, dropping::Dropped};
use crate::{
    arena::Arena,
    campaign::{
        Grounds,
        batch::{Draft, Part},
        plan::mix,
    },
    tally::Tally,
};

pub use control::{Driver, postgres_control, sqlite_control};

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Of which store.
    pub store: &'static str,
    /// How many futures were dropped, by what they were of.
    pub dropped: Tally,
    /// How many had come to their end before.
    pub ended: u64,
    /// What the judge looked at.
    pub facts: Tally,
    /// What was harmed.
    pub harm: Tally,
    /// In words.
    pub examples: Vec<String>,
}

/// How long the store may take for the next thing after a drop.
const NEXT_WITHIN: Duration = Duration::from_secs(20);

/// Drops so many futures of one kind of store, spread over its stores and calls.
///
/// # Errors
/// When the campaign can't be run; harm is no error.
pub async fn run<A: Arena>(grounds: &Grounds, seed: u64, drops: u64) -> Result<Report> {
    let arena = A::open(grounds, seed, "cancel").await?;
    let stores = arena.stores().await?;
    let share = drops.div_ceil(stores.len() as u64);
    let mut tasks = JoinSet::new();
    for (number, (name, store)) in stores.iter().enumerate() {
        let mistreated = Mistreated {
            arena: Arc::clone(&arena),
            store: store.clone(),
            name,
            number,
            rng: Rng::with_seed(mix(seed, number as u64)),
        };
        tasks.spawn(mistreated.run(share));
    }
    let mut report = Report::new(A::NAME);
    while let Some(task) = tasks.join_next().await {
        let part = task.context("a part of the campaign panicked")??;
        report.dropped.add_all(&part.dropped);
        report.ended += part.ended;
        report.harm.add_all(&part.harm);
        report.examples.extend(part.examples);
    }
    // The stores are still there: what one of them leaves open is seen.
    let mut outside = arena.outside().await?;
    let open = arena.settle(&mut outside).await?;
    report
        .harm
        .add("transactions that are open when all is quiet", open);
    let verdict = arena.judge().await?;
    report.harm.add_all(&verdict.broken);
    report.examples.extend(verdict.examples);
    let halves = arena.halves(&mut outside).await?;
    report.harm.add("commits of which a part is there", halves);
    report.facts = verdict.facts;
    if report.is_good() {
        drop((stores, outside));
        arena.clear_away().await?;
    }
    Ok(report)
}

/// A store and what is done to it.
pub(crate) struct Mistreated<A: Arena> {
    arena: Arc<A>,
    store: A::Store,
    name: &'static str,
    /// Its place among the arena's stores.
    number: usize,
    rng: Rng,
}

impl<A: Arena> Mistreated<A> {
    async fn run(mut self, drops: u64) -> Result<Report> {
        let mut report = Report::new(A::NAME);
        let mut outside = self.arena.outside().await?;
        // How often each call is polled next: once more each time, and from the beginning when it came to its end.
        let mut polls = [1; Call::ALL.len()];
        let mut done = 0;
        for turn in 0.. {
            if done >= drops {
                break;
            }
            let which = turn % Call::ALL.len();
            let call = Call::ALL[which];
            let how = if self.rng.bool() {
                Dropped::AfterPolls(polls[which])
            } else {
                Dropped::After(Duration::from_micros(self.rng.u64(..1500)))
            };
            if self.call(call, how).await? {
                report.ended += 1;
                polls[which] = 1;
            } else {
                done += 1;
                polls[which] += 1;
                report.dropped.add(call.name(), 1);
            }
            if let Some(harm) = self.next(&mut outside).await? {
                report.harm.add(harm, 1);
                report.examples.push(format!(
                    "{harm}, after {} was dropped {how:?}, {}",
                    call.name(),
                    self.name
                ));
                ensure!(
                    report.harm.sum() < 50,
                    "too much harm to go on: {:?}",
                    report.examples
                );
            }
            if turn % 100 == 99 {
                let left = self.arena.left_open(&mut outside, self.number).await?;
                report.harm.add("transactions left open", left);
            }
        }
        Ok(report)
    }

    /// The next thing after a drop: a unit of work with a row and an event, which another session must see at once.
    async fn next(&mut self, outside: &mut A::Outside) -> Result<Option<&'static str>> {
        let ledger = self.arena.ledger();
        let part = Part::any("next", self.number.to_string(), 1);
        let draft = Draft::intend(ledger, vec![part], true)?;
        let mut commit = Commit::new();
        commit.appends = draft.appends(ledger.space())?;
        commit
            .work
            .push(self.arena.row(draft.batch, Duration::ZERO, false));
        match timeout(NEXT_WITHIN, self.store.commit(commit)).await {
            Err(_) => {
                ledger.unknown(draft.batch)?;
                return Ok(Some("the next commit did not end"));
            }
            Ok(Err(error)) => {
                ledger.unexplained(draft.batch, &error.to_string())?;
                return Ok(Some("the next commit failed"));
            }
            Ok(Ok(receipt)) => ledger.receipt(draft.batch, &receipt)?,
        }
        if !self.arena.sees(outside, draft.batch).await? {
            return Ok(Some(
                "the next commit was acknowledged, and another session does not see it",
            ));
        }
        self.read_back(draft.batch).await
    }

    /// The next reading: the answer must be its own, and not the rest of one that nobody waited for.
    async fn read_back(&self, batch: u64) -> Result<Option<&'static str>> {
        let stream = StreamId::new("next", self.number.to_string())?;
        let read = self
            .store
            .read_stream(ReadStream::backward(stream).limit(1));
        let event = self.arena.ledger().space().event_id(batch, 0);
        Ok(match timeout(NEXT_WITHIN, read).await {
            Err(_) => Some("the next reading did not end"),
            Ok(Err(_)) => Some("the next reading failed"),
            Ok(Ok(events)) => match events.as_slice() {
                [last] if last.id() == event => None,
                _ => Some("the next reading gave something else than what is there"),
            },
        })
    }
}

impl Report {
    fn new(store: &'static str) -> Self {
        Self {
            store,
            ..Self::default()
        }
    }

    /// Whether nothing was harmed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.harm.sum() == 0
    }
}

/// The table.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} futures dropped ({} had ended before), {} events judged",
            self.store,
            self.dropped.sum(),
            self.ended,
            self.facts.get("stored")
        )?;
        for (call, count) in self.dropped.iter() {
            writeln!(f, "  {count:>8}  {call}")?;
        }
        for (harm, count) in self.harm.iter() {
            writeln!(f, "  HARM {count:>8}  {harm}")?;
        }
        for example in &self.examples {
            writeln!(f, "  harm: {example}")?;
        }
        write!(f, "harm: {}", self.harm.sum())
    }
}
