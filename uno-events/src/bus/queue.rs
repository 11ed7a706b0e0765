//! [`Queue`]: the events that wait for a handler which publishers do not wait for.

mod batch;
mod policy;
mod spill;
mod status;
mod waits;
mod worker;

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit, TryAcquireError},
    task::AbortHandle,
};
use uno_core::{Position, RecordedEvent};

use self::{
    policy::Policy,
    spill::{Spill, Window},
    status::Counts,
};
use super::{HandlerResult, Refusal, frame::Lender};
use crate::telemetry;

pub(super) use self::worker::{Worker, run};
pub use self::{
    policy::{BoundedQueue, Gap},
    status::QueueStatus,
};

/// A bounded queue in front of one handler. One task, its worker, takes events out and calls the handler.
pub(super) struct Queue {
    id: u64,
    /// Of its handler.
    name: Arc<str>,
    capacity: usize,
    policy: Policy,
    /// As many permits as events may still be put in. A publisher takes one and forgets it; the worker gives it back when it
    /// begins with the event. Closed together with the queue.
    space: Semaphore,
    /// So many events as the worker has begun with have given their permits back. Several at a time cost less, so it lies behind
    /// `begun` until the worker waits for anything.
    given_back: AtomicU64,
    /// Held for as long as it takes to put in or to take out, never across an await.
    waiting: Mutex<Waiting>,
    /// Whether there is a worker, or somebody is about to start one. A worker takes it back while the lock is held when it
    /// ends because there is nothing to do, so that who puts something in afterwards sees that it has to start another.
    has_worker: AtomicBool,
    /// Wakes the worker.
    work: Notify,
    /// Tells those who wait for the worker to have nothing to do.
    idle: Notify,
    /// Tells those who wait for space that the handler is stopped.
    stopped: Notify,
    begun: Begun,
    counts: Counts,
}

/// How many events the worker has begun with, ever. Only the worker writes, at each event, and publishers seldom look: so it has a
/// cache line of its own (two, since they are fetched in pairs), or each of the worker's events would slow down a publisher.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Begun(AtomicU64);

struct Waiting {
    items: VecDeque<Item>,
    /// How many events were put in, ever, but for those that were forgotten.
    put: u64,
    spill: Option<Spill>,
    window: Window,
    /// Ends the worker's task.
    worker: Option<AbortHandle>,
    /// Whether the worker has taken something out and is not done with it.
    busy: bool,
    /// Whether the policy has set in since the worker last had nothing to do.
    full: bool,
    life: Life,
}

/// How long a queue goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Open,
    /// The worker ends when it has nothing more to do.
    Draining,
    /// The worker ends at once.
    Over,
}

enum Item {
    Event(Arc<RecordedEvent>),
    Gap(Gap),
}

/// What became of an event that was offered.
pub(super) enum Offered {
    Done(HandlerResult),
    /// There is no space, and the policy is to wait for some. The event comes back.
    Full(Arc<RecordedEvent>),
}

static NEXT_QUEUE: AtomicU64 = AtomicU64::new(1);

impl Queue {
    pub(super) fn new(name: Arc<str>, queue: BoundedQueue) -> Self {
        let capacity = queue.capacity;
        Self {
            id: NEXT_QUEUE.fetch_add(1, Ordering::Relaxed),
            name,
            capacity,
            policy: queue.policy,
            space: Semaphore::new(capacity),
            given_back: AtomicU64::new(0),
            waiting: Mutex::new(Waiting {
                items: VecDeque::new(),
                put: 0,
                spill: None,
                window: Window::of(capacity),
                worker: None,
                busy: false,
                full: false,
                life: Life::Open,
            }),
            has_worker: AtomicBool::new(false),
            work: Notify::new(),
            idle: Notify::new(),
            stopped: Notify::new(),
            begun: Begun::default(),
            counts: Counts::default(),
        }
    }

    /// Puts an event in, or does what the policy says when there is no space.
    pub(super) fn offer(&self, event: Arc<RecordedEvent>) -> Offered {
        match &self.policy {
            Policy::SpillToLog(_) => Offered::Done(self.put_or_spill(event)),
            Policy::Block | Policy::DropWithGap(_) => match self.take_space() {
                Ok(()) => Offered::Done(self.put(event)),
                Err(TryAcquireError::Closed) => {
                    Offered::Done(HandlerResult::Refused(Refusal::Closed))
                }
                Err(_) if matches!(self.policy, Policy::Block) => Offered::Full(event),
                Err(_) => Offered::Done(self.drop_with_gap(event.position())),
            },
        }
    }

    /// What becomes of an event while the handler is stopped: it is missed, unless it can be read from the log later.
    pub(super) fn offer_to_stopped(&self, event: &RecordedEvent) -> HandlerResult {
        match &self.policy {
            Policy::SpillToLog(_) => {
                let mut waiting = self.lock();
                match waiting.window.catch_up(event.position()) {
                    true => HandlerResult::Spilled,
                    false => self.spill(&mut waiting, event.position()),
                }
            }
            Policy::Block | Policy::DropWithGap(_) => HandlerResult::Stopped,
        }
    }

    /// Waits for space and puts an event in. Dropping it puts nothing in.
    ///
    /// A publisher that is called by the queue's own worker, or by one that waits for it, would wait for itself, and is
    /// refused. One that is called by any other handler may wait: what it waits for never waits for it.
    pub(super) async fn wait(
        &self,
        event: &Arc<RecordedEvent>,
        within: Option<&Lender>,
        is_stopped: impl Fn() -> bool,
    ) -> HandlerResult {
        let mine: Vec<u64> = within.map_or_else(Vec::new, |within| within.queues().collect());
        let Some(_waits) = waits::begin(&mine, self.id) else {
            self.counts.refused();
            return HandlerResult::Refused(Refusal::WouldWaitForItself);
        };
        self.counts.blocked();
        let tell = self.lock().policy_sets_in();
        if tell {
            self.tell_full(event.position());
        }
        // Asked to be told before looking, so that a stop in between is not missed.
        let stopped = self.stopped.notified();
        if is_stopped() {
            return HandlerResult::Stopped;
        }
        tokio::select! {
            biased;
            space = self.space.acquire() => match space {
                Ok(space) => {
                    space.forget();
                    self.put(Arc::clone(event))
                }
                Err(_) => HandlerResult::Refused(Refusal::Closed),
            },
            () = stopped => HandlerResult::Stopped,
        }
    }

    /// Takes the space for an event, if there is some.
    fn take_space(&self) -> Result<(), TryAcquireError> {
        let space = match self.space.try_acquire() {
            // What the worker is about to give back is there already.
            Err(TryAcquireError::NoPermits) if self.give_back() => self.space.try_acquire(),
            space => space,
        };
        space.map(SemaphorePermit::forget)
    }

    /// Gives back the space of those events that the worker has begun with. Whether there was any.
    fn give_back(&self) -> bool {
        let begun = self.begun.0.load(Ordering::Acquire);
        let mut given = self.given_back.load(Ordering::Acquire);
        // It may be ahead, by events that the worker has put back: they give nothing back when it begins with them again.
        while given < begun {
            let taken = (self.given_back).compare_exchange(
                given,
                begun,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match taken {
                Ok(_) => {
                    // No more than there are permits, so it fits.
                    let events = usize::try_from(begun - given).unwrap_or(usize::MAX);
                    self.space.add_permits(events);
                    return true;
                }
                Err(now) => given = now,
            }
        }
        false
    }

    fn put(&self, event: Arc<RecordedEvent>) -> HandlerResult {
        let mut waiting = self.lock();
        if waiting.life == Life::Over {
            return HandlerResult::Refused(Refusal::Closed);
        }
        waiting.put += 1;
        self.push(waiting, Item::Event(event));
        HandlerResult::Queued
    }

    fn put_or_spill(&self, event: Arc<RecordedEvent>) -> HandlerResult {
        // One lock for the look and the deed: what is put in and what is read from the log must not overtake each other.
        let mut waiting = self.lock();
        if waiting.life == Life::Over {
            return HandlerResult::Refused(Refusal::Closed);
        }
        if waiting.window.catch_up(event.position()) {
            return HandlerResult::Spilled;
        }
        if waiting.spill.is_none() && self.take_space() == Ok(()) {
            waiting.window.add_published(event.position());
            waiting.put += 1;
            self.push(waiting, Item::Event(event));
            return HandlerResult::Queued;
        }
        let result = self.spill(&mut waiting, event.position());
        let tell = result == HandlerResult::Spilled && waiting.policy_sets_in();
        drop(waiting);
        if tell {
            self.tell_full(event.position());
        }
        result
    }

    /// Has an event read from the log later.
    fn spill(&self, waiting: &mut Waiting, position: Position) -> HandlerResult {
        if waiting.window.has(position) || !waiting.window.covers(position) {
            self.counts.refused();
            return HandlerResult::Refused(Refusal::NotInLogOrder);
        }
        waiting.spill = Some(Spill::including(waiting.spill.take(), position));
        self.counts.spilled();
        self.work.notify_one();
        HandlerResult::Spilled
    }

    fn drop_with_gap(&self, position: Position) -> HandlerResult {
        let mut waiting = self.lock();
        self.counts.dropped();
        let tell = waiting.policy_sets_in();
        if let Some(Item::Gap(gap)) = waiting.items.back_mut() {
            gap.extend(position);
            drop(waiting);
        } else {
            self.push(waiting, Item::Gap(Gap::of(position)));
        }
        if tell {
            self.tell_full(position);
        }
        HandlerResult::Dropped
    }

    /// Without the lock: who listens may take long, or look at the queue.
    fn tell_full(&self, position: Position) {
        let (handler, position) = (&*self.name, position.get());
        tracing::warn!(name: telemetry::QUEUE_FULL, handler, position, "a handler's queue is full");
    }

    fn push(&self, mut waiting: MutexGuard<'_, Waiting>, item: Item) {
        let was_empty = waiting.items.is_empty();
        waiting.items.push_back(item);
        // Let go of the lock first: who is woken wants it at once.
        drop(waiting);
        // The worker looks again before it sleeps: only the first has to wake it.
        if was_empty {
            self.work.notify_one();
        }
    }

    /// Whether there is no worker, and one has to be started. Who is told so has to start it, or to give it back.
    pub(super) fn claim_worker(&self) -> bool {
        !self.has_worker.load(Ordering::Acquire) && !self.has_worker.swap(true, Ordering::AcqRel)
    }

    /// Gives back a claim that came to nothing.
    pub(super) fn unclaim_worker(&self) {
        self.has_worker.store(false, Ordering::Release);
    }

    /// Keeps what ends the worker's task. It may have ended already, and then that does nothing.
    pub(super) fn keep_worker(&self, task: AbortHandle) {
        self.lock().worker = Some(task);
    }

    /// Has the worker end when it has nothing more to do.
    pub(super) fn drain(&self) {
        let mut waiting = self.lock();
        if waiting.life == Life::Open {
            waiting.life = Life::Draining;
        }
        drop(waiting);
        self.work.notify_one();
    }

    /// Has the worker end, and forgets what waits; a call that is under way goes on.
    pub(super) fn discard(&self) {
        let mut waiting = self.lock();
        waiting.life = Life::Over;
        let forgotten = events_in(&waiting.items);
        waiting.put -= forgotten;
        waiting.items.clear();
        waiting.spill = None;
        drop(waiting);
        self.space.close();
        self.work.notify_one();
        self.idle.notify_waiters();
    }

    /// The same, and drops a call that is under way.
    pub(super) fn abort(&self) {
        self.discard();
        let worker = self.lock().worker.take();
        if let Some(worker) = worker {
            worker.abort();
        }
    }

    /// Has the worker look whether its handler is stopped, and those who wait for space as well.
    pub(super) fn look_again(&self) {
        self.work.notify_one();
        self.stopped.notify_waiters();
        self.idle.notify_waiters();
    }

    /// Returns when the worker has nothing to do, or must not do anything.
    pub(super) async fn quiet(&self, is_stopped: impl Fn() -> bool) {
        loop {
            // Asked to be told before looking, so that an end in between is not missed.
            let idle = self.idle.notified();
            if self.is_quiet() || is_stopped() {
                return;
            }
            idle.await;
        }
    }

    /// Whether there is nothing in it and nothing under way.
    pub(super) fn is_quiet(&self) -> bool {
        let waiting = self.lock();
        waiting.items.is_empty() && waiting.spill.is_none() && !waiting.busy
    }

    pub(super) fn status(&self) -> QueueStatus {
        let waiting = self.lock();
        let reads_log = waiting.spill.is_some();
        let (busy, depth) = (waiting.busy, self.depth_of(&waiting));
        drop(waiting);
        self.counts.status(self.capacity, depth, reads_log, busy)
    }

    /// How many events are in the queue, whoever holds the list of them.
    pub(super) fn depth(&self) -> usize {
        self.depth_of(&self.lock())
    }

    fn depth_of(&self, waiting: &Waiting) -> usize {
        let begun = self.begun.0.load(Ordering::Acquire);
        usize::try_from(waiting.put.saturating_sub(begun)).unwrap_or(usize::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Notes that there was no space. Whether that is to be told: once for each time that the worker falls behind.
    fn policy_sets_in(&mut self) -> bool {
        !mem::replace(&mut self.full, true)
    }
}

fn events_in(items: &VecDeque<Item>) -> u64 {
    let events = items.iter().filter(|item| matches!(item, Item::Event(_)));
    events.count() as u64
}
