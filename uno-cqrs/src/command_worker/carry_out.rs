//! Carrying out one queued command until it has an outcome.

use std::{panic::AssertUnwindSafe, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use uno_core::{
    Acknowledgement, AppendError, Backend, BoxError, CommandId, Commit, CommitError, CorrelationId,
    Metadata, NewMessage, QueuedMessage, Stale, StoreError,
};
use uno_uow::{CommandError, RunError};

use super::{CommandWorker, backoff};
use crate::{
    CommandOutcome, Completion, ExecuteError, Verdict, command_outcome::stored_reason, telemetry,
};

/// Whether the message is off the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It is, with its outcome.
    Settled,
    /// It is not, because the worker was stopped. It is carried out after the next start.
    Left,
}

/// What became of one attempt.
enum Attempt {
    /// The message is off the queue.
    Settled,
    /// The domain refused.
    Rejected(String),
    /// The store can't be used or did not answer, which is not the command's fault.
    Waits(String),
    /// It failed.
    Failed(String),
    /// It failed, and will fail whenever it is tried.
    Hopeless(String),
}

/// How often a command was tried, and when.
#[derive(Clone, Copy)]
struct Tries {
    count: u32,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
}

impl Tries {
    fn none(now: DateTime<Utc>) -> Self {
        Self {
            count: 0,
            first: now,
            last: now,
        }
    }

    fn next(&mut self, now: DateTime<Utc>) -> Self {
        self.count = self.count.saturating_add(1);
        self.last = now;
        *self
    }
}

impl<B: Backend> CommandWorker<B> {
    /// Carries out a command, whatever happens on the way, unless the worker is stopped.
    ///
    /// Handlers' panics are caught closer by; this is for those of the store, so that none closes a lane for good.
    pub(super) async fn see_through(
        &self,
        queued: &QueuedMessage,
        stop: &CancellationToken,
    ) -> Ended {
        let message = queued.message();
        let mut panicked = 0;
        let mut tries = Tries::none(self.clock.now());
        loop {
            // Nothing of ours is left half done by a panic: what was not committed is tried again.
            let handling = AssertUnwindSafe(self.handle(message, &mut tries, stop)).catch_unwind();
            match handling.await {
                Ok(ended) => return ended,
                Err(_) => {
                    panicked += 1;
                    self.will_retry(
                        message,
                        panicked,
                        "panicked",
                        "the store panicked".to_owned(),
                    );
                }
            }
            if !pause(backoff(panicked), stop).await {
                return Ended::Left;
            }
        }
    }

    async fn handle(
        &self,
        message: &NewMessage,
        tries: &mut Tries,
        stop: &CancellationToken,
    ) -> Ended {
        let (mut failed, mut waited) = (0, 0);
        loop {
            let this = tries.next(self.clock.now());
            let wait = match self.attempt(message, this).await {
                Attempt::Settled => return Ended::Settled,
                Attempt::Rejected(reason) => {
                    return self
                        .settle(message, Verdict::Rejected(reason), this, stop)
                        .await;
                }
                Attempt::Hopeless(reason) => {
                    return self.give_up(message, this, reason, stop).await;
                }
                Attempt::Waits(reason) => {
                    waited += 1;
                    self.will_retry(message, waited, "store", reason);
                    backoff(waited)
                }
                Attempt::Failed(reason) => {
                    failed += 1;
                    let Some(wait) = self.retry.pause_after(failed) else {
                        return self.give_up(message, this, reason, stop).await;
                    };
                    self.will_retry(message, failed, "failed", reason);
                    wait
                }
            };
            if !pause(wait, stop).await {
                return Ended::Left;
            }
        }
    }

    async fn attempt(&self, message: &NewMessage, tries: Tries) -> Attempt {
        let completion = match self.completion(message, Verdict::Succeeded, tries) {
            Ok(completion) => completion,
            Err(error) => return Attempt::Failed(stored_reason(&*error)),
        };
        let payload = message.payload().as_str();
        let dispatched =
            self.bus
                .dispatch(message.name(), payload, metadata_of(message), completion);
        let result = match self.time_limit {
            None => dispatched.await,
            // Dropped when it takes longer. Should its commit be under way all the same, then either that one takes the
            // message off the queue or the next attempt does, never both.
            Some(limit) => match tokio::time::timeout(limit, dispatched).await {
                Ok(result) => result,
                Err(_) => return Attempt::Failed(format!("did not finish within {limit:?}")),
            },
        };
        match result {
            Ok(_) => {
                self.report.note(|status| status.succeeded += 1);
                Attempt::Settled
            }
            Err(ExecuteError::Run(RunError::Stale(Stale::Message { queue, id })))
                if *queue == *self.queue && id == message.id() =>
            {
                // Another worker has carried it out; or this one, in an attempt whose outcome was unknown.
                Attempt::Settled
            }
            Err(error) => judge(&error),
        }
    }

    async fn give_up(
        &self,
        message: &NewMessage,
        tries: Tries,
        reason: String,
        stop: &CancellationToken,
    ) -> Ended {
        let (queue, command, command_id) = (&*self.queue, message.name(), message.id());
        let attempt = tries.count;
        tracing::error!(name: telemetry::COMMAND_GAVE_UP, queue, command, %command_id, attempt, "gave up");
        self.report
            .note(|status| status.last_error = Some(reason.clone()));
        self.settle(message, Verdict::GaveUp(reason), tries, stop)
            .await
    }

    /// Commits that a command had no effect: its acknowledgement and its outcome, alone.
    async fn settle(
        &self,
        message: &NewMessage,
        verdict: Verdict,
        tries: Tries,
        stop: &CancellationToken,
    ) -> Ended {
        let rejected = matches!(verdict, Verdict::Rejected(_));
        let mut with_outcome = true;
        let mut waited = 0;
        loop {
            let error: BoxError = match self
                .commit_outcome(message, &verdict, tries, with_outcome)
                .await
            {
                Ok(()) => {
                    self.report.note(|status| {
                        let counter = if rejected {
                            &mut status.rejected
                        } else {
                            &mut status.gave_up
                        };
                        *counter += 1;
                    });
                    return Ended::Settled;
                }
                // Somebody else has settled it; or this one, in a commit whose outcome was unknown.
                Err(Unsettled::Gone) => return Ended::Settled,
                Err(Unsettled::Refused(error)) if with_outcome => {
                    // The queue of outcomes has one of this command already. Without this, the message could never be
                    // taken off its queue, and everything with its key would wait for ever.
                    with_outcome = false;
                    let (queue, command, command_id) = (&*self.queue, message.name(), message.id());
                    tracing::error!(name: telemetry::OUTCOME_DROPPED, queue, command, %command_id, "the outcome is refused");
                    self.report
                        .note(|status| status.last_error = Some(stored_reason(&*error)));
                    continue;
                }
                Err(Unsettled::Refused(error) | Unsettled::Failed(error)) => error,
            };
            waited += 1;
            self.will_retry(message, waited, "outcome", stored_reason(&*error));
            if !pause(backoff(waited), stop).await {
                return Ended::Left;
            }
        }
    }

    async fn commit_outcome(
        &self,
        message: &NewMessage,
        verdict: &Verdict,
        tries: Tries,
        with_outcome: bool,
    ) -> Result<(), Unsettled> {
        let mut commit = Commit::new();
        commit
            .acknowledgements
            .push(Acknowledgement::new(&*self.queue, message.id()));
        if with_outcome {
            let outcome = self
                .outcome(message, verdict.clone(), tries)
                .map_err(Unsettled::Refused)?;
            commit.messages.extend(outcome);
        }
        match self.bus.runner().backend().commit(commit).await {
            Ok(_) => Ok(()),
            Err(CommitError::Stale(_)) => Err(Unsettled::Gone),
            Err(error @ CommitError::Append(AppendError::Refused(_))) => {
                Err(Unsettled::Refused(error.into()))
            }
            Err(error) => Err(Unsettled::Failed(error.into())),
        }
    }

    fn completion(
        &self,
        message: &NewMessage,
        verdict: Verdict,
        tries: Tries,
    ) -> Result<Completion, BoxError> {
        let acknowledgement = Acknowledgement::new(&*self.queue, message.id());
        Ok(Completion::new(
            acknowledgement,
            self.outcome(message, verdict, tries)?,
        ))
    }

    fn outcome(
        &self,
        message: &NewMessage,
        verdict: Verdict,
        tries: Tries,
    ) -> Result<Option<NewMessage>, BoxError> {
        let Some(queue) = &self.outcomes else {
            return Ok(None);
        };
        let id = CommandId::from_uuid(message.id());
        let outcome = CommandOutcome::new(id, message.name(), verdict).with_attempts(
            tries.count,
            tries.first,
            tries.last,
        );
        Ok(Some(outcome.to_message(
            queue,
            message.key(),
            metadata_of(message),
        )?))
    }

    fn will_retry(&self, message: &NewMessage, attempt: u32, why: &'static str, error: String) {
        let (queue, command, command_id) = (&*self.queue, message.name(), message.id());
        tracing::warn!(name: telemetry::COMMAND_RETRY, queue, command, %command_id, attempt, why, "will try again");
        self.report.note(|status| {
            status.retried += 1;
            status.last_error = Some(error);
        });
    }
}

/// Why an outcome was not committed.
enum Unsettled {
    Gone,
    Refused(BoxError),
    Failed(BoxError),
}

/// What an error says about trying again.
fn judge(error: &ExecuteError) -> Attempt {
    match error {
        // A command that nobody understands will not be understood at the next attempt either.
        ExecuteError::UnknownCommand(_) | ExecuteError::Malformed { .. } => {
            Attempt::Hopeless(stored_reason(error))
        }
        // Refused by its type, or for whom it is sent: no more its handler's affair than a rejection, and as final.
        ExecuteError::Invalid { .. } | ExecuteError::Forbidden { .. } => {
            Attempt::Rejected(stored_reason(error))
        }
        ExecuteError::Run(RunError::Command(CommandError::Rejected(reason))) => {
            Attempt::Rejected(stored_reason(reason.as_ref()))
        }
        // It was not begun.
        ExecuteError::Busy { .. } => Attempt::Waits(stored_reason(error)),
        ExecuteError::TimedOut { .. } | ExecuteError::Layer(_) | ExecuteError::KeyReused(_) => {
            Attempt::Failed(stored_reason(error))
        }
        // Settled by trying again: either the message is gone, or the command is carried out now.
        ExecuteError::Run(RunError::Unknown(_)) => Attempt::Waits(stored_reason(error)),
        ExecuteError::Run(run) if run.store_error().is_some_and(concerns_all) => {
            Attempt::Waits(stored_reason(error))
        }
        ExecuteError::Run(_) => Attempt::Failed(stored_reason(error)),
    }
}

/// Whether the store fails for whatever is asked of it: then no command is to blame, and no outcome could be stored either.
fn concerns_all(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::NotMigrated { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::NotDurable { .. }
    )
}

/// The metadata of what a queued command sets off: its own, with the command as the cause.
fn metadata_of(message: &NewMessage) -> Metadata {
    let metadata = message.metadata().clone().with_causation_id(message.id());
    match metadata.correlation_id() {
        Some(_) => metadata,
        None => metadata.with_correlation_id(CorrelationId::from_uuid(message.id())),
    }
}

/// Pauses; `false` when the worker is stopped, at once.
async fn pause(duration: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = stop.cancelled() => false,
        () = tokio::time::sleep(duration) => true,
    }
}
