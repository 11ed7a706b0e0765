//! The campaign of duels: many append to the same place at once, and one wins; many append to several streams in any
//! order, and nobody waits in a circle.

use std::{fmt, sync::Arc};

use anyhow::{Context as _, Result};
use fastrand::Rng;
use tokio::{sync::Barrier, task::JoinSet};
use uno_core::{AppendError, EventStore as _, ExpectedVersion, Version};
use uno_store_postgres::PgStore;

use crate::{
    campaign::{
        Field, Grounds, Plan,
        batch::{Draft, Part},
        phase,
        plan::{StorePlan, mix},
        quiet,
    },
    ledger::Failure,
    tally::Tally,
};

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many rounds were fought, by how many.
    pub rounds: u64,
    /// Contenders of each round.
    pub contenders: usize,
    /// Appends to several streams.
    pub crossings: u64,
    /// What went wrong.
    pub harm: Tally,
    /// In words.
    pub examples: Vec<String>,
}

/// The contenders' stores, as if each were a process of its own.
const STORES: [StorePlan; 4] = [
    StorePlan {
        connections: 4,
        grouping: true,
        pooler: false,
    },
    StorePlan {
        connections: 2,
        grouping: true,
        pooler: false,
    },
    StorePlan {
        connections: 6,
        grouping: false,
        pooler: false,
    },
    StorePlan {
        connections: 1,
        grouping: true,
        pooler: true,
    },
];

/// How many rounds are fought on one stream before the next.
const ROUNDS_ON_STREAM: u64 = 20;

/// Runs the rounds, then as many appends to several streams.
///
/// # Errors
/// When the campaign can't be run; harm is no error.
pub async fn run(grounds: &Grounds, seed: u64, contenders: usize, rounds: u64) -> Result<Report> {
    let deadlocks = grounds
        .server
        .as_ref()
        .map_or(0, |server| server.logged(phase::DEADLOCK));
    let field = phase::open(grounds, Plan::quiet(seed), "duel").await?;
    let mut stores = Vec::new();
    for (number, plan) in STORES.into_iter().enumerate() {
        stores.push(field.store(&format!("duel{number}"), plan)?);
    }
    let mut report = Report {
        rounds,
        contenders,
        ..Report::default()
    };
    let mut version = Version::EMPTY;
    for round in 0..rounds {
        if round % ROUNDS_ON_STREAM == 0 {
            version = Version::EMPTY;
        }
        version = fight(&field, &stores, contenders, round, version, &mut report).await?;
    }
    report.crossings = cross(&field, &stores, seed, rounds).await?;

    let mut session = field.database.connect("uno-torture-duel").await?;
    quiet::settle(&field, &mut session).await?;
    field.ledger.flush()?;
    let verdict = phase::judge(grounds, &field)
        .await
        .context("failed to judge")?;
    report.harm.add_all(&verdict.broken);
    report.examples.extend(verdict.examples);
    if let Some(server) = &grounds.server {
        report
            .harm
            .add("deadlocks", server.logged(phase::DEADLOCK) - deadlocks);
    }
    if report.is_good() {
        drop(stores);
        phase::clear_away(&field).await?;
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
async fn fight(
    field: &Arc<Field>,
    stores: &[PgStore],
    contenders: usize,
    round: u64,
    version: Version,
    report: &mut Report,
) -> Result<Version> {
    let start = Arc::new(Barrier::new(contenders));
    let mut tasks = JoinSet::new();
    for contender in 0..contenders {
        let store = stores[contender % stores.len()].clone();
        let (field, start) = (Arc::clone(field), Arc::clone(&start));
        tasks.spawn(async move {
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
            let draft = Draft::intend(&field, vec![part], false)?;
            let appends = draft.appends(field.ledger.space())?;
            start.wait().await;
            let blow = match store.append(appends).await {
                Ok(receipt) => {
                    field.receipt(draft.batch, draft.events(), &receipt)?;
                    Blow::Won(
                        receipt
                            .streams()
                            .first()
                            .map_or(Version::EMPTY, uno_core::StreamAppended::last),
                    )
                }
                Err(AppendError::Conflict { actual, .. }) => {
                    field.ledger.failed(draft.batch, Failure::Conflict)?;
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
    Ok(*last)
}

/// Appends of two to four of eight streams, in any order, all at once. Gives how many there were.
async fn cross(field: &Arc<Field>, stores: &[PgStore], seed: u64, rounds: u64) -> Result<u64> {
    const WRITERS: u64 = 32;
    let each = rounds.div_ceil(2).max(10);
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let store = stores[usize::try_from(writer)? % stores.len()].clone();
        let field = Arc::clone(field);
        let mut rng = Rng::with_seed(mix(seed, writer));
        tasks.spawn(async move {
            for _ in 0..each {
                let mut keys: Vec<u32> = (0..8).collect();
                rng.shuffle(&mut keys);
                keys.truncate(rng.usize(2..=4));
                let part = |key: u32| Part::any("cross", key.to_string(), 1);
                let draft =
                    Draft::intend_as_is(&field, keys.into_iter().map(part).collect(), false)?;
                match store.append(draft.appends(field.ledger.space())?).await {
                    Ok(receipt) => field.receipt(draft.batch, draft.events(), &receipt)?,
                    Err(error) => field.ledger.unexplained(draft.batch, &error.to_string())?,
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
        self.harm.sum() == 0
    }
}

/// The table.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} rounds of {} contenders, {} appends to several streams",
            self.rounds, self.contenders, self.crossings
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
