//! [`IdempotencyKey`]: the outcome of a command is kept under it, so that the same command again has the same outcome.

mod outcome;

use std::{fmt, str::FromStr, sync::Arc};

use uno_core::CommandId;

pub(crate) use self::outcome::{Fingerprint, Kept, StoredOutcome, receipt};

/// Names one wish, however often it is sent: the first command with the key is carried out, and its outcome is kept in the
/// transaction of its effects; whoever sends it again gets that outcome.
///
/// ```
/// # use std::sync::Arc;
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Backend, Command};
/// # use uno_store_memory::MemoryStore;
/// # use uno_uow::{CommandError, Runner, UnitOfWork};
/// # #[derive(Command, Serialize, Deserialize)] struct Book { seat: u32 }
/// # struct Seats;
/// # impl<B: Backend> CommandHandler<Book, B> for Seats {
/// #     async fn handle(&self, command: &Book, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
/// #         Ok(uow.put_document("seats", &command.seat.to_string(), &true)?)
/// #     }
/// # }
/// use uno_cqrs::{CommandBus, CommandHandler, ExecuteError, IdempotencyKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = CommandBus::builder(Runner::new(Arc::new(MemoryStore::new()))).handler::<Book>(Seats).build()?;
/// let key: IdempotencyKey = "9f0c6e9a".parse()?;                       // made by whoever sends it, once for each wish
/// let first = bus.execute_once(key.clone(), Book { seat: 7 }).await?;
/// assert_eq!(bus.execute_once(key.clone(), Book { seat: 7 }).await?, first);
///
/// let other = bus.execute_once(key, Book { seat: 8 }).await.unwrap_err();
/// assert!(matches!(other, ExecuteError::KeyReused(_)));
/// # Ok(()) }
/// ```
///
/// # What is kept
/// * A **receipt**, and a **rejection** by the domain with its words. A rejection that comes from the store is a
///   [`StoredRejection`] and no longer the domain's own type.
/// * Nothing else: what failed, was not valid, not allowed, busy or timed out may be sent again with its key.
///
/// # How far a key reaches
/// It is one key in a store, for all types of commands and all processes, within the tenant of the command's metadata: two tenants with
/// the same key know nothing of each other. The same key with another command is [`ExecuteError::KeyReused`](crate::ExecuteError::KeyReused):
/// another type, or another JSON, the order of fields aside. (So a command's JSON has to come out the same each time, which that of a
/// `HashSet` does not.)
///
/// Outcomes are kept until they are [pruned](crate::CommandBus::prune_outcomes). After that the key is as good as new.
///
/// The id of the command, which its events name as their cause and its handler passes on to the world outside, is made of the key: it
/// is the same whenever the command is carried out again because an earlier attempt came to no outcome.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// A key of 1 to 255 bytes, without control characters.
    ///
    /// # Errors
    /// When it is not that.
    pub fn new(key: impl Into<Arc<str>>) -> Result<Self, IdempotencyKeyError> {
        let key = key.into();
        if key.is_empty() || key.len() > 255 || key.chars().any(char::is_control) {
            return Err(IdempotencyKeyError);
        }
        Ok(Self(key))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the command that has this key within a tenant.
    pub(crate) fn command_id(&self, tenant: Option<&str>) -> CommandId {
        match tenant {
            Some(tenant) => CommandId::stable(["idempotency", &self.0, tenant]),
            None => CommandId::stable(["idempotency", &self.0]),
        }
    }
}

impl FromStr for IdempotencyKey {
    type Err = IdempotencyKeyError;

    fn from_str(key: &str) -> Result<Self, IdempotencyKeyError> {
        Self::new(key)
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A text that is no idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to 255 bytes and no control characters")]
#[non_exhaustive]
pub struct IdempotencyKeyError;

/// Another command was executed with the same key. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the idempotency key {key} of the command {command} is that of another command, {kept}")]
pub struct KeyReused {
    pub(crate) key: IdempotencyKey,
    pub(crate) command: &'static str,
    pub(crate) kept: String,
}

impl KeyReused {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }

    /// The type of the command whose outcome is kept under it.
    #[must_use]
    pub fn kept(&self) -> &str {
        &self.kept
    }
}

/// The words in which a command was refused, as they were kept under its idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct StoredRejection {
    pub(crate) reason: String,
}

impl StoredRejection {
    /// The words.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}
