//! [`Batch`]: commits of several callers as the arrays of one statement, and the server's answer.
//!
//! Long because every parameter has its line.

mod lanes;
mod outcome;
mod processes;

use std::collections::BTreeMap;

use sqlx::{Postgres, postgres::PgArguments, query::Query};
use uno_core::{
    Acknowledgement, CheckpointWrite, DocumentChange, DocumentWrite, ExpectedVersion, FieldValue,
    InboxWrite, NewEvent, NewMessage, ParkingWrite, Snapshot, StreamId, SubscriptionName,
    TimerWrite,
};

pub(crate) use self::{
    lanes::fence,
    outcome::{Outcome, Verdict},
    processes::micros,
};
use crate::{
    fault::Fault,
    plain::{Plain, Save},
    pool::Session,
    value::{PgTime, PgUuid},
};

/// Events alone: the other parameters have defaults.
const EVENTS: &str = "SELECT status, detail, base, positions, queued, transaction FROM {schema}.commit(\
     $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, v_causing => $25)";

const EVERYTHING: &str = "SELECT status, detail, base, positions, queued, transaction FROM {schema}.commit(\
     $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, \
     $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, \
     $47, $48, $49, $50, $51, $52, $53, $54, $55, $56, $57, $58, $59, \
     $60, $61, $62, $63, $64, $65, $66, $67, $68, $69, $70, $71, $72, $73, $74, $75, $76, $77, $78, $79, \
     d_expected => $80, d_keep => $81, \
     k_caller => $82, k_subscription => $83, k_kind => $84, k_key => $85, \
     k_position => $86, k_event => $87, k_attempts => $88, k_error => $89, k_fingerprint => $90, d_fields => $91, v_causing => $92)";

/// How a batch is carried out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Whether to wait for streams that others have locked; else their callers are to be sent alone.
    pub(crate) patient: bool,
    /// Whether to look first which events are stored already.
    pub(crate) careful: bool,
}

/// What a caller takes for granted about a stream, and how many events it gets.
struct Entry<'a> {
    caller: i32,
    stream: &'a StreamId,
    expected: ExpectedVersion,
    count: usize,
}

/// Commits of several callers. The rows of each kind are in the order of the callers.
pub(crate) struct Batch<'a> {
    callers: i32,
    entries: Vec<Entry<'a>>,
    /// With the entry (from 1) that the event belongs to, and its place in it (from 1).
    events: Vec<(i32, i64, &'a NewEvent)>,
    checkpoints: Vec<(i32, &'a CheckpointWrite)>,
    parking: Vec<(i32, &'a (SubscriptionName, ParkingWrite))>,
    processes: Vec<(i32, &'a Save)>,
    acknowledgements: Vec<(i32, &'a Acknowledgement)>,
    messages: Vec<(i32, &'a NewMessage)>,
    documents: Vec<(i32, &'a DocumentWrite)>,
    snapshots: Vec<(i32, &'a Snapshot)>,
    /// In the order of their keys, in which everybody locks them.
    timers: Vec<(i32, &'a TimerWrite)>,
    inbox: Vec<(i32, &'a InboxWrite)>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(commits: impl IntoIterator<Item = &'a Plain>) -> Self {
        let mut batch = Self {
            callers: 0,
            entries: Vec::new(),
            events: Vec::new(),
            checkpoints: Vec::new(),
            parking: Vec::new(),
            processes: Vec::new(),
            acknowledgements: Vec::new(),
            messages: Vec::new(),
            documents: Vec::new(),
            snapshots: Vec::new(),
            timers: Vec::new(),
            inbox: Vec::new(),
        };
        for commit in commits {
            batch.add(commit);
        }
        batch
            .timers
            .sort_by_key(|(_, timer)| (timer.process(), timer.id()));
        batch
    }

    fn add(&mut self, commit: &'a Plain) {
        self.callers += 1;
        let caller = self.callers;
        for append in &commit.appends {
            let (stream, expected, count) =
                (append.stream(), append.expected(), append.events().len());
            self.entries.push(Entry {
                caller,
                stream,
                expected,
                count,
            });
            let entry = index(self.entries.len());
            self.events.extend(
                append
                    .events()
                    .iter()
                    .zip(1..)
                    .map(|(event, place)| (entry, place, event)),
            );
        }
        for (stream, version) in &commit.unchanged {
            self.entries.push(Entry {
                caller,
                stream,
                expected: ExpectedVersion::Exact(*version),
                count: 0,
            });
        }
        self.checkpoints
            .extend(commit.checkpoints.iter().map(|write| (caller, write)));
        self.parking
            .extend(commit.parking.iter().map(|write| (caller, write)));
        self.processes
            .extend(commit.processes.iter().map(|save| (caller, save)));
        self.acknowledgements
            .extend(commit.acknowledgements.iter().map(|ack| (caller, ack)));
        self.messages
            .extend(commit.messages.iter().map(|message| (caller, message)));
        self.documents
            .extend(commit.documents.iter().map(|write| (caller, write)));
        self.snapshots
            .extend(commit.snapshots.iter().map(|snapshot| (caller, snapshot)));
        self.timers
            .extend(commit.timers.iter().map(|timer| (caller, timer)));
        self.inbox
            .extend(commit.inbox.iter().map(|handled| (caller, handled)));
    }

    /// Sends the batch: within the transaction that is open, or else as one of its own.
    pub(crate) async fn send(
        &self,
        session: &mut Session,
        manner: Manner,
    ) -> Result<Outcome, Fault> {
        let shared = session.shared();
        let others = !(self.checkpoints.is_empty()
            && self.processes.is_empty()
            && self.acknowledgements.is_empty()
            && self.messages.is_empty()
            && self.documents.is_empty()
            && self.snapshots.is_empty()
            && self.timers.is_empty()
            && self.inbox.is_empty());
        let sql = shared.sql(if others { EVERYTHING } else { EVENTS });
        let query = sql.query(shared.options.is_prepared());
        let query = query
            .bind(self.callers)
            .bind(manner.patient)
            .bind(manner.careful);
        let query = query.bind(shared.options.lock_timeout_setting());
        let mut query = self.bind_events(self.bind_entries(query));
        if others {
            query = self.bind_state(self.bind_checkpoints(query));
            query = self.bind_processes(self.bind_rest(query));
            query = self.bind_fields(self.bind_parking(self.bind_guards(query)));
        }
        let row = self
            .bind_causing(query)
            .fetch_one(session.connection())
            .await?;
        Outcome::decode(&row)
    }

    fn bind_entries<'q>(&self, query: Bound<'q>) -> Bound<'q> {
        // Streams in the order of their bytes: the order in which everybody locks them.
        let mut streams: BTreeMap<(&str, &str), i32> = BTreeMap::new();
        for entry in &self.entries {
            streams.insert((entry.stream.category().as_str(), entry.stream.key()), 0);
        }
        for (place, number) in streams.values_mut().zip(1..) {
            *place = number;
        }
        let place = |stream: &StreamId| {
            streams
                .get(&(stream.category().as_str(), stream.key()))
                .copied()
                .unwrap_or_default()
        };
        query
            .bind(
                streams
                    .keys()
                    .map(|(category, _)| *category)
                    .collect::<Vec<_>>(),
            )
            .bind(streams.keys().map(|(_, key)| *key).collect::<Vec<_>>())
            .bind(
                self.entries
                    .iter()
                    .map(|entry| entry.caller)
                    .collect::<Vec<_>>(),
            )
            .bind(
                self.entries
                    .iter()
                    .map(|entry| place(entry.stream))
                    .collect::<Vec<_>>(),
            )
            .bind(
                self.entries
                    .iter()
                    .map(|entry| expected(entry.expected))
                    .collect::<Vec<_>>(),
            )
            .bind(
                self.entries
                    .iter()
                    .map(|entry| i64::from(index(entry.count)))
                    .collect::<Vec<_>>(),
            )
    }

    fn bind_events<'q>(&self, query: Bound<'q>) -> Bound<'q> {
        let events = &self.events;
        let metadata = || events.iter().map(|(_, _, event)| event.metadata());
        query
            .bind(
                events
                    .iter()
                    .map(|(entry, _, _)| *entry)
                    .collect::<Vec<_>>(),
            )
            .bind(
                events
                    .iter()
                    .map(|(_, place, _)| *place)
                    .collect::<Vec<_>>(),
            )
            .bind(
                events
                    .iter()
                    .map(|(_, _, event)| PgUuid(*event.id().as_uuid()))
                    .collect::<Vec<_>>(),
            )
            .bind(
                events
                    .iter()
                    .map(|(_, _, event)| event.name().as_str())
                    .collect::<Vec<_>>(),
            )
            .bind(
                events
                    .iter()
                    .map(|(_, _, event)| i64::from(event.schema_version().get()))
                    .collect::<Vec<_>>(),
            )
            .bind(
                events
                    .iter()
                    .map(|(_, _, event)| event.payload().as_str())
                    .collect::<Vec<_>>(),
            )
            .bind(
                events
                    .iter()
                    .map(|(_, _, event)| PgTime(event.occurred_at()))
                    .collect::<Vec<_>>(),
            )
            .bind(
                metadata()
                    .map(|metadata| metadata.correlation_id().map(|id| PgUuid(*id.as_uuid())))
                    .collect::<Vec<_>>(),
            )
            .bind(
                metadata()
                    .map(|metadata| metadata.causation_id().map(PgUuid))
                    .collect::<Vec<_>>(),
            )
            .bind(
                metadata()
                    .map(|metadata| metadata.actor())
                    .collect::<Vec<_>>(),
            )
            .bind(
                metadata()
                    .map(|metadata| metadata.tenant())
                    .collect::<Vec<_>>(),
            )
            .bind(
                metadata()
                    .map(|metadata| metadata.traceparent().map(|parent| parent.as_str()))
                    .collect::<Vec<_>>(),
            )
            .bind(
                metadata()
                    .map(|metadata| headers(metadata.headers()))
                    .collect::<Vec<_>>(),
            )
            .bind(
                events
                    .iter()
                    .map(|(_, _, event)| tags(event))
                    .collect::<Vec<_>>(),
            )
    }

    /// Most events are set off by none, and then the server is sent nothing of it.
    fn bind_causing<'q>(&self, query: Bound<'q>) -> Bound<'q> {
        let causing = self.events.iter().map(|(_, _, event)| {
            let id = event.metadata().causing_event();
            id.map(|id| PgUuid(*id.as_uuid()))
        });
        let causing: Vec<_> = causing.collect();
        query.bind(causing.iter().any(Option::is_some).then_some(causing))
    }

    fn bind_state<'q>(&self, query: Bound<'q>) -> Bound<'q> {
        let p = &self.processes;
        let a = &self.acknowledgements;
        query
            .bind(column(p, |(caller, _)| *caller))
            .bind(column(p, |(_, save)| save.write.process()))
            .bind(column(p, |(_, save)| save.write.key()))
            .bind(column(p, |(_, save)| save.expected))
            .bind(column(p, |(_, save)| save.revision))
            .bind(column(p, |(_, save)| save.write.status().as_str()))
            .bind(column(p, |(_, save)| save.write.body().as_str()))
            .bind(column(a, |(caller, _)| *caller))
            .bind(column(a, |(_, ack)| ack.queue()))
            .bind(column(a, |(_, ack)| PgUuid(ack.id())))
    }

    fn bind_rest<'q>(&self, query: Bound<'q>) -> Bound<'q> {
        let m = &self.messages;
        let d = &self.documents;
        let n = &self.snapshots;
        query
            .bind(column(m, |(caller, _)| *caller))
            .bind(column(m, |(_, message)| message.queue()))
            .bind(column(m, |(_, message)| PgUuid(message.id())))
            .bind(column(m, |(_, message)| message.key()))
            .bind(column(m, |(_, message)| message.name()))
            .bind(column(m, |(_, message)| message.payload().as_str()))
            .bind(column(m, |(_, message)| json(message.metadata())))
            .bind(column(d, |(caller, _)| *caller))
            .bind(column(d, |(_, write)| write.collection()))
            .bind(column(d, |(_, write)| write.key()))
            .bind(column(d, |(_, write)| {
                write.body().map(|body| body.as_str())
            }))
            .bind(column(n, |(caller, _)| *caller))
            .bind(column(n, |(_, snapshot)| {
                snapshot.stream().category().as_str()
            }))
            .bind(column(n, |(_, snapshot)| snapshot.stream().key()))
            .bind(column(n, |(_, snapshot)| snapshot.version().as_i64()))
            .bind(column(n, |(_, snapshot)| {
                PgUuid(*snapshot.event_id().as_uuid())
            }))
            .bind(column(n, |(_, snapshot)| snapshot.shape()))
            .bind(column(n, |(_, snapshot)| snapshot.checksum().cast_signed()))
            .bind(column(n, |(_, snapshot)| snapshot.body().as_str()))
    }

    /// What documents are found by; NULL where none has fields.
    fn bind_fields<'q>(&self, query: Bound<'q>) -> Bound<'q> {
        let d = &self.documents;
        let any = d.iter().any(|(_, write)| !write.fields().is_empty());
        query.bind(any.then(|| d.iter().map(|(_, write)| fields(write)).collect::<Vec<_>>()))
    }

    /// What is expected of documents; NULL where nothing is expected of any.
    fn bind_guards<'q>(&self, query: Bound<'q>) -> Bound<'q> {
        let d = &self.documents;
        let guarded = d
            .iter()
            .any(|(_, write)| write.expected_revision().is_some());
        // A revision that no store can have reached is not the one that is stored.
        let expected = |revision| i64::try_from(revision).unwrap_or(-1);
        let expected = guarded.then(|| {
            d.iter()
                .map(|(_, write)| write.expected_revision().map(expected))
                .collect::<Vec<_>>()
        });
        query.bind(expected).bind(column(d, |(_, write)| {
            write.change() == DocumentChange::Keep
        }))
    }
}

/// Fields as JSON; NULL when there are none.
fn fields(write: &DocumentWrite) -> Option<String> {
    let hex = |(field, value): (&'_ String, &FieldValue)| (field.clone(), value.to_hex());
    let fields: BTreeMap<_, _> = write.fields().iter().map(hex).collect();
    (!fields.is_empty()).then(|| json(&fields))
}

type Bound<'q> = Query<'q, Postgres, PgArguments>;

/// One value of each row, or NULL if there is no row: that kind is then not looked at.
fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Option<Vec<T>> {
    (!rows.is_empty()).then(|| rows.iter().map(value).collect())
}

/// A count or an index as Postgres takes it. No commit has more events than fit: its arrays would not.
fn index(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub(crate) fn expected(version: ExpectedVersion) -> i64 {
    match version {
        ExpectedVersion::Any => -1,
        ExpectedVersion::StreamExists => -2,
        ExpectedVersion::NoStream => 0,
        ExpectedVersion::Exact(version) => version.as_i64(),
    }
}

/// Free headers as JSON; NULL when there are none.
pub(crate) fn headers(headers: &BTreeMap<String, String>) -> Option<String> {
    (!headers.is_empty()).then(|| json(headers))
}

fn json(value: &impl serde::Serialize) -> String {
    // Maps of texts, ids and texts: there is nothing in them that JSON can't say.
    serde_json::to_string(value).unwrap_or_default()
}

/// Tags as the text of an array, since Postgres has no arrays of arrays of different lengths; NULL when there are none.
fn tags(event: &NewEvent) -> Option<String> {
    if event.tags().is_empty() {
        return None;
    }
    let mut text = String::from("{");
    for (tag, number) in event.tags().iter().zip(0..) {
        if number > 0 {
            text.push(',');
        }
        text.push('"');
        for character in tag.chars() {
            if matches!(character, '"' | '\\') {
                text.push('\\');
            }
            text.push(character);
        }
        text.push('"');
    }
    text.push('}');
    Some(text)
}
