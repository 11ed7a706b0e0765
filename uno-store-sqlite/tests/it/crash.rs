//! Killed at any moment: what was acknowledged is there, and nothing is there by half.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use uno_core::{BoxError, DocumentStore as _, EventStore as _, ExpectedVersion, ReadStream};
use uno_store_sqlite::SqliteStore;

use crate::{
    processes::{BATCH, TASKS, child, count, key},
    support::{TestResult, file, log, one, stream},
};

/// How many batches of each task a child said that it had stored.
#[derive(Default)]
struct Acknowledged(HashMap<usize, u64>);

impl Acknowledged {
    fn note(&mut self, line: &str) -> bool {
        let mut words = line.split(' ').skip_while(|word| *word != "stored").skip(1);
        let Some((task, count)) = words.next().zip(words.next()) else {
            return false;
        };
        let (task, count): (usize, u64) = (task.parse().unwrap(), count.parse().unwrap());
        let known = self.0.entry(task).or_default();
        *known = count.max(*known);
        true
    }
}

/// Lets a child store so many batches, kills it, and notes all that it has said until then.
fn kill_after(mut child: Child, count: usize, acknowledged: &mut Acknowledged) -> TestResult {
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let mut left = count;
    while left > 0 {
        let line = lines.next().ok_or("the child ended by itself")??;
        left -= usize::from(acknowledged.note(&line));
    }
    child.kill()?;
    child.wait()?;
    for line in lines {
        // The last line may be cut off.
        acknowledged.note(&line.unwrap_or_default());
    }
    Ok(())
}

async fn look(path: &Path, acknowledged: &Acknowledged) -> TestResult {
    let store = SqliteStore::open(path).await?;
    store.migrate().await?;
    for task in 0..TASKS {
        let known = acknowledged.0.get(&task).copied().unwrap_or(0);
        let events = store
            .read_stream(ReadStream::forward(stream(&key(task))).limit(1_000_000))
            .await?;
        let stored = events.len() / BATCH;
        assert_eq!(
            events.len() % BATCH,
            0,
            "task {task}: no batch is there by half"
        );
        assert!(
            stored as u64 >= known,
            "task {task}: {known} were acknowledged, and {stored} are there"
        );
        let versions: Vec<_> = events.iter().map(|event| event.version().get()).collect();
        assert_eq!(versions, (1..=events.len() as u64).collect::<Vec<_>>());
        assert_eq!(
            count(&store, task).await?,
            stored as u64,
            "task {task}: the document is of the same commit"
        );
    }
    assert!(log(&store).await?.is_sorted_by(
        |one, next| one.position() < next.position() && one.recorded_at() <= next.recorded_at()
    ));
    store
        .append(vec![one("after", ExpectedVersion::Any)])
        .await?;
    store.close().await;
    let mut outside = <sqlx::SqliteConnection as sqlx::Connection>::connect(&format!(
        "sqlite://{}",
        path.display()
    ))
    .await?;
    let check: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut outside)
        .await?;
    assert_eq!(check, "ok");
    Ok(())
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost() -> TestResult {
    let directory = tempfile::tempdir()?;
    let path = file(&directory);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut acknowledged = Acknowledged::default();
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..12 {
        let running = child(&path, "for ever").stdout(Stdio::piped()).spawn()?;
        kill_after(running, rng.usize(1..200), &mut acknowledged)?;
        runtime.block_on(look(&path, &acknowledged))?;
    }
    assert!(acknowledged.0.values().sum::<u64>() > 100);
    Ok(())
}

/// A file that may not grow any more is what comes closest to a full disk.
#[cfg(unix)]
#[test]
fn a_full_disk_is_told_and_loses_nothing() -> TestResult {
    let directory = tempfile::tempdir()?;
    let path = file(&directory);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let store = runtime.block_on(SqliteStore::open(&path))?;
    runtime.block_on(store.migrate())?;
    runtime.block_on(store.close());

    let limited = child(&path, "until it fails");
    let mut shell = Command::new("sh");
    // Without the signal, which would end the child, a write beyond the limit fails.
    shell
        .args(["-c", r#"trap '' XFSZ; ulimit -f 1000; exec "$@""#, "sh"])
        .arg(limited.get_program())
        .args(limited.get_args());
    shell.envs(
        limited
            .get_envs()
            .filter_map(|(name, value)| value.map(|value| (name, value))),
    );
    let output = shell.stdout(Stdio::piped()).spawn()?.wait_with_output()?;
    let output = String::from_utf8(output.stdout)?;
    let mut acknowledged = Acknowledged::default();
    let stored = output
        .lines()
        .filter(|line| acknowledged.note(line))
        .count();
    assert!(stored > 0, "{output}");
    assert!(output.contains("failed and said so"), "{output}");
    assert!(output.contains("can still be read"), "{output}");
    runtime.block_on(look(&path, &acknowledged))
}

/// What the child of a full disk has to say once an append has failed.
pub(crate) async fn after_failure(store: &SqliteStore) -> Result<(), BoxError> {
    store.head().await?;
    store.scan_documents("counts", None, 10).await?;
    Ok(())
}
