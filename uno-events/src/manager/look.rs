//! What the manager tells of its subscriptions.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use uno_core::{LaneRecord, Position, ReadLog, SubscriptionName};

use super::{
    LaneStatus, SubscriptionError, SubscriptionManager, SubscriptionState, SubscriptionStatus,
    entry::Entry, report::Reported,
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
        let state = told.state_at(Instant::now());
        let spec = &entry.spec;
        let store = &self.shared.subscriptions;
        let records = store.list_lanes(&spec.name).await;
        // Without the store's word only those lanes are known that are run here, and not taken by others meanwhile.
        let runs = !matches!(
            state,
            SubscriptionState::Stopped { .. } | SubscriptionState::Unheld { .. }
        );
        let is_known = records.is_ok() || (runs && told.is_whole());
        let records = records.unwrap_or_default();
        let lanes = self.lanes(&told, &records);
        let position = match lanes.iter().map(LaneStatus::position).min() {
            Some(position) => position,
            None => told.position(),
        };
        let saved = lanes.iter().map(LaneStatus::checkpoint).min();
        let (lag_events, lag) = match head.filter(|_| is_known) {
            Some(head) => (
                Some(head.get().saturating_sub(position.get())),
                self.lag(position, head).await,
            ),
            None => (None, None),
        };
        SubscriptionStatus {
            name: spec.name.clone(),
            group: spec.group.clone(),
            replay: spec.replay,
            state,
            checkpoint: saved.flatten(),
            position,
            head,
            lag_events,
            lag,
            parked: store.count_parked(&spec.name).await.ok(),
            lanes,
            counts: told.counts,
            last_error: told.last_error,
        }
    }

    /// The lanes as the store knows them, and as those that are run here know better.
    fn lanes(&self, told: &Reported, records: &[LaneRecord]) -> Vec<LaneStatus> {
        if records.is_empty() {
            let here = told.lanes.iter().map(|lane| LaneStatus {
                lane: lane.lane,
                holder: Some(self.shared.owner.name().into()),
                here: told.stopped.is_none(),
                checkpoint: lane.checkpoint.map(|checkpoint| checkpoint.position()),
                position: lane.position,
            });
            return here.collect();
        }
        let all = records.iter().map(|record| {
            let holder = record.holder();
            let here = told.stopped.is_none()
                && holder.map(|holder| holder.id()) == Some(self.shared.owner.id());
            let checkpoint = record.checkpoint().map(|checkpoint| checkpoint.position());
            let saved = checkpoint.unwrap_or(Position::START);
            let position = told.position_of(record.lane()).filter(|_| here);
            LaneStatus {
                lane: record.lane(),
                holder: holder.map(|holder| holder.name().into()),
                here,
                checkpoint,
                position: position.unwrap_or(saved).max(saved),
            }
        });
        all.collect()
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
