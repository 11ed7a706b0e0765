//! What the manager tells, and what can be waited for.

use std::{sync::Arc, time::Duration};

use uno_core::{Position, ReadLog, Receipt, SubscriptionName};

use super::{
    StopReason, SubscriptionError, SubscriptionManager, SubscriptionState, SubscriptionStatus,
    WaitError, entry::Entry, report::Reported,
};
use crate::Group;

impl SubscriptionManager {
    /// Every subscription as it is now, by name. Answers also when the store does not: what only the store knows is then `None`.
    pub async fn status(&self) -> Vec<SubscriptionStatus> {
        self.status_of_these(self.all()).await
    }

    /// Every subscription of a group as it is now.
    ///
    /// # Errors
    /// [`UnknownGroup`](SubscriptionError::UnknownGroup).
    pub async fn status_of_group(
        &self,
        group: &Group,
    ) -> Result<Vec<SubscriptionStatus>, SubscriptionError> {
        Ok(self.status_of_these(self.in_group(group)?).await)
    }

    /// One subscription as it is now.
    ///
    /// # Errors
    /// [`Unknown`](SubscriptionError::Unknown).
    pub async fn status_of(
        &self,
        name: &SubscriptionName,
    ) -> Result<SubscriptionStatus, SubscriptionError> {
        let entry = self.entry(name)?;
        let head = self.shared.store.head().await.ok();
        Ok(self
            .status_at(&entry, head.map(|head| head.position()))
            .await)
    }

    /// Waits until a subscription has handled, or passed over, everything up to what a receipt tells of: what it wrote can
    /// then be read.
    ///
    /// # Errors
    /// [`TimedOut`](WaitError::TimedOut), [`Stopped`](WaitError::Stopped), [`OtherLog`](WaitError::OtherLog),
    /// [`Unknown`](WaitError::Unknown).
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
        let other_log = |told: &Reported| told.epoch.is_some_and(|epoch| epoch != receipt.epoch());
        let there = |told: &Reported| told.epoch.is_some() && told.position >= awaited;
        let waiting = entry
            .report
            .when(|told| other_log(told) || there(told) || told.state.is_stopped());
        let subscription = name.clone();
        match tokio::time::timeout(timeout, waiting).await {
            Ok(told) if other_log(&told) => Err(WaitError::OtherLog(subscription)),
            Ok(told) if there(&told) => Ok(()),
            Ok(told) => Err(WaitError::Stopped {
                subscription,
                reached: told.position,
                why: why_stopped(&told.state),
            }),
            Err(_) => Err(WaitError::TimedOut {
                subscription,
                awaited,
                reached: entry.report.read().position,
            }),
        }
    }

    /// Waits until every running subscription has come to the end of the log, which may move because of what they do: for
    /// tests, instead of sleeping.
    ///
    /// Subscriptions that are paused, were not started or were asked to stop are left out. One that retries is waited for,
    /// and while a store is away that may be for ever.
    ///
    /// # Errors
    /// [`Stopped`](WaitError::Stopped) when one has stopped because of a failure; [`Store`](WaitError::Store).
    pub async fn until_idle(&self) -> Result<(), WaitError> {
        loop {
            let head = self.shared.store.head().await?.position();
            for entry in self.all() {
                let out = |told: &Reported| {
                    told.state.is_stopped() || told.state == SubscriptionState::Paused
                };
                let there = |told: &Reported| {
                    told.state == SubscriptionState::CaughtUp
                        && told.epoch.is_some()
                        && told.position >= head
                };
                let told = entry.report.when(|told| out(told) || there(told)).await;
                if let Some(why) = told.state.failure() {
                    let (subscription, reached) = (entry.spec.name.clone(), told.position);
                    return Err(WaitError::Stopped {
                        subscription,
                        reached,
                        why: why.clone(),
                    });
                }
            }
            if self.shared.store.head().await?.position() == head {
                return Ok(());
            }
        }
    }

    async fn status_of_these(&self, entries: Vec<Arc<Entry>>) -> Vec<SubscriptionStatus> {
        let head = self
            .shared
            .store
            .head()
            .await
            .ok()
            .map(|head| head.position());
        let mut all = Vec::with_capacity(entries.len());
        for entry in entries {
            all.push(self.status_at(&entry, head).await);
        }
        all
    }

    async fn status_at(&self, entry: &Entry, head: Option<Position>) -> SubscriptionStatus {
        let told = entry.report.read();
        let mut saved = told.checkpoint;
        let mut position = told.position;
        if told.epoch.is_none() {
            saved = self
                .shared
                .checkpoints
                .load_checkpoint(&entry.spec.name, uno_core::Lane::FIRST)
                .await
                .ok()
                .flatten();
            position = saved.map_or(Position::START, |saved| saved.position());
        }
        let checkpoint = saved.map(|checkpoint| checkpoint.position());
        let lag = match head {
            Some(head) => self.lag(position, head).await,
            None => None,
        };
        let spec = &entry.spec;
        SubscriptionStatus {
            name: spec.name.clone(),
            group: spec.group.clone(),
            replay: spec.replay,
            state: told.state,
            checkpoint,
            position,
            head,
            lag,
            counts: told.counts,
            last_error: told.last_error,
        }
    }

    /// For how long the first event after `position` has been in the store.
    async fn lag(&self, position: Position, head: Position) -> Option<Duration> {
        if position >= head {
            return Some(Duration::ZERO);
        }
        let oldest = match self.shared.feed.first_after(position) {
            Some(event) => event,
            None => {
                let page = self
                    .shared
                    .store
                    .read_log(ReadLog::after(position).limit(1))
                    .await
                    .ok()?;
                page.into_events().pop()?
            }
        };
        // The store's clock may be ahead of ours.
        Some(
            (self.shared.clock.now() - oldest.recorded_at())
                .to_std()
                .unwrap_or(Duration::ZERO),
        )
    }
}

fn why_stopped(state: &SubscriptionState) -> StopReason {
    match state {
        SubscriptionState::Stopped { why, .. } => why.clone(),
        _ => StopReason::Requested,
    }
}
