//! Small reads, many at once: stretches of streams, documents, process instances and snapshots by their keys.

use std::sync::Arc;

use sqlx::{SqliteConnection, sqlite::SqliteRow};
use tokio::sync::oneshot;
use uno_core::{
    Document, EventId, Payload, ProcessRecord, ReadStream, RecordedEvent, Snapshot, StoreError,
    StreamId, Version,
};

use crate::{
    error::{Location, again, corrupt},
    row::{self, EVENT, column, index},
    script::Script,
};

pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A small read, and who waits for it.
pub(crate) enum Point {
    /// A stretch of a stream, forward, as it is now.
    Stream(ReadStream, Reply<Vec<Arc<RecordedEvent>>>),
    /// Documents of a collection. No key occurs twice.
    Documents(String, Vec<String>, Reply<Vec<Document>>),
    /// Instances of a process. No key occurs twice.
    Processes(String, Vec<String>, Reply<Vec<ProcessRecord>>),
    /// The snapshot of a stream.
    Snapshot(StreamId, Reply<Vec<Snapshot>>),
}

impl Point {
    pub(super) fn fail(self, error: StoreError) {
        // Nobody to tell when the caller has gone away.
        let _told = match self {
            Self::Stream(_, reply) => reply.send(Err(error)).is_ok(),
            Self::Documents(_, _, reply) => reply.send(Err(error)).is_ok(),
            Self::Processes(_, _, reply) => reply.send(Err(error)).is_ok(),
            Self::Snapshot(_, reply) => reply.send(Err(error)).is_ok(),
        };
    }
}

/// Carries out reads in one go. Gives back whether the connection is still good.
pub(super) async fn carry_out(
    points: Vec<Point>,
    location: &Location,
    connection: &mut SqliteConnection,
) -> bool {
    let mut batch = Batch::new(points);
    let (script, kinds) = batch.script();
    let result = script
        .run(connection, |statement, row| match kinds[statement] {
            Kind::Streams => batch.streams.found(row, event),
            Kind::Documents => batch.documents.found(row, document),
            Kind::Processes => batch.processes.found(row, process),
            Kind::Snapshots => batch.snapshots.found(row, snapshot),
        })
        .await;
    match result {
        Ok(()) => {
            batch.reply();
            true
        }
        Err(failure) => {
            batch.fail(&failure.into_store_error(location));
            false
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Streams,
    Documents,
    Processes,
    Snapshots,
}

impl Kind {
    /// The parameter is a list of what is asked for; the first column says which one a row answers.
    fn sql(self) -> String {
        match self {
            // Versions have no holes, so a limit is a range of versions.
            Self::Streams => format!(
                "SELECT r.key, {EVENT} FROM jsonb_each(?) r \
                 CROSS JOIN uno_streams s ON s.category = r.value->>0 AND s.key = r.value->>1 \
                 CROSS JOIN uno_events e ON e.stream = s.number AND e.version BETWEEN r.value->>2 AND r.value->>3"
            ),
            Self::Documents => "SELECT r.key, d.key, d.revision, d.body FROM jsonb_each(?) r CROSS JOIN uno_documents d \
                 ON d.collection = r.value->>0 AND d.key = r.value->>1"
                .to_owned(),
            Self::Processes => {
                "SELECT r.key, p.key, p.revision, p.status, p.body FROM jsonb_each(?) r CROSS JOIN uno_processes p \
                 ON p.process = r.value->>0 AND p.key = r.value->>1"
                    .to_owned()
            }
            Self::Snapshots => {
                "SELECT r.key, s.version, s.event_id, s.shape, s.checksum, s.body \
                 FROM jsonb_each(?) r CROSS JOIN uno_snapshots s \
                 ON s.category = r.value->>0 AND s.key = r.value->>1"
                    .to_owned()
            }
        }
    }
}

struct Caller<A> {
    reply: Reply<Vec<A>>,
    answers: Result<Vec<A>, StoreError>,
}

/// Reads of one kind that are carried out together.
struct Asked<Q, A> {
    questions: Vec<Q>,
    /// Which caller asked each question.
    owners: Vec<usize>,
    callers: Vec<Caller<A>>,
}

impl<Q, A> Default for Asked<Q, A> {
    fn default() -> Self {
        Self {
            questions: Vec::new(),
            owners: Vec::new(),
            callers: Vec::new(),
        }
    }
}

impl<Q, A> Asked<Q, A> {
    fn ask(&mut self, questions: impl IntoIterator<Item = Q>, reply: Reply<Vec<A>>) {
        self.questions.extend(questions);
        self.owners.resize(self.questions.len(), self.callers.len());
        let answers = Ok(Vec::new());
        self.callers.push(Caller { reply, answers });
    }

    /// Notes an answer. A record that can't be read fails the caller who asked for it, and no other.
    fn found(
        &mut self,
        row: &SqliteRow,
        read: impl FnOnce(&Q, &SqliteRow) -> Result<A, StoreError>,
    ) -> Result<(), StoreError> {
        let index = index(row, 0)?;
        let (Some(question), Some(&owner)) = (self.questions.get(index), self.owners.get(index))
        else {
            return Err(corrupt("an answer without a question"));
        };
        let answers = &mut self.callers[owner].answers;
        match (read(question, row), answers.as_mut()) {
            (Ok(answer), Ok(answers)) => answers.push(answer),
            (Err(error), Ok(_)) => *answers = Err(error),
            (_, Err(_)) => {}
        }
        Ok(())
    }

    fn reply(self) {
        for Caller { reply, answers } in self.callers {
            // Nobody to tell when the caller has gone away.
            let _told = reply.send(answers).is_ok();
        }
    }

    fn fail(self, error: &StoreError) {
        for Caller { reply, .. } in self.callers {
            let _told = reply.send(Err(again(error))).is_ok();
        }
    }
}

#[derive(Default)]
struct Batch {
    streams: Asked<ReadStream, Arc<RecordedEvent>>,
    documents: Asked<(String, String), Document>,
    processes: Asked<(String, String), ProcessRecord>,
    snapshots: Asked<StreamId, Snapshot>,
}

impl Batch {
    fn new(points: Vec<Point>) -> Self {
        let mut batch = Self::default();
        for point in points {
            match point {
                Point::Stream(read, reply) if !reply.is_closed() => {
                    batch.streams.ask([read], reply);
                }
                Point::Documents(collection, keys, reply) if !reply.is_closed() => {
                    let keys = keys.into_iter().map(|key| (collection.clone(), key));
                    batch.documents.ask(keys, reply);
                }
                Point::Processes(process, keys, reply) if !reply.is_closed() => {
                    let keys = keys.into_iter().map(|key| (process.clone(), key));
                    batch.processes.ask(keys, reply);
                }
                Point::Snapshot(stream, reply) if !reply.is_closed() => {
                    batch.snapshots.ask([stream], reply);
                }
                _ => {}
            }
        }
        batch
    }

    fn script(&self) -> (Script, Vec<Kind>) {
        let (mut script, mut kinds) = (Script::new(), Vec::new());
        if !self.streams.questions.is_empty() {
            let stretches: Vec<_> = self.streams.questions.iter().map(stretch).collect();
            script.push(&Kind::Streams.sql()).bind_json(&stretches);
            kinds.push(Kind::Streams);
        }
        if !self.documents.questions.is_empty() {
            script
                .push(&Kind::Documents.sql())
                .bind_json(&self.documents.questions);
            kinds.push(Kind::Documents);
        }
        if !self.processes.questions.is_empty() {
            script
                .push(&Kind::Processes.sql())
                .bind_json(&self.processes.questions);
            kinds.push(Kind::Processes);
        }
        if !self.snapshots.questions.is_empty() {
            let name =
                |stream: &'_ StreamId| (stream.category().to_string(), stream.key().to_owned());
            let streams: Vec<_> = self.snapshots.questions.iter().map(name).collect();
            script.push(&Kind::Snapshots.sql()).bind_json(&streams);
            kinds.push(Kind::Snapshots);
        }
        (script, kinds)
    }

    fn reply(self) {
        self.streams.reply();
        self.documents.reply();
        self.processes.reply();
        self.snapshots.reply();
    }

    fn fail(self, error: &StoreError) {
        self.streams.fail(error);
        self.documents.fail(error);
        self.processes.fail(error);
        self.snapshots.fail(error);
    }
}

/// Category, key, and the first and last version wanted.
fn stretch(read: &ReadStream) -> (&str, &str, i64, i64) {
    let count = read.max_events() as u64;
    // A limit of nothing ends before it begins.
    let limit = match count.checked_sub(1) {
        Some(more) => read.first().checked_add(more).unwrap_or(Version::MAX),
        None => Version::EMPTY,
    };
    let (stream, last) = (read.stream(), read.last().min(limit));
    (
        stream.category().as_str(),
        stream.key(),
        read.first().as_i64(),
        last.as_i64(),
    )
}

fn event(read: &ReadStream, row: &SqliteRow) -> Result<Arc<RecordedEvent>, StoreError> {
    row::event(row, 1, read.stream().clone()).map(Arc::new)
}

fn document(_: &(String, String), row: &SqliteRow) -> Result<Document, StoreError> {
    row::document(row, 1)
}

fn process((name, _): &(String, String), row: &SqliteRow) -> Result<ProcessRecord, StoreError> {
    row::process(name, row, 1)
}

fn snapshot(stream: &StreamId, row: &SqliteRow) -> Result<Snapshot, StoreError> {
    let version = Version::try_from(column::<i64>(row, 1)?);
    let event_id = row::uuid(column(row, 2)?).map(EventId::from_uuid);
    let (Ok(version), Some(event_id)) = (version, event_id) else {
        return Err(corrupt(format!("the snapshot of stream {stream}")));
    };
    let checksum: i64 = column(row, 4)?;
    let body: &str = column(row, 5)?;
    Ok(Snapshot::from_stored(
        stream.clone(),
        version,
        event_id,
        column(row, 3)?,
        checksum.cast_unsigned(),
        Payload::from_stored(body),
    ))
}
