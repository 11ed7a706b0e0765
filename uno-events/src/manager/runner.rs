//! [`Runner`]: the task of one subscription.

mod ahead;
mod failing;
mod place;
mod trouble;

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uno_core::{Checkpoint, EventFilter, Position, ReadLog, RecordedEvent, StoreChange};

use self::{
    ahead::Ahead,
    place::Place,
    trouble::{Failure, Trouble},
};
use super::{Shared, StopReason, SubscriptionState, entry::Entry};
use crate::{
    Batch,
    guard::{guarded, panic_text},
    telemetry,
};

pub(super) use self::place::establish;

/// Reads the log from the checkpoint on and feeds it to the consumer, until it is told to stop or can't go on.
pub(super) struct Runner {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    stop: CancellationToken,
    paused: tokio::sync::watch::Receiver<bool>,
    filter: EventFilter,
    ahead: Ahead,
    trouble: Trouble,
    /// The checkpoint that is known to belong to this log.
    verified: Option<Checkpoint>,
}

/// Why reading and feeding has come to a halt.
enum Halt {
    /// Somebody asked for it.
    Asked,
    /// What is known of the checkpoint may be wrong: load it again and go on from there.
    Reload,
    /// It can't go on.
    Stop(StopReason),
}

type Step<T> = Result<T, Halt>;

impl Runner {
    pub(super) fn new(shared: Arc<Shared>, entry: Arc<Entry>, stop: CancellationToken) -> Self {
        let paused = entry.paused.subscribe();
        Self {
            shared,
            entry,
            stop,
            paused,
            filter: EventFilter::all(),
            ahead: Ahead::default(),
            trouble: Trouble::default(),
            verified: None,
        }
    }

    /// Runs to the end, and reports why it came.
    pub(super) async fn run(mut self) {
        // A panic of the consumer is caught closer by; this one is for the store and the consumer's filter.
        let why = match AssertUnwindSafe(self.drive()).catch_unwind().await {
            Ok(why) => why,
            Err(panic) => StopReason::Panicked {
                message: panic_text(&*panic).into(),
            },
        };
        let position = self.entry.report.read().position;
        let (subscription, why_kind) = (self.entry.spec.name.as_str(), why.kind());
        if why.is_failure() {
            tracing::error!(name: telemetry::STOPPED, subscription, position = position.get(), why = why_kind, "stopped");
        } else {
            tracing::info!(name: telemetry::STOPPED, subscription, position = position.get(), why = why_kind, "stopped");
        }
        self.entry.report.stopped(why);
    }

    async fn drive(&mut self) -> StopReason {
        self.filter = self.entry.spec.consumer.filter();
        loop {
            if self.stop.is_cancelled() {
                return StopReason::Requested;
            }
            match self.follow().await {
                Err(Halt::Asked) => return StopReason::Requested,
                Err(Halt::Stop(why)) => return why,
                Err(Halt::Reload) => {}
                Ok(never) => match never {},
            }
        }
    }

    /// From the checkpoint on.
    async fn follow(&mut self) -> Step<Infallible> {
        let mut place = self.open().await?;
        self.ahead = Ahead::default();
        loop {
            if self.stop.is_cancelled() {
                self.save(&mut place).await?;
                return Err(Halt::Asked);
            }
            if *self.paused.borrow_and_update() {
                self.save(&mut place).await?;
                self.entry.report.state(SubscriptionState::Paused);
                self.woken(None).await;
                self.entry.report.busy();
                continue;
            }
            // A store in memory and a handler that never waits would keep the thread from everybody else.
            tokio::task::yield_now().await;
            let limit = self.batch_size(&place);
            if let Some((events, (position, id))) = self.ahead.take(limit) {
                let next = Checkpoint::after(place.epoch(), position, id);
                self.feed(&mut place, events, next).await?;
            } else {
                self.read(&mut place).await?;
            }
        }
    }

    /// Reads on, and waits for more when there is nothing.
    async fn read(&mut self, place: &mut Place) -> Step<()> {
        // Before reading: a commit in between is then noticed at once, not after the next poll.
        let mark = self.shared.store.change();
        let limit = self.batch_size(place).max(ReadLog::DEFAULT_LIMIT);
        let reading = self
            .shared
            .feed
            .read(place.position(), &self.filter, limit, mark);
        let page = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Ok(()),
            page = reading => page,
        };
        let page = match page {
            Ok(page) => page,
            Err(error) => return Err(self.store_failed(error).await),
        };
        self.trouble.read();
        match page.scanned() {
            None => self.wait_for_more(place, mark).await,
            Some(_) if !page.events().is_empty() => {
                self.ahead = Ahead::new(page);
                Ok(())
            }
            Some((position, id)) => {
                place.pass(Checkpoint::after(place.epoch(), position, id));
                self.entry.report.passed(position);
                if place.unsaved() >= self.shared.settings.save_every {
                    self.save(place).await?;
                }
                Ok(())
            }
        }
    }

    fn batch_size(&self, place: &Place) -> usize {
        if self.trouble.is_singly(place.position()) {
            1
        } else {
            self.entry.spec.batch_size
        }
    }

    /// Feeds events to the consumer.
    async fn feed(
        &mut self,
        place: &mut Place,
        events: Vec<Arc<RecordedEvent>>,
        next: Checkpoint,
    ) -> Step<()> {
        let stretch = Stretch::of(&events, next.position());
        if let Some(fault) = self.trouble.fault_at(stretch.first) {
            if !self.entry.spec.retry.allows(fault.attempts) {
                return Err(Halt::Stop(fault.stop_reason()));
            }
            if let Some(wait) = fault
                .retry_at
                .checked_duration_since(Instant::now())
                .filter(|wait| !wait.is_zero())
            {
                let state = SubscriptionState::Retrying {
                    attempt: fault.attempts,
                    error: Arc::clone(&fault.error),
                };
                self.entry.report.state(state);
                self.log_retry(fault.attempts, fault.position);
                self.woken(Some(wait)).await;
                // Look again whether to stop, to pause, or to go on; what was not fed is read again.
                self.ahead = Ahead::default();
                return Ok(());
            }
            self.entry.report.retried();
        }
        self.entry.report.busy();
        match self.consume(place, events, next, &stretch).await {
            Ok(()) => {
                place.saved(next);
                self.verified = Some(next);
                self.trouble.passed(next.position());
                self.entry.report.handled(stretch.len(), next);
                Ok(())
            }
            Err(failure) => Err(self.failed(failure, stretch).await),
        }
    }

    /// Saves what was passed over since the checkpoint.
    async fn save(&mut self, place: &mut Place) -> Step<()> {
        if place.unsaved() == 0 {
            return Ok(());
        }
        let next = place.progress();
        let stretch = Stretch::of(&[], next.position());
        match self.consume(place, Vec::new(), next, &stretch).await {
            Ok(()) => {
                place.saved(next);
                self.verified = Some(next);
                self.entry.report.handled(0, next);
                Ok(())
            }
            Err(failure) => Err(self.failed(failure, stretch).await),
        }
    }

    async fn consume(
        &self,
        place: &Place,
        events: Vec<Arc<RecordedEvent>>,
        next: Checkpoint,
        stretch: &Stretch,
    ) -> Result<(), Failure> {
        let spec = &self.entry.spec;
        let mut batch = Batch::new(events, place.write(spec.name.clone(), next));
        let failed = self.trouble.fault_at(stretch.first);
        let failed = failed.map_or(0, |fault| fault.attempts);
        if !spec.retry.allows(failed.saturating_add(1)) {
            batch = batch.for_the_last_time();
        }
        let span = tracing::debug_span!(
            telemetry::CONSUME,
            subscription = spec.name.as_str(),
            events = stretch.len(),
            first = stretch.first.get(),
            last = stretch.last.get(),
        );
        // In an async block, so that a panic before the first await is caught too.
        let consuming = async { spec.consumer.consume(batch).await }.instrument(span);
        match guarded(spec.time_limit, consuming).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(interrupted) => Err(interrupted.into()),
        }
    }

    /// At the end of the log: saves what is due, and waits for more.
    async fn wait_for_more(&mut self, place: &mut Place, mark: StoreChange) -> Step<()> {
        if place.unsaved() > 0 && place.unsaved_for() >= self.shared.settings.save_after {
            self.save(place).await?;
        }
        self.trouble.caught_up();
        self.entry.report.state(SubscriptionState::CaughtUp);
        tokio::select! {
            () = self.stop.cancelled() => {}
            _ = self.paused.changed() => {}
            () = self.shared.store.changed(mark) => {}
            () = tokio::time::sleep(self.shared.settings.poll_interval) => {}
        }
        Ok(())
    }

    /// Waits, but no longer than until somebody wants something.
    async fn woken(&mut self, at_most: Option<Duration>) {
        let timer = async {
            match at_most {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            _ = self.paused.changed() => {}
            () = timer => {}
        }
    }
}

/// The place of a batch in the log.
struct Stretch {
    first: Position,
    last: Position,
    events: Vec<Position>,
}

impl Stretch {
    fn of(events: &[Arc<RecordedEvent>], end: Position) -> Self {
        let events: Vec<_> = events.iter().map(|event| event.position()).collect();
        let (first, last) = (
            *events.first().unwrap_or(&end),
            *events.last().unwrap_or(&end),
        );
        Self {
            first,
            last,
            events,
        }
    }

    fn len(&self) -> usize {
        self.events.len()
    }

    fn contains(&self, position: Position) -> bool {
        (self.first..=self.last).contains(&position)
    }
}
