//! How a [`Runner`] feeds events to the consumer.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};
use tracing::Instrument as _;
use uno_core::{Checkpoint, Lane, ParkingWrite, Position, RecordedEvent};

use super::{Failure, Phase, Place, Runner, Step, Stretch};
use crate::{Batch, guard::guarded, telemetry};

/// Held by the one event in this process that is suspected of killing processes and is being tried: so that no other suspect is in
/// hand when it does, and is taken for the culprit.
static DEADLY: Semaphore = Semaphore::const_new(1);

/// How long a suspect waits for another one. One that never ends must not keep the others waiting for ever.
const PATIENCE: Duration = Duration::from_secs(60);

impl Runner {
    /// Feeds events to the consumer, but for those whose key is parked: they are put behind it, in the same commit.
    pub(super) async fn feed(
        &mut self,
        place: &mut Place,
        events: Vec<Arc<RecordedEvent>>,
        next: Checkpoint,
    ) -> Step<()> {
        let (events, parking) = self.put_behind(events);
        let stretch = Stretch::of(&events, next.position());
        if let Some(event) = events.first()
            && let Some(fault) = self.trouble.fault_at(stretch.first)
        {
            if fault.is_final(&self.entry.spec.retry) {
                let event = Arc::clone(event);
                return self.give_up(place, &event, &fault).await;
            }
            if let Some(wait) = fault
                .retry_at
                .checked_duration_since(Instant::now())
                .filter(|wait| !wait.is_zero())
            {
                self.phase(Phase::Retrying {
                    attempt: fault.attempts,
                    error: Arc::clone(&fault.error),
                });
                self.log_retry(fault.attempts, fault.position);
                self.wait(wait).await;
                // Look again whether to stop, to pause, or to go on; what was not fed is read again.
                self.ahead = super::Ahead::default();
                return Ok(());
            }
            self.entry.report.retried();
        }
        if !parking.is_empty() {
            self.check_room(&parking, next).await?;
        }
        self.busy();
        let alone = self.prepare(&events).await?;
        let begun = Instant::now();
        let consumed = self
            .consume(place, events, next, &stretch, parking.clone())
            .await;
        // Whoever waits to try a suspect must wait for no rest and no retry of this lane.
        drop(alone);
        if let Err(failure) = consumed {
            return Err(self.failed(failure, stretch).await);
        }
        self.stride.took(stretch.len(), begun.elapsed());
        self.saved(place, next, stretch.len() + parking.len());
        self.entry.report.handled(self.lane(), stretch.len(), next);
        self.entry.report.queued_behind(parking.len());
        let rest = self.entry.spec.rest();
        if !rest.is_zero() {
            self.wait(rest).await;
        }
        Ok(())
    }

    /// Before an event that may fail, or worse, is tried: notes the attempt, and sees to it that no other suspect is tried beside it.
    async fn prepare(
        &mut self,
        events: &[Arc<RecordedEvent>],
    ) -> Step<Option<SemaphorePermit<'static>>> {
        let [event] = events else {
            return Ok(None);
        };
        let Some(note) = self.trouble.attempt_to_note(event.position()) else {
            return Ok(None);
        };
        let mut alone = None;
        if self.trouble.is_deadly() {
            alone = tokio::time::timeout(PATIENCE, DEADLY.acquire())
                .await
                .ok()
                .and_then(Result::ok);
        }
        self.note_attempt(note).await?;
        Ok(alone)
    }

    /// Saves what was passed over since the checkpoint.
    pub(super) async fn save(&mut self, place: &mut Place) -> Step<()> {
        if place.unsaved() == 0 {
            return Ok(());
        }
        self.commit(place, place.progress(), Vec::new()).await
    }

    /// Moves the checkpoint, and parks and takes off, without an event.
    pub(super) async fn commit(
        &mut self,
        place: &mut Place,
        next: Checkpoint,
        parking: Vec<ParkingWrite>,
    ) -> Step<()> {
        let stretch = Stretch::of(&[], next.position());
        match self
            .consume(place, Vec::new(), next, &stretch, parking)
            .await
        {
            Ok(()) => {
                self.saved(place, next, 0);
                self.entry.report.handled(self.lane(), 0, next);
                Ok(())
            }
            Err(failure) => Err(self.failed(failure, stretch).await),
        }
    }

    /// The checkpoint is there now.
    pub(super) fn saved(&mut self, place: &mut Place, next: Checkpoint, events: usize) {
        place.saved(next);
        self.verified = Some(next);
        self.trouble.passed(next.position(), events);
    }

    pub(super) async fn consume(
        &self,
        place: &Place,
        events: Vec<Arc<RecordedEvent>>,
        next: Checkpoint,
        stretch: &Stretch,
        parking: Vec<ParkingWrite>,
    ) -> Result<(), Failure> {
        let spec = &self.entry.spec;
        let write = place
            .write(spec.name.clone(), next)
            .fenced(self.lane(), self.link.lease.fence())
            .parking(parking);
        let mut batch = Batch::new(events, write).on_lease(self.link.lanes, self.link.held.clone());
        let failed = self.trouble.fault_at(stretch.first);
        let failed = failed.map_or(0, |fault| fault.attempts);
        if !spec.retry.allows(failed.saturating_add(1)) {
            batch = batch.for_the_last_time();
        }
        self.consume_batch(batch, stretch).await
    }

    pub(super) async fn consume_batch(
        &self,
        batch: Batch,
        stretch: &Stretch,
    ) -> Result<(), Failure> {
        let spec = &self.entry.spec;
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

    /// Tells when the newest event that is known is far ahead.
    pub(super) fn tell_if_behind(&self, position: Position) {
        let newest = self.shared.feed.end().get();
        let lag = newest.saturating_sub(position.get());
        if lag >= self.shared.settings.fell_behind_at {
            self.entry.report.fell_behind(lag);
        }
    }

    pub(super) fn lane(&self) -> Lane {
        self.link.lease.lane()
    }

    pub(super) fn phase(&self, phase: Phase) {
        self.entry.report.phase(self.lane(), phase);
    }

    pub(super) fn busy(&self) {
        self.entry.report.busy(self.lane());
    }
}
