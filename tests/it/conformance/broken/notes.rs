//! What a broken store remembers beside the store it spoils.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize},
    },
};

use uno_core::{
    Checkpoint, EventId, Fence, FieldValue, Lane, LaneAttempt, LaneLease, LeaseOwner,
    ParkingRequest, Payload, Position, StreamId, SubscriptionName,
};
use uuid::Uuid;

#[derive(Debug, Default)]
pub(crate) struct Notes {
    shared: Mutex<Remembered>,
    pub(crate) busy: AtomicUsize,
    pub(crate) failures: AtomicUsize,
    pub(crate) stuck: AtomicBool,
    pub(crate) lock: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// The ids of events that were stored.
    pub(crate) seen: HashSet<EventId>,
    /// What a repeat has put in place of the payload.
    pub(crate) overwritten: HashMap<EventId, Payload>,
    /// Events that are not shown yet.
    pub(crate) hidden: HashSet<EventId>,
    /// Nothing up to here is shown any more.
    pub(crate) floor: Option<Position>,
    /// Nothing beyond here is shown yet.
    pub(crate) ceiling: Option<Position>,
    pub(crate) writes: usize,
    pub(crate) streams: HashMap<StreamId, Arc<tokio::sync::Mutex<()>>>,
    /// Messages that were ever added.
    pub(crate) messages: HashSet<Uuid>,
    /// Messages, or timers, that were read.
    pub(crate) read: HashSet<Uuid>,
    /// Instances that have, or had, timers.
    pub(crate) keys: BTreeSet<String>,
    /// Entries of histories that were written over, by process, instance and number.
    pub(crate) entries: HashMap<(String, String, u64), Payload>,
    /// What documents were found by, by collection and key.
    pub(crate) fields: HashMap<(String, String), BTreeMap<String, FieldValue>>,
    /// How many claims there were.
    pub(crate) claims: u64,
    /// Everybody who ever claimed.
    pub(crate) owners: HashSet<(SubscriptionName, Uuid)>,
    /// What was granted last.
    pub(crate) granted: HashMap<(SubscriptionName, LeaseOwner), Vec<LaneLease>>,
    /// Leases that did not begin with a lane that was given back.
    pub(crate) unclean: HashSet<(Lane, Fence)>,
    /// Up to where lanes were to be drained first.
    pub(crate) place: Option<Checkpoint>,
    /// The attempt that was noted last.
    pub(crate) attempts: HashMap<(SubscriptionName, Lane), LaneAttempt>,
    /// Ends that count as explained, as unexplained, and where the lane was when one came.
    pub(crate) explained: HashSet<(SubscriptionName, Lane)>,
    pub(crate) unexplained: HashSet<(SubscriptionName, Lane)>,
    pub(crate) ended_at: HashMap<(SubscriptionName, Lane), Option<Checkpoint>>,
    /// Where lanes are being put.
    pub(crate) resetting: Option<(SubscriptionName, Checkpoint)>,
    /// What was ever asked for, by key, in the order of the first requests.
    pub(crate) requests: Vec<(SubscriptionName, String, ParkingRequest)>,
}

impl Notes {
    pub(crate) fn get(&self) -> MutexGuard<'_, Remembered> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
