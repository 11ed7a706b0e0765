//! [`Gate`]: who is in the middle of a publish, and whether anybody new may begin one.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

/// Counts those who publish, so that a bus can be closed and drained.
#[derive(Debug, Default)]
pub(super) struct Gate {
    closed: AtomicBool,
    inside: AtomicUsize,
    left: Notify,
}

/// Somebody who publishes. Dropping it is leaving.
#[derive(Debug)]
pub(super) struct Inside<G: Deref<Target = Gate>>(G);

impl Gate {
    /// Lets somebody in, unless it is closed. Those who are within a handler of the bus belong to somebody who is inside, and
    /// are let in also then.
    ///
    /// The count comes first, and both sides are sequentially consistent: either we see that it is closed, or who closes
    /// it sees us.
    pub(super) fn enter(&self, is_within: impl FnOnce() -> bool) -> Option<Inside<&Self>> {
        self.inside.fetch_add(1, Ordering::SeqCst);
        let inside = Inside(self);
        (!self.closed.load(Ordering::SeqCst) || is_within()).then_some(inside)
    }

    /// Lets in something that goes on when the publish that began it has ended.
    pub(super) fn enter_for_longer(self: &Arc<Self>) -> Inside<Arc<Self>> {
        self.inside.fetch_add(1, Ordering::SeqCst);
        Inside(Arc::clone(self))
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(super) fn inside(&self) -> usize {
        self.inside.load(Ordering::SeqCst)
    }

    /// Returns when nobody is inside. Call it once it is closed.
    pub(super) async fn empty(&self) {
        loop {
            // Asked to be told before looking, so that the last who leaves in between is not missed.
            let left = self.left.notified();
            if self.inside() == 0 {
                return;
            }
            left.await;
        }
    }
}

impl<G: Deref<Target = Gate>> Drop for Inside<G> {
    fn drop(&mut self) {
        if self.0.inside.fetch_sub(1, Ordering::SeqCst) == 1 && self.0.is_closed() {
            self.0.left.notify_waiters();
        }
    }
}
