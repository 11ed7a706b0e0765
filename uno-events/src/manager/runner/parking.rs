//! How a [`Runner`] parks: by key, within the move of the checkpoint.

use std::{borrow::Cow, collections::HashSet, sync::Arc};

use uno_core::{Checkpoint, Lane, ParkedFailure, ParkingWrite, RecordedEvent, StoreError};

use super::{Halt, Place, Runner, Step, StopReason, trouble::Fault};
use crate::fingerprint;

impl Runner {
    /// How many keys are looked up at a time.
    const PAGE: usize = 1_000;

    pub(super) fn key<'e>(&self, event: &'e Arc<RecordedEvent>) -> Option<Cow<'e, str>> {
        self.entry.spec.key(event)
    }

    /// Whether an event is for this lane. One without a key is for the lane of its stream, so that one lane stops at it.
    pub(super) fn is_of_this_lane(&self, event: &Arc<RecordedEvent>) -> bool {
        let lane = match self.key(event) {
            Some(key) => Lane::of(&key, self.link.lanes),
            None => Lane::of(&event.stream().to_string(), self.link.lanes),
        };
        lane == self.lane()
    }

    /// The parked keys of this lane.
    pub(super) async fn load_parked(&self) -> Result<HashSet<Arc<str>>, StoreError> {
        let (store, name) = (&self.shared.subscriptions, &self.entry.spec.name);
        let mut parked = HashSet::new();
        let mut after: Option<Arc<str>> = None;
        loop {
            let page = store
                .list_parked(name, after.as_deref(), Self::PAGE)
                .await?;
            after = page.last().map(|key| key.key().into());
            let of_lane = page
                .iter()
                .map(|key| Arc::<str>::from(key.key()))
                .filter(|key| Lane::of(key, self.link.lanes) == self.lane());
            parked.extend(of_lane);
            if page.len() < Self::PAGE {
                return Ok(parked);
            }
        }
    }

    /// These are the parked keys of this lane; the coordinator looks for requests only while there are any.
    pub(super) fn know_parked(&mut self, parked: HashSet<Arc<str>>) {
        self.link.mailbox.expect_requests(!parked.is_empty());
        self.parked = parked;
    }

    /// Nothing of the key is parked any more.
    pub(super) fn forget_parked(&mut self, key: &str) {
        self.parked.remove(key);
        self.link.mailbox.expect_requests(!self.parked.is_empty());
    }

    /// The events whose key is not parked, and that the others are put behind theirs.
    pub(super) fn put_behind(
        &self,
        events: Vec<Arc<RecordedEvent>>,
    ) -> (Vec<Arc<RecordedEvent>>, Vec<ParkingWrite>) {
        // The clean path asks for no keys.
        if self.parked.is_empty() {
            return (events, Vec::new());
        }
        let mut free = Vec::with_capacity(events.len());
        let mut behind = Vec::new();
        for event in events {
            let key = self.key(&event);
            match key.and_then(|key| self.parked.get(&*key)) {
                Some(key) => behind.push(ParkingWrite::Park {
                    key: Arc::clone(key),
                    position: event.position(),
                    event_id: event.id(),
                    failure: None,
                }),
                None => free.push(event),
            }
        }
        (free, behind)
    }

    /// Whether so many more may be parked.
    pub(super) async fn check_room(
        &mut self,
        parking: &[ParkingWrite],
        next: Checkpoint,
    ) -> Step<()> {
        // Switched off after keys were parked: those behind them must still wait for them.
        let limit = self.entry.spec.parking.unwrap_or(u64::MAX);
        let store = &self.shared.subscriptions;
        let parked = match store.count_parked(&self.entry.spec.name).await {
            Ok(parked) => parked,
            Err(error) => return Err(self.store_failed(error).await),
        };
        if parked.saturating_add(parking.len() as u64) <= limit {
            return Ok(());
        }
        let position = parking.iter().find_map(ParkingWrite::position);
        let error = parking.iter().find_map(|write| match write {
            ParkingWrite::Park {
                failure: Some(failure),
                ..
            } => Some(failure.error().into()),
            _ => None,
        });
        Err(Halt::Stop(StopReason::TooManyParked {
            position: position.unwrap_or(next.position()),
            limit,
            error: error.unwrap_or_else(|| "it comes behind one that could not be handled".into()),
        }))
    }

    /// An event has had its last attempt: sets it aside with its key, or stops before it.
    pub(super) async fn give_up(
        &mut self,
        place: &mut Place,
        event: &Arc<RecordedEvent>,
        fault: &Fault,
    ) -> Step<()> {
        let key = self.key(event).map(Arc::<str>::from);
        let (Some(_), Some(key)) = (self.entry.spec.parking, key) else {
            return Err(Halt::Stop(fault.stop_reason()));
        };
        let failure = ParkedFailure::new(
            fault.attempts,
            Arc::clone(&fault.error),
            fingerprint(&fault.error),
        );
        let parking = vec![ParkingWrite::Park {
            key: Arc::clone(&key),
            position: event.position(),
            event_id: event.id(),
            failure: Some(failure),
        }];
        let next = Checkpoint::after(place.epoch(), event.position(), event.id());
        self.check_room(&parking, next).await?;
        // Before the commit: whoever sees the key may ask for it at once.
        self.link.mailbox.expect_requests(true);
        self.commit(place, next, parking).await?;
        self.ahead = super::Ahead::default();
        self.trouble.given_up(fault);
        self.trouble.passed(next.position(), 1);
        self.log_parked(event.position());
        self.entry.report.parked(&key, event.position());
        self.parked.insert(key);
        Ok(())
    }

    pub(super) fn log_parked(&self, position: uno_core::Position) {
        let (subscription, lane) = (self.entry.spec.name.as_str(), self.lane().get());
        tracing::error!(name: crate::telemetry::PARKED, subscription, lane, position = position.get(), "parked");
    }
}
