//! [`SnapshotKeeper`]: stores snapshots after the commit, and counts what becomes of snapshots.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Semaphore;
use uno_core::{Backend, Commit, Snapshot, StreamId, Version};

use crate::telemetry;

/// What became of snapshots, since the runner was made, in all of its clones together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotCounts {
    /// How many aggregates were loaded from a snapshot.
    pub used: u64,
    /// How many snapshots were not believed; the events were folded instead.
    pub rejected: u64,
    /// How many were stored in the background.
    pub stored: u64,
    /// How many were due and were not stored: the state can't be encoded, too many were waiting, or the store failed.
    pub skipped: u64,
}

/// Stores snapshots after the commit, and counts what becomes of snapshots.
pub(crate) struct SnapshotKeeper {
    used: AtomicU64,
    rejected: AtomicU64,
    stored: AtomicU64,
    skipped: AtomicU64,
    /// Bounds what is under way: a store that is slow must not be sent ever more of what is only a shortcut.
    places: Arc<Semaphore>,
}

/// How many commits may have snapshots under way at once.
const PLACES: u32 = 16;

impl SnapshotKeeper {
    pub(crate) fn new() -> Self {
        Self {
            used: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            places: Arc::new(Semaphore::new(PLACES as usize)),
        }
    }

    pub(crate) fn counts(&self) -> SnapshotCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        SnapshotCounts {
            used: read(&self.used),
            rejected: read(&self.rejected),
            stored: read(&self.stored),
            skipped: read(&self.skipped),
        }
    }

    pub(crate) fn used(&self) {
        self.used.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn rejected(&self, stream: &StreamId, version: Version, why: &'static str) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
        let version = version.get();
        tracing::warn!(name: telemetry::SNAPSHOT_REJECTED, %stream, version, why, "folding the events instead");
    }

    pub(crate) fn skipped(&self, stream: &StreamId, version: Version, why: &'static str) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
        let version = version.get();
        tracing::warn!(name: telemetry::SNAPSHOT_SKIPPED, %stream, version, why, "no snapshot was stored");
    }

    /// Stores snapshots of streams whose events have been committed, on a task of its own.
    ///
    /// A snapshot is thus never ahead of its stream: where the commit failed, or nobody knows whether it did, this is not called.
    pub(crate) fn keep<B: Backend>(self: &Arc<Self>, backend: &Arc<B>, snapshots: Vec<Snapshot>) {
        if snapshots.is_empty() {
            return;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            for snapshot in &snapshots {
                self.skipped(snapshot.stream(), snapshot.version(), "too many");
            }
            return;
        };
        let (keeper, backend) = (Arc::clone(self), Arc::clone(backend));
        tokio::spawn(async move {
            for snapshot in snapshots {
                let (stream, version) = (snapshot.stream().clone(), snapshot.version());
                let mut commit = Commit::new();
                commit.snapshots.push(snapshot);
                match backend.commit(commit).await {
                    Ok(_) => {
                        keeper.stored.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) => keeper.skipped(&stream, version, "the store failed"),
                }
            }
            drop(place);
        });
    }

    /// Waits until nothing is under way.
    pub(crate) async fn settled(&self) {
        // It is never closed; if it were, nothing would be under way.
        let _all = self.places.acquire_many(PLACES).await;
    }
}

impl fmt::Debug for SnapshotKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SnapshotKeeper")
            .field(&self.counts())
            .finish()
    }
}
