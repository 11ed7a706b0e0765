//! [`BoundedQueue`]: how many events may wait for a handler, and what happens to more.

use std::{fmt, future::Future, sync::Arc};

use uno_core::{BoxError, EventStore, Position};

use crate::handler::Handling;

/// How many events may wait for a handler, and what happens to those that find no space. There is no policy unless one is
/// said: each loses something, and only you know what you can do without.
///
/// | policy | what it costs when the handler is too slow |
/// |---|---|
/// | [`block`](Self::block) | the publisher waits |
/// | [`spill_to_log`](Self::spill_to_log) | reads of the log; nothing is lost and nobody waits |
/// | [`drop_with_gap`](Self::drop_with_gap) | events, of which the handler is told |
///
/// In each, the capacity is the number of events that wait; the one that is being handled is not counted.
#[derive(Clone)]
pub struct BoundedQueue {
    pub(super) capacity: usize,
    pub(super) policy: Policy,
}

#[derive(Clone)]
pub(super) enum Policy {
    Block,
    SpillToLog(Arc<dyn EventStore>),
    DropWithGap(Arc<dyn Fn(Gap) -> Handling<'static> + Send + Sync>),
}

impl BoundedQueue {
    /// Publishers wait while it is full. At least one event may wait.
    ///
    /// A handler that publishes into the queue by whose worker it is called can't wait for it: when it is full, the event is
    /// [`Refused`](crate::HandlerResult::Refused). So is one that would wait for itself in a circle of several queues.
    #[must_use]
    pub fn block(capacity: usize) -> Self {
        Self::with(capacity, Policy::Block)
    }

    /// When it is full, the handler reads what it has missed from the log, from the first event on that was not put in, and
    /// goes back to the queue when it has caught up: without a gap, and nothing twice.
    ///
    /// It goes by the events' positions, and so relies on the log:
    ///
    /// * Events that are published in another order than the log's come in the log's order, as far as they are read from it.
    ///   The last 1024 events (or the capacity, if that is more) are remembered, so that none comes twice. While the queue is
    ///   full, one that is further behind than that, or has been had already, is
    ///   [`Refused`](crate::HandlerResult::Refused): it can't be read from the log without doubling others.
    /// * What is read from the log is everything there that the handler is subscribed to, also what nobody has published
    ///   yet. When it is published, it is not handled again.
    /// * An event that is published and is not in the log can't be read from it. The handler waits five seconds for it to
    ///   become visible, then goes on without it and counts it as lost.
    /// * While its group is stopped, events are left to the log as well, so that it misses none.
    #[must_use]
    pub fn spill_to_log(capacity: usize, log: Arc<dyn EventStore>) -> Self {
        Self::with(capacity, Policy::SpillToLog(log))
    }

    /// Drops events while it is full, and tells of each stretch of dropped events in its place in the order: `on_gap` is
    /// called after the last event before the gap and before the first one after it, within the handler's time limit.
    #[must_use]
    pub fn drop_with_gap<F, Fut>(capacity: usize, on_gap: F) -> Self
    where
        F: Fn(Gap) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Self::with(
            capacity,
            Policy::DropWithGap(Arc::new(move |gap| Box::pin(on_gap(gap)))),
        )
    }

    fn with(capacity: usize, policy: Policy) -> Self {
        // The bound is that of the semaphore which counts the space.
        let capacity = capacity.clamp(1, tokio::sync::Semaphore::MAX_PERMITS);
        Self { capacity, policy }
    }
}

impl fmt::Debug for BoundedQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = match self.policy {
            Policy::Block => "block",
            Policy::SpillToLog(_) => "spill to log",
            Policy::DropWithGap(_) => "drop with gap",
        };
        f.debug_struct("BoundedQueue")
            .field("capacity", &self.capacity)
            .field("policy", &policy)
            .finish()
    }
}

/// Events that were dropped one after the other, because a queue was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    first: Position,
    last: Position,
    events: u64,
}

impl Gap {
    pub(super) fn of(position: Position) -> Self {
        Self {
            first: position,
            last: position,
            events: 1,
        }
    }

    pub(super) fn extend(&mut self, position: Position) {
        self.last = position;
        self.events += 1;
    }

    /// The position of the first one.
    #[must_use]
    pub fn first(&self) -> Position {
        self.first
    }

    /// The position of the last one. Positions may have holes: count by [`events`](Self::events).
    #[must_use]
    pub fn last(&self) -> Position {
        self.last
    }

    /// How many there were.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }
}
