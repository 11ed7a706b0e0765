//! [`Runner`]: runs units of work and commits them.

use std::{
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::Instant;
use tracing::Instrument as _;
use uno_core::{
    AppendError, Backend, BoxError, Commit, CommitError, CorrelationId, Decoder, Metadata, Receipt,
    Snapshot, Stale, StoreError, StreamId,
};

use crate::{
    BeforeCommit, CommandError, Handover, RetryBudget, RetryPolicy, SnapshotCounts, StagingError,
    UnitOfWork, Warm,
    command_error::store_error,
    snapshot_keeper::SnapshotKeeper,
    telemetry,
    unit_of_work::{Collection, Slots},
};

tokio::task_local! {
    /// Set while a closure of `run` is running on this task.
    static RUNNING: ();
}

/// Runs units of work against a store. Cheap to clone.
pub struct Runner<B: Backend> {
    backend: Arc<B>,
    decoder: Decoder,
    retry: RetryPolicy,
    budget: RetryBudget,
    snapshots: Arc<SnapshotKeeper>,
    completions: Arc<[Arc<dyn BeforeCommit<B>>]>,
}

impl<B: Backend> Runner<B> {
    /// A runner that decodes with what event types say of themselves, and retries conflicts by the default policy, within
    /// a budget of its own that its clones share.
    #[must_use]
    pub fn new(backend: Arc<B>) -> Self {
        Self {
            backend,
            decoder: Decoder::new(),
            retry: RetryPolicy::default(),
            budget: RetryBudget::default(),
            snapshots: Arc::new(SnapshotKeeper::new()),
            completions: Arc::new([]),
        }
    }

    /// The same, with this decoder.
    #[must_use]
    pub fn with_decoder(mut self, decoder: Decoder) -> Self {
        self.decoder = decoder;
        self
    }

    /// The same, with this policy for conflicts.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// The same, with this budget for the retries of all runs, of this runner, its clones, and all that have the budget.
    #[must_use]
    pub fn with_retry_budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// The same, with every commit completed by this, after what completes it already.
    #[must_use]
    pub fn with_before_commit(mut self, completion: Arc<dyn BeforeCommit<B>>) -> Self {
        let before = self.completions.iter().map(Arc::clone);
        self.completions = before.chain([completion]).collect();
        self
    }

    /// The store.
    #[must_use]
    pub fn backend(&self) -> &Arc<B> {
        &self.backend
    }

    /// The decoder.
    #[must_use]
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    pub(crate) fn keeper(&self) -> &SnapshotKeeper {
        &self.snapshots
    }

    /// Begins a unit of work that the caller commits with [`commit`](Self::commit), or drops.
    ///
    /// Its events and commands carry this metadata; without a correlation id, one starts here.
    #[must_use]
    pub fn begin(&self, metadata: Metadata) -> UnitOfWork<B> {
        let metadata = correlated(metadata);
        UnitOfWork::new(
            Arc::clone(&self.backend),
            self.decoder.clone(),
            Arc::clone(&self.snapshots),
            metadata,
        )
    }

    /// What became of snapshots so far, in this runner and its clones.
    #[must_use]
    pub fn snapshot_counts(&self) -> SnapshotCounts {
        self.snapshots.counts()
    }

    /// Waits until every snapshot that is stored [in the background](uno_domain::Snapshots::in_background) is stored or given up.
    ///
    /// A program that ends without it loses shortcuts, and nothing else.
    pub async fn snapshots_settled(&self) {
        self.snapshots.settled().await;
    }

    /// Commits a unit of work: everything in it, or nothing.
    ///
    /// # Errors
    /// As [`run`](Self::run), without retrying; [`Nested`](RunError::Nested) within a closure of `run`.
    ///
    /// # Cancellation
    /// Dropping the future commits everything, or nothing.
    pub async fn commit(&self, uow: UnitOfWork<B>) -> Result<Receipt, RunError> {
        self.refuse_nesting()?;
        let mut collection = uow.into_commit().map_err(RunError::Staging)?;
        let completed = self.complete(&mut collection.commit).await;
        completed.map_err(RunError::Command)?;
        self.carry_out(collection.commit, collection.afterwards)
            .await
    }

    async fn complete(&self, commit: &mut Commit<B::Tx>) -> Result<(), CommandError> {
        for completion in &*self.completions {
            completion.complete(&self.backend, commit).await?;
        }
        Ok(())
    }

    /// Commits, and has the snapshots stored that come after it: not before, for only the commit proves what they were made of.
    async fn carry_out(
        &self,
        commit: Commit<B::Tx>,
        snapshots: Vec<Snapshot>,
    ) -> Result<Receipt, RunError> {
        let (streams, events) = (commit.appends.len(), count_events(&commit));
        let span = tracing::debug_span!(telemetry::COMMIT, streams, events);
        let receipt = self.backend.commit(commit).instrument(span).await?;
        self.snapshots.keep(&self.backend, snapshots);
        Ok(receipt)
    }

    /// Refuses what would be a unit of work within another: it would commit by itself, so that the outer one could not undo it.
    /// [`run`](Self::run) and [`commit`](Self::commit) ask by themselves; for those who do something that takes time before it.
    ///
    /// # Errors
    /// [`Nested`](RunError::Nested) within a closure of `run`, of this runner or another.
    pub fn refuse_nesting(&self) -> Result<(), RunError> {
        match RUNNING.try_with(|()| ()) {
            Ok(()) => Err(RunError::Nested),
            Err(_) => Ok(()),
        }
    }

    /// Runs `f` on a new unit of work and commits it. On a conflict, runs it again on fresh state: as often and as long as
    /// the [`RetryPolicy`] says, and as far as the [`RetryBudget`] goes.
    ///
    /// `f` may run several times: its effects must all go through the unit of work. Every attempt has the same metadata.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use serde::{Deserialize, Serialize};
    /// # use uno_core::{Event, EventSet, Metadata};
    /// # use uno_domain::Aggregate;
    /// # #[derive(Event, Serialize, Deserialize)] struct Counted {}
    /// # #[derive(EventSet)] enum CounterEvent { Counted(Counted) }
    /// # #[derive(Default)] struct Counter { value: u32 }
    /// # impl Aggregate for Counter {
    /// #     const CATEGORY: &'static str = "counter";
    /// #     type Id = u32;
    /// #     type Event = CounterEvent;
    /// #     fn apply(&mut self, _: &CounterEvent) { self.value += 1; }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use uno_store_memory::MemoryStore;
    /// use uno_uow::Runner;
    ///
    /// let runner = Runner::new(Arc::new(MemoryStore::new()));
    /// for expected in 1..=3 {
    ///     let (value, receipt) = runner.run(Metadata::new(), |uow| Box::pin(async move {
    ///         let mut counter = uow.load_or_new::<Counter>(&7).await?;
    ///         counter.record(Counted {});
    ///         Ok(counter.state().value)
    ///     })).await?;
    ///     assert_eq!((value, receipt.streams()[0].last().get()), (expected, expected.into()));
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What `f` returned, as [`Command`](RunError::Command); or why the commit failed. A commit whose outcome is
    /// [`Unknown`](RunError::Unknown) is not tried again. [`Nested`](RunError::Nested) within a closure of `run`, also of
    /// another runner: what the inner one committed would stay when the outer one fails.
    ///
    /// # Cancellation
    /// Dropping the future commits nothing, or everything if the commit was under way.
    pub async fn run<T, F>(&self, metadata: Metadata, f: F) -> Result<(T, Receipt), RunError>
    where
        F: for<'u> FnMut(
                &'u mut UnitOfWork<B>,
            )
                -> Pin<Box<dyn Future<Output = Result<T, CommandError>> + Send + 'u>>
            + Send,
        T: Send,
    {
        self.run_with(metadata, None, f).await
    }

    /// As [`run`](Self::run), beginning with the aggregates as the unit of work before this one has left them, and leaving them for the
    /// next: a caller that runs units of work on the same aggregates one after the other need not read what it has just written.
    ///
    /// They are [passed on](Handover::pass_on) when the commit is given to the store, so the next one may decide, and commit, while this one
    /// is being made durable; when it is durable, if documents, states or rows are in the commit, which are not handed on.
    ///
    /// What comes of it is what would have come of the aggregates as they are stored. If somebody else has written to one of them
    /// meanwhile, if what was passed on was not committed, or if `f` refuses or fails, which no commit proves right, `f` runs again on
    /// what is stored. That counts as no attempt of the retry policy.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use serde::{Deserialize, Serialize};
    /// # use uno_core::{Event, EventSet, Metadata};
    /// # use uno_domain::Aggregate;
    /// # #[derive(Event, Serialize, Deserialize)] struct Counted {}
    /// # #[derive(EventSet)] enum CounterEvent { Counted(Counted) }
    /// # #[derive(Default)] struct Counter { value: u32 }
    /// # impl Aggregate for Counter {
    /// #     const CATEGORY: &'static str = "counter";
    /// #     type Id = u32;
    /// #     type Event = CounterEvent;
    /// #     fn apply(&mut self, _: &CounterEvent) { self.value += 1; }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use uno_store_memory::MemoryStore;
    /// use uno_uow::{Runner, Warm};
    ///
    /// let runner = Runner::new(Arc::new(MemoryStore::new()));
    /// let mut warm = Warm::default();
    /// for expected in 1..=3 {
    ///     let (value, _) = runner.run_warm(Metadata::new(), &mut warm, |uow| Box::pin(async move {
    ///         let mut counter = uow.load_or_new::<Counter>(&7).await?;     // read once
    ///         counter.record(Counted {});
    ///         Ok(counter.state().value)
    ///     })).await?;
    ///     assert_eq!(value, expected);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancellation
    /// As [`run`](Self::run).
    pub async fn run_warm<T, F>(
        &self,
        metadata: Metadata,
        handover: &mut dyn Handover,
        f: F,
    ) -> Result<(T, Receipt), RunError>
    where
        F: for<'u> FnMut(
                &'u mut UnitOfWork<B>,
            )
                -> Pin<Box<dyn Future<Output = Result<T, CommandError>> + Send + 'u>>
            + Send,
        T: Send,
    {
        self.run_with(metadata, Some(handover), f).await
    }

    async fn run_with<T, F>(
        &self,
        metadata: Metadata,
        mut handover: Option<&mut dyn Handover>,
        mut f: F,
    ) -> Result<(T, Receipt), RunError>
    where
        F: for<'u> FnMut(
                &'u mut UnitOfWork<B>,
            )
                -> Pin<Box<dyn Future<Output = Result<T, CommandError>> + Send + 'u>>
            + Send,
        T: Send,
    {
        self.refuse_nesting()?;
        let metadata = correlated(metadata);
        let begun = Instant::now();
        self.budget.deposit();
        let mut failed = 0;
        // The first attempt begins with what the one before has left, and does not wait for it; the others are in earnest.
        let mut first = true;
        loop {
            let mut uow = self.begin(metadata.clone());
            if let Some(handover) = handover.as_deref_mut()
                && first
            {
                uow.warm = handover.take();
            }
            let decided = RUNNING.scope((), f(&mut uow)).await;
            let relies_on_warm = uow.relies_on_warm;
            let completed = match decided {
                Ok(value) => {
                    let mut collection = uow.into_commit().map_err(RunError::Staging)?;
                    let completed = self.complete(&mut collection.commit).await;
                    completed.map(|()| (value, collection))
                }
                Err(error) => Err(error),
            };
            let (value, collection) = match completed {
                Ok(completed) => completed,
                Err(error) => match handover.as_deref_mut() {
                    Some(handover) if relies_on_warm => {
                        first = false;
                        handover.settle().await;
                        continue;
                    }
                    _ => return Err(RunError::Command(error)),
                },
            };
            let committed = match handover.as_deref_mut() {
                Some(handover) => self.pass_on(collection, handover, first).await,
                None => {
                    self.carry_out(collection.commit, collection.afterwards)
                        .await
                }
            };
            let error = match committed {
                Ok(receipt) => return Ok((value, receipt)),
                Err(error) => error,
            };
            if !error.is_conflict() {
                return Err(error);
            }
            if let Some(handover) = handover.as_deref_mut() {
                first = false;
                handover.settle().await;
            }
            if relies_on_warm {
                continue;
            }
            failed += 1;
            match self.pause_after(failed, begun) {
                Ok(pause) => {
                    tracing::debug!(name: telemetry::CONFLICT, attempt = failed, "deciding again on fresh state");
                    tokio::time::sleep(pause).await;
                }
                Err(why) => {
                    tracing::info!(name: telemetry::GAVE_UP, attempts = failed, why, "others were faster");
                    return Err(error);
                }
            }
        }
    }
}

impl<B: Backend> Runner<B> {
    /// Commits, and passes on what that leaves: at once if `early` and nothing else than aggregates is changed, else when it is done.
    async fn pass_on(
        &self,
        collection: Collection<B>,
        handover: &mut dyn Handover,
        early: bool,
    ) -> Result<Receipt, RunError> {
        let Collection {
            commit,
            slots,
            afterwards,
        } = collection;
        // States, rows and documents are not handed on: whoever read them now would read what this is about to change.
        let early = early && commit.documents.is_empty() && commit.work.is_empty();
        let snapshots = commit.snapshots.iter().chain(&afterwards);
        let snapshots: Vec<_> = snapshots
            .map(|snapshot| snapshot.stream().clone())
            .collect();
        let mut committing = pin!(self.carry_out(commit, afterwards));
        if early {
            // Asked once, the store has the commit, or has it in line: what follows comes after it.
            let begun = poll_fn(|context| Poll::Ready(committing.as_mut().poll(context))).await;
            if !matches!(begun, Poll::Ready(Err(_))) {
                handover.pass_on(kept(&slots, &snapshots));
            }
            return match begun {
                Poll::Ready(result) => result,
                Poll::Pending => committing.await,
            };
        }
        let result = committing.await;
        if result.is_ok() {
            handover.pass_on(kept(&slots, &snapshots));
        }
        result
    }

    /// How long to pause before the next attempt, or why there is none.
    fn pause_after(&self, failed: u32, begun: Instant) -> Result<Duration, &'static str> {
        let pause = self.retry.pause_after(failed).ok_or("attempts")?;
        if begun.elapsed().saturating_add(pause) > self.retry.time_limit() {
            return Err("time");
        }
        // Last, so that nothing is taken out that is not used.
        if self.budget.withdraw() {
            Ok(pause)
        } else {
            Err("budget")
        }
    }
}

/// What a unit of work leaves for the next, if it is committed.
fn kept<B: Backend>(slots: &Slots<B>, snapshots: &[StreamId]) -> Warm {
    let mut warm = Warm::default();
    for slot in slots {
        if let Some((stream, root)) = slot.keep_warm(snapshots) {
            warm.put(stream, root);
        }
    }
    warm
}

/// The metadata with a correlation id: whatever one unit of work records belongs together.
fn correlated(metadata: Metadata) -> Metadata {
    match metadata.correlation_id() {
        Some(_) => metadata,
        None => metadata.with_correlation_id(CorrelationId::new()),
    }
}

fn count_events<Tx>(commit: &Commit<Tx>) -> usize {
    commit
        .appends
        .iter()
        .map(|append| append.events().len())
        .sum()
}

impl<B: Backend> Clone for Runner<B> {
    fn clone(&self) -> Self {
        Self {
            backend: Arc::clone(&self.backend),
            decoder: self.decoder.clone(),
            retry: self.retry,
            budget: self.budget.clone(),
            snapshots: Arc::clone(&self.snapshots),
            completions: Arc::clone(&self.completions),
        }
    }
}

impl<B: Backend> fmt::Debug for Runner<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("backend", &self.backend)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

/// Why a unit of work was not committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The handler refused or failed.
    #[error(transparent)]
    Command(CommandError),
    /// Others were faster, more often or longer than the retry policy allows, or while the retry budget was used up.
    #[error(transparent)]
    Conflict(CommitError),
    /// The connection was lost while the store was committing: look, or send the command again under its id.
    #[error("the outcome of the commit is unknown")]
    Unknown(#[source] BoxError),
    /// A record that the commit relied upon, and that is nobody else's to change, was changed by somebody else.
    #[error(transparent)]
    Stale(Stale),
    /// What was recorded can't be committed.
    #[error(transparent)]
    Staging(StagingError),
    /// `run` or `commit` was called within `run`. Use the unit of work that is there.
    #[error("a unit of work is running on this task already; units of work do not nest")]
    Nested,
    /// The commit failed for another reason.
    #[error(transparent)]
    Commit(CommitError),
}

impl RunError {
    /// Whether others were faster.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }

    /// Whether the domain refused.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        matches!(self, Self::Command(error) if error.is_rejection())
    }

    /// Whether the same call may succeed later: the store can't be reached at present, whether the handler noticed that
    /// or the commit did.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.store_error().is_some_and(StoreError::is_transient)
    }

    /// The failure of the store that is behind it, if that is why nothing was committed.
    #[must_use]
    pub fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Command(error) => error.store_error(),
            Self::Commit(error) => store_error(error),
            _ => None,
        }
    }
}

impl From<CommitError> for RunError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Append(AppendError::Unknown(source)) => Self::Unknown(source),
            error if error.is_conflict() => Self::Conflict(error),
            CommitError::Stale(stale) => Self::Stale(stale),
            error => Self::Commit(error),
        }
    }
}
