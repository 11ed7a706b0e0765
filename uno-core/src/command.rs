//! [`Command`]: a wish, in the imperative, that can be refused.

use serde::{Serialize, de::DeserializeOwned};

use crate::{BoxError, CommandName, Payload};

/// A request to do something, handled by exactly one handler, which may refuse it.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use uno_core::Command;
///
/// #[derive(Command, Serialize, Deserialize)]
/// struct PlaceOrder { order: u64 }
///
/// assert_eq!(PlaceOrder::NAME, "place_order");
/// ```
///
/// # Contract
/// 1. `NAME` is unique among the commands of an application, and does not change while messages that bear it are under way.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a command",
    note = "derive it: `#[derive(Command, Serialize, Deserialize)]`"
)]
pub trait Command: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name the command travels and is stored under.
    const NAME: &'static str;
    /// All that is known of the type without a value of it.
    const DESCRIPTOR: CommandDescriptor = CommandDescriptor { name: Self::NAME };
}

/// What is known about a command type without a value of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandDescriptor {
    name: &'static str,
}

impl CommandDescriptor {
    /// The name the command travels under.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// The closed set of commands that something sends: an enum with one variant for each command type, or
/// one command type alone. Knowing the set, an application can refuse to start when one of them has no handler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a set of commands",
    note = "a command type is one by itself; for several, derive it on an enum: `#[derive(CommandSet)] enum Sent {{ Charge(ChargePayment) }}`"
)]
pub trait CommandSet: Sized + Send + Sync + 'static {
    /// The command types of the set.
    const COMMANDS: &'static [CommandDescriptor];

    /// The type of this command.
    fn descriptor(&self) -> CommandDescriptor;

    /// This command as JSON.
    ///
    /// # Errors
    /// When serde can't serialize it.
    fn to_json(&self) -> Result<String, serde_json::Error>;

    /// This command, ready to travel.
    ///
    /// # Errors
    /// When serde can't serialize it, or it could not be read back equal.
    fn encode(&self) -> Result<EncodedCommand, BoxError> {
        Ok(EncodedCommand {
            name: CommandName::new(self.descriptor().name())?,
            payload: Payload::from_json(self.to_json()?)?,
        })
    }
}

impl<C: Command> CommandSet for C {
    const COMMANDS: &'static [CommandDescriptor] = &[C::DESCRIPTOR];

    fn descriptor(&self) -> CommandDescriptor {
        C::DESCRIPTOR
    }

    fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// A command as it travels and is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedCommand {
    name: CommandName,
    payload: Payload,
}

impl EncodedCommand {
    /// A command that is encoded already.
    #[must_use]
    pub fn from_parts(name: CommandName, payload: Payload) -> Self {
        Self { name, payload }
    }

    /// The name of the command.
    #[must_use]
    pub fn name(&self) -> &CommandName {
        &self.name
    }

    /// The command itself.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }
}
