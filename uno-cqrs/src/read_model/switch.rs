//! Letting another generation serve, and dropping those that do not.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
    sync::Arc,
};

use tokio::time::Instant;
use uno_core::{
    AsOf, Backend, Checkpoint, CheckpointWrite, CommitError, Fence, Lane, LaneRecord, Position,
    ReadLog, RecordedEvent, SubscriptionName,
};
use uno_events::Subscription;

use super::{
    Changed, GenerationState, ReadModel, RebuildError, ServingError, is_unknown, way::RENEWAL,
};
use crate::Generation;

/// How often it is tried to go back before the one who asked is told.
const RETURNS: u32 = 500;

/// A swap that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switched {
    pub(super) from: Generation,
    pub(super) to: Generation,
    pub(super) at: Position,
}

impl Switched {
    /// The generation that served before.
    #[must_use]
    pub fn from(&self) -> Generation {
        self.from
    }

    /// The generation that serves now.
    #[must_use]
    pub fn to(&self) -> Generation {
        self.to
    }

    /// The position up to which side effects belong to the one that served before.
    #[must_use]
    pub fn at(&self) -> Position {
        self.at
    }
}

impl<B: Backend> ReadModel<B> {
    /// Lets the generation that was [built](Self::build) serve.
    ///
    /// # Errors
    /// [`NotBuilding`](RebuildError::NotBuilding); [`NotCaughtUp`](RebuildError::NotCaughtUp): build on, and try again.
    pub async fn swap(&self) -> Result<Switched, RebuildError> {
        let (_, record) = self.existing().await?;
        let building = record.building().ok_or(RebuildError::NotBuilding)?.number;
        if self.kind.may_be_ahead() {
            // What was committed before this generation was begun is in the one that serves, also beyond its checkpoint.
            self.build(building).await?;
        }
        let switched = self.switch(building, GenerationState::Building).await?;
        self.sync().await?;
        Ok(switched)
    }

    /// Lets the newest generation of this version of the code that is kept serve again. The one that served is kept instead.
    ///
    /// # Errors
    /// [`NothingKept`](RebuildError::NothingKept); [`NotCaughtUp`](RebuildError::NotCaughtUp) when nobody feeds it, or it can't keep up.
    pub async fn roll_back(&self) -> Result<Switched, RebuildError> {
        let (_, record) = self.existing().await?;
        let kept = record
            .entries()
            .iter()
            .filter(|entry| entry.state == GenerationState::Kept && entry.version == self.version);
        let newest = kept.map(|entry| entry.number).max();
        let newest = newest.ok_or(RebuildError::NothingKept)?;
        let (mut tried, mut said) = (0, None);
        loop {
            match self.switch(newest, GenerationState::Kept).await {
                // It is fed by its subscription, perhaps in another process, and nearly there.
                Err(RebuildError::NotCaughtUp { .. }) if tried < RETURNS => {
                    tried += 1;
                    if tried % 10 == 0 {
                        self.hurry(newest, &mut said).await?;
                    }
                }
                switched => {
                    let switched = switched?;
                    self.sync().await?;
                    return Ok(switched);
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Drops a generation that does not serve, with its rows: there is no way back to it. Processes that feed it stop when they
    /// [notice](Self::sync).
    ///
    /// # Errors
    /// [`Serves`](RebuildError::Serves); [`NotKept`](RebuildError::NotKept) when there is none of that number.
    ///
    /// # Cancellation
    /// It may be dropped with some of its rows left, which go with the next [`sync`](Self::sync).
    pub async fn drop_generation(&self, generation: Generation) -> Result<(), RebuildError> {
        self.change(|record| {
            if record.dropped().contains(&generation) {
                return Ok(Changed::Not(()));
            }
            let Some(entry) = record.entry(generation) else {
                return Err(RebuildError::NotKept(generation));
            };
            if entry.state == GenerationState::Serving {
                return Err(RebuildError::Serves(generation));
            }
            record.drop_generation(generation);
            Ok(Changed::With(None, ()))
        })
        .await?;
        // Stops feeding it before its rows are removed.
        self.sync().await
    }

    /// Drops the generation that is being built.
    ///
    /// # Errors
    /// [`NotBuilding`](RebuildError::NotBuilding).
    pub async fn abandon(&self) -> Result<(), RebuildError> {
        let (_, record) = self.existing().await?;
        let building = record.building().ok_or(RebuildError::NotBuilding)?.number;
        self.drop_generation(building).await
    }

    /// Lets `to`, which is in this state, serve, if it has come as far as the one that serves.
    ///
    /// It has if it has handled every event that the other one has, whichever lanes they are of. All checkpoints are guarded in the
    /// transaction, by moving them to where they are: so neither generation gets ahead between the comparison and the swap. A subscription that commits a batch at the same time takes it again.
    pub(super) async fn switch(
        &self,
        to: Generation,
        wanted: GenerationState,
    ) -> Result<Switched, RebuildError> {
        // What may have been carried out, or may be yet: it then makes the next attempt stale.
        let mut in_doubt = None;
        loop {
            let (revision, mut record) = self.existing().await?;
            if let Some(switched) = in_doubt
                && record.serving().is_some_and(|entry| entry.number == to)
            {
                return Ok(switched);
            }
            let serving = record.serving().copied();
            let serving = serving.ok_or_else(|| ServingError::Unknown(self.name.to_owned()))?;
            // Which events are of which of its lanes is known of code of our version only.
            let is_known = serving.version == self.version;
            let serving = serving.number;
            match record.entry(to) {
                Some(entry) if entry.state == wanted => {}
                _ => return Err(RebuildError::NotKept(to)),
            }
            let epoch = self.log.head().await?.epoch();
            let (old, new) = (self.places(serving).await?, self.places(to).await?);
            for (generation, places) in [(serving, &old), (to, &new)] {
                let mut saved = places.iter().filter_map(|place| place.checkpoint);
                if let Some(foreign) = saved.find(|saved| saved.epoch() != epoch) {
                    return Err(RebuildError::OtherLog {
                        generation,
                        reached: foreign.position(),
                    });
                }
            }
            let parked = self
                .backend
                .count_parked(&self.subscription_of(to)?)
                .await?;
            if parked > 0 {
                return Err(RebuildError::Parked {
                    generation: to,
                    events: parked,
                });
            }
            let at = |place: &Place| place.checkpoint.unwrap_or(Checkpoint::start(epoch));
            let seen = old.iter().map(at).max_by_key(Checkpoint::position);
            let seen = seen.unwrap_or(Checkpoint::start(epoch));
            let reached = new.iter().map(at).min_by_key(Checkpoint::position);
            let reached = reached.unwrap_or(seen);
            let between = self
                .between(
                    Side::of(self.feed_of(serving)?, &old),
                    Side::of(self.feed_of(to)?, &new),
                    is_known,
                )
                .await?;
            let Between::Owed(owing) = between else {
                return Err(RebuildError::NotCaughtUp {
                    generation: to,
                    reached: reached.position(),
                    serving: seen.position(),
                });
            };
            // Nothing between a lane of the new one that is behind and there is of that lane, so it has come as far; unless it owes
            // something that the old one has not done either.
            let further = |place: &Place| {
                let at = at(place);
                if at.position() < seen.position() && !owing.contains(&place.lane) {
                    seen
                } else {
                    at
                }
            };
            let ahead = new.iter().map(further).max_by_key(Checkpoint::position);
            let ahead = ahead.filter(|ahead| ahead.position() > seen.position());
            let ahead = ahead.unwrap_or(seen);
            let switched = record.switch(to, ahead.position());
            let mut commit = self.put(&record, revision);
            commit.work.extend(self.kind.serve(to));
            let (of_old, of_new) = (self.subscription_of(serving)?, self.subscription_of(to)?);
            commit.checkpoints = old
                .iter()
                .map(|place| place.guard(&of_old, at(place)))
                .chain(new.iter().map(|place| place.guard(&of_new, further(place))))
                .collect();
            match self.backend.commit(commit).await {
                Ok(_) => return Ok(switched),
                // One of the two has gone on: compare again.
                Err(CommitError::Stale(_)) => tokio::task::yield_now().await,
                Err(error) if is_unknown(&error) => in_doubt = Some(switched),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Lets the others give way to a generation that does not get ahead of them, unless that was said a moment ago.
    pub(super) async fn hurry(
        &self,
        generation: Generation,
        said: &mut Option<Instant>,
    ) -> Result<(), RebuildError> {
        if said.is_some_and(|said| said.elapsed() < RENEWAL) {
            return Ok(());
        }
        *said = Some(Instant::now());
        let (revision, mut record) = self.existing().await?;
        record.let_hurry(generation);
        match self.backend.commit(self.put(&record, revision)).await {
            // Another change was faster, or it is not known: the next one comes soon enough.
            Ok(_) | Err(CommitError::Stale(_)) => {}
            Err(error) if is_unknown(&error) => {}
            Err(error) => return Err(error.into()),
        }
        self.sync().await
    }

    /// What a new generation has not done, up to where the lane of the old one is that is furthest ahead. What a lane only passes over is
    /// not saved at once, and is nothing that anybody could have read.
    async fn between(&self, old: Side, new: Side, is_known: bool) -> Result<Between, RebuildError> {
        let (mut owing, seen) = (BTreeSet::new(), old.furthest());
        let mut after = new.least();
        while after < seen {
            let read = ReadLog::after(after)
                .as_of(AsOf::Position(seen))
                .filter(self.kind.filter());
            let page = self.log.read_log(read).await?;
            for event in page.events() {
                let (lane, has_done) = new.look(event);
                if has_done {
                    continue;
                }
                // Readers may have seen whatever the old one may have done.
                if !is_known || old.look(event).1 {
                    return Ok(Between::Missed);
                }
                owing.insert(lane);
            }
            match page.scanned() {
                Some((position, _)) => after = position,
                None => break,
            }
        }
        Ok(Between::Owed(owing))
    }

    /// How far a generation has come: the lane of it that is furthest behind.
    pub(super) async fn checkpoint_of(
        &self,
        generation: Generation,
    ) -> Result<Option<Checkpoint>, RebuildError> {
        let places = self.places(generation).await?;
        let checkpoints = places.iter().map(|place| place.checkpoint);
        // A lane that has none is before all that have.
        let least = checkpoints.min_by_key(|checkpoint| checkpoint.map(|saved| saved.position()));
        Ok(least.flatten())
    }

    /// Where each lane of a generation is.
    async fn places(&self, generation: Generation) -> Result<Vec<Place>, RebuildError> {
        let name = self.subscription_of(generation)?;
        let lanes = self.backend.list_lanes(&name).await?;
        let mut places: Vec<Place> = lanes.iter().map(Place::of).collect();
        if places.is_empty() {
            // It was never claimed: it is being built, or new.
            let checkpoint = self.backend.load_checkpoint(&name, Lane::FIRST).await?;
            places.push(Place {
                lane: Lane::FIRST,
                fence: None,
                checkpoint,
            });
        }
        Ok(places)
    }
}

/// What a new generation has not done.
enum Between {
    /// Something that the old one has.
    Missed,
    /// Nothing that the old one has; these lanes have events that neither has handled.
    Owed(BTreeSet<Lane>),
}

/// Where the lanes of a generation are, and which events are whose.
struct Side {
    feed: Subscription,
    lanes: BTreeMap<Lane, Position>,
}

impl Side {
    fn of(feed: Subscription, places: &[Place]) -> Self {
        let place = |place: &Place| {
            let at = place.checkpoint.map(|found| found.position());
            (place.lane, at.unwrap_or(Position::START))
        };
        Self {
            feed,
            lanes: places.iter().map(place).collect(),
        }
    }

    fn least(&self) -> Position {
        self.lanes
            .values()
            .copied()
            .min()
            .unwrap_or(Position::START)
    }

    fn furthest(&self) -> Position {
        self.lanes
            .values()
            .copied()
            .max()
            .unwrap_or(Position::START)
    }

    /// Of which lane an event is, and whether that has come past it.
    fn look(&self, event: &Arc<RecordedEvent>) -> (Lane, bool) {
        let count = u16::try_from(self.lanes.len()).ok();
        let count = count.and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN);
        let lane = self.feed.lane_of(event, count);
        let at = self.lanes.get(&lane);
        (lane, at.is_some_and(|at| *at >= event.position()))
    }
}

/// Where a lane is, and under which lease it is moved.
#[derive(Clone, Copy, Debug)]
struct Place {
    lane: Lane,
    fence: Option<Fence>,
    checkpoint: Option<Checkpoint>,
}

impl Place {
    fn of(record: &LaneRecord) -> Self {
        Self {
            lane: record.lane(),
            fence: record.holder().map(|_| record.fence()),
            checkpoint: record.checkpoint(),
        }
    }

    /// A move from where it was found, under the lease that it is on: if it is moved meanwhile, or goes to another holder, the commit is
    /// stale.
    fn guard(&self, name: &SubscriptionName, to: Checkpoint) -> CheckpointWrite {
        let from = self.checkpoint.map(|found| found.position());
        let write = CheckpointWrite::new(name.clone(), from, to);
        match self.fence {
            Some(fence) => write.fenced(self.lane, fence),
            None => write.lane(self.lane),
        }
    }
}
