//! What can be waited for.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};
use uno_core::{Lane, ParkedKey, Position, ReadStream, Receipt, StoreError, SubscriptionName};

use super::{
    StopReason, SubscriptionManager, SubscriptionState, WaitError,
    entry::Entry,
    report::{Phase, Reported},
};
use crate::RetryPolicy;

/// How often the store is asked for what other processes do: from a hundredth of a second on, then less and less often.
const ASKING: RetryPolicy = RetryPolicy::new()
    .base(Duration::from_millis(10))
    .longest(Duration::from_millis(250));

impl SubscriptionManager {
    /// Waits until a subscription has handled, or passed over, everything up to what a receipt tells of, in every lane: what it wrote
    /// can then be read.
    ///
    /// Lanes that other processes run are judged by their checkpoints. Events that they pass over may be saved seconds later.
    ///
    /// # Errors
    /// [`Parked`](WaitError::Parked) when it came there, but an event of the receipt is parked;
    /// [`TimedOut`](WaitError::TimedOut), [`Stopped`](WaitError::Stopped), [`OtherLog`](WaitError::OtherLog),
    /// [`Unknown`](WaitError::Unknown), [`Store`](WaitError::Store).
    pub async fn wait_for(
        &self,
        name: &SubscriptionName,
        receipt: &Receipt,
        timeout: Duration,
    ) -> Result<(), WaitError> {
        let entry = self
            .entry(name)
            .map_err(|_| WaitError::Unknown(name.clone()))?;
        let Some(awaited) = receipt.position() else {
            return Ok(());
        };
        let deadline = Instant::now() + timeout;
        let coming = self.come_to(&entry, receipt, awaited);
        match timeout_at(deadline, coming).await {
            Ok(came) => came?,
            Err(_) => {
                return Err(WaitError::TimedOut {
                    subscription: name.clone(),
                    awaited,
                    reached: entry.report.read().position(),
                });
            }
        }
        match self.parked_of(&entry, receipt).await? {
            None => Ok(()),
            Some(parked) => Err(WaitError::Parked {
                subscription: name.clone(),
                parked: Box::new(parked),
            }),
        }
    }

    async fn come_to(
        &self,
        entry: &Entry,
        receipt: &Receipt,
        awaited: Position,
    ) -> Result<(), WaitError> {
        let other_log = |told: &Reported| told.epoch.is_some_and(|epoch| epoch != receipt.epoch());
        let there = |told: &Reported| told.is_whole() && told.position() >= awaited;
        let shared = |told: &Reported| told.count > 0 && !told.is_whole();
        let mut asked = 0;
        loop {
            let told = entry.report.when(|told| {
                other_log(told) || there(told) || told.stopped.is_some() || shared(told)
            });
            let told = told.await;
            let subscription = entry.spec.name.clone();
            if other_log(&told) {
                return Err(WaitError::OtherLog(subscription));
            }
            if there(&told) {
                return Ok(());
            }
            if told.stopped.is_some() {
                return Err(WaitError::Stopped {
                    subscription,
                    reached: told.position(),
                    why: why_stopped(&told.state()),
                });
            }
            // Others run some of the lanes, or all.
            if self.place_of(entry, &told).await? >= awaited {
                return Ok(());
            }
            asked += 1;
            sleep(ASKING.wait(asked)).await;
        }
    }

    /// How far all lanes have come, wherever they are run.
    async fn place_of(&self, entry: &Entry, told: &Reported) -> Result<Position, StoreError> {
        if told.is_whole() {
            return Ok(told.position());
        }
        let store = &self.shared.subscriptions;
        let lanes = store.list_lanes(&entry.spec.name).await?;
        let places = lanes.iter().map(|lane| {
            let saved = lane
                .checkpoint()
                .map_or(Position::START, |checkpoint| checkpoint.position());
            saved.max(told.position_of(lane.lane()).unwrap_or(saved))
        });
        Ok(places.min().unwrap_or(Position::START))
    }

    /// What is parked of the events that a receipt tells of.
    async fn parked_of(
        &self,
        entry: &Entry,
        receipt: &Receipt,
    ) -> Result<Option<ParkedKey>, StoreError> {
        let (store, name) = (&self.shared.subscriptions, &entry.spec.name);
        if store.list_parked(name, None, 1).await?.is_empty() {
            return Ok(None);
        }
        let filter = entry.spec.consumer.filter();
        for appended in receipt.streams() {
            let read = ReadStream::forward(appended.stream().clone())
                .from(appended.first())
                .to(appended.last())
                .limit(usize::MAX);
            for event in self.shared.store.read_stream(read).await? {
                if !filter.matches(&event) {
                    continue;
                }
                // One without a key can't be parked.
                let Some(key) = entry.spec.key(&event) else {
                    continue;
                };
                let found = store.parked_key(name, &key).await?;
                // An event of the key that came later may have been parked since.
                if let Some(parked) = found.filter(|parked| parked.first() <= event.position()) {
                    return Ok(Some(parked));
                }
            }
        }
        Ok(None)
    }

    /// Waits until every running subscription has come to the end of the log, which may move because of what they do, and has done
    /// what was asked for with parked keys: for tests, instead of sleeping.
    ///
    /// Lanes that other processes run are waited for as well. Subscriptions that are paused, were not started or were asked to stop are
    /// left out. One that retries is waited for, and while a store is away that may be for ever.
    ///
    /// # Errors
    /// [`Stopped`](WaitError::Stopped) when one has stopped because of a failure; [`Store`](WaitError::Store).
    pub async fn until_idle(&self) -> Result<(), WaitError> {
        loop {
            let head = self.shared.store.head().await?.position();
            for entry in self.all() {
                self.until_one_is_idle(&entry, head).await?;
            }
            if self.shared.store.head().await?.position() == head {
                return Ok(());
            }
        }
    }

    async fn until_one_is_idle(&self, entry: &Arc<Entry>, head: Position) -> Result<(), WaitError> {
        let out =
            |told: &Reported| told.stopped.is_some() || told.state() == SubscriptionState::Paused;
        let there = |told: &Reported| {
            told.is_whole() && told.all_in(&Phase::CaughtUp) && told.position() >= head
        };
        let shared = |told: &Reported| told.count > 0 && !told.is_whole();
        let mut asked = 0;
        loop {
            // Requests first: whoever carries one out is busy before it takes it off the store.
            let asking = self.is_asked_for_something(entry).await?;
            let told = entry
                .report
                .when(|told| out(told) || there(told) || shared(told))
                .await;
            if let Some((why, reached)) = told.stopped.clone().filter(|(why, _)| why.is_failure()) {
                let subscription = entry.spec.name.clone();
                return Err(WaitError::Stopped {
                    subscription,
                    reached,
                    why,
                });
            }
            if out(&told) {
                return Ok(());
            }
            if !asking {
                let idle_here = told.all_in(&Phase::CaughtUp);
                if there(&told) || (idle_here && self.place_of(entry, &told).await? >= head) {
                    return Ok(());
                }
            }
            asked += 1;
            sleep(ASKING.wait(asked)).await;
        }
    }

    async fn is_asked_for_something(&self, entry: &Entry) -> Result<bool, StoreError> {
        if entry.report.is_stopped() {
            return Ok(false);
        }
        let (store, name) = (&self.shared.subscriptions, &entry.spec.name);
        Ok(!store.list_requests(name, 1).await?.is_empty())
    }
}

impl Reported {
    /// How far a lane has come that is run here.
    pub(super) fn position_of(&self, lane: Lane) -> Option<Position> {
        let told = self.lanes.iter().find(|told| told.lane == lane);
        told.filter(|told| told.opened).map(|told| told.position)
    }
}

fn why_stopped(state: &SubscriptionState) -> StopReason {
    match state {
        SubscriptionState::Stopped { why, .. } => why.clone(),
        _ => StopReason::Requested,
    }
}
