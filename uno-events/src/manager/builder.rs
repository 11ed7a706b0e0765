//! [`SubscriptionManagerBuilder`]: the settings of a manager.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use uno_core::{Clock, Decoder, EventStore, LeaseOwner, SubscriptionStore, SystemClock};

use super::{Settings, Shared, SubscriptionManager, notice::NoticeBoard};
use crate::LogFeed;

/// Settings of a [`SubscriptionManager`].
#[derive(Debug)]
pub struct SubscriptionManagerBuilder {
    store: Arc<dyn EventStore>,
    subscriptions: Arc<dyn SubscriptionStore>,
    decoder: Decoder,
    clock: Arc<dyn Clock>,
    feed_size: usize,
    instance: Option<Arc<str>>,
    settings: Settings,
}

impl SubscriptionManagerBuilder {
    pub(super) fn new(
        store: Arc<dyn EventStore>,
        subscriptions: Arc<dyn SubscriptionStore>,
    ) -> Self {
        Self {
            store,
            subscriptions,
            instance: None,
            decoder: Decoder::new(),
            clock: Arc::new(SystemClock::new()),
            feed_size: LogFeed::DEFAULT_CAPACITY,
            settings: Settings {
                poll_interval: Duration::from_millis(500),
                save_every: 1_000,
                save_after: Duration::from_secs(5),
                lease: Duration::from_secs(5),
                fell_behind_at: 10_000,
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

    /// For how long lanes are on lease: when this process dies, others take over after so long. It is renewed a third of that apart.
    /// Five seconds unless it is said.
    ///
    /// Each subscription renews its own, so a short lease makes work for the store; and a process that was asleep for longer than its lease, or could
    /// not reach the store, finds its lanes taken.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease.max(Duration::from_millis(10));
        self
    }

    /// The name of this process: what others are told of who holds a lane. A later run that bears the same name takes the lanes of this
    /// one over at once, without waiting for the lease to run out; so no two processes that live at the same time may
    /// have one name, or the later one takes the lanes from the other. Such as the name of a pod of a stateful set.
    ///
    /// Unless it is said, the number of the process, which is taken over from nobody.
    #[must_use]
    pub fn instance(mut self, name: impl Into<Arc<str>>) -> Self {
        self.instance = Some(name.into());
        self
    }

    /// How many positions behind the newest event a lane is when [`Happened::FellBehind`](super::Happened::FellBehind) is told of it.
    /// 10,000 unless it is said.
    #[must_use]
    pub fn fell_behind_at(mut self, positions: u64) -> Self {
        self.settings.fell_behind_at = positions.max(1);
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
        let takes_over = self.instance.is_some();
        let name = self
            .instance
            .unwrap_or_else(|| format!("process {}", std::process::id()).into());
        SubscriptionManager {
            shared: Arc::new(Shared {
                feed: LogFeed::new(Arc::clone(&self.store), self.feed_size, patience),
                store: self.store,
                subscriptions: self.subscriptions,
                owner: LeaseOwner::new(name),
                takes_over,
                board: NoticeBoard::new(),
                decoder: self.decoder,
                clock: self.clock,
                settings: self.settings,
            }),
            entries: Mutex::new(BTreeMap::new()),
        }
    }
}
