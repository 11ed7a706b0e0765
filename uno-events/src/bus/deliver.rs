//! Handing one event to its handlers, on behalf of the one who publishes it.
//!
//! Long because all ways that an event can go have their steps in common.

use std::{
    future::{Future, poll_fn},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::runtime::Handle;
use uno_core::RecordedEvent;

use super::{
    HandlerResult, Inner, Published, Refusal,
    call::{Begun, begin},
    frame::{Frame, Lender},
    lanes::Ticket,
    limit::Permit,
    outcome::Verdict,
    queue::{self, Offered, Queue, Worker},
    report::Report,
    route::Route,
    routes::List,
    target::{Decoded, Share},
};
use crate::guard::panic_text;

/// How many events may be deferred at once on one bus: beyond that, [`Refusal::KeyBusy`].
const MOST_DEFERRED: usize = 1024;

/// Handlers of one priority that have to wait for something, and their places in the list.
type Waiting<'d> = Vec<Pin<Box<dyn Future<Output = (usize, Option<Verdict>)> + Send + 'd>>>;

/// An event on its way to its handlers.
struct Delivery<'d> {
    bus: &'d Arc<Inner>,
    event: &'d Arc<RecordedEvent>,
    list: &'d List,
    within: Option<Lender>,
    tickets: Vec<Option<Result<Ticket, Verdict>>>,
    decoded: Decoded<'d>,
    report: Report,
    /// The handler that comes next.
    next: usize,
    waiting: Waiting<'d>,
}

/// A place to run in and the frame that goes with it. Handlers that are done at the first look use one after the other.
struct Place<'d> {
    permit: Permit<'d>,
    frame: Option<Frame>,
}

impl Inner {
    /// Hands an event to its handlers. Mostly none of them has to wait for anything, and then nothing of this is put on the
    /// heap.
    pub(super) async fn deliver(
        self: &Arc<Self>,
        event: Arc<RecordedEvent>,
        list: &List,
    ) -> Published {
        let mut report = Report::new(event.id(), list);
        let (event, next) = match list.only_queues() {
            false => (event, 0),
            true => match self.enqueue(event, list, &mut report) {
                None => return report.finish(),
                Some(rest) => rest,
            },
        };
        let mut begun = Some(report);
        let first = poll_fn(|waker| {
            let report = (begun.take()).expect("this future is ready when it is first polled");
            let mut delivery = Delivery::new(self, &event, list, next, report);
            delivery.pass(waker);
            Poll::Ready(match delivery.waiting.is_empty() {
                true => Ok(delivery.report.finish()),
                false => Err(Box::new(delivery)),
            })
        });
        match first.await {
            Ok(published) => published,
            Err(delivery) => Box::pin(delivery.finish()).await,
        }
    }
}

impl<'d> Delivery<'d> {
    /// A delivery to those from the `next` one on.
    fn new(
        bus: &'d Arc<Inner>,
        event: &'d Arc<RecordedEvent>,
        list: &'d List,
        next: usize,
        report: Report,
    ) -> Self {
        let within = Lender::innermost();
        // All tickets are taken before anything is waited for, so that the order in every lane is that in which publishes
        // began.
        let tickets = match list.has_lanes() {
            false => Vec::new(),
            true => take_tickets(list, event, within.as_ref()),
        };
        Self {
            bus,
            event,
            list,
            within,
            tickets,
            decoded: Decoded::new(&bus.decoder, event),
            report,
            next,
            waiting: Waiting::new(),
        }
    }

    /// Waits for those that have to be waited for, priority by priority.
    async fn finish(mut self: Box<Self>) -> Published {
        while !self.waiting.is_empty() {
            wait_for(mem::take(&mut self.waiting), &mut self.report).await;
            poll_fn(|waker| {
                self.pass(waker);
                Poll::Ready(())
            })
            .await;
        }
        self.report.finish()
    }

    /// Calls the handlers from the next one on, up to the end of the first priority of which some have to wait.
    fn pass(&mut self, waker: &mut Context<'_>) {
        let routes = self.list.routes();
        let mut place = None;
        while let Some(route) = routes.get(self.next) {
            let is_next_class =
                self.next > 0 && route.priority() != routes[self.next - 1].priority();
            if is_next_class && !self.waiting.is_empty() {
                return;
            }
            let n = self.next;
            self.next += 1;
            match self.tickets.get_mut(n).and_then(Option::take) {
                None => self.begin(n, route, None, &mut place, waker),
                Some(Ok(ticket)) => self.begin(n, route, Some(ticket), &mut place, waker),
                Some(Err(verdict)) => self.report.note(n, Some(verdict)),
            }
        }
    }

    /// Calls one handler, or has it wait.
    fn begin(
        &mut self,
        n: usize,
        route: &'d Arc<Route>,
        ticket: Option<Ticket>,
        place: &mut Option<Place<'d>>,
        waker: &mut Context<'_>,
    ) {
        let (bus, event) = (self.bus, self.event);
        if !route.is_active() {
            return self.report.note(n, bus.inactive(route, event));
        }
        if ticket.as_ref().is_some_and(|ticket| !ticket.may_wait()) {
            return self.report.note(n, Some(bus.defer(route, ticket, event)));
        }
        let is_next = ticket.as_ref().is_none_or(Ticket::is_first);
        if let Some(queue) = route.queue() {
            if is_next && let Offered::Done(result) = queue.offer(Arc::clone(event)) {
                bus.start_worker(route, queue);
                return self.report.note(n, Some(Verdict::not_called(result)));
            }
            let within = self.within.clone();
            return self.waiting.push(Box::pin(async move {
                let result = bus.wait_for_space(route, queue, ticket, event, within.as_ref());
                (n, result.await)
            }));
        }
        let share = match self.list.routes().len() {
            // Nobody else asks for it.
            1 => self.decoded.decode(route.target()),
            _ => self.decoded.share_for(route.target()),
        };
        let share = match share {
            Ok(share) => share,
            Err(result) => return self.report.note(n, Some(Verdict::not_called(result))),
        };
        let (limit, within) = (bus.limit.id(), self.within.as_ref());
        if is_next && place.is_none() {
            let frame = || Some(Frame::new(limit, within));
            *place = bus.limit.try_take().map(|permit| Place {
                permit,
                frame: frame(),
            });
        }
        let Some(free) = place.as_mut().filter(|_| is_next) else {
            let within = self.within.clone();
            return self.waiting.push(Box::pin(async move {
                let verdict = bus.call(route, share, ticket, event, within.as_ref());
                (n, verdict.await)
            }));
        };
        match (&ticket, &mut free.frame) {
            (None, Some(frame)) => frame.renew(),
            (None, frame) => *frame = Some(Frame::new(limit, within)),
            (Some(ticket), frame) => {
                *frame = Some(Frame::new(limit, within).holding(ticket.holds()));
            }
        }
        let time_limit = bus.time_limit_of(route);
        match begin(route, share, event, &mut free.frame, time_limit, waker) {
            Begun::Ended(verdict) => {
                self.report.note(n, Some(counted(route, verdict)));
                if ticket.is_some() {
                    free.frame = None;
                }
            }
            Begun::Pending(pending) => {
                let Some(Place { permit, frame }) = place.take() else {
                    return;
                };
                self.waiting.push(Box::pin(async move {
                    let (_permit, _ticket) = (permit, ticket);
                    (n, Some(counted(route, pending.finish(frame).await)))
                }));
            }
        }
    }
}

impl Inner {
    /// Puts an event into queues, up to the first one that has to be waited for: the event, and which one that is.
    ///
    /// It needs no place, since no handler is called, and does not ask what it is within, since nothing is waited for. The last
    /// queue is given the publisher's own share: counting shares is dear while the workers count them as well.
    fn enqueue(
        self: &Arc<Self>,
        event: Arc<RecordedEvent>,
        list: &List,
        report: &mut Report,
    ) -> Option<(Arc<RecordedEvent>, usize)> {
        let last = list.routes().len().saturating_sub(1);
        let mut own = Some(event);
        for (n, route) in list.routes().iter().enumerate() {
            let event = own.as_ref()?;
            if !route.is_active() {
                report.note(n, self.inactive(route, event));
                continue;
            }
            // Each of the list has one.
            let queue = route.queue()?;
            let share = match n == last {
                true => own.take()?,
                false => Arc::clone(event),
            };
            match queue.offer(share) {
                Offered::Done(result) => {
                    self.start_worker(route, queue);
                    if !matches!(result, HandlerResult::Queued) {
                        report.note(n, Some(Verdict::not_called(result)));
                    }
                }
                Offered::Full(share) => return Some((share, n)),
            }
        }
        None
    }

    /// What becomes of an event for a handler that is not called. `None` when it is unsubscribed.
    fn inactive(self: &Arc<Self>, route: &Arc<Route>, event: &RecordedEvent) -> Option<Verdict> {
        if !route.is_subscribed() {
            return None;
        }
        let result = match route.queue() {
            None => HandlerResult::Stopped,
            Some(queue) => {
                let result = queue.offer_to_stopped(event);
                self.start_worker(route, queue);
                result
            }
        };
        Some(counted(route, Verdict::not_called(result)))
    }

    /// Calls a handler when it has its turn and there is a place for it. `None` when it was unsubscribed before.
    async fn call(
        self: &Arc<Self>,
        route: &Arc<Route>,
        share: Share,
        ticket: Option<Ticket>,
        event: &RecordedEvent,
        within: Option<&Lender>,
    ) -> Option<Verdict> {
        // The turn first: who waits for it must not keep a place from others.
        if let Some(ticket) = &ticket {
            ticket.turn().await;
        }
        let _place = self.limit.take(within).await;
        if !route.is_active() {
            let stopped = Verdict::not_called(HandlerResult::Stopped);
            return route.is_subscribed().then(|| counted(route, stopped));
        }
        let frame = Frame::new(self.limit.id(), within);
        let mut frame = Some(match &ticket {
            None => frame,
            Some(ticket) => frame.holding(ticket.holds()),
        });
        let mut share = Some(share);
        let limit = self.time_limit_of(route);
        let begun = poll_fn(|waker| {
            let share = share
                .take()
                .expect("this future is ready when it is first polled");
            Poll::Ready(begin(route, share, event, &mut frame, limit, waker))
        });
        let verdict = match begun.await {
            Begun::Ended(verdict) => verdict,
            Begun::Pending(pending) => pending.finish(frame).await,
        };
        Some(counted(route, verdict))
    }

    /// Puts an event into a queue when it has its turn and there is space.
    async fn wait_for_space(
        self: &Arc<Self>,
        route: &Arc<Route>,
        queue: &Arc<Queue>,
        ticket: Option<Ticket>,
        event: &Arc<RecordedEvent>,
        within: Option<&Lender>,
    ) -> Option<Verdict> {
        if let Some(ticket) = &ticket {
            ticket.turn().await;
        }
        if !route.is_active() {
            return self.inactive(route, event);
        }
        let result = match queue.offer(Arc::clone(event)) {
            Offered::Done(result) => result,
            Offered::Full(event) => {
                // A queue that is full has to be emptied by somebody.
                self.start_worker(route, queue);
                queue.wait(&event, within, || !route.is_active()).await
            }
        };
        self.start_worker(route, queue);
        if !route.is_subscribed() {
            return None;
        }
        Some(counted(route, Verdict::not_called(result)))
    }

    /// Has a handler called in its turn, without waiting for it. That takes a task of its own: the turn is held by somebody
    /// who may be waiting for us.
    fn defer(
        self: &Arc<Self>,
        route: &Arc<Route>,
        ticket: Option<Ticket>,
        event: &Arc<RecordedEvent>,
    ) -> Verdict {
        let refused = Verdict::not_called(HandlerResult::Refused(Refusal::KeyBusy));
        let Ok(runtime) = Handle::try_current() else {
            return refused;
        };
        if self.deferred.fetch_add(1, Ordering::Relaxed) >= MOST_DEFERRED {
            self.deferred.fetch_sub(1, Ordering::Relaxed);
            return refused;
        }
        let inside = self.gate.enter_for_longer();
        let deferred = Deferred(Arc::clone(self));
        let (route, event) = (Arc::clone(route), Arc::clone(event));
        runtime.spawn(async move {
            let (_inside, bus) = (inside, &deferred.0);
            if let Some(queue) = route.queue() {
                return drop(
                    bus.wait_for_space(&route, queue, ticket, &event, None)
                        .await,
                );
            }
            // Nobody reads the report. Layers and spans tell of it.
            if let Ok(share) = Decoded::new(&bus.decoder, &event).share_for(route.target()) {
                bus.call(&route, share, ticket, &event, None).await;
            }
        });
        Verdict::not_called(HandlerResult::Deferred)
    }

    /// Starts the worker of a queue that has none: the first publish does, and the first after a runtime has ended.
    fn start_worker(&self, route: &Arc<Route>, queue: &Arc<Queue>) {
        if !queue.claim_worker() {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return queue.unclaim_worker();
        };
        let task = runtime.spawn(queue::run(Worker {
            route: Arc::clone(route),
            queue: Arc::clone(queue),
            decoder: self.decoder.clone(),
            limit: self.limit.id(),
            time_limit: self.time_limit_of(route),
        }));
        queue.keep_worker(task.abort_handle());
    }

    fn time_limit_of(&self, route: &Route) -> Option<Duration> {
        route.time_limit().unwrap_or(self.time_limit)
    }
}

/// A deferred event. Dropping it makes room for another.
struct Deferred(Arc<Inner>);

impl Drop for Deferred {
    fn drop(&mut self) {
        self.0.deferred.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes a ticket in the lane of each handler that has lanes. Finding the key is the user's code, which may panic.
fn take_tickets(
    list: &List,
    event: &RecordedEvent,
    within: Option<&Lender>,
) -> Vec<Option<Result<Ticket, Verdict>>> {
    let take = |route: &Arc<Route>| {
        let lanes = route.lanes()?;
        let ticket = catch_unwind(AssertUnwindSafe(|| lanes.take(route, event, within)));
        Some(ticket.map_err(|panic| {
            Verdict::not_called(HandlerResult::Panicked(panic_text(&*panic).into()))
        }))
    };
    list.routes().iter().map(take).collect()
}

/// Waits for all of them, side by side.
async fn wait_for(mut waiting: Waiting<'_>, report: &mut Report) {
    if let [only] = &mut *waiting {
        let (n, verdict) = only.await;
        return report.note(n, verdict);
    }
    let mut waiting: FuturesUnordered<_> = waiting.into_iter().collect();
    while let Some((n, verdict)) = waiting.next().await {
        report.note(n, verdict);
    }
}

/// Has a group count what it has missed.
fn counted(route: &Route, verdict: Verdict) -> Verdict {
    if verdict.result == HandlerResult::Stopped
        && let Some(group) = route.group()
    {
        group.miss();
    }
    verdict
}
