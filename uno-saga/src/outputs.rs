//! [`Outputs`]: what a saga wants done.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uno_core::{Payload, Refusal};

use crate::NoTimeout;

/// What a saga wants done about one input, in order.
///
/// ```
/// use std::time::Duration;
/// use serde::{Deserialize, Serialize};
/// use uno_core::{Command, CommandSet};
/// use uno_saga::Outputs;
///
/// #[derive(Command, Serialize, Deserialize, Debug, PartialEq)] struct Charge { cents: i64 }
/// #[derive(Command, Serialize, Deserialize, Debug, PartialEq)] struct Refund {}
/// #[derive(CommandSet, Debug, PartialEq)] enum Sent { Charge(Charge), Refund(Refund) }
/// #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)] struct Overdue;
///
/// // Charge; should it all have to be undone, refund, because the charge may have gone through; and wait no longer than that.
/// let outputs: Outputs<Sent, Overdue> =
///     Outputs::send(Charge { cents: 700 }).undo(Refund {}).and_after(Duration::from_secs(1800), Overdue);
/// assert_eq!(outputs.as_slice().len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "outputs that are dropped are commands that are never sent"]
pub struct Outputs<C, T = NoTimeout> {
    outputs: Vec<Output<C, T>>,
}

/// One thing that a saga wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output<C, T = NoTimeout> {
    /// Send a command; if it all has to be undone, send `undo`.
    Send {
        /// The command.
        command: C,
        /// Its compensations, which are dropped if it is rejected; the last one is sent first.
        undo: Vec<C>,
    },
    /// If it all has to be undone, send this too, though nothing was sent for it.
    OnUndo(C),
    /// Put a message into an outbox queue.
    Message(OutboxMessage),
    /// Wake up after this time, by the store's clock, in place of an equal timeout that is pending.
    After(Duration, T),
    /// Wake up at this time, by the store's clock, in place of an equal timeout that is pending.
    At(DateTime<Utc>, T),
    /// Do not wake up for this timeout.
    Cancel(T),
    /// Undo everything, in reverse.
    Compensate,
    /// The process has come to its end, once the outcomes of all commands under way are known. Until then it still reacts to
    /// them, and may yet compensate.
    Complete,
}

/// A message for an outbox queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxMessage {
    queue: String,
    name: String,
    payload: Result<Payload, Refusal>,
}

impl OutboxMessage {
    fn new<P: Serialize + ?Sized>(
        queue: impl Into<String>,
        name: impl Into<String>,
        payload: &P,
    ) -> Self {
        Self {
            queue: queue.into(),
            name: name.into(),
            // What is wrong with it is told when the outputs are carried out, so that a saga needs no error of its own.
            payload: Payload::encode(payload),
        }
    }

    /// To which queue.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// What kind of message it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says.
    ///
    /// # Errors
    /// When it can't be stored.
    pub fn payload(&self) -> Result<&Payload, &Refusal> {
        self.payload.as_ref()
    }
}

impl<C, T> Outputs<C, T> {
    /// Nothing.
    pub const fn none() -> Self {
        Self {
            outputs: Vec::new(),
        }
    }

    /// Sends a command.
    pub fn send(command: impl Into<C>) -> Self {
        Self::none().and_send(command)
    }

    /// Registers a compensation for what has happened without a command of this saga.
    pub fn on_undo(command: impl Into<C>) -> Self {
        Self::none().and(Output::OnUndo(command.into()))
    }

    /// Puts a message into an outbox queue, from which a relay takes it on. Messages of one
    /// instance are delivered in order.
    pub fn message<P: Serialize + ?Sized>(
        queue: impl Into<String>,
        name: impl Into<String>,
        payload: &P,
    ) -> Self {
        Self::none().and_message(queue, name, payload)
    }

    /// Wakes up after this time with a timeout. An equal one that is pending is moved.
    pub fn after(wait: Duration, timeout: impl Into<T>) -> Self {
        Self::none().and_after(wait, timeout)
    }

    /// Wakes up at this time with a timeout; at once if it has passed. An equal one that is pending is moved.
    pub fn at(time: DateTime<Utc>, timeout: impl Into<T>) -> Self {
        Self::none().and_at(time, timeout)
    }

    /// Cancels a timeout, if an equal one is pending.
    pub fn cancel(timeout: impl Into<T>) -> Self {
        Self::none().and_cancel(timeout)
    }

    /// Undoes everything: settles what is under way, then sends the registered compensations in reverse.
    pub fn compensate() -> Self {
        Self::none().and_compensate()
    }

    /// Ends the process.
    pub fn complete() -> Self {
        Self::none().and_complete()
    }

    /// And sends another command.
    pub fn and_send(self, command: impl Into<C>) -> Self {
        let (command, undo) = (command.into(), Vec::new());
        self.and(Output::Send { command, undo })
    }

    /// With this compensation for the command before it. It is registered when the command is sent, and taken off again only if
    /// the command is rejected. Without a command before it, it is registered by itself.
    pub fn undo(mut self, compensation: impl Into<C>) -> Self {
        let compensation = compensation.into();
        match self.outputs.last_mut() {
            Some(Output::Send { undo, .. }) => undo.push(compensation),
            _ => self.outputs.push(Output::OnUndo(compensation)),
        }
        self
    }

    /// And puts a message into an outbox queue.
    pub fn and_message<P: Serialize + ?Sized>(
        self,
        queue: impl Into<String>,
        name: impl Into<String>,
        payload: &P,
    ) -> Self {
        self.and(Output::Message(OutboxMessage::new(queue, name, payload)))
    }

    /// And wakes up after this time.
    pub fn and_after(self, wait: Duration, timeout: impl Into<T>) -> Self {
        self.and(Output::After(wait, timeout.into()))
    }

    /// And wakes up at this time.
    pub fn and_at(self, time: DateTime<Utc>, timeout: impl Into<T>) -> Self {
        self.and(Output::At(time, timeout.into()))
    }

    /// And cancels a timeout.
    pub fn and_cancel(self, timeout: impl Into<T>) -> Self {
        self.and(Output::Cancel(timeout.into()))
    }

    /// And undoes everything.
    pub fn and_compensate(self) -> Self {
        self.and(Output::Compensate)
    }

    /// And ends the process.
    pub fn and_complete(self) -> Self {
        self.and(Output::Complete)
    }

    /// And this.
    pub fn and(mut self, output: Output<C, T>) -> Self {
        self.outputs.push(output);
        self
    }

    /// And all of those, behind these.
    pub fn and_all(mut self, outputs: Self) -> Self {
        self.outputs.extend(outputs.outputs);
        self
    }

    /// The outputs one by one.
    #[must_use]
    pub fn as_slice(&self) -> &[Output<C, T>] {
        &self.outputs
    }
}
