//! Leases: what is asked for is not what is done, and what is told is not what was granted.

use std::{collections::HashMap, num::NonZeroU16, sync::atomic::Ordering, time::Duration};

use tokio::task::yield_now;
use uno_core::{
    Checkpoint, CheckpointStore as _, CheckpointWrite, CommitError, Fence, Lane, LaneAttempt,
    LaneClaim, LaneGrant, LaneLease, LaneRecord, LaneRelease, LeaseOwner, LeaseStore as _,
    StoreError, SubscriptionName,
};

use super::{Fault, store::Broken};

impl Broken {
    pub(super) fn subscription(&self, name: &SubscriptionName) -> SubscriptionName {
        SubscriptionName::new(self.folded(name.as_str())).unwrap_or_else(|_| name.clone())
    }

    pub(super) async fn claim(&self, claim: LaneClaim) -> Result<LaneGrant, StoreError> {
        match self.fault {
            Fault::StaysBusyWhenDropped => {
                if self.notes.stuck.swap(true, Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                yield_now().await;
            }
            Fault::FailsWhenClaimsMeet => {
                let others = self.notes.busy.fetch_add(1, Ordering::SeqCst);
                yield_now().await;
                yield_now().await;
                self.notes.busy.fetch_sub(1, Ordering::SeqCst);
                if others > 0 {
                    return Err(StoreError::Backend("somebody else claims".into()));
                }
            }
            _ => {}
        }
        let claim = self.twist_claim(claim).await?;
        let mut grant = self.inner.claim_lanes(claim.clone()).await?;
        if let (Fault::ChangesTheNumberAtOnce, Some(place)) = (self.fault, grant.drain_to()) {
            self.inner.reset_lanes(claim.subscription(), place).await?;
            grant = self.inner.claim_lanes(claim.clone()).await?;
        }
        if self.has(Fault::StaysBusyWhenDropped) {
            self.notes.stuck.store(false, Ordering::SeqCst);
        }
        self.tell_grant(&claim, grant).await
    }

    /// Changes what a claim asks for.
    async fn twist_claim(&self, claim: LaneClaim) -> Result<LaneClaim, StoreError> {
        let subscription = self.subscription(claim.subscription());
        let there = self.inner.list_lanes(&subscription).await?;
        let mut owner = claim.owner().clone();
        let (mut lease, mut lanes) = (claim.lease(), claim.lanes());
        let (mut start, mut takes_over) = (claim.start(), claim.takes_over());
        match self.fault {
            Fault::StealsLanes => {
                owner = LeaseOwner::from_parts(owner.id(), "thief");
                takes_over = true;
            }
            Fault::TakesOverFromAll => owner = LeaseOwner::from_parts(owner.id(), "thief"),
            Fault::TakesOverUnasked => takes_over = true,
            Fault::TakesNothingOver => takes_over = false,
            Fault::FoldsNamesOfOwners => {
                let name = owner.name().trim().to_lowercase();
                owner = LeaseOwner::from_parts(owner.id(), name);
            }
            Fault::LeasesRunOutEarly => lease /= 1_000,
            Fault::RenewsNothing if there.iter().any(|lane| lane.holder() == Some(&owner)) => {
                lease = Duration::ZERO;
            }
            Fault::IgnoresWantedLanes => lanes = None,
            Fault::CapsLanesAt(cap) => {
                lanes = lanes.map(|lanes| lanes.min(NonZeroU16::new(cap).unwrap_or(lanes)));
            }
            Fault::NeverChangesTheNumber if !there.is_empty() => lanes = None,
            Fault::KeepsTheFirstWish if self.notes.get().place.is_some() => lanes = None,
            Fault::IgnoresStarts => start = None,
            Fault::StartsAgain => {
                let known = self.inner.list_checkpoints().await?;
                let known = known.iter().any(|(name, ..)| *name == subscription);
                if let (Some(start), true) = (start, known || !there.is_empty()) {
                    self.inner.reset_lanes(&subscription, start).await?;
                }
            }
            _ => {}
        }
        let mut twisted = LaneClaim::new(subscription, owner, lease);
        if let Some(lanes) = lanes {
            twisted = twisted.wanting(lanes);
        }
        if let Some(start) = start {
            twisted = twisted.starting_at(start);
        }
        Ok(if takes_over {
            twisted.taking_over()
        } else {
            twisted
        })
    }

    /// Changes what was granted.
    async fn tell_grant(
        &self,
        claim: &LaneClaim,
        grant: LaneGrant,
    ) -> Result<LaneGrant, StoreError> {
        let (subscription, owner) = (claim.subscription().clone(), claim.owner().clone());
        let lanes = grant.lanes();
        let (mut owners, mut share) = (grant.owners(), grant.share());
        let (mut held, mut drain_to) = (grant.held().to_vec(), grant.drain_to());
        let listed = self.inner.list_lanes(&subscription).await?;
        let mut surplus = Vec::new();
        {
            let mut notes = self.notes.get();
            notes.claims += 1;
            notes.owners.insert((subscription.clone(), owner.id()));
            let place = *notes.place.get_or_insert(drain_to.unwrap_or_else(nowhere));
            if drain_to.is_none() {
                notes.place = None;
            }
            match self.fault {
                Fault::GrantsNoRunOutLanes => {
                    let (unclean, clean) = held.iter().partition(|lease| lease.was_abandoned());
                    (surplus, held) = (unclean, clean);
                }
                Fault::GrantsWhatWasTaken => {
                    let key = (subscription.clone(), owner.clone());
                    let before = notes.granted.insert(key, held.clone());
                    let gone =
                        |lease: &LaneLease| held.iter().all(|other| other.lane() != lease.lane());
                    let gone: Vec<_> = before.into_iter().flatten().filter(gone).collect();
                    held.extend(gone);
                    held.sort_by_key(|lease| lease.lane());
                }
                Fault::GrantsTheLastLanesFirst => {
                    let mirrored = |lease: &LaneLease| {
                        let lane = Lane::new(lanes.get() - 1 - lease.lane().get());
                        LaneLease::new(lane, lease.fence(), lease.was_abandoned(), lease.attempt())
                            .with_unexplained_end(lease.has_unexplained_end())
                    };
                    held = held.iter().rev().map(mirrored).collect();
                }
                Fault::GrantsNothingWhileDraining if drain_to.is_some() => held.clear(),
                Fault::TakesTheSurplusAway if held.len() > usize::from(share) => {
                    surplus = held.split_off(share.into());
                }
                Fault::CountsOneOwner => owners = 1,
                Fault::RemembersOwnersForEver => {
                    let mut all = 0;
                    for (of, _) in &notes.owners {
                        all += u32::from(*of == subscription);
                    }
                    owners = all;
                }
                Fault::SharesAreWhole => share = lanes.get(),
                Fault::SharesTheRemainderTheOtherWay => {
                    let even = u32::from(lanes.get()) / owners;
                    let even = u16::try_from(even).unwrap_or(share);
                    if !u32::from(lanes.get()).is_multiple_of(owners) {
                        share = if share > even { even } else { even + 1 };
                    }
                }
                Fault::DrainsToTheNearest => {
                    let places = listed.iter().filter_map(LaneRecord::checkpoint);
                    let nearest = places.min_by_key(Checkpoint::position);
                    drain_to = drain_to.and(nearest);
                }
                Fault::FixesThePlaceOnce => drain_to = drain_to.map(|_| place),
                _ => {}
            }
            let mut tell = |lease: &LaneLease| {
                let mut unclean = lease.was_abandoned();
                match self.fault {
                    Fault::HidesUncleanEnds => unclean = false,
                    Fault::CallsEveryEndUnclean => unclean = true,
                    Fault::TellsUncleanEndsAgain => {
                        let known = (lease.lane(), lease.fence());
                        if unclean {
                            notes.unclean.insert(known);
                        }
                        unclean = notes.unclean.contains(&known);
                    }
                    _ => {}
                }
                let fence = match self.fault {
                    Fault::FencesStay => Fence::new(1),
                    Fault::RenewalsRaiseFences => Fence::new(lease.fence().get() + notes.claims),
                    _ => lease.fence(),
                };
                let attempt = match self.fault {
                    Fault::ForgetsAttempts => None,
                    Fault::AttemptsOutlive => notes
                        .attempts
                        .get(&(subscription.clone(), lease.lane()))
                        .map(|noted| (noted.position(), noted.attempt())),
                    _ => lease.attempt(),
                };
                let unexplained = self.tell_unexplained(&mut notes, &subscription, lease, &listed);
                LaneLease::new(lease.lane(), fence, unclean, attempt)
                    .with_unexplained_end(unexplained)
            };
            held = held.iter().map(&mut tell).collect();
        }
        if !surplus.is_empty() {
            let surplus = surplus.iter().map(LaneLease::lane).collect();
            let release = LaneRelease::of(subscription, owner, surplus);
            self.inner.release_lanes(release).await?;
        }
        Ok(LaneGrant::new(lanes, owners, share, held, drain_to))
    }

    pub(super) async fn release(&self, release: LaneRelease) -> Result<(), StoreError> {
        let subscription = self.subscription(release.subscription());
        let owner = release.owner().clone();
        let listed = self.inner.list_lanes(&subscription).await?;
        let asked = |lane: &LaneRecord| {
            let lanes = release.lanes();
            lanes.is_none_or(|lanes| lanes.contains(&lane.lane()))
        };
        let own = |lane: &&LaneRecord| lane.holder().map(LeaseOwner::id) == Some(owner.id());
        let all: Vec<_> = listed.iter().filter(own).map(LaneRecord::lane).collect();
        if self.has(Fault::ReleasesExplain) {
            self.explain_ends(&subscription, all.iter().copied());
        }
        let named = |lanes| LaneRelease::of(subscription.clone(), owner.clone(), lanes);
        let leaving = LaneRelease::leaving(subscription.clone(), owner.clone());
        let release = match (self.fault, release.lanes()) {
            (Fault::ReleasesNothing, Some(_)) => return Ok(()),
            (Fault::ReleasesEverything, Some(_)) | (Fault::LeavesNothing, None) => named(all),
            (Fault::ReleasesLanesOfOthers, _) => {
                for lane in listed.iter().filter(|lane| asked(lane)) {
                    if let Some(holder) = lane.holder() {
                        let (holder, lanes) = (holder.clone(), vec![lane.lane()]);
                        let release = LaneRelease::of(subscription.clone(), holder, lanes);
                        self.inner.release_lanes(release).await?;
                    }
                }
                return Ok(());
            }
            (Fault::TakesNoLateRelease, _)
                if listed
                    .iter()
                    .filter(own)
                    .any(|lane| asked(lane) && lane.runs_out_in() == Some(Duration::ZERO)) =>
            {
                return Ok(());
            }
            (Fault::LeavesWithTheLastLane, Some(lanes))
                if all.iter().all(|lane| lanes.contains(lane)) =>
            {
                leaving
            }
            (_, Some(lanes)) => named(lanes.to_vec()),
            (_, None) => leaving,
        };
        self.inner.release_lanes(release).await
    }

    pub(super) async fn note_try(&self, attempt: LaneAttempt) -> Result<(), CommitError> {
        let subscription = self.subscription(attempt.subscription());
        let (lane, position) = (attempt.lane(), attempt.position());
        let mut fence = attempt.fence();
        if self.has(Fault::NotesUnasked) {
            let listed = self.inner.list_lanes(&subscription).await?;
            let held = listed.iter().find(|record| record.lane() == lane);
            let Some(held) = held.filter(|record| record.holder().is_some()) else {
                return Ok(());
            };
            fence = held.fence();
        }
        let key = (subscription.clone(), lane);
        let leaves = self.leaves_unexplained(&attempt);
        let twisted = LaneAttempt::new(subscription, lane, fence, position, attempt.attempt())
            .leaving_unexplained(leaves);
        self.inner.note_attempt(twisted.clone()).await?;
        self.notes.get().attempts.insert(key, twisted);
        Ok(())
    }

    pub(super) async fn reset(
        &self,
        subscription: &SubscriptionName,
        to: Checkpoint,
    ) -> Result<(), StoreError> {
        let subscription = &self.subscription(subscription);
        match self.fault {
            Fault::ResetsNothing => return Ok(()),
            Fault::ResetsUnderTheLeases => {
                for lane in self.inner.list_lanes(subscription).await? {
                    let from = lane.checkpoint().map(|from| from.position());
                    let write = CheckpointWrite::new(subscription.clone(), from, to);
                    let write = match lane.holder() {
                        Some(_) => write.fenced(lane.lane(), lane.fence()),
                        None => write.lane(lane.lane()),
                    };
                    let saved = self.inner.save_checkpoint(write).await;
                    saved.map_err(|error| StoreError::Backend(error.into()))?;
                }
                return Ok(());
            }
            Fault::ResetsLaneByLane => {
                self.notes.get().resetting = Some((subscription.clone(), to));
                for _ in 0..8 {
                    yield_now().await;
                }
            }
            Fault::ResetForgetsTheWish => {
                let owner = LeaseOwner::new("nobody");
                let claim = LaneClaim::new(subscription.clone(), owner.clone(), Duration::ZERO);
                let count = self.inner.claim_lanes(claim.clone()).await?.lanes();
                self.inner.claim_lanes(claim.wanting(count)).await?;
                let leaving = LaneRelease::leaving(subscription.clone(), owner);
                self.inner.release_lanes(leaving).await?;
            }
            _ => {}
        }
        let parked = self.all_parked(subscription).await?;
        self.inner.reset_lanes(subscription, to).await?;
        self.notes.get().resetting = None;
        self.reset_parked(subscription, to, &parked).await
    }

    pub(super) async fn lanes(
        &self,
        subscription: &SubscriptionName,
    ) -> Result<Vec<LaneRecord>, StoreError> {
        let subscription = &self.subscription(subscription);
        let mut listed = self.inner.list_lanes(subscription).await?;
        let notes = self.notes.get();
        if self.gone() {
            listed.clear();
        }
        if self.has(Fault::ListsLanesByLetters) {
            listed.sort_by_key(|lane| lane.lane().to_string());
        }
        let attempts: HashMap<_, _> = notes
            .attempts
            .iter()
            .filter(|((of, _), _)| of == subscription)
            .map(|((_, lane), noted)| (*lane, (noted.position(), noted.attempt())))
            .collect();
        let record = |(number, lane): (usize, &LaneRecord)| {
            let fence = if self.has(Fault::FencesStay) {
                Fence::new(1)
            } else {
                lane.fence()
            };
            let holder = lane.holder().zip(lane.runs_out_in()).map(|(owner, left)| {
                let name = match self.fault {
                    Fault::LosesNamesOfOwners => "",
                    _ => owner.name(),
                };
                (LeaseOwner::from_parts(owner.id(), name), left)
            });
            let attempt = match self.fault {
                Fault::ForgetsAttempts => None,
                Fault::AttemptsOutlive => attempts.get(&lane.lane()).copied(),
                _ => lane.attempt(),
            };
            let checkpoint = match &notes.resetting {
                Some((of, to)) if of == subscription && number == 0 => Some(*to),
                _ => lane.checkpoint(),
            };
            LaneRecord::new(lane.lane(), fence, holder, checkpoint, attempt)
        };
        Ok(listed.iter().enumerate().map(record).collect())
    }
}

/// Where no lane is ever drained to.
fn nowhere() -> Checkpoint {
    Checkpoint::start(uno_core::StoreEpoch::from_uuid(uuid::Uuid::nil()))
}
