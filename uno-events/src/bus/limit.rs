//! [`Limit`]: how many handlers run at once, without those that publish waiting for themselves.

use std::{
    cell::OnceCell,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{Semaphore, SemaphorePermit};

tokio::task_local! {
    /// The handler within which this task is.
    static WITHIN: Handling;
}

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

/// A handler that runs. It becomes a lender when it publishes, which most do not.
struct Handling {
    limit: u64,
    outer: Option<Lender>,
    lender: OnceCell<Lender>,
}

/// A handler that publishes, and so lends its place.
#[derive(Clone)]
pub(super) struct Lender(Arc<Lending>);

struct Lending {
    /// Whose place it is.
    limit: u64,
    place: Semaphore,
    /// The handler within which this one was called, perhaps by another bus.
    outer: Option<Lender>,
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

    /// Takes a place, which comes back when the permit is dropped. The semaphores are never closed, so there always is one.
    pub(super) async fn take<'p>(
        &'p self,
        lender: Option<&'p Lender>,
    ) -> Option<SemaphorePermit<'p>> {
        if let Ok(free) = self.places.try_acquire() {
            return Some(free);
        }
        match lender {
            None => self.places.acquire().await.ok(),
            Some(Lender(lending)) => tokio::select! {
                biased;
                lent = lending.place.acquire() => lent.ok(),
                free = self.places.acquire() => free.ok(),
            },
        }
    }

    /// Runs a handler, such that what it publishes can find the place that it lends. `outer` is the handler of whichever
    /// bus that this one is called within.
    pub(super) fn within<F: Future>(
        &self,
        outer: Option<&Lender>,
        handler: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let outer = outer.cloned();
        let lender = OnceCell::new();
        WITHIN.scope(
            Handling {
                limit: self.id,
                outer,
                lender,
            },
            handler,
        )
    }
}

impl Lender {
    /// The innermost handler, of whichever bus, that the task is within.
    pub(super) fn innermost() -> Option<Self> {
        WITHIN.try_with(Handling::lend).ok()
    }

    /// The innermost handler of this bus, from this one outwards. One further out has lent its place already, to one
    /// that waits for us.
    pub(super) fn of(&self, limit: &Limit) -> Option<&Self> {
        let mut next = Some(self);
        while let Some(lender) = next {
            if lender.0.limit == limit.id {
                return next;
            }
            next = lender.0.outer.as_ref();
        }
        None
    }
}

impl Handling {
    fn lend(&self) -> Lender {
        let lending = || {
            let (limit, outer) = (self.limit, self.outer.clone());
            Lender(Arc::new(Lending {
                limit,
                place: Semaphore::new(1),
                outer,
            }))
        };
        self.lender.get_or_init(lending).clone()
    }
}
