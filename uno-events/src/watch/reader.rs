//! [`Reader`]: reads what comes next in the log, however long that takes.

use std::{sync::Arc, time::Duration};

use uno_core::{Checkpoint, EventFilter, Position, RecordedEvent, StoreChange, StoreError};

use super::{WatchError, WatchOptions};
use crate::{LogFeed, RetryPolicy, telemetry};

/// Where a live feed is in the log, and how it goes on.
pub(super) struct Reader {
    feed: LogFeed,
    filter: EventFilter,
    place: Checkpoint,
    page: usize,
    fell_behind_at: u64,
    poll: Duration,
    retry: RetryPolicy,
    outages: bool,
    /// Whether it was told that it has caught up, and not since that it has fallen behind.
    caught_up: bool,
    /// How many reads in a row have failed.
    failed: u32,
    /// How many of them so that waiting does not help.
    broken: u32,
    /// How long to wait before the next read.
    wait: Option<Duration>,
}

/// What comes next.
pub(super) enum Found {
    /// Events, or none of those that were passed over fits.
    Page {
        events: Vec<Arc<RecordedEvent>>,
        end: Checkpoint,
        /// The end of the log, if the feed has fallen behind it.
        head: Option<Position>,
    },
    CaughtUp,
    /// The read failed, and is to be repeated.
    Outage(WatchError),
    /// There is no use in reading on.
    Failed(WatchError),
}

impl Reader {
    pub(super) fn new(feed: LogFeed, place: Checkpoint, options: WatchOptions) -> Self {
        let capacity = feed.capacity() as u64;
        Self {
            poll: options.poll.unwrap_or(feed.patience() * 2),
            page: options.page,
            fell_behind_at: options.fell_behind_at.unwrap_or(capacity),
            filter: options.filter,
            retry: options.retry,
            outages: options.outages,
            feed,
            place,
            caught_up: false,
            failed: 0,
            broken: 0,
            wait: None,
        }
    }

    /// Waits for what comes next.
    pub(super) async fn read(mut self: Box<Self>) -> (Box<Self>, Found) {
        loop {
            if let Some(wait) = self.wait.take() {
                tokio::time::sleep(wait).await;
            }
            // Before reading: a commit in between is then noticed at once, not after the next poll.
            let mark = self.feed.store().change();
            match self.look(mark).await {
                Ok(Some(found)) => {
                    self.mended();
                    return (self, found);
                }
                Ok(None) => {
                    self.mended();
                    self.wait_for_more(mark).await;
                }
                Err(error) => {
                    if let Some(found) = self.failed(error) {
                        return (self, found);
                    }
                }
            }
        }
    }

    /// Reads a page; `None` when there is nothing and that was told.
    async fn look(&mut self, mark: StoreChange) -> Result<Option<Found>, StoreError> {
        let after = self.place.position();
        let page = self.feed.read(after, &self.filter, self.page, mark).await?;
        let Some((position, id)) = page.scanned() else {
            let told = std::mem::replace(&mut self.caught_up, true);
            return Ok((!told).then_some(Found::CaughtUp));
        };
        let head = self.fallen_behind(page.events().len()).await?;
        if head.is_some() {
            self.caught_up = false;
        }
        self.place = Checkpoint::after(self.place.epoch(), position, id);
        Ok(Some(Found::Page {
            events: page.into_events(),
            end: self.place,
            head,
        }))
    }

    /// The end of the log, if it is too far away.
    ///
    /// It is asked for only when a page came full, so that more came while the last one was used than fits: who keeps up
    /// costs the store no question.
    async fn fallen_behind(&self, events: usize) -> Result<Option<Position>, StoreError> {
        if !self.caught_up || events < self.page.min(self.feed.capacity()) {
            return Ok(None);
        }
        let head = self.feed.store().head().await?.position();
        let lag = head.get().saturating_sub(self.place.position().get());
        Ok((lag > self.fell_behind_at).then_some(head))
    }

    async fn wait_for_more(&self, mark: StoreChange) {
        tokio::select! {
            () = self.feed.store().changed(mark) => {}
            () = tokio::time::sleep(self.poll) => {}
        }
    }

    fn mended(&mut self) {
        self.failed = 0;
        self.broken = 0;
    }

    /// What follows from a failed read: an item, or another read.
    fn failed(&mut self, source: StoreError) -> Option<Found> {
        self.failed = self.failed.saturating_add(1);
        if !source.is_transient() {
            self.broken = self.broken.saturating_add(1);
            if !self.retry.allows(self.broken) {
                return Some(Found::Failed(source.into()));
            }
        }
        let (attempt, retry_in) = (self.failed, self.retry.wait(self.failed));
        self.wait = Some(retry_in);
        let position = self.place.position().get();
        tracing::warn!(name: telemetry::WATCH_RETRY, attempt, position, "will read again");
        self.outages.then_some(Found::Outage(WatchError::Outage {
            attempt,
            retry_in,
            source,
        }))
    }
}
