//! What the writer is asked to do.

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;
use uno_core::{
    Acknowledgement, CheckpointWrite, Commit, CommitError, DocumentWrite, InboxWrite, NewMessage,
    ProcessWrite, Receipt, Snapshot, StoreError, StreamAppend, StreamId, TimerWrite, Version, Work,
};

use super::change::Change;
use crate::SqliteTx;

pub(crate) enum Job {
    Commit(Box<CommitJob>),
    Migrate(oneshot::Sender<Result<(), StoreError>>),
    Prune(Prune),
    Change(Change),
    /// Do what was asked for before this, and then end.
    Close,
}

pub(crate) struct CommitJob {
    pub(crate) work: Vec<Work<SqliteTx>>,
    pub(crate) plain: Plain,
    pub(crate) reply: oneshot::Sender<Result<Receipt, CommitError>>,
}

/// Forget some of what a consumer has handled before a time, at most `limit`; how many that were.
pub(crate) struct Prune {
    pub(crate) consumer: String,
    pub(crate) before: DateTime<Utc>,
    pub(crate) limit: u32,
    pub(crate) reply: oneshot::Sender<Result<u64, StoreError>>,
}

/// A commit without the caller's own work: data that may be looked at as often as need be.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) appends: Vec<StreamAppend>,
    pub(crate) unchanged: Vec<(StreamId, Version)>,
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) documents: Vec<DocumentWrite>,
    pub(crate) checkpoints: Vec<CheckpointWrite>,
    pub(crate) processes: Vec<ProcessWrite>,
    pub(crate) messages: Vec<NewMessage>,
    pub(crate) acknowledgements: Vec<Acknowledgement>,
    pub(crate) timers: Vec<TimerWrite>,
    pub(crate) inbox: Vec<InboxWrite>,
}

impl Plain {
    pub(crate) fn split(commit: Commit<SqliteTx>) -> (Vec<Work<SqliteTx>>, Self) {
        let plain = Self {
            appends: commit.appends,
            unchanged: commit.unchanged,
            snapshots: commit.snapshots,
            documents: commit.documents,
            checkpoints: commit.checkpoints,
            processes: commit.processes,
            messages: commit.messages,
            acknowledgements: commit.acknowledgements,
            timers: commit.timers,
            inbox: commit.inbox,
        };
        (commit.work, plain)
    }

    /// How many events it appends.
    pub(crate) fn events(&self) -> usize {
        self.appends
            .iter()
            .map(|append| append.events().len())
            .sum()
    }

    /// About how many bytes it writes.
    pub(crate) fn weight(&self) -> usize {
        const ROW: usize = 200;
        let events = self.appends.iter().flat_map(|append| append.events());
        let bodies = events
            .map(|event| event.payload().len())
            .chain(self.snapshots.iter().map(|snapshot| snapshot.body().len()))
            .chain(
                self.documents
                    .iter()
                    .map(|document| document.body().map_or(0, |body| body.len())),
            )
            .chain(self.processes.iter().map(|process| process.body().len()))
            .chain(
                self.processes
                    .iter()
                    .flat_map(|process| process.history())
                    .map(|entry| entry.len()),
            )
            .chain(self.messages.iter().map(|message| message.payload().len()))
            .chain(self.timers.iter().map(|timer| match timer {
                TimerWrite::Set(timer) => timer.payload().len(),
                TimerWrite::Cancel { .. } | TimerWrite::Fire { .. } => 0,
            }))
            .chain(self.inbox.iter().map(|handled| handled.outputs().len()))
            .chain(
                self.checkpoints
                    .iter()
                    .flat_map(|write| write.parked())
                    .map(|parked| parked.key().len()),
            );
        bodies.map(|length| ROW + length).sum()
    }
}
