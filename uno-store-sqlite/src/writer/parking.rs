//! What a group of commits parks and takes off: decided in memory, and what it comes to as one statement for each table.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use uno_core::{
    CheckpointWrite, EventId, ParkedFailure, ParkingWrite, Position, Stale, SubscriptionName,
};

use super::{sql, writes::write};
use crate::script::Script;

/// Which key of which subscription.
pub(crate) type Key<'c> = (&'c SubscriptionName, &'c str);

/// What is parked, as far as a group is about it.
#[derive(Clone, Default)]
pub(crate) struct Parked<'c>(HashMap<Key<'c>, ParkedKey>);

#[derive(Clone, Default)]
struct ParkedKey {
    /// How many events of it are parked.
    events: u64,
    /// Which of those that the group names are among them.
    named: HashSet<Position>,
}

impl<'c> Parked<'c> {
    pub(crate) fn learn_key(&mut self, key: Key<'c>, events: u64) {
        self.0.entry(key).or_default().events = events;
    }

    pub(crate) fn learn_event(&mut self, key: Key<'c>, position: Position) {
        self.0.entry(key).or_default().named.insert(position);
    }

    /// Whether the moves of a commit, one after the other, find parked what they expect.
    pub(crate) fn check(&self, moves: &'c [CheckpointWrite]) -> Result<(), Stale> {
        let mut trial: Parked<'c> = Self::default();
        for (subscription, write) in each(moves) {
            let key = (subscription, write.key());
            let found = trial.0.entry(key);
            let found = found.or_insert_with(|| self.0.get(&key).cloned().unwrap_or_default());
            if !found.apply(write) {
                return Err(Stale::Parked {
                    subscription: subscription.clone(),
                    key: write.key().to_owned(),
                });
            }
        }
        Ok(())
    }
}

impl ParkedKey {
    /// Does what the write says; `false` if it can't be done.
    fn apply(&mut self, write: &ParkingWrite) -> bool {
        match write {
            ParkingWrite::Park {
                position, failure, ..
            } => {
                if self.events == 0 && failure.is_none() {
                    return false;
                }
                self.events += u64::from(self.named.insert(*position));
            }
            ParkingWrite::TakeOff { position, .. } => {
                if !self.named.remove(position) {
                    return false;
                }
                self.events -= 1;
            }
            ParkingWrite::Empty { .. } => {
                if self.events == 0 {
                    return false;
                }
                *self = Self::default();
            }
        }
        true
    }
}

/// What is to be written.
#[derive(Default)]
pub(crate) struct ParkingWrites<'c>(HashMap<Key<'c>, Change<'c>>);

/// What becomes of a key, in the order in which it is written.
#[derive(Default)]
struct Change<'c> {
    /// What was there goes.
    emptied: bool,
    removed: BTreeSet<Position>,
    failure: Option<&'c ParkedFailure>,
    added: Vec<(Position, EventId)>,
}

impl<'c> ParkingWrites<'c> {
    /// Takes up moves that can be made, and notes what they change for those behind them.
    pub(crate) fn take(&mut self, moves: &'c [CheckpointWrite], parked: &mut Parked<'c>) {
        for (subscription, write) in each(moves) {
            let key = (subscription, write.key());
            let left = parked.0.entry(key).or_default();
            left.apply(write);
            let change = self.0.entry(key).or_default();
            match write {
                ParkingWrite::Park {
                    position,
                    event_id,
                    failure,
                    ..
                } => {
                    change.failure = failure.as_ref().or(change.failure);
                    // One that is there keeps its place: the statement passes it over.
                    change.added.push((*position, *event_id));
                }
                ParkingWrite::TakeOff { position, .. } if left.events > 0 => {
                    change.added.retain(|(added, _)| added != position);
                    change.removed.insert(*position);
                }
                ParkingWrite::TakeOff { .. } | ParkingWrite::Empty { .. } => {
                    *change = Change {
                        emptied: true,
                        ..Change::default()
                    };
                }
            }
        }
    }

    /// Adds the statements. `now` is the time by the store's clock.
    pub(crate) fn write(&self, now: DateTime<Utc>, script: &mut Script) {
        let emptied = || {
            let emptied = self.0.iter().filter(|(_, change)| change.emptied);
            emptied.map(|((subscription, key), _)| (subscription.as_str(), key))
        };
        write(sql::EMPTY_PARKED_EVENTS, emptied(), script);
        write(sql::EMPTY_PARKED_KEYS, emptied(), script);
        let removed = self.0.iter().flat_map(|((subscription, key), change)| {
            let removed = change.removed.iter();
            removed.map(move |position| (subscription.as_str(), key, position.as_i64()))
        });
        write(sql::REMOVE_PARKED, removed, script);
        let failed = self.0.iter().filter_map(|((subscription, key), change)| {
            let failure = change.failure?;
            Some((
                subscription.as_str(),
                key,
                failure.attempts(),
                failure.error(),
                failure.fingerprint(),
                now.timestamp_micros(),
            ))
        });
        write(sql::PARK_KEYS, failed, script);
        let added = self.0.iter().flat_map(|((subscription, key), change)| {
            let added = change.added.iter();
            added.map(move |(position, id)| {
                let id = id.as_uuid().simple().to_string();
                (subscription.as_str(), key, position.as_i64(), id)
            })
        });
        write(sql::PARK_EVENTS, added, script);
    }
}

pub(crate) fn each(
    moves: &[CheckpointWrite],
) -> impl Iterator<Item = (&SubscriptionName, &ParkingWrite)> {
    moves.iter().flat_map(|write| {
        let parked = write.parked().iter();
        parked.map(|parked| (write.subscription(), parked))
    })
}
