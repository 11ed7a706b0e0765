//! The campaign of duels: many append to the same place at once, and one wins; many append to several streams in any
//! order, and nobody waits in a circle.

use std::{fmt, sync::Arc};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use tokio::{sync::Barrier, task::JoinSet};
use uno_core::{AppendError, EventStore as _, ExpectedVersion, Version};

use crate::{
    arena::Arena,
    campaign::{
        Grounds,
        batch::{Draft, Part},
        phase,
        plan::mix,
    },
    ledger::Failure,
    tally::Tally,
};

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Of which store.
    pub store: &'static str,
    /// How many rounds were fought, by how many.
    pub rounds: u64,
    /// Contenders of each round.
    pub contenders: usize,
    /// Appends to several streams.
    pub crossings: u64,
    /// How many rounds one contender won, and all others were told so.
    pub won: u64,
    /// What the judge looked at.
    pub facts: Tally,
    /// What went wrong.
    pub harm: Tally,
    /// In words.
    pub examples: Vec<String>,
}

/// How many rounds are fought on one stream before the next.
const ROUNDS_ON_STREAM: u64 = 20;

/// Runs the rounds on one kind of store, then as many appends to several streams.
///
/// # Errors
/// When the campaign can't be run; harm is no error.
pub async fn run<A: Arena>(
    grounds: &Grounds,
    seed: u64,
    contenders: usize,
    rounds: u64,
) -> Result<Report> {
    let arena = A::open(grounds, seed, "duel").await?;
    let stores = arena.stores().await?;
    let stores: Vec<A::Store> = stores.into_iter().map(|(_, store)| store).collect();
    let mut report = Report {
        store: A::NAME,
        rounds,
        contenders,
        ..Report::default()
    };
    let mut version = Version::EMPTY;
    for round in 0..rounds {
        if round % ROUNDS_ON_STREAM == 0 {
            version = Version::EMPTY;
        }
        version = fight(&arena, &stores, round, version, &mut report).await?;
    }
    report.crossings = cross(&arena, &stores, seed, rounds).await?;

    let mut outside = arena.outside().await?;
    let open = arena.settle(&mut outside).await?;
    report
        .harm
        .add("transactions that are open when all is quiet", open);
    let verdict = arena.judge().await?;
    report.harm.add_all(&verdict.broken);
    report.examples.extend(verdict.examples);
    report.harm.add("deadlocks", arena.deadlocks());
    report.facts = verdict.facts;
    if report.is_good() {
        drop((stores, outside));
        arena.clear_away().await?;
    }
    Ok(report)
}

/// What an append of a contender came to.
enum Blow {
    Won(Version),
    Lost(Version),
    Strange(String),
}

/// One round: all expect the same version. Gives the version after it.
async fn fight<A: Arena>(
    arena: &Arc<A>,
    stores: &[A::Store],
    round: u64,
    version: Version,
    report: &mut Report,
) -> Result<Version> {
    let start = Arc::new(Barrier::new(report.contenders));
    let mut tasks = JoinSet::new();
    for contender in 0..report.contenders {
        let store = stores[contender % stores.len()].clone();
        let (arena, start) = (Arc::clone(arena), Arc::clone(&start));
        tasks.spawn(async move {
            let ledger = arena.ledger();
            // A stream that does not exist may be expected in either way.
            let expected = if version == Version::EMPTY && contender % 2 == 0 {
                ExpectedVersion::NoStream
            } else {
                ExpectedVersion::Exact(version)
            };
            let key = (round / ROUNDS_ON_STREAM).to_string();
            let part = Part {
                expected,
                ..Part::any("duel", key, 1 + u32::try_from(contender % 3)?)
            };
            let draft = Draft::intend(ledger, vec![part], false)?;
            let appends = draft.appends(ledger.space())?;
            start.wait().await;
            let blow = match store.append(appends).await {
                Ok(receipt) => {
                    ledger.receipt(draft.batch, &receipt)?;
                    Blow::Won(
                        receipt
                            .streams()
                            .first()
                            .map_or(Version::EMPTY, uno_core::StreamAppended::last),
                    )
                }
                Err(AppendError::Conflict { actual, .. }) => {
                    ledger.failed(draft.batch, Failure::Conflict)?;
                    Blow::Lost(actual)
                }
                Err(error) => Blow::Strange(error.to_string()),
            };
            Ok::<_, anyhow::Error>(blow)
        });
    }
    let (mut winners, mut told) = (Vec::new(), Vec::new());
    while let Some(task) = tasks.join_next().await {
        match task.context("a contender panicked")?? {
            Blow::Won(last) => winners.push(last),
            Blow::Lost(actual) => told.push(actual),
            Blow::Strange(message) => {
                report.harm.add("errors that nothing explains", 1);
                report.examples.push(format!("round {round}: {message}"));
            }
        }
    }
    let [last] = winners.as_slice() else {
        report.harm.add("rounds without exactly one winner", 1);
        report
            .examples
            .push(format!("round {round} had {} winners", winners.len()));
        return Ok(winners.into_iter().max().unwrap_or(version));
    };
    let wrong = told.iter().filter(|actual| *actual != last).count() as u64;
    report
        .harm
        .add("conflicts that name another version than there is", wrong);
    let all_told = told.len() + 1 == report.contenders && wrong == 0;
    report.won += u64::from(all_told);
    Ok(*last)
}

/// Appends of two to four of eight streams, in any order, all at once. Gives how many there were.
async fn cross<A: Arena>(
    arena: &Arc<A>,
    stores: &[A::Store],
    seed: u64,
    rounds: u64,
) -> Result<u64> {
    const WRITERS: u64 = 32;
    let each = rounds.div_ceil(2).max(10);
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let store = stores[usize::try_from(writer)? % stores.len()].clone();
        let arena = Arc::clone(arena);
        let mut rng = Rng::with_seed(mix(seed, writer));
        tasks.spawn(async move {
            let ledger = arena.ledger();
            for _ in 0..each {
                let mut keys: Vec<u32> = (0..8).collect();
                rng.shuffle(&mut keys);
                keys.truncate(rng.usize(2..=4));
                let part = |key: u32| Part::any("cross", key.to_string(), 1);
                let parts = keys.into_iter().map(part).collect();
                let draft = Draft::intend_as_is(ledger, parts, false)?;
                match store.append(draft.appends(ledger.space())?).await {
                    Ok(receipt) => ledger.receipt(draft.batch, &receipt)?,
                    Err(error) => ledger.unexplained(draft.batch, &error.to_string())?,
                }
            }
            Ok(())
        });
    }
    phase::all(&mut tasks).await?;
    Ok(WRITERS * each)
}

impl Report {
    /// Whether all went as it must.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.harm.sum() == 0 && self.won == self.rounds
    }
}

/// The table.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} rounds of {} contenders with one winner in {}, {} appends to several streams, {} events judged",
            self.store,
            self.rounds,
            self.contenders,
            self.won,
            self.crossings,
            self.facts.get("stored")
        )?;
        for (harm, count) in self.harm.iter() {
            writeln!(f, "  HARM {count:>8}  {harm}")?;
        }
        for example in &self.examples {
            writeln!(f, "  harm: {example}")?;
        }
        match self.is_good() {
            true => write!(f, "one winner in each round, no false success, no deadlock"),
            false => write!(f, "NOT GOOD"),
        }
    }
}
