//! How a [`Coordinator`] claims lanes.

use std::sync::Arc;

use tokio::time::{Duration, Instant};
use uno_core::{Checkpoint, EventStore, Lane, LaneClaim, LaneGrant, Position, StoreError};

use super::Coordinator;
use crate::{
    RetryPolicy, StopReason,
    guard::error_text,
    manager::{
        Shared,
        report::{Held, StandingBy},
    },
    subscription::Prepared,
    telemetry,
};

/// The answer to a claim, and from when on it holds: from before it was asked for.
#[derive(Debug)]
pub(in crate::manager) struct Claimed {
    pub(super) grant: LaneGrant,
    pub(super) since: Instant,
}

/// Claims the lanes of a subscription that starts at the end of the log, so that it has its place, now, whenever it comes to run.
pub(in crate::manager) async fn establish(
    shared: &Shared,
    spec: &Prepared,
) -> Result<Claimed, StoreError> {
    let mut claim = first_claim(shared, spec);
    let known = shared
        .subscriptions
        .load_checkpoint(&spec.name, Lane::FIRST)
        .await?;
    if known.is_none() {
        claim = claim.starting_at(end_of_log(&*shared.store).await?);
    }
    let since = Instant::now();
    let grant = shared.subscriptions.claim_lanes(claim).await?;
    Ok(Claimed { grant, since })
}

async fn end_of_log(store: &dyn EventStore) -> Result<Checkpoint, StoreError> {
    let head = store.head().await?;
    Ok(match head.last() {
        Some((position, id)) => Checkpoint::after(head.epoch(), position, id),
        None => Checkpoint::start(head.epoch()),
    })
}

fn claim(shared: &Shared, spec: &Prepared) -> LaneClaim {
    LaneClaim::new(
        spec.name.clone(),
        shared.owner.clone(),
        shared.settings.lease,
    )
}

/// The first claim of a run says how many lanes it wants. If the process bears the name of one that has died, it takes its lanes; only
/// now, or two that live with one name would take them from each other for ever.
fn first_claim(shared: &Shared, spec: &Prepared) -> LaneClaim {
    let mut claim = claim(shared, spec);
    if let Some(lanes) = spec.lanes {
        claim = claim.wanting(lanes);
    }
    if shared.takes_over {
        claim = claim.taking_over();
    }
    claim
}

impl Coordinator {
    /// Claims, and does as it was answered.
    pub(super) async fn claim(&mut self) -> Result<(), StopReason> {
        self.asked = true;
        let since = Instant::now();
        let claiming = self.send_claim();
        let answer = tokio::select! {
            biased;
            // A claim that is dropped is made or not made; both are given back.
            () = self.stop.cancelled() => return Ok(()),
            answer = claiming => answer,
        };
        match answer {
            Ok(grant) => {
                self.take(Claimed { grant, since }).await;
                Ok(())
            }
            Err(error) => self.not_claimed(&error),
        }
    }

    async fn send_claim(&self) -> Result<LaneGrant, StoreError> {
        let (shared, spec) = (&*self.shared, &self.entry.spec);
        if self.claimed {
            shared.subscriptions.claim_lanes(claim(shared, spec)).await
        } else if spec.from_head {
            establish(shared, spec).await.map(|claimed| claimed.grant)
        } else {
            shared
                .subscriptions
                .claim_lanes(first_claim(shared, spec))
                .await
        }
    }

    /// Does as a claim was answered.
    pub(super) async fn take(&mut self, claimed: Claimed) {
        let Claimed { grant, since } = claimed;
        // A claim whose answer did not come may have taken lanes, and what it had to say of them is lost.
        let unheard = self.failed > 0;
        (self.asked, self.claimed, self.failed) = (true, true, 0);
        let lease = self.shared.settings.lease;
        let held = Held {
            until: since + lease,
            renewed: self.shared.clock.now(),
        };
        self.held.send_replace(held.until);
        self.next_claim = since + lease / 3;
        self.drain.send_if_modified(|drain| {
            let changed = *drain != grant.drain_to();
            *drain = grant.drain_to();
            changed
        });
        let standing_by = if grant.held().is_empty() {
            Some(self.who_has_them().await)
        } else {
            None
        };
        // The lanes first: else it would look for a moment as if others had those that are run here.
        self.grant(&grant, unheard);
        let lanes = grant.lanes().get();
        self.entry.report.claimed(lanes, held, standing_by);
        self.hand_out_requests().await;
    }

    async fn who_has_them(&self) -> StandingBy {
        let name = &self.entry.spec.name;
        let lanes = self.shared.subscriptions.list_lanes(name).await;
        let lanes = lanes.unwrap_or_default();
        let holder = lanes.iter().find_map(|lane| lane.holder());
        let positions = lanes.iter().map(|lane| {
            lane.checkpoint()
                .map_or(Position::START, |checkpoint| checkpoint.position())
        });
        StandingBy {
            holder: holder.map_or_else(|| "another process".into(), |holder| holder.name().into()),
            position: positions.min().unwrap_or(Position::START),
        }
    }

    /// A claim has failed: it is tried again, without end if the store is away, else as often as the policy says.
    fn not_claimed(&mut self, error: &StoreError) -> Result<(), StopReason> {
        self.failed = self.failed.saturating_add(1);
        let text: Arc<str> = error_text(error).into();
        self.entry.report.not_claimed(self.failed, &text);
        if !error.is_transient() && !self.entry.spec.retry.allows(self.failed) {
            return Err(StopReason::Store { error: text });
        }
        let (subscription, attempt) = (self.entry.spec.name.as_str(), self.failed);
        let position = self.entry.report.read().position().get();
        tracing::warn!(name: telemetry::RETRY, subscription, attempt, position, "will try again");
        // Not later than it would have claimed, since what runs here holds for a lease only.
        let wait = self.entry.spec.retry.wait(self.failed);
        self.next_claim = Instant::now() + wait.min(self.shared.settings.lease / 3);
        Ok(())
    }

    /// When to claim after a lane was lost: soon, but not in a circle.
    pub(super) fn claim_soon(&mut self) {
        self.lost = self.lost.saturating_add(1);
        let wait = RetryPolicy::new()
            .base(Duration::from_millis(5))
            .longest(self.shared.settings.lease / 3)
            .wait(self.lost);
        self.next_claim = self.next_claim.min(Instant::now() + wait);
    }
}
