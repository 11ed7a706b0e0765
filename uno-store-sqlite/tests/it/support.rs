//! Stores, events and outside connections for the tests.

use std::{
    future::{Future, poll_fn},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::sync::Notify;
use uno_core::{
    BoxError, Commit, EventName, EventStore, ExpectedVersion, NewEvent, Payload, ReadLog,
    RecordedEvent, SchemaVersion, StreamAppend, StreamId, Transactional, Version,
};
use uno_store_sqlite::{SqliteStore, SqliteTx};

pub(crate) type TestResult = Result<(), BoxError>;

/// A file of its own, and a migrated store in it.
pub(crate) struct Fixture {
    pub(crate) store: SqliteStore,
    pub(crate) directory: TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Result<Self, BoxError> {
        let directory = tempfile::tempdir()?;
        let store = SqliteStore::open(file(&directory)).await?;
        store.migrate().await?;
        Ok(Self { store, directory })
    }

    pub(crate) fn path(&self) -> PathBuf {
        file(&self.directory)
    }

    /// Another connection to the file, as another program would have it.
    pub(crate) async fn outside(&self) -> Result<SqliteConnection, BoxError> {
        Ok(
            SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(self.path()))
                .await?,
        )
    }
}

pub(crate) fn file(directory: &TempDir) -> PathBuf {
    directory.path().join("store.db")
}

pub(crate) fn stream(key: &str) -> StreamId {
    StreamId::new("note", key.to_owned()).unwrap()
}

pub(crate) fn event() -> NewEvent {
    named("noted")
}

pub(crate) fn named(name: &'static str) -> NewEvent {
    NewEvent::from_payload(
        EventName::new(name).unwrap(),
        SchemaVersion::FIRST,
        json("{}"),
    )
}

pub(crate) fn json(text: &str) -> Payload {
    Payload::from_json(text).unwrap()
}

/// One event for a stream.
pub(crate) fn one(key: &str, expected: ExpectedVersion) -> StreamAppend {
    StreamAppend::new(stream(key), expected, vec![event()])
}

pub(crate) fn exact(version: u64) -> ExpectedVersion {
    ExpectedVersion::Exact(Version::new(version).unwrap())
}

pub(crate) async fn log(store: &SqliteStore) -> Result<Vec<Arc<RecordedEvent>>, BoxError> {
    let read = ReadLog::after(uno_core::Position::START).limit(1_000_000);
    Ok(store.read_log(read).await?.into_events())
}

/// Keeps the writer busy with the work of a commit, so that what is asked for in the meantime is carried out as one group.
pub(crate) struct Held {
    release: Arc<Notify>,
    held: tokio::task::JoinHandle<Result<uno_core::Receipt, uno_core::CommitError>>,
}

impl Held {
    pub(crate) async fn new(store: &SqliteStore) -> Self {
        let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let mut commit = Commit::<SqliteTx>::new();
        let (tell, wait) = (Arc::clone(&begun), Arc::clone(&release));
        commit.work.push(Box::new(move |_| {
            Box::pin(async move {
                tell.notify_one();
                wait.notified().await;
                Ok(())
            })
        }));
        let store = store.clone();
        let held = tokio::spawn(async move { store.commit(commit).await });
        begun.notified().await;
        Self { release, held }
    }

    pub(crate) async fn release(self) -> TestResult {
        self.release.notify_one();
        self.held.await??;
        Ok(())
    }
}

/// Has commits carried out as one group, in this order.
pub(crate) async fn together(
    store: &SqliteStore,
    commits: Vec<Commit<SqliteTx>>,
) -> Result<Vec<Result<uno_core::Receipt, uno_core::CommitError>>, BoxError> {
    let held = Held::new(store).await;
    // Polled once each, in order, so that they are in the queue in this order.
    let mut waiting: Vec<_> = commits
        .into_iter()
        .map(|commit| Box::pin(store.commit(commit)))
        .collect();
    for commit in &mut waiting {
        assert!(poll_once(commit).await.is_pending());
    }
    held.release().await?;
    let mut results = Vec::new();
    for commit in waiting {
        results.push(commit.await);
    }
    Ok(results)
}

/// Polls a future once.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    // Without tokio's budget, which would have a hundredth channel be pending for nothing.
    let poll = poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context)));
    tokio::task::unconstrained(poll).await
}

pub(crate) fn appending(append: StreamAppend) -> Commit<SqliteTx> {
    let mut commit = Commit::new();
    commit.appends.push(append);
    commit
}
