//! [`Instance`]: what the engine remembers of one run of a saga. Stored format: version with care.

use serde::{Deserialize, Serialize};
use uno_core::{CommandId, Metadata, ProcessStatus};
use uuid::Uuid;

/// One run of a saga.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Instance<S> {
    /// The version of the definition that has saved it.
    #[serde(default = "first")]
    pub(crate) version: u32,
    /// How it stands. A column of its own says the same, except when the instance is parked: then this is what it comes back to.
    #[serde(default = "running", with = "status")]
    pub(crate) status: ProcessStatus,
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
    pub(crate) stuck: Option<Stuck>,
    /// The timeouts that are pending. One that is not here does not fire, whatever the store has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) timers: Vec<Pending>,
    /// How many timeouts were set: the next one's id is derived from it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) timers_set: u64,
    /// How many messages were sent: the next one's id is derived from it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) messages: u64,
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

/// A timeout that is pending.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Pending {
    pub(crate) id: Uuid,
    /// The timeout as JSON text, by which it is found again.
    pub(crate) timeout: String,
}

/// Why an instance is stuck.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Stuck {
    pub(crate) why: String,
    /// What the compensation that failed goes back to, and so what is sent after a person's word does.
    #[serde(default)]
    pub(crate) metadata: Metadata,
}

impl<S: Default> Instance<S> {
    pub(crate) fn new() -> Self {
        Self {
            version: 1,
            status: ProcessStatus::Running,
            state: S::default(),
            sent: 0,
            in_flight: Vec::new(),
            undo: Vec::new(),
            undoing: None,
            completing: false,
            stuck: None,
            timers: Vec::new(),
            timers_set: 0,
            messages: 0,
        }
    }
}

impl<S> Instance<S> {
    /// Whether the saga is asked about what comes: it is under way, and has not said that it is complete.
    pub(crate) fn is_open(&self) -> bool {
        self.status == ProcessStatus::Running && !self.completing
    }

    /// The same, with another form of the state.
    pub(crate) fn with_state<T>(self, state: T) -> Instance<T> {
        Instance {
            version: self.version,
            status: self.status,
            state,
            sent: self.sent,
            in_flight: self.in_flight,
            undo: self.undo,
            undoing: self.undoing,
            completing: self.completing,
            stuck: self.stuck,
            timers: self.timers,
            timers_set: self.timers_set,
            messages: self.messages,
        }
    }
}

const fn first() -> u32 {
    1
}

const fn running() -> ProcessStatus {
    ProcessStatus::Running
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A status as its stored text.
mod status {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use uno_core::ProcessStatus;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub(super) fn serialize<T: Serializer>(
        status: &ProcessStatus,
        to: T,
    ) -> Result<T::Ok, T::Error> {
        to.serialize_str(status.as_str())
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<ProcessStatus, D::Error> {
        let text = String::deserialize(from)?;
        ProcessStatus::from_stored(&text)
            .ok_or_else(|| D::Error::custom(format!("there is no status {text}")))
    }
}
