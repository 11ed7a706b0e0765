//! It is done in pieces: how a commit is carried out.

use std::sync::{Arc, atomic::Ordering};

use futures_util::FutureExt as _;
use tokio::task::yield_now;
use uno_core::{
    AppendError, CheckpointStore as _, Commit, CommitError, DocumentStore as _, EventStore as _,
    ExpectedVersion, Position, ProcessStore as _, ReadLog, Receipt, Stale, StoreError,
    StreamAppend, StreamAppended, StreamId, TimerWrite, Transactional as _, Version,
};
use uno_store_memory::MemoryTx;

use super::{
    Fault,
    fault::Part,
    store::Broken,
    tell::{Asked, made_up},
};

impl Broken {
    /// Carries out a commit, but for the fault.
    pub(crate) async fn write(&self, mut commit: Commit<MemoryTx>) -> Result<Receipt, CommitError> {
        if self.notes.stuck.load(Ordering::SeqCst) && !self.has(Fault::MigratingBeginsAnotherLife) {
            match self.fault {
                Fault::StaysBusyWhenDropped => std::future::pending().await,
                _ => return Err(StoreError::Backend("the store is poisoned".into()).into()),
            }
        }
        let asked = Asked::of(&commit, &self.notes.get());
        if self.has(Fault::ClaimsIdsBeforeTheCommit) {
            if asked.repeated {
                return Ok(made_up(self.inner.head().await?, &commit.appends));
            }
            self.notes.get().seen.extend(
                commit
                    .appends
                    .iter()
                    .flat_map(StreamAppend::events)
                    .map(uno_core::NewEvent::id),
            );
        }
        if self.has(Fault::TakesTheLogForTheStream) {
            let appends = std::mem::take(&mut commit.appends);
            self.compare_with_the_log(&appends).await?;
            commit.appends = appends;
        }
        self.twist(&mut commit).await;
        let before = self.inner.head().await?.position();
        let result = self.carry_out(commit).await;
        self.note(&asked, &result, before).await?;
        self.tell(&asked, result).await
    }

    async fn carry_out(&self, mut commit: Commit<MemoryTx>) -> Result<Receipt, CommitError> {
        match self.fault {
            Fault::AppendsStreamByStream => {
                let appends = std::mem::take(&mut commit.appends);
                let parts = appends.into_iter().map(|append| vec![append]).collect();
                self.piecewise(parts, commit).await
            }
            Fault::AppendsEventByEvent => {
                let parts = commit
                    .appends
                    .drain(..)
                    .flat_map(|append| one_by_one(&append))
                    .map(|append| vec![append])
                    .collect();
                self.piecewise(parts, commit).await
            }
            Fault::AppendsBeforeWork => {
                let appends = std::mem::take(&mut commit.appends);
                let receipt = self.inner.append(appends).await?;
                self.inner.commit(commit).await?;
                Ok(receipt)
            }
            Fault::WritesOutside(Part::Parking) => {
                self.park_outside(&mut commit).await?;
                self.inner.commit(commit).await
            }
            Fault::WritesOutside(part) => {
                let _either = self.inner.commit(outside(&mut commit, part)).await;
                yield_now().await;
                yield_now().await;
                self.inner.commit(commit).await
            }
            Fault::ChecksThenActs => self.check_then_act(commit).await,
            Fault::LocksInTheOrderOfTheRequest => {
                let mut streams: Vec<StreamId> = commit
                    .appends
                    .iter()
                    .map(|append| append.stream().clone())
                    .collect();
                for parked in commit.checkpoints.iter().flat_map(|write| write.parked()) {
                    if let Ok(key) = StreamId::new("parked", parked.key())
                        && !streams.contains(&key)
                    {
                        streams.push(key);
                    }
                }
                let mut held = Vec::new();
                for stream in streams {
                    let lock = Arc::clone(self.notes.get().streams.entry(stream).or_default());
                    held.push(lock.lock_owned().await);
                    yield_now().await;
                }
                self.inner.commit(commit).await
            }
            Fault::KeepsRequests => {
                let result = self.inner.commit(commit).await;
                self.ask_again().await?;
                result
            }
            Fault::HoldsOneLockThroughout => {
                let _held = self.notes.lock.lock().await;
                self.inner.commit(commit).await
            }
            Fault::StaysBusyWhenDropped => {
                self.notes.stuck.store(true, Ordering::SeqCst);
                yield_now().await;
                let result = self.inner.commit(commit).await;
                self.notes.stuck.store(false, Ordering::SeqCst);
                result
            }
            Fault::DropsWhenBusy => {
                let others = self.notes.busy.fetch_add(1, Ordering::SeqCst);
                yield_now().await;
                yield_now().await;
                self.notes.busy.fetch_sub(1, Ordering::SeqCst);
                if others > 1 {
                    return Ok(made_up(self.inner.head().await?, &commit.appends));
                }
                self.inner.commit(commit).await
            }
            Fault::FailsTogether => {
                let failures = self.notes.failures.load(Ordering::SeqCst);
                yield_now().await;
                yield_now().await;
                if self.notes.failures.load(Ordering::SeqCst) > failures {
                    return Err(CommitError::Work(
                        "another commit of the group failed".into(),
                    ));
                }
                let result = self.inner.commit(commit).await;
                if result.is_err() {
                    self.notes.failures.fetch_add(1, Ordering::SeqCst);
                }
                result
            }
            Fault::RepeatsCommits => {
                let repeated = {
                    let notes = self.notes.get();
                    let mut ids = commit
                        .appends
                        .iter()
                        .flat_map(StreamAppend::events)
                        .map(uno_core::NewEvent::id);
                    !commit.appends.is_empty() && ids.all(|id| notes.seen.contains(&id))
                };
                if repeated {
                    let appends = std::mem::take(&mut commit.appends);
                    // What can't be done twice is left out, so that the rest is.
                    commit.checkpoints = self.parking_alone(&mut commit).await?;
                    commit.processes.clear();
                    commit.messages.clear();
                    commit.acknowledgements.clear();
                    commit.inbox.clear();
                    commit
                        .timers
                        .retain(|write| !matches!(write, TimerWrite::Fire { .. }));
                    self.inner.commit(commit).await?;
                    return Ok(self.inner.append(appends).await?);
                }
                self.inner.commit(commit).await
            }
            Fault::IsPoisonedByPanics => {
                match std::panic::AssertUnwindSafe(self.inner.commit(commit))
                    .catch_unwind()
                    .await
                {
                    Ok(result) => result,
                    Err(panic) => {
                        self.notes.stuck.store(true, Ordering::SeqCst);
                        std::panic::resume_unwind(panic)
                    }
                }
            }
            Fault::KeepsUnchangedLocked => {
                let locks = !commit.unchanged.is_empty();
                let result = self.inner.commit(commit).await;
                self.notes.stuck.fetch_or(locks, Ordering::SeqCst);
                result
            }
            Fault::WritesFieldsApart => self.write_fields_apart(commit).await,
            Fault::WritesDocumentsOneByOne => {
                for write in std::mem::take(&mut commit.documents) {
                    let mut own = Commit::new();
                    own.documents.push(write);
                    self.inner.commit(own).await?;
                    yield_now().await;
                    yield_now().await;
                }
                self.inner.commit(commit).await
            }
            Fault::WritesTimersOneByOne => {
                for write in std::mem::take(&mut commit.timers) {
                    let mut own = Commit::new();
                    own.timers.push(write);
                    self.inner.commit(own).await?;
                    yield_now().await;
                    yield_now().await;
                }
                self.inner.commit(commit).await
            }
            _ => self.inner.commit(commit).await,
        }
    }

    /// Compares what is expected of a stream with the length of the log.
    async fn compare_with_the_log(&self, appends: &[StreamAppend]) -> Result<(), CommitError> {
        let log = self
            .inner
            .read_log(ReadLog::after(Position::START).limit(usize::MAX))
            .await?;
        let actual = Version::new(log.events().len() as u64).unwrap_or(Version::MAX);
        for append in appends {
            if !append.expected().allows(actual) {
                let (stream, expected) = (append.stream().clone(), append.expected());
                return Err(AppendError::Conflict {
                    stream,
                    expected,
                    actual,
                }
                .into());
            }
        }
        Ok(())
    }

    /// Appends some of it, and then some more, and the rest at last.
    async fn piecewise(
        &self,
        parts: Vec<Vec<StreamAppend>>,
        rest: Commit<MemoryTx>,
    ) -> Result<Receipt, CommitError> {
        let mut streams: Vec<StreamAppended> = Vec::new();
        let mut last = None;
        for part in parts {
            let receipt = self.inner.append(part).await?;
            last = receipt.position().max(last);
            for part in receipt.streams() {
                match streams
                    .iter_mut()
                    .find(|known| known.stream() == part.stream())
                {
                    Some(known) => {
                        *known =
                            StreamAppended::new(part.stream().clone(), known.first(), part.last());
                    }
                    None => streams.push(part.clone()),
                }
            }
            yield_now().await;
        }
        let receipt = self.inner.commit(rest).await?;
        Ok(Receipt::new(receipt.epoch(), last, streams))
    }

    /// Looks whether everything is as expected, and then does it without looking again.
    async fn check_then_act(&self, mut commit: Commit<MemoryTx>) -> Result<Receipt, CommitError> {
        for append in &mut commit.appends {
            let actual = self.version(append.stream()).await;
            if append.expected().allows(actual) {
                *append = StreamAppend::new(
                    append.stream().clone(),
                    ExpectedVersion::Any,
                    append.events().to_vec(),
                );
            }
        }
        for (stream, version) in std::mem::take(&mut commit.unchanged) {
            if self.version(&stream).await != version {
                commit.unchanged.push((stream, version));
            }
        }
        for write in &commit.checkpoints {
            let stored = self
                .inner
                .load_checkpoint(write.subscription(), write.of_lane())
                .await?;
            if stored.map(|stored| stored.position()) != write.expected() {
                return Err(CommitError::Stale(Stale::Checkpoint(
                    write.subscription().clone(),
                )));
            }
        }
        self.check_parked(&commit.checkpoints).await?;
        for write in &commit.processes {
            let found = self
                .inner
                .load_processes(write.process(), &[write.key().to_owned()])
                .await?;
            if found.first().map_or(0, |record| record.revision()) != write.expected_revision() {
                let (process, key) = (write.process().to_owned(), write.key().to_owned());
                return Err(CommitError::Stale(Stale::Process { process, key }));
            }
        }
        for write in &commit.documents {
            let (collection, key) = (write.collection().to_owned(), write.key().to_owned());
            let found = self
                .inner
                .load_documents(&collection, std::slice::from_ref(&key))
                .await?;
            let actual = found.first().map_or(0, |document| document.revision());
            if write
                .expected_revision()
                .is_some_and(|expected| expected != actual)
            {
                return Err(CommitError::Stale(Stale::Document { collection, key }));
            }
        }
        for acknowledgement in &commit.acknowledgements {
            let waiting = self
                .inner
                .read_queue(acknowledgement.queue(), 0, usize::MAX)
                .await?;
            if !waiting
                .iter()
                .any(|queued| queued.message().id() == acknowledgement.id())
            {
                let (queue, id) = (acknowledgement.queue().to_owned(), acknowledgement.id());
                return Err(CommitError::Stale(Stale::Message { queue, id }));
            }
        }
        self.check_reminders(&commit.timers, &commit.inbox).await?;
        yield_now().await;
        yield_now().await;
        for unasked in [
            Fault::MovesCheckpointsUnasked,
            Fault::TakesOffUnasked,
            Fault::SavesProcessesUnasked,
            Fault::AcknowledgesUnasked,
            Fault::PutsDocumentsUnasked,
            Fault::RemovesDocumentsUnasked,
            Fault::KeepsDocumentsUnasked,
            Fault::FiresUnasked,
            Fault::HandlesUnasked,
        ] {
            let other = Self::new(self.inner.clone(), unasked);
            other.notes.get().keys = self.notes.get().keys.clone();
            other.twist(&mut commit).await;
        }
        self.inner.commit(commit).await
    }
}

fn one_by_one(append: &StreamAppend) -> Vec<StreamAppend> {
    let expected = |at: u64| match append.expected() {
        ExpectedVersion::Exact(version) => version
            .checked_add(at)
            .map_or(ExpectedVersion::Any, ExpectedVersion::Exact),
        other if at == 0 => other,
        _ => ExpectedVersion::Any,
    };
    let events = (0..).zip(append.events());
    events
        .map(|(at, event)| {
            StreamAppend::new(append.stream().clone(), expected(at), vec![event.clone()])
        })
        .collect()
}

/// Takes one part out of a commit, as a commit of its own.
fn outside(commit: &mut Commit<MemoryTx>, part: Part) -> Commit<MemoryTx> {
    let mut own = Commit::new();
    match part {
        Part::Rows => std::mem::swap(&mut own.work, &mut commit.work),
        Part::Snapshots => std::mem::swap(&mut own.snapshots, &mut commit.snapshots),
        Part::Documents => std::mem::swap(&mut own.documents, &mut commit.documents),
        Part::Checkpoints | Part::Parking => {
            std::mem::swap(&mut own.checkpoints, &mut commit.checkpoints);
        }
        Part::Processes => std::mem::swap(&mut own.processes, &mut commit.processes),
        Part::Messages => std::mem::swap(&mut own.messages, &mut commit.messages),
        Part::Acknowledgements => {
            std::mem::swap(&mut own.acknowledgements, &mut commit.acknowledgements);
        }
        Part::Timers => std::mem::swap(&mut own.timers, &mut commit.timers),
        Part::Inbox => std::mem::swap(&mut own.inbox, &mut commit.inbox),
    }
    own
}
