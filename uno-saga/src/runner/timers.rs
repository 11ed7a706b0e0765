//! Timers: what becomes due.

use std::{collections::BTreeMap, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uno_core::{Backend, CommitError, Timer};

use super::{PAUSES, SagaError, SagaRunner, arrival::Arrival, waiting::Trouble};
use crate::{Saga, telemetry};

/// How many timers are fired in one transaction.
const PAGE: usize = 256;
/// How far behind timers that can't be handled others are looked for.
const FARTHEST: usize = 16_384;

/// What firing the due timers came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fired {
    /// How many were handled.
    pub count: usize,
    /// How long until the next one is due, by the store's clock; `None` when none is pending.
    pub next_in: Option<Duration>,
}

impl<S: Saga, B: Backend> SagaRunner<S, B> {
    /// Fires timers as they become due, until it is cancelled.
    ///
    /// It sleeps until the next one is due or this process sets another, and looks at least once every `poll` for those that
    /// others have set. One that can't be handled is treated as an outcome is by [`run_outcomes`](Self::run_outcomes).
    ///
    /// # Cancellation
    /// Dropping the future leaves each timer fired with all that comes of it, or pending.
    pub async fn run_timers(&self, poll: Duration, stop: CancellationToken) {
        let mut failed = 0;
        while !stop.is_cancelled() {
            let fired = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                fired = self.fire_timers() => fired,
            };
            let pause = match fired {
                Ok(Fired { count: 0, next_in }) => {
                    failed = 0;
                    // Somewhat later than it says, because the store's clock and ours need not run alike to the microsecond.
                    next_in.map_or(poll, |next| next.max(Duration::from_millis(1)).min(poll))
                }
                Ok(_) => {
                    failed = 0;
                    continue;
                }
                Err(error) => {
                    failed += 1;
                    if !matches!(error, SagaError::Commit(CommitError::Stale(_))) {
                        let (saga, attempt) = (S::NAME, failed);
                        tracing::warn!(name: telemetry::TIMERS_FAILING, saga, attempt, "will try again");
                    }
                    PAUSES.pause_after(failed).unwrap_or(poll)
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                // Not every change of the store: a busy one would be asked for timers at every commit.
                () = self.inner.timer_set.notified(), if failed == 0 => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Fires the timers that are due, a page of them in one transaction.
    ///
    /// # Errors
    /// When none was handled: because the store failed, nothing more can be parked, or somebody else was faster.
    ///
    /// # Cancellation
    /// Dropping the future leaves each timer fired with all that comes of it, or pending.
    pub async fn fire_timers(&self) -> Result<Fired, SagaError> {
        let _turn = self.inner.turn.lock().await;
        let mut trouble = Trouble::default();
        let mut next_in = None;
        let result = self.fire_next(&mut trouble, &mut next_in).await;
        let failing = trouble.text(&result);
        self.inner.status.note(|status| {
            status.timers += *result.as_ref().unwrap_or(&0) as u64;
            status.timers_failing = failing;
        });
        let count = trouble.or(result)?;
        Ok(Fired { count, next_in })
    }

    async fn fire_next(
        &self,
        trouble: &mut Trouble,
        next_in: &mut Option<Duration>,
    ) -> Result<usize, SagaError> {
        let mut limit = PAGE;
        loop {
            let due = self.inner.backend.due_timers(S::NAME, limit).await?;
            *next_in = due.next_in();
            let (count, full) = (due.timers().len(), due.timers().len() == limit);
            if count == 0 {
                return Ok(0);
            }
            let span =
                tracing::debug_span!(telemetry::STEP, saga = S::NAME, input = "timers", count);
            let handled = self
                .handle_waiting(by_key(due.timers()), trouble)
                .instrument(span)
                .await?;
            if handled > 0 || !full || limit >= FARTHEST {
                return Ok(handled);
            }
            // Nothing but timers that can't be handled: others may be due behind them.
            limit *= 4;
        }
    }
}

fn by_key<S: Saga>(due: &[Timer]) -> BTreeMap<String, Vec<Arrival<S>>> {
    let mut by_key: BTreeMap<String, Vec<Arrival<S>>> = BTreeMap::new();
    for timer in due {
        let of_key = by_key.entry(timer.key().to_owned()).or_default();
        of_key.push(Arrival::timer(timer));
    }
    by_key
}
