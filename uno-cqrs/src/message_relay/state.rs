//! [`State`]: which messages a relay has in hand, and which keys rest.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;
use uno_core::QueuedMessage;
use uuid::Uuid;

use crate::command_worker::Lanes;

/// The most messages that wait in memory, and that are delivered and not acknowledged yet.
const MOST_WAITING: usize = 1024;
/// The most keys that rest. With more, the relay reads on only as they recover.
const MOST_RESTING: usize = 10_000;

/// What a relay remembers.
#[derive(Default)]
pub(super) struct State {
    lanes: Lanes,
    /// Keys that failed, until when they rest. Their messages are not in memory; they are read again by key.
    resting: HashMap<String, Instant>,
    /// Keys that have more messages behind those in memory, which reading on in the queue has passed.
    longer: HashSet<String>,
    /// How often in a row a key failed.
    failures: HashMap<String, u32>,
    /// Delivered, and not acknowledged yet.
    delivered: HashSet<Uuid>,
}

impl State {
    pub(super) fn read_up_to(&self) -> u64 {
        self.lanes.read_up_to()
    }

    pub(super) fn has_room(&self, concurrency: usize) -> bool {
        self.lanes.ready() < concurrency
            && self.lanes.waiting() < MOST_WAITING
            && self.delivered.len() < MOST_WAITING
            && self.resting.len() < MOST_RESTING
    }

    /// A message that was read on.
    pub(super) fn add(&mut self, message: QueuedMessage) {
        let key = message.message().key();
        if self.resting.contains_key(key) || self.longer.contains(key) {
            self.lanes.pass(message.number());
        } else {
            self.lanes.add(message);
        }
    }

    pub(super) fn take(&mut self) -> Option<QueuedMessage> {
        self.lanes.take()
    }

    pub(super) fn delivered(&mut self, key: &str, id: Uuid) {
        self.delivered.insert(id);
        self.failures.remove(key);
        if self.lanes.finish(key) && self.longer.remove(key) {
            // What is behind is read as if it had rested.
            self.resting.insert(key.to_owned(), Instant::now());
        }
    }

    /// A delivery failed: the key rests. How often in a row that was.
    pub(super) fn failed(&mut self, key: &str, until: impl FnOnce(u32) -> Instant) -> u32 {
        let failures = self.failures.entry(key.to_owned()).or_default();
        *failures = failures.saturating_add(1);
        let count = *failures;
        self.lanes.forget(key);
        self.longer.remove(key);
        self.resting.insert(key.to_owned(), until(count));
        count
    }

    pub(super) fn resting(&self) -> usize {
        self.resting.len()
    }

    /// The keys that have rested long enough, as far as there is room for them.
    pub(super) fn due(&self, now: Instant) -> Vec<String> {
        if self.lanes.waiting() >= MOST_WAITING || self.delivered.len() >= MOST_WAITING {
            return Vec::new();
        }
        let due = self.resting.iter().filter(|(_, until)| **until <= now);
        due.map(|(key, _)| key.clone()).take(16).collect()
    }

    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.resting.values().min().copied()
    }

    /// A key is back, with the first of its messages.
    pub(super) fn back(&mut self, key: &str, page: Vec<QueuedMessage>, full: bool) {
        let up_to = self.lanes.read_up_to();
        // What is beyond will be read with the others, and what was delivered is only not acknowledged yet.
        let here: Vec<_> = page
            .into_iter()
            .filter(|queued| queued.number() <= up_to)
            .filter(|queued| !self.delivered.contains(&queued.message().id()))
            .collect();
        if here.is_empty() && full {
            // All of a full page is still to be acknowledged: look again after that.
            return;
        }
        self.resting.remove(key);
        if here.is_empty() {
            self.failures.remove(key);
        } else if full {
            self.longer.insert(key.to_owned());
        }
        here.into_iter().for_each(|message| self.lanes.add(message));
    }

    pub(super) fn has_delivered(&self) -> bool {
        !self.delivered.is_empty()
    }

    pub(super) fn to_acknowledge(&self, at_most: usize) -> Option<Vec<Uuid>> {
        let ids: Vec<_> = self.delivered.iter().take(at_most).copied().collect();
        (!ids.is_empty()).then_some(ids)
    }

    pub(super) fn acknowledged(&mut self, ids: &[Uuid]) {
        for id in ids {
            self.delivered.remove(id);
        }
    }
}
