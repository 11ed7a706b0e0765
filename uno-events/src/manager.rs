//! [`SubscriptionManager`]: runs durable subscriptions.

mod builder;
mod entry;
mod error;
mod report;
mod runner;
mod status;
mod wait;
mod watching;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use uno_core::{
    Checkpoint, CheckpointStore, CheckpointWrite, Clock, Decoder, EventStore, Position, ReadLog,
    SubscriptionName,
};

use self::entry::Entry;
use crate::{Group, LogFeed, Replay, Subscription};

pub use self::{
    builder::SubscriptionManagerBuilder,
    error::{SubscriptionError, WaitError},
    status::{StopReason, SubscriptionCounts, SubscriptionState, SubscriptionStatus},
};

/// Runs durable subscriptions: each reads the log from its checkpoint on, in its own task, and feeds its consumer.
///
/// One that fails retries, then stops visibly, and the others go on: an event is never skipped. See
/// [`status`](Self::status).
///
/// Dropping the manager ends its tasks at their next await, as a crash would: nothing is lost, and events whose checkpoint
/// was not saved come again. [`stop_all`](Self::stop_all) first lets them finish the batch in hand.
#[derive(Debug)]
pub struct SubscriptionManager {
    shared: Arc<Shared>,
    /// Never held across an await, so a lock of the standard library's.
    entries: Mutex<BTreeMap<SubscriptionName, Arc<Entry>>>,
}

/// What all subscriptions of a manager share.
#[derive(Debug)]
struct Shared {
    store: Arc<dyn EventStore>,
    checkpoints: Arc<dyn CheckpointStore>,
    feed: LogFeed,
    decoder: Decoder,
    clock: Arc<dyn Clock>,
    settings: Settings,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    poll_interval: Duration,
    /// After how many positions that were passed over the checkpoint is saved.
    save_every: u64,
    /// How long something may stay unsaved at the end of the log.
    save_after: Duration,
}

impl SubscriptionManager {
    /// A manager of subscriptions to the log of `store`, with checkpoints in `checkpoints`, and settings as they are unless said.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, checkpoints: Arc<dyn CheckpointStore>) -> Self {
        Self::builder(store, checkpoints).build()
    }

    /// Starts a manager with settings of its own.
    #[must_use]
    pub fn builder(
        store: Arc<dyn EventStore>,
        checkpoints: Arc<dyn CheckpointStore>,
    ) -> SubscriptionManagerBuilder {
        SubscriptionManagerBuilder::new(store, checkpoints)
    }

    /// Adds a subscription, which does nothing until it is started.
    ///
    /// # Errors
    /// [`Duplicate`](SubscriptionError::Duplicate) when the name is taken.
    pub fn subscribe(&self, subscription: Subscription) -> Result<(), SubscriptionError> {
        let mut entries = self.entries();
        if entries.contains_key(subscription.name()) {
            return Err(SubscriptionError::Duplicate(subscription.name().clone()));
        }
        let spec = subscription.prepare(&self.shared.decoder, &self.shared.checkpoints);
        entries.insert(spec.name.clone(), Arc::new(Entry::new(spec)));
        Ok(())
    }

    /// Stops a subscription as [`stop`](Self::stop) does and removes it from this manager. Its checkpoint stays in the store.
    ///
    /// # Errors
    /// [`Unknown`](SubscriptionError::Unknown) when there is none of that name.
    pub async fn unsubscribe(&self, name: &SubscriptionName) -> Result<(), SubscriptionError> {
        let entry = self.entry(name)?;
        let _changing = entry.changing.lock().await;
        entry.remove().await;
        self.entries().remove(name);
        Ok(())
    }

    /// Starts every subscription that is not running.
    ///
    /// When it returns, each has its place in the log: a live-only one gets every event that is appended from then on.
    ///
    /// # Errors
    /// When the store can't be used, so that one that starts at the end of the log for the first time can't save where that is.
    /// Then none was started by this call.
    pub async fn start_all(&self) -> Result<(), SubscriptionError> {
        self.start_these(self.all()).await
    }

    /// Starts every subscription of a group that is not running.
    ///
    /// # Errors
    /// [`UnknownGroup`](SubscriptionError::UnknownGroup), and as [`start_all`](Self::start_all).
    pub async fn start_group(&self, group: &Group) -> Result<(), SubscriptionError> {
        self.start_these(self.in_group(group)?).await
    }

    /// Starts one subscription, if it is not running. One that has stopped because of a failure tries again.
    ///
    /// # Errors
    /// [`Unknown`](SubscriptionError::Unknown), and as [`start_all`](Self::start_all).
    pub async fn start(&self, name: &SubscriptionName) -> Result<(), SubscriptionError> {
        self.start_these(vec![self.entry(name)?]).await
    }

    /// Stops every subscription: each finishes the batch in hand and saves how far it has come. Returns when all have.
    ///
    /// Dropping the future does not call the stop off.
    pub async fn stop_all(&self) {
        stop_these(&self.all()).await;
    }

    /// Stops every subscription of a group, as [`stop_all`](Self::stop_all) does.
    ///
    /// # Errors
    /// [`UnknownGroup`](SubscriptionError::UnknownGroup).
    pub async fn stop_group(&self, group: &Group) -> Result<(), SubscriptionError> {
        stop_these(&self.in_group(group)?).await;
        Ok(())
    }

    /// Stops one subscription, as [`stop_all`](Self::stop_all) does.
    ///
    /// # Errors
    /// [`Unknown`](SubscriptionError::Unknown).
    pub async fn stop(&self, name: &SubscriptionName) -> Result<(), SubscriptionError> {
        stop_these(&[self.entry(name)?]).await;
        Ok(())
    }

    /// Pauses a running subscription. Returns when the batch in hand is done and what was passed over is saved.
    ///
    /// # Errors
    /// [`Unknown`](SubscriptionError::Unknown); [`NotRunning`](SubscriptionError::NotRunning) when it does not run, or stops meanwhile.
    pub async fn pause(&self, name: &SubscriptionName) -> Result<(), SubscriptionError> {
        let entry = self.entry(name)?;
        let _changing = entry.changing.lock().await;
        if entry.report.is_stopped() {
            return Err(SubscriptionError::NotRunning(name.clone()));
        }
        entry.paused.send_replace(true);
        let told = entry
            .report
            .when(|told| told.state == SubscriptionState::Paused || told.state.is_stopped())
            .await;
        if told.state.is_stopped() {
            Err(SubscriptionError::NotRunning(name.clone()))
        } else {
            Ok(())
        }
    }

    /// Lets a paused subscription go on. Does nothing to one that is not paused.
    ///
    /// # Errors
    /// [`Unknown`](SubscriptionError::Unknown); [`NotRunning`](SubscriptionError::NotRunning).
    pub async fn resume(&self, name: &SubscriptionName) -> Result<(), SubscriptionError> {
        let entry = self.entry(name)?;
        let _changing = entry.changing.lock().await;
        if entry.report.is_stopped() {
            return Err(SubscriptionError::NotRunning(name.clone()));
        }
        entry.paused.send_replace(false);
        entry
            .report
            .when(|told| told.state != SubscriptionState::Paused)
            .await;
        Ok(())
    }

    /// Moves the checkpoint of a replay-safe subscription: it goes on after `to`. [`Position::START`] replays everything.
    ///
    /// A running one is stopped for it and started again. A consumer that keeps a read model must have it cleared by
    /// its owner. Moving ahead passes over events for good; that is the one way to do so, and it is never done unasked.
    ///
    /// # Errors
    /// [`LiveOnly`](SubscriptionError::LiveOnly), [`Unknown`](SubscriptionError::Unknown);
    /// [`Checkpoint`](SubscriptionError::Checkpoint) when another process moved it at the same time;
    /// [`Store`](SubscriptionError::Store).
    pub async fn reset(
        &self,
        name: &SubscriptionName,
        to: Position,
    ) -> Result<(), SubscriptionError> {
        let entry = self.entry(name)?;
        if entry.spec.replay == Replay::LiveOnly {
            return Err(SubscriptionError::LiveOnly(name.clone()));
        }
        let _changing = entry.changing.lock().await;
        let was_running = !entry.report.is_stopped();
        entry.stop().await;
        let moved = self.move_checkpoint(name, to).await;
        if was_running {
            entry.start(&self.shared);
        }
        let checkpoint = moved?;
        if !was_running {
            entry.report.opened(checkpoint.epoch(), Some(checkpoint), 0);
        }
        Ok(())
    }

    async fn move_checkpoint(
        &self,
        name: &SubscriptionName,
        to: Position,
    ) -> Result<Checkpoint, SubscriptionError> {
        let (store, checkpoints) = (&self.shared.store, &self.shared.checkpoints);
        let epoch = store.head().await?.epoch();
        // A checkpoint is only ever the place of a committed event, so take the last one up to there.
        let page = store.read_log(ReadLog::before(to.next()).limit(1)).await?;
        let checkpoint = match page.events().first() {
            Some(event) => Checkpoint::after(epoch, event.position(), event.id()),
            None => Checkpoint::start(epoch),
        };
        let expected = checkpoints
            .load_checkpoint(name)
            .await?
            .map(|checkpoint| checkpoint.position());
        let write = CheckpointWrite::new(name.clone(), expected, checkpoint);
        checkpoints.save_checkpoint(write).await.map_err(|source| {
            SubscriptionError::Checkpoint {
                subscription: name.clone(),
                source,
            }
        })?;
        Ok(checkpoint)
    }

    async fn start_these(&self, entries: Vec<Arc<Entry>>) -> Result<(), SubscriptionError> {
        for entry in &entries {
            if entry.spec.from_head && entry.report.is_stopped() {
                let (store, checkpoints) = (&*self.shared.store, &*self.shared.checkpoints);
                runner::establish(store, checkpoints, &entry.spec.name).await?;
            }
        }
        for entry in &entries {
            let _changing = entry.changing.lock().await;
            entry.start(&self.shared);
        }
        Ok(())
    }

    fn all(&self) -> Vec<Arc<Entry>> {
        self.entries().values().cloned().collect()
    }

    fn in_group(&self, group: &Group) -> Result<Vec<Arc<Entry>>, SubscriptionError> {
        let members: Vec<_> = self
            .all()
            .into_iter()
            .filter(|entry| entry.spec.group == *group)
            .collect();
        if members.is_empty() {
            Err(SubscriptionError::UnknownGroup(group.clone()))
        } else {
            Ok(members)
        }
    }

    fn entry(&self, name: &SubscriptionName) -> Result<Arc<Entry>, SubscriptionError> {
        self.entries()
            .get(name)
            .cloned()
            .ok_or_else(|| SubscriptionError::Unknown(name.clone()))
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<SubscriptionName, Arc<Entry>>> {
        // Every change of the map is one call, so there is nothing half done behind a poisoned lock.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SubscriptionManager {
    fn drop(&mut self) {
        for entry in self.all() {
            entry.abort();
        }
    }
}

async fn stop_these(entries: &[Arc<Entry>]) {
    // All are told first, so that they finish side by side.
    for entry in entries {
        entry.tell_to_stop();
    }
    for entry in entries {
        let _changing = entry.changing.lock().await;
        entry.stop().await;
    }
}
