//! Outcomes: what became of the commands that instances have sent.

use std::{collections::BTreeMap, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uno_core::{Backend, CommitError, QueuedMessage};

use super::{PAUSES, SagaError, SagaRunner, arrival::Arrival, waiting::Trouble};
use crate::{Saga, telemetry};

/// How many outcomes are handled in one transaction.
const PAGE: usize = 256;

impl<S: Saga, B: Backend> SagaRunner<S, B> {
    /// Handles outcomes until it is cancelled.
    ///
    /// An outcome that its instance can't take is parked with it. One that can't be parked either keeps its instance waiting,
    /// and no other; it is tried again, with growing pauses, and named in [`status`](Self::status). None is skipped.
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
    /// # Errors
    /// When nothing was handled: because the store failed, nothing more can be parked, or somebody else was faster.
    ///
    /// # Cancellation
    /// Dropping the future leaves each outcome handled, or still in its queue.
    pub async fn handle_outcomes(&self) -> Result<usize, SagaError> {
        let _turn = self.inner.turn.lock().await;
        let mut trouble = Trouble::default();
        let result = self.handle_next(&mut trouble).await;
        let failing = trouble.text(&result);
        self.inner.status.note(|status| {
            status.outcomes += *result.as_ref().unwrap_or(&0) as u64;
            status.failing = failing;
        });
        trouble.or(result)
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
            let handled = self
                .handle_waiting(by_key(&page), trouble)
                .instrument(span)
                .await?;
            if handled > 0 || !full {
                return Ok(handled);
            }
        }
    }
}

fn by_key<S: Saga>(page: &[QueuedMessage]) -> BTreeMap<String, Vec<Arrival<S>>> {
    let mut by_key: BTreeMap<String, Vec<Arrival<S>>> = BTreeMap::new();
    for queued in page {
        let message = queued.message();
        let of_key = by_key.entry(message.key().to_owned()).or_default();
        of_key.push(Arrival::outcome(message));
    }
    by_key
}
