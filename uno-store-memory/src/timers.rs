//! The timers of processes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use chrono::{DateTime, Utc};
use uno_core::{DueTimers, NewTimer, Stale, Timer, TimerWrite};
use uuid::Uuid;

/// The timers of each process.
#[derive(Default)]
pub(crate) struct Timers(HashMap<String, Pending>);

#[derive(Default)]
struct Pending {
    /// By time, then by id: the order in which they fire.
    order: BTreeMap<(DateTime<Utc>, Uuid), Timer>,
    /// When each is due.
    times: HashMap<Uuid, DateTime<Utc>>,
    /// The timers of each instance.
    keys: BTreeMap<String, BTreeSet<Uuid>>,
}

impl Timers {
    /// Whether all that are to be fired are there.
    pub(crate) fn check(&self, writes: &[TimerWrite]) -> Result<(), Stale> {
        for write in writes {
            if let TimerWrite::Fire { process, id } = write
                && !self
                    .0
                    .get(process)
                    .is_some_and(|pending| pending.times.contains_key(id))
            {
                return Err(Stale::Timer {
                    process: process.clone(),
                    id: *id,
                });
            }
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, write: TimerWrite, now: DateTime<Utc>) {
        match write {
            TimerWrite::Set(timer) => {
                let pending = self.0.entry(timer.process().to_owned()).or_default();
                pending.remove(timer.id());
                pending.add(&timer, now);
            }
            TimerWrite::Cancel { process, id } | TimerWrite::Fire { process, id } => {
                if let Some(pending) = self.0.get_mut(&process) {
                    pending.remove(id);
                }
            }
        }
    }

    pub(crate) fn due(&self, process: &str, now: DateTime<Utc>, limit: usize) -> DueTimers {
        let pending = self.0.get(process);
        let mut order = pending.into_iter().flat_map(|pending| &pending.order);
        let mut due = Vec::new();
        let next = loop {
            match order.next() {
                None => break None,
                Some(((time, _), _)) if *time > now => break (*time - now).to_std().ok(),
                Some(_) if due.len() == limit => break Some(Duration::ZERO),
                Some((_, timer)) => due.push(timer.clone()),
            }
        };
        DueTimers::new(due, now, next)
    }

    pub(crate) fn of(&self, process: &str, key: &str) -> Vec<Timer> {
        let Some(pending) = self.0.get(process) else {
            return Vec::new();
        };
        let ids = pending.keys.get(key).into_iter().flatten();
        let mut timers: Vec<Timer> = ids
            .filter_map(|id| pending.order.get(&(*pending.times.get(id)?, *id)))
            .cloned()
            .collect();
        timers.sort_by_key(|timer| (timer.due_at(), timer.id()));
        timers
    }
}

impl Pending {
    fn add(&mut self, timer: &NewTimer, now: DateTime<Utc>) {
        let (id, due_at) = (timer.id(), timer.due().time(now));
        let key = timer.key().to_owned();
        self.keys.entry(key.clone()).or_default().insert(id);
        self.times.insert(id, due_at);
        let (payload, metadata) = (timer.payload().clone(), timer.metadata().clone());
        self.order
            .insert((due_at, id), Timer::new(key, id, due_at, payload, metadata));
    }

    fn remove(&mut self, id: Uuid) {
        let Some(time) = self.times.remove(&id) else {
            return;
        };
        if let Some(timer) = self.order.remove(&(time, id))
            && let Some(ids) = self.keys.get_mut(timer.key())
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.keys.remove(timer.key());
            }
        }
    }
}
