//! [`WatchOptions`]: where a live feed begins, what it gives, and how.

use std::time::Duration;

use uno_core::{Checkpoint, Decoder, EventFilter, EventSet, Position, RegistrationError};

use crate::RetryPolicy;

/// Where a live feed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchFrom {
    /// With the first event of the log.
    Start,
    /// At the end of the log as it is when the feed is opened.
    Head,
    /// After this position, which must not be beyond the end of the log.
    After(Position),
    /// After this place, which must be in the log: same epoch, same event.
    Checkpoint(Checkpoint),
}

/// Settings of a [`Watch`](super::Watch).
///
/// ```
/// use uno_core::{Category, EventFilter};
/// use uno_events::WatchOptions;
///
/// let orders = EventFilter::all().categories([Category::new("order")?]);
/// let options = WatchOptions::from_head().filter(orders).fell_behind_at(1_000);
/// # let _ = options;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct WatchOptions {
    pub(super) from: WatchFrom,
    pub(super) filter: EventFilter,
    pub(super) page: usize,
    pub(super) fell_behind_at: Option<u64>,
    pub(super) poll: Option<Duration>,
    pub(super) retry: RetryPolicy,
    pub(super) outages: bool,
}

impl WatchOptions {
    /// How many events are read at a time, and so held at most, unless it is said.
    pub const PAGE: usize = 500;

    /// Every event of the log from here on.
    #[must_use]
    pub fn from(place: WatchFrom) -> Self {
        Self {
            from: place,
            filter: EventFilter::all(),
            page: Self::PAGE,
            fell_behind_at: None,
            poll: None,
            retry: RetryPolicy::new(),
            outages: false,
        }
    }

    /// Every event of the log.
    #[must_use]
    pub fn from_start() -> Self {
        Self::from(WatchFrom::Start)
    }

    /// Every event that is appended once the feed is open.
    #[must_use]
    pub fn from_head() -> Self {
        Self::from(WatchFrom::Head)
    }

    /// Every event after a position.
    #[must_use]
    pub fn after(position: Position) -> Self {
        Self::from(WatchFrom::After(position))
    }

    /// Every event after a place, such as [`Watch::checkpoint`](super::Watch::checkpoint) told.
    #[must_use]
    pub fn after_checkpoint(checkpoint: Checkpoint) -> Self {
        Self::from(WatchFrom::Checkpoint(checkpoint))
    }

    /// Only these events.
    #[must_use]
    pub fn filter(mut self, filter: EventFilter) -> Self {
        self.filter = filter;
        self
    }

    /// At most this many events are read at a time, and so held; at least one.
    #[must_use]
    pub fn page_size(mut self, events: usize) -> Self {
        self.page = events.max(1);
        self
    }

    /// How many positions behind the end of the log a feed that had caught up must be to be told of it. As many as its
    /// [`LogFeed`](crate::LogFeed) keeps events unless it is said, since from there on it must read for itself.
    #[must_use]
    pub fn fell_behind_at(mut self, positions: u64) -> Self {
        self.fell_behind_at = Some(positions);
        self
    }

    /// After how long the store is asked when no hint came. As long as the manager's subscriptions wait, or half a second, unless it is said.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll = Some(interval.max(Duration::from_millis(1)));
        self
    }

    /// The waits between attempts to read a store that fails, and how many retries there are when waiting does not help. (A store
    /// that is away is asked for as long as it takes.)
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Each failed attempt to read is an item, [`Outage`](super::WatchError::Outage), and not waited out in silence.
    #[must_use]
    pub fn report_outages(mut self) -> Self {
        self.outages = true;
        self
    }

    /// Only what is read as events of the set, by the names that it is stored under.
    pub(super) fn events_of<E: EventSet>(
        mut self,
        decoder: &Decoder,
    ) -> Result<Self, RegistrationError> {
        decoder.check::<E>()?;
        self.filter = self.filter.names(decoder.stored_names::<E>());
        Ok(self)
    }

    pub(super) fn poll(&self) -> Duration {
        self.poll.unwrap_or(Duration::from_millis(500))
    }
}
