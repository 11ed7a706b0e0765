//! [`Inbox`]: takes effect once for a message that may be delivered twice.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use uno_core::{
    AppendError, Backend, BoxError, Commit, CommitError, InboxRecord, InboxWrite, Metadata,
    NewMessage, Payload, Receipt, Stale, StoreError,
};
use uno_uow::{CommandError, RunError, Runner, UnitOfWork};
use uuid::Uuid;

/// Handles messages that come from outside, each with effect once, however often it is delivered.
///
/// What a handler does is committed together with the mark that the message is handled, and with the messages for the outside that
/// came of it. When the message is delivered again, the handler does not run; those messages are dispatched again, under their
/// ids, unless they wait in their queues still.
///
/// ```
/// # use std::sync::Arc;
/// # use uno_core::{Metadata, Payload, NewMessage};
/// # use uno_store_memory::MemoryStore;
/// # use uno_uow::Runner;
/// use uno_cqrs::{Handled, Inbox};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::new());
/// let inbox = Inbox::new(Runner::new(store), "bookings", ["outbox"]);
/// let id = uno_core::CommandId::new();         // the message's own
/// for delivery in 1..=2 {
///     let handled = inbox
///         .handle(*id.as_uuid(), Metadata::new(), |uow| Box::pin(async move {
///             uow.put_document("bookings", "7", &"booked")?;
///             Ok(())
///         }))
///         .await?;
///     assert_eq!(matches!(handled, Handled::Now(_)), delivery == 1);
/// }
/// # Ok(()) }
/// ```
pub struct Inbox<B: Backend> {
    runner: Runner<B>,
    consumer: Arc<str>,
    outboxes: Arc<[String]>,
}

/// What came of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handled {
    /// The message was handled now.
    Now(Receipt),
    /// It was handled before; so many of the messages that came of it were dispatched again.
    Before {
        /// How many.
        dispatched: usize,
    },
}

/// Why a delivery was not dealt with: have the message delivered again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboxError {
    /// The handler refused or failed, or its effects can't be committed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What came of the message before can't be dispatched again.
    #[error(transparent)]
    Commit(CommitError),
    /// What is stored of the message is not what this code knows.
    #[error("what came of message {id} can't be read")]
    Malformed {
        /// Which message.
        id: Uuid,
        /// What serde says.
        source: BoxError,
    },
}

/// What a handler returns: a boxed future.
type Handling<'u> = Pin<Box<dyn Future<Output = Result<(), CommandError>> + Send + 'u>>;

/// A message that came of another. Stored format: version with care.
#[derive(Serialize, Deserialize)]
struct StoredMessage {
    queue: String,
    id: Uuid,
    key: String,
    name: String,
    /// JSON text.
    payload: String,
    metadata: Metadata,
}

impl<B: Backend> Inbox<B> {
    /// An inbox of `consumer`, which dispatches messages to these outbox queues again when what they came of is delivered again.
    ///
    /// Name queues that a [`MessageRelay`](crate::MessageRelay) empties, whose receivers know a message by its id. Do not name a
    /// queue of commands: those were carried out from the store, and would be a second time.
    #[must_use]
    pub fn new<Q: Into<String>>(
        runner: Runner<B>,
        consumer: impl Into<String>,
        outboxes: impl IntoIterator<Item = Q>,
    ) -> Self {
        Self {
            runner,
            consumer: consumer.into().into(),
            outboxes: outboxes.into_iter().map(Into::into).collect(),
        }
    }

    /// Handles the message `id` in a unit of work, unless it was handled before.
    ///
    /// The handler may run several times, as in [`Runner::run`]: on a conflict it runs again on fresh state.
    ///
    /// # Errors
    /// When the message was neither handled nor recognised, or it is not known. It is to be delivered again then.
    ///
    /// # Cancellation
    /// Dropping the future leaves the message handled whole, or not at all.
    pub async fn handle<F>(
        &self,
        id: Uuid,
        metadata: Metadata,
        handler: F,
    ) -> Result<Handled, InboxError>
    where
        F: for<'u> Fn(&'u mut UnitOfWork<B>) -> Handling<'u> + Send + Sync + 'static,
    {
        if let Some(record) = self.look(id).await? {
            return self.again(&record).await;
        }
        let handler = Arc::new(handler);
        let run = self.runner.run(metadata, |uow| {
            let (inbox, handler) = (self.clone(), Arc::clone(&handler));
            Box::pin(async move {
                handler(&mut *uow).await?;
                let outputs = inbox.outputs(uow.messages());
                let outputs = Payload::encode(&outputs).map_err(CommandError::failed)?;
                uow.remember(InboxWrite::new(&*inbox.consumer, id, outputs));
                Ok(())
            })
        });
        match run.await {
            Ok(((), receipt)) => Ok(Handled::Now(receipt)),
            // The same message, delivered twice at once: the other one was faster.
            Err(RunError::Stale(Stale::Inbox { .. })) => match self.look(id).await? {
                Some(record) => self.again(&record).await,
                None => Ok(Handled::Before { dispatched: 0 }),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets what was handled longer ago than this, by the store's clock; how many messages that were. A message that is
    /// delivered again after that is handled again, so this must be longer than any transport delivers late.
    ///
    /// # Errors
    /// When the store failed.
    pub async fn prune(&self, older_than: Duration) -> Result<u64, StoreError> {
        let backend = self.runner.backend();
        backend.prune_inbox(&self.consumer, older_than).await
    }

    async fn look(&self, id: Uuid) -> Result<Option<InboxRecord>, StoreError> {
        let backend = self.runner.backend();
        Ok(backend.load_inbox(&self.consumer, &[id]).await?.pop())
    }

    fn outputs(&self, messages: &[NewMessage]) -> Vec<StoredMessage> {
        let outgoing = messages
            .iter()
            .filter(|message| self.outboxes.iter().any(|queue| queue == message.queue()));
        let stored = outgoing.map(|message| StoredMessage {
            queue: message.queue().to_owned(),
            id: message.id(),
            key: message.key().to_owned(),
            name: message.name().to_owned(),
            payload: message.payload().as_str().to_owned(),
            metadata: message.metadata().clone(),
        });
        stored.collect()
    }

    /// Dispatches what came of a message again.
    async fn again(&self, record: &InboxRecord) -> Result<Handled, InboxError> {
        let malformed = |error: serde_json::Error| InboxError::Malformed {
            id: record.id(),
            source: error.into(),
        };
        let outputs: Vec<StoredMessage> =
            serde_json::from_str(record.outputs().as_str()).map_err(malformed)?;
        let mut dispatched = 0;
        for output in outputs {
            if self.waits(&output).await? {
                continue;
            }
            let payload = Payload::from_stored(output.payload);
            let message = NewMessage::new(
                output.queue,
                output.id,
                output.key,
                output.name,
                payload,
                output.metadata,
            );
            let mut commit = Commit::new();
            commit.messages.push(message);
            match self.runner.backend().commit(commit).await {
                Ok(_) => dispatched += 1,
                // Somebody else has dispatched it meanwhile.
                Err(CommitError::Append(AppendError::Refused(_))) => {}
                Err(error) => return Err(InboxError::Commit(error)),
            }
        }
        Ok(Handled::Before { dispatched })
    }

    /// Whether a message is in its queue still.
    async fn waits(&self, message: &StoredMessage) -> Result<bool, StoreError> {
        const PAGE: usize = 256;
        let backend = self.runner.backend();
        let mut after = 0;
        loop {
            let page = backend
                .read_queue_of(&message.queue, &message.key, after, PAGE)
                .await?;
            if page
                .iter()
                .any(|queued| queued.message().id() == message.id)
            {
                return Ok(true);
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = last.number(),
                _ => return Ok(false),
            }
        }
    }
}

impl<B: Backend> Clone for Inbox<B> {
    fn clone(&self) -> Self {
        Self {
            runner: self.runner.clone(),
            consumer: Arc::clone(&self.consumer),
            outboxes: Arc::clone(&self.outboxes),
        }
    }
}

impl<B: Backend> fmt::Debug for Inbox<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("consumer", &self.consumer)
            .field("outboxes", &self.outboxes)
            .finish_non_exhaustive()
    }
}
