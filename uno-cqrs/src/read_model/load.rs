//! Building a generation from the log.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::Instant;
use uno_core::{
    AsOf, Backend, Checkpoint, CheckpointWrite, EventFilter, Head, LogPage, Position, ReadLog,
    RecordedEvent, Stale, StoreError,
};
use uno_events::{Batch, ConsumeError};

use super::{Changed, GenerationState, ReadModel, RebuildError, RebuildProgress, Switched};
use crate::Generation;

/// How many positions are looked at in one question, unless it is said.
pub(super) const WINDOW: u64 = 100_000;
/// How often in a row a store that is away is tried again.
const PATIENCE: u32 = 10;
/// How often it is tried to swap before the one who asked is told.
const SWAPS: u32 = 200;

impl<B: Backend> ReadModel<B> {
    /// Builds a new generation from the log beside the one that serves, and lets it serve. One that is being built already, by a process
    /// that was killed, is gone on with.
    ///
    /// It is built in large batches, without the side effects of the projection. The process has to live until then; if it does
    /// not, call this again.
    ///
    /// # Errors
    /// When an event can't be projected, another process builds it at the same time, or the store can't be used.
    ///
    /// # Cancellation
    /// Dropping the future is as if the process were killed: what is built so far is kept.
    pub async fn rebuild(&self) -> Result<Switched, RebuildError> {
        let generation = self.begin().await?;
        self.build_ours(generation).await?;
        let (mut tried, mut said) = (0, None);
        loop {
            match self.switch(generation, GenerationState::Building).await {
                // The log has gone on meanwhile.
                Err(RebuildError::NotCaughtUp { .. }) if tried < SWAPS => {
                    tried += 1;
                    if tried % PATIENCE == 0 {
                        self.hurry(generation, &mut said).await?;
                    }
                }
                // Whoever else has built it to the end has also let it serve.
                Err(RebuildError::NotKept(_)) => return Err(RebuildError::Elsewhere(generation)),
                switched => {
                    self.progress.send_replace(None);
                    let switched = switched?;
                    self.sync().await?;
                    return Ok(switched);
                }
            }
            self.build_ours(generation).await?;
        }
    }

    /// Builds a generation that was being built a moment ago.
    async fn build_ours(&self, generation: Generation) -> Result<(), RebuildError> {
        match self.build(generation).await {
            // Whoever else has built it to the end has also let it serve, or dropped it.
            Err(RebuildError::NotBuilding) => Err(RebuildError::Elsewhere(generation)),
            built => built,
        }
    }

    /// Begins a new generation, or finds the one that this version of the code is building. [`rebuild`](Self::rebuild) does this, then
    /// [`build`](Self::build) and the swap; they are apart for those who want to look at the new one before it serves.
    ///
    /// # Errors
    /// [`AlreadyBuilding`](RebuildError::AlreadyBuilding) when code of another version builds one.
    pub async fn begin(&self) -> Result<Generation, RebuildError> {
        if self.load().await?.is_none() {
            self.start().await?;
        }
        let (_, record) = self.existing().await?;
        for dropped in record.dropped() {
            self.kind.discard(*dropped).await?;
        }
        self.change(|record| {
            if let Some(entry) = record.building() {
                if entry.version != self.version {
                    return Err(RebuildError::AlreadyBuilding {
                        generation: entry.number,
                        version: entry.version,
                    });
                }
                return Ok(Changed::Not(entry.number));
            }
            let number = record.begin(self.version);
            Ok(Changed::With(self.kind.create(number), number))
        })
        .await
    }

    /// Builds a generation to the end of the log, from where it was left.
    ///
    /// # Errors
    /// As [`rebuild`](Self::rebuild).
    ///
    /// # Cancellation
    /// As [`rebuild`](Self::rebuild).
    pub async fn build(&self, generation: Generation) -> Result<(), RebuildError> {
        let (_, record) = self.existing().await?;
        match record.entry(generation) {
            Some(entry) if entry.state == GenerationState::Building => {}
            _ => return Err(RebuildError::NotBuilding),
        }
        let mut build = Build::open(self, generation).await?;
        let (mut failures, mut in_doubt, mut lost) = (0, false, false);
        loop {
            match build.step().await {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    (failures, in_doubt) = (0, false);
                    continue;
                }
                Err(Trouble::Stale) => {
                    let found = self.patient_checkpoint(generation).await?;
                    if found != build.saved && !in_doubt {
                        // Once, it may have been the last commit of a process that was killed on the way to it.
                        if lost {
                            return Err(RebuildError::Elsewhere(generation));
                        }
                        (lost, build.saved) = (true, found);
                        continue;
                    }
                    // One's own commit, of which it was not known whether it was carried out, was; or a store that tries many commits at
                    // once gave up this one.
                    failures += u32::from(!in_doubt);
                    in_doubt = false;
                    if failures > PATIENCE {
                        return Err(RebuildError::Elsewhere(generation));
                    }
                }
                // Whoever committed events has brought them to documents of this batch, which are then passed over: so this ends, and
                // it is no failure.
                Err(Trouble::Overtaken) => {}
                Err(Trouble::Doubt) => in_doubt = true,
                Err(Trouble::Other(error)) if error.is_transient() && failures < PATIENCE => {
                    failures += 1;
                    pause(failures).await;
                }
                Err(Trouble::Other(error)) => return Err(error),
            }
            // After any of these, what is known of the checkpoint may be wrong.
            build.saved = self.patient_checkpoint(generation).await?;
        }
    }
}

impl<B: Backend> ReadModel<B> {
    /// The checkpoint of a generation, also from a store that is away for a moment.
    async fn patient_checkpoint(
        &self,
        generation: Generation,
    ) -> Result<Option<Checkpoint>, RebuildError> {
        let mut failures = 0;
        loop {
            match self.checkpoint_of(generation).await {
                Err(error) if error.is_transient() && failures < PATIENCE => failures += 1,
                answer => return answer,
            }
            pause(failures).await;
        }
    }
}

/// Longer each time, up to some seconds.
async fn pause(failures: u32) {
    tokio::time::sleep(Duration::from_millis(10 << failures.min(8))).await;
}

/// Why a step came to nothing.
enum Trouble {
    /// Somebody has moved the checkpoint.
    Stale,
    /// Somebody has changed a document.
    Overtaken,
    /// The checkpoint has been moved, or will be, or never.
    Doubt,
    Other(RebuildError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Other(error.into())
    }
}

/// A generation that is being built.
struct Build<'m, B: Backend> {
    model: &'m ReadModel<B>,
    generation: Generation,
    consumer: Arc<dyn uno_events::Consumer>,
    filter: EventFilter,
    head: Head,
    /// What the store has; `None` before it has any.
    saved: Option<Checkpoint>,
    began: Instant,
    from: Position,
    events: u64,
}

impl<'m, B: Backend> Build<'m, B> {
    async fn open(model: &'m ReadModel<B>, generation: Generation) -> Result<Self, RebuildError> {
        let head = model.log.head().await?;
        let saved = model.checkpoint_of(generation).await?;
        if let Some(checkpoint) = saved
            && !belongs(model, &head, checkpoint).await?
        {
            return Err(RebuildError::OtherLog {
                generation,
                reached: checkpoint.position(),
            });
        }
        Ok(Self {
            model,
            generation,
            consumer: model.kind.consumer(generation),
            filter: model.kind.filter(),
            head,
            saved,
            began: Instant::now(),
            from: saved.map_or(Position::START, |saved| saved.position()),
            events: 0,
        })
    }

    /// Projects the next batch, and says whether that was the end of the log: as it was when it was read, since a log that is written to
    /// all the time has no other.
    async fn step(&mut self) -> Result<bool, Trouble> {
        let position = self.saved.map_or(Position::START, |saved| saved.position());
        self.report(position);
        let Some(page) = self.read(position).await? else {
            return Ok(true);
        };
        let Some((to, id)) = page.scanned() else {
            return Ok(true);
        };
        let next = Checkpoint::after(self.head.epoch(), to, id);
        let name = self.model.subscription_of(self.generation);
        let name = name.map_err(|error| Trouble::Other(error.into()))?;
        let write = CheckpointWrite::new(name, self.saved.map(|saved| saved.position()), next);
        let events = page.into_events();
        let count = events.len() as u64;
        let is_end = to >= self.head.position() && events.len() < self.model.batch;
        self.project(events, write).await?;
        self.saved = Some(next);
        self.events += count;
        self.report(to);
        Ok(is_end)
    }

    /// The next page that has come further, of at most so many positions at a time: a store without an index for the filter is not asked
    /// to look through the whole log in one statement.
    async fn read(&mut self, mut position: Position) -> Result<Option<LogPage>, StoreError> {
        loop {
            let until = position
                .checked_add(self.model.window)
                .unwrap_or(Position::MAX);
            let read = ReadLog::after(position)
                .as_of(AsOf::Position(until))
                .filter(self.filter.clone())
                .limit(self.model.batch);
            let page = self.model.log.read_log(read).await?;
            if page.scanned().is_some() {
                return Ok(Some(page));
            }
            if until >= self.head.position() {
                // What was appended since belongs to it too, as far as it is there now.
                self.head = self.model.log.head().await?;
                if until >= self.head.position() {
                    return Ok(None);
                }
            }
            position = until;
        }
    }

    /// Hands a batch to the projection, in one commit with the move of the checkpoint.
    async fn project(
        &self,
        events: Vec<Arc<RecordedEvent>>,
        write: CheckpointWrite,
    ) -> Result<(), Trouble> {
        let first = events
            .first()
            .map_or(write.checkpoint().position(), |event| event.position());
        let failed = |source| {
            Err(Trouble::Other(RebuildError::Failed {
                position: first,
                source,
            }))
        };
        // In an async block, so that a panic before the first await is caught too. What it leaves half done is not committed.
        let projecting = async { self.consumer.consume(Batch::new(events, write)).await };
        let Ok(projected) = AssertUnwindSafe(projecting).catch_unwind().await else {
            return failed("the projection panicked".into());
        };
        match projected {
            Ok(()) => Ok(()),
            Err(ConsumeError::Stale(Stale::Document { .. })) if self.model.kind.may_be_ahead() => {
                Err(Trouble::Overtaken)
            }
            Err(ConsumeError::Stale(_)) => Err(Trouble::Stale),
            Err(ConsumeError::Commit(error)) if super::is_unknown(&error) => Err(Trouble::Doubt),
            Err(ConsumeError::Commit(error)) => Err(Trouble::Other(error.into())),
            Err(ConsumeError::Store(error)) => Err(error.into()),
            Err(ConsumeError::Decode(error)) => Err(Trouble::Other(error.into())),
            Err(ConsumeError::Handler { position, source }) => {
                Err(Trouble::Other(RebuildError::Failed { position, source }))
            }
            Err(other) => failed(other.into()),
        }
    }

    fn report(&self, position: Position) {
        self.model.progress.send_replace(Some(RebuildProgress {
            generation: self.generation,
            from: self.from,
            position,
            head: self.head.position(),
            events: self.events,
            elapsed: self.began.elapsed(),
        }));
    }
}

/// Whether a checkpoint is a place of this log.
async fn belongs<B: Backend>(
    model: &ReadModel<B>,
    head: &Head,
    checkpoint: Checkpoint,
) -> Result<bool, StoreError> {
    if checkpoint.epoch() != head.epoch() {
        return Ok(false);
    }
    let Some(id) = checkpoint.event_id() else {
        return Ok(true);
    };
    let read = ReadLog::before(checkpoint.position().next()).limit(1);
    let page = model.log.read_log(read).await?;
    let found = page.events().first();
    Ok(found.is_some_and(|event| event.position() == checkpoint.position() && event.id() == id))
}
