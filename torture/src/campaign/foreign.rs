//! Writers that are not the store: transactions by hand, which hold what they took for as long as they like.

mod past;
mod through;

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use fastrand::Rng;
use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;
use uno_core::Version;

use super::{
    Field,
    batch::{Draft, Part},
    plan::mix,
    row,
};
use crate::{ledger::Failure, session};

/// A writer with a session of its own.
pub(crate) struct Foreign {
    field: Arc<Field>,
    number: usize,
    session: Option<PgConnection>,
}

/// A foreign writer and nothing else, until so many events are acknowledged. What it doubts stays in doubt.
pub(crate) async fn foreign_writer(field: Arc<Field>, number: usize, events: u64) -> Result<()> {
    let mut rng = Rng::with_seed(mix(field.plan.seed, number as u64));
    let mut foreign = Foreign::new(Arc::clone(&field), number);
    while field.acknowledged() < events {
        foreign.write(&mut rng).await?;
    }
    foreign.close().await;
    Ok(())
}

/// Batches whose outcome is not known.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) doubtful: Vec<Draft>,
}

/// What a transaction does around its appends.
#[derive(Clone, Copy, Debug)]
struct Shape {
    /// Writes a row of the user's first, so that it has its transaction id long before its positions.
    early: bool,
    /// Waits before the append.
    before: Duration,
    /// Waits after the append, with positions drawn and nothing committed.
    after: Duration,
    /// Appends, takes it back to a savepoint, and appends again.
    savepoint: bool,
    /// Appends a second batch to the same streams.
    twice: bool,
    /// Takes everything back at the end.
    rollback: bool,
    /// Writes to the table itself.
    past: Option<Past>,
    /// How the transaction begins. The functions want READ COMMITTED; the table takes any.
    begin: &'static str,
}

/// How a batch gets into the table past the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    Insert,
    Copy,
}

/// What an append in a transaction gave.
struct Placed {
    /// Of the last event; 0 when it was not told.
    position: u64,
    /// Each stream with the version of its first event.
    firsts: Vec<(String, u64)>,
}

impl Foreign {
    pub(crate) fn new(field: Arc<Field>, number: usize) -> Self {
        Self {
            field,
            number,
            session: None,
        }
    }

    /// One transaction.
    pub(crate) async fn write(&mut self, rng: &mut Rng) -> Result<Outcome> {
        let shape = Shape::draw(&self.field, rng);
        let first = self.draft(rng, shape)?;
        let mut drafts = vec![first];
        if shape.twice {
            let parts = drafts[0].parts.clone();
            drafts.push(Draft::intend(&self.field.ledger, parts, false)?);
        }
        let mut session = match self.session.take() {
            Some(session) => session,
            None => match self
                .field
                .database
                .connect(&self.field.application("foreign"))
                .await
            {
                Ok(session) => session,
                Err(_) => {
                    sleep(Duration::from_millis(20)).await;
                    return self.settle(drafts, End::Failed(Failure::Unavailable)).await;
                }
            },
        };
        let end = match self.transaction(&mut session, &drafts, shape).await {
            Ok(end) => {
                self.session = Some(session);
                end
            }
            // Before its COMMIT was sent a transaction whose link fails is not carried out.
            Err(error) => {
                let end = self.explain(&drafts[0], &error)?;
                // Closed, not given back: whatever state it was in ends with it.
                drop(session);
                end
            }
        };
        self.settle(drafts, end).await
    }

    /// Ends the session.
    pub(crate) async fn close(&mut self) {
        if let Some(session) = self.session.take() {
            // It may be dead already.
            let _ = session.close().await;
        }
    }

    fn draft(&self, rng: &mut Rng, shape: Shape) -> Result<Draft> {
        let held = shape.before.max(shape.after) >= HELD;
        let several = if shape.past.is_some() { 1 } else { 2 };
        if held && rng.u8(..4) > 0 {
            // Most of those that hold on for long keep to a stream of their own, or they would be all that happens.
            let key = format!("{}.{}", self.number, rng.u32(..1000));
            let part = Part::any("held", key, rng.u32(1..=20));
            return Draft::intend(&self.field.ledger, vec![part], shape.early);
        }
        Draft::draw_any(&self.field, rng, self.number, several, shape.early)
    }

    /// Runs a transaction up to its end. An error means that no COMMIT was sent.
    async fn transaction(
        &self,
        session: &mut PgConnection,
        drafts: &[Draft],
        shape: Shape,
    ) -> sqlx::Result<End> {
        let (field, schema) = (&self.field, &self.field.schema);
        sqlx::raw_sql(shape.begin).execute(&mut *session).await?;
        if shape.early {
            row::write(session, schema, drafts[0].batch).await?;
        }
        sleep(shape.before).await;
        if shape.savepoint {
            sqlx::raw_sql("SAVEPOINT here")
                .execute(&mut *session)
                .await?;
            self.append(session, &drafts[0], shape).await?;
            sleep(shape.after / 4).await;
            sqlx::raw_sql("ROLLBACK TO here")
                .execute(&mut *session)
                .await?;
            field.count("savepoints", 1);
        }
        let mut placed = Vec::with_capacity(drafts.len());
        for draft in drafts {
            placed.push(self.append(session, draft, shape).await?);
            sleep(shape.after / drafts.len() as u32).await;
        }
        if shape.rollback {
            sqlx::raw_sql("ROLLBACK").execute(&mut *session).await?;
            field.count("rollbacks", 1);
            shape.count_held(field);
            return Ok(End::Failed(Failure::RolledBack));
        }
        match sqlx::raw_sql("COMMIT").execute(&mut *session).await {
            Ok(_) => {
                shape.count_held(field);
                Ok(End::Committed(placed))
            }
            Err(error) if session::is_link(&error) => Ok(End::Unknown),
            Err(error) => Err(error),
        }
    }

    async fn append(
        &self,
        session: &mut PgConnection,
        draft: &Draft,
        shape: Shape,
    ) -> sqlx::Result<Placed> {
        let space = self.field.ledger.space();
        match shape.past {
            None => through::append(session, &self.field.schema, draft, space).await,
            Some(how) => past::append(session, &self.field.schema, draft, space, how).await,
        }
    }

    fn explain(&self, draft: &Draft, error: &sqlx::Error) -> Result<End> {
        if session::is_link(error) {
            return Ok(End::Failed(Failure::Unavailable));
        }
        match session::code(error).as_deref() {
            // Somebody was faster in a way that only a fresh start can judge; or a stream is held for too long; or it has
            // changed since a transaction began that wants to see what was then.
            Some("UN001" | "55P03" | "40001") => self.field.count("foreign appends put off", 1),
            Some("40P01") => self.field.count("deadlocks seen", 1),
            _ => self
                .field
                .ledger
                .unexplained(draft.batch, &format!("foreign: {error}"))?,
        }
        Ok(End::Failed(Failure::RolledBack))
    }

    async fn settle(&self, drafts: Vec<Draft>, end: End) -> Result<Outcome> {
        let field = &self.field;
        field.count("foreign transactions", 1);
        match end {
            End::Committed(placed) => {
                for (draft, placed) in drafts.iter().zip(placed) {
                    field
                        .ledger
                        .acknowledged(draft.batch, placed.position, &placed.firsts)?;
                    field.add_acknowledged(draft.events());
                    for ((stream, first), part) in placed.firsts.into_iter().zip(&draft.parts) {
                        field
                            .saw_version(stream, Version::new(first + u64::from(part.events) - 1)?);
                    }
                }
            }
            End::Failed(why) => {
                for draft in &drafts {
                    field.ledger.failed(draft.batch, why)?;
                }
            }
            End::Unknown => {
                for draft in &drafts {
                    field.ledger.unknown(draft.batch)?;
                }
                return Ok(Outcome { doubtful: drafts });
            }
        }
        Ok(Outcome::default())
    }
}

/// How a transaction ended.
enum End {
    Committed(Vec<Placed>),
    Failed(Failure),
    Unknown,
}

/// How long a transaction is held that is held for long.
const HELD: Duration = Duration::from_secs(2);

impl Shape {
    /// Counts a transaction that was held for long, and came to its end all the same.
    fn count_held(self, field: &Field) {
        for (held, what) in [
            (self.before, "held two seconds before the append"),
            (self.after, "held two seconds after the append"),
        ] {
            field.count(what, u64::from(held >= HELD));
        }
    }

    fn draw(field: &Field, rng: &mut Rng) -> Self {
        let delay = field.plan.delay;
        let mut shape = Self {
            early: rng.bool(),
            before: delay.mul_f64(rng.f64()),
            after: delay.mul_f64(rng.f64()),
            savepoint: rng.u8(..5) == 0,
            twice: rng.u8(..8) == 0,
            rollback: rng.u8(..12) == 0,
            past: None,
            begin: "BEGIN",
        };
        if field.plan.past_the_functions {
            shape.past = match rng.u8(..4) {
                0 => Some(Past::Copy),
                1 => Some(Past::Insert),
                _ => None,
            };
            if shape.past.is_some() {
                shape.begin = [
                    "BEGIN",
                    "BEGIN ISOLATION LEVEL REPEATABLE READ",
                    "BEGIN ISOLATION LEVEL SERIALIZABLE",
                ][rng.usize(..3)];
            }
        }
        // Before and after the append in turn, so that every phase has both.
        match field.take_held() {
            Some(held) if held % 2 == 0 => shape.after = HELD,
            Some(_) => shape.before = HELD,
            None => {}
        }
        shape
    }
}
