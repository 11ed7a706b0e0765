//! [`Report`]: what a runner tells of itself, and how others wait for it.

use std::sync::Arc;

use tokio::sync::watch;
use uno_core::{Checkpoint, Position, StoreEpoch};

use super::{StopReason, SubscriptionCounts, SubscriptionState};

/// Written by one runner, read and awaited by anybody.
#[derive(Debug)]
pub(super) struct Report(watch::Sender<Reported>);

/// What was told last.
#[derive(Clone, Debug)]
pub(super) struct Reported {
    pub(super) state: SubscriptionState,
    /// Up to where the log was handled or passed over.
    pub(super) position: Position,
    /// What is saved of it.
    pub(super) checkpoint: Option<Checkpoint>,
    /// Of the log that is read; `None` before it was first looked at.
    pub(super) epoch: Option<StoreEpoch>,
    pub(super) counts: SubscriptionCounts,
    pub(super) last_error: Option<Arc<str>>,
}

impl Report {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Reported {
            state: SubscriptionState::Stopped {
                why: StopReason::NotStarted,
                position: Position::START,
            },
            position: Position::START,
            checkpoint: None,
            epoch: None,
            counts: SubscriptionCounts::default(),
            last_error: None,
        }))
    }

    pub(super) fn read(&self) -> Reported {
        self.0.borrow().clone()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0.borrow().state.is_stopped()
    }

    /// Waits until what is told fits.
    pub(super) async fn when(&self, fits: impl FnMut(&Reported) -> bool) -> Reported {
        let mut reader = self.0.subscribe();
        // The sender is `self`, which is borrowed for as long as this waits, so the channel does not close.
        let fitting = reader.wait_for(fits).await.map(|told| told.clone());
        fitting.unwrap_or_else(|_| self.read())
    }

    pub(super) fn state(&self, state: SubscriptionState) {
        self.0.send_if_modified(|told| {
            let changed = told.state != state;
            told.state = state;
            changed
        });
    }

    /// A task begins. What the one before knew of the log is forgotten, so that nobody takes it for what is now.
    pub(super) fn starting(&self) {
        self.0.send_modify(|told| {
            told.state = SubscriptionState::Starting;
            told.epoch = None;
        });
    }

    /// There is something to do. A retry stays visible as one until it has worked.
    pub(super) fn busy(&self) {
        self.0.send_if_modified(|told| {
            let idle = matches!(
                told.state,
                SubscriptionState::CaughtUp | SubscriptionState::Paused
            );
            if idle {
                told.state = SubscriptionState::Running;
            }
            idle
        });
    }

    /// A checkpoint was found, from which it shows that so many events more were handled than was known.
    pub(super) fn opened(&self, epoch: StoreEpoch, checkpoint: Option<Checkpoint>, handled: usize) {
        self.0.send_modify(|told| {
            told.counts.handled += handled as u64;
            told.epoch = Some(epoch);
            told.checkpoint = checkpoint;
            told.position = checkpoint.map_or(Position::START, |checkpoint| checkpoint.position());
            if told.state != SubscriptionState::Starting {
                return;
            }
            told.state = SubscriptionState::Running;
        });
    }

    /// Events were handled, and the checkpoint saved with them.
    pub(super) fn handled(&self, events: usize, checkpoint: Checkpoint) {
        self.0.send_modify(|told| {
            told.counts.handled += events as u64;
            told.checkpoint = Some(checkpoint);
            told.position = checkpoint.position();
            told.state = SubscriptionState::Running;
        });
    }

    /// Events that do not fit were passed over.
    pub(super) fn passed(&self, position: Position) {
        self.0.send_modify(|told| told.position = position);
    }

    /// An attempt failed.
    pub(super) fn failed(&self, error: &Arc<str>) {
        self.0.send_modify(|told| {
            told.counts.failed += 1;
            told.last_error = Some(Arc::clone(error));
        });
    }

    /// An attempt is made again.
    pub(super) fn retried(&self) {
        self.0.send_modify(|told| told.counts.retried += 1);
    }

    pub(super) fn stopped(&self, why: StopReason) {
        self.0.send_modify(|told| {
            told.state = SubscriptionState::Stopped {
                why,
                position: told.position,
            }
        });
    }
}
