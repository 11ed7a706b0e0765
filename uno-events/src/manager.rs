//! [`SubscriptionManager`]: runs durable subscriptions.

mod builder;
mod coordinator;
mod entry;
mod error;
mod look;
mod notice;
mod parked;
mod report;
mod reset;
mod runner;
mod status;
mod wait;
mod watching;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::OwnedMutexGuard;
use uno_core::{
    Clock, Decoder, EventStore, LaneRelease, LeaseOwner, StoreError, SubscriptionName,
    SubscriptionStore,
};

use self::{
    coordinator::{Claimed, establish},
    entry::Entry,
    notice::NoticeBoard,
};
use crate::{Group, LogFeed, Subscription};

pub use self::{
    builder::SubscriptionManagerBuilder,
    error::{SubscriptionError, WaitError},
    notice::{Happened, Notice, Notices},
    status::{LaneStatus, StopReason, SubscriptionCounts, SubscriptionState, SubscriptionStatus},
};

/// Runs durable subscriptions: each reads the log from its checkpoint on, and feeds its consumer.
///
/// Processes that run a subscription of the same name share it. It is divided into [lanes](Subscription::lanes), one unless it is said,
/// and each lane is on lease to one process; when that dies, another one takes over once the lease has run out, or at once if it bears the
/// same [name](SubscriptionManagerBuilder::instance). One that has no lane stands by.
///
/// An event that can't be handled is retried, then [parked](Self::parked) with its key, and everything else goes on: an event is never
/// skipped. What can't go on stops visibly. See [`status`](Self::status).
///
/// Dropping the manager ends its tasks at their next await, as a crash would, and gives its lanes back if it can: nothing is lost, and
/// events whose checkpoint was not saved come again. [`stop_all`](Self::stop_all) first lets them finish the batch in hand.
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
    subscriptions: Arc<dyn SubscriptionStore>,
    /// Who this is, as it holds lanes.
    owner: LeaseOwner,
    /// Whether the lanes of an earlier run are taken over at once.
    takes_over: bool,
    board: NoticeBoard,
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
    lease: Duration,
    /// How many positions behind is far behind.
    fell_behind_at: u64,
}

impl SubscriptionManager {
    /// A manager of subscriptions to the log of `store`, with checkpoints, leases and what is parked in `subscriptions`, which is the same
    /// store in most cases, and settings as they are unless said.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, subscriptions: Arc<dyn SubscriptionStore>) -> Self {
        Self::builder(store, subscriptions).build()
    }

    /// Starts a manager with settings of its own.
    #[must_use]
    pub fn builder(
        store: Arc<dyn EventStore>,
        subscriptions: Arc<dyn SubscriptionStore>,
    ) -> SubscriptionManagerBuilder {
        SubscriptionManagerBuilder::new(store, subscriptions)
    }

    /// Adds a subscription, which does nothing until it is started.
    ///
    /// # Errors
    /// [`Duplicate`](SubscriptionError::Duplicate) when the name is taken; [`Events`](SubscriptionError::Events) when old versions of an
    /// event that its handler is for can't be read.
    pub fn subscribe(&self, subscription: Subscription) -> Result<(), SubscriptionError> {
        let mut entries = self.entries();
        if entries.contains_key(subscription.name()) {
            return Err(SubscriptionError::Duplicate(subscription.name().clone()));
        }
        let spec = subscription.prepare(&self.shared.decoder, &self.shared.subscriptions)?;
        let (name, board) = (spec.name.clone(), self.shared.board.clone());
        entries.insert(name, Arc::new(Entry::new(spec, board)));
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
        entry.report.paused(true);
        let told = entry
            .report
            .when(|told| told.state() == SubscriptionState::Paused || told.stopped.is_some())
            .await;
        if told.stopped.is_some() {
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
        entry.report.paused(false);
        entry
            .report
            .when(|told| told.state() != SubscriptionState::Paused)
            .await;
        Ok(())
    }

    async fn start_these(&self, entries: Vec<Arc<Entry>>) -> Result<(), SubscriptionError> {
        let mut starting = Vec::with_capacity(entries.len());
        for entry in entries {
            // Held until it has started, so that nothing comes between the claim of its lanes and that.
            let changing = entry.changing.clone().lock_owned().await;
            let claimed = match self.establish(&entry).await {
                Ok(claimed) => claimed,
                Err(error) => {
                    self.give_back(&starting).await;
                    return Err(error.into());
                }
            };
            starting.push((entry, claimed, changing));
        }
        for (entry, claimed, _changing) in starting {
            entry.start(&self.shared, claimed);
        }
        Ok(())
    }

    /// Gives a subscription that starts at the end of the log its place, unless it runs.
    async fn establish(&self, entry: &Entry) -> Result<Option<Claimed>, StoreError> {
        if !entry.spec.from_head || !entry.can_start() {
            return Ok(None);
        }
        establish(&self.shared, &entry.spec).await.map(Some)
    }

    /// Gives back what was claimed for subscriptions that are not started after all.
    async fn give_back(&self, claimed: &[(Arc<Entry>, Option<Claimed>, OwnedMutexGuard<()>)]) {
        for (entry, claimed, _) in claimed {
            if claimed.is_some() {
                let name = entry.spec.name.clone();
                let release = LaneRelease::leaving(name, self.shared.owner.clone());
                // When it fails, the lease runs out.
                let _ = self.shared.subscriptions.release_lanes(release).await;
            }
        }
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
        let running = self.all().into_iter().filter(|entry| entry.abort());
        let names: Vec<_> = running.map(|entry| entry.spec.name.clone()).collect();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        // So that the next one need not wait for the lease to run out. A task may be within its last step meanwhile: what it commits
        // then is refused.
        let (store, owner) = (
            Arc::clone(&self.shared.subscriptions),
            self.shared.owner.clone(),
        );
        if !names.is_empty() {
            runtime.spawn(async move {
                for name in names {
                    let _ = store
                        .release_lanes(LaneRelease::leaving(name, owner.clone()))
                        .await;
                }
            });
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
