//! [`Verification`]: what came of working the links out again.

use std::fmt;

use uno_core::{Position, RecordedEvent, StreamId, Version};

/// What was found: how many events fit their links, how many have none yet, and the first event of each stream that does not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    pub(crate) streams: u64,
    pub(crate) verified: u64,
    pub(crate) waiting: u64,
    pub(crate) breaches: Vec<Breach>,
    pub(crate) breached: u64,
}

impl Verification {
    /// How many breaches are told in full.
    pub const BREACHES: usize = 1_000;

    /// Whether everything that has a link fits it, and nothing is missing.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.breached == 0
    }

    /// How many streams were looked at.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.streams
    }

    /// How many events fit their links.
    #[must_use]
    pub fn verified(&self) -> u64 {
        self.verified
    }

    /// How many events the chain has not come to yet.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// The first event of each stream that does not fit, at most [`BREACHES`](Self::BREACHES).
    #[must_use]
    pub fn breaches(&self) -> &[Breach] {
        &self.breaches
    }

    /// How many streams have one.
    #[must_use]
    pub fn breached_streams(&self) -> u64 {
        self.breached
    }

    pub(crate) fn add(&mut self, breach: Breach) {
        self.breached += 1;
        if self.breaches.len() < Self::BREACHES {
            self.breaches.push(breach);
        }
    }
}

/// Tells it in a line, and each breach in one more.
impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verified, streams) = (self.verified, self.streams);
        write!(f, "{verified} events of {streams} streams fit their links")?;
        if self.waiting > 0 {
            write!(f, ", {} have none yet", self.waiting)?;
        }
        for breach in &self.breaches {
            write!(f, "\n{breach}")?;
        }
        let more = self.breached - self.breaches.len() as u64;
        if more > 0 {
            write!(f, "\nand {more} more")?;
        }
        Ok(())
    }
}

/// The first event of a stream that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("version {version} of stream {stream} {kind}")]
pub struct Breach {
    stream: StreamId,
    version: Version,
    position: Option<Position>,
    kind: BreachKind,
}

impl Breach {
    pub(crate) fn at(event: &RecordedEvent, kind: BreachKind) -> Self {
        Self {
            stream: event.stream().clone(),
            version: event.version(),
            position: Some(event.position()),
            kind,
        }
    }

    pub(crate) fn missing(stream: &StreamId, version: Version) -> Self {
        Self {
            stream: stream.clone(),
            version,
            position: None,
            kind: BreachKind::Missing,
        }
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Which event of the stream.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Its place in the log; `None` when it is missing.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// What is wrong with it.
    #[must_use]
    pub fn kind(&self) -> BreachKind {
        self.kind
    }
}

/// What is wrong with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BreachKind {
    /// It does not fit its link: a field of it was changed, or the link was.
    Altered,
    /// It is not there, but its link is, or what comes after it.
    Missing,
    /// It, or the event before it, has no link, though the chain is past it: it was put in, or the link was taken away.
    NotLinked,
}

impl fmt::Display for BreachKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Altered => "does not fit its link: it was changed, or the link was",
            Self::Missing => "is missing",
            Self::NotLinked => {
                "is not in the chain, which is past it: it was put in, or a link was taken away"
            }
        })
    }
}
