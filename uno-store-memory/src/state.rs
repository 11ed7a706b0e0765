//! [`State`]: everything that a store holds, and how a commit changes it.

use chrono::{DateTime, Utc};
use uno_core::{AppendError, Commit, CommitError, ExpectedVersion, Receipt, StoreEpoch};

use crate::{
    inbox::Inbox,
    lanes::Lanes,
    log::{Appended, Log},
    parking::Parking,
    queues::Queues,
    records::Records,
    timers::Timers,
    tx::Rows,
};

pub(crate) struct State {
    epoch: StoreEpoch,
    pub(crate) log: Log,
    pub(crate) records: Records,
    pub(crate) lanes: Lanes,
    pub(crate) parking: Parking,
    pub(crate) queues: Queues,
    pub(crate) timers: Timers,
    pub(crate) inbox: Inbox,
}

impl State {
    pub(crate) fn new(epoch: StoreEpoch, log: Log) -> Self {
        Self {
            epoch,
            log,
            records: Records::default(),
            lanes: Lanes::default(),
            parking: Parking::default(),
            queues: Queues::default(),
            timers: Timers::default(),
            inbox: Inbox::default(),
        }
    }

    /// Carries out a commit whose work is done: first everything is checked, then everything is changed, and
    /// what is changed can't fail any more.
    pub(crate) fn carry_out<Tx>(
        &mut self,
        commit: Commit<Tx>,
        rows: Rows,
        now: DateTime<Utc>,
    ) -> Result<Receipt, CommitError> {
        match self.check(&commit) {
            Ok(None) => {}
            Ok(Some(first)) => return Ok(self.receipt(first)),
            Err(error) => {
                self.log.waste();
                return Err(error);
            }
        }
        let appended = self.log.append(&commit.appends, now)?;
        for ((table, key), value) in rows {
            self.records.write_row(&table, &key, value);
        }
        for snapshot in commit.snapshots {
            self.records.keep_snapshot(snapshot);
        }
        for document in &commit.documents {
            self.records.write_document(document);
        }
        for checkpoint in &commit.checkpoints {
            self.lanes.write(checkpoint);
            self.parking.write(checkpoint, now);
        }
        for process in &commit.processes {
            self.records.save_process(process, now);
        }
        for acknowledgement in &commit.acknowledgements {
            self.queues.remove(acknowledgement);
        }
        for message in commit.messages {
            self.queues.add(message, now);
        }
        for timer in commit.timers {
            self.timers.write(timer, now);
        }
        for handled in &commit.inbox {
            self.inbox.write(handled, now);
        }
        Ok(self.receipt(appended))
    }

    /// `Some` when the events are stored already: then all of the commit was carried out with them.
    fn check<Tx>(&self, commit: &Commit<Tx>) -> Result<Option<Appended>, CommitError> {
        if let Some(first) = self.log.check(&commit.appends)? {
            return Ok(Some(first));
        }
        for (stream, version) in &commit.unchanged {
            let actual = self.log.version(stream);
            if actual != *version {
                let expected = ExpectedVersion::Exact(*version);
                return Err(AppendError::Conflict {
                    stream: stream.clone(),
                    expected,
                    actual,
                }
                .into());
            }
        }
        self.lanes
            .check(&commit.checkpoints)
            .map_err(CommitError::Stale)?;
        self.parking
            .check(&commit.checkpoints)
            .map_err(CommitError::Stale)?;
        self.records
            .check_processes(&commit.processes)
            .map_err(CommitError::Stale)?;
        self.records
            .check_documents(&commit.documents)
            .map_err(CommitError::Stale)?;
        self.queues
            .check_acknowledgements(&commit.acknowledgements)
            .map_err(CommitError::Stale)?;
        self.timers
            .check(&commit.timers)
            .map_err(CommitError::Stale)?;
        self.inbox
            .check(&commit.inbox)
            .map_err(CommitError::Stale)?;
        self.queues
            .check_messages(&commit.messages)
            .map_err(AppendError::Refused)?;
        Ok(None)
    }

    fn receipt(&self, appended: Appended) -> Receipt {
        Receipt::new(self.epoch, appended.position, appended.streams)
    }
}
