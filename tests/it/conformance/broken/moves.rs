//! What is asked for is not what is done: moves of checkpoints, their fences, and what they park.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    time::Duration,
};

use uno_core::{
    CheckpointStore as _, CheckpointWrite, Commit, CommitError, EventId, Fence, Lane,
    LeaseStore as _, ParkedEvent, ParkedFailure, ParkingStore as _, ParkingWrite, Position, Stale,
    StoreEpoch, StoreError, SubscriptionName,
};
use uno_store_memory::MemoryTx;

use super::{Fault, store::Broken};

/// The events of a key that were parked before a commit, and that are by now.
type Parked = (BTreeSet<Position>, BTreeSet<Position>);

/// A lane that no case uses, for what is parked apart from its move.
const ASIDE: Lane = Lane::new(900);

impl Broken {
    /// Changes the lanes and fences of moves, and what they park.
    pub(super) async fn twist_moves(
        &self,
        commit: &mut Commit<MemoryTx>,
    ) -> Result<(), StoreError> {
        let mut parked = HashMap::new();
        for write in &mut commit.checkpoints {
            let (lane, fence) = self.twist_lease(write).await?;
            let parking = self.twist_parking(write, &mut parked).await?;
            *write = rebuilt(write, write.expected(), lane, fence, parking);
        }
        Ok(())
    }

    async fn twist_lease(
        &self,
        write: &CheckpointWrite,
    ) -> Result<(Lane, Option<Fence>), StoreError> {
        let (lane, fence) = (write.of_lane(), write.fence());
        let listed = self.inner.list_lanes(write.subscription()).await?;
        let record = listed.iter().find(|record| record.lane() == lane);
        let held = record.filter(|record| record.holder().is_some());
        let current = held.map(uno_core::LaneRecord::fence);
        let has_run_out = held.is_some_and(|record| record.runs_out_in() == Some(Duration::ZERO));
        Ok(match (self.fault, fence) {
            (Fault::IgnoresLanes, _) => (Lane::FIRST, fence),
            (Fault::IgnoresFences, _) | (Fault::MovesHeldLanesWithoutAFence, None) => {
                (lane, current)
            }
            (Fault::TakesRunOutLeasesForNone, None) if has_run_out => (lane, current),
            (Fault::RefusesRunOutLeases, Some(_)) if has_run_out => {
                (lane, Some(Fence::new(u64::MAX >> 1)))
            }
            (Fault::FencesOutliveLeases, Some(fence))
                if held.is_none() && record.is_some_and(|record| record.fence() == fence) =>
            {
                (lane, None)
            }
            _ => (lane, fence),
        })
    }

    /// What a move parks, as far as the fault lets it. `parked` is what was parked at first and is by then, as far as it was looked at.
    async fn twist_parking(
        &self,
        write: &CheckpointWrite,
        parked: &mut HashMap<(SubscriptionName, String), Parked>,
    ) -> Result<Vec<ParkingWrite>, StoreError> {
        let mut kept = Vec::new();
        let mut writes = write.parked().to_vec();
        if self.has(Fault::ReversesParking) {
            writes.reverse();
        }
        let of = write.subscription();
        for mut write in writes {
            write = keyed(&write, &self.folded(write.key()));
            let key = (of.clone(), write.key().to_owned());
            if let Entry::Vacant(unknown) = parked.entry(key.clone()) {
                let (start, most) = (Position::START, usize::MAX);
                let events = self.inner.parked_events(of, write.key(), start, most);
                let events = events.await?;
                let stored: BTreeSet<_> = events.iter().map(ParkedEvent::position).collect();
                unknown.insert((stored.clone(), stored));
            }
            let (stored, there) = parked.entry(key).or_default();
            let (fits, did_fit) = (fits(&write, there), fits(&write, stored));
            match (self.fault, &write) {
                (Fault::ParksBehindNothing, ParkingWrite::Park { .. })
                | (Fault::TakesOffUnasked, ParkingWrite::TakeOff { .. })
                | (Fault::EmptiesUnasked, ParkingWrite::Empty { .. })
                    if !fits =>
                {
                    continue;
                }
                (Fault::ChecksParkingBeforeTheWrite, _) if !fits && did_fit => continue,
                (Fault::SkipsBadNames, _) if !(1..=1_024).contains(&write.key().len()) => continue,
                (Fault::SkipsBadNames, _) if write.key().contains('\0') => continue,
                (
                    Fault::ParksEventsTwice,
                    ParkingWrite::Park {
                        key,
                        position,
                        event_id,
                        failure,
                    },
                ) if there.contains(position) => {
                    write = ParkingWrite::Park {
                        key: key.clone(),
                        position: Position::new(position.get() + 1_000_000)
                            .unwrap_or(Position::MAX),
                        event_id: *event_id,
                        failure: failure.clone(),
                    };
                }
                (Fault::KeepsTheFirstFailure, ParkingWrite::Park { failure, .. })
                    if !there.is_empty() && failure.is_some() =>
                {
                    write = behind(&write);
                }
                (Fault::EmptiesOneEvent, ParkingWrite::Empty { key }) => {
                    if let Some(first) = there.first() {
                        write = ParkingWrite::TakeOff {
                            key: key.clone(),
                            position: *first,
                        };
                    }
                }
                _ => {}
            }
            match &write {
                ParkingWrite::Park { position, .. } => drop(there.insert(*position)),
                ParkingWrite::TakeOff { position, .. } => drop(there.remove(position)),
                ParkingWrite::Empty { .. } => there.clear(),
            }
            kept.push(write);
        }
        Ok(kept)
    }

    /// Looks whether every event that is taken off is there, for those who then do not look again.
    pub(super) async fn check_parked(&self, writes: &[CheckpointWrite]) -> Result<(), CommitError> {
        for write in writes {
            let of = write.subscription();
            for parked in write.parked() {
                let events = self
                    .inner
                    .parked_events(of, parked.key(), Position::START, usize::MAX)
                    .await?;
                let there = events.iter().map(ParkedEvent::position).collect();
                if matches!(parked, ParkingWrite::TakeOff { .. }) && !fits(parked, &there) {
                    return Err(CommitError::Stale(Stale::Parked {
                        subscription: of.clone(),
                        key: parked.key().to_owned(),
                    }));
                }
            }
        }
        Ok(())
    }

    /// What a commit parks, as moves of a lane that is nobody's; the moves themselves then park nothing.
    pub(super) async fn parking_alone(
        &self,
        commit: &mut Commit<MemoryTx>,
    ) -> Result<Vec<CheckpointWrite>, StoreError> {
        let mut alone = Vec::new();
        for write in &mut commit.checkpoints {
            let parking = write.parked().to_vec();
            if parking.is_empty() {
                continue;
            }
            alone.push(self.aside(write.subscription(), parking).await?);
            *write = write.clone().parking(Vec::new());
        }
        Ok(alone)
    }

    pub(super) async fn aside(
        &self,
        subscription: &SubscriptionName,
        parking: Vec<ParkingWrite>,
    ) -> Result<CheckpointWrite, StoreError> {
        let listed = self.inner.list_lanes(subscription).await?;
        let lane = if listed.is_empty() {
            ASIDE
        } else {
            Lane::FIRST
        };
        let there = self.inner.load_checkpoint(subscription, lane).await?;
        let from = there.map(|there| there.position());
        let to = there.unwrap_or_else(|| uno_core::Checkpoint::start(StoreEpoch::new()));
        let write = CheckpointWrite::new(subscription.clone(), from, to);
        Ok(write.lane(lane).parking(parking))
    }
}

/// The same move, from elsewhere, of another lane, under another fence, and with something else that is parked.
pub(super) fn rebuilt(
    write: &CheckpointWrite,
    expected: Option<Position>,
    lane: Lane,
    fence: Option<Fence>,
    parking: Vec<ParkingWrite>,
) -> CheckpointWrite {
    let rebuilt = CheckpointWrite::new(write.subscription().clone(), expected, write.checkpoint());
    let rebuilt = match fence {
        Some(fence) => rebuilt.fenced(lane, fence),
        None => rebuilt.lane(lane),
    };
    rebuilt.parking(parking)
}

/// The same move, from elsewhere.
pub(super) fn from_elsewhere(
    write: &CheckpointWrite,
    expected: Option<Position>,
) -> CheckpointWrite {
    let parking = write.parked().to_vec();
    rebuilt(write, expected, write.of_lane(), write.fence(), parking)
}

/// The event at a place, parked as one that failed or as one that comes behind.
pub(super) fn park(
    key: &str,
    position: Position,
    event_id: EventId,
    failure: Option<&ParkedFailure>,
) -> ParkingWrite {
    ParkingWrite::Park {
        key: key.into(),
        position,
        event_id,
        failure: failure.cloned(),
    }
}

fn fits(write: &ParkingWrite, there: &BTreeSet<Position>) -> bool {
    match write {
        ParkingWrite::Park { failure, .. } => failure.is_some() || !there.is_empty(),
        ParkingWrite::TakeOff { position, .. } => there.contains(position),
        ParkingWrite::Empty { .. } => !there.is_empty(),
    }
}

fn behind(write: &ParkingWrite) -> ParkingWrite {
    match write {
        ParkingWrite::Park {
            key,
            position,
            event_id,
            ..
        } => park(key, *position, *event_id, None),
        other => other.clone(),
    }
}

/// The same write, of another key.
fn keyed(write: &ParkingWrite, key: &str) -> ParkingWrite {
    let mut write = write.clone();
    match &mut write {
        ParkingWrite::Park { key: of, .. }
        | ParkingWrite::TakeOff { key: of, .. }
        | ParkingWrite::Empty { key: of } => *of = key.into(),
    }
    write
}
