//! [`Lanes`]: events of one key reach a handler one at a time, in the order of their publishes.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, Hash},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use foldhash::fast::RandomState;
use tokio::sync::Notify;
use uno_core::RecordedEvent;

use super::{
    frame::{Holds, Lender},
    route::Route,
};

/// How an event's key is found, as a hash of it.
#[derive(Clone)]
pub(super) struct KeyOf(Arc<dyn Fn(&RecordedEvent) -> u64 + Send + Sync>);

impl KeyOf {
    pub(super) fn new<K: Hash>(key: impl Fn(&RecordedEvent) -> K + Send + Sync + 'static) -> Self {
        let hasher = RandomState::default();
        Self(Arc::new(move |event| hasher.hash_one(key(event))))
    }
}

/// The lanes of a handler: for each key that is busy, the tickets of those who want to call it, in order. The first has the
/// turn. A key that nobody wants has no lane.
pub(super) struct Lanes {
    id: u64,
    key: KeyOf,
    next: AtomicU64,
    /// Held for as long as it takes to put a ticket in or to take it out, never across an await.
    busy: Mutex<HashMap<Lane, VecDeque<Waiting>, RandomState>>,
}

/// A key, and within which holder of its turn; 0 for the lane of all.
type Lane = (u64, usize);

struct Waiting {
    number: u64,
    /// Told when it has come to the front. Who is there from the beginning needs none.
    turn: Option<Arc<Notify>>,
}

/// A place in a lane. Dropping it gives it up, and the turn with it.
pub(super) struct Ticket {
    route: Arc<Route>,
    lane: Lane,
    number: u64,
    turn: Option<Arc<Notify>>,
    may_wait: bool,
}

impl Lanes {
    pub(super) fn new(id: u64, key: KeyOf) -> Self {
        let (next, busy) = (AtomicU64::new(0), Mutex::default());
        Self {
            id,
            key,
            next,
            busy,
        }
    }

    /// Takes a ticket for an event, behind all that were taken before. It runs the key function, which may panic.
    ///
    /// Within a handler that holds the turn of the same key, the event belongs to what that handler does, and has a lane of
    /// its own if that is free. Any other lane that is not free must not be waited for within a handler: its holder
    /// may be waiting for us, through whatever else.
    pub(super) fn take(
        &self,
        route: &Arc<Route>,
        event: &RecordedEvent,
        within: Option<&Lender>,
    ) -> Ticket {
        let key = (self.key.0)(event);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let holder = within.and_then(|within| within.holder_of((self.id, key)));
        let mut busy = self.lock();
        let own = holder.map(|holder| (key, holder));
        let lane = own
            .filter(|own| !busy.contains_key(own))
            .unwrap_or((key, 0));
        let tickets = busy.entry(lane).or_default();
        let turn = (!tickets.is_empty()).then(Arc::<Notify>::default);
        tickets.push_back(Waiting {
            number,
            turn: turn.clone(),
        });
        Ticket {
            route: Arc::clone(route),
            lane,
            number,
            may_wait: turn.is_none() || within.is_none(),
            turn,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Lane, VecDeque<Waiting>, RandomState>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Whether it had the turn from the beginning.
    pub(super) fn is_first(&self) -> bool {
        self.turn.is_none()
    }

    /// Whether the one who took it may wait for its turn.
    pub(super) fn may_wait(&self) -> bool {
        self.may_wait
    }

    /// Returns when it has the turn. Once only.
    pub(super) async fn turn(&self) {
        if let Some(turn) = &self.turn {
            turn.notified().await;
        }
    }

    /// What the handler holds that is called in this turn.
    pub(super) fn holds(&self) -> Holds {
        let turn = self.route.lanes().map(|lanes| (lanes.id, self.lane.0));
        Holds { turn, queue: None }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Some(lanes) = self.route.lanes() else {
            return;
        };
        let mut busy = lanes.lock();
        let Some(tickets) = busy.get_mut(&self.lane) else {
            return;
        };
        if tickets
            .front()
            .is_some_and(|first| first.number == self.number)
        {
            tickets.pop_front();
            match tickets.front() {
                Some(next) => {
                    if let Some(turn) = &next.turn {
                        turn.notify_one();
                    }
                }
                None => {
                    busy.remove(&self.lane);
                }
            }
        } else {
            tickets.retain(|waiting| waiting.number != self.number);
        }
    }
}
