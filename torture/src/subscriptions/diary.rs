//! [`Diary`]: a plain handler that puts down what it handles in a file, which no crash of a process touches.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use uno::events::RecordedHandler;
use uno_core::{BoxError, RecordedEvent};

use super::{DIARY, appending::Entry, poison::Attempts};

/// Keeps the diary.
pub(crate) struct Diary {
    file: File,
    attempts: Attempts,
}

/// What is put down of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) entry: Entry,
    pub(crate) id: u128,
}

impl Diary {
    pub(crate) fn open(folder: &Path, attempts: Attempts) -> Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path(folder))
            .context("failed to open the diary")?;
        Ok(Self { file, attempts })
    }

    /// Everything in it, in the order in which it was put down.
    pub(crate) fn read(folder: &Path) -> Result<Vec<Line>> {
        let text = match fs::read_to_string(path(folder)) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).context("failed to read the diary"),
        };
        text.lines()
            .map(|line| {
                let (entry, id) = line.split_once(' ').context("a line has two parts")?;
                Ok(Line {
                    entry: entry.parse()?,
                    id: u128::from_str_radix(id, 16)?,
                })
            })
            .collect()
    }
}

impl RecordedHandler for Diary {
    async fn handle(&self, event: &Arc<RecordedEvent>) -> Result<(), BoxError> {
        let entry = Entry::read(event)?;
        self.attempts.handle(DIARY, entry, 1).await?;
        let line = format!("{entry} {:032x}\n", event.id().as_uuid().as_u128());
        // One write, so that a line is there whole or not at all, also beside those of other processes.
        (&self.file).write_all(line.as_bytes())?;
        Ok(())
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("diary.txt")
}
