//! [`Limit`]: how many handlers run at once, without those that publish waiting for themselves.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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
    /// Places that are free and that nobody waits for.
    free: AtomicUsize,
    /// How many wait for a place, or are about to.
    waiting: AtomicUsize,
    /// Places for those who wait, first come, first served. It has permits only for a moment.
    handed: Semaphore,
}

/// A place. Dropping it gives it back.
pub(super) enum Permit<'p> {
    Own(&'p Limit),
    Lent { _permit: SemaphorePermit<'p> },
}

static NEXT_LIMIT: AtomicU64 = AtomicU64::new(0);

impl Limit {
    pub(super) fn new(places: usize) -> Self {
        let id = NEXT_LIMIT.fetch_add(1, Ordering::Relaxed);
        Self {
            id,
            free: AtomicUsize::new(places.min(Semaphore::MAX_PERMITS)),
            waiting: AtomicUsize::new(0),
            handed: Semaphore::new(0),
        }
    }

    /// Which bus it is of, unique in the process.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// A place that is free right now.
    ///
    /// A counter does for that, and costs less than a semaphore, which takes a lock to give back. All that is done to `free`
    /// and `waiting` is sequentially consistent: either who gives back sees that somebody waits, or that one sees the place.
    pub(super) fn try_take(&self) -> Option<Permit<'_>> {
        let less = |free: usize| free.checked_sub(1);
        let taken = self
            .free
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        taken.is_ok().then(|| Permit::Own(self))
    }

    /// Takes a place, which comes back when the permit is dropped. The semaphores are never closed, so there always is one.
    pub(super) async fn take<'p>(&'p self, within: Option<&'p Lender>) -> Option<Permit<'p>> {
        if let Some(free) = self.try_take() {
            return Some(free);
        }
        let _waits = Waits::begin(self);
        // Once more, since one that was given back before we waited was handed to nobody.
        self.hand_over();
        let handed = async {
            let handed = self.handed.acquire().await.ok()?;
            handed.forget();
            Some(Permit::Own(self))
        };
        match within.and_then(|handler| handler.place_of(self.id)) {
            None => handed.await,
            Some(lent) => tokio::select! {
                biased;
                lent = lent.acquire() => lent.ok().map(|permit| Permit::Lent { _permit: permit }),
                free = handed => free,
            },
        }
    }

    fn give_back(&self) {
        self.free.fetch_add(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.hand_over();
        }
    }

    /// Hands a free place to those who wait, if there is one.
    fn hand_over(&self) {
        let less = |free: usize| free.checked_sub(1);
        let taken = self
            .free
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        if taken.is_ok() {
            self.handed.add_permits(1);
            // Whoever waited may have ceased to just before.
            self.take_back();
        }
    }

    /// Takes back what was handed to nobody: whoever it was meant for has got another place, or no longer waits.
    fn take_back(&self) {
        while self.waiting.load(Ordering::SeqCst) == 0 {
            let Ok(handed) = self.handed.try_acquire() else {
                return;
            };
            handed.forget();
            self.give_back();
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Self::Own(limit) = self {
            limit.give_back();
        }
    }
}

/// Somebody who waits for a place. Dropping it is no longer waiting.
struct Waits<'p>(&'p Limit);

impl<'p> Waits<'p> {
    fn begin(limit: &'p Limit) -> Self {
        limit.waiting.fetch_add(1, Ordering::SeqCst);
        Self(limit)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.take_back();
        }
    }
}
