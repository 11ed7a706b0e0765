//! A commit that holds one of everything, and whether it happened.

use std::time::Duration;

use uno_core::{
    Acknowledgement, BoxError, Checkpoint, CheckpointStore as _, CheckpointWrite, Commit,
    DocumentWrite, Due, EventId, EventStore as _, ExpectedVersion, InboxStore as _, InboxWrite,
    Lane, Metadata, NewEvent, NewMessage, NewTimer, ProcessStatus, ProcessStore as _, ProcessWrite,
    Snapshot, StreamAppend, StreamId, SubscriptionName, TimerStore as _, TimerWrite,
    Transactional as _,
};
use uuid::Uuid;

use crate::conformance::{
    BackendHarness, Trial, TxOf,
    fixture::{events, ids, json, new_ids, new_uuid, stream, subscription, version},
};

/// One of everything that a commit can hold, under names of its own.
pub(crate) struct AllParts {
    pub(crate) name: String,
    pub(crate) stream: StreamId,
    pub(crate) events: Vec<NewEvent>,
    /// Takes the place of the events, so that the commit can't happen any more.
    blocker: Vec<NewEvent>,
    pub(crate) subscription: SubscriptionName,
    /// Waits in the queue before the commit, which takes it off.
    pub(crate) old_message: Uuid,
    /// Put in the queue by the commit.
    pub(crate) new_message: Uuid,
    /// Pending before the commit, which fires it.
    old_timer: Uuid,
    /// Set by the commit.
    new_timer: Uuid,
    /// Handled in the commit.
    handled: Uuid,
}

impl AllParts {
    /// Puts in place what such a commit takes for granted.
    pub(crate) async fn prepare<H: BackendHarness>(
        t: &Trial<H>,
        name: &str,
    ) -> Result<Self, BoxError> {
        let parts = Self {
            name: name.to_owned(),
            stream: stream(name),
            events: events(2),
            blocker: events(1),
            subscription: subscription(name),
            old_message: new_uuid(),
            new_message: new_uuid(),
            old_timer: new_uuid(),
            new_timer: new_uuid(),
            handled: new_uuid(),
        };
        t.commit(|commit| {
            commit.messages.push(parts.message(parts.old_message));
            commit.timers.push(parts.timer(parts.old_timer));
        })
        .await?;
        Ok(parts)
    }

    /// The commit, with an append that expects a new stream.
    pub(crate) fn commit<H: BackendHarness>(&self, t: &Trial<H>) -> Commit<TxOf<H>> {
        let mut commit = Commit::new();
        commit.appends.push(StreamAppend::new(
            self.stream.clone(),
            ExpectedVersion::NoStream,
            self.events.clone(),
        ));
        self.fill(t, &mut commit);
        commit
    }

    /// Everything but the events.
    pub(crate) fn fill<H: BackendHarness>(&self, t: &Trial<H>, commit: &mut Commit<TxOf<H>>) {
        commit.work.push(t.harness().put_row(&self.name, "written"));
        commit.snapshots.push(Snapshot::new(
            self.stream.clone(),
            version(2),
            EventId::new(),
            "shape",
            json("[2]"),
        ));
        commit.documents.push(DocumentWrite::put(
            "parts",
            self.name.as_str(),
            json("{\"part\":true}"),
        ));
        let checkpoint = Checkpoint::start(uno_core::StoreEpoch::from_uuid(Uuid::nil()));
        commit.checkpoints.push(CheckpointWrite::new(
            self.subscription.clone(),
            None,
            checkpoint,
        ));
        let process = ProcessWrite::new(
            "parts",
            self.name.as_str(),
            0,
            ProcessStatus::Running,
            json("{}"),
        );
        commit
            .processes
            .push(process.with_history(1, vec![json("1"), json("2")]));
        commit
            .acknowledgements
            .push(Acknowledgement::new(self.name.as_str(), self.old_message));
        commit.messages.push(self.message(self.new_message));
        let (process, id) = ("parts".to_owned(), self.old_timer);
        commit.timers.push(TimerWrite::Fire { process, id });
        commit.timers.push(self.timer(self.new_timer));
        let handled = InboxWrite::new(self.name.as_str(), self.handled, json("[]"));
        commit.inbox.push(handled);
    }

    fn timer(&self, id: Uuid) -> TimerWrite {
        let due = Due::After(Duration::ZERO);
        let (key, metadata) = (self.name.as_str(), Metadata::new());
        TimerWrite::Set(NewTimer::new("parts", key, id, due, json("{}"), metadata))
    }

    fn message(&self, id: Uuid) -> NewMessage {
        NewMessage::new(
            self.name.as_str(),
            id,
            "key",
            "message",
            json("{}"),
            Metadata::new(),
        )
    }

    /// Whether a commit happened that was given up half way, and may be under way still: fails unless it happened whole or
    /// not at all. From then on it can't happen any more.
    pub(crate) async fn settle<H: BackendHarness>(&self, t: &Trial<H>) -> Result<bool, BoxError> {
        // The commit expects a new stream: either it has begun it, or this append does, and then the commit never can.
        match t
            .append(&self.stream, ExpectedVersion::NoStream, &self.blocker)
            .await
        {
            Err(error) if error.is_conflict() => {
                assert!(
                    self.happened(t).await?,
                    "the stream of {} has events, and they are not of the commit",
                    self.name
                );
                Ok(true)
            }
            Err(error) => Err(error.into()),
            Ok(_) => {
                assert!(
                    !self.happened(t).await?,
                    "an append and a commit have begun the same stream"
                );
                Ok(false)
            }
        }
    }

    /// Whether the commit happened: fails unless it happened whole or not at all.
    pub(crate) async fn happened<H: BackendHarness>(&self, t: &Trial<H>) -> Result<bool, BoxError> {
        let store = t.store();
        let key = [self.name.clone()];
        let stored = ids(&t.stream(&self.stream).await?);
        let happened = stored == new_ids(&self.events);
        assert!(
            happened || stored.is_empty() || stored == new_ids(&self.blocker),
            "{} events of 2",
            stored.len()
        );
        let queue: Vec<_> = store
            .read_queue(&self.name, 0, 10)
            .await?
            .iter()
            .map(|queued| queued.message().id())
            .collect();
        let timers: Vec<_> = store
            .list_timers("parts", &self.name)
            .await?
            .iter()
            .map(uno_core::Timer::id)
            .collect();
        let history = store.read_history("parts", &self.name, 0, 10).await?;
        let handled = store.load_inbox(&self.name, &[self.handled]).await?;
        let parts = [
            ("row", t.row(&self.name).await?.is_some()),
            (
                "snapshot",
                store.load_snapshot(&self.stream).await?.is_some(),
            ),
            ("document", t.document("parts", &self.name).await?.is_some()),
            (
                "checkpoint",
                store
                    .load_checkpoint(&self.subscription, Lane::FIRST)
                    .await?
                    .is_some(),
            ),
            (
                "process",
                !store.load_processes("parts", &key).await?.is_empty(),
            ),
            ("message", queue.contains(&self.new_message)),
            ("acknowledgement", !queue.contains(&self.old_message)),
            ("timer", timers.contains(&self.new_timer)),
            ("fired timer", !timers.contains(&self.old_timer)),
            ("history", !history.is_empty()),
            ("inbox", !handled.is_empty()),
        ];
        for (part, done) in parts {
            assert_eq!(
                done, happened,
                "the {part} of {}, when events were stored or not",
                self.name
            );
        }
        let head = store.head().await?.last().map(|(_, id)| id);
        assert!(
            happened || !new_ids(&self.events).into_iter().any(|id| Some(id) == head),
            "the head shows a lost event"
        );
        Ok(happened)
    }
}
