//! [`Limit`]: how many handlers run at once, without those that publish waiting for themselves.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::frame::Lender;

/// The places of a bus: a handler runs in one.
///
/// A handler that publishes waits for the handlers of what it publishes, and holds its place meanwhile. If those waited for
/// places of their own, ten such handlers would wait for one another for ever. So a handler *lends* its place: what is
/// published within it runs one at a time in the lent place, or in a free one. The lent place comes back when
/// the handler that it was lent to ends, and that one waits only for handlers further within, so the innermost always
/// goes on.
pub(super) struct Limit {
    id: u64,
    places: Semaphore,
}

static NEXT_LIMIT: AtomicU64 = AtomicU64::new(0);

impl Limit {
    pub(super) fn new(places: usize) -> Self {
        let id = NEXT_LIMIT.fetch_add(1, Ordering::Relaxed);
        Self {
            id,
            places: Semaphore::new(places.min(Semaphore::MAX_PERMITS)),
        }
    }

    /// Which bus it is of, unique in the process.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// A place that is free right now.
    pub(super) fn try_take(&self) -> Option<SemaphorePermit<'_>> {
        self.places.try_acquire().ok()
    }

    /// Takes a place, which comes back when the permit is dropped. The semaphores are never closed, so there always is one.
    pub(super) async fn take<'p>(
        &'p self,
        within: Option<&'p Lender>,
    ) -> Option<SemaphorePermit<'p>> {
        if let Some(free) = self.try_take() {
            return Some(free);
        }
        match within.and_then(|handler| handler.place_of(self.id)) {
            None => self.places.acquire().await.ok(),
            Some(lent) => tokio::select! {
                biased;
                lent = lent.acquire() => lent.ok(),
                free = self.places.acquire() => free.ok(),
            },
        }
    }
}
