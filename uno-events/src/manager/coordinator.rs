//! [`Coordinator`]: the task of one subscription, which claims its lanes and has them run.

mod claims;
mod lanes;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use uno_core::{Checkpoint, Lane, LaneLease, LaneRelease};

use super::{
    Shared, StopReason,
    entry::Entry,
    runner::{LaneEnd, Mailbox},
};
use crate::{guard::panic_text, telemetry};

pub(super) use self::claims::{Claimed, establish};

/// Claims the lanes of a subscription again and again, a third of the lease apart, and has those that it is granted run, each in a
/// task of its own.
///
/// One for each subscription, not one for all: a claim waits for a row of its subscription, and must not keep the others from
/// renewing theirs.
pub(super) struct Coordinator {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    stop: CancellationToken,
    /// Until when what is granted holds, by this process's clock: counted from before it was asked for.
    held: watch::Sender<Instant>,
    /// Up to where lanes go, while their number is being changed.
    drain: watch::Sender<Option<Checkpoint>>,
    /// How many lanes there are.
    lanes: NonZeroU16,
    /// What is granted.
    leases: BTreeMap<Lane, LaneLease>,
    /// Lanes that were taken by a claim of which no answer came.
    unheard: BTreeSet<Lane>,
    /// What runs.
    running: BTreeMap<Lane, Running>,
    tasks: JoinSet<(Lane, LaneEnd)>,
    next_claim: Instant,
    /// How many claims have failed in a row.
    failed: u32,
    /// How many lanes were lost in a row, without a claim that changed nothing.
    lost: u32,
    /// Whether a claim was answered since the start: only the first says how many lanes it wants, and takes over.
    claimed: bool,
    /// Whether anything was claimed, answered or not, so that there may be something to give back.
    asked: bool,
}

/// A lane that is run.
struct Running {
    lease: LaneLease,
    stop: CancellationToken,
    mailbox: Arc<Mailbox>,
    /// Whether it is given back when it has ended.
    give_back: bool,
}

impl Coordinator {
    pub(super) fn new(shared: Arc<Shared>, entry: Arc<Entry>, stop: CancellationToken) -> Self {
        Self {
            shared,
            entry,
            stop,
            held: watch::Sender::new(Instant::now()),
            drain: watch::Sender::new(None),
            lanes: NonZeroU16::MIN,
            leases: BTreeMap::new(),
            unheard: BTreeSet::new(),
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            next_claim: Instant::now(),
            failed: 0,
            lost: 0,
            claimed: false,
            asked: false,
        }
    }

    /// Runs to the end, and reports why it came.
    ///
    /// # Cancellation
    /// Dropping the future ends the lanes with it, as a crash would.
    pub(super) async fn run(mut self, claimed: Option<Claimed>) {
        // Panics of lanes are caught closer by; this is for the store.
        let why = match AssertUnwindSafe(self.drive(claimed)).catch_unwind().await {
            Ok(why) => why,
            Err(panic) => StopReason::Panicked {
                message: panic_text(&*panic).into(),
            },
        };
        let why = self.finish(why).await;
        let position = self.entry.report.read().position();
        let (subscription, why_kind) = (self.entry.spec.name.as_str(), why.kind());
        if why.is_failure() {
            tracing::error!(name: telemetry::STOPPED, subscription, position = position.get(), why = why_kind, "stopped");
        } else {
            tracing::info!(name: telemetry::STOPPED, subscription, position = position.get(), why = why_kind, "stopped");
        }
        self.entry.report.stopped(why);
    }

    async fn drive(&mut self, claimed: Option<Claimed>) -> StopReason {
        if let Some(claimed) = claimed {
            self.take(claimed).await;
        }
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return StopReason::Requested,
                Some(ended) = self.tasks.join_next() => {
                    if let Err(why) = self.ended(ended).await {
                        return why;
                    }
                }
                () = self.entry.poke.notified() => self.next_claim = Instant::now(),
                () = sleep_until(self.next_claim) => {
                    if let Err(why) = self.claim().await {
                        return why;
                    }
                }
            }
        }
    }

    /// Lets every lane finish the batch in hand, and gives all back.
    async fn finish(&mut self, mut why: StopReason) -> StopReason {
        for running in self.running.values() {
            running.stop.cancel();
        }
        while let Some(ended) = self.tasks.join_next().await {
            // A failure is told rather than that somebody asked.
            if let Ok((_, LaneEnd::Stop(reason))) = ended
                && !why.is_failure()
            {
                why = reason;
            }
        }
        if self.asked {
            let release =
                LaneRelease::leaving(self.entry.spec.name.clone(), self.shared.owner.clone());
            // When it is not to be had, the lease runs out by itself.
            let releasing = AssertUnwindSafe(self.shared.subscriptions.release_lanes(release));
            let _ = tokio::time::timeout(self.patience(), releasing.catch_unwind()).await;
        }
        why
    }

    /// How long to wait for the store when giving lanes back.
    fn patience(&self) -> Duration {
        self.shared.settings.lease
    }
}
