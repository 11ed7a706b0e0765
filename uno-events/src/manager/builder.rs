//! [`SubscriptionManagerBuilder`]: the settings of a manager.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use uno_core::{CheckpointStore, Clock, Decoder, EventStore, SystemClock};

use super::{Settings, Shared, SubscriptionManager};
use crate::LogFeed;

/// Settings of a [`SubscriptionManager`].
#[derive(Debug)]
pub struct SubscriptionManagerBuilder {
    store: Arc<dyn EventStore>,
    checkpoints: Arc<dyn CheckpointStore>,
    decoder: Decoder,
    clock: Arc<dyn Clock>,
    feed_size: usize,
    settings: Settings,
}

impl SubscriptionManagerBuilder {
    pub(super) fn new(store: Arc<dyn EventStore>, checkpoints: Arc<dyn CheckpointStore>) -> Self {
        Self {
            store,
            checkpoints,
            decoder: Decoder::new(),
            clock: Arc::new(SystemClock::new()),
            feed_size: LogFeed::DEFAULT_CAPACITY,
            settings: Settings {
                poll_interval: Duration::from_millis(500),
                save_every: 1_000,
                save_after: Duration::from_secs(5),
            },
        }
    }

    /// The decoder of events for typed handlers.
    #[must_use]
    pub fn decoder(mut self, decoder: Decoder) -> Self {
        self.decoder = decoder;
        self
    }

    /// The clock that lag is judged by.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// After how long the store is asked when no hint came: how late events of other processes may be noticed. Half a
    /// second unless it is said.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.settings.poll_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// How many of the newest events are kept for subscriptions that follow the end of the log: the bound of the memory
    /// that they share. 10,000 unless it is said.
    #[must_use]
    pub fn feed_size(mut self, events: usize) -> Self {
        self.feed_size = events;
        self
    }

    /// After how many positions that were passed over, because no event there fits the filter, the checkpoint is saved.
    /// 1,000 unless it is said.
    #[must_use]
    pub fn save_every(mut self, positions: u64) -> Self {
        self.settings.save_every = positions.max(1);
        self
    }

    /// After how long at the end of the log what was passed over is saved. Five seconds unless it is said.
    #[must_use]
    pub fn save_after(mut self, wait: Duration) -> Self {
        self.settings.save_after = wait;
        self
    }

    /// The manager.
    #[must_use]
    pub fn build(self) -> SubscriptionManager {
        let patience = self.settings.poll_interval / 2;
        SubscriptionManager {
            shared: Arc::new(Shared {
                feed: LogFeed::new(Arc::clone(&self.store), self.feed_size, patience),
                store: self.store,
                checkpoints: self.checkpoints,
                decoder: self.decoder,
                clock: self.clock,
                settings: self.settings,
            }),
            entries: Mutex::new(BTreeMap::new()),
        }
    }
}
