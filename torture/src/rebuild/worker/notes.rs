//! [`Notes`]: what processes that may die at any time have to tell the judge: a line each, in one file.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::judge::Verdict;

/// The file of notes. A line is written at once, so two processes do not mix theirs.
#[derive(Debug)]
pub(crate) struct Notes(File);

impl Notes {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path(folder));
        Ok(Self(file.context("failed to open the notes")?))
    }

    /// Something that is counted.
    pub(crate) fn fact(&self, what: &str) -> Result<()> {
        self.line(&format!("fact {what}\n"))
    }

    /// A law that was broken, and how.
    pub(crate) fn breach(&self, law: &str, how: &str) -> Result<()> {
        self.line(&format!("breach {law}: {}\n", how.replace('\n', " ")))
    }

    fn line(&self, line: &str) -> Result<()> {
        (&self.0).write_all(line.as_bytes())?;
        Ok(())
    }

    /// Hands all notes to the judge.
    pub(crate) fn gather(folder: &Path, verdict: &mut Verdict) -> Result<()> {
        let text = match fs::read_to_string(path(folder)) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).context("failed to read the notes"),
        };
        for line in text.lines() {
            if let Some(what) = line.strip_prefix("fact ") {
                verdict.facts.add(what, 1);
            } else {
                let told = line
                    .strip_prefix("breach ")
                    .and_then(|told| told.split_once(": "));
                let (law, how) = told.with_context(|| format!("{line:?} is no note"))?;
                verdict.breach(law, 1, || how.to_owned());
            }
        }
        Ok(())
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("notes.txt")
}
