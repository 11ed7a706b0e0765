//! Several processes on one file; and the child process of these and of the crash tests.

use std::{
    env,
    io::{self, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use tokio::task::JoinSet;
use uno_core::{
    AppendError, BoxError, Commit, CommitError, DocumentStore as _, DocumentWrite, EventStore as _,
    ExpectedVersion, NewEvent, ReadStream, StreamAppend, Transactional as _,
};
use uno_store_sqlite::{SqliteStore, SqliteTx};

use crate::{
    crash::after_failure,
    support::{Fixture, TestResult, event, exact, file, json, log, one, stream},
};

/// How many tasks a child has.
pub(crate) const TASKS: usize = 8;

/// How many events a task appends at once.
pub(crate) const BATCH: usize = 3;

const PATH: &str = "UNO_TEST_CHILD_PATH";
const MODE: &str = "UNO_TEST_CHILD_MODE";

/// This program once more, as a child that does nothing but [`run_as_child`].
pub(crate) fn child(path: &Path, mode: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([
        "processes::run_as_child",
        "--exact",
        "--nocapture",
        "--test-threads=1",
    ]);
    command.env(PATH, path).env(MODE, mode);
    command
}

/// The stream and the document of a task.
pub(crate) fn key(task: usize) -> String {
    format!("task{task}")
}

/// How many batches a task has stored, by its document.
pub(crate) async fn count(store: &SqliteStore, task: usize) -> Result<u64, BoxError> {
    let documents = store.load_documents("counts", &[key(task)]).await?;
    documents
        .first()
        .map_or(Ok(0), |document| Ok(document.body().as_str().parse()?))
}

/// Nothing by itself: what a child process does, told by its environment.
#[test]
fn run_as_child() -> TestResult {
    let (Some(path), Ok(mode)) = (env::var_os(PATH), env::var(MODE)) else {
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = SqliteStore::open(Path::new(&path)).await?;
        store.migrate().await?;
        match mode.as_str() {
            "until it fails" => until_it_fails(&store).await,
            "for ever" => batches(&store, u64::MAX).await,
            count => batches(&store, count.parse()?).await,
        }
    })
}

/// Without their locks, the next process to close the file could take itself for the last one and remove the log of
/// changes, and what is committed to it from then on would be seen by nobody else.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn opening_a_file_once_more_lets_go_of_no_lock() -> TestResult {
    let fixture = Fixture::new().await?;
    let before = locks(&fixture.path())?;
    assert_eq!(before, 1, "a file in WAL mode is held by one shared lock");
    let again = SqliteStore::open(fixture.path()).await?;
    assert_eq!(locks(&fixture.path())?, before);
    again.close().await;
    assert_eq!(locks(&fixture.path())?, before);
    Ok(())
}

/// How many locks this process has on a file, says the kernel.
#[cfg(target_os = "linux")]
pub(crate) fn locks(path: &Path) -> Result<usize, BoxError> {
    use std::os::unix::fs::MetadataExt as _;
    let (process, inode) = (
        std::process::id().to_string(),
        format!(":{}", std::fs::metadata(path)?.ino()),
    );
    let all = std::fs::read_to_string("/proc/locks")?;
    let ours = all.lines().filter(|line| {
        let mut words = line.split_whitespace().skip(4);
        words.next() == Some(&process) && words.next().is_some_and(|file| file.ends_with(&inode))
    });
    Ok(ours.count())
}

fn say(what: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{what}")?;
    out.flush()
}

/// A batch of events, and the count of batches in a document.
async fn store_batch(store: &SqliteStore, task: usize, before: u64) -> Result<(), CommitError> {
    let events: Vec<NewEvent> = (0..BATCH).map(|_| event()).collect();
    let mut commit = Commit::<SqliteTx>::new();
    commit.appends.push(StreamAppend::new(
        stream(&key(task)),
        exact(before * BATCH as u64),
        events,
    ));
    commit.documents.push(DocumentWrite::put(
        "counts",
        key(task),
        json(&(before + 1).to_string()),
    ));
    store.commit(commit).await.map(drop)
}

async fn batches(store: &SqliteStore, count: u64) -> Result<(), BoxError> {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let store = store.clone();
        tasks.spawn(async move {
            let mut stored = self::count(&store, task).await?;
            for _ in 0..count {
                store_batch(&store, task, stored).await?;
                stored += 1;
                say(&format!("stored {task} {stored}"))?;
            }
            Ok::<_, BoxError>(())
        });
    }
    while let Some(result) = tasks.join_next().await {
        result??;
    }
    Ok(())
}

async fn until_it_fails(store: &SqliteStore) -> Result<(), BoxError> {
    let mut stored = 0;
    let error = loop {
        match store_batch(store, 0, stored).await {
            Ok(()) => {
                stored += 1;
                say(&format!("stored 0 {stored}"))?;
            }
            Err(error) => break error,
        }
    };
    match error {
        CommitError::Append(AppendError::Unknown(_)) => say("failed and said so: unknown")?,
        CommitError::Append(AppendError::Store(error)) if error.is_transient() => {
            say("failed and said so: unavailable")?;
        }
        other => return Err(other.into()),
    }
    after_failure(store).await?;
    Ok(say("can still be read")?)
}

/// Every process of its own appends to a stream that all of them append to, and none is told that the file is busy.
#[test]
fn processes_take_turns_and_none_is_turned_away() -> TestResult {
    const PROCESSES: usize = 4;
    const APPENDS: usize = 100;
    if let Some(path) = env::var_os("UNO_TEST_SHARED") {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        return runtime.block_on(share(Path::new(&path), APPENDS));
    }
    let directory = tempfile::tempdir()?;
    let path = file(&directory);
    let mut children = Vec::new();
    for _ in 0..PROCESSES {
        let mut command = Command::new(env::current_exe()?);
        command.args([
            "processes::processes_take_turns_and_none_is_turned_away",
            "--exact",
            "--nocapture",
        ]);
        children.push(
            command
                .env("UNO_TEST_SHARED", &path)
                .stdout(Stdio::null())
                .spawn()?,
        );
    }
    for mut child in children {
        assert!(child.wait()?.success());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = SqliteStore::open(&path).await?;
        let events = store
            .read_stream(ReadStream::forward(stream("shared")).limit(1_000_000))
            .await?;
        assert_eq!(events.len(), PROCESSES * APPENDS);
        let versions: Vec<_> = events.iter().map(|event| event.version().get()).collect();
        assert_eq!(versions, (1..=events.len() as u64).collect::<Vec<_>>());
        assert_eq!(log(&store).await?.len(), events.len());
        Ok(())
    })
}

async fn share(path: &Path, appends: usize) -> Result<(), BoxError> {
    let store = Arc::new(SqliteStore::open(path).await?);
    store.migrate().await?;
    let mut tasks = JoinSet::new();
    for _ in 0..appends {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            store
                .append(vec![one("shared", ExpectedVersion::Any)])
                .await
                .map(drop)
        });
    }
    while let Some(result) = tasks.join_next().await {
        result??;
    }
    Ok(())
}
