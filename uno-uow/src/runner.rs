//! [`Runner`]: runs units of work and commits them.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::Instrument as _;
use uno_core::{
    AppendError, Backend, BoxError, Commit, CommitError, CorrelationId, Decoder, Metadata, Receipt,
    Stale, StoreError,
};

use crate::{
    CommandError, RetryBudget, RetryPolicy, SnapshotCounts, StagingError, UnitOfWork,
    command_error::store_error, snapshot_keeper::SnapshotKeeper, telemetry,
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
        refuse_nesting()?;
        let (commit, snapshots) = uow.into_commit().map_err(RunError::Staging)?;
        let (streams, events) = (commit.appends.len(), count_events(&commit));
        let span = tracing::debug_span!(telemetry::COMMIT, streams, events);
        let receipt = self.backend.commit(commit).instrument(span).await?;
        self.snapshots.keep(&self.backend, snapshots);
        Ok(receipt)
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
    pub async fn run<T, F>(&self, metadata: Metadata, mut f: F) -> Result<(T, Receipt), RunError>
    where
        F: for<'u> FnMut(
                &'u mut UnitOfWork<B>,
            )
                -> Pin<Box<dyn Future<Output = Result<T, CommandError>> + Send + 'u>>
            + Send,
        T: Send,
    {
        refuse_nesting()?;
        let metadata = correlated(metadata);
        let begun = Instant::now();
        self.budget.deposit();
        let mut failed = 0;
        loop {
            let mut uow = self.begin(metadata.clone());
            let value = RUNNING
                .scope((), f(&mut uow))
                .await
                .map_err(RunError::Command)?;
            let error = match self.commit(uow).await {
                Ok(receipt) => return Ok((value, receipt)),
                Err(error) => error,
            };
            if !error.is_conflict() {
                return Err(error);
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

/// A unit of work within another would commit by itself, so that the outer one could not undo it.
fn refuse_nesting() -> Result<(), RunError> {
    match RUNNING.try_with(|()| ()) {
        Ok(()) => Err(RunError::Nested),
        Err(_) => Ok(()),
    }
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
