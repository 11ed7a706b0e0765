//! The ledger: what was intended, what was acknowledged, and what nobody knows, written down outside the store.
//!
//! One text line for each fact, in the order in which they became known:
//!
//! ```text
//! space <number>                            whose ids these are
//! i <batch> <rows> <stream>=<events>,…      about to be sent; `rows` the user's own rows that go with it
//! a <batch> <position> <stream>=<first>,…   acknowledged, with the receipt
//! f <batch> <why>                           certainly not carried out
//! u <batch>                                 unknown: the link was lost
//! s <batch> | d <batch>                     appended once more: the receipt was the same, or differed
//! x <batch> <message>                       an error that nothing explains
//! ```
//!
//! A batch without an outcome counts as unknown. An `a` or `f` after a `u` is a doubt that was resolved.

use std::{
    fmt::Write as _,
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, Result};
use uno_core::Receipt;

use crate::ids::IdSpace;

mod history;

pub use history::{Batch, History, Outcome};

/// Why a batch was certainly not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// A stream was not at the expected version.
    Conflict,
    /// The store could not be reached.
    Unavailable,
    /// The writer took it back.
    RolledBack,
}

impl Failure {
    /// How it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
            Self::RolledBack => "rolled-back",
        }
    }
}

/// The file, as writers write it.
#[derive(Debug)]
pub struct Ledger {
    space: IdSpace,
    next: AtomicU64,
    file: Mutex<BufWriter<File>>,
}

impl Ledger {
    /// The name of the file in the folder of a log.
    pub const FILE: &'static str = "ledger";

    /// A new ledger in this folder.
    ///
    /// # Errors
    /// When the file can't be made.
    pub fn create(folder: &Path, space: IdSpace) -> Result<Self> {
        let path = folder.join(Self::FILE);
        let file =
            File::create(&path).with_context(|| format!("failed to create {}", path.display()))?;
        let ledger = Self {
            space,
            next: AtomicU64::new(1),
            file: Mutex::new(BufWriter::new(file)),
        };
        ledger.line(&format!("space {}", space.number()))?;
        Ok(ledger)
    }

    /// Whose ids these are.
    #[must_use]
    pub const fn space(&self) -> IdSpace {
        self.space
    }

    /// Writes down a batch that is about to be sent: the streams in order with their numbers of events. Gives its number.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn intend(&self, rows: bool, streams: &[(String, u32)]) -> Result<u64> {
        let batch = self.next.fetch_add(1, Ordering::Relaxed);
        let mut line = format!("i {batch} {} ", u8::from(rows));
        list(&mut line, streams);
        self.line(&line)?;
        Ok(batch)
    }

    /// The batch was acknowledged: the position of its last event, and each stream's first version.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn acknowledged(&self, batch: u64, position: u64, streams: &[(String, u64)]) -> Result<()> {
        let mut line = format!("a {batch} {position} ");
        list(&mut line, streams);
        self.line(&line)
    }

    /// The batch was acknowledged with this receipt.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn receipt(&self, batch: u64, receipt: &Receipt) -> Result<()> {
        let streams: Vec<_> = receipt
            .streams()
            .iter()
            .map(|stream| (stream.stream().to_string(), stream.first().get()))
            .collect();
        self.acknowledged(
            batch,
            receipt.position().unwrap_or_default().get(),
            &streams,
        )
    }

    /// The batch was certainly not carried out.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn failed(&self, batch: u64, why: Failure) -> Result<()> {
        self.line(&format!("f {batch} {}", why.as_str()))
    }

    /// Nobody knows whether the batch was carried out.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn unknown(&self, batch: u64) -> Result<()> {
        self.line(&format!("u {batch}"))
    }

    /// The batch was appended once more after it was acknowledged.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn repeated(&self, batch: u64, same_receipt: bool) -> Result<()> {
        self.line(&format!("{} {batch}", if same_receipt { 's' } else { 'd' }))
    }

    /// Something failed that nothing explains.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn unexplained(&self, batch: u64, message: &str) -> Result<()> {
        self.line(&format!("x {batch} {}", message.replace('\n', " ")))
    }

    /// Hands everything to the operating system, for another process to read.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn flush(&self) -> Result<()> {
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .flush()
            .context("failed to write the ledger")
    }

    fn line(&self, line: &str) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(file, "{line}").context("failed to write the ledger")
    }
}

fn list<N: std::fmt::Display>(line: &mut String, streams: &[(String, N)]) {
    for (index, (stream, number)) in streams.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a String can't fail.
        let _ = write!(line, "{comma}{stream}={number}");
    }
}
