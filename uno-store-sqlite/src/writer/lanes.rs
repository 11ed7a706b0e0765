//! [`Division`]: a subscription, its lanes and who shares them, as claims and resets change it. The rules are those of the contract of
//! [`LeaseStore`](uno_core::LeaseStore); rows are read and written in `rows`.

mod rows;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
};

use chrono::{DateTime, Utc};
use uno_core::{
    Checkpoint, Due, Fence, Lane, LaneClaim, LaneGrant, LaneLease, LeaseOwner, Position,
};
use uuid::Uuid;

/// A subscription that is divided into lanes.
pub(crate) struct Division {
    /// `None` before the first claim: there may be lanes that were written to all the same.
    number: Option<NonZeroU16>,
    /// How many lanes there shall be, when that is another number than there are.
    wanted: Option<NonZeroU16>,
    /// All there are rows for. Those from `number` on were written to by somebody who knew nothing of the number.
    lanes: BTreeMap<u16, Row>,
    members: BTreeMap<Uuid, Member>,
    changes: Changes,
}

/// What is to be written back.
#[derive(Default)]
struct Changes {
    subscription: bool,
    lanes: BTreeSet<u16>,
    /// From this one on there are no lanes any more.
    end: Option<u16>,
    members: BTreeSet<Uuid>,
}

#[derive(Default)]
struct Row {
    checkpoint: Option<Checkpoint>,
    fence: u64,
    /// How long the lease runs stands in the owner's row among the members, since a claim renews all leases of an owner.
    holder: Option<LeaseOwner>,
    attempt: Option<(Position, u32)>,
    /// Whether a holder did not give it back, and no attempt explains why.
    unexplained: bool,
}

struct Member {
    name: String,
    until: DateTime<Utc>,
    /// `false` for an earlier run of a process that has taken over: its leases run on, but nobody leaves it a share.
    counts: bool,
}

impl Division {
    /// Renews what the owner holds, and takes what is free up to its share.
    pub(crate) fn claim(&mut self, claim: &LaneClaim, now: DateTime<Utc>) -> LaneGrant {
        let number = self.open(claim.lanes(), claim.start());
        if let Some(wanted) = claim.lanes() {
            let wanted = Some(wanted).filter(|wanted| *wanted != number);
            self.changes.subscription |= self.wanted != wanted;
            self.wanted = wanted;
        }
        let number = self.change_number(number);
        self.join(claim, now);
        let share = self.share(claim.owner().id(), number);
        let taken = self.take(claim, share, number);
        self.grant(claim.owner().id(), number, share, &taken)
    }

    /// Puts all lanes to one place.
    pub(crate) fn reset(&mut self, to: Checkpoint) {
        let number = self.open(None, None);
        // All are in one place then, so a change of their number can be carried out.
        let number = self.wanted.unwrap_or(number);
        self.renew_all(number, Some(to));
    }

    /// Makes it one that is shared, if it is not yet: with the lanes that were written to before, which keep their checkpoints, or
    /// else with those that are wanted, which start there.
    fn open(&mut self, wanted: Option<NonZeroU16>, start: Option<Checkpoint>) -> NonZeroU16 {
        if let Some(number) = self.number {
            return number;
        }
        let written = self.lanes.keys().next_back();
        let written = written.map(|last| last.saturating_add(1).min(Lane::MOST));
        let written = written.and_then(NonZeroU16::new);
        let start = start.filter(|_| written.is_none());
        let number = written.or(wanted).unwrap_or(NonZeroU16::MIN);
        for lane in 0..number.get() {
            self.lanes.entry(lane).or_insert_with(|| {
                self.changes.lanes.insert(lane);
                Row {
                    checkpoint: start,
                    ..Row::default()
                }
            });
        }
        self.changes.subscription = true;
        self.number = Some(number);
        number
    }

    /// Changes the number of lanes if another one is wanted and all lanes are in one place.
    fn change_number(&mut self, number: NonZeroU16) -> NonZeroU16 {
        let place = self.place(number);
        let mut lanes = self.lanes.range(..number.get());
        match self.wanted {
            Some(wanted) if lanes.all(|(_, row)| row.checkpoint == place) => {
                self.renew_all(wanted, place);
                wanted
            }
            _ => number,
        }
    }

    /// The furthest checkpoint.
    fn place(&self, number: NonZeroU16) -> Option<Checkpoint> {
        let lanes = self.lanes.range(..number.get());
        let checkpoints = lanes.filter_map(|(_, row)| row.checkpoint);
        checkpoints.max_by_key(Checkpoint::position)
    }

    /// So many lanes in one place, free, with fences that none of them has had.
    fn renew_all(&mut self, number: NonZeroU16, checkpoint: Option<Checkpoint>) {
        let fence = self.lanes.values().map(|row| row.fence).max().unwrap_or(0) + 1;
        let fresh = |lane| {
            let row = Row {
                checkpoint,
                fence,
                ..Row::default()
            };
            (lane, row)
        };
        self.lanes = (0..number.get()).map(fresh).collect();
        self.changes.lanes = self.lanes.keys().copied().collect();
        self.changes.end = Some(number.get());
        self.changes.subscription = true;
        (self.number, self.wanted) = (Some(number), None);
    }

    /// Counts the owner among those who share, which renews what it holds.
    fn join(&mut self, claim: &LaneClaim, now: DateTime<Utc>) {
        let owner = claim.owner();
        let changed = &mut self.changes.members;
        self.members.retain(|id, member| {
            let there = member.until > now;
            if !there {
                changed.insert(*id);
            }
            there
        });
        for (id, member) in &mut self.members {
            if claim.takes_over() && member.counts && member.name == owner.name() {
                member.counts = false;
                changed.insert(*id);
            }
        }
        let member = Member {
            name: owner.name().to_owned(),
            until: Due::After(claim.lease()).time(now),
            counts: true,
        };
        self.members.insert(owner.id(), member);
        changed.insert(owner.id());
    }

    fn held_by(&self, id: Uuid, number: NonZeroU16) -> usize {
        let lanes = self.lanes.range(..number.get());
        lanes.filter(|(_, row)| row.is_held_by(id)).count()
    }

    fn owners(&self) -> impl Iterator<Item = Uuid> {
        let counted = self.members.iter().filter(|(_, member)| member.counts);
        counted.map(|(id, _)| *id)
    }

    /// An even part for each, and of what is left one more for those who hold most, so that as little as possible changes hands.
    fn share(&self, id: Uuid, number: NonZeroU16) -> u16 {
        let mut order: Vec<_> = self.owners().collect();
        order.sort_by_cached_key(|id| (Reverse(self.held_by(*id, number)), *id));
        let rank = order.iter().position(|other| *other == id).unwrap_or(0);
        let (lanes, owners) = (usize::from(number.get()), order.len().max(1));
        let share = lanes / owners + usize::from(rank < lanes % owners);
        u16::try_from(share).unwrap_or(Lane::MOST)
    }

    /// Takes free lanes up to the share. Which of them their last holder has not given back.
    fn take(&mut self, claim: &LaneClaim, share: u16, number: NonZeroU16) -> BTreeMap<u16, bool> {
        let owner = claim.owner();
        let held = self.held_by(owner.id(), number);
        let members = &self.members;
        let free = |row: &Row| {
            row.holder.as_ref().is_none_or(|holder| {
                // Whose time is over is not among the members any more.
                let earlier_run = claim.takes_over() && holder.name() == owner.name();
                holder.id() != owner.id() && (earlier_run || !members.contains_key(&holder.id()))
            })
        };
        let lanes = self.lanes.range_mut(..number.get());
        let free = lanes.filter(|(_, row)| free(row));
        let mut taken = BTreeMap::new();
        for (lane, row) in free.take(usize::from(share).saturating_sub(held)) {
            taken.insert(*lane, row.holder.is_some());
            row.unexplained |= row.holder.is_some() && !row.is_explained();
            row.fence += 1;
            row.holder = Some(owner.clone());
            self.changes.lanes.insert(*lane);
        }
        taken
    }

    fn grant(
        &self,
        id: Uuid,
        number: NonZeroU16,
        share: u16,
        taken: &BTreeMap<u16, bool>,
    ) -> LaneGrant {
        let lease = |(lane, row): (&u16, &Row)| {
            let abandoned = taken.get(lane).copied().unwrap_or(false);
            let (lane, fence) = (Lane::new(*lane), Fence::new(row.fence));
            LaneLease::new(lane, fence, abandoned, row.attempt())
                .with_unexplained_end(row.unexplained)
        };
        let lanes = self.lanes.range(..number.get());
        let held = lanes.filter(|(_, row)| row.is_held_by(id)).map(lease);
        let owners = u32::try_from(self.owners().count()).unwrap_or(u32::MAX);
        let drain_to = self.wanted.and_then(|_| self.place(number));
        LaneGrant::new(number, owners, share, held.collect(), drain_to)
    }
}

impl Row {
    fn is_held_by(&self, id: Uuid) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.id() == id)
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
