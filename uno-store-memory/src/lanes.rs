//! The lanes of subscriptions: their checkpoints, and who has them on lease.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU16,
    time::Duration,
};

use chrono::{DateTime, Utc};
use uno_core::{
    Checkpoint, CheckpointWrite, CommitError, Fence, Lane, LaneAttempt, LaneClaim, LaneGrant,
    LaneLease, LaneRecord, LaneRelease, LeaseOwner, Position, Stale, SubscriptionName,
};
use uuid::Uuid;

/// The lanes of every subscription.
#[derive(Default)]
pub(crate) struct Lanes(BTreeMap<SubscriptionName, Lanewise>);

/// The lanes of one subscription, and who shares them.
#[derive(Default)]
struct Lanewise {
    /// Whether it was ever claimed. Before, it has the lanes that were written to, and nobody's.
    claimed: bool,
    lanes: BTreeMap<Lane, Row>,
    /// How many lanes there shall be, when that is another number than there are.
    wanted: Option<NonZeroU16>,
    owners: BTreeMap<Uuid, Member>,
}

struct Member {
    name: String,
    until: DateTime<Utc>,
}

#[derive(Default)]
struct Row {
    checkpoint: Option<Checkpoint>,
    fence: u64,
    holder: Option<Holder>,
    attempt: Option<(Position, u32)>,
    /// Whether a holder did not give it back, and no attempt explains why.
    unexplained: bool,
}

struct Holder {
    owner: LeaseOwner,
    until: DateTime<Utc>,
}

impl Lanes {
    /// Whether these moves, one after the other, find every checkpoint where they expect it and every lane on their lease.
    pub(crate) fn check(&self, writes: &[CheckpointWrite]) -> Result<(), Stale> {
        let mut moved: HashMap<(&SubscriptionName, Lane), Position> = HashMap::new();
        for write in writes {
            let (subscription, lane) = (write.subscription(), write.of_lane());
            let row = self.row(subscription, lane);
            let lease = row.and_then(|row| row.holder.as_ref().map(|_| Fence::new(row.fence)));
            let is_missing = row.is_none() && self.0.get(subscription).is_some_and(|of| of.claimed);
            if is_missing || lease != write.fence() {
                return Err(Stale::Lease {
                    subscription: subscription.clone(),
                    lane,
                });
            }
            let stored = || Some(row?.checkpoint?.position());
            let there = moved.get(&(subscription, lane)).copied().or_else(stored);
            if there != write.expected() {
                return Err(Stale::Checkpoint(subscription.clone()));
            }
            moved.insert((subscription, lane), write.checkpoint().position());
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, write: &CheckpointWrite) {
        let of = self.0.entry(write.subscription().clone()).or_default();
        let row = of.lanes.entry(write.of_lane()).or_default();
        row.checkpoint = Some(write.checkpoint());
    }

    pub(crate) fn checkpoint(
        &self,
        subscription: &SubscriptionName,
        lane: Lane,
    ) -> Option<Checkpoint> {
        self.row(subscription, lane)?.checkpoint
    }

    pub(crate) fn checkpoints(&self) -> Vec<(SubscriptionName, Lane, Checkpoint)> {
        let of = |(name, of): (&SubscriptionName, &Lanewise)| {
            let saved = |(lane, row): (&Lane, &Row)| Some((name.clone(), *lane, row.checkpoint?));
            of.lanes.iter().filter_map(saved).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }

    pub(crate) fn claim(&mut self, claim: &LaneClaim, now: DateTime<Utc>) -> LaneGrant {
        let of = self.0.entry(claim.subscription().clone()).or_default();
        of.open(claim.lanes(), claim.start());
        if let Some(wanted) = claim.lanes() {
            of.wanted = Some(wanted).filter(|wanted| *wanted != of.count());
        }
        of.change_number();
        let until = end(now, claim.lease());
        of.join(claim, until, now);
        let share = of.share(claim.owner().id());
        let taken = of.take(claim, share, until, now);
        of.grant(claim.owner(), share, &taken)
    }

    pub(crate) fn release(&mut self, release: &LaneRelease) {
        let Some(of) = self.0.get_mut(release.subscription()) else {
            return;
        };
        let id = release.owner().id();
        for (lane, row) in &mut of.lanes {
            if row.is_held_by(id) && release.lanes().is_none_or(|lanes| lanes.contains(lane)) {
                row.holder = None;
            }
        }
        if release.lanes().is_none() {
            of.owners.remove(&id);
        }
    }

    pub(crate) fn note(&mut self, attempt: &LaneAttempt) -> Result<(), CommitError> {
        let row = self
            .0
            .get_mut(attempt.subscription())
            .and_then(|of| of.lanes.get_mut(&attempt.lane()))
            .filter(|row| row.holder.is_some() && row.fence == attempt.fence().get());
        let Some(row) = row else {
            return Err(CommitError::Stale(Stale::Lease {
                subscription: attempt.subscription().clone(),
                lane: attempt.lane(),
            }));
        };
        row.attempt = Some((attempt.position(), attempt.attempt()));
        row.unexplained &= attempt.leaves_unexplained();
        Ok(())
    }

    pub(crate) fn reset(&mut self, subscription: &SubscriptionName, to: Checkpoint) {
        let of = self.0.entry(subscription.clone()).or_default();
        of.open(None, None);
        for row in of.lanes.values_mut() {
            row.checkpoint = Some(to);
        }
        // All are in one place, so a change of their number can be carried out.
        let number = of.wanted.take().unwrap_or(of.count());
        of.renew_all(number);
    }

    pub(crate) fn list(
        &self,
        subscription: &SubscriptionName,
        now: DateTime<Utc>,
    ) -> Vec<LaneRecord> {
        let Some(of) = self.0.get(subscription).filter(|of| of.claimed) else {
            return Vec::new();
        };
        let record = |(lane, row): (&Lane, &Row)| {
            let left = |holder: &Holder| (holder.until - now).to_std().unwrap_or_default();
            let holder = row.holder.as_ref();
            let holder = holder.map(|holder| (holder.owner.clone(), left(holder)));
            let (fence, attempt) = (Fence::new(row.fence), row.attempt());
            LaneRecord::new(*lane, fence, holder, row.checkpoint, attempt)
        };
        of.lanes.iter().map(record).collect()
    }

    fn row(&self, subscription: &SubscriptionName, lane: Lane) -> Option<&Row> {
        self.0.get(subscription)?.lanes.get(&lane)
    }
}

impl Lanewise {
    /// Makes it one that is shared, if it is not yet.
    fn open(&mut self, wanted: Option<NonZeroU16>, start: Option<Checkpoint>) {
        if self.claimed {
            return;
        }
        self.claimed = true;
        // Lanes that were written to before keep their checkpoints; how many there are goes by the last of them.
        let written = self
            .lanes
            .keys()
            .next_back()
            .map(|lane| lane.get().saturating_add(1));
        let first = written.is_none();
        for lane in 0..written.unwrap_or(wanted.map_or(1, NonZeroU16::get)) {
            let row = self.lanes.entry(Lane::new(lane)).or_default();
            if first {
                row.checkpoint = start;
            }
        }
    }

    fn count(&self) -> NonZeroU16 {
        let count = u16::try_from(self.lanes.len()).unwrap_or(Lane::MOST);
        NonZeroU16::new(count).unwrap_or(NonZeroU16::MIN)
    }

    /// The furthest checkpoint.
    fn place(&self) -> Option<Checkpoint> {
        let checkpoints = self.lanes.values().filter_map(|row| row.checkpoint);
        checkpoints.max_by_key(Checkpoint::position)
    }

    /// Changes the number of lanes if another one is wanted and all lanes are in one place.
    fn change_number(&mut self) {
        let place = self.place();
        if self.lanes.values().all(|row| row.checkpoint == place)
            && let Some(wanted) = self.wanted.take()
        {
            self.renew_all(wanted);
        }
    }

    /// So many lanes from the place of the first, free, with fences that none of them has had.
    fn renew_all(&mut self, number: NonZeroU16) {
        let checkpoint = self.place();
        let fence = self.lanes.values().map(|row| row.fence).max().unwrap_or(0) + 1;
        let fresh = || Row {
            checkpoint,
            fence,
            holder: None,
            attempt: None,
            unexplained: false,
        };
        self.lanes = (0..number.get())
            .map(|lane| (Lane::new(lane), fresh()))
            .collect();
    }

    /// Counts the owner among those who share, and renews what it holds.
    fn join(&mut self, claim: &LaneClaim, until: DateTime<Utc>, now: DateTime<Utc>) {
        let owner = claim.owner();
        let gone = |id: &Uuid, member: &Member| {
            member.until <= now
                || (claim.takes_over() && member.name == owner.name() && *id != owner.id())
        };
        self.owners.retain(|id, member| !gone(id, member));
        let name = owner.name().to_owned();
        self.owners.insert(owner.id(), Member { name, until });
        for row in self.lanes.values_mut() {
            if let Some(holder) = &mut row.holder
                && holder.owner.id() == owner.id()
            {
                holder.until = until;
            }
        }
    }

    fn held_by(&self, id: Uuid) -> usize {
        self.lanes.values().filter(|row| row.is_held_by(id)).count()
    }

    /// An even part for each, and of what is left one more for those who hold most, so that as little as possible changes hands.
    fn share(&self, id: Uuid) -> u16 {
        let mut order: Vec<_> = self.owners.keys().copied().collect();
        order.sort_by_key(|id| (std::cmp::Reverse(self.held_by(*id)), *id));
        let rank = order.iter().position(|other| *other == id).unwrap_or(0);
        let (lanes, owners) = (self.lanes.len(), order.len().max(1));
        let share = lanes / owners + usize::from(rank < lanes % owners);
        u16::try_from(share).unwrap_or(Lane::MOST)
    }

    /// Takes free lanes up to the share. Which of them their last holder has not given back.
    fn take(
        &mut self,
        claim: &LaneClaim,
        share: u16,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> HashMap<Lane, bool> {
        let owner = claim.owner();
        let mut held = self.held_by(owner.id());
        let mut taken = HashMap::new();
        for (lane, row) in &mut self.lanes {
            if held >= usize::from(share) {
                break;
            }
            let free = row.holder.as_ref().is_none_or(|holder| {
                let other = holder.owner.id() != owner.id();
                let earlier_run = claim.takes_over() && holder.owner.name() == owner.name();
                other && (holder.until <= now || earlier_run)
            });
            if free {
                taken.insert(*lane, row.holder.is_some());
                row.unexplained |= row.holder.is_some() && !row.is_explained();
                row.fence += 1;
                let owner = owner.clone();
                row.holder = Some(Holder { owner, until });
                held += 1;
            }
        }
        taken
    }

    fn grant(&self, owner: &LeaseOwner, share: u16, taken: &HashMap<Lane, bool>) -> LaneGrant {
        let lease = |(lane, row): (&Lane, &Row)| {
            let abandoned = taken.get(lane).copied().unwrap_or(false);
            LaneLease::new(*lane, Fence::new(row.fence), abandoned, row.attempt())
                .with_unexplained_end(row.unexplained)
        };
        let held = self
            .lanes
            .iter()
            .filter(|(_, row)| row.is_held_by(owner.id()));
        let owners = u32::try_from(self.owners.len()).unwrap_or(u32::MAX);
        let drain_to = self.wanted.and_then(|_| self.place());
        LaneGrant::new(
            self.count(),
            owners,
            share,
            held.map(lease).collect(),
            drain_to,
        )
    }
}

impl Row {
    fn is_held_by(&self, id: Uuid) -> bool {
        self.holder
            .as_ref()
            .is_some_and(|holder| holder.owner.id() == id)
    }

    /// The last attempt, unless the checkpoint is past it.
    fn attempt(&self) -> Option<(Position, u32)> {
        let done = self.checkpoint.map(|checkpoint| checkpoint.position());
        self.attempt.filter(|(position, _)| done < Some(*position))
    }

    /// Whether an unclean end would be put down to the attempt that was noted.
    fn is_explained(&self) -> bool {
        self.attempt().is_some_and(|(_, attempt)| attempt > 0)
    }
}

fn end(now: DateTime<Utc>, lease: Duration) -> DateTime<Utc> {
    uno_core::Due::After(lease).time(now)
}
