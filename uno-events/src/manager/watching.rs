//! Live feeds that share the reader of the manager's subscriptions.

use uno_core::EventSet;

use super::SubscriptionManager;
use crate::{TypedWatch, Watch, WatchError, WatchOptions};

impl SubscriptionManager {
    /// Opens a live feed of the log. It reads through the feed of this manager's subscriptions, whether they run or not, and
    /// goes on when the manager is stopped or dropped.
    ///
    /// # Errors
    /// As [`Watch::open`].
    ///
    /// # Panics
    /// Outside a runtime of tokio.
    pub async fn watch(&self, options: WatchOptions) -> Result<Watch, WatchError> {
        Watch::on(self.shared.feed.clone(), options).await
    }

    /// The same over the events of a set, decoded by this manager's decoder.
    ///
    /// # Errors
    /// As [`TypedWatch::open`].
    ///
    /// # Panics
    /// Outside a runtime of tokio.
    pub async fn watch_events<E: EventSet>(
        &self,
        options: WatchOptions,
    ) -> Result<TypedWatch<E>, WatchError> {
        let (feed, decoder) = (self.shared.feed.clone(), self.shared.decoder.clone());
        TypedWatch::on(feed, decoder, options).await
    }
}
