//! How a [`Coordinator`] has its lanes run.

use std::sync::Arc;

use tokio::{task::JoinError, time::Instant};
use uno_core::{Lane, LaneGrant, LaneLease, LaneRelease};

use super::{Coordinator, Running};
use crate::{
    StopReason,
    guard::panic_text,
    manager::runner::{LaneEnd, LaneLink, Mailbox, Runner},
};

/// How many requests are looked at in one go; the others come the next time.
const REQUESTS: usize = 1_000;

impl Coordinator {
    /// Runs what is granted, and ends what is not. `unheard`: claims before this one were not answered.
    pub(super) fn grant(&mut self, grant: &LaneGrant, unheard: bool) {
        let before = std::mem::take(&mut self.leases);
        for lease in grant.held() {
            // That the holder before did not give it back is told once, by the claim that took it.
            let known = before
                .get(&lease.lane())
                .filter(|known| known.fence() == lease.fence());
            if known.is_none() && unheard {
                // One of them may have taken it from a holder that has died: better one event at a time for nothing.
                self.unheard.insert(lease.lane());
            }
            self.leases.insert(lease.lane(), *known.unwrap_or(lease));
        }
        for (lane, running) in &self.running {
            let lease = self.leases.get(lane);
            if lease.is_none_or(|lease| lease.fence() != running.lease.fence()) {
                running.stop.cancel();
            }
        }
        self.lanes = grant.lanes();
        let waiting: Vec<_> = self
            .leases
            .values()
            .filter(|lease| !self.running.contains_key(&lease.lane()))
            .copied()
            .collect();
        if waiting.is_empty() {
            self.lost = 0;
        }
        for lease in waiting {
            self.start_lane(lease);
        }
        self.give_back_surplus(usize::from(grant.share()));
    }

    /// Of what is more than the share, each lane is given back once its batch in hand is done.
    fn give_back_surplus(&mut self, share: usize) {
        let mut surplus = self.leases.len().saturating_sub(share);
        for running in self.running.values_mut().rev() {
            if surplus == 0 {
                return;
            }
            surplus -= 1;
            running.give_back = true;
            running.stop.cancel();
        }
    }

    fn start_lane(&mut self, lease: LaneLease) {
        let lane = lease.lane();
        let (stop, mailbox) = (self.stop.child_token(), Arc::new(Mailbox::default()));
        let link = LaneLink {
            lease,
            unheard: self.unheard.remove(&lane),
            lanes: self.lanes,
            stop: stop.clone(),
            held: self.held.subscribe(),
            drain: self.drain.subscribe(),
            mailbox: Arc::clone(&mailbox),
        };
        self.entry.report.lane_taken(lane);
        let runner = Runner::new(Arc::clone(&self.shared), Arc::clone(&self.entry), link);
        self.tasks.spawn(async move { (lane, runner.run().await) });
        let running = Running {
            lease,
            stop,
            mailbox,
            give_back: false,
        };
        self.running.insert(lane, running);
    }

    /// A lane has ended. Its subscription ends with it, if the lane can't go on.
    pub(super) async fn ended(
        &mut self,
        ended: Result<(Lane, LaneEnd), JoinError>,
    ) -> Result<(), StopReason> {
        let (lane, end) = match ended {
            Ok(ended) => ended,
            Err(error) => return Err(panicked(error)),
        };
        if let LaneEnd::Stop(why) = end {
            return Err(why);
        }
        let Some(running) = self.running.remove(&lane) else {
            return Ok(());
        };
        self.entry.report.lane_left(lane);
        if running.give_back {
            let (name, owner) = (self.entry.spec.name.clone(), self.shared.owner.clone());
            let release = LaneRelease::of(name, owner, vec![lane]);
            if self.leases.get(&lane).map(LaneLease::fence) == Some(running.lease.fence()) {
                self.leases.remove(&lane);
            }
            // When it fails the lane is still ours: the next claim says so, and that it is too many.
            let _ = self.shared.subscriptions.release_lanes(release).await;
            return Ok(());
        }
        match self.leases.get(&lane).copied() {
            // A newer lease was waiting for the lane to end.
            Some(lease) if lease.fence() != running.lease.fence() => self.start_lane(lease),
            Some(_) => {
                self.leases.remove(&lane);
                self.claim_soon();
            }
            None => {}
        }
        Ok(())
    }

    /// Hands requests to those who run the lanes of their keys. While nothing of theirs is parked, nobody can have asked for anything.
    pub(super) async fn hand_out_requests(&mut self) {
        let mut running = self.running.values();
        if !running.any(|running| running.mailbox.expects_requests()) {
            return;
        }
        let name = &self.entry.spec.name;
        let requests = self
            .shared
            .subscriptions
            .list_requests(name, REQUESTS)
            .await;
        let Ok(requests) = requests else {
            // They are still there the next time, which need not be a third of a lease from now.
            let soon = Instant::now() + self.entry.spec.retry.wait(1);
            self.next_claim = self.next_claim.min(soon);
            return;
        };
        for (key, request) in requests {
            if let Some(running) = self.running.get(&Lane::of(&key, self.lanes)) {
                running.mailbox.put(key, request);
            }
        }
    }
}

fn panicked(error: JoinError) -> StopReason {
    let message = match error.try_into_panic() {
        Ok(panic) => panic_text(&*panic),
        Err(_) => "a lane was ended from outside".to_owned(),
    };
    StopReason::Panicked {
        message: message.into(),
    }
}
