//! Parked keys: what is read is not what is there, and what is asked for is not what is noted.

use std::{collections::BTreeMap, sync::Arc};

use uno_core::{
    Checkpoint, CheckpointStore as _, Commit, Direction, ParkedEvent, ParkedFailure, ParkedGroup,
    ParkedKey, ParkingRequest, ParkingStore as _, ParkingWrite, Position, StoreError,
    SubscriptionName, TimerStore as _,
};
use uno_store_memory::MemoryTx;

use super::{Fault, moves::park, store::Broken};

impl Broken {
    async fn key(&self, key: &ParkedKey) -> Result<ParkedKey, StoreError> {
        let failure = key.failure();
        let failure = match self.fault {
            Fault::CutsFailuresAt(longest) => {
                let end = failure.error().floor_char_boundary(longest);
                let error = &failure.error()[..end];
                ParkedFailure::new(failure.attempts(), error, failure.fingerprint())
            }
            _ => failure.clone(),
        };
        let parked_at = match self.fault {
            Fault::LosesTimes => chrono::DateTime::UNIX_EPOCH,
            Fault::ParkedSinceNow => self.inner.due_timers("", 0).await?.now(),
            _ => key.parked_at(),
        };
        let (name, request) = (key.key().into(), key.request());
        let events = self.counted(key.events());
        Ok(ParkedKey::new(
            name,
            failure,
            key.first(),
            events,
            parked_at,
            request,
        ))
    }

    fn counted(&self, count: u64) -> u64 {
        match self.fault {
            Fault::CountsAThousandAtMost => count.min(1_000),
            _ => count,
        }
    }

    pub(super) async fn parked(
        &self,
        subscription: &SubscriptionName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ParkedKey>, StoreError> {
        let subscription = &self.subscription(subscription);
        let mut keys = self
            .inner
            .list_parked(subscription, None, usize::MAX)
            .await?;
        self.sorted(&mut keys, ParkedKey::key, after);
        if self.gone() {
            keys.clear();
        }
        let mut told = Vec::new();
        for key in self.limited(keys, Direction::Forward, limit) {
            told.push(self.key(&key).await?);
        }
        Ok(told)
    }

    pub(super) async fn parked_one(
        &self,
        subscription: &SubscriptionName,
        key: &str,
    ) -> Result<Option<ParkedKey>, StoreError> {
        let subscription = &self.subscription(subscription);
        let found = self
            .inner
            .parked_key(subscription, &self.folded(key))
            .await?;
        match found {
            Some(found) if !self.gone() => Ok(Some(self.key(&found).await?)),
            None if self.has(Fault::FindsEveryKeyParked) => {
                let failure = ParkedFailure::new(0, "", "");
                let (first, now) = (Position::START, chrono::DateTime::UNIX_EPOCH);
                Ok(Some(ParkedKey::new(
                    key.into(),
                    failure,
                    first,
                    0,
                    now,
                    None,
                )))
            }
            _ => Ok(None),
        }
    }

    pub(super) async fn events_parked(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Result<Vec<ParkedEvent>, StoreError> {
        let subscription = &self.subscription(subscription);
        let mut events = self
            .inner
            .parked_events(subscription, &self.folded(key), Position::START, usize::MAX)
            .await?;
        events.retain(|event| match self.fault {
            Fault::ReadsQueuesInclusive => event.position() >= after,
            _ => event.position() > after,
        });
        if self.has(Fault::ReversesParked) {
            events.reverse();
        }
        Ok(self.limited(events, Direction::Forward, limit))
    }

    pub(super) async fn groups(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<ParkedGroup>, StoreError> {
        let subscription = &self.subscription(subscription);
        let keys = self
            .inner
            .list_parked(subscription, None, usize::MAX)
            .await?;
        let last: BTreeMap<_, _> = keys
            .iter()
            .map(|key| (key.failure().fingerprint(), key.failure().error()))
            .collect();
        let told = |group: &ParkedGroup| {
            let print = group.fingerprint();
            let error = match self.fault {
                Fault::GroupsTellTheLastError => last.get(print).copied().unwrap_or_default(),
                _ => group.error(),
            };
            let events = match self.fault {
                Fault::GroupsCountOnlyKeys => group.keys(),
                _ => group.events(),
            };
            ParkedGroup::new(print.into(), error.into(), group.keys(), events)
        };
        let groups = self.inner.parked_groups(subscription).await?;
        let mut groups: Vec<_> = groups.iter().map(told).collect();
        if self.has(Fault::GroupsUnsorted) {
            groups.reverse();
        }
        Ok(groups)
    }

    pub(super) async fn parked_count(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<u64, StoreError> {
        let subscription = &self.subscription(subscription);
        let count = self.inner.count_parked(subscription).await?;
        Ok(self.counted(count))
    }

    pub(super) async fn ask(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        request: ParkingRequest,
    ) -> Result<bool, StoreError> {
        let (subscription, key) = (&self.subscription(subscription), &*self.folded(key));
        let found = self.inner.parked_key(subscription, key).await?;
        match (self.fault, &found) {
            (Fault::RequestsNothing, found) => return Ok(found.is_some()),
            (Fault::FindsEveryKeyParked, None) => return Ok(true),
            (Fault::KeepsTheFirstRequest, Some(found)) if found.request().is_some() => {
                return Ok(true);
            }
            _ => {}
        }
        self.note_request(subscription, key, request);
        self.inner.request(subscription, key, request).await
    }

    fn note_request(&self, subscription: &SubscriptionName, key: &str, request: ParkingRequest) {
        let mut notes = self.notes.get();
        let known = |(of, known, _): &&mut (SubscriptionName, String, _)| {
            of == subscription && known == key
        };
        match notes.requests.iter_mut().find(known) {
            Some(noted) => noted.2 = request,
            None => {
                let noted = (subscription.clone(), key.to_owned(), request);
                notes.requests.push(noted);
            }
        }
    }

    pub(super) async fn ask_all(
        &self,
        subscription: &SubscriptionName,
        fingerprint: &str,
        request: ParkingRequest,
    ) -> Result<u64, StoreError> {
        let subscription = &self.subscription(subscription);
        if !self.has(Fault::RequestsForAll) {
            return self
                .inner
                .request_all(subscription, fingerprint, request)
                .await;
        }
        let mut found = 0;
        for group in self.inner.parked_groups(subscription).await? {
            let print = group.fingerprint();
            found += self.inner.request_all(subscription, print, request).await?;
        }
        Ok(found)
    }

    pub(super) async fn asked(
        &self,
        subscription: &SubscriptionName,
        limit: usize,
    ) -> Result<Vec<(Arc<str>, ParkingRequest)>, StoreError> {
        let subscription = &self.subscription(subscription);
        let mut requests = self.inner.list_requests(subscription, usize::MAX).await?;
        match self.fault {
            Fault::ListsRequestsByKey => requests.sort_by(|one, other| one.0.cmp(&other.0)),
            Fault::ListsRequestsByTheirFirst => {
                let notes = self.notes.get();
                requests.sort_by_key(|(key, _)| {
                    let mut noted = notes.requests.iter();
                    noted.position(|(of, noted, _)| of == subscription && **noted == **key)
                });
            }
            _ => {}
        }
        Ok(self.limited(requests, Direction::Forward, limit))
    }

    /// Asks once more for everything that was ever asked for, and is not any more.
    pub(super) async fn ask_again(&self) -> Result<(), StoreError> {
        let noted = self.notes.get().requests.clone();
        for (subscription, key, request) in noted {
            let found = self.inner.parked_key(&subscription, &key).await?;
            if found.is_some_and(|found| found.request().is_none()) {
                self.inner.request(&subscription, &key, request).await?;
            }
        }
        Ok(())
    }

    /// Every key of a subscription that is parked, with its events.
    pub(super) async fn all_parked(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<(ParkedKey, Vec<ParkedEvent>)>, StoreError> {
        let mut all = Vec::new();
        let keys = self.inner.list_parked(subscription, None, usize::MAX);
        for key in keys.await? {
            let (start, most) = (Position::START, usize::MAX);
            let events = self
                .inner
                .parked_events(subscription, key.key(), start, most)
                .await?;
            all.push((key, events));
        }
        Ok(all)
    }

    /// What a reset does to what was parked before it, beside what the store that is spoiled has done.
    pub(super) async fn reset_parked(
        &self,
        subscription: &SubscriptionName,
        to: Checkpoint,
        before: &[(ParkedKey, Vec<ParkedEvent>)],
    ) -> Result<(), StoreError> {
        let mut writes = Vec::new();
        for (key, events) in before {
            let name = key.key();
            let stays = key.first() <= to.position();
            match self.fault {
                Fault::ResetKeepsParked => writes.extend(events.iter().map(|event| {
                    let failure = Some(key.failure());
                    park(name, event.position(), event.event_id(), failure)
                })),
                Fault::ResetTakesEverythingOff if stays => {
                    writes.push(ParkingWrite::Empty { key: name.into() });
                }
                _ => {}
            }
        }
        if writes.is_empty() {
            return Ok(());
        }
        let write = self.aside(subscription, writes).await?;
        let saved = self.inner.save_checkpoint(write).await;
        saved.map_err(|error| StoreError::Backend(error.into()))
    }

    /// Carries out what a commit parks by itself, and the rest, if that is so, thereafter.
    pub(super) async fn park_outside(
        &self,
        commit: &mut Commit<MemoryTx>,
    ) -> Result<(), StoreError> {
        for write in self.parking_alone(commit).await? {
            // Whether it may or not.
            let _either = self.inner.save_checkpoint(write).await;
        }
        Ok(())
    }
}
