//! [`World`]: what outlives the process.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use uno::core::ManualClock;

use crate::ledger::Ledger;

/// What is there whether our process runs or not: the time, the services outside, and how far the story has come.
#[derive(Debug)]
pub struct World {
    /// The store's clock, which moves only when the story says so.
    pub clock: Arc<ManualClock>,
    /// The services outside.
    pub ledger: Arc<Ledger>,
    /// How many acts have begun, and how many were seen to their end.
    begun: AtomicUsize,
    done: AtomicUsize,
    aloud: bool,
}

impl World {
    /// A world in which the story is told on standard output.
    #[must_use]
    pub fn aloud() -> Self {
        Self::new(true, Ledger::default())
    }

    /// A world in which nobody listens.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(false, Ledger::default())
    }

    /// A world in which nobody listens, and the services outside do not know what they were told before.
    #[must_use]
    pub fn forgetful() -> Self {
        Self::new(false, Ledger::forgetful())
    }

    fn new(aloud: bool, ledger: Ledger) -> Self {
        // 2026-01-05 09:00, a Monday.
        let start = "2026-01-05T09:00:00Z".parse().unwrap_or_default();
        Self {
            clock: Arc::new(ManualClock::at(start)),
            ledger: Arc::new(ledger),
            begun: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            aloud,
        }
    }

    /// Whether the story is told.
    pub(crate) fn is_aloud(&self) -> bool {
        self.aloud
    }

    /// Whether an act is still to be played, and if so whether for the first time.
    pub(crate) fn enter(&self, act: usize) -> Entrance {
        if act < self.done.load(Ordering::SeqCst) {
            Entrance::Over
        } else if self.begun.fetch_max(act + 1, Ordering::SeqCst) > act {
            Entrance::Again
        } else {
            Entrance::First
        }
    }

    pub(crate) fn leave(&self, act: usize) {
        self.done.fetch_max(act + 1, Ordering::SeqCst);
    }
}

/// How an act of the story comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    First,
    /// A process before has begun it, and was stopped.
    Again,
    /// A process before has seen it to its end.
    Over,
}
