//! Moving the checkpoint of a subscription by hand.

use chrono::{DateTime, Utc};
use uno_core::{Checkpoint, Position, ReadLog, StoreError, SubscriptionName};

use super::{SubscriptionError, SubscriptionManager};
use crate::{Replay, range_replay::last_before};

impl SubscriptionManager {
    /// Moves all lanes of a replay-safe subscription: it goes on after `to`. [`Position::START`] replays everything.
    ///
    /// If it runs here, it is stopped for it and started again; another process that runs it goes on from there with its next claim,
    /// and until then has nothing committed. Events parked after `to` are no longer parked, since they come again. A
    /// consumer that keeps a read model must have it cleared by its owner. Moving ahead passes over events for good; it is never
    /// done unasked.
    ///
    /// # Errors
    /// [`LiveOnly`](SubscriptionError::LiveOnly), [`Unknown`](SubscriptionError::Unknown), [`Store`](SubscriptionError::Store).
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
        let moved = self.move_lanes(name, to).await;
        if was_running {
            entry.start(&self.shared, None);
        } else if moved.is_ok() {
            entry.report.forget();
        }
        Ok(moved?)
    }

    /// Moves all lanes of a replay-safe subscription to a time, as [`reset`](Self::reset) does: the first event that comes is the first one
    /// that was recorded at or after it.
    ///
    /// # Errors
    /// As [`reset`](Self::reset).
    pub async fn reset_to_time(
        &self,
        name: &SubscriptionName,
        time: DateTime<Utc>,
    ) -> Result<(), SubscriptionError> {
        let to = last_before(&*self.shared.store, time).await?;
        self.reset(name, to).await
    }

    async fn move_lanes(&self, name: &SubscriptionName, to: Position) -> Result<(), StoreError> {
        let store = &*self.shared.store;
        let epoch = store.head().await?.epoch();
        // A checkpoint is only ever the place of a committed event, so take the last one up to there.
        let page = store.read_log(ReadLog::before(to.next()).limit(1)).await?;
        let checkpoint = match page.events().first() {
            Some(event) => Checkpoint::after(epoch, event.position(), event.id()),
            None => Checkpoint::start(epoch),
        };
        let subscriptions = &self.shared.subscriptions;
        subscriptions.reset_lanes(name, checkpoint).await
    }
}
