//! A writer: one thing after the other, through the stores and past them, until enough is acknowledged.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use fastrand::Rng;
use tokio::time::{Instant, sleep, timeout};
use uno_core::{
    AppendError, Commit, CommitError, EventStore as _, ReadStream, Receipt, StoreError,
    Transactional as _,
};
use uno_store_postgres::PgStore;

use super::{Field, batch::Draft, foreign::Foreign, plan::mix, row};
use crate::ledger::Failure;

/// How long a writer tries to resolve a doubt.
const RESOLVE_WITHIN: Duration = Duration::from_secs(60);
/// How long a writer waits after the store could not be reached.
const PAUSE: Duration = Duration::from_millis(50);

/// A writer.
pub(crate) struct Writer {
    field: Arc<Field>,
    stores: Vec<PgStore>,
    foreign: Foreign,
    /// The store that was used last.
    used: PgStore,
    rng: Rng,
    number: usize,
}

impl Writer {
    pub(crate) fn new(field: Arc<Field>, stores: Vec<PgStore>, number: usize) -> Self {
        let rng = Rng::with_seed(mix(field.plan.seed, number as u64));
        let foreign = Foreign::new(Arc::clone(&field), number);
        Self {
            used: stores[0].clone(),
            field,
            stores,
            foreign,
            rng,
            number,
        }
    }

    /// Writes until the field is stopped.
    pub(crate) async fn run(mut self) -> Result<()> {
        while self.field.is_going() {
            let units = self.field.plan.units;
            match self.rng.u8(..20) {
                kind if kind < units => self.unit_of_work().await?,
                17 => self.go_away().await?,
                kind if kind < 16 => self.append().await?,
                _ => {
                    let outcome = self.foreign.write(&mut self.rng).await?;
                    for draft in outcome.doubtful {
                        self.resolve_some(&draft).await?;
                    }
                }
            }
            if !self.field.plan.delay.is_zero() && self.rng.u8(..4) == 0 {
                self.pause().await;
            }
        }
        self.foreign.close().await;
        Ok(())
    }

    async fn append(&mut self) -> Result<()> {
        let draft = Draft::draw(&self.field, &mut self.rng, self.number, 3, false)?;
        let outcome = self.send(&draft, Duration::ZERO).await?;
        self.note(&draft, outcome).await
    }

    async fn unit_of_work(&mut self) -> Result<()> {
        let draft = Draft::draw(&self.field, &mut self.rng, self.number, 2, true)?;
        let fail = self.rng.u8(..10) == 0;
        let pause = self.draw_pause();
        let outcome = self.commit(&draft, pause, fail).await?;
        self.field.count("units of work", 1);
        if fail && outcome.is_ok() {
            self.field.ledger.unexplained(
                draft.batch,
                "a unit of work whose work failed was committed",
            )?;
        }
        self.note(&draft, outcome).await
    }

    /// Goes away in the middle of a write, so that nobody hears what becomes of it.
    async fn go_away(&mut self) -> Result<()> {
        let rows = self.rng.u8(..3) == 0;
        let draft = Draft::draw(&self.field, &mut self.rng, self.number, 3, rows)?;
        let within = Duration::from_micros(self.rng.u64(..3000));
        let pause = self.draw_pause();
        self.field.count("writes dropped", 1);
        match timeout(within, self.send(&draft, pause)).await {
            Ok(outcome) => self.note(&draft, outcome?).await,
            Err(_) => {
                self.field.ledger.unknown(draft.batch)?;
                self.resolve_some(&draft).await
            }
        }
    }

    /// Writes down what became of a batch.
    async fn note(&mut self, draft: &Draft, outcome: Result<Receipt, CommitError>) -> Result<()> {
        let batch = draft.batch;
        self.check_conflict(draft, &outcome)?;
        match verdict(outcome) {
            Told::Stored(receipt) => {
                self.field.receipt(batch, draft.events(), &receipt)?;
                if self.rng.u8(..30) == 0 {
                    self.look(draft, &receipt).await?;
                }
                if self.rng.u8(..30) == 0 {
                    self.repeat(draft, &receipt).await?;
                }
            }
            Told::Failed(why) => {
                self.field.ledger.failed(batch, why)?;
                if why == Failure::Unavailable {
                    sleep(PAUSE).await;
                }
            }
            Told::Unknown => {
                self.field.ledger.unknown(batch)?;
                self.resolve_some(draft).await?;
            }
            Told::Strange(message) => self.field.ledger.unexplained(batch, &message)?,
        }
        Ok(())
    }

    /// A conflict must be one: the stream is not as expected, and not older than what was acknowledged before.
    fn check_conflict(
        &mut self,
        draft: &Draft,
        outcome: &Result<Receipt, CommitError>,
    ) -> Result<()> {
        let Err(CommitError::Append(AppendError::Conflict {
            stream,
            expected,
            actual,
        })) = outcome
        else {
            return Ok(());
        };
        let part = draft
            .parts
            .iter()
            .find(|part| part.stream() == stream.to_string());
        let honest = part.is_some_and(|part| {
            part.expected == *expected
                && !expected.allows(*actual)
                && part.known.is_none_or(|known| *actual >= known)
        });
        if !honest {
            let known = part.map(|part| part.known);
            let message = format!(
                "a conflict that is none: {stream} at {actual}, {expected} expected, known before: {known:?}"
            );
            self.field.ledger.unexplained(draft.batch, &message)?;
        }
        Ok(())
    }

    /// Looks for what was acknowledged: whoever appended it must find it in the stream at once.
    async fn look(&mut self, draft: &Draft, receipt: &Receipt) -> Result<()> {
        let Some(stream) = receipt.streams().first() else {
            return Ok(());
        };
        let first = self.field.ledger.space().event_id(draft.batch, 0);
        // Through the store that appended: for another one it is another's.
        let read = ReadStream::forward(stream.stream().clone())
            .from(stream.first())
            .limit(1);
        match self.used.read_stream(read).await {
            Ok(events) if events.first().is_some_and(|event| event.id() == first) => {
                self.field.count("own appends looked for", 1);
            }
            Ok(_) => self.field.count("own appends not found", 1),
            Err(error) if error.is_transient() => {}
            Err(error) => self.field.ledger.unexplained(draft.batch, &chain(&error))?,
        }
        Ok(())
    }

    /// Appends once more what was acknowledged: the receipt must be the first.
    async fn repeat(&mut self, draft: &Draft, first: &Receipt) -> Result<()> {
        let outcome = self.send(draft, Duration::ZERO).await?;
        match verdict(outcome) {
            Told::Stored(receipt) => self.field.ledger.repeated(draft.batch, receipt == *first),
            // What was true stays true, so the link is the only excuse.
            Told::Unknown | Told::Failed(Failure::Unavailable | Failure::RolledBack) => Ok(()),
            Told::Failed(Failure::Conflict) => self
                .field
                .ledger
                .unexplained(draft.batch, "a repeated append was a conflict"),
            Told::Strange(message) => self.field.ledger.unexplained(draft.batch, &message),
        }
    }

    /// Resolves most doubts, and leaves some.
    async fn resolve_some(&mut self, draft: &Draft) -> Result<()> {
        if self.rng.u8(..8) == 0 {
            return Ok(());
        }
        let give_up = Instant::now() + RESOLVE_WITHIN;
        while Instant::now() < give_up {
            let outcome = self.send(draft, Duration::ZERO).await?;
            match verdict(outcome) {
                Told::Stored(receipt) => {
                    return self.field.receipt(draft.batch, draft.events(), &receipt);
                }
                Told::Failed(Failure::Conflict) => {
                    return self.field.ledger.failed(draft.batch, Failure::Conflict);
                }
                // This attempt came to nothing, which says nothing about the first.
                Told::Failed(_) | Told::Unknown => sleep(PAUSE).await,
                Told::Strange(message) => {
                    return self.field.ledger.unexplained(draft.batch, &message);
                }
            }
        }
        Ok(())
    }

    /// Through any of the stores: one is as good as the other, as processes are.
    async fn send(
        &mut self,
        draft: &Draft,
        pause: Duration,
    ) -> Result<Result<Receipt, CommitError>> {
        if draft.rows {
            return self.commit(draft, pause, false).await;
        }
        let store = self.store();
        let outcome = store
            .append(draft.appends(self.field.ledger.space())?)
            .await;
        Ok(outcome.map_err(CommitError::Append))
    }

    async fn commit(
        &mut self,
        draft: &Draft,
        pause: Duration,
        fail: bool,
    ) -> Result<Result<Receipt, CommitError>> {
        let mut commit = Commit::new();
        commit.appends = draft.appends(self.field.ledger.space())?;
        commit
            .work
            .push(row::work(&self.field.schema, draft.batch, pause, fail));
        Ok(self.store().commit(commit).await)
    }

    fn store(&mut self) -> PgStore {
        self.used = self.stores[self.rng.usize(..self.stores.len())].clone();
        self.used.clone()
    }

    fn draw_pause(&mut self) -> Duration {
        self.field.plan.delay.mul_f64(self.rng.f64())
    }

    async fn pause(&mut self) {
        sleep(self.draw_pause()).await;
    }
}

/// What an outcome says to its caller.
enum Told {
    Stored(Receipt),
    Failed(Failure),
    Unknown,
    Strange(String),
}

fn verdict(outcome: Result<Receipt, CommitError>) -> Told {
    match outcome {
        Ok(receipt) => Told::Stored(receipt),
        Err(CommitError::Append(AppendError::Conflict { .. })) => Told::Failed(Failure::Conflict),
        Err(CommitError::Append(AppendError::Unknown(_))) => Told::Unknown,
        Err(CommitError::Append(AppendError::Store(StoreError::Unavailable { .. }))) => {
            Told::Failed(Failure::Unavailable)
        }
        Err(CommitError::Work(_)) => Told::Failed(Failure::RolledBack),
        Err(other) => Told::Strange(chain(&other)),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
