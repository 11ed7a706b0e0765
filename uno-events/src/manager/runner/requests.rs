//! How a [`Runner`] carries out what is asked for parked keys.

use std::sync::Arc;

use uno_core::{
    ParkedEvent, ParkedFailure, ParkedKey, ParkingRequest, ParkingWrite, Position, ReadLog,
    RecordedEvent,
};

use super::{Failure, Halt, Place, Runner, Step, StopReason, Stretch};
use crate::{Batch, fingerprint};

/// A key whose events are being tried again, one after the other.
#[derive(Clone)]
pub(super) struct Retrying {
    key: Arc<str>,
    /// How often the first one was tried, this time included.
    attempts: u32,
    first: Position,
}

/// What is said of an event while it is tried again: it stays, if the process does not survive that.
const WAS_TRIED: &str = "the process that tried it again ended before it was done";

impl Runner {
    /// Whether there is something that was asked for.
    pub(super) fn has_requests(&self) -> bool {
        self.retrying.is_some() || !self.link.mailbox.is_empty()
    }

    /// Carries out a part of what is asked for.
    pub(super) async fn carry_out_requests(&mut self, place: &mut Place) -> Step<()> {
        if let Some(retrying) = self.retrying.clone() {
            return self.retry(place, retrying).await;
        }
        let Some((key, request)) = self.link.mailbox.take() else {
            return Ok(());
        };
        // Before the request is taken off the store, so that nobody takes this lane for idle.
        self.busy();
        let (store, name) = (&self.shared.subscriptions, &self.entry.spec.name);
        let parked = match store.parked_key(name, &key).await {
            Ok(parked) => parked,
            Err(error) => {
                self.link.mailbox.put(key, request);
                return Err(self.store_failed(error).await);
            }
        };
        let Some(parked) = parked.filter(|parked| parked.request() == Some(request)) else {
            // It was carried out, or is not what is asked for any more.
            return Ok(());
        };
        let of = Arc::clone(&key);
        let carried_out = match request {
            ParkingRequest::Discard => self.discard(place, of).await,
            ParkingRequest::Skip => self.skip(place, &parked, of).await,
            ParkingRequest::Retry => self.begin(place, &parked, of).await,
        };
        if carried_out.is_err() {
            // If it was done after all, that is found the next time.
            self.link.mailbox.put(key, request);
        }
        carried_out
    }

    async fn discard(&mut self, place: &mut Place, key: Arc<str>) -> Step<()> {
        let empty = ParkingWrite::Empty {
            key: Arc::clone(&key),
        };
        self.commit(place, place.progress(), vec![empty]).await?;
        self.forget_parked(&key);
        Ok(())
    }

    /// Takes the first one off; the next one takes its place until it has been tried.
    async fn skip(&mut self, place: &mut Place, parked: &ParkedKey, key: Arc<str>) -> Step<()> {
        let position = parked.first();
        let mut parking = vec![ParkingWrite::TakeOff {
            key: Arc::clone(&key),
            position,
        }];
        let next = self.parked_page(&key, position, 1).await?.pop();
        if let Some(next) = next {
            parking.push(tried(&key, next, 1));
        }
        self.commit(place, place.progress(), parking).await?;
        match next {
            None => self.forget_parked(&key),
            Some(next) => self.retrying = Some(Retrying::new(key, 1, next.position())),
        }
        Ok(())
    }

    /// Writes down that the first one is tried, which takes the request off: an event that kills the process is tried once for each
    /// time that somebody asks.
    async fn begin(&mut self, place: &mut Place, parked: &ParkedKey, key: Arc<str>) -> Step<()> {
        let attempts = parked.failure().attempts().saturating_add(1);
        let Some(first) = self.parked_page(&key, Position::START, 1).await?.pop() else {
            return Ok(());
        };
        let tried = tried(&key, first, attempts);
        self.commit(place, place.progress(), vec![tried]).await?;
        self.retrying = Some(Retrying::new(key, attempts, first.position()));
        Ok(())
    }

    /// Tries the next ones, up to a batch of them.
    async fn retry(&mut self, place: &mut Place, retrying: Retrying) -> Step<()> {
        self.busy();
        let limit = self.entry.spec.batch_size;
        let key = &retrying.key;
        let page = self.parked_page(key, Position::START, limit).await?;
        let all = page.len() < limit;
        for parked in page {
            if self.link.stop.is_cancelled() || !self.link.is_held() {
                return Ok(());
            }
            if !self.retry_one(place, &retrying, parked).await? {
                self.retrying = None;
                return Ok(());
            }
        }
        if all {
            self.forget_parked(key);
            self.retrying = None;
        }
        Ok(())
    }

    /// Whether the event was handled. If not, it is what the key is parked for now.
    async fn retry_one(
        &mut self,
        place: &mut Place,
        retrying: &Retrying,
        parked: ParkedEvent,
    ) -> Step<bool> {
        let event = self.parked_event(parked).await?;
        let (key, position) = (Arc::clone(&retrying.key), parked.position());
        let stretch = Stretch::of(std::slice::from_ref(&event), position);
        let next = place.progress();
        let write = place
            .write(self.entry.spec.name.clone(), next)
            .fenced(self.lane(), self.link.lease.fence())
            .parking(vec![ParkingWrite::TakeOff { key, position }]);
        let batch = Batch::new(vec![event], write)
            .on_lease(self.link.lanes, self.link.held.clone())
            .for_the_last_time();
        let failure = match self.consume_batch(batch, &stretch).await {
            Ok(()) => {
                self.saved(place, next, 0);
                self.entry.report.handled(self.lane(), 1, next);
                return Ok(true);
            }
            Err(failure) => failure,
        };
        let is_final = match &failure {
            Failure::Decode(_) | Failure::Event { .. } | Failure::Stop { .. } => true,
            Failure::Conflict(_) => !self.trouble.conflict(),
            Failure::Stale(_)
            | Failure::Lost(_)
            | Failure::Transient(_)
            | Failure::NotNow { .. } => false,
        };
        let error: Arc<str> = failure.text().into();
        if !is_final {
            return Err(match failure {
                Failure::Conflict(_) => self.look_again().await,
                other => self.failed(other, Stretch::of(&[], next.position())).await,
            });
        }
        self.entry.report.failed(&error);
        let attempts = retrying.attempts_of(position);
        let failure = ParkedFailure::new(attempts, Arc::clone(&error), fingerprint(&error));
        let park = ParkingWrite::Park {
            key: Arc::clone(&retrying.key),
            position,
            event_id: parked.event_id(),
            failure: Some(failure),
        };
        self.commit(place, place.progress(), vec![park]).await?;
        self.log_parked(position);
        self.entry.report.parked(&retrying.key, position);
        Ok(false)
    }

    async fn parked_page(
        &mut self,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Step<Vec<ParkedEvent>> {
        let (store, name) = (&self.shared.subscriptions, &self.entry.spec.name);
        match store.parked_events(name, key, after, limit).await {
            Ok(page) => Ok(page),
            Err(error) => Err(self.store_failed(error).await),
        }
    }

    /// A parked event as it is in the log.
    async fn parked_event(&mut self, parked: ParkedEvent) -> Step<Arc<RecordedEvent>> {
        let (position, id) = (parked.position(), parked.event_id());
        let read = ReadLog::after(position.previous()).limit(1);
        let page = match self.shared.store.read_log(read).await {
            Ok(page) => page,
            Err(error) => return Err(self.store_failed(error).await),
        };
        let found = page.into_events().pop();
        found
            .filter(|event| event.position() == position && event.id() == id)
            .ok_or_else(|| {
                Halt::Stop(StopReason::LogDiverged {
                    checkpoint: position,
                    what: format!("parked event {id} is not there").into(),
                })
            })
    }
}

impl Retrying {
    fn new(key: Arc<str>, attempts: u32, first: Position) -> Self {
        Self {
            key,
            attempts,
            first,
        }
    }

    /// How often an event was tried, this time included.
    fn attempts_of(&self, position: Position) -> u32 {
        if position == self.first {
            self.attempts
        } else {
            1
        }
    }
}

/// Makes an event the one that its key is parked for.
fn tried(key: &Arc<str>, event: ParkedEvent, attempts: u32) -> ParkingWrite {
    ParkingWrite::Park {
        key: Arc::clone(key),
        position: event.position(),
        event_id: event.event_id(),
        failure: Some(ParkedFailure::new(
            attempts,
            WAS_TRIED,
            fingerprint(WAS_TRIED),
        )),
    }
}
