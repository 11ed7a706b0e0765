//! Letting another generation serve, and dropping those that do not.

use uno_core::{
    AsOf, Backend, Checkpoint, CheckpointWrite, CommitError, Fence, Lane, LaneRecord, Position,
    ReadLog, StoreError, SubscriptionName,
};

use super::{Changed, GenerationState, ReadModel, RebuildError, ServingError, is_unknown};
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
        let mut tried = 0;
        loop {
            match self.switch(newest, GenerationState::Kept).await {
                // It is fed by its subscription, perhaps in another process, and nearly there.
                Err(RebuildError::NotCaughtUp { .. }) if tried < RETURNS => {
                    tried += 1;
                    if tried % 10 == 0 {
                        self.hurry(newest).await?;
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
    /// Both checkpoints are guarded in the transaction, by moving them to where they are: so neither generation gets ahead between the
    /// comparison and the swap. A subscription that commits a batch at the same time takes it again.
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
            let serving = record.serving().map(|entry| entry.number);
            let serving = serving.ok_or_else(|| ServingError::Unknown(self.name.to_owned()))?;
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
            // Readers may have seen what the lane did that is furthest ahead.
            let at = |place: &Place| place.checkpoint.unwrap_or(Checkpoint::start(epoch));
            let seen = old.iter().map(at).max_by_key(Checkpoint::position);
            let seen = seen.unwrap_or(Checkpoint::start(epoch));
            let reached = new.iter().map(at).min_by_key(Checkpoint::position);
            let reached = reached.unwrap_or(seen);
            if reached.position() < seen.position()
                && self.concerns(reached.position(), seen.position()).await?
            {
                return Err(RebuildError::NotCaughtUp {
                    generation: to,
                    reached: reached.position(),
                    serving: seen.position(),
                });
            }
            // Nothing between a lane of the new one that is behind and there concerns it, so it has come as far.
            let further = |place: &Place| {
                let at = at(place);
                if at.position() < seen.position() {
                    seen
                } else {
                    at
                }
            };
            let ahead = new.iter().map(further).max_by_key(Checkpoint::position);
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

    /// Lets the others give way to a generation that does not get ahead of them.
    pub(super) async fn hurry(&self, generation: Generation) -> Result<(), RebuildError> {
        self.change(|record| {
            Ok(if record.let_hurry(generation) {
                Changed::With(None, ())
            } else {
                Changed::Not(())
            })
        })
        .await?;
        self.sync().await
    }

    /// Whether there are events after one position and up to another that this projection reads.
    async fn concerns(&self, after: Position, to: Position) -> Result<bool, StoreError> {
        let read = ReadLog::after(after)
            .as_of(AsOf::Position(to))
            .filter(self.kind.filter())
            .limit(1);
        Ok(!self.log.read_log(read).await?.events().is_empty())
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
