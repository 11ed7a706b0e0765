//! [`CommandOutcome`]: what became of a queued command.

use serde::{Deserialize, Serialize};
use uno_core::{BoxError, Command, CommandId, Metadata, NewMessage, Payload, QueuedMessage};

/// What became of a queued command: data that goes through a queue, and perhaps a crash, to whoever sent it.
///
/// Stored format: version with care.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandOutcome {
    command_id: CommandId,
    command: String,
    verdict: Verdict,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Its effects are committed.
    Succeeded,
    /// The domain refused it, for this reason: it had no effect.
    Rejected(String),
    /// It failed until its retries were used up, the last time for this reason: it had no effect in the store, and may have
    /// had one outside.
    GaveUp(String),
}

impl CommandOutcome {
    /// An outcome.
    #[must_use]
    pub fn new(command_id: CommandId, command: impl Into<String>, verdict: Verdict) -> Self {
        Self {
            command_id,
            command: command.into(),
            verdict,
        }
    }

    /// Which command.
    #[must_use]
    pub fn command_id(&self) -> CommandId {
        self.command_id
    }

    /// The command's name.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }

    /// How it ended.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Whether the command's effects are committed.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.verdict, Verdict::Succeeded)
    }

    /// Whether it is the outcome of a command of type `C`.
    #[must_use]
    pub fn is_of<C: Command>(&self) -> bool {
        self.command == C::NAME
    }

    /// The outcome as a message of a queue.
    ///
    /// # Errors
    /// When it can't be encoded.
    pub fn to_message(
        &self,
        queue: &str,
        key: &str,
        metadata: Metadata,
    ) -> Result<NewMessage, BoxError> {
        let payload = Payload::encode(self)?;
        Ok(NewMessage::new(
            queue,
            *self.command_id.as_uuid(),
            key,
            "command_outcome",
            payload,
            metadata,
        ))
    }

    /// The outcome in a message of a queue.
    ///
    /// # Errors
    /// When the message is none.
    pub fn from_message(message: &QueuedMessage) -> Result<Self, BoxError> {
        Ok(serde_json::from_str(message.message().payload().as_str())?)
    }
}

/// Text for storing: without NUL, and of bounded length, because errors of others may have either.
pub(crate) fn stored_reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text.chars().filter(|c| *c != '\0').take(2000).collect()
}
