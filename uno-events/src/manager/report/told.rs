//! [`Reported`]: what was told last of a subscription.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uno_core::{Checkpoint, Lane, Position, StoreEpoch};

use crate::manager::{StopReason, SubscriptionCounts, SubscriptionState};

/// What was told last.
#[derive(Clone, Debug)]
pub(in crate::manager) struct Reported {
    /// Why nothing runs, and how far it had come.
    pub(in crate::manager) stopped: Option<(StopReason, Position)>,
    pub(in crate::manager) paused: bool,
    /// The lanes that are run here, in order.
    pub(in crate::manager) lanes: Vec<LaneTold>,
    /// How many lanes there are; zero before the first claim.
    pub(in crate::manager) count: u16,
    /// Who has the lanes, when all are held elsewhere.
    pub(in crate::manager) standing_by: Option<StandingBy>,
    /// The claim of lanes fails, so often in a row.
    pub(in crate::manager) claim_trouble: Option<(u32, Arc<str>)>,
    /// How long what was claimed last holds.
    pub(in crate::manager) held: Option<Held>,
    /// Of the log that is read; `None` before it was first looked at.
    pub(in crate::manager) epoch: Option<StoreEpoch>,
    /// Whether it has not caught up since it started or fell behind.
    pub(in crate::manager) behind: bool,
    pub(in crate::manager) counts: SubscriptionCounts,
    pub(in crate::manager) last_error: Option<Arc<str>>,
}

/// How long lanes are on lease.
#[derive(Clone, Copy, Debug)]
pub(in crate::manager) struct Held {
    /// By the process's own clock.
    pub(in crate::manager) until: Instant,
    /// When that was answered, for people.
    pub(in crate::manager) renewed: DateTime<Utc>,
}

/// Who has all the lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::manager) struct StandingBy {
    pub(in crate::manager) holder: Arc<str>,
    /// The lowest checkpoint of all lanes.
    pub(in crate::manager) position: Position,
}

/// A lane that is run here.
#[derive(Clone, Debug)]
pub(in crate::manager) struct LaneTold {
    pub(in crate::manager) lane: Lane,
    pub(in crate::manager) phase: Phase,
    /// Whether its checkpoint is known.
    pub(in crate::manager) opened: bool,
    /// Up to where the log was handled or passed over.
    pub(in crate::manager) position: Position,
    /// What is saved of it.
    pub(in crate::manager) checkpoint: Option<Checkpoint>,
}

/// What a lane is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::manager) enum Phase {
    Starting,
    Running,
    CaughtUp,
    Paused,
    Retrying { attempt: u32, error: Arc<str> },
}

impl Reported {
    pub(super) fn new() -> Self {
        Self {
            stopped: Some((StopReason::NotStarted, Position::START)),
            paused: false,
            lanes: Vec::new(),
            count: 0,
            standing_by: None,
            claim_trouble: None,
            held: None,
            epoch: None,
            behind: true,
            counts: SubscriptionCounts::default(),
            last_error: None,
        }
    }

    /// Forgets what is known of lanes and the log.
    pub(super) fn forget(&mut self) {
        self.paused = false;
        self.lanes.clear();
        self.count = 0;
        self.standing_by = None;
        self.claim_trouble = None;
        self.held = None;
        self.epoch = None;
        self.behind = true;
    }

    pub(super) fn take(&mut self, lane: Lane) {
        self.leave(lane);
        let place = self.lanes.partition_point(|told| told.lane < lane);
        let told = LaneTold {
            lane,
            phase: Phase::Starting,
            opened: false,
            position: Position::START,
            checkpoint: None,
        };
        self.lanes.insert(place, told);
    }

    pub(super) fn leave(&mut self, lane: Lane) {
        self.lanes.retain(|told| told.lane != lane);
    }

    pub(super) fn lane(&mut self, lane: Lane) -> Option<&mut LaneTold> {
        self.lanes.iter_mut().find(|told| told.lane == lane)
    }

    pub(in crate::manager) fn all_in(&self, phase: &Phase) -> bool {
        self.lanes.iter().all(|lane| lane.phase == *phase)
    }

    /// Whether every lane there is is run here, and its place known.
    pub(in crate::manager) fn is_whole(&self) -> bool {
        self.count > 0
            && self.lanes.len() == usize::from(self.count)
            && self.lanes.iter().all(|lane| lane.opened)
    }

    /// Whether others run some of the lanes, or all, and the places of those that are run here are known.
    pub(in crate::manager) fn is_shared(&self) -> bool {
        self.lanes.len() < usize::from(self.count) && self.lanes.iter().all(|lane| lane.opened)
    }

    /// Up to where the log was handled or passed over, by every lane that is run here, or else as it was saved elsewhere.
    pub(in crate::manager) fn position(&self) -> Position {
        let elsewhere = self.standing_by.as_ref();
        let positions = self.lanes.iter().map(|lane| lane.position);
        positions
            .min()
            .or(elsewhere.map(|standing_by| standing_by.position))
            .unwrap_or(Position::START)
    }

    /// What is to be told of the subscription now. What its lanes said of themselves was true then: one that waits for an answer of a
    /// store that is away says nothing new, and its lease runs out meanwhile.
    pub(in crate::manager) fn state_at(&self, now: Instant) -> SubscriptionState {
        let state = self.state();
        if self.lanes.is_empty() || state.is_stopped() || state == SubscriptionState::Paused {
            return state;
        }
        if let Some(held) = self.held.filter(|held| held.until <= now) {
            return SubscriptionState::Unheld {
                renewed: held.renewed,
                error: self
                    .claim_trouble
                    .as_ref()
                    .map(|(_, error)| Arc::clone(error)),
            };
        }
        match (&state, &self.claim_trouble) {
            (SubscriptionState::Retrying { .. }, _) | (_, None) => state,
            (_, Some((attempt, error))) => SubscriptionState::Retrying {
                attempt: *attempt,
                error: Arc::clone(error),
            },
        }
    }

    /// What the subscription is doing, from what its lanes do.
    pub(in crate::manager) fn state(&self) -> SubscriptionState {
        if let Some((why, position)) = &self.stopped {
            return SubscriptionState::Stopped {
                why: why.clone(),
                position: *position,
            };
        }
        let retrying = self.lanes.iter().find_map(|lane| match &lane.phase {
            Phase::Retrying { attempt, error } => Some((*attempt, Arc::clone(error))),
            _ => None,
        });
        let any = |phase: &Phase| self.lanes.iter().any(|lane| lane.phase == *phase);
        if let Some((attempt, error)) = retrying {
            SubscriptionState::Retrying { attempt, error }
        } else if self.lanes.is_empty() {
            self.state_without_lanes()
        } else if any(&Phase::Starting) {
            SubscriptionState::Starting
        } else if self.all_in(&Phase::Paused) {
            SubscriptionState::Paused
        } else if self.all_in(&Phase::CaughtUp) {
            SubscriptionState::CaughtUp
        } else {
            SubscriptionState::Running
        }
    }

    fn state_without_lanes(&self) -> SubscriptionState {
        if let Some((attempt, error)) = &self.claim_trouble {
            return SubscriptionState::Retrying {
                attempt: *attempt,
                error: Arc::clone(error),
            };
        }
        match &self.standing_by {
            _ if self.paused => SubscriptionState::Paused,
            Some(standing_by) => SubscriptionState::Standby {
                holder: Arc::clone(&standing_by.holder),
            },
            None => SubscriptionState::Starting,
        }
    }
}
