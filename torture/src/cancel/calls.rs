//! [`Call`]: every call of a store that can be dropped.

use std::time::Duration;

use anyhow::{Context as _, Result};
use uno_core::{
    Category, Checkpoint, CheckpointStore as _, CheckpointWrite, Commit, CommitError,
    DocumentStore as _, DocumentWrite, EventFilter, EventStore as _, EventStoreExt as _, Lane,
    Metadata, NewMessage, Payload, Position, ProcessStatus, ProcessStore as _, ProcessWrite,
    ReadLog, ReadStream, Snapshot, StoreEpoch, StreamId, SubscriptionName, Transactional as _,
    Version,
};

use super::{Mistreated, dropping::Dropped};
use crate::{
    arena::{Arena, PLACE, WHOLE},
    campaign::batch::{Draft, Part},
    ledger::{Failure, Ledger},
};

macro_rules! calls {
    ($($call:ident: $name:literal,)*) => {
        /// A call of a store.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Call {
            $(#[doc = $name] $call,)*
        }

        impl Call {
            pub(super) const ALL: [Self; [$($name),*].len()] = [$(Self::$call),*];

            pub(super) fn name(self) -> &'static str {
                match self {
                    $(Self::$call => $name,)*
                }
            }
        }
    };
}

calls! {
    Append: "append",
    AppendMany: "append to several streams",
    CommitPlain: "commit of everything but work",
    CommitWork: "commit with work",
    CommitSlowWork: "commit with work that takes its time",
    CommitFailingWork: "commit with work that fails",
    Migrate: "migrate",
    ReadStream: "read_stream",
    ReadStreamBackward: "read_stream backward",
    ReadLog: "read_log",
    ReadLogFiltered: "read_log of a category",
    Head: "head",
    Changed: "changed",
    Pages: "pages",
    LoadSnapshot: "load_snapshot",
    LoadCheckpoint: "load_checkpoint",
    SaveCheckpoint: "save_checkpoint",
    ListCheckpoints: "list_checkpoints",
    ClaimLanes: "claim_lanes",
    ReleaseLanes: "release_lanes",
    NoteAttempt: "note_attempt",
    ResetLanes: "reset_lanes",
    ListLanes: "list_lanes",
    ListParked: "list_parked",
    ParkedKey: "parked_key",
    ParkedEvents: "parked_events",
    ParkedGroups: "parked_groups",
    CountParked: "count_parked",
    Request: "request",
    RequestAll: "request_all",
    ListRequests: "list_requests",
    LoadDocuments: "load_documents",
    ScanDocuments: "scan_documents",
    LoadProcesses: "load_processes",
    ListProcesses: "list_processes",
    ReadQueue: "read_queue",
    QueueDepth: "queue_depth",
}

impl<A: Arena> Mistreated<A> {
    /// Calls, and drops. Whether the call came to its end before.
    pub(super) async fn call(&mut self, call: Call, how: Dropped) -> Result<bool> {
        let store = &self.store;
        let stream = StreamId::new("warm", self.number.to_string())?;
        let ended = match call {
            Call::Append
            | Call::AppendMany
            | Call::CommitPlain
            | Call::CommitWork
            | Call::CommitSlowWork
            | Call::CommitFailingWork => {
                return self.write(call, how).await;
            }
            Call::ClaimLanes
            | Call::ReleaseLanes
            | Call::NoteAttempt
            | Call::ResetLanes
            | Call::ListLanes
            | Call::ListParked
            | Call::ParkedKey
            | Call::ParkedEvents
            | Call::ParkedGroups
            | Call::CountParked
            | Call::Request
            | Call::RequestAll
            | Call::ListRequests => return self.share(call, how).await,
            Call::Migrate => how.drop(store.migrate()).await.transpose()?.is_some(),
            Call::ReadStream => how
                .drop(store.read_stream(ReadStream::forward(stream)))
                .await
                .transpose()?
                .is_some(),
            Call::ReadStreamBackward => how
                .drop(store.read_stream(ReadStream::backward(stream).limit(5)))
                .await
                .transpose()?
                .is_some(),
            Call::ReadLog => how
                .drop(store.read_log(ReadLog::before(Position::MAX).limit(100)))
                .await
                .transpose()?
                .is_some(),
            Call::ReadLogFiltered => {
                let read = ReadLog::after(Position::START)
                    .filter(EventFilter::all().categories([Category::new(WHOLE)?]));
                how.drop(store.read_log(read.limit(10)))
                    .await
                    .transpose()?
                    .is_some()
            }
            Call::Head => how.drop(store.head()).await.transpose()?.is_some(),
            Call::Changed => how.drop(store.changed(store.change())).await.is_some(),
            Call::Pages => {
                let mut pages = store.pages(Position::START, EventFilter::all(), 20);
                how.drop(pages.next_page()).await.transpose()?.is_some()
            }
            Call::LoadSnapshot => how
                .drop(store.load_snapshot(&stream))
                .await
                .transpose()?
                .is_some(),
            Call::LoadCheckpoint => how
                .drop(store.load_checkpoint(&SubscriptionName::new("torture")?, Lane::FIRST))
                .await
                .transpose()?
                .is_some(),
            Call::SaveCheckpoint => {
                let name = SubscriptionName::new(format!("s{}", self.rng.u64(..)))?;
                let write = CheckpointWrite::new(name, None, Checkpoint::start(StoreEpoch::new()));
                how.drop(store.save_checkpoint(write))
                    .await
                    .transpose()?
                    .is_some()
            }
            Call::ListCheckpoints => how
                .drop(store.list_checkpoints())
                .await
                .transpose()?
                .is_some(),
            Call::LoadDocuments => how
                .drop(store.load_documents(PLACE, &["a".to_owned()]))
                .await
                .transpose()?
                .is_some(),
            Call::ScanDocuments => how
                .drop(store.scan_documents(PLACE, None, 10))
                .await
                .transpose()?
                .is_some(),
            Call::LoadProcesses => how
                .drop(store.load_processes(PLACE, &["a".to_owned()]))
                .await
                .transpose()?
                .is_some(),
            Call::ListProcesses => how
                .drop(store.list_processes(PLACE, &[], None, 10))
                .await
                .transpose()?
                .is_some(),
            Call::ReadQueue => how
                .drop(store.read_queue(PLACE, 0, 10))
                .await
                .transpose()?
                .is_some(),
            Call::QueueDepth => how
                .drop(store.queue_depth(PLACE))
                .await
                .transpose()?
                .is_some(),
        };
        Ok(ended)
    }

    /// The calls that write: what they were to write is in the ledger.
    async fn write(&mut self, call: Call, how: Dropped) -> Result<bool> {
        let (ledger, store, rng) = (self.arena.ledger(), &self.store, &mut self.rng);
        let number = self.number.to_string();
        let mut part = |category| Part::any(category, number.clone(), rng.u32(1..=5));
        let parts = match call {
            Call::AppendMany => vec![part("warm"), part("other")],
            Call::CommitPlain => vec![part(WHOLE)],
            _ => vec![part("warm")],
        };
        let rows = matches!(
            call,
            Call::CommitWork | Call::CommitSlowWork | Call::CommitFailingWork
        );
        let draft = Draft::intend(ledger, parts, rows)?;
        let outcome = match call {
            Call::Append | Call::AppendMany => how
                .drop(store.append(draft.appends(ledger.space())?))
                .await
                .map(|outcome| outcome.map_err(Into::into)),
            Call::CommitPlain => how.drop(store.commit(whole(ledger, &draft)?)).await,
            _ => {
                let mut commit = Commit::new();
                commit.appends = draft.appends(ledger.space())?;
                let slow = call == Call::CommitSlowWork;
                let pause = Duration::from_micros(if slow { rng.u64(..3000) } else { 0 });
                let fail = call == Call::CommitFailingWork;
                commit.work.push(self.arena.row(draft.batch, pause, fail));
                if slow {
                    commit.work.push(self.arena.slow(pause));
                }
                how.drop(store.commit(commit)).await
            }
        };
        let ended = outcome.is_some();
        match outcome {
            None => ledger.unknown(draft.batch)?,
            Some(Ok(receipt)) => ledger.receipt(draft.batch, &receipt)?,
            Some(Err(CommitError::Work(_))) if call == Call::CommitFailingWork => {
                ledger.failed(draft.batch, Failure::RolledBack)?;
            }
            Some(Err(error)) => {
                return Err(error)
                    .with_context(|| format!("{} failed, though nobody meant it to", call.name()));
            }
        }
        Ok(ended)
    }
}

/// A commit of everything that is data, all of it named after its first event.
fn whole<Tx>(ledger: &Ledger, draft: &Draft) -> Result<Commit<Tx>> {
    let first = ledger.space().event_id(draft.batch, 0);
    let body = Payload::encode(&draft.batch)?;
    let mut commit = Commit::new();
    commit.appends = draft.appends(ledger.space())?;
    let stream = commit.appends[0].stream().clone();
    commit
        .documents
        .push(DocumentWrite::put(PLACE, first.to_string(), body.clone()));
    commit.messages.push(NewMessage::new(
        PLACE,
        *first.as_uuid(),
        "key",
        "message",
        body.clone(),
        Metadata::new(),
    ));
    commit.processes.push(ProcessWrite::new(
        PLACE,
        first.to_string(),
        0,
        ProcessStatus::Running,
        body.clone(),
    ));
    commit.snapshots.push(Snapshot::new(
        stream,
        Version::new(1)?,
        first,
        "shape",
        body,
    ));
    Ok(commit)
}
