//! [`CommandLanes`]: commands of one stream wait for one another, in the order in which they came.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::pending,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use uno_core::StreamId;
use uno_uow::{Handover, Warm};

/// How many commands may wait in the lane of one stream, and for how long.
///
/// ```
/// use std::time::Duration;
/// use uno_cqrs::LaneLimits;
///
/// let limits = LaneLimits::default().with_waiting(64).with_patience(Duration::from_secs(2));
/// assert_eq!((limits.waiting(), limits.patience()), (64, Duration::from_secs(2)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneLimits {
    waiting: usize,
    patience: Duration,
}

impl LaneLimits {
    /// The same, with at most so many commands waiting behind the one that is carried out. One more is [`Busy`] at once.
    #[must_use]
    pub const fn with_waiting(mut self, commands: usize) -> Self {
        self.waiting = commands;
        self
    }

    /// The same, with commands that wait at most so long for their turn. One that has waited longer is [`Busy`], and was not begun.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// No limits at all.
    pub(crate) const fn endless() -> Self {
        Self {
            waiting: usize::MAX,
            patience: Duration::MAX,
        }
    }

    /// How many commands may wait behind the one that is carried out.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How long a command waits for its turn.
    #[must_use]
    pub const fn patience(&self) -> Duration {
        self.patience
    }
}

/// 1,024 commands, for 30 s.
impl Default for LaneLimits {
    fn default() -> Self {
        Self {
            waiting: 1024,
            patience: Duration::from_secs(30),
        }
    }
}

/// Why a command had no turn in its lane. It was not begun, and may be sent again later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Busy {
    /// As many commands as may wait are waiting.
    #[error("{waiting} commands wait for {lane} already")]
    Full {
        /// The stream.
        lane: StreamId,
        /// How many wait.
        waiting: usize,
    },
    /// Its turn did not come in time.
    #[error("its turn for {lane} did not come within {patience:?}")]
    Waited {
        /// The first of its streams.
        lane: StreamId,
        /// How long it has waited.
        patience: Duration,
    },
}

/// The lanes of a bus: one for each stream that a command is carried out on or waits for.
#[derive(Clone, Default)]
pub(crate) struct CommandLanes {
    /// A std mutex: it is held to move tickets, never across an await.
    lanes: Arc<Mutex<HashMap<StreamId, Lane>>>,
}

/// How many commits of one stream may be under way while the next command decides. More would only make what is to be decided
/// again longer, when one of them fails.
const MOST_UNDER_WAY: usize = 64;

/// Whose turn it is, and who waits. There is no lane without a ticket or a commit under way.
#[derive(Default)]
struct Lane {
    /// The one in front has its turn here, and begins when it is in front everywhere.
    tickets: VecDeque<Arc<Ticket>>,
    /// The aggregate as the one before leaves it, for the one in front.
    warm: Warm,
    /// How many have passed on their turn, and are not done.
    under_way: usize,
    /// Told when none of them is left.
    ended: Arc<Notify>,
}

#[derive(Default)]
struct Ticket {
    /// In how many lanes it is not in front. Changed under the mutex.
    behind: AtomicUsize,
    ready: Notify,
}

impl CommandLanes {
    /// Waits until it is the caller's turn in the lanes of all these streams.
    ///
    /// A ticket enters all its lanes at one moment, so any two tickets stand in the same order wherever they meet: nobody waits
    /// for somebody who waits for him. Within a lane the order is that of the calls.
    ///
    /// # Cancellation
    /// Dropping the future, or the turn, lets the next one have its turn.
    pub(crate) async fn enter(
        &self,
        mut streams: Vec<StreamId>,
        limits: LaneLimits,
    ) -> Result<Turn, Busy> {
        streams.sort_unstable();
        streams.dedup();
        let mut turn = {
            let mut lanes = self.lock();
            for stream in &streams {
                let tickets = lanes.get(stream).map_or(0, |lane| lane.tickets.len());
                if tickets > limits.waiting {
                    let (lane, waiting) = (stream.clone(), tickets - 1);
                    return Err(Busy::Full { lane, waiting });
                }
            }
            Turn {
                lanes: self.clone(),
                ticket: stand(&mut lanes, &streams),
                streams,
                patience: limits.patience,
                passed: false,
                warm: Warm::default(),
            }
        };
        if !turn.is_first() && timeout(limits.patience, turn.ticket.ready.notified()).await {
            let patience = limits.patience;
            let lane = turn.streams.first().cloned();
            // It has waited, so there is a stream that it has waited for.
            return lane.map_or(Ok(turn), |lane| Err(Busy::Waited { lane, patience }));
        }
        turn.warm = turn.take_warm();
        Ok(turn)
    }

    /// How many streams have a lane.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StreamId, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts a ticket into the lanes of all these streams.
fn stand(lanes: &mut HashMap<StreamId, Lane>, streams: &[StreamId]) -> Arc<Ticket> {
    let ticket = Arc::new(Ticket::default());
    let mut behind = 0;
    for stream in streams {
        let lane = lanes.entry(stream.clone()).or_default();
        behind += usize::from(!lane.tickets.is_empty());
        lane.tickets.push_back(Arc::clone(&ticket));
    }
    ticket.behind.store(behind, Ordering::Relaxed);
    ticket
}

/// Whether something did not happen in time.
async fn timeout(limit: Duration, something: impl Future<Output = ()>) -> bool {
    let too_late = async {
        // A limit that no clock reaches is none.
        match Instant::now().checked_add(limit) {
            Some(until) => tokio::time::sleep_until(until).await,
            None => pending().await,
        }
    };
    tokio::select! {
        biased;
        () = something => false,
        () = too_late => true,
    }
}

impl fmt::Debug for CommandLanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandLanes")
            .field("len", &self.len())
            .finish()
    }
}

/// A place in the lanes of some streams: it waits, has its turn, or has passed it on and is not done yet. Dropping it ends it,
/// whichever it is.
pub(crate) struct Turn {
    lanes: CommandLanes,
    streams: Vec<StreamId>,
    ticket: Arc<Ticket>,
    patience: Duration,
    /// Whether somebody else may have the turn by now.
    passed: bool,
    /// What the ones before have left, and what is left for the next ones.
    warm: Warm,
}

impl Turn {
    fn is_first(&self) -> bool {
        self.ticket.behind.load(Ordering::Relaxed) == 0
    }

    /// What was left in the lanes.
    fn take_warm(&self) -> Warm {
        let mut warm = Warm::default();
        let mut lanes = self.lanes.lock();
        for stream in &self.streams {
            if let Some(lane) = lanes.get_mut(stream) {
                warm.merge(std::mem::take(&mut lane.warm));
            }
        }
        warm
    }

    /// Lets the next ones have their turn, while this one is under way.
    fn pass(&mut self) {
        self.passed = true;
        self.leave(true);
    }

    /// Leaves the lanes to the next ones; if `under_way`, to be done later.
    fn leave(&mut self, under_way: bool) {
        let mut lanes = self.lanes.lock();
        for stream in &self.streams {
            let Some(lane) = lanes.get_mut(stream) else {
                continue;
            };
            lane.under_way += usize::from(under_way);
            let mut tickets = lane.tickets.iter();
            let place = tickets.position(|ticket| Arc::ptr_eq(ticket, &self.ticket));
            if let Some(place) = place {
                lane.tickets.remove(place);
            }
            if place == Some(0) {
                lane.warm.merge(self.warm.split(stream));
                if let Some(next) = lane.tickets.front()
                    && next.behind.fetch_sub(1, Ordering::Relaxed) == 1
                {
                    next.ready.notify_one();
                }
            }
            clear(&mut lanes, stream);
        }
    }

    /// What was under way is done.
    fn end(&mut self) {
        let mut lanes = self.lanes.lock();
        for stream in &self.streams {
            if let Some(lane) = lanes.get_mut(stream) {
                lane.under_way = lane.under_way.saturating_sub(1);
                if lane.under_way == 0 {
                    lane.ended.notify_one();
                }
            }
            clear(&mut lanes, stream);
        }
    }

    /// One of its lanes in which something is under way.
    fn busy_lane(&self) -> Option<Arc<Notify>> {
        let lanes = self.lanes.lock();
        let mut own = self.streams.iter().filter_map(|stream| lanes.get(stream));
        let busy = own.find(|lane| lane.under_way > 0);
        busy.map(|lane| Arc::clone(&lane.ended))
    }

    /// Comes back into the lanes, behind all who wait, and waits until it is in front and nothing is under way.
    async fn come_back(&mut self) {
        if self.passed {
            self.end();
            self.ticket = stand(&mut self.lanes.lock(), &self.streams);
            self.passed = false;
            if !self.is_first() {
                self.ticket.ready.notified().await;
            }
        }
        while let Some(ended) = self.busy_lane() {
            // A permit of an earlier end costs one more look.
            ended.notified().await;
        }
        // It was made of what has not come to be.
        self.warm = Warm::default();
        drop(self.take_warm());
    }
}

/// Removes a lane in which nothing happens, with the aggregate in it, so that idle streams take up no room.
fn clear(lanes: &mut HashMap<StreamId, Lane>, stream: &StreamId) {
    let idle = |lane: &Lane| lane.tickets.is_empty() && lane.under_way == 0;
    if lanes.get(stream).is_some_and(idle) {
        lanes.remove(stream);
        if lanes.capacity() > 1024 && lanes.len() < lanes.capacity() / 8 {
            lanes.shrink_to_fit();
        }
    }
}

impl Handover for Turn {
    fn take(&mut self) -> Warm {
        std::mem::take(&mut self.warm)
    }

    fn pass_on(&mut self, warm: Warm) {
        // Whoever had to read one of them would read what is about to change.
        let complete = self.streams.iter().all(|stream| warm.contains(stream));
        self.warm = warm;
        let crowded = {
            let lanes = self.lanes.lock();
            let mut own = self.streams.iter().filter_map(|stream| lanes.get(stream));
            own.any(|lane| lane.under_way >= MOST_UNDER_WAY)
        };
        if complete && !crowded && !self.passed {
            self.pass();
        }
    }

    fn settle(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            // The lanes only save work. Whoever waits too long for somebody who is not polled goes on without them.
            timeout(self.patience, self.come_back()).await;
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.passed {
            self.end();
        } else {
            self.leave(false);
        }
    }
}

#[cfg(test)]
mod tests;
