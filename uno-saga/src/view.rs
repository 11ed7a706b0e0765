//! [`InstanceView`]: one run of a saga, for people.

use uno_core::{CommandId, ProcessStatus};

use crate::instance::Instance;

/// How one instance of a saga stands.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceView<S> {
    key: String,
    status: ProcessStatus,
    state: S,
    in_flight: Vec<PendingCommand>,
    to_undo: Vec<String>,
    stuck: Option<String>,
    timeouts: Vec<String>,
}

/// A command whose outcome is awaited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingCommand {
    id: CommandId,
    command: String,
}

impl PendingCommand {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> CommandId {
        self.id
    }

    /// Its name.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }
}

impl<S> InstanceView<S> {
    pub(crate) fn new(key: String, status: ProcessStatus, instance: Instance<S>) -> Self {
        let in_flight = instance
            .in_flight
            .into_iter()
            .map(|command| PendingCommand {
                id: command.id,
                command: command.command,
            });
        // What is under way to undo comes last: there is one at a time, and only when the rest is settled.
        let undoing = instance
            .undoing
            .zip(instance.undo.last())
            .map(|(id, undo)| PendingCommand {
                id,
                command: undo.command.clone(),
            });
        Self {
            key,
            status,
            in_flight: in_flight.chain(undoing).collect(),
            state: instance.state,
            to_undo: instance.undo.into_iter().map(|undo| undo.command).collect(),
            stuck: instance.stuck.map(|stuck| stuck.why),
            timeouts: instance
                .timers
                .into_iter()
                .map(|timer| timer.timeout)
                .collect(),
        }
    }

    /// Its correlation key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> ProcessStatus {
        self.status
    }

    /// The saga's own state.
    #[must_use]
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The commands whose outcome is awaited, a compensation that is under way included.
    #[must_use]
    pub fn in_flight(&self) -> &[PendingCommand] {
        &self.in_flight
    }

    /// The names of the compensations that are registered, the oldest first.
    #[must_use]
    pub fn to_undo(&self) -> &[String] {
        &self.to_undo
    }

    /// Why it is stuck.
    #[must_use]
    pub fn stuck(&self) -> Option<&str> {
        self.stuck.as_deref()
    }

    /// The timeouts that are pending, as JSON text, in the order in which they were set.
    #[must_use]
    pub fn timeouts(&self) -> &[String] {
        &self.timeouts
    }
}
