//! Controls: readers with a fault that is known, in the same conditions, judged by the same judge. Each must be caught.

mod contest;
mod crash;
mod tail;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    campaign::Grounds,
    judge::{ReaderVerdict, Verdict},
};

use self::tail::Protocol;

/// What came of a reader with a fault, or of one without beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// What the reader does.
    pub name: String,
    /// How it must fail, or that it must not.
    pub must: Must,
    /// How many events it was given.
    pub delivered: u64,
    /// How many it was not given.
    pub skipped: u64,
    /// How many came after a later one of their stream.
    pub inverted: u64,
}

/// What must come of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Must {
    /// It must miss events.
    Skip,
    /// It must be given events of a stream in the wrong order.
    Invert,
    /// It must be given exactly the log.
    Succeed,
}

impl Control {
    /// Whether it came as it must.
    #[must_use]
    pub fn is_as_it_must(&self) -> bool {
        match self.must {
            Must::Skip => self.skipped > 0,
            Must::Invert => self.inverted > 0,
            Must::Succeed => self.skipped + self.inverted == 0,
        }
    }
}

/// Runs all controls that these grounds allow, on so many events: without a server of our own, nothing is killed.
///
/// # Errors
/// When they can't be run, or anything but a control broke a law.
pub async fn run(grounds: &Grounds, seed: u64, events: u64) -> Result<Vec<Control>> {
    let mut controls = contest::run(grounds, seed, events).await?;
    if let Some(server) = &grounds.server {
        controls.extend(crash::run(grounds, server, seed).await?);
    }
    Ok(controls)
}

/// What the judge says of the readers. The log itself must be right, or their faults would prove nothing.
fn controls(verdict: &Verdict, protocols: &[Protocol]) -> Result<Vec<Control>> {
    let by_readers = [
        "skipped",
        "redelivered",
        "disordered",
        "phantoms",
        "checkpoints",
        "unfinished",
    ];
    let log: Vec<_> = verdict
        .broken
        .iter()
        .filter(|(law, _)| !by_readers.contains(law))
        .collect();
    ensure!(
        log.is_empty(),
        "the log of the controls is not right: {log:?}, {:?}",
        verdict.examples
    );
    let mut controls = Vec::new();
    for protocol in protocols {
        let found = verdict
            .readers
            .iter()
            .find(|reader| reader.name == protocol.name());
        let ReaderVerdict {
            delivered,
            skipped,
            inverted,
            finished,
            phantoms,
            ..
        } = found.cloned().unwrap_or_default();
        ensure!(
            finished && phantoms == 0,
            "the control {} did not run to its end: {found:?}",
            protocol.name()
        );
        controls.push(Control {
            name: protocol.title().to_owned(),
            must: protocol.must(),
            delivered,
            skipped,
            inverted,
        });
    }
    Ok(controls)
}
