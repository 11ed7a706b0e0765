//! [`LogFeed`]: reads the log once for all who follow its end.

mod pace;
mod ring;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Duration, Instant};
use uno_core::{
    EventFilter, EventId, EventStore, LogPage, Position, ReadLog, RecordedEvent, StoreChange,
    StoreError,
};

use self::{pace::Pace, ring::Ring};

/// Feeds many readers of one log: those near its end share one bounded ring of the newest events, which are read and
/// decoded from the store once; those far behind read pages of their own.
///
/// # Contract
/// 1. Pages are what [`EventStore::read_log`] would give: every committed event that fits, in position order, none
///    left out between the start and [`scanned`](LogPage::scanned).
/// 2. A page without `scanned` means that the store had nothing more when `mark` was taken. What another process
///    commits is seen once `patience` has passed since the store was last asked.
/// 3. The store is asked for its end by one reader at a time, and a thousand times in a second at most, over time: see
///    `docs/design/subscriptions.md`.
/// 4. Dropping a read is safe: the ring is then as before or one page longer.
#[derive(Debug)]
pub struct LogFeed {
    store: Arc<dyn EventStore>,
    page: usize,
    patience: Duration,
    shared: Mutex<Option<Tail>>,
    /// Held across the one read of the store's end, hence a lock of tokio's: readers wait for it without blocking.
    fetching: tokio::sync::Mutex<Pace>,
    capacity: usize,
}

/// The ring, and what is known of the log beyond it.
#[derive(Debug)]
struct Tail {
    ring: Ring,
    /// When the store last said that nothing comes after the ring, and the mark that was taken before it was asked.
    nothing_beyond: Option<(StoreChange, Instant)>,
}

/// From when on a reader's knowledge of the log must be.
#[derive(Clone, Copy)]
struct Since {
    mark: StoreChange,
    entered: Instant,
}

/// What the ring has to say to a reader.
enum Look {
    /// A page.
    Page(LogPage),
    /// The reader is before the ring: it reads from the store.
    Behind,
    /// The reader is at the ring's end and the store must be asked.
    Ask,
}

impl LogFeed {
    /// How many of the newest events are kept unless it is said.
    pub const DEFAULT_CAPACITY: usize = 10_000;
    /// How many events of the ring one read looks at, at most, so that a selective filter does not hold the lock for long.
    const STRIDE: usize = 2_048;

    /// A feed of `store` that keeps the newest `capacity` events.
    ///
    /// `patience`: for how long the word of the store that nothing has come holds when this process has not changed it.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, capacity: usize, patience: Duration) -> Self {
        Self {
            store,
            page: ReadLog::DEFAULT_LIMIT.min(capacity.max(1)),
            patience,
            shared: Mutex::new(None),
            fetching: tokio::sync::Mutex::new(Pace::new()),
            capacity: capacity.max(1),
        }
    }

    /// At most `limit` events after `after` that fit the filter. Take `mark` from the store *before* the call.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn read(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
        mark: StoreChange,
    ) -> Result<LogPage, StoreError> {
        let limit = limit.max(1);
        let since = Since {
            mark,
            entered: Instant::now(),
        };
        self.anchor().await?;
        loop {
            match self.look(after, filter, limit, since) {
                Look::Page(page) => return Ok(page),
                Look::Behind => return self.read_behind(after, filter, limit).await,
                Look::Ask => {
                    // One reader asks; the others wait for it here, and then look again.
                    let mut pace = self.fetching.lock().await;
                    match self.look(after, filter, limit, since) {
                        Look::Page(page) => return Ok(page),
                        Look::Behind => return self.read_behind(after, filter, limit).await,
                        Look::Ask => {
                            pace.take().await;
                            self.fetch(after).await?;
                        }
                    }
                }
            }
        }
    }

    /// The newest position that is known.
    pub(crate) fn end(&self) -> Position {
        self.locked()
            .as_ref()
            .map_or(Position::START, |tail| tail.ring.end())
    }

    /// The first event after a position, if the ring knows it.
    pub(crate) fn first_after(&self, position: Position) -> Option<Arc<RecordedEvent>> {
        self.locked()
            .as_ref()
            .and_then(|tail| tail.ring.first_after(position))
    }

    /// Lets the ring begin at the end of the log as it is now, if it has not begun.
    async fn anchor(&self) -> Result<(), StoreError> {
        if self.locked().is_some() {
            return Ok(());
        }
        let _asking = self.fetching.lock().await;
        if self.locked().is_some() {
            return Ok(());
        }
        let head = self.store.head().await?;
        *self.locked() = Some(Tail {
            ring: Ring::new(self.capacity, head.last()),
            nothing_beyond: None,
        });
        Ok(())
    }

    fn look(&self, after: Position, filter: &EventFilter, limit: usize, since: Since) -> Look {
        let mut shared = self.locked();
        let Some(tail) = shared.as_mut() else {
            return Look::Behind;
        };
        if after < tail.ring.base() {
            return Look::Behind;
        }
        if after < tail.ring.end() {
            return Look::Page(tail.ring.page(after, filter, limit, Self::STRIDE));
        }
        let nothing = tail.nothing_beyond.is_some_and(|(asked, at)| {
            // An answer to a question that was put after the reader came is always good enough, however slow the store.
            after == tail.ring.end()
                && asked >= since.mark
                && (at >= since.entered || at.elapsed() < self.patience)
        });
        if nothing {
            Look::Page(LogPage::new(Vec::new(), None))
        } else {
            Look::Ask
        }
    }

    /// Asks the store what comes after the ring. Only while `fetching` is held.
    async fn fetch(&self, after: Position) -> Result<(), StoreError> {
        let end = {
            let mut shared = self.locked();
            let Some(tail) = shared.as_mut() else {
                return Ok(());
            };
            if after > tail.ring.end() {
                // The reader knows of more than the ring does: its checkpoint was moved by another process. What lies
                // between is not known, so the ring begins anew.
                tail.ring.restart(after);
                tail.nothing_beyond = None;
            }
            tail.ring.end()
        };
        let asked = (self.store.change(), Instant::now());
        let page = self
            .store
            .read_log(ReadLog::after(end).limit(self.page))
            .await?;
        if let Some(tail) = self.locked().as_mut() {
            tail.nothing_beyond = page.scanned().is_none().then_some(asked);
            tail.ring.extend(page);
        }
        Ok(())
    }

    /// Reads a page for one reader alone.
    ///
    /// It ends where the ring does at the latest, so that no reader gets ahead of the ring and all meet in it again.
    async fn read_behind(
        &self,
        after: Position,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<LogPage, StoreError> {
        let page = self
            .store
            .read_log(ReadLog::after(after).filter(filter.clone()).limit(limit))
            .await?;
        let end = self.locked().as_ref().and_then(|tail| tail.ring.last());
        Ok(match (page.scanned(), end) {
            (Some((scanned, _)), Some((end, id))) if end > after && scanned > end => {
                let mut events = page.into_events();
                events.retain(|event| event.position() <= end);
                LogPage::new(events, Some((end, id)))
            }
            _ => page,
        })
    }

    /// Never held across an await, so a lock of the standard library's. Poison is of no account: each change of the
    /// ring is made whole or not at all.
    fn locked(&self) -> std::sync::MutexGuard<'_, Option<Tail>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A committed event's place and id.
type Place = (Position, EventId);
