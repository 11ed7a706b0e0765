//! [`Place`]: where a subscription is, and how it finds that out.

use std::time::Duration;

use tokio::time::Instant;
use uno_core::{
    Checkpoint, CheckpointWrite, EventStore, Position, ReadLog, StoreEpoch, StoreError,
    SubscriptionName,
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

    /// Whether the checkpoint is before this place.
    pub(super) fn is_saved_before(&self, place: Checkpoint) -> bool {
        self.saved.map_or(Position::START, |saved| saved.position()) < place.position()
    }

    /// What was passed over beyond this place counts as not passed over.
    pub(super) fn go_back(&mut self, to: Checkpoint) {
        self.progress = to;
        self.unsaved_since.get_or_insert_with(Instant::now);
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
        let (store, subscriptions) = (&*self.shared.store, &*self.shared.subscriptions);
        let (name, lane) = (&self.entry.spec.name, self.lane());
        let saved = subscriptions.load_checkpoint(name, lane).await?;
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
        let parked = self.load_parked().await?;
        self.know_parked(parked);
        self.verified = saved;
        let settled = saved.map_or(0, |checkpoint| self.trouble.settle(checkpoint.position()));
        self.entry.report.opened(lane, epoch, saved, settled);
        Ok(Ok(Place::new(epoch, saved)))
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
