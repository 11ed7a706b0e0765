//! [`GroupState`]: whether the handlers of a group are called, and what they do.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use tokio::sync::Notify;

use crate::Group;

/// What the handlers of one group have in common.
#[derive(Debug)]
pub(super) struct GroupState {
    group: Group,
    stopped: AtomicBool,
    running: AtomicUsize,
    missed: AtomicU64,
    ended: Notify,
}

impl GroupState {
    pub(super) fn new(group: Group) -> Self {
        Self {
            group,
            stopped: AtomicBool::new(false),
            running: AtomicUsize::new(0),
            missed: AtomicU64::new(0),
            ended: Notify::new(),
        }
    }

    pub(super) fn group(&self) -> &Group {
        &self.group
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    pub(super) fn set_stopped(&self, stopped: bool) {
        self.stopped.store(stopped, Ordering::SeqCst);
    }

    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Notes that an event was not handed to one of its handlers, because it is stopped.
    pub(super) fn miss(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// Begins a call, unless the group is stopped. The count comes first, and both sides are sequentially consistent:
    /// either we see that it is stopped, or who stops it sees us.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Running> {
        self.running.fetch_add(1, Ordering::SeqCst);
        let running = Running(Arc::clone(self));
        (!self.is_stopped()).then_some(running)
    }

    /// Returns when none of its handlers runs. Call it once it is stopped.
    pub(super) async fn quiet(&self) {
        loop {
            // Asked to be told before looking, so that the last that ends in between is not missed.
            let ended = self.ended.notified();
            if self.running() == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// A call of a handler of the group. Dropping it is its end.
#[derive(Debug)]
pub(super) struct Running(Arc<GroupState>);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.ended.notify_waiters();
        }
    }
}

/// A group of handlers on a bus: what they do, together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    pub(super) group: Group,
    pub(super) started: bool,
    pub(super) handlers: usize,
    pub(super) running: usize,
    pub(super) queued: usize,
    pub(super) missed: u64,
}

impl GroupStatus {
    /// Which group.
    #[must_use]
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Whether its handlers are called.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.started
    }

    /// How many handlers it has.
    #[must_use]
    pub fn handlers(&self) -> usize {
        self.handlers
    }

    /// How many calls of them are under way.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    /// How many events are in their queues.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// How many deliveries were left out because it was stopped: one for each event and each handler of it.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}
