//! [`Entry`]: a subscription of a manager, and its task.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::{sync::watch, task::AbortHandle};
use tokio_util::sync::CancellationToken;

use super::{Shared, report::Report, runner::Runner};
use crate::subscription::Prepared;

/// A subscription and its task, if it has one.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) spec: Prepared,
    pub(super) report: Report,
    pub(super) paused: watch::Sender<bool>,
    task: Mutex<Option<Task>>,
    /// Whether it was unsubscribed: then it is never started again.
    removed: AtomicBool,
    /// Held while the subscription is being started, stopped or reset, so that these happen one after the other.
    /// Held across awaits, hence a lock of tokio's.
    pub(super) changing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Task {
    stop: CancellationToken,
    abort: AbortHandle,
}

impl Entry {
    pub(super) fn new(spec: Prepared) -> Self {
        Self {
            spec,
            report: Report::new(),
            paused: watch::Sender::new(false),
            task: Mutex::new(None),
            removed: AtomicBool::new(false),
            changing: tokio::sync::Mutex::new(()),
        }
    }

    /// Starts the task, unless it runs. Only while `changing` is held.
    pub(super) fn start(self: &Arc<Self>, shared: &Arc<Shared>) {
        if !self.report.is_stopped() || self.removed.load(Ordering::Acquire) {
            return;
        }
        self.paused.send_replace(false);
        self.report.starting();
        let stop = CancellationToken::new();
        let runner = Runner::new(Arc::clone(shared), Arc::clone(self), stop.clone());
        let abort = tokio::spawn(runner.run()).abort_handle();
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
        self.report.when(|told| told.state.is_stopped()).await;
    }

    /// Stops the task for good. Only while `changing` is held.
    pub(super) async fn remove(&self) {
        self.removed.store(true, Ordering::Release);
        self.stop().await;
    }

    /// Ends the task at its next await, as a crash would.
    pub(super) fn abort(&self) {
        if let Some(task) = self.task().take() {
            task.abort.abort();
        }
    }

    fn task(&self) -> MutexGuard<'_, Option<Task>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
