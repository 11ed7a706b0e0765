//! Snapshots of an aggregate, made and believed.

use uno_core::{EventId, Snapshot, Version};

use super::{AggregateRoot, SnapshotError};
use crate::Aggregate;

impl<A: Aggregate> AggregateRoot<A> {
    /// A snapshot of the state with everything that was recorded, to be stored no sooner than its events: in the same
    /// commit, or after it. `last_event` is the id of the event that has the version of the aggregate.
    ///
    /// `None` when the aggregate has no [`snapshots`](Aggregate::snapshots), or no event.
    ///
    /// # Errors
    /// When the state can't be encoded, or could not be read back equal, or the id can't be the key of a stream.
    pub fn create_snapshot(&self, last_event: EventId) -> Result<Option<Snapshot>, SnapshotError> {
        let Some(snapshots) = A::snapshots().filter(|_| self.version() > Version::EMPTY) else {
            return Ok(None);
        };
        let stream = self.stream_id().map_err(SnapshotError::Id)?;
        let body = snapshots
            .encode(&self.state)
            .map_err(|source| SnapshotError::Encode {
                stream: stream.clone(),
                source,
            })?;
        Ok(Some(Snapshot::new(
            stream.clone(),
            self.version(),
            last_event,
            snapshots.shape_text(),
            body,
        )))
    }

    /// The aggregate with this id as a snapshot remembers it. The events after it are still to be
    /// [applied](Self::apply_recorded).
    ///
    /// What can't be known without the store is left to the caller: that the stream really has the event
    /// [`event_id`](Snapshot::event_id) at [`version`](Snapshot::version).
    ///
    /// # Errors
    /// On any doubt about the snapshot. Each of these errors means the same to the caller: replay all events.
    pub fn from_snapshot(id: A::Id, snapshot: &Snapshot) -> Result<Self, SnapshotError> {
        let mut root = Self::new(id);
        let stream = root.stream_id().map_err(SnapshotError::Id)?;
        if snapshot.stream() != stream {
            return Err(SnapshotError::WrongStream {
                expected: stream.clone(),
                actual: snapshot.stream().clone(),
            });
        }
        let Some(snapshots) = A::snapshots() else {
            return Err(SnapshotError::NotKept {
                category: A::CATEGORY,
            });
        };
        let expected = snapshots.shape_text();
        if snapshot.shape() != expected {
            let actual = snapshot.shape().to_owned();
            return Err(SnapshotError::Shape {
                stream: stream.clone(),
                expected,
                actual,
            });
        }
        if !snapshot.is_intact() || snapshot.version() == Version::EMPTY {
            return Err(SnapshotError::Corrupt {
                stream: stream.clone(),
            });
        }
        if snapshot.version().get() > Self::MAX_VERSION {
            return Err(SnapshotError::NoRoom {
                stream: stream.clone(),
                version: snapshot.version(),
            });
        }
        root.state = snapshots
            .decode(snapshot.body().as_str())
            .map_err(|source| SnapshotError::Decode {
                stream: snapshot.stream().clone(),
                source: source.into(),
            })?;
        root.committed = snapshot.version();
        Ok(root)
    }
}
