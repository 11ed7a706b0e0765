//! [`Frame`]: what a task is within, so that a handler that publishes does not wait for itself.

use std::{
    cell::{OnceCell, RefCell},
    mem,
    sync::Arc,
};

use tokio::sync::Semaphore;

thread_local! {
    /// The handler within which this thread is, while it polls one. Borrowed only for as long as it takes to swap or clone.
    static WITHIN: RefCell<Option<Frame>> = const { RefCell::new(None) };
}

/// A handler that runs. It becomes a lender when it publishes, which most do not.
pub(super) struct Frame {
    limit: u64,
    outer: Option<Lender>,
    lender: OnceCell<Lender>,
    /// Few handlers have one, so that a frame is small.
    holds: Option<Box<Holds>>,
}

/// What else than a place a handler holds while it runs, and so must not wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holds {
    /// The turn of a key, by the lane of the handler and the key.
    pub(super) turn: Option<(u64, u64)>,
    /// The worker of a queue.
    pub(super) queue: Option<u64>,
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
    holds: Holds,
}

impl Frame {
    /// A handler of the bus with this limit. `outer` is the handler of whichever bus that it is called within.
    pub(super) fn new(limit: u64, outer: Option<&Lender>) -> Self {
        let (outer, lender) = (outer.cloned(), OnceCell::new());
        Self {
            limit,
            outer,
            lender,
            holds: None,
        }
    }

    pub(super) fn holding(mut self, holds: Holds) -> Self {
        self.holds = (holds != Holds::default()).then(|| Box::new(holds));
        self
    }

    /// Makes it the frame of another handler that runs after the first, in the same place.
    ///
    /// What the first has lent stays with what it was lent to: if that outlives it, it is no longer ours to wait for.
    pub(super) fn renew(&mut self) {
        if self.lender.get().is_some() {
            self.lender = OnceCell::new();
        }
    }

    fn lend(&self) -> Lender {
        let lending = || {
            Lender(Arc::new(Lending {
                limit: self.limit,
                place: Semaphore::new(1),
                outer: self.outer.clone(),
                holds: self.holds.as_deref().copied().unwrap_or_default(),
            }))
        };
        self.lender.get_or_init(lending).clone()
    }
}

/// Runs `poll` within a frame. The frame is there again afterwards, also when `poll` panics.
pub(super) fn within<T>(frame: &mut Option<Frame>, poll: impl FnOnce() -> T) -> T {
    struct Leave<'f>(&'f mut Option<Frame>);
    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            swap(self.0);
        }
    }
    swap(frame);
    let _leave = Leave(frame);
    poll()
}

/// Makes the frame that we are within that of another handler, which runs after the first in the same place.
pub(super) fn renew_innermost() {
    let renew = |within: &RefCell<Option<Frame>>| {
        if let Some(frame) = &mut *within.borrow_mut() {
            frame.renew();
        }
    };
    let _ = WITHIN.try_with(renew);
}

/// A thread that ends has no frames any more, and then nobody asks for them either.
fn swap(frame: &mut Option<Frame>) {
    let _ = WITHIN.try_with(|within| mem::swap(&mut *within.borrow_mut(), frame));
}

impl Lender {
    /// The innermost handler, of whichever bus, that the task is within.
    pub(super) fn innermost() -> Option<Self> {
        WITHIN
            .try_with(|within| within.borrow().as_ref().map(Frame::lend))
            .ok()
            .flatten()
    }

    /// The handlers from this one outwards.
    fn outwards(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |lender| lender.0.outer.as_ref())
    }

    /// Whether any of the handlers is of the bus with this limit.
    pub(super) fn is_of(&self, limit: u64) -> bool {
        self.outwards().any(|lender| lender.0.limit == limit)
    }

    /// The place that the innermost handler of a bus lends. One further out has lent its place already, to one that waits
    /// for us.
    pub(super) fn place_of(&self, limit: u64) -> Option<&Semaphore> {
        let lender = self.outwards().find(|lender| lender.0.limit == limit);
        lender.map(|lender| &lender.0.place)
    }

    /// The innermost handler that holds the turn of a key, as a number that no other handler has while this one runs.
    pub(super) fn holder_of(&self, turn: (u64, u64)) -> Option<usize> {
        let holder = self
            .outwards()
            .find(|lender| lender.0.holds.turn == Some(turn));
        holder.map(|lender| Arc::as_ptr(&lender.0).addr())
    }

    /// The queues whose workers wait for this handler, from within outwards.
    pub(super) fn queues(&self) -> impl Iterator<Item = u64> {
        self.outwards().filter_map(|lender| lender.0.holds.queue)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn frame(limit: u64, outer: Option<&Lender>) -> Option<Frame> {
        Some(Frame::new(limit, outer))
    }

    #[test]
    fn a_panic_leaves_the_frame_as_it_was_entered() {
        let mut outer = frame(1, None);
        within(&mut outer, || {
            let mut inner = frame(2, Lender::innermost().as_ref());
            let poll = || within(&mut inner, || panic!("by intent"));
            assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
            let limits: Vec<u64> = Lender::innermost()
                .unwrap()
                .outwards()
                .map(|lender| lender.0.limit)
                .collect();
            assert_eq!(limits, [1]);
            assert_eq!(inner.unwrap().limit, 2);
        });
        assert!(Lender::innermost().is_none());
        assert_eq!(outer.unwrap().limit, 1);
    }

    #[test]
    fn what_handlers_hold_is_found_from_within_outwards() {
        let turn = Some((7, 7));
        let mut outer = Some(Frame::new(1, None).holding(Holds { turn, queue: None }));
        within(&mut outer, || {
            let holds = Holds {
                turn: None,
                queue: Some(5),
            };
            let mut inner = Some(Frame::new(1, Lender::innermost().as_ref()).holding(holds));
            within(&mut inner, || {
                let innermost = Lender::innermost().unwrap();
                assert_eq!(innermost.queues().collect::<Vec<_>>(), [5]);
                assert!(innermost.holder_of((7, 7)).is_some());
                assert!(innermost.holder_of((7, 8)).is_none());
                assert!(innermost.place_of(1).is_some() && innermost.place_of(2).is_none());
            });
        });
    }
}
