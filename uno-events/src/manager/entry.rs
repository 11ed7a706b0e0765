//! [`Entry`]: a subscription of a manager, and its coordinator.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    coordinator::{Claimed, Coordinator},
    notice::NoticeBoard,
    report::Report,
};
use crate::subscription::Prepared;

/// A subscription and the task that sees to it, if it has one.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) spec: Prepared,
    pub(super) report: Report,
    pub(super) paused: watch::Sender<bool>,
    /// Rung when lanes are to be claimed, or requests looked at, before it is time.
    pub(super) poke: Notify,
    task: Mutex<Option<Task>>,
    /// Whether it was unsubscribed: then it is never started again.
    removed: AtomicBool,
    /// Held while the subscription is being started, stopped or reset, so that these happen one after the other.
    /// Held across awaits, hence a lock of tokio's.
    pub(super) changing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Task {
    stop: CancellationToken,
    abort: AbortHandle,
}

impl Entry {
    pub(super) fn new(spec: Prepared, board: NoticeBoard) -> Self {
        Self {
            report: Report::new(spec.name.clone(), board),
            spec,
            paused: watch::Sender::new(false),
            poke: Notify::new(),
            task: Mutex::new(None),
            removed: AtomicBool::new(false),
            changing: Arc::default(),
        }
    }

    /// Whether [`start`](Self::start) would do something.
    pub(super) fn can_start(&self) -> bool {
        self.report.is_stopped() && !self.removed.load(Ordering::Acquire)
    }

    /// Starts the task, unless it runs, with the lanes that were claimed for it. Only while `changing` is held.
    pub(super) fn start(self: &Arc<Self>, shared: &Arc<Shared>, claimed: Option<Claimed>) {
        if !self.can_start() {
            return;
        }
        self.paused.send_replace(false);
        self.report.starting();
        let stop = CancellationToken::new();
        let coordinator = Coordinator::new(Arc::clone(shared), Arc::clone(self), stop.clone());
        let abort = tokio::spawn(coordinator.run(claimed)).abort_handle();
        *self.task() = Some(Task { stop, abort });
    }

    pub(super) fn tell_to_stop(&self) {
        if let Some(task) = self.task().as_ref() {
            task.stop.cancel();
        }
    }

    /// Stops the task and waits until it has stopped. Only while `changing` is held.
    pub(super) async fn stop(&self) {
        self.tell_to_stop();
        self.report.when(|told| told.stopped.is_some()).await;
    }

    /// Stops the task for good. Only while `changing` is held.
    pub(super) async fn remove(&self) {
        self.removed.store(true, Ordering::Release);
        self.stop().await;
    }

    /// Ends the task at its next await, as a crash would. Whether it was running.
    pub(super) fn abort(&self) -> bool {
        let Some(task) = self.task().take() else {
            return false;
        };
        let was_running = !self.report.is_stopped();
        task.abort.abort();
        was_running
    }

    fn task(&self) -> MutexGuard<'_, Option<Task>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
