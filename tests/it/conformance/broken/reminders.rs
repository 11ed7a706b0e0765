//! Timers, histories and the inbox: what is asked for is not what is done, and what is read is not what is there.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, SubsecRound as _, Utc};
use uno_core::{
    Commit, CommitError, Direction, DueTimers, HistoryRecord, InboxRecord, InboxStore as _,
    InboxWrite, Metadata, ProcessStore as _, ProcessWrite, QueuedMessage, Stale, StoreError, Timer,
    TimerStore as _, TimerWrite,
};
use uno_store_memory::MemoryTx;
use uuid::Uuid;

use super::{Fault, store::Broken};

impl Broken {
    /// Changes what a commit does to timers, histories and the inbox.
    pub(crate) async fn twist_reminders(&self, commit: &mut Commit<MemoryTx>) {
        let mut kept = Vec::new();
        let mut known = HashSet::new();
        let keys = commit.timers.iter().filter_map(|write| match write {
            TimerWrite::Set(timer) => Some(timer.key().to_owned()),
            TimerWrite::Cancel { .. } | TimerWrite::Fire { .. } => None,
        });
        self.notes.get().keys.extend(keys);
        for write in std::mem::take(&mut commit.timers) {
            let (process, id) = (write.process().to_owned(), write.id());
            let first = known.insert((process.clone(), id));
            let there = self.has_timer(&process, id).await;
            match (self.fault, &write) {
                (Fault::KeepsTheFirstTimer, TimerWrite::Set(_)) if there => {}
                (Fault::FiresUnasked, TimerWrite::Fire { .. }) if !there => {}
                (Fault::SkipsDoubledTimers, _) if !first => {}
                (Fault::CancelsNothing, TimerWrite::Cancel { .. }) => {}
                (Fault::FiresNothing, TimerWrite::Fire { .. }) if there => {}
                (Fault::CancelsOnlyWhatIsThere, TimerWrite::Cancel { .. }) => {
                    kept.push(TimerWrite::Fire { process, id });
                }
                (Fault::FiresOnlyWhatIsDue, TimerWrite::Fire { .. })
                    if !self.is_due(&process, id).await =>
                {
                    // Nothing has this id.
                    let id = Uuid::from_u128(1);
                    kept.push(TimerWrite::Fire { process, id });
                }
                _ => kept.push(write),
            }
        }
        commit.timers = kept;
        if self.has(Fault::HandlesUnasked) {
            let mut kept = Vec::new();
            let mut new = HashSet::new();
            for write in std::mem::take(&mut commit.inbox) {
                let (consumer, id) = (write.consumer().to_owned(), write.id());
                let found = self.inner.load_inbox(&consumer, &[id]).await;
                if found.is_ok_and(|found| found.is_empty()) && new.insert((consumer, id)) {
                    kept.push(write);
                }
            }
            commit.inbox = kept;
        }
        self.twist_histories(commit).await;
    }

    async fn twist_histories(&self, commit: &mut Commit<MemoryTx>) {
        match self.fault {
            Fault::KeepsTheHistoryOfTheLastSave => {
                let mut known = HashSet::new();
                for write in commit.processes.iter_mut().rev() {
                    if !known.insert((write.process().to_owned(), write.key().to_owned())) {
                        *write = write.clone().with_history(1, Vec::new());
                    }
                }
            }
            Fault::OverwritesHistories => {
                for write in &commit.processes {
                    let (process, key) = (write.process(), write.key());
                    let stored = self.inner.read_history(process, key, 0, usize::MAX).await;
                    let mut notes = self.notes.get();
                    for (number, entry) in (write.first_entry()..).zip(write.history()) {
                        let taken = stored
                            .iter()
                            .flatten()
                            .any(|record| record.number() == number);
                        if taken {
                            let place = (process.to_owned(), key.to_owned(), number);
                            notes.entries.insert(place, entry.clone());
                        }
                    }
                }
            }
            _ => {}
        }
    }

    async fn has_timer(&self, process: &str, id: Uuid) -> bool {
        let pending = self.pending(process).await;
        pending.iter().any(|timer| timer.id() == id)
    }

    async fn is_due(&self, process: &str, id: Uuid) -> bool {
        let due = self.inner.due_timers(process, usize::MAX).await;
        due.is_ok_and(|due| due.timers().iter().any(|timer| timer.id() == id))
    }

    /// All timers of a process, as far as the instances are known that cases use.
    async fn pending(&self, process: &str) -> Vec<Timer> {
        let mut pending = Vec::new();
        let keys = self.notes.get().keys.clone();
        for key in keys {
            pending.extend(
                self.inner
                    .list_timers(process, &key)
                    .await
                    .unwrap_or_default(),
            );
        }
        pending
    }

    /// Looks whether every timer and message is as expected, for those who then do not look again.
    pub(crate) async fn check_reminders(
        &self,
        timers: &[TimerWrite],
        inbox: &[InboxWrite],
    ) -> Result<(), CommitError> {
        for write in timers {
            let (process, id) = (write.process().to_owned(), write.id());
            if matches!(write, TimerWrite::Fire { .. }) && !self.has_timer(&process, id).await {
                return Err(CommitError::Stale(Stale::Timer { process, id }));
            }
        }
        for write in inbox {
            let (consumer, id) = (write.consumer().to_owned(), write.id());
            if !self.inner.load_inbox(&consumer, &[id]).await?.is_empty() {
                return Err(CommitError::Stale(Stale::Inbox { consumer, id }));
            }
        }
        Ok(())
    }

    fn timer(&self, timer: &Timer) -> Timer {
        let due_at = match self.fault {
            Fault::KeepsTimesFrom1970 => timer.due_at().max(DateTime::UNIX_EPOCH),
            Fault::CutsTimesToSeconds => timer.due_at().trunc_subsecs(0),
            _ => timer.due_at(),
        };
        let metadata = if self.has(Fault::LosesMetadataOfMessages) {
            Metadata::new()
        } else {
            timer.metadata().clone()
        };
        let (key, payload) = (timer.key().to_owned(), self.body(timer.payload()));
        Timer::new(key, timer.id(), due_at, payload, metadata)
    }

    pub(crate) async fn due(&self, process: &str, limit: usize) -> Result<DueTimers, StoreError> {
        let process = self.folded(process);
        let read = self.inner.due_timers(&process, usize::MAX).await?;
        let mut due = read.timers().to_vec();
        if self.has(Fault::FiresEarly) {
            let mut pending = self.pending(&process).await;
            pending.retain(|timer| !due.contains(timer));
            due.extend(pending);
        }
        match self.fault {
            Fault::ReadsTimersById => due.sort_by_key(Timer::id),
            Fault::ReadsTimersOnce => {
                let mut notes = self.notes.get();
                due.retain(|timer| notes.read.insert(timer.id()));
            }
            _ => {}
        }
        if self.gone() {
            due.clear();
        }
        let more = due.len() > limit;
        let due = due.iter().map(|timer| self.timer(timer)).collect();
        let due = self.limited(due, Direction::Forward, limit);
        let next_in = match read.next_in() {
            _ if self.has(Fault::KnowsNoNextTimer) => None,
            _ if more => Some(Duration::ZERO),
            next_in => next_in,
        };
        Ok(DueTimers::new(due, read.now(), next_in))
    }

    pub(crate) async fn timers(&self, process: &str, key: &str) -> Result<Vec<Timer>, StoreError> {
        let (process, key) = (self.folded(process), self.folded(key));
        let mut listed = self.inner.list_timers(&process, &key).await?;
        if self.has(Fault::ReadsTimersById) {
            listed.sort_by_key(Timer::id);
        }
        Ok(if self.gone() {
            Vec::new()
        } else {
            listed.iter().map(|timer| self.timer(timer)).collect()
        })
    }

    fn time(&self, time: DateTime<Utc>) -> DateTime<Utc> {
        if self.has(Fault::LosesTimes) {
            DateTime::UNIX_EPOCH
        } else {
            time
        }
    }

    pub(crate) async fn history(
        &self,
        process: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<HistoryRecord>, StoreError> {
        let (process, key) = (self.folded(process), self.folded(key));
        let mut history = self
            .inner
            .read_history(&process, &key, 0, usize::MAX)
            .await?;
        let overflows = self.has(Fault::OverflowsQueueNumbers) && after > i64::MAX.cast_unsigned();
        history.retain(|record| match self.fault {
            Fault::ReadsQueuesInclusive => record.number() >= after,
            _ => overflows || record.number() > after,
        });
        if self.has(Fault::ReversesHistories) {
            history.reverse();
        }
        if self.gone() {
            history.clear();
        }
        let notes = self.notes.get();
        let history = history.iter().map(|record| {
            let place = (process.clone(), key.clone(), record.number());
            let entry = notes.entries.get(&place).unwrap_or_else(|| record.entry());
            let time = self.time(record.recorded_at());
            HistoryRecord::new(record.number(), time, self.body(entry))
        });
        Ok(self.limited(history.collect(), Direction::Forward, limit))
    }

    pub(crate) async fn queue_of(
        &self,
        queue: &str,
        key: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        let mut waiting = self.queue(queue, after, usize::MAX).await?;
        let key = self.folded(key);
        if !self.has(Fault::IgnoresKeys) {
            waiting.retain(|queued| queued.message().key() == key);
        }
        Ok(self.limited(waiting, Direction::Forward, limit))
    }

    pub(crate) async fn handled(
        &self,
        consumer: &str,
        ids: &[Uuid],
    ) -> Result<Vec<InboxRecord>, StoreError> {
        let consumer = self.folded(consumer);
        let found = self.inner.load_inbox(&consumer, ids).await?;
        let record = |record: &InboxRecord| {
            let time = self.time(record.handled_at());
            InboxRecord::new(record.id(), self.body(record.outputs()), time)
        };
        Ok(match self.fault {
            _ if self.gone() => Vec::new(),
            Fault::LoadsAsOftenAsAsked => {
                let asked = ids
                    .iter()
                    .filter_map(|id| found.iter().find(|record| record.id() == *id));
                asked.cloned().collect()
            }
            _ => found.iter().map(record).collect(),
        })
    }

    pub(crate) async fn prune(
        &self,
        consumer: &str,
        older_than: Duration,
    ) -> Result<u64, StoreError> {
        match self.fault {
            Fault::PrunesNothing => return Ok(0),
            Fault::PrunesEverything => {
                // Until what was handled just now is old, too.
                let now = self.inner.due_timers("", 0).await?.now();
                while self.inner.due_timers("", 0).await?.now() <= now {
                    tokio::task::yield_now().await;
                }
                return self.inner.prune_inbox(consumer, Duration::ZERO).await;
            }
            _ => {}
        }
        let pruned = self.inner.prune_inbox(consumer, older_than).await?;
        Ok(match self.fault {
            Fault::CountsAThousandAtMost => pruned.min(1000),
            _ => pruned,
        })
    }
}

/// The same save, of an instance that has this revision.
pub(crate) fn with_revision(write: &ProcessWrite, revision: u64) -> ProcessWrite {
    let (process, key, body) = (write.process(), write.key(), write.body().clone());
    ProcessWrite::new(process, key, revision, write.status(), body)
        .with_history(write.first_entry(), write.history().to_vec())
}
