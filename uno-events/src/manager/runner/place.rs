//! [`Place`]: where a subscription is, and how it finds that out.

use std::time::Duration;

use tokio::time::Instant;
use uno_core::{
    AppendError, Checkpoint, CheckpointStore, CheckpointWrite, CommitError, EventStore, Position,
    ReadLog, StoreEpoch, StoreError, SubscriptionName,
};

use super::{Halt, Runner, Step, StopReason};

/// What is saved, and how far the log has been passed over since.
pub(super) struct Place {
    saved: Option<Checkpoint>,
    progress: Checkpoint,
    /// When something was first passed over since the last save.
    unsaved_since: Option<Instant>,
}

impl Place {
    fn new(epoch: StoreEpoch, saved: Option<Checkpoint>) -> Self {
        Self {
            saved,
            progress: saved.unwrap_or(Checkpoint::start(epoch)),
            unsaved_since: None,
        }
    }

    pub(super) fn epoch(&self) -> StoreEpoch {
        self.progress.epoch()
    }

    pub(super) fn progress(&self) -> Checkpoint {
        self.progress
    }

    /// Up to where the log was handled or passed over.
    pub(super) fn position(&self) -> Position {
        self.progress.position()
    }

    /// How many positions were passed over since the checkpoint.
    pub(super) fn unsaved(&self) -> u64 {
        let saved = self.saved.map_or(Position::START, |saved| saved.position());
        self.position().get().saturating_sub(saved.get())
    }

    /// For how long there has been something to save.
    pub(super) fn unsaved_for(&self) -> Duration {
        self.unsaved_since
            .map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Nothing up to there fits the filter.
    pub(super) fn pass(&mut self, to: Checkpoint) {
        self.progress = to;
        self.unsaved_since.get_or_insert_with(Instant::now);
    }

    /// The checkpoint was moved there.
    pub(super) fn saved(&mut self, checkpoint: Checkpoint) {
        self.saved = Some(checkpoint);
        self.progress = checkpoint;
        self.unsaved_since = None;
    }

    /// The move of the checkpoint to there.
    pub(super) fn write(&self, name: SubscriptionName, to: Checkpoint) -> CheckpointWrite {
        CheckpointWrite::new(name, self.saved.map(|saved| saved.position()), to)
    }
}

impl Runner {
    /// Loads the checkpoint and makes sure that it belongs to this log.
    pub(super) async fn open(&mut self) -> Step<Place> {
        match self.try_open().await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(diverged)) => Err(Halt::Stop(diverged)),
            Err(error) => Err(self.store_failed(error).await),
        }
    }

    async fn try_open(&mut self) -> Result<Result<Place, StopReason>, StoreError> {
        let (store, checkpoints) = (&*self.shared.store, &*self.shared.checkpoints);
        let name = &self.entry.spec.name;
        let mut saved = checkpoints
            .load_checkpoint(name, uno_core::Lane::FIRST)
            .await?;
        if saved.is_none() && self.entry.spec.from_head {
            saved = establish(store, checkpoints, name).await?;
        }
        let epoch = match saved {
            Some(checkpoint) if self.verified == Some(checkpoint) => checkpoint.epoch(),
            _ => {
                let epoch = store.head().await?.epoch();
                if let Some(checkpoint) = saved
                    && let Some(what) = divergence(store, checkpoint, epoch).await?
                {
                    let checkpoint = checkpoint.position();
                    return Ok(Err(StopReason::LogDiverged {
                        checkpoint,
                        what: what.into(),
                    }));
                }
                epoch
            }
        };
        self.verified = saved;
        let settled = saved.map_or(0, |checkpoint| self.trouble.settle(checkpoint.position()));
        self.entry.report.opened(epoch, saved, settled);
        Ok(Ok(Place::new(epoch, saved)))
    }
}

/// Gives a subscription that starts at the end of the log its first checkpoint, and saves it at once: what is appended from
/// now on is for it, whenever it comes to run. Returns the checkpoint that there is, also when somebody else was faster.
pub(in crate::manager) async fn establish(
    store: &dyn EventStore,
    checkpoints: &dyn CheckpointStore,
    name: &SubscriptionName,
) -> Result<Option<Checkpoint>, StoreError> {
    if let Some(checkpoint) = checkpoints
        .load_checkpoint(name, uno_core::Lane::FIRST)
        .await?
    {
        return Ok(Some(checkpoint));
    }
    let head = store.head().await?;
    let first = match head.last() {
        Some((position, id)) => Checkpoint::after(head.epoch(), position, id),
        None => Checkpoint::start(head.epoch()),
    };
    match checkpoints
        .save_checkpoint(CheckpointWrite::new(name.clone(), None, first))
        .await
    {
        Ok(()) => Ok(Some(first)),
        Err(CommitError::Stale(_)) => {
            checkpoints
                .load_checkpoint(name, uno_core::Lane::FIRST)
                .await
        }
        Err(CommitError::Append(AppendError::Store(error))) => Err(error),
        Err(other) => Err(StoreError::Backend(other.into())),
    }
}

/// In what the log differs from the one that the checkpoint belongs to.
async fn divergence(
    store: &dyn EventStore,
    checkpoint: Checkpoint,
    epoch: StoreEpoch,
) -> Result<Option<String>, StoreError> {
    if checkpoint.epoch() != epoch {
        return Ok(Some(format!(
            "it was saved in epoch {}, and the store is in epoch {epoch}",
            checkpoint.epoch()
        )));
    }
    let Some(id) = checkpoint.event_id() else {
        return Ok(None);
    };
    let read = ReadLog::after(checkpoint.position().previous()).limit(1);
    let page = store.read_log(read).await?;
    Ok(match page.events().first() {
        Some(event) if event.position() == checkpoint.position() && event.id() == id => None,
        Some(event) if event.position() == checkpoint.position() => {
            Some(format!("the event there has id {}, not {id}", event.id()))
        }
        _ => Some(format!("there is no event, but event {id} was handled")),
    })
}
