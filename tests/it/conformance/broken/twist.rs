//! What is asked for is not what is done: a commit is changed before it is carried out.
//!
//! Long because it has a fault for each part of a commit.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Datelike as _, Utc};
use futures_util::FutureExt as _;
use uno_core::{
    CheckpointStore as _, Commit, DocumentStore as _, DocumentWrite, EventId, EventStore as _,
    ExpectedVersion::{Any, Exact, NoStream, StreamExists},
    Metadata, NewEvent, Payload, Position, ProcessStore as _, ReadStream, Snapshot, StreamAppend,
    StreamId, TimerWrite, Transactional as _, Version, Work,
};
use uno_store_memory::MemoryTx;

use super::{Fault, moves::from_elsewhere, reminders::with_revision, store::Broken};

impl Broken {
    /// Changes what a commit expects and holds.
    pub(crate) async fn twist(&self, commit: &mut Commit<MemoryTx>) {
        self.twist_expected(commit).await;
        self.twist_events(commit).await;
        self.twist_records(commit).await;
        // A store that can't be read changes nothing.
        let _either = self.twist_moves(commit).await;
        self.twist_reminders(commit).await;
        self.twist_snapshots(commit).await;
        self.twist_work(commit);
    }

    /// The version of a stream.
    pub(crate) async fn version(&self, stream: &StreamId) -> Version {
        let newest = ReadStream::backward(stream.clone()).limit(1);
        let events = self.inner.read_stream(newest).await.unwrap_or_default();
        events
            .first()
            .map_or(Version::EMPTY, |event| event.version())
    }

    async fn twist_expected(&self, commit: &mut Commit<MemoryTx>) {
        for append in &mut commit.appends {
            let actual = self.version(append.stream()).await;
            let expected = match (self.fault, append.expected()) {
                (Fault::IgnoresExpectedVersions, _)
                | (Fault::TakesNoStreamForAny, NoStream)
                | (Fault::TakesStreamExistsForAny, StreamExists)
                | (Fault::TakesZeroForAny, Exact(Version::EMPTY)) => Any,
                (Fault::TakesAnyForNoStream, Any) => NoStream,
                (Fault::TakesStreamExistsForOne, StreamExists) => Exact(Version::EMPTY.next()),
                (Fault::ExactIsOneMore, Exact(version)) => Exact(version.next()),
                (Fault::TakesExactForAtLeast, Exact(version)) if actual > version => Exact(actual),
                (Fault::TakesExactForAtMost, Exact(version)) if actual < version => Exact(actual),
                _ => continue,
            };
            *append =
                StreamAppend::new(append.stream().clone(), expected, append.events().to_vec());
        }
        match self.fault {
            Fault::IgnoresUnchanged => commit.unchanged.clear(),
            Fault::UnchangedMustExist => {
                for (_, version) in &mut commit.unchanged {
                    *version = (*version).max(Version::EMPTY.next());
                }
            }
            Fault::IgnoresUnchangedAtZero => commit
                .unchanged
                .retain(|(_, version)| *version > Version::EMPTY),
            _ => {}
        }
    }

    async fn twist_events(&self, commit: &mut Commit<MemoryTx>) {
        match self.fault {
            Fault::MergesDoubledStreams => {
                let mut merged: Vec<StreamAppend> = Vec::new();
                for append in commit.appends.drain(..) {
                    match merged
                        .iter_mut()
                        .find(|known| known.stream() == append.stream())
                    {
                        Some(known) => {
                            let events = [known.events(), append.events()].concat();
                            *known = StreamAppend::new(
                                append.stream().clone(),
                                known.expected(),
                                events,
                            );
                        }
                        None => merged.push(append),
                    }
                }
                commit.appends = merged;
            }
            Fault::SkipsStreamsWithoutEvents => {
                commit.appends.retain(|append| !append.events().is_empty());
            }
            Fault::KeepsOnlyTheFirstStream => commit.appends.truncate(1),
            _ => {}
        }
        let mut own = HashSet::new();
        for append in &mut commit.appends {
            let mut events = append.events().to_vec();
            match self.fault {
                Fault::DropsTheLastEvent if events.len() > 1 => drop(events.pop()),
                Fault::DropsBeyond(count) => events.truncate(count),
                Fault::ReversesABatch => events.reverse(),
                Fault::GivesRepeatsNewIds => {
                    for event in &mut events {
                        if self.notes.get().seen.contains(&event.id()) {
                            *event = event.clone().with_id(EventId::new());
                        }
                    }
                }
                Fault::ReopensWithoutMemory if self.again => {
                    events = events
                        .into_iter()
                        .map(|event| event.with_id(EventId::new()))
                        .collect();
                }
                Fault::OverwritesRepeats => {
                    let mut notes = self.notes.get();
                    for event in &events {
                        if notes.seen.contains(&event.id()) {
                            notes
                                .overwritten
                                .insert(event.id(), event.payload().clone());
                        }
                    }
                }
                Fault::SkipsDoubledIds => events.retain(|event| own.insert(event.id())),
                Fault::AppendsTheRestOfAnOverlap => {
                    let notes = self.notes.get();
                    if events.iter().any(|event| !notes.seen.contains(&event.id())) {
                        events.retain(|event| !notes.seen.contains(&event.id()));
                    }
                }
                Fault::StripsWhatIsRefused => events = events.iter().map(strip).collect(),
                Fault::CutsLargePayloads => events = events.iter().map(cut).collect(),
                _ => continue,
            }
            *append = StreamAppend::new(append.stream().clone(), append.expected(), events);
        }
    }

    async fn twist_records(&self, commit: &mut Commit<MemoryTx>) {
        match self.fault {
            Fault::SkipsBadNames => skip_bad_names(commit),
            Fault::SkipsBadNumbers => {
                for write in &mut commit.processes {
                    *write = write.clone().with_history(1, Vec::new());
                }
            }
            Fault::AppliesRemovalsLast => {
                commit.documents.sort_by_key(|write| write.body().is_none());
            }
            Fault::KeepsTheFirstWrite => {
                let mut known = HashSet::new();
                commit.documents.retain(|write| {
                    known.insert((write.collection().to_owned(), write.key().to_owned()))
                });
            }
            Fault::NeverReplaces => {
                let mut kept = Vec::new();
                for write in commit.documents.drain(..) {
                    let there = self
                        .inner
                        .load_documents(write.collection(), &[write.key().to_owned()])
                        .await;
                    if write.body().is_none() || there.is_ok_and(|there| there.is_empty()) {
                        kept.push(write);
                    }
                }
                commit.documents = kept;
            }
            Fault::CutsLongNames => {
                for write in &mut commit.documents {
                    let key: String = write.key().chars().take(120).collect();
                    if let (true, Some(body)) = (write.key().len() > 255, write.body()) {
                        *write = DocumentWrite::put(write.collection(), key, body.clone());
                    }
                }
            }
            Fault::PutsDocumentsUnasked
            | Fault::PutsNewDocumentsUnasked
            | Fault::RemovesDocumentsUnasked
            | Fault::KeepsDocumentsUnasked
            | Fault::DistrustsRevisions
            | Fault::RemovesKeptDocuments
            | Fault::RewritesKeptDocuments
            | Fault::ExpectsWhatTheCommitWrote => self.twist_guards(commit).await,
            Fault::FieldsOutlive | Fault::KeepsTheFirstFields | Fault::StripsBadFields => {
                self.twist_fields(commit);
            }
            Fault::NeverRemoves => commit.documents.retain(|write| write.body().is_some()),
            Fault::ForgetsDocumentsBeyond(count) => commit.documents.truncate(count),
            Fault::MovesCheckpointsUnasked
            | Fault::TakesAMissingCheckpointForTheStart
            | Fault::RefusesToGoBack => {
                self.twist_checkpoints(commit).await;
            }
            Fault::SavesProcessesUnasked => {
                let mut saved = HashMap::new();
                for write in &mut commit.processes {
                    let instance = (write.process().to_owned(), write.key().to_owned());
                    let found = self
                        .inner
                        .load_processes(&instance.0, std::slice::from_ref(&instance.1))
                        .await
                        .unwrap_or_default();
                    let stored = found.first().map_or(0, |record| record.revision());
                    let revision = saved.entry(instance.clone()).or_insert(stored);
                    *write = with_revision(write, *revision);
                    *revision += 1;
                }
            }
            Fault::AcknowledgesUnasked => {
                let mut kept = Vec::new();
                for acknowledgement in commit.acknowledgements.drain(..) {
                    let waiting = self
                        .inner
                        .read_queue(acknowledgement.queue(), 0, usize::MAX)
                        .await
                        .unwrap_or_default();
                    let there = waiting
                        .iter()
                        .any(|queued| queued.message().id() == acknowledgement.id());
                    if there && !kept.contains(&acknowledgement) {
                        kept.push(acknowledgement);
                    }
                }
                commit.acknowledgements = kept;
            }
            Fault::AcknowledgesNothing => commit.acknowledgements.clear(),
            Fault::SkipsDoubledMessages => {
                let mut kept: Vec<uno_core::NewMessage> = Vec::new();
                for message in commit.messages.drain(..) {
                    let waiting = self
                        .inner
                        .read_queue(message.queue(), 0, usize::MAX)
                        .await
                        .unwrap_or_default();
                    let there = waiting
                        .iter()
                        .any(|queued| queued.message().id() == message.id());
                    if !there
                        && !kept.iter().any(|known| {
                            (known.queue(), known.id()) == (message.queue(), message.id())
                        })
                    {
                        kept.push(message);
                    }
                }
                commit.messages = kept;
            }
            Fault::RemembersMessagesForEver => {
                let mut notes = self.notes.get();
                if let Some(known) = commit
                    .messages
                    .iter()
                    .find(|message| notes.messages.contains(&message.id()))
                    .cloned()
                {
                    commit.messages.push(known.clone());
                    commit.messages.push(known);
                }
                notes
                    .messages
                    .extend(commit.messages.iter().map(uno_core::NewMessage::id));
            }
            _ => {}
        }
    }

    async fn twist_checkpoints(&self, commit: &mut Commit<MemoryTx>) {
        let mut moved: HashMap<_, Option<Position>> = HashMap::new();
        for write in &mut commit.checkpoints {
            let place = (write.subscription().clone(), write.of_lane());
            let stored = self
                .inner
                .load_checkpoint(&place.0, place.1)
                .await
                .unwrap_or_default()
                .map(|stored| stored.position());
            let actual = moved.get(&place).copied().unwrap_or(stored);
            let expected = match self.fault {
                Fault::MovesCheckpointsUnasked => actual,
                Fault::TakesAMissingCheckpointForTheStart
                    if actual.is_none() && write.expected() == Some(Position::START) =>
                {
                    None
                }
                Fault::RefusesToGoBack if actual > Some(write.checkpoint().position()) => {
                    Some(Position::MAX)
                }
                _ => write.expected(),
            };
            moved.insert(place, Some(write.checkpoint().position()));
            *write = from_elsewhere(write, expected);
        }
    }

    async fn twist_snapshots(&self, commit: &mut Commit<MemoryTx>) {
        let mut kept: Vec<Snapshot> = Vec::new();
        for snapshot in commit.snapshots.drain(..) {
            let stored = self
                .inner
                .load_snapshot(snapshot.stream())
                .await
                .unwrap_or_default();
            let version = stored.map(|stored| stored.version());
            match self.fault {
                Fault::DropsSnapshots => {}
                Fault::KeepsTheFirstSnapshot if version.is_some() => {}
                Fault::KeepsSnapshotsOfTheSameVersion if version == Some(snapshot.version()) => {}
                Fault::KeepsTheLastSnapshot => {
                    // The store that is spoiled compares versions, so an older one gets a higher version for the way.
                    kept.retain(|known| known.stream() != snapshot.stream());
                    let higher = version.map_or(snapshot.version(), |version| {
                        version.max(snapshot.version()).next()
                    });
                    let (id, body) = (snapshot.event_id(), snapshot.body().clone());
                    kept.push(Snapshot::new(
                        snapshot.stream().clone(),
                        higher,
                        id,
                        snapshot.shape(),
                        body,
                    ));
                }
                _ => kept.push(snapshot),
            }
        }
        commit.snapshots = kept;
    }

    fn twist_work(&self, commit: &mut Commit<MemoryTx>) {
        match self.fault {
            Fault::ReversesWork => commit.work.reverse(),
            Fault::SkipsWork => commit.work.clear(),
            Fault::SwallowsWorkErrors => {
                for work in &mut commit.work {
                    let inner: Work<MemoryTx> =
                        std::mem::replace(work, Box::new(|_| Box::pin(async { Ok(()) })));
                    *work = Box::new(|tx| {
                        Box::pin(async move {
                            // A panic counts as an error, and is swallowed like one.
                            let _either =
                                std::panic::AssertUnwindSafe(inner(tx)).catch_unwind().await;
                            Ok(())
                        })
                    });
                }
            }
            _ => {}
        }
    }
}

/// Takes out what would be refused, instead of refusing it.
fn strip(event: &NewEvent) -> NewEvent {
    let text = |text: &str| {
        text.replace('\0', "")
            .chars()
            .take(8192)
            .collect::<String>()
    };
    let old = event.metadata();
    let mut metadata = Metadata::new();
    if let Some(actor) = old.actor() {
        metadata = metadata.with_actor(text(actor));
    }
    if let Some(tenant) = old.tenant() {
        metadata = metadata.with_tenant(text(tenant));
    }
    for (name, value) in old.headers() {
        metadata = metadata.with_header(text(name), text(value));
    }
    let time = if (1..=9999).contains(&event.occurred_at().year())
        && event.occurred_at().timestamp_subsec_micros() < 1_000_000
    {
        event.occurred_at()
    } else {
        DateTime::<Utc>::UNIX_EPOCH
    };
    let tags: Vec<String> = event.tags().iter().map(|tag| text(tag)).collect();
    event
        .clone()
        .with_metadata(metadata)
        .with_tags(tags)
        .with_occurred_at(time)
}

/// Cuts a payload that is too large.
fn cut(event: &NewEvent) -> NewEvent {
    if event.payload().len() <= 1 << 20 {
        return event.clone();
    }
    NewEvent::from_payload(
        event.name().clone(),
        event.schema_version(),
        Payload::from_stored("null"),
    )
    .with_id(event.id())
}

/// Leaves out what would be refused for its name.
fn skip_bad_names(commit: &mut Commit<MemoryTx>) {
    let good = |name: &str| !name.is_empty() && name.len() <= 512 && !name.contains('\0');
    commit
        .documents
        .retain(|write: &DocumentWrite| good(write.collection()) && good(write.key()));
    commit
        .processes
        .retain(|write| good(write.process()) && good(write.key()));
    commit
        .messages
        .retain(|message| good(message.queue()) && good(message.key()) && good(message.name()));
    commit
        .acknowledgements
        .retain(|acknowledgement| good(acknowledgement.queue()));
    commit
        .snapshots
        .retain(|snapshot| !snapshot.shape().contains('\0'));
    commit.timers.retain(|write| {
        let good_key = match write {
            TimerWrite::Set(timer) => good(timer.key()),
            TimerWrite::Cancel { .. } | TimerWrite::Fire { .. } => true,
        };
        good(write.process()) && good_key
    });
    commit.inbox.retain(|handled| good(handled.consumer()));
}
