//! Outcomes: what became of the commands that instances have sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uno_core::{Acknowledgement, AppendError, Backend, Commit, CommitError, QueuedMessage};
use uno_cqrs::CommandOutcome;
use uno_uow::RetryPolicy;

use super::{
    SagaError, SagaRunner,
    part::{self, Part},
    status::error_text,
};
use crate::{
    Saga,
    engine::{self, Instances},
    telemetry,
};

/// How many outcomes are handled in one transaction.
const PAGE: usize = 256;

/// Pauses while outcomes can't be handled: from 10 ms up to 10 s.
const PAUSES: RetryPolicy = RetryPolicy::none()
    .with_attempts(u32::MAX)
    .with_pauses(Duration::from_millis(10), Duration::from_secs(10));

/// What is left behind while the others go on.
#[derive(Default)]
struct Trouble {
    /// The instances that can't go on: their outcomes stay in the queue, in order.
    keys: BTreeSet<String>,
    /// Why the first of them can't.
    first: Option<SagaError>,
}

impl Trouble {
    fn add(&mut self, key: String, error: SagaError) {
        self.keys.insert(key);
        self.first.get_or_insert(error);
    }
}

impl<S: Saga, B: Backend> SagaRunner<S, B> {
    /// Handles outcomes until it is cancelled.
    ///
    /// An outcome that can't be handled keeps its instance waiting, and no other; it is tried again, with growing pauses, and
    /// named in [`status`](Self::status). None is skipped.
    ///
    /// # Cancellation
    /// Dropping the future leaves each outcome handled, or still in its queue.
    pub async fn run_outcomes(&self, poll: Duration, stop: CancellationToken) {
        let mut failed = 0;
        while !stop.is_cancelled() {
            // Taken before reading, so that an outcome that is stored in between ends the wait at once.
            let mark = self.inner.backend.change();
            let handled = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                handled = self.handle_outcomes() => handled,
            };
            let mut hints = true;
            let pause = match handled {
                Ok(0) => {
                    failed = 0;
                    poll
                }
                Ok(_) => {
                    failed = 0;
                    continue;
                }
                Err(error) => {
                    failed += 1;
                    // What others commit may help an instance, but not a store.
                    hints = !error.is_of_store();
                    if !matches!(error, SagaError::Commit(CommitError::Stale(_))) {
                        let (saga, attempt) = (S::NAME, failed);
                        tracing::warn!(name: telemetry::OUTCOMES_FAILING, saga, attempt, "will try again");
                    }
                    PAUSES.pause_after(failed).unwrap_or(poll)
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.inner.backend.changed(mark), if hints => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Handles the outcomes at the head of the queue in one transaction; how many there were.
    ///
    /// Those of an instance that can't go on stay where they are, and the others are handled.
    ///
    /// # Errors
    /// When nothing was handled: because the store failed, no instance can go on, or somebody else was faster.
    ///
    /// # Cancellation
    /// Dropping the future leaves each outcome handled, or still in its queue.
    pub async fn handle_outcomes(&self) -> Result<usize, SagaError> {
        let _turn = self.inner.turn.lock().await;
        let mut trouble = Trouble::default();
        let result = self.handle_next(&mut trouble).await;
        self.inner.status.note(|status| {
            status.outcomes += *result.as_ref().unwrap_or(&0) as u64;
            status.failing = match (&trouble.first, &result) {
                // Somebody else was faster, which is nothing to report.
                (None, Ok(_) | Err(SagaError::Commit(CommitError::Stale(_)))) => None,
                (Some(error), _) | (None, Err(error)) => Some(error_text(error)),
            };
        });
        match (result, trouble.first) {
            (Ok(0), Some(error)) => Err(error),
            (result, _) => result,
        }
    }

    /// The first page of the queue of which anything can be handled.
    async fn handle_next(&self, trouble: &mut Trouble) -> Result<usize, SagaError> {
        let (backend, queue) = (&self.inner.backend, &self.inner.outcomes);
        let mut after = 0;
        loop {
            let page = backend.read_queue(queue, after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(0);
            };
            after = last.number();
            let (count, full) = (page.len(), page.len() == PAGE);
            let span =
                tracing::debug_span!(telemetry::STEP, saga = S::NAME, input = "outcomes", count);
            let handled = self.handle_page(&page, trouble).instrument(span).await?;
            if handled > 0 || !full {
                return Ok(handled);
            }
        }
    }

    async fn handle_page(
        &self,
        page: &[QueuedMessage],
        trouble: &mut Trouble,
    ) -> Result<usize, SagaError> {
        let mut by_key: BTreeMap<&str, Vec<&QueuedMessage>> = BTreeMap::new();
        for queued in page {
            let key = queued.message().key();
            // What comes later for an instance that can't go on waits behind what came before.
            if !trouble.keys.contains(key) {
                by_key.entry(key).or_default().push(queued);
            }
        }
        if by_key.is_empty() {
            return Ok(0);
        }
        let keys = by_key.keys().map(|key| (*key).to_owned()).collect();
        let (mut instances, unreadable) = self.load(keys).await?;
        for (key, error) in unreadable {
            by_key.remove(key.as_str());
            trouble.add(key, error);
        }
        let mut parts = Vec::with_capacity(by_key.len());
        for (key, outcomes) in by_key {
            match self.step(&mut instances, key, &outcomes) {
                Ok(part) => parts.push((key, part)),
                Err(error) => trouble.add(key.to_owned(), error),
            }
        }
        self.commit_parts(parts, trouble).await
    }

    /// What the outcomes of one instance come to.
    fn step(
        &self,
        instances: &mut Instances<S>,
        key: &str,
        outcomes: &[&QueuedMessage],
    ) -> Result<Part, SagaError> {
        let mut part = Part::default();
        for queued in outcomes {
            let message = queued.message();
            let outcome =
                CommandOutcome::from_message(queued).map_err(|source| SagaError::Malformed {
                    key: key.to_owned(),
                    source,
                })?;
            let acknowledgement = Acknowledgement::new(&*self.inner.outcomes, message.id());
            part.acknowledgements.push(acknowledgement);
            match engine::on_outcome(instances, key, &outcome)? {
                Some(step) => {
                    let messages = self.messages(key, step.sent, message.metadata());
                    part.messages.extend(messages);
                }
                None => {
                    let (saga, command_id) = (S::NAME, outcome.command_id());
                    tracing::warn!(name: telemetry::OUTCOME_WITHOUT_INSTANCE, saga, %command_id, "ignored");
                }
            }
        }
        if let Some(loaded) = instances.get(key) {
            part.write = part::write(key, loaded)?;
        }
        Ok(part)
    }

    /// All in one commit. If the store refuses it, one by one, so that the one at fault keeps no other waiting.
    async fn commit_parts(
        &self,
        parts: Vec<(&str, Part)>,
        trouble: &mut Trouble,
    ) -> Result<usize, SagaError> {
        if parts.is_empty() {
            return Ok(0);
        }
        let count = |part: &Part| part.acknowledgements.len();
        let all = parts.iter().map(|(_, part)| count(part)).sum();
        match self
            .commit(parts.iter().map(|(_, part)| part.clone()))
            .await
        {
            Ok(()) => return Ok(all),
            Err(error) if !is_refusal(&error) => return Err(error.into()),
            Err(_) => {}
        }
        let mut handled = 0;
        for (key, part) in parts {
            let outcomes = count(&part);
            match self.commit([part]).await {
                Ok(()) => handled += outcomes,
                Err(source) if is_refusal(&source) => {
                    let key = key.to_owned();
                    trouble.add(key.clone(), SagaError::Refused { key, source });
                }
                Err(_) if handled > 0 => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(handled)
    }

    async fn commit(
        &self,
        parts: impl IntoIterator<Item = Part> + Send,
    ) -> Result<(), CommitError> {
        let mut commit = Commit::new();
        for part in parts {
            part.add_to(&mut commit);
        }
        self.inner.backend.commit(commit).await.map(drop)
    }
}

/// Whether it is what is in the commit that is at fault, so that another one may succeed.
fn is_refusal(error: &CommitError) -> bool {
    matches!(error, CommitError::Append(AppendError::Refused(_)))
}
