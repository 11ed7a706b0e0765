//! [`QueueStatus`]: what a queue holds, and what has become of events.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::bus::{HandlerResult, outcome::Verdict};

/// What has become of the events that were offered to a queue.
///
/// The worker counts each event that it has handled, so the counts have cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Counts {
    blocked: AtomicU64,
    spilled: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
    handled: AtomicU64,
    failed: AtomicU64,
    /// Held for as long as it takes to clone or to replace it.
    last_failure: Mutex<Option<Arc<HandlerResult>>>,
}

impl Counts {
    pub(super) fn blocked(&self) {
        self.blocked.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn spilled(&self) {
        self.spilled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lost(&self, events: u64) {
        self.lost.fetch_add(events, Ordering::Relaxed);
    }

    /// Notes how a call ended.
    pub(super) fn ended(&self, verdict: Verdict) {
        if matches!(verdict.result, HandlerResult::Handled) {
            self.handled.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
        *self.failure() = Some(Arc::new(verdict.result));
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<Arc<HandlerResult>>> {
        self.last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(
        &self,
        capacity: usize,
        depth: usize,
        reads_log: bool,
        running: bool,
    ) -> QueueStatus {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        QueueStatus {
            capacity,
            depth,
            reads_log,
            running,
            blocked: count(&self.blocked),
            spilled: count(&self.spilled),
            dropped: count(&self.dropped),
            refused: count(&self.refused),
            lost: count(&self.lost),
            handled: count(&self.handled),
            failed: count(&self.failed),
            last_failure: self.failure().clone(),
        }
    }
}

/// What a handler's queue holds, and what has become of the events that were published to it.
#[derive(Clone, Debug)]
pub struct QueueStatus {
    capacity: usize,
    depth: usize,
    reads_log: bool,
    running: bool,
    blocked: u64,
    spilled: u64,
    dropped: u64,
    refused: u64,
    lost: u64,
    handled: u64,
    failed: u64,
    last_failure: Option<Arc<HandlerResult>>,
}

impl QueueStatus {
    /// How many events may wait.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many wait.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Whether it is behind, and reads events from the log until it has caught up.
    #[must_use]
    pub fn reads_log(&self) -> bool {
        self.reads_log
    }

    /// Whether its worker is at work.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// How often a publisher had to wait for space.
    #[must_use]
    pub fn blocked(&self) -> u64 {
        self.blocked
    }

    /// How many events were left to the log to be read from it.
    #[must_use]
    pub fn spilled(&self) -> u64 {
        self.spilled
    }

    /// How many events were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many events were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How many events were left to the log and were not found in it.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// How many events the handler has handled.
    #[must_use]
    pub fn handled(&self) -> u64 {
        self.handled
    }

    /// How many events, and notices of gaps, the handler did not handle: it failed, panicked or took too long.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// How it failed last.
    #[must_use]
    pub fn last_failure(&self) -> Option<&HandlerResult> {
        self.last_failure.as_deref()
    }
}
