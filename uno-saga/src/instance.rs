//! [`Instance`]: what the engine remembers of one run of a saga. Stored format: version with care.

use serde::{Deserialize, Serialize};
use uno_core::{CommandId, ProcessStatus};

/// One run of a saga.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Instance<S> {
    /// The saga's own state.
    pub(crate) state: S,
    /// How many commands were sent, compensations included: the next command's id is derived from it.
    pub(crate) sent: u64,
    /// Commands whose outcome is not known yet.
    pub(crate) in_flight: Vec<InFlight>,
    /// What has to be undone, the oldest first.
    pub(crate) undo: Vec<Undo>,
    /// The compensation that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) undoing: Option<CommandId>,
    /// The saga has ended, but for outcomes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) completing: bool,
    /// Why it is stuck.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stuck: Option<String>,
    /// Kept in a column of its own.
    #[serde(skip, default = "running")]
    pub(crate) status: ProcessStatus,
}

/// A command that was sent.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct InFlight {
    pub(crate) id: CommandId,
    pub(crate) command: String,
}

/// A compensation that was registered.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Undo {
    /// The command that it undoes, if it undoes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<CommandId>,
    pub(crate) command: String,
    /// The command as JSON text.
    pub(crate) payload: String,
}

const fn running() -> ProcessStatus {
    ProcessStatus::Running
}

impl<S: Default> Instance<S> {
    pub(crate) fn new() -> Self {
        Self {
            state: S::default(),
            sent: 0,
            in_flight: Vec::new(),
            undo: Vec::new(),
            undoing: None,
            completing: false,
            stuck: None,
            status: ProcessStatus::Running,
        }
    }
}
