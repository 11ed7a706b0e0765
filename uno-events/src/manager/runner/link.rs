//! [`LaneLink`]: what a runner and its coordinator have to say to one another.

use std::{
    collections::VecDeque,
    num::NonZeroU16,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use uno_core::{Checkpoint, EventId, LaneLease, ParkingRequest, Position};

use crate::manager::StopReason;

/// What a runner is given with its lane.
pub(in crate::manager) struct LaneLink {
    pub(in crate::manager) lease: LaneLease,
    /// Whether the claim that took it was not answered, so that nobody knows how its last holder ended.
    pub(in crate::manager) unheard: bool,
    /// How many lanes there are.
    pub(in crate::manager) lanes: NonZeroU16,
    pub(in crate::manager) stop: CancellationToken,
    /// Until when the lease holds, by this process's clock.
    pub(in crate::manager) held: watch::Receiver<Instant>,
    /// Up to where it goes and no further, because the number of lanes is being changed.
    pub(in crate::manager) drain: watch::Receiver<Option<Checkpoint>>,
    pub(in crate::manager) mailbox: Arc<Mailbox>,
}

impl LaneLink {
    /// Whether the lease holds, by this process's clock.
    pub(super) fn is_held(&self) -> bool {
        Instant::now() < *self.held.borrow()
    }

    /// Waits until somebody wants something, or there is word of the lease.
    pub(super) async fn wanted(&mut self, paused: &mut watch::Receiver<bool>) {
        let held = async {
            // Word that the lease is renewed matters only to one that waits for it.
            if Instant::now() < *self.held.borrow_and_update() {
                std::future::pending::<()>().await;
            }
            let _ = self.held.changed().await;
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            _ = paused.changed() => {}
            _ = self.drain.changed() => {}
            () = self.mailbox.rung.notified() => {}
            () = held => {}
        }
    }
}

/// Why a lane has ended.
pub(in crate::manager) enum LaneEnd {
    /// It was told to.
    Asked,
    /// Another process has it.
    Lost,
    /// It can't go on.
    Stop(StopReason),
}

/// Requests for the keys of a lane.
#[derive(Debug)]
pub(in crate::manager) struct Mailbox {
    /// Never held across an await, so a lock of the standard library's.
    requests: Mutex<VecDeque<(Arc<str>, ParkingRequest)>>,
    rung: Notify,
    /// Whether a key of the lane may be parked: until the lane knows, and from before it parks one.
    expects: AtomicBool,
}

impl Default for Mailbox {
    fn default() -> Self {
        Self {
            requests: Mutex::default(),
            rung: Notify::new(),
            expects: AtomicBool::new(true),
        }
    }
}

impl Mailbox {
    /// Whether there may be requests for this lane: only for what is parked anybody can ask something. When in doubt there may be.
    pub(in crate::manager) fn expects_requests(&self) -> bool {
        self.expects.load(Ordering::Acquire)
    }

    /// Says whether a key of the lane is parked, or may be in a moment.
    pub(super) fn expect_requests(&self, expects: bool) {
        self.expects.store(expects, Ordering::Release);
    }

    /// Puts a request in, in place of one for the same key.
    pub(in crate::manager) fn put(&self, key: Arc<str>, request: ParkingRequest) {
        let mut requests = self.locked();
        requests.retain(|(other, _)| *other != key);
        requests.push_back((key, request));
        drop(requests);
        self.rung.notify_one();
    }

    pub(super) fn take(&self) -> Option<(Arc<str>, ParkingRequest)> {
        self.locked().pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.locked().is_empty()
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<(Arc<str>, ParkingRequest)>> {
        // Every change is one call, so there is nothing half done behind a poisoned lock.
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A committed event's place and id.
pub(super) type EventPlace = (Position, EventId);
