//! [`MessageRelay`]: takes the messages of an outbox queue to the world outside.

mod state;
mod status;

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use uno_core::{
    Acknowledgement, Backend, BoxError, Commit, CommitError, QueuedMessage, Stale, StoreError,
};
use uno_uow::RetryPolicy;
use uuid::Uuid;

use self::{state::State, status::Report};
use crate::{command_outcome::stored_reason, telemetry};

pub use self::status::RelayStatus;

/// How many messages are read, and acknowledged, at once.
const PAGE: usize = 256;

/// Delivers messages to the world outside: a broker, a mail server, a webhook. Write a plain `async fn`.
///
/// # Contract
/// 1. `Ok` means that the message will not be lost any more. Anything else is tried again.
/// 2. A message may be delivered twice, after a crash or a lost answer; its id is the same, and goes along.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a transport",
    note = "implement `Transport` with an `async fn deliver`"
)]
pub trait Transport: Send + Sync + 'static {
    /// Delivers one message.
    ///
    /// # Cancellation
    /// The future may be dropped at any await, when it takes longer than the relay's time limit.
    fn deliver(&self, message: &QueuedMessage)
    -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// Takes the messages of a queue to a [`Transport`]: those with the same key one after the other, others side by side.
///
/// A message is acknowledged after it was delivered, with others in one commit. One that can't be delivered is tried again, with
/// growing pauses, for as long as it takes; it keeps those with its key waiting, in order, and no others.
///
/// ```
/// # use std::sync::Arc;
/// # use uno_core::{BoxError, Commit, Metadata, NewMessage, Payload, ProcessStore, QueuedMessage, Transactional};
/// # use uno_store_memory::MemoryStore;
/// use tokio_util::sync::CancellationToken;
/// use uno_cqrs::{MessageRelay, Transport};
///
/// struct Broker;
/// impl Transport for Broker {
///     async fn deliver(&self, message: &QueuedMessage) -> Result<(), BoxError> {
///         // … publish it under the id, as the key that the broker knows repetitions by
/// #       let _ = message.message().id();
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::new());
/// # let id = *uno_core::CommandId::new().as_uuid();
/// # let mut commit = Commit::new();
/// # commit.messages.push(NewMessage::new("outbox", id, "order-7", "order_shipped", Payload::from_json("{}")?, Metadata::new()));
/// # store.commit(commit).await?;
/// let relay = MessageRelay::new(store.clone(), "outbox", Broker);
/// let stop = CancellationToken::new();
/// let running = tokio::spawn({ let (relay, stop) = (relay.clone(), stop.clone()); async move { relay.run(stop).await } });
/// while store.queue_depth("outbox").await?.0 > 0 { tokio::task::yield_now().await; }
/// stop.cancel();
/// running.await?;
/// assert_eq!(relay.status().await?.delivered, 1);
/// # Ok(()) }
/// ```
pub struct MessageRelay<B, T> {
    inner: Arc<Inner<B, T>>,
}

struct Inner<B, T> {
    backend: Arc<B>,
    queue: Arc<str>,
    transport: T,
    concurrency: usize,
    time_limit: Duration,
    poll: Duration,
    retry: RetryPolicy,
    report: Report,
}

/// What became of one delivery.
struct Delivery {
    key: String,
    id: Uuid,
    result: Result<(), String>,
}

impl<B: Backend, T: Transport> MessageRelay<B, T> {
    /// A relay for `queue`: 128 deliveries side by side, each within 30 seconds, and pauses from 100 ms up to a minute after
    /// failures.
    #[must_use]
    pub fn new(backend: Arc<B>, queue: impl Into<String>, transport: T) -> Self {
        Self::with_options(backend, queue, transport, RelayOptions::new())
    }

    /// A relay for `queue` that works as these options say.
    #[must_use]
    pub fn with_options(
        backend: Arc<B>,
        queue: impl Into<String>,
        transport: T,
        options: RelayOptions,
    ) -> Self {
        let (base, cap) = options.pauses;
        let inner = Inner {
            backend,
            queue: queue.into().into(),
            transport,
            concurrency: options.concurrency.max(1),
            time_limit: options.time_limit,
            poll: options.poll,
            retry: RetryPolicy::none()
                .with_attempts(u32::MAX)
                .with_pauses(base, cap),
            report: Report::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// What it has done so far, and what the store says of its queue.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn status(&self) -> Result<RelayStatus, StoreError> {
        let Inner {
            backend,
            queue,
            report,
            ..
        } = &*self.inner;
        let (depth, oldest) = backend.queue_depth(queue).await?;
        let mut status = report.read();
        (status.depth, status.oldest) = (depth, oldest);
        Ok(status)
    }

    /// Works until it is cancelled, then finishes the deliveries that are under way.
    ///
    /// # Cancellation
    /// Dropping the future instead aborts what is under way: what was not acknowledged is delivered again.
    pub async fn run(&self, stop: CancellationToken) {
        let inner = &self.inner;
        let mut state = State::default();
        let mut running: JoinSet<Delivery> = JoinSet::new();
        let (mut failed, mut unacknowledged) = (0, 0);
        while !stop.is_cancelled() {
            // The mark is taken before reading: what is committed in between ends the wait below at once.
            let mark = inner.backend.change();
            let mut more = false;
            match self.read(&mut state).await {
                Ok(full) => (failed, more) = (0, full),
                Err(error) => {
                    failed += 1;
                    self.store_failed(failed, &error);
                }
            }
            while running.len() < inner.concurrency
                && let Some(message) = state.take()
            {
                let relay = self.clone();
                running.spawn(async move { relay.deliver(message).await });
            }
            if state.has_delivered() {
                match self.acknowledge(&mut state).await {
                    Ok(()) => unacknowledged = 0,
                    Err(error) => {
                        unacknowledged += 1;
                        self.store_failed(unacknowledged, &error);
                    }
                }
            }
            if more && running.len() < inner.concurrency {
                continue;
            }
            let troubled = failed.max(unacknowledged);
            let pause = if troubled > 0 {
                super::command_worker::backoff(troubled)
            } else {
                let due = state.next_retry();
                due.map_or(inner.poll, |due| {
                    due.saturating_duration_since(Instant::now())
                        .min(inner.poll)
                })
            };
            tokio::select! {
                () = stop.cancelled() => break,
                Some(done) = running.join_next() => {
                    let mut done = Some(done);
                    while let Some(ended) = done {
                        self.ended(&mut state, ended.ok());
                        done = running.try_join_next();
                    }
                }
                () = inner.backend.changed(mark), if troubled == 0 => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        while let Some(ended) = running.join_next().await {
            self.ended(&mut state, ended.ok());
        }
        // If this fails, they are delivered once more after the next start.
        let _ = self.acknowledge(&mut state).await;
    }

    /// Reads on in the queue, and the keys whose time has come; whether there may be more.
    async fn read(&self, state: &mut State) -> Result<bool, StoreError> {
        let Inner { backend, queue, .. } = &*self.inner;
        for key in state.due(Instant::now()) {
            let page = backend.read_queue_of(queue, &key, 0, PAGE).await?;
            let full = page.len() == PAGE;
            state.back(&key, page, full);
        }
        if !state.has_room(self.inner.concurrency) {
            return Ok(false);
        }
        let page = backend.read_queue(queue, state.read_up_to(), PAGE).await?;
        let full = page.len() == PAGE;
        page.into_iter().for_each(|message| state.add(message));
        Ok(full)
    }

    async fn deliver(&self, message: QueuedMessage) -> Delivery {
        let limit = self.inner.time_limit;
        // In an async block, so that a panic before the first await is caught too. Nothing of ours is left half done by it.
        let delivering = async { self.inner.transport.deliver(&message).await };
        let delivering = AssertUnwindSafe(delivering).catch_unwind();
        let result = match tokio::time::timeout(limit, delivering).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(stored_reason(&*error)),
            Ok(Err(_)) => Err("the transport panicked".to_owned()),
            Err(_) => Err(format!("it did not finish within {limit:?}")),
        };
        Delivery {
            key: message.message().key().to_owned(),
            id: message.message().id(),
            result,
        }
    }

    fn ended(&self, state: &mut State, delivery: Option<Delivery>) {
        // A task ends without a result only when the runtime does.
        let Some(Delivery { key, id, result }) = delivery else {
            return;
        };
        match result {
            Ok(()) => state.delivered(&key, id),
            Err(error) => {
                let attempt = state.failed(&key, |failed| {
                    Instant::now()
                        + self
                            .inner
                            .retry
                            .pause_after(failed)
                            .unwrap_or(self.inner.poll)
                });
                let (queue, message_id) = (&*self.inner.queue, id);
                tracing::warn!(name: telemetry::DELIVERY_RETRY, queue, %message_id, attempt, "will try again");
                self.inner.report.note(|status| {
                    status.failed += 1;
                    status.last_error = Some(error);
                });
            }
        }
        let resting = state.resting();
        self.inner.report.note(|status| status.resting = resting);
    }

    /// Takes what was delivered off the queue.
    async fn acknowledge(&self, state: &mut State) -> Result<(), CommitError> {
        while let Some(ids) = state.to_acknowledge(PAGE) {
            match self.commit(&ids).await {
                Ok(()) => {}
                Err(CommitError::Stale(Stale::Message { .. })) => {
                    // Another relay was faster with one of them, or this one, in a commit whose outcome was unknown.
                    for id in &ids {
                        match self.commit(&[*id]).await {
                            Ok(()) | Err(CommitError::Stale(_)) => {}
                            Err(error) => return Err(error),
                        }
                    }
                }
                Err(error) => return Err(error),
            }
            state.acknowledged(&ids);
            self.inner
                .report
                .note(|status| status.delivered += ids.len() as u64);
        }
        Ok(())
    }

    async fn commit(&self, ids: &[Uuid]) -> Result<(), CommitError> {
        let mut commit = Commit::new();
        let queue = &*self.inner.queue;
        commit
            .acknowledgements
            .extend(ids.iter().map(|id| Acknowledgement::new(queue, *id)));
        self.inner.backend.commit(commit).await.map(drop)
    }

    fn store_failed(&self, attempt: u32, error: &(dyn std::error::Error + 'static)) {
        let queue = &*self.inner.queue;
        tracing::warn!(name: telemetry::QUEUE_UNREADABLE, queue, attempt, "will try again");
        let error = stored_reason(error);
        self.inner
            .report
            .note(|status| status.last_error = Some(error));
    }
}

/// How a relay works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayOptions {
    concurrency: usize,
    time_limit: Duration,
    poll: Duration,
    pauses: (Duration, Duration),
}

impl RelayOptions {
    /// As [`MessageRelay::new`] says.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            concurrency: 128,
            time_limit: Duration::from_secs(30),
            poll: Duration::from_millis(500),
            pauses: (Duration::from_millis(100), Duration::from_secs(60)),
        }
    }

    /// So many deliveries side by side (at least one).
    #[must_use]
    pub const fn concurrency(mut self, deliveries: usize) -> Self {
        self.concurrency = deliveries;
        self
    }

    /// How long a delivery may take. Then it is dropped, which counts as a failure.
    #[must_use]
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Looks for messages of other processes this often.
    #[must_use]
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll = interval;
        self
    }

    /// The pause after a first failure, and the longest.
    #[must_use]
    pub const fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.pauses = (first, longest);
        self
    }
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl<B, T> Clone for MessageRelay<B, T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<B, T> std::fmt::Debug for MessageRelay<B, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MessageRelay")
            .field("queue", &self.inner.queue)
            .finish_non_exhaustive()
    }
}
