//! The campaign against cancellation: every future of a store is polled a few times, or for a while, and dropped.
//!
//! After each drop the store must do the next thing as if nothing had been, another session must see it, and in the end no
//! transaction is open and no commit is there in part. The control does the same to the driver itself, and loses rows.

mod calls;
mod control;
mod dropping;

use std::{fmt, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use sqlx::{PgConnection, Row as _};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use uno_core::{Commit, Transactional as _};
use uno_store_postgres::PgStore;

use self::{calls::Call, dropping::Dropped};
use crate::{
    campaign::{
        Field, Grounds, Plan,
        batch::{Draft, Part},
        phase,
        plan::{StorePlan, mix},
        quiet, row,
    },
    session::sql,
    tally::Tally,
};

pub use control::{Driver, control};

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many futures were dropped, by what they were of.
    pub dropped: Tally,
    /// How many had come to their end before.
    pub ended: u64,
    /// What was harmed.
    pub harm: Tally,
    /// In words.
    pub examples: Vec<String>,
}

/// The stores that are mistreated.
const STORES: [(&str, StorePlan); 4] = [
    (
        "pool of 1",
        StorePlan {
            connections: 1,
            grouping: true,
            pooler: false,
        },
    ),
    (
        "pool of 4",
        StorePlan {
            connections: 4,
            grouping: true,
            pooler: false,
        },
    ),
    (
        "pool of 4, one transaction each",
        StorePlan {
            connections: 4,
            grouping: false,
            pooler: false,
        },
    ),
    (
        "pool of 1, as behind a pooler",
        StorePlan {
            connections: 1,
            grouping: true,
            pooler: true,
        },
    ),
];

/// How long the store may take for the next thing after a drop.
const NEXT_WITHIN: Duration = Duration::from_secs(20);

/// Drops so many futures, spread over stores and calls.
///
/// # Errors
/// When the campaign can't be run; harm is no error.
pub async fn run(grounds: &Grounds, seed: u64, drops: u64) -> Result<Report> {
    let field = phase::open(grounds, Plan::quiet(seed), "cancel").await?;
    let mut tasks = JoinSet::new();
    for (number, (name, plan)) in STORES.into_iter().enumerate() {
        let store = field.store(&format!("cancel{number}"), plan)?;
        let rng = Rng::with_seed(mix(seed, number as u64));
        let share = drops.div_ceil(STORES.len() as u64);
        tasks.spawn(mistreat(
            Arc::clone(&field),
            store,
            name,
            number,
            rng,
            share,
        ));
    }
    let mut report = Report::default();
    while let Some(task) = tasks.join_next().await {
        let part = task.context("a part of the campaign panicked")??;
        report.dropped.add_all(&part.dropped);
        report.ended += part.ended;
        report.harm.add_all(&part.harm);
        report.examples.extend(part.examples);
    }
    let mut session = field.database.connect("uno-torture-cancel").await?;
    quiet::settle(&field, &mut session).await?;
    field.ledger.flush()?;
    let verdict = phase::judge(grounds, &field)
        .await
        .context("failed to judge")?;
    report.harm.add_all(&verdict.broken);
    report.examples.extend(verdict.examples);
    let halves = calls::halves(&mut session, &field.schema).await?;
    report.harm.add("commits of which a part is there", halves);
    if report.is_good() {
        phase::clear_away(&field).await?;
    }
    Ok(report)
}

async fn mistreat(
    field: Arc<Field>,
    store: PgStore,
    name: &str,
    number: usize,
    mut rng: Rng,
    drops: u64,
) -> Result<Report> {
    let mut report = Report::default();
    let mut outside = field.database.connect("uno-torture-cancel").await?;
    // How often each call is polled next: once more each time, and from the beginning when it came to its end.
    let mut polls = [1; Call::ALL.len()];
    let mut done = 0;
    for turn in 0.. {
        if done >= drops {
            break;
        }
        let which = turn % Call::ALL.len();
        let call = Call::ALL[which];
        let how = if rng.bool() {
            Dropped::AfterPolls(polls[which])
        } else {
            Dropped::After(Duration::from_micros(rng.u64(..1500)))
        };
        if call.run(&field, &store, number, &mut rng, how).await? {
            report.ended += 1;
            polls[which] = 1;
        } else {
            done += 1;
            polls[which] += 1;
            report.dropped.add(call.name(), 1);
        }
        if let Some(harm) = next(&field, &store, &mut outside, number).await? {
            report.harm.add(harm, 1);
            report.examples.push(format!(
                "{harm}, after {} was dropped {how:?}, {name}",
                call.name()
            ));
            ensure!(
                report.harm.sum() < 50,
                "too much harm to go on: {:?}",
                report.examples
            );
        }
        if turn % 100 == 99 {
            let left = left_open(&field, &mut outside, number).await?;
            report.harm.add("sessions left idle in a transaction", left);
        }
    }
    Ok(report)
}

/// The next thing after a drop: a unit of work with a row and an event, which another session must see at once.
async fn next(
    field: &Field,
    store: &PgStore,
    outside: &mut PgConnection,
    number: usize,
) -> Result<Option<&'static str>> {
    let part = Part::any("next", number.to_string(), 1);
    let draft = Draft::intend(field, vec![part], true)?;
    let mut commit = Commit::new();
    commit.appends = draft.appends(field.ledger.space())?;
    commit
        .work
        .push(row::work(&field.schema, draft.batch, Duration::ZERO, false));
    match timeout(NEXT_WITHIN, store.commit(commit)).await {
        Err(_) => {
            field.ledger.unknown(draft.batch)?;
            return Ok(Some("the next commit did not end"));
        }
        Ok(Err(error)) => {
            field.ledger.unexplained(draft.batch, &error.to_string())?;
            return Ok(Some("the next commit failed"));
        }
        Ok(Ok(receipt)) => field.receipt(draft.batch, 1, &receipt)?,
    }
    let seen = "SELECT (SELECT count(*) FROM {s}.torture_rows r WHERE r.batch = $1) + (SELECT count(*) FROM {s}.events e WHERE e.id = $2::uuid)";
    let id = field.ledger.space().event_id(draft.batch, 0).to_string();
    let query = sqlx::query(sql(&field.schema, seen))
        .bind(draft.batch.cast_signed())
        .bind(id);
    let count: i64 = query.fetch_one(outside).await?.try_get(0)?;
    Ok((count != 2)
        .then_some("the next commit was acknowledged, and another session does not see it"))
}

/// Sessions of a store that stay in a transaction and do nothing.
async fn left_open(field: &Field, outside: &mut PgConnection, number: usize) -> Result<u64> {
    let text = "SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.application_name = $1 AND a.state LIKE 'idle in transaction%'";
    let give_up = Instant::now() + Duration::from_secs(5);
    loop {
        let query = sqlx::query(text).bind(field.application(&format!("cancel{number}")));
        let open: i64 = query.fetch_one(&mut *outside).await?.try_get(0)?;
        if open == 0 || Instant::now() > give_up {
            return Ok(open.cast_unsigned());
        }
        // What a caller left behind is carried through, or rolled back, by the store itself.
        sleep(Duration::from_millis(5)).await;
    }
}

impl Report {
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
            "{} futures dropped ({} had ended before)",
            self.dropped.sum(),
            self.ended
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
