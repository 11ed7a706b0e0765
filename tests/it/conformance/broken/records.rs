//! What is read is not what is there: documents, checkpoints, processes, queues and snapshots.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uno_core::{
    Checkpoint, CheckpointStore as _, Direction, Document, DocumentStore as _, EventStore as _,
    Lane, Metadata, NewMessage, Payload, ProcessRecord, ProcessStatus, ProcessStore as _,
    QueuedMessage, Snapshot, StoreError, StreamId, SubscriptionName, Transactional as _,
};

use super::{Fault, distort::normalised, store::Broken};

impl Broken {
    /// Whether records are gone, since the store was opened again.
    pub(crate) fn gone(&self) -> bool {
        self.again && self.has(Fault::ReopensWithoutRecords)
    }

    pub(crate) fn folded(&self, name: &str) -> String {
        if self.has(Fault::FoldsCollections) {
            name.to_lowercase()
        } else {
            name.to_owned()
        }
    }

    pub(crate) fn body(&self, body: &Payload) -> Payload {
        match self.fault {
            Fault::DistortsBodies if body.len() > 65_535 => Payload::from_stored("null"),
            Fault::DistortsBodies => normalised(body),
            _ => body.clone(),
        }
    }

    fn document(&self, document: &Document) -> Document {
        let revision = self.revision(document);
        Document::new(
            document.key().to_owned(),
            revision,
            self.body(document.body()),
        )
    }

    fn revision(&self, document: &Document) -> u64 {
        match self.fault {
            Fault::RevisionsOfDocumentsStay => 1,
            Fault::RevisionsOfDocumentsStartAtZero => document.revision() - 1,
            _ => document.revision(),
        }
    }

    pub(crate) async fn documents(
        &self,
        collection: &str,
        keys: &[String],
    ) -> Result<Vec<Document>, StoreError> {
        let collection = self.folded(collection);
        let found = self.inner.load_documents(&collection, keys).await?;
        let mut documents: Vec<_> = found
            .iter()
            .map(|document| self.document(document))
            .collect();
        match self.fault {
            Fault::LoadsAsOftenAsAsked => {
                let asked = keys
                    .iter()
                    .filter_map(|key| found.iter().find(|document| document.key() == key));
                documents = asked.cloned().collect();
            }
            Fault::LoadsMissing => {
                let known: HashSet<_> = found.iter().map(Document::key).collect();
                let missing = keys.iter().filter(|key| !known.contains(key.as_str()));
                documents.extend(
                    missing.map(|key| Document::new(key.clone(), 1, Payload::from_stored("null"))),
                );
            }
            Fault::ReadsForwardWhenBackward => documents.reverse(),
            _ => {}
        }
        Ok(if self.gone() { Vec::new() } else { documents })
    }

    pub(crate) async fn scan(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, StoreError> {
        let collection = self.folded(collection);
        let mut documents = self
            .inner
            .scan_documents(&collection, None, usize::MAX)
            .await?;
        self.sorted(&mut documents, Document::key, after);
        let documents = documents
            .iter()
            .map(|document| self.document(document))
            .collect();
        Ok(if self.gone() {
            Vec::new()
        } else {
            self.limited(documents, Direction::Forward, limit)
        })
    }

    /// In order, and what comes after a key.
    pub(super) fn sorted<T>(
        &self,
        records: &mut Vec<T>,
        key: impl Fn(&T) -> &str,
        after: Option<&str>,
    ) {
        let known = after.is_none_or(|after| records.iter().any(|record| key(record) == after));
        if self.has(Fault::ScansByLetters) {
            records.sort_by_key(|record| key(record).to_lowercase());
            let after = after.map(str::to_lowercase);
            records.retain(|record| {
                after
                    .as_ref()
                    .is_none_or(|after| key(record).to_lowercase() > *after)
            });
            return;
        }
        records.retain(|record| match (self.fault, after) {
            (_, None) => true,
            (Fault::ScansIncludeAfter, Some(after)) => key(record) >= after,
            (Fault::ScansNeedAfter, Some(after)) => known && key(record) > after,
            (_, Some(after)) => key(record) > after,
        });
    }

    pub(crate) async fn checkpoint(
        &self,
        name: &SubscriptionName,
        lane: Lane,
    ) -> Result<Option<Checkpoint>, StoreError> {
        let name = self.subscription(name);
        let lane = if self.has(Fault::IgnoresLanes) {
            Lane::FIRST
        } else {
            lane
        };
        let epoch = self.inner.head().await?.epoch();
        let found = self.inner.load_checkpoint(&name, lane).await?;
        Ok(match (self.fault, found) {
            _ if self.gone() => None,
            (Fault::MissingCheckpointsAreAtTheStart, None) => Some(Checkpoint::start(epoch)),
            (Fault::LosesTheEventIdOfCheckpoints, Some(found)) => Some(match found.event_id() {
                Some(_) => Checkpoint::after(
                    found.epoch(),
                    found.position(),
                    uno_core::EventId::from_uuid(uuid::Uuid::nil()),
                ),
                None => found,
            }),
            (Fault::LosesTheEpochOfCheckpoints, Some(found)) => Some(match found.event_id() {
                Some(id) => Checkpoint::after(epoch, found.position(), id),
                None => Checkpoint::start(epoch),
            }),
            (_, found) => found,
        })
    }

    pub(crate) async fn checkpoints(
        &self,
    ) -> Result<Vec<(SubscriptionName, Lane, Checkpoint)>, StoreError> {
        let mut listed = self.inner.list_checkpoints().await?;
        match self.fault {
            Fault::ListsCheckpointsUnsorted => listed.reverse(),
            Fault::ListsOneCheckpointLess => drop(listed.pop()),
            Fault::ListsLanesByLetters => {
                listed.sort_by_key(|(name, lane, _)| (name.clone(), lane.to_string()));
            }
            _ => {}
        }
        Ok(listed)
    }

    fn process(&self, record: &ProcessRecord) -> ProcessRecord {
        let revision = if self.has(Fault::RevisionsStartAtZero) {
            record.revision() - 1
        } else {
            record.revision()
        };
        let status = if self.has(Fault::LosesStatuses) {
            ProcessStatus::Running
        } else {
            record.status()
        };
        ProcessRecord::new(
            record.key().to_owned(),
            revision,
            status,
            self.body(record.body()),
        )
    }

    pub(crate) async fn processes(
        &self,
        process: &str,
        keys: &[String],
    ) -> Result<Vec<ProcessRecord>, StoreError> {
        let process = self.folded(process);
        let found = self.inner.load_processes(&process, keys).await?;
        if self.has(Fault::LoadsAsOftenAsAsked) {
            let asked = keys
                .iter()
                .filter_map(|key| found.iter().find(|record| record.key() == key));
            return Ok(asked.cloned().collect());
        }
        Ok(if self.gone() {
            Vec::new()
        } else {
            found.iter().map(|record| self.process(record)).collect()
        })
    }

    pub(crate) async fn listed(
        &self,
        process: &str,
        statuses: &[ProcessStatus],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ProcessRecord>, StoreError> {
        let process = self.folded(process);
        let statuses = if self.has(Fault::IgnoresStatuses) {
            &[]
        } else {
            statuses
        };
        let mut records = self
            .inner
            .list_processes(&process, statuses, None, usize::MAX)
            .await?;
        self.sorted(&mut records, ProcessRecord::key, after);
        let records = records.iter().map(|record| self.process(record)).collect();
        Ok(self.limited(records, Direction::Forward, limit))
    }

    pub(crate) async fn queue(
        &self,
        queue: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<QueuedMessage>, StoreError> {
        let queue = self.folded(queue);
        let mut waiting = self.inner.read_queue(&queue, 0, usize::MAX).await?;
        let last = waiting.last().map_or(0, QueuedMessage::number);
        match self.fault {
            Fault::ReadsQueuesById => waiting.sort_by_key(|queued| queued.message().id()),
            Fault::RestartsQueueNumbers => {
                let renumbered = (1..).zip(&waiting);
                waiting = renumbered
                    .map(|(number, queued)| {
                        QueuedMessage::new(number, queued.message().clone(), queued.enqueued_at())
                    })
                    .collect();
            }
            Fault::LosesMetadataOfMessages => {
                waiting = waiting.iter().map(without_metadata).collect();
            }
            Fault::DistortsBodies => {
                waiting = waiting.iter().map(with_normalised_payload).collect();
            }
            Fault::ReadsQueuesOnce => {
                waiting.retain(|queued| !self.notes.get().read.contains(&queued.message().id()));
            }
            Fault::ShowsMessagesLate => {
                // Every third message comes to light once a later one was read.
                let notes = self.notes.get();
                let later = |number| {
                    waiting.iter().any(|queued| {
                        queued.number() > number && notes.read.contains(&queued.message().id())
                    })
                };
                let shown: Vec<_> = waiting
                    .iter()
                    .filter(|queued| {
                        !queued.number().is_multiple_of(3)
                            || queued.number() == last
                            || later(queued.number())
                    })
                    .cloned()
                    .collect();
                drop(notes);
                waiting = shown;
            }
            _ => {}
        }
        let overflows = self.has(Fault::OverflowsQueueNumbers) && after > i64::MAX.cast_unsigned();
        waiting.retain(|queued| match self.fault {
            Fault::ReadsQueuesInclusive => queued.number() >= after,
            _ => overflows || queued.number() > after,
        });
        let page = self.limited(waiting, Direction::Forward, limit);
        self.notes
            .get()
            .read
            .extend(page.iter().map(|queued| queued.message().id()));
        Ok(page)
    }

    pub(crate) async fn depth(
        &self,
        queue: &str,
    ) -> Result<(u64, Option<DateTime<Utc>>), StoreError> {
        let (count, oldest) = self.inner.queue_depth(&self.folded(queue)).await?;
        Ok(match self.fault {
            Fault::DepthIsOneMore => (count + 1, oldest),
            Fault::DepthHasNoOldest => (count, None),
            _ => (count, oldest),
        })
    }

    pub(crate) async fn snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>, StoreError> {
        let found = self.inner.load_snapshot(stream).await?;
        if self.has(Fault::FailsOnMissing) && found.is_none() {
            return Err(StoreError::Backend("there is no such snapshot".into()));
        }
        Ok(found
            .filter(|_| !self.gone())
            .map(|found| match self.fault {
                Fault::LosesChecksums => Snapshot::new(
                    found.stream().clone(),
                    found.version(),
                    found.event_id(),
                    found.shape(),
                    found.body().clone(),
                ),
                Fault::DistortsBodies => Snapshot::from_stored(
                    found.stream().clone(),
                    found.version(),
                    found.event_id(),
                    found.shape().to_owned(),
                    found.checksum(),
                    normalised(found.body()),
                ),
                Fault::FoldsNames => Snapshot::from_stored(
                    found.stream().clone(),
                    found.version(),
                    found.event_id(),
                    found.shape().trim().to_lowercase(),
                    found.checksum(),
                    found.body().clone(),
                ),
                _ => found,
            }))
    }
}

fn without_metadata(queued: &QueuedMessage) -> QueuedMessage {
    let message = queued.message();
    let payload = message.payload().clone();
    let bare = NewMessage::new(
        message.queue(),
        message.id(),
        message.key(),
        message.name(),
        payload,
        Metadata::new(),
    );
    QueuedMessage::new(queued.number(), bare, queued.enqueued_at())
}

fn with_normalised_payload(queued: &QueuedMessage) -> QueuedMessage {
    let message = queued.message();
    let (payload, metadata) = (normalised(message.payload()), message.metadata().clone());
    let changed = NewMessage::new(
        message.queue(),
        message.id(),
        message.key(),
        message.name(),
        payload,
        metadata,
    );
    QueuedMessage::new(queued.number(), changed, queued.enqueued_at())
}
