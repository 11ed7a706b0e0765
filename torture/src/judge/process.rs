//! The judge as a process of its own, which shares nothing with the campaign but files and the database.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use super::Verdict;
use crate::session::{Database, Schema};

/// A log that is to be judged.
#[derive(Debug)]
pub(crate) enum Log<'l> {
    /// In a schema of Postgres.
    Postgres {
        database: &'l Database,
        schema: &'l Schema,
        /// Whether times of recording must rise.
        times_rise: bool,
    },
    /// In a file of SQLite.
    Sqlite(PathBuf),
}

/// Has a log judged. `program` is ours, and `folder` has the ledger and the files of the readers.
pub(crate) async fn ask(program: &Path, folder: &Path, log: Log<'_>) -> Result<Verdict> {
    let mut command = Command::new(program);
    command.arg("judge").arg("--folder").arg(folder);
    match log {
        Log::Postgres {
            database,
            schema,
            times_rise,
        } => {
            command
                .args(["--schema", schema.as_str()])
                .env("DATABASE_URL", database.url());
            if times_rise {
                command.arg("--times-rise");
            }
        }
        Log::Sqlite(path) => {
            command.arg("--file").arg(path);
        }
    }
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .context("failed to start the judge")?;
    ensure!(
        output.status.success(),
        "the judge ended with {}",
        output.status
    );
    serde_json::from_slice(&output.stdout).context("the judge said something that can't be read")
}
