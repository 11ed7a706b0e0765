//! What a [`Runner`] does about a failure.

use std::{sync::Arc, time::Duration};

use uno_core::{AppendError, CommitError, DecodeError, LaneAttempt, Position, Stale, StoreError};

use super::{
    Halt, Phase, Runner, Step, StopReason, Stretch,
    trouble::{Failure, Note},
};
use crate::{guard::error_text, telemetry};

impl Runner {
    /// The consumer has failed.
    pub(super) async fn failed(&mut self, failure: Failure, stretch: Stretch) -> Halt {
        let error: Arc<str> = failure.text().into();
        if matches!(failure, Failure::Lost(_)) {
            return Halt::Lost;
        }
        self.entry.report.failed(&error);
        if !matches!(failure, Failure::Stale(_)) {
            // The consumer may have come part of the way, or all of it: the checkpoint will tell.
            self.trouble.in_doubt(stretch.events.clone());
        }
        match failure {
            Failure::Lost(_) => Halt::Lost,
            Failure::Stale(_) => self.look_again().await,
            Failure::Conflict(_) if self.trouble.conflict() => self.look_again().await,
            Failure::Conflict(_) => self.at_fault(None, error, &stretch),
            Failure::Event { position, .. } => self.at_fault(position, error, &stretch),
            Failure::Transient(_) => self.try_later(error).await,
            Failure::NotNow { rest, .. } => self.hold(rest, error).await,
            Failure::Stop { position, .. } if stretch.len() <= 1 => {
                Halt::Stop(StopReason::Failed {
                    position,
                    attempts: 1,
                    error,
                })
            }
            Failure::Decode(decode) if stretch.len() <= 1 => {
                let fault = self.trouble.undecodable(decode.position(), error);
                if self.entry.spec.parking.is_some() && is_at_fault(&decode) {
                    return Halt::Reload;
                }
                Halt::Stop(fault.stop_reason())
            }
            // Those before it come first.
            Failure::Decode(_) | Failure::Stop { .. } => {
                self.trouble.go_singly(stretch.last);
                Halt::Reload
            }
        }
    }

    /// An event can't be handled: this one, if it is known, else some event of the stretch.
    fn at_fault(&mut self, position: Option<Position>, error: Arc<str>, stretch: &Stretch) -> Halt {
        let position = position.filter(|position| stretch.contains(*position));
        let Some(position) = position.or((stretch.len() <= 1).then_some(stretch.first)) else {
            self.trouble.go_singly(stretch.last);
            return Halt::Reload;
        };
        let policy = &self.entry.spec.retry;
        let fault = self.trouble.failed_at(position, error, policy);
        // When it is not the first, those before it come first, one by one.
        if position == stretch.first
            && !policy.allows(fault.attempts)
            && (self.entry.spec.parking.is_none() || stretch.len() == 0)
        {
            return Halt::Stop(fault.stop_reason());
        }
        Halt::Reload
    }

    /// Somebody else was faster: a short while later there is something else to see.
    pub(super) async fn look_again(&mut self) -> Halt {
        let wait = self.trouble.stale(self.shared.settings.poll_interval);
        self.wait(wait).await;
        Halt::Reload
    }

    /// The store could not be read.
    pub(super) async fn store_failed(&mut self, error: StoreError) -> Halt {
        let text: Arc<str> = error_text(&error).into();
        self.entry.report.failed(&text);
        if error.is_transient() {
            return self.try_later(text).await;
        }
        let attempts = self.trouble.store_failed();
        if !self.entry.spec.retry.allows(attempts) {
            return Halt::Stop(StopReason::Store { error: text });
        }
        self.pause_before_retry(attempts, text).await
    }

    /// After something that may go away by itself: for as long as it takes.
    async fn try_later(&mut self, error: Arc<str>) -> Halt {
        let attempts = self.trouble.transient();
        self.pause_before_retry(attempts, error).await
    }

    /// The consumer is to be left alone. Whoever waits here is woken when the lane is to stop or to pause, and counts nothing against the
    /// event that comes next.
    async fn hold(&mut self, rest: Duration, error: Arc<str>) -> Halt {
        let attempt = self.trouble.fault().map_or(0, |fault| fault.attempts);
        self.phase(Phase::Retrying { attempt, error });
        // Nothing is known of how long a trial takes that another lane has under way.
        let least = self.entry.spec.retry.wait(1);
        self.wait(rest.max(least)).await;
        Halt::Reload
    }

    async fn pause_before_retry(&mut self, attempt: u32, error: Arc<str>) -> Halt {
        self.phase(Phase::Retrying { attempt, error });
        self.log_retry(attempt, self.entry.report.read().position());
        self.wait(self.entry.spec.retry.wait(attempt)).await;
        self.entry.report.retried();
        Halt::Reload
    }

    pub(super) fn log_retry(&self, attempt: u32, position: Position) {
        let subscription = self.entry.spec.name.as_str();
        tracing::warn!(name: telemetry::RETRY, subscription, attempt, position = position.get(), "will try again");
    }

    /// Writes down that an event is about to be tried.
    pub(super) async fn note_attempt(&mut self, note: Note) -> Step<()> {
        match self.send_attempt(note).await {
            Ok(()) => {
                self.trouble.noted(note);
                Ok(())
            }
            Err(CommitError::Stale(Stale::Lease { .. })) => Err(Halt::Lost),
            Err(CommitError::Stale(_)) => Err(self.look_again().await),
            Err(CommitError::Append(AppendError::Store(error))) => {
                Err(self.store_failed(error).await)
            }
            Err(other) => Err(self.try_later(error_text(&other).into()).await),
        }
    }

    /// Once no event is suspected any more of a death that the lane's row still tells of: says so.
    pub(super) async fn acquit(&mut self) -> Step<()> {
        match self.trouble.acquittal_to_note() {
            Some(note) => self.note_attempt(note).await,
            None => Ok(()),
        }
    }

    /// Whoever has the lane next goes on counting where this one has stopped.
    pub(super) async fn hand_on_attempts(&mut self) {
        if self.trouble.fault().is_some() || self.trouble.acquittal_to_note().is_some() {
            let note = self.trouble.note_to_hand_on();
            // When it fails, the event has more attempts left than it should, or the next one that kills its process has one less.
            let _ = self.send_attempt(note).await;
        }
    }

    /// A subscription that has stopped because of an event is started by a person, who has done something about it: what was tried
    /// before does not count then.
    pub(super) async fn forget_attempts(&mut self) {
        if let Some(fault) = self.trouble.fault().cloned() {
            self.trouble.given_up(&fault);
            let note = Note {
                attempt: 0,
                ..self.trouble.note_to_hand_on()
            };
            // When it fails, the event has fewer attempts left the next time.
            let _ = self.send_attempt(note).await;
        }
    }

    async fn send_attempt(&self, note: Note) -> Result<(), CommitError> {
        let (lane, fence) = (self.lane(), self.link.lease.fence());
        let name = self.entry.spec.name.clone();
        let noted = LaneAttempt::new(name, lane, fence, note.position, note.attempt)
            .leaving_unexplained(note.leaves_suspects);
        self.shared.subscriptions.note_attempt(noted).await
    }
}

/// Whether it is the event that is at fault, and not the program, of which a newer one may know better.
fn is_at_fault(error: &DecodeError) -> bool {
    matches!(
        error,
        DecodeError::Malformed { .. } | DecodeError::Upcast { .. }
    )
}
