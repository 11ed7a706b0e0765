//! Finds the place at which a live feed begins, and makes sure that the log has it.

use uno_core::{Checkpoint, EventStore, Head, Position, ReadLog, StoreError};

use super::{WatchError, WatchFrom};

pub(super) async fn place(
    store: &dyn EventStore,
    from: WatchFrom,
) -> Result<Checkpoint, WatchError> {
    let head = store.head().await?;
    let place = match from {
        WatchFrom::Start => Checkpoint::start(head.epoch()),
        WatchFrom::Head => match head.last() {
            Some((position, id)) => Checkpoint::after(head.epoch(), position, id),
            None => Checkpoint::start(head.epoch()),
        },
        WatchFrom::After(position) => {
            in_log(position, head)?;
            last_event(store, position, head).await?
        }
        WatchFrom::Checkpoint(checkpoint) => {
            let position = checkpoint.position();
            if checkpoint.epoch() != head.epoch() {
                let (its, now) = (checkpoint.epoch(), head.epoch());
                let what = format!("it is from epoch {its}, and the store is in epoch {now}");
                return Err(WatchError::diverged(position, what));
            }
            in_log(position, head)?;
            let there = last_event(store, position, head).await?;
            if there != checkpoint {
                return Err(WatchError::diverged(position, "another event is there"));
            }
            checkpoint
        }
    };
    Ok(place)
}

/// A place beyond the end would be waited for without end.
fn in_log(position: Position, head: Head) -> Result<(), WatchError> {
    if position <= head.position() {
        Ok(())
    } else {
        let what = format!("the log ends at position {}", head.position());
        Err(WatchError::diverged(position, what))
    }
}

/// The last event up to a position: as a place it is the same, since nothing lies between.
async fn last_event(
    store: &dyn EventStore,
    position: Position,
    head: Head,
) -> Result<Checkpoint, StoreError> {
    let page = store
        .read_log(ReadLog::before(position.next()).limit(1))
        .await?;
    Ok(match page.events().first() {
        Some(event) => Checkpoint::after(head.epoch(), event.position(), event.id()),
        None => Checkpoint::start(head.epoch()),
    })
}
