//! [`InboxStore`], of the fourth tier: which messages were handled, and what came of each.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Payload, StoreError};

/// Remembers the messages that a consumer has handled, with what it sent out because of each, so that one that is delivered
/// again is recognised. Records are written in a [`Commit`](crate::Commit), with the effects of the handling.
///
/// # Contract
/// 1. An [`InboxWrite`] takes effect exactly if its commit does. One for a message that the consumer has handled already
///    makes the whole commit [`Stale`](crate::Stale::Inbox): a message is handled with effect once, however many try.
/// 2. What was written is loaded back equal, until it is pruned; consumers are apart.
#[async_trait]
pub trait InboxStore: fmt::Debug + Send + Sync + 'static {
    /// What came of these messages, as far as the consumer has handled them, in any order.
    async fn load_inbox(
        &self,
        consumer: &str,
        ids: &[Uuid],
    ) -> Result<Vec<InboxRecord>, StoreError>;

    /// Forgets what the consumer handled longer ago than this, by the store's clock; how many that were. A message that is
    /// delivered again after that is handled again.
    async fn prune_inbox(&self, consumer: &str, older_than: Duration) -> Result<u64, StoreError>;
}

const _: fn(&dyn InboxStore) = |_| {};

/// Remembers that a message was handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxWrite {
    consumer: String,
    id: Uuid,
    outputs: Payload,
}

impl InboxWrite {
    /// `consumer` has handled the message `id`, and this came of it.
    #[must_use]
    pub fn new(consumer: impl Into<String>, id: Uuid, outputs: Payload) -> Self {
        Self {
            consumer: consumer.into(),
            id,
            outputs,
        }
    }

    /// Who has handled it.
    #[must_use]
    pub fn consumer(&self) -> &str {
        &self.consumer
    }

    /// Which message.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What came of it.
    #[must_use]
    pub fn outputs(&self) -> &Payload {
        &self.outputs
    }
}

/// A message that was handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxRecord {
    id: Uuid,
    outputs: Payload,
    handled_at: DateTime<Utc>,
}

impl InboxRecord {
    /// A message that was handled. For stores.
    #[must_use]
    pub fn new(id: Uuid, outputs: Payload, handled_at: DateTime<Utc>) -> Self {
        Self {
            id,
            outputs,
            handled_at,
        }
    }

    /// Which message.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What came of it.
    #[must_use]
    pub fn outputs(&self) -> &Payload {
        &self.outputs
    }

    /// When, by the store's clock.
    #[must_use]
    pub fn handled_at(&self) -> DateTime<Utc> {
        self.handled_at
    }
}
