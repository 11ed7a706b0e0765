//! Parked events, by subscription and key.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use uno_core::{
    CheckpointWrite, EventId, ParkedEvent, ParkedFailure, ParkedGroup, ParkedKey, ParkingRequest,
    ParkingWrite, Position, Stale, SubscriptionName,
};

/// The parked keys of every subscription.
#[derive(Default)]
pub(crate) struct Parking {
    keys: BTreeMap<SubscriptionName, BTreeMap<Arc<str>, Key>>,
    /// Counts requests, so that the oldest is known.
    requests: u64,
}

struct Key {
    failure: ParkedFailure,
    parked_at: DateTime<Utc>,
    request: Option<(u64, ParkingRequest)>,
    events: BTreeMap<Position, EventId>,
}

/// What the writes before this one have done to a key.
#[derive(Default)]
struct Change {
    emptied: bool,
    added: BTreeSet<Position>,
    removed: BTreeSet<Position>,
}

impl Parking {
    /// Whether these writes, one after the other, find parked what they expect.
    pub(crate) fn check(&self, writes: &[CheckpointWrite]) -> Result<(), Stale> {
        let mut changes: HashMap<(&SubscriptionName, &str), Change> = HashMap::new();
        for (subscription, write) in each(writes) {
            let change = changes.entry((subscription, write.key())).or_default();
            let stored = self.key(subscription, write.key()).map(|key| &key.events);
            let parked = change.count(stored) > 0;
            let fits = match write {
                ParkingWrite::Park { failure, .. } => parked || failure.is_some(),
                ParkingWrite::TakeOff { position, .. } => change.contains(stored, *position),
                ParkingWrite::Empty { .. } => parked,
            };
            if !fits {
                return Err(Stale::Parked {
                    subscription: subscription.clone(),
                    key: write.key().to_owned(),
                });
            }
            match write {
                ParkingWrite::Park { position, .. } => {
                    if !change.contains(stored, *position) {
                        // One that was taken off before is among those added then, and stays among those removed.
                        change.added.insert(*position);
                    }
                }
                ParkingWrite::TakeOff { position, .. } => {
                    if !change.added.remove(position) {
                        change.removed.insert(*position);
                    }
                }
                ParkingWrite::Empty { .. } => {
                    *change = Change {
                        emptied: true,
                        ..Change::default()
                    };
                }
            }
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, write: &CheckpointWrite, now: DateTime<Utc>) {
        if write.parked().is_empty() {
            return;
        }
        let keys = self.keys.entry(write.subscription().clone()).or_default();
        for write in write.parked() {
            match write {
                ParkingWrite::Park {
                    key,
                    position,
                    event_id,
                    failure,
                } => {
                    if let Some(failure) = failure {
                        let parked = keys.entry(Arc::clone(key)).or_insert_with(|| Key {
                            failure: failure.clone(),
                            parked_at: now,
                            request: None,
                            events: BTreeMap::new(),
                        });
                        parked.failure = failure.clone();
                        parked.request = None;
                    }
                    if let Some(parked) = keys.get_mut(key) {
                        parked.events.entry(*position).or_insert(*event_id);
                    }
                }
                ParkingWrite::TakeOff { key, position } => {
                    if let Some(parked) = keys.get_mut(key) {
                        parked.events.remove(position);
                        if parked.events.is_empty() {
                            keys.remove(key);
                        }
                    }
                }
                ParkingWrite::Empty { key } => {
                    keys.remove(key);
                }
            }
        }
    }

    /// Takes off what is parked after a place.
    pub(crate) fn reset(&mut self, subscription: &SubscriptionName, to: Position) {
        if let Some(keys) = self.keys.get_mut(subscription) {
            keys.retain(|_, key| {
                key.events.retain(|position, _| *position <= to);
                !key.events.is_empty()
            });
        }
    }

    pub(crate) fn list(
        &self,
        subscription: &SubscriptionName,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<ParkedKey> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let keys = self.keys.get(subscription).into_iter();
        keys.flat_map(|keys| keys.range::<str, _>((start, Bound::Unbounded)))
            .filter_map(|(name, key)| key.show(name))
            .take(limit)
            .collect()
    }

    pub(crate) fn show(&self, subscription: &SubscriptionName, key: &str) -> Option<ParkedKey> {
        let (name, key) = self.keys.get(subscription)?.get_key_value(key)?;
        key.show(name)
    }

    pub(crate) fn events(
        &self,
        subscription: &SubscriptionName,
        key: &str,
        after: Position,
        limit: usize,
    ) -> Vec<ParkedEvent> {
        let events = self.key(subscription, key).into_iter();
        events
            .flat_map(|key| key.events.range((Bound::Excluded(after), Bound::Unbounded)))
            .map(|(position, event_id)| ParkedEvent::new(*position, *event_id))
            .take(limit)
            .collect()
    }

    pub(crate) fn groups(&self, subscription: &SubscriptionName) -> Vec<ParkedGroup> {
        let mut groups: BTreeMap<&str, (&str, u64, u64)> = BTreeMap::new();
        for key in self
            .keys
            .get(subscription)
            .into_iter()
            .flat_map(BTreeMap::values)
        {
            let failure = &key.failure;
            let group = groups
                .entry(failure.fingerprint())
                .or_insert((failure.error(), 0, 0));
            group.1 += 1;
            group.2 += key.events.len() as u64;
        }
        let group = |(fingerprint, (error, keys, events)): (&str, (&str, u64, u64))| {
            ParkedGroup::new(fingerprint.into(), error.into(), keys, events)
        };
        groups.into_iter().map(group).collect()
    }

    pub(crate) fn count(&self, subscription: &SubscriptionName) -> u64 {
        let keys = self.keys.get(subscription).into_iter();
        keys.flat_map(BTreeMap::values)
            .map(|key| key.events.len() as u64)
            .sum()
    }

    pub(crate) fn request(
        &mut self,
        subscription: &SubscriptionName,
        request: ParkingRequest,
        which: impl Fn(&str, &ParkedFailure) -> bool,
    ) -> u64 {
        let mut found = 0;
        self.requests += 1;
        for (name, key) in self.keys.get_mut(subscription).into_iter().flatten() {
            if which(name, &key.failure) {
                key.request = Some((self.requests, request));
                found += 1;
            }
        }
        found
    }

    pub(crate) fn requests(
        &self,
        subscription: &SubscriptionName,
        limit: usize,
    ) -> Vec<(Arc<str>, ParkingRequest)> {
        let keys = self.keys.get(subscription).into_iter().flatten();
        let mut found: Vec<_> = keys
            .filter_map(|(name, key)| Some((key.request?, Arc::clone(name))))
            .map(|((number, request), name)| (number, name, request))
            .collect();
        found.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let asked = found.into_iter().take(limit);
        asked.map(|(_, name, request)| (name, request)).collect()
    }

    fn key(&self, subscription: &SubscriptionName, key: &str) -> Option<&Key> {
        self.keys.get(subscription)?.get(key)
    }
}

impl Key {
    fn show(&self, name: &Arc<str>) -> Option<ParkedKey> {
        let (first, _) = self.events.first_key_value()?;
        Some(ParkedKey::new(
            Arc::clone(name),
            self.failure.clone(),
            *first,
            self.events.len() as u64,
            self.parked_at,
            self.request.map(|(_, request)| request),
        ))
    }
}

impl Change {
    fn count(&self, stored: Option<&BTreeMap<Position, EventId>>) -> usize {
        let stored = stored.filter(|_| !self.emptied);
        stored.map_or(0, |stored| stored.len() - self.removed.len()) + self.added.len()
    }

    fn contains(&self, stored: Option<&BTreeMap<Position, EventId>>, position: Position) -> bool {
        let stored = stored.filter(|_| !self.emptied && !self.removed.contains(&position));
        self.added.contains(&position)
            || stored.is_some_and(|stored| stored.contains_key(&position))
    }
}

fn each(writes: &[CheckpointWrite]) -> impl Iterator<Item = (&SubscriptionName, &ParkingWrite)> {
    writes.iter().flat_map(|write| {
        write
            .parked()
            .iter()
            .map(|parked| (write.subscription(), parked))
    })
}
