//! [`Writes`]: what a group of commits comes to, as one statement for each table.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use fastrand::Rng;
use serde::Serialize;
use uno_core::{
    Checkpoint, DocumentChange, DocumentWrite, FieldValue, Lane, NewEvent, NewMessage, Payload,
    Position, Receipt, RecordedEvent, Snapshot, StreamAppended, StreamId, SubscriptionName,
    Version,
};
use uuid::Uuid;

use super::{
    facts::{Facts, Place, StreamHead},
    job::Plain,
    parking::ParkingWrites,
    processes::ProcessWrites,
    sql,
};
use crate::script::Script;

/// What is to be written. Of several writes to the same record only the last one is left.
#[derive(Default)]
pub(crate) struct Writes<'c> {
    /// Streams that begin, by the numbers that they get.
    streams: Vec<(i64, &'c StreamId)>,
    events: Vec<Row<'c>>,
    snapshots: HashMap<&'c StreamId, &'c Snapshot>,
    /// With the revision that a document gets; `None` removes it.
    documents: HashMap<(&'c str, &'c str), Option<(u64, &'c DocumentWrite)>>,
    checkpoints: HashMap<(&'c SubscriptionName, Lane), Checkpoint>,
    /// Comes with checkpoints only.
    parking: ParkingWrites<'c>,
    processes: ProcessWrites<'c>,
    /// By number.
    messages: BTreeMap<u64, &'c NewMessage>,
    /// The numbers of those.
    numbers: HashMap<(&'c str, Uuid), u64>,
    /// Messages that were there before, and are handled.
    handled: Vec<(&'c str, Uuid)>,
    last_number: Option<u64>,
}

/// When a group is written.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    /// By the store's clock.
    pub(crate) now: DateTime<Utc>,
    /// The same, but never before what was recorded last.
    pub(crate) recorded_at: DateTime<Utc>,
}

/// An event in its place.
struct Row<'c> {
    position: Position,
    stream: &'c StreamId,
    number: i64,
    version: Version,
    event: &'c NewEvent,
}

impl<'c> Writes<'c> {
    /// Takes up a commit that can be carried out, and notes in the facts what it changes for those behind it.
    pub(crate) fn take(
        &mut self,
        commit: &'c Plain,
        facts: &mut Facts<'c>,
        gaps: &mut Option<Rng>,
    ) -> Receipt {
        let receipt = self.append(commit, facts, gaps);
        for snapshot in &commit.snapshots {
            let kept = self.snapshots.entry(snapshot.stream()).or_insert(snapshot);
            if kept.version() <= snapshot.version() {
                *kept = snapshot;
            }
        }
        for write in &commit.documents {
            let document = (write.collection(), write.key());
            let state = match write.change() {
                DocumentChange::Put(_) => {
                    facts.last_number += 1;
                    self.last_number = Some(facts.last_number);
                    Some((facts.last_number, write))
                }
                DocumentChange::Remove => None,
                DocumentChange::Keep => continue,
            };
            let revision = state.map_or(0, |(revision, _)| revision);
            facts.documents.insert(document, revision);
            self.documents.insert(document, state);
        }
        for write in &commit.checkpoints {
            let lane = (write.subscription(), write.of_lane());
            facts.lanes.entry(lane).or_default().position = Some(write.checkpoint().position());
            self.checkpoints.insert(lane, write.checkpoint());
        }
        self.parking.take(&commit.checkpoints, &mut facts.parked);
        self.processes.take(commit, facts);
        for acknowledgement in &commit.acknowledgements {
            let message = (acknowledgement.queue(), acknowledgement.id());
            facts.messages.remove(&message);
            match self.numbers.remove(&message) {
                Some(number) => drop(self.messages.remove(&number)),
                None => self.handled.push(message),
            }
        }
        for message in &commit.messages {
            let name = (message.queue(), message.id());
            facts.messages.insert(name);
            facts.last_number += 1;
            self.last_number = Some(facts.last_number);
            self.messages.insert(facts.last_number, message);
            self.numbers.insert(name, facts.last_number);
        }
        receipt
    }

    fn append(
        &mut self,
        commit: &'c Plain,
        facts: &mut Facts<'c>,
        gaps: &mut Option<Rng>,
    ) -> Receipt {
        let mut streams = Vec::with_capacity(commit.appends.len());
        for append in &commit.appends {
            let stream = append.stream();
            let number = match facts.heads.get(stream) {
                Some(head) => head.number,
                None => {
                    facts.last_stream += 1;
                    self.streams.push((facts.last_stream, stream));
                    facts.last_stream
                }
            };
            let before = facts.version(stream);
            let mut version = before;
            for event in append.events() {
                let hole = gaps.as_mut().map_or(0, |rng| rng.u64(0..3));
                // There is room: that was checked.
                let position = facts.last.checked_add(hole).unwrap_or(facts.last).next();
                version = version.next();
                facts.last = position;
                facts.places.insert(
                    event.id(),
                    Place {
                        stream: Some(stream),
                        version,
                        position,
                    },
                );
                self.events.push(Row {
                    position,
                    stream,
                    number,
                    version,
                    event,
                });
            }
            facts.heads.insert(stream, StreamHead { number, version });
            streams.push(StreamAppended::new(stream.clone(), before.next(), version));
        }
        let position = (!commit.appends.is_empty()).then_some(facts.last);
        Receipt::new(facts.epoch, position, streams)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && !self.has_records()
    }

    fn has_records(&self) -> bool {
        !(self.snapshots.is_empty()
            && self.documents.is_empty()
            && self.checkpoints.is_empty()
            && self.processes.is_empty()
            && self.messages.is_empty()
            && self.handled.is_empty()
            && self.last_number.is_none())
    }

    /// The events as they are stored.
    pub(crate) fn recorded(&self, recorded_at: DateTime<Utc>) -> Vec<Arc<RecordedEvent>> {
        let record = |row: &Row<'_>| {
            let stream = row.stream.clone();
            Arc::new(RecordedEvent::record(
                row.event,
                stream,
                row.version,
                row.position,
                recorded_at,
            ))
        };
        self.events.iter().map(record).collect()
    }

    /// The statements, in scripts of bounded size. The last one is still to be ended with a commit.
    pub(crate) fn scripts(&self, times: Times) -> Vec<Script> {
        let mut scripts = Vec::new();
        let mut script = Script::new();
        let streams = self
            .streams
            .iter()
            .map(|(number, stream)| (number, stream.category().as_str(), stream.key()));
        write(sql::STREAMS, streams, &mut script);
        let mut chunks = self.events.chunks(sql::MAX_EVENTS).peekable();
        while let Some(chunk) = chunks.next() {
            self.insert_events(chunk, times.recorded_at, &mut script);
            if chunks.peek().is_some() {
                scripts.push(std::mem::take(&mut script));
            }
        }
        if self.has_records() {
            self.write_records(times, &mut script);
        }
        scripts.push(script);
        scripts
    }

    fn insert_events(&self, rows: &[Row<'_>], recorded_at: DateTime<Utc>, script: &mut Script) {
        let places = sql::insert_events(rows.len(), script);
        let recorded_at = recorded_at.timestamp_micros();
        for row in rows {
            let (event, metadata) = (row.event, row.event.metadata());
            let bytes = |id: &Uuid| id.as_bytes().to_vec();
            script
                .bind(row.position.as_i64())
                .bind(bytes(event.id().as_uuid()))
                .bind(row.number)
                .bind(row.stream.category().as_str())
                .bind(row.stream.key())
                .bind(row.version.as_i64())
                .bind(event.name().as_str())
                .bind(i64::from(event.schema_version().get()))
                .bind(event.payload().as_str())
                .bind(event.occurred_at().timestamp_micros())
                .bind(recorded_at)
                .bind(metadata.correlation_id().map(|id| bytes(id.as_uuid())))
                .bind(metadata.causation_id().map(|id| bytes(&id)))
                .bind(metadata.causing_event().map(|id| bytes(id.as_uuid())))
                .bind(metadata.actor())
                .bind(metadata.tenant())
                .bind(
                    metadata
                        .traceparent()
                        .map(|traceparent| traceparent.as_str()),
                );
            match metadata.headers() {
                none if none.is_empty() => script.bind(None::<String>),
                headers => script.bind_json(headers),
            };
            match event.tags() {
                [] => script.bind(None::<String>),
                tags => script.bind_json(&tags.iter().map(AsRef::as_ref).collect::<Vec<&str>>()),
            };
        }
        // What is left of the statement's places stays null, and null rows are not inserted.
        for _ in 0..(places - rows.len()) * sql::EVENT_COLUMNS {
            script.bind(None::<i64>);
        }
    }

    fn write_records(&self, times: Times, script: &mut Script) {
        let snapshots = self.snapshots.iter().map(|(stream, snapshot)| {
            (
                stream.category().as_str(),
                stream.key(),
                snapshot.version().as_i64(),
                snapshot.event_id().as_uuid().simple().to_string(),
                snapshot.shape(),
                snapshot.checksum().cast_signed(),
                snapshot.body().as_str(),
            )
        });
        write(sql::SNAPSHOTS, snapshots, script);

        let put = self.documents.values().flatten().map(|(revision, put)| {
            let body = put.body().map_or("null", Payload::as_str);
            let indexed = i64::from(!put.fields().is_empty());
            (put.collection(), put.key(), revision, body, indexed)
        });
        write(sql::PUT_DOCUMENTS, put, script);
        let fields = self.documents.values().flatten().flat_map(|(_, put)| {
            let of = |(field, value): (&'c String, &'c FieldValue)| {
                (put.collection(), put.key(), field, value.to_hex())
            };
            put.fields().iter().map(of)
        });
        write(sql::PUT_FIELDS, fields, script);
        let removed = self.documents.iter().filter(|(_, state)| state.is_none());
        write(
            sql::REMOVE_DOCUMENTS,
            removed.map(|(document, _)| document),
            script,
        );

        let checkpoints = self.checkpoints.iter().map(|((name, lane), checkpoint)| {
            (
                name.as_str(),
                lane.get(),
                checkpoint.epoch().as_uuid().simple().to_string(),
                checkpoint.position().as_i64(),
                checkpoint
                    .event_id()
                    .map(|id| id.as_uuid().simple().to_string()),
            )
        });
        write(sql::CHECKPOINTS, checkpoints, script);
        self.parking.write(times.now, script);

        self.processes.write(times.now, script);

        // Before new ones are added: a message may come again under the id of one that is handled.
        let handled = self
            .handled
            .iter()
            .map(|(queue, id)| (queue, id.simple().to_string()));
        write(sql::REMOVE_MESSAGES, handled, script);
        let messages = self.messages.iter().map(|(number, message)| {
            (
                message.queue(),
                number,
                message.id().simple().to_string(),
                message.key(),
                message.name(),
                message.payload().as_str(),
                serde_json::to_string(message.metadata()).ok(),
                times.recorded_at.timestamp_micros(),
            )
        });
        write(sql::ADD_MESSAGES, messages, script);
        if let Some(number) = self.last_number {
            script.push(sql::LAST_NUMBER).bind(number.cast_signed());
        }
    }
}

/// Adds a statement for these rows, if there are any.
pub(super) fn write<R: Serialize>(
    statement: &str,
    rows: impl Iterator<Item = R>,
    script: &mut Script,
) {
    let rows: Vec<R> = rows.collect();
    if !rows.is_empty() {
        script.push(statement).bind_json(&rows);
    }
}
