//! [`Tracked`]: an aggregate that is lent out by its unit of work.

use std::{
    any::Any,
    fmt,
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use uno_core::{
    Backend, Decoder, EncodeError, EventId, ExpectedVersion, Metadata, NewEvent, StreamAppend,
    StreamId, Version,
};
use uno_domain::{Aggregate, AggregateRoot, Occasion};

use super::{AnySlot, CollectError, Collected, DueSnapshot, Restore, SlotMark};
use crate::{
    LoadError,
    load::{Loaded, load_at},
    snapshot_keeper::SnapshotKeeper,
    warm::WarmRoot,
};

/// An aggregate that the unit of work has lent out. What is recorded on it is collected when the unit of work commits;
/// dropping the guard gives it back.
///
/// It derefs to the [`AggregateRoot`], so `order.decide(Order::place)?` works on it. What was recorded stays on it:
/// a unit of work whose events were taken out (`take_uncommitted`, `clear_uncommitted`) is not committed.
pub struct Tracked<A: Aggregate> {
    /// `Some` until it is dropped.
    root: Option<AggregateRoot<A>>,
    slot: Arc<Slot<A>>,
}

impl<A: Aggregate> Deref for Tracked<A> {
    type Target = AggregateRoot<A>;

    fn deref(&self) -> &AggregateRoot<A> {
        self.root
            .as_ref()
            .expect("the root leaves the guard only when the guard is dropped")
    }
}

impl<A: Aggregate> DerefMut for Tracked<A> {
    fn deref_mut(&mut self) -> &mut AggregateRoot<A> {
        self.root
            .as_mut()
            .expect("the root leaves the guard only when the guard is dropped")
    }
}

impl<A: Aggregate> Tracked<A> {
    /// Makes the commit fail with a conflict if the aggregate's stream has moved on, even if nothing is recorded on it:
    /// for a decision that relies on what was only read.
    pub fn assert_unchanged(&self) {
        self.slot.state().assert_unchanged = true;
    }
}

impl<A: Aggregate> Drop for Tracked<A> {
    fn drop(&mut self) {
        self.slot.state().root = self.root.take();
    }
}

impl<A: Aggregate> fmt::Debug for Tracked<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked")
            .field("stream", &self.slot.stream)
            .field("version", &self.version())
            .finish()
    }
}

/// The place of an aggregate in its unit of work. A std mutex: it is only ever held to move the root in or out.
pub(crate) struct Slot<A: Aggregate> {
    stream: StreamId,
    /// The version that the stream had when it was loaded.
    loaded: Version,
    /// The version of the last snapshot that is stored, as far as is known.
    snapshot: Version,
    /// How long it took to load.
    load_time: Duration,
    snapshots: Arc<SnapshotKeeper>,
    state: Mutex<State<A>>,
}

struct State<A: Aggregate> {
    root: Option<AggregateRoot<A>>,
    assert_unchanged: bool,
}

impl<A: Aggregate> Slot<A> {
    /// Puts a root into a new slot and lends it out at once.
    pub(crate) fn lend_new(
        stream: StreamId,
        loaded: Loaded<A>,
        snapshots: &Arc<SnapshotKeeper>,
    ) -> (Arc<Self>, Tracked<A>) {
        let root = loaded.root;
        let slot = Arc::new(Self {
            stream,
            loaded: root.committed_version(),
            snapshot: loaded.snapshot,
            load_time: loaded.time,
            snapshots: Arc::clone(snapshots),
            state: Mutex::new(State {
                root: None,
                assert_unchanged: false,
            }),
        });
        let tracked = Tracked {
            root: Some(root),
            slot: Arc::clone(&slot),
        };
        (slot, tracked)
    }

    /// Lends the root out again; `None` while it is lent out.
    pub(crate) fn lend(self: &Arc<Self>) -> Option<Tracked<A>> {
        let root = self.state().root.take()?;
        Some(Tracked {
            root: Some(root),
            slot: Arc::clone(self),
        })
    }

    fn snapshot_if_due(&self, root: &AggregateRoot<A>, last: EventId) -> Option<DueSnapshot> {
        let snapshots = A::snapshots()?;
        let occasion = Occasion::new(self.snapshot, root.version()).loaded_in(self.load_time);
        if !snapshots.is_due(root.state(), occasion) {
            return None;
        }
        match root.create_snapshot(last) {
            Ok(snapshot) => Some(DueSnapshot {
                snapshot: snapshot?,
                in_background: snapshots.is_in_background(),
            }),
            // A state that can't be encoded costs the shortcut, not the commit.
            Err(_) => {
                self.snapshots
                    .skipped(&self.stream, root.version(), "can't be encoded");
                None
            }
        }
    }

    /// The root, if it was given back and is the one that was lent out, with what was recorded since.
    fn sound<'s>(&self, state: &'s State<A>) -> Result<&'s AggregateRoot<A>, CollectError> {
        let Some(root) = &state.root else {
            return Err(CollectError::StillLent(self.stream.clone()));
        };
        if root.committed_version() != self.loaded || root.stream_id() != Ok(&self.stream) {
            return Err(CollectError::OutOfStep(self.stream.clone()));
        }
        Ok(root)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Aggregate, B: Backend> AnySlot<B> for Slot<A> {
    fn collect(&self, metadata: &Metadata) -> Result<Collected, CollectError> {
        let state = self.state();
        let root = self.sound(&state)?;
        let events: Vec<NewEvent> = root
            .uncommitted()
            .iter()
            .map(|event| Ok(NewEvent::encode(event)?.with_metadata(metadata.clone())))
            .collect::<Result<_, EncodeError>>()
            .map_err(CollectError::Encode)?;
        let Some(last) = events.last() else {
            let unchanged = state
                .assert_unchanged
                .then(|| (self.stream.clone(), self.loaded));
            return Ok(Collected {
                unchanged,
                ..Collected::default()
            });
        };
        let snapshot = self.snapshot_if_due(root, last.id());
        let expected = ExpectedVersion::Exact(self.loaded);
        let append = Some(StreamAppend::new(self.stream.clone(), expected, events));
        Ok(Collected {
            append,
            snapshot,
            ..Collected::default()
        })
    }

    fn mark(&self) -> Result<SlotMark, CollectError> {
        let state = self.state();
        let root = self.sound(&state)?;
        Ok(SlotMark {
            events: root.uncommitted().len(),
            assert_unchanged: state.assert_unchanged,
            state: None,
            touched: false,
        })
    }

    fn check(&self, mark: Option<&SlotMark>) -> Result<(), CollectError> {
        let state = self.state();
        let Some(root) = &state.root else {
            return Err(CollectError::StillLent(self.stream.clone()));
        };
        match mark {
            Some(mark) => {
                self.sound(&state)?;
                if root.uncommitted().len() < mark.events {
                    return Err(CollectError::OutOfStep(self.stream.clone()));
                }
                Ok(())
            }
            // It goes away whole, whatever was done with it.
            None => Ok(()),
        }
    }

    fn prepare<'s>(
        self: Arc<Self>,
        mark: &'s SlotMark,
        backend: &'s B,
        decoder: &'s Decoder,
    ) -> Pin<Box<dyn Future<Output = Result<Restore, LoadError>> + Send + 's>> {
        Box::pin(async move {
            let (keep, assert_unchanged) = (mark.events, mark.assert_unchanged);
            // A root that has no more events than then has not changed since.
            let id = match &self.state().root {
                Some(root) if root.uncommitted().len() > keep => Some(root.id().clone()),
                _ => None,
            };
            let stored = match id {
                Some(id) => Some(
                    load_at(
                        backend,
                        decoder,
                        &self.snapshots,
                        &id,
                        &self.stream,
                        self.loaded,
                    )
                    .await?,
                ),
                None => None,
            };
            let restore: Restore = Box::new(move || {
                let mut state = self.state();
                state.assert_unchanged = assert_unchanged;
                if let (Some(root), Some(stored)) = (&mut state.root, stored) {
                    let same = root.take_back(stored, keep);
                    debug_assert!(same.is_ok(), "it was loaded at the same version");
                }
            });
            Ok(restore)
        })
    }

    fn keep_warm(&self, snapshots: &[StreamId]) -> Option<(StreamId, WarmRoot)> {
        let mut root = self.state().root.take()?;
        root.mark_committed(root.version()).ok()?;
        // From a snapshot, loading would take no time to speak of.
        let (snapshot, time) = if snapshots.contains(&self.stream) {
            (root.version(), Duration::ZERO)
        } else {
            (self.snapshot, self.load_time)
        };
        let loaded = Loaded {
            root,
            snapshot,
            time,
        };
        Some((self.stream.clone(), Box::new(loaded)))
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
