//! [`Settings`]: what a store was opened with.

use std::{path::PathBuf, sync::Arc, time::Duration};

use uno_core::{Clock, Limits, SystemClock};

use crate::error::Location;

/// What every task of a store goes by.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Absolute, so that SQLite takes it for a path and never for a URI.
    pub(crate) path: PathBuf,
    pub(crate) location: Location,
    pub(crate) missing: Missing,
    pub(crate) access: Access,
    pub(crate) durability: Durability,
    pub(crate) readers: usize,
    pub(crate) busy_timeout: Duration,
    pub(crate) work_timeout: Duration,
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gaps: Option<u64>,
}

/// What to do when there is no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Create,
    Refuse,
}

/// What the store may do to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    ReadWrite,
    ReadOnly,
}

/// When a commit counts as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// When it is on the disk.
    Full,
    /// When the operating system has it.
    Off,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            location: Location::from(""),
            missing: Missing::Create,
            access: Access::ReadWrite,
            durability: Durability::Full,
            readers: 4,
            busy_timeout: Duration::from_secs(10),
            work_timeout: Duration::from_secs(30),
            limits: Limits::default(),
            clock: Arc::new(SystemClock::new()),
            gaps: None,
        }
    }
}
