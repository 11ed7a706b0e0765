//! [`Report`]: what the tasks of a subscription tell of themselves, and how others wait for it.

mod told;

use std::sync::Arc;

use tokio::sync::watch;
use uno_core::{Checkpoint, Lane, Position, StoreEpoch, SubscriptionName};

use super::{
    StopReason,
    notice::{Happened, NoticeBoard},
};

pub(super) use self::told::{Held, Phase, Reported, StandingBy};

/// Written by the tasks of one subscription, read and awaited by anybody.
#[derive(Debug)]
pub(super) struct Report {
    told: watch::Sender<Reported>,
    board: NoticeBoard,
    name: SubscriptionName,
}

impl Report {
    pub(super) fn new(name: SubscriptionName, board: NoticeBoard) -> Self {
        Self {
            told: watch::Sender::new(Reported::new()),
            board,
            name,
        }
    }

    pub(super) fn read(&self) -> Reported {
        self.told.borrow().clone()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.told.borrow().stopped.is_some()
    }

    /// Waits until what is told fits.
    pub(super) async fn when(&self, fits: impl FnMut(&Reported) -> bool) -> Reported {
        let mut reader = self.told.subscribe();
        // The sender is `self`, which is borrowed for as long as this waits, so the channel does not close.
        let fitting = reader.wait_for(fits).await.map(|told| told.clone());
        fitting.unwrap_or_else(|_| self.read())
    }

    /// Tasks begin. What those before knew of the log is forgotten, so that nobody takes it for what is now.
    pub(super) fn starting(&self) {
        self.told.send_modify(|told| {
            told.stopped = None;
            told.forget();
        });
    }

    /// The checkpoints were moved while nothing ran.
    pub(super) fn forget(&self) {
        self.told.send_modify(|told| {
            told.forget();
            if let Some((_, position)) = &mut told.stopped {
                *position = Position::START;
            }
        });
    }

    pub(super) fn paused(&self, paused: bool) {
        self.told.send_modify(|told| told.paused = paused);
    }

    /// Lanes were claimed: how many there are, for how long those that are held here are, and who has them if that is none.
    pub(super) fn claimed(&self, lanes: u16, held: Held, standing_by: Option<StandingBy>) {
        self.told.send_if_modified(|told| {
            let changed = told.count != lanes
                || told.standing_by != standing_by
                || told.claim_trouble.is_some();
            told.count = lanes;
            told.held = Some(held);
            told.standing_by = standing_by;
            told.claim_trouble = None;
            changed
        });
    }

    /// Lanes could not be claimed.
    pub(super) fn not_claimed(&self, attempt: u32, error: &Arc<str>) {
        self.told.send_modify(|told| {
            told.counts.failed += 1;
            told.last_error = Some(Arc::clone(error));
            told.claim_trouble = Some((attempt, Arc::clone(error)));
        });
    }

    pub(super) fn lane_taken(&self, lane: Lane) {
        self.told.send_modify(|told| told.take(lane));
        self.tell(Happened::LaneTaken { lane });
    }

    pub(super) fn lane_left(&self, lane: Lane) {
        self.told.send_modify(|told| told.leave(lane));
        self.tell(Happened::LaneLost { lane });
    }

    pub(super) fn phase(&self, lane: Lane, phase: Phase) {
        let mut caught_up = false;
        self.told.send_if_modified(|told| {
            let changed = told.lane(lane).is_some_and(|told| {
                let changed = told.phase != phase;
                told.phase = phase;
                changed
            });
            if changed && told.behind && told.all_in(&Phase::CaughtUp) {
                told.behind = false;
                caught_up = true;
            }
            changed
        });
        if caught_up {
            self.tell(Happened::CaughtUp);
        }
    }

    /// There is something to do. A retry stays visible as one until it has worked.
    pub(super) fn busy(&self, lane: Lane) {
        self.told.send_if_modified(|told| {
            told.lane(lane).is_some_and(|told| {
                let idle = matches!(told.phase, Phase::CaughtUp | Phase::Paused);
                if idle {
                    told.phase = Phase::Running;
                }
                idle
            })
        });
    }

    /// A checkpoint was found, from which it shows that so many events more were handled than was known.
    pub(super) fn opened(
        &self,
        lane: Lane,
        epoch: StoreEpoch,
        checkpoint: Option<Checkpoint>,
        handled: usize,
    ) {
        self.told.send_modify(|told| {
            told.counts.handled += handled as u64;
            told.epoch = Some(epoch);
            if let Some(told) = told.lane(lane) {
                told.opened = true;
                told.checkpoint = checkpoint;
                told.position =
                    checkpoint.map_or(Position::START, |checkpoint| checkpoint.position());
                if told.phase == Phase::Starting {
                    told.phase = Phase::Running;
                }
            }
        });
    }

    /// Events were handled, and the checkpoint saved with them.
    pub(super) fn handled(&self, lane: Lane, events: usize, checkpoint: Checkpoint) {
        self.told.send_modify(|told| {
            told.counts.handled += events as u64;
            if let Some(told) = told.lane(lane) {
                told.checkpoint = Some(checkpoint);
                told.position = checkpoint.position();
                told.phase = Phase::Running;
            }
        });
    }

    /// Events that do not fit were passed over.
    pub(super) fn passed(&self, lane: Lane, position: Position) {
        self.told.send_modify(|told| {
            if let Some(told) = told.lane(lane) {
                told.position = position;
            }
        });
    }

    /// A lane is so many positions behind the newest event that is known, which is a lot.
    pub(super) fn fell_behind(&self, lag: u64) {
        let fell = self.told.send_if_modified(|told| {
            let fell = !told.behind;
            told.behind = true;
            fell
        });
        if fell {
            self.tell(Happened::FellBehind { lag });
        }
    }

    /// An event was set aside, with what is to be done about it.
    pub(super) fn parked(&self, key: &Arc<str>, position: Position) {
        self.told.send_modify(|told| told.counts.parked += 1);
        let key = Arc::clone(key);
        self.tell(Happened::Parked { key, position });
    }

    /// Events were put behind one that is parked.
    pub(super) fn queued_behind(&self, events: usize) {
        self.told
            .send_modify(|told| told.counts.parked += events as u64);
    }

    /// An attempt failed.
    pub(super) fn failed(&self, error: &Arc<str>) {
        self.told.send_modify(|told| {
            told.counts.failed += 1;
            told.last_error = Some(Arc::clone(error));
        });
    }

    /// An attempt is made again.
    pub(super) fn retried(&self) {
        self.told.send_modify(|told| told.counts.retried += 1);
    }

    pub(super) fn stopped(&self, why: StopReason) {
        if why.is_failure() {
            self.tell(Happened::Stopped { why: why.clone() });
        }
        self.told.send_modify(|told| {
            told.stopped = Some((why, told.position()));
        });
    }

    fn tell(&self, what: Happened) {
        self.board.tell(&self.name, what);
    }
}
