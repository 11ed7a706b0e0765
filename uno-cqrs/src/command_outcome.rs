//! [`CommandOutcome`]: what became of a queued command.

use chrono::{DateTime, Utc};
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
    #[serde(default)]
    attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_attempt_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_attempt_at: Option<DateTime<Utc>>,
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
            attempts: 0,
            first_attempt_at: None,
            last_attempt_at: None,
        }
    }

    /// The same, after so many attempts, the first and the last of which began at these times, by the worker's clock.
    #[must_use]
    pub fn with_attempts(
        mut self,
        attempts: u32,
        first: DateTime<Utc>,
        last: DateTime<Utc>,
    ) -> Self {
        self.attempts = attempts;
        self.first_attempt_at = Some(first);
        self.last_attempt_at = Some(last);
        self
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

    /// How often it was tried, attempts that found no store included; 0 when that is not known. Attempts are counted from
    /// anew after a restart of the worker.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// When the first of them began, by the worker's clock.
    #[must_use]
    pub fn first_attempt_at(&self) -> Option<DateTime<Utc>> {
        self.first_attempt_at
    }

    /// When the last of them began, by the worker's clock.
    #[must_use]
    pub fn last_attempt_at(&self) -> Option<DateTime<Utc>> {
        self.last_attempt_at
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
