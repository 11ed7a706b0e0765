//! [`Outputs`]: what a saga wants done.

/// What a saga wants done about one input, in order.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use uno_core::{Command, CommandSet};
/// use uno_saga::Outputs;
///
/// #[derive(Command, Serialize, Deserialize, Debug, PartialEq)] struct Charge { cents: i64 }
/// #[derive(Command, Serialize, Deserialize, Debug, PartialEq)] struct Refund {}
/// #[derive(CommandSet, Debug, PartialEq)] enum Sent { Charge(Charge), Refund(Refund) }
///
/// // Charge; and should it all have to be undone, refund, because the charge may have gone through.
/// let outputs: Outputs<Sent> = Outputs::send(Charge { cents: 700 }).undo(Refund {});
/// assert_eq!(outputs, Outputs::send(Charge { cents: 700 }).undo(Refund {}));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "outputs that are dropped are commands that are never sent"]
pub struct Outputs<C> {
    outputs: Vec<Output<C>>,
}

/// One thing that a saga wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output<C> {
    /// Send a command; if it all has to be undone, send `undo`.
    Send {
        /// The command.
        command: C,
        /// Its compensations, which are dropped if it is rejected; the last one is sent first.
        undo: Vec<C>,
    },
    /// If it all has to be undone, send this too, though nothing was sent for it.
    OnUndo(C),
    /// Undo everything, in reverse.
    Compensate,
    /// The process has come to its end, once the outcomes of all commands under way are known. Until then it still reacts to
    /// them, and may yet compensate.
    Complete,
}

impl<C> Outputs<C> {
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
        Self {
            outputs: vec![Output::OnUndo(command.into())],
        }
    }

    /// Undoes everything: settles what is under way, then sends the registered compensations in reverse.
    pub fn compensate() -> Self {
        Self {
            outputs: vec![Output::Compensate],
        }
    }

    /// Ends the process.
    pub fn complete() -> Self {
        Self {
            outputs: vec![Output::Complete],
        }
    }

    /// And sends another command.
    pub fn and_send(mut self, command: impl Into<C>) -> Self {
        self.outputs.push(Output::Send {
            command: command.into(),
            undo: Vec::new(),
        });
        self
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

    /// And undoes everything.
    pub fn and_compensate(mut self) -> Self {
        self.outputs.push(Output::Compensate);
        self
    }

    /// And ends the process.
    pub fn and_complete(mut self) -> Self {
        self.outputs.push(Output::Complete);
        self
    }

    /// The outputs one by one.
    #[must_use]
    pub fn as_slice(&self) -> &[Output<C>] {
        &self.outputs
    }
}
