//! What a [`Runner`] does about a failure.

use std::sync::Arc;

use uno_core::{Position, StoreError};

use super::{Halt, Runner, StopReason, Stretch, SubscriptionState, trouble::Failure};
use crate::{guard::error_text, telemetry};

impl Runner {
    /// The consumer has failed.
    pub(super) async fn failed(&mut self, failure: Failure, stretch: Stretch) -> Halt {
        let error: Arc<str> = failure.text().into();
        self.entry.report.failed(&error);
        if !matches!(failure, Failure::Stale(_)) {
            // The consumer may have come part of the way, or all of it: the checkpoint will tell.
            self.trouble.in_doubt(stretch.events.clone());
        }
        match failure {
            Failure::Stale(_) => self.look_again().await,
            Failure::Conflict(_) if self.trouble.conflict() => self.look_again().await,
            Failure::Conflict(_) => self.at_fault(None, error, &stretch),
            Failure::Event { position, .. } => self.at_fault(position, error, &stretch),
            Failure::Transient(_) => self.try_later(error).await,
            Failure::Decode(decode) if stretch.len() <= 1 => {
                let position = decode.position();
                Halt::Stop(StopReason::Undecodable { position, error })
            }
            Failure::Decode(_) => {
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
        let fault = self.trouble.fault(position, error, policy);
        // When it is not the first, those before it come first, one by one.
        if position == stretch.first && !policy.allows(fault.attempts) {
            return Halt::Stop(fault.stop_reason());
        }
        Halt::Reload
    }

    /// Somebody else was faster: a short while later there is something else to see.
    async fn look_again(&mut self) -> Halt {
        let wait = self.trouble.stale(self.shared.settings.poll_interval);
        self.woken(Some(wait)).await;
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

    async fn pause_before_retry(&mut self, attempt: u32, error: Arc<str>) -> Halt {
        self.entry
            .report
            .state(SubscriptionState::Retrying { attempt, error });
        self.log_retry(attempt, self.entry.report.read().position);
        self.woken(Some(self.entry.spec.retry.wait(attempt))).await;
        self.entry.report.retried();
        Halt::Reload
    }

    pub(super) fn log_retry(&self, attempt: u32, position: Position) {
        let subscription = self.entry.spec.name.as_str();
        tracing::warn!(name: telemetry::RETRY, subscription, attempt, position = position.get(), "will try again");
    }
}
