//! [`Worker`]: the task that takes events out of a queue and calls the handler.

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{task::coop::poll_proceed, time::Instant};
use uno_core::{Decoder, EventStore, Position, ReadLog, RecordedEvent};

use super::{Gap, Item, Life, Policy, Queue, Spill, batch::Batch};
use crate::{
    bus::{
        HandlerResult,
        call::{Begun, Pending, begin_within},
        frame::{Frame, Holds, renew_innermost, within},
        outcome::Verdict,
        route::Route,
        target::Decoded,
    },
    guard::{Interrupted, error_text, guarded},
    telemetry,
};

/// Empties the queue of one handler, one event after the other.
pub(in crate::bus) struct Worker {
    pub(in crate::bus) route: Arc<Route>,
    pub(in crate::bus) queue: Arc<Queue>,
    pub(in crate::bus) decoder: Decoder,
    pub(in crate::bus) limit: u64,
    pub(in crate::bus) time_limit: Option<Duration>,
}

/// How many events are read from the log at a time.
const PAGE: usize = 256;
/// How long an event that was published may take to become visible in the log.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before the log is looked at again, unless it tells of a change.
const PAUSE: Duration = Duration::from_millis(50);

/// What there is to do.
enum Next {
    Batch,
    Read(Arc<dyn EventStore>),
    Wait,
    /// It has given up being the worker.
    Drained,
    Over,
}

/// Runs until the queue is over, or is drained and empty. A handler that panics or takes too long does not end it.
pub(in crate::bus) async fn run(worker: Worker) {
    let mut leaving = Leaving(Some(&worker.queue));
    let mut batch = Batch::new(&worker.queue);
    let mut frame = None;
    let mut was_at_work = false;
    loop {
        match worker.next(&mut batch) {
            Next::Batch => {
                worker.handle_all(&mut batch, &mut frame).await;
                was_at_work = true;
            }
            Next::Read(log) => worker.read(&*log, &mut frame).await,
            // Going to sleep and being woken costs the publisher more than several events do. Where there was one, the next one
            // may be on its way: so it lets everybody else go on first, and looks once more.
            Next::Wait if was_at_work => {
                was_at_work = false;
                tokio::task::yield_now().await;
            }
            Next::Wait => worker.queue.work.notified().await,
            Next::Over => return,
            Next::Drained => {
                // There may be another worker by now.
                leaving.0 = None;
                return;
            }
        }
    }
}

impl Worker {
    fn next(&self, batch: &mut Batch<'_>) -> Next {
        let queue = &*self.queue;
        let mut waiting = queue.lock();
        waiting.busy = false;
        let is_active = self.route.is_active();
        match (&queue.policy, waiting.life) {
            (_, Life::Over) => Next::Over,
            _ if !is_active => Next::Wait,
            _ if !waiting.items.is_empty() => {
                batch.swap(&mut waiting.items);
                waiting.busy = true;
                Next::Batch
            }
            (Policy::SpillToLog(log), _) if waiting.spill.is_some() => {
                waiting.busy = true;
                Next::Read(Arc::clone(log))
            }
            (_, life) => {
                waiting.full = false;
                queue.idle.notify_waiters();
                match life {
                    Life::Open => Next::Wait,
                    Life::Draining | Life::Over => {
                        // While the lock is held, so that whoever puts something in now starts another worker.
                        queue.has_worker.store(false, Ordering::Release);
                        Next::Drained
                    }
                }
            }
        }
    }

    async fn handle_all(&self, batch: &mut Batch<'_>, frame: &mut Option<Frame>) {
        loop {
            match poll_fn(|waker| self.handle_some(batch, frame, waker)).await {
                Met::End => return batch.return_rest(),
                Met::Gap(gap) => self.tell(gap, batch).await,
                Met::Pending(event, pending) => {
                    batch.free();
                    self.ended(&event, pending.finish(frame.take()).await);
                }
            }
        }
    }

    /// Handles events until something has to be waited for. Handlers that never wait would keep the thread for themselves:
    /// each event takes from what the runtime grants the task at a time.
    ///
    /// The frame is entered once for all of them.
    fn handle_some<'w>(
        &'w self,
        batch: &mut Batch<'_>,
        frame: &mut Option<Frame>,
        waker: &mut Context<'_>,
    ) -> Poll<Met<'w>> {
        frame.get_or_insert_with(|| self.frame());
        within(frame, || self.handle_within(batch, waker))
    }

    fn handle_within<'w>(
        &'w self,
        batch: &mut Batch<'_>,
        waker: &mut Context<'_>,
    ) -> Poll<Met<'w>> {
        while self.route.is_active() {
            let Poll::Ready(granted) = poll_proceed(waker) else {
                batch.free();
                return Poll::Pending;
            };
            let Some(item) = batch.take() else {
                return Poll::Ready(Met::End);
            };
            granted.made_progress();
            let event = match &item {
                Item::Event(event) => event,
                Item::Gap(gap) => return Poll::Ready(Met::Gap(*gap)),
            };
            match self.begin(event, waker) {
                Begun::Pending(pending) => {
                    return Poll::Ready(Met::Pending(Arc::clone(event), pending));
                }
                Begun::Ended(verdict) if matches!(verdict.result, HandlerResult::Stopped) => {
                    batch.put_back(item);
                    return Poll::Ready(Met::End);
                }
                Begun::Ended(verdict) => self.ended(event, verdict),
            }
        }
        Poll::Ready(Met::End)
    }

    /// Calls the handler within the frame that was entered, or tells why not.
    fn begin(&self, event: &Arc<RecordedEvent>, waker: &mut Context<'_>) -> Begun<'_> {
        let route = &*self.route;
        match Decoded::new(&self.decoder, event).decode(route.target()) {
            Err(result) => Begun::Ended(Verdict::not_called(result)),
            Ok(share) => {
                renew_innermost();
                begin_within(route, share, event, self.time_limit, waker)
            }
        }
    }

    /// Notes how a call ended.
    fn ended(&self, event: &RecordedEvent, verdict: Verdict) {
        if !matches!(verdict.result, HandlerResult::Handled) {
            tracing::warn!(
                name: telemetry::QUEUE_FAILED,
                handler = &**self.route.name(),
                event = event.name().as_str(),
                event_id = %event.id(),
                position = event.position().get(),
                result = kind(&verdict.result),
                "a handler with a queue has not handled an event"
            );
        }
        self.queue.counts.ended(verdict);
    }

    /// Tells the handler of a gap, in its place in the order.
    async fn tell(&self, gap: Gap, batch: &mut Batch<'_>) {
        let Policy::DropWithGap(on_gap) = &self.queue.policy else {
            return;
        };
        batch.free();
        let mut frame = Some(self.frame());
        let mut work = None;
        // The call stands inside of the guard: a closure may panic before there is a future.
        let call = poll_fn(move |waker| {
            within(&mut frame, || {
                let work = work.get_or_insert_with(|| on_gap(gap));
                work.as_mut().poll(waker)
            })
        });
        let result = match guarded(self.time_limit, call).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => HandlerResult::Failed(error_text(&*error).into()),
            Err(Interrupted::Panicked(message)) => HandlerResult::Panicked(message.into()),
            Err(Interrupted::TimedOut(limit)) => HandlerResult::TimedOut(limit),
        };
        self.queue.counts.ended(Verdict::once(result));
    }

    /// Reads what was left to the log, until it has caught up with what was published.
    async fn read(&self, log: &dyn EventStore, frame: &mut Option<Frame>) {
        let filter = self.route.filter();
        let mut stands_since = None;
        while let Some(spill) = self.queue.spill_now()
            && self.route.is_active()
        {
            let change = log.change();
            let read = ReadLog::after(spill.after)
                .filter(filter.clone())
                .limit(PAGE);
            let mut reached = spill.after;
            match log.read_log(read).await {
                Err(error) => {
                    tracing::warn!(handler = &**self.route.name(), %error, "the log can't be read; trying again");
                }
                Ok(page) => {
                    let scanned = page.scanned().map(|(position, _)| position);
                    match self.handle_page(page.into_events(), frame).await {
                        Page::Stopped => return,
                        Page::UpTo(goal) => reached = goal,
                        Page::All => reached = scanned.unwrap_or(reached),
                    }
                }
            }
            if self.queue.has_read(&spill, reached) {
                return;
            }
            if reached > spill.after {
                stands_since = None;
                continue;
            }
            // Nothing new, and yet not all: it is about to become visible, or it is not in the log at all.
            let since = *stands_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= PATIENCE {
                self.queue.give_up();
                return;
            }
            tokio::select! {
                () = log.changed(change) => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn handle_page(
        &self,
        events: Vec<Arc<RecordedEvent>>,
        frame: &mut Option<Frame>,
    ) -> Page {
        for event in events {
            let position = event.position();
            match self.queue.wants(position) {
                Wants::Beyond(goal) => return Page::UpTo(goal),
                Wants::Had => continue,
                Wants::It => {}
            }
            // A filter can't say all that a handler can be subscribed to.
            if !self.route.is_for(&event) {
                continue;
            }
            if !self.route.is_active() {
                return Page::Stopped;
            }
            frame.get_or_insert_with(|| self.frame());
            let begun = poll_fn(|waker| Poll::Ready(within(frame, || self.begin(&event, waker))));
            let verdict = match begun.await {
                Begun::Ended(verdict) => verdict,
                Begun::Pending(pending) => pending.finish(frame.take()).await,
            };
            if verdict.result == HandlerResult::Stopped {
                return Page::Stopped;
            }
            self.ended(&event, verdict);
            self.queue.had(position);
            tokio::task::consume_budget().await;
        }
        Page::All
    }

    /// The worker has a place of its own beside those of the bus, and lends it to what the handler publishes.
    fn frame(&self) -> Frame {
        let queue = Some(self.queue.id);
        Frame::new(self.limit, None).holding(Holds { turn: None, queue })
    }
}

/// What there is to wait for.
enum Met<'w> {
    /// Nothing more to do.
    End,
    Gap(Gap),
    Pending(Arc<RecordedEvent>, Pending<'w>),
}

/// How far a page was handled.
enum Page {
    All,
    /// Up to the last event that was published.
    UpTo(Position),
    Stopped,
}

/// Whether an event of the log is for the handler.
enum Wants {
    It,
    Had,
    /// It will be published: everything up to here was.
    Beyond(Position),
}

impl Queue {
    fn spill_now(&self) -> Option<Spill> {
        self.lock().spill
    }

    fn wants(&self, position: Position) -> Wants {
        let waiting = self.lock();
        let goal = waiting.spill.map_or(Position::START, |spill| spill.goal);
        match () {
            () if position > goal => Wants::Beyond(goal),
            () if waiting.window.has(position) => Wants::Had,
            () => Wants::It,
        }
    }

    fn had(&self, position: Position) {
        let mut waiting = self.lock();
        waiting.window.add_read(position);
        if let Some(spill) = &mut waiting.spill {
            spill.missing = spill.missing.saturating_sub(1);
        }
    }

    /// Notes that the log was read from where the stretch began up to `reached`. Whether all that was left to it is read.
    fn has_read(&self, from: &Spill, reached: Position) -> bool {
        let mut waiting = self.lock();
        let Some(spill) = &mut waiting.spill else {
            return true;
        };
        // Unless the stretch was made to begin earlier meanwhile.
        if spill.after == from.after {
            spill.after = reached;
        }
        let done = spill.after >= spill.goal;
        if done {
            waiting.spill = None;
        }
        done
    }

    /// Goes on without what is not in the log.
    fn give_up(&self) {
        if let Some(spill) = self.lock().spill.take() {
            // Reading what was not published makes it too low, but at least the last one is not there.
            self.counts.lost(spill.missing.max(1));
        }
    }
}

/// Notes that the worker has ended, however it did: the next publish starts another.
struct Leaving<'q>(Option<&'q Queue>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let Some(queue) = self.0 else {
            return;
        };
        let mut waiting = queue.lock();
        waiting.busy = false;
        waiting.worker = None;
        drop(waiting);
        queue.has_worker.store(false, Ordering::Release);
        queue.idle.notify_waiters();
    }
}

fn kind(result: &HandlerResult) -> &'static str {
    match result {
        HandlerResult::Failed(_) => "failed",
        HandlerResult::Panicked(_) => "panicked",
        HandlerResult::TimedOut(_) => "timed out",
        HandlerResult::CircuitOpen(_) => "circuit open",
        HandlerResult::Undecodable(_) => "undecodable",
        _ => "not called",
    }
}
