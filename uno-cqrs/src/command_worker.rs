//! [`CommandWorker`]: carries out the commands of a queue.

mod carry_out;
mod lanes;
mod status;

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uno_core::{Backend, Clock, StoreError, SystemClock};
use uno_uow::RetryPolicy;

use self::{carry_out::Ended, lanes::Lanes, status::Report};
use crate::{CommandBus, command_outcome::stored_reason, telemetry};

pub use self::status::WorkerStatus;

/// How many messages are read at once, and the most that wait in memory.
const PAGE: usize = 256;
const MOST_WAITING: usize = 1024;

/// Carries out the commands of a queue: those with the same key one after the other, others side by side.
///
/// A command's effects, its acknowledgement and its outcome are committed together, so it takes effect once, however
/// often it is delivered and however many workers there are. After a crash, what was not acknowledged is carried out.
///
/// ```
/// # use std::sync::Arc;
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Backend, Command, Metadata, ProcessStore};
/// # use uno_uow::{CommandError, Runner, UnitOfWork};
/// # use uno_store_memory::MemoryStore;
/// use tokio_util::sync::CancellationToken;
/// use uno_cqrs::{CommandBus, CommandHandler, CommandWorker};
///
/// #[derive(Command, Serialize, Deserialize)]
/// struct SendInvoice { order: u64 }
///
/// struct Invoices;
/// impl<B: Backend> CommandHandler<SendInvoice, B> for Invoices {
///     async fn handle(&self, command: &SendInvoice, uow: &mut UnitOfWork<B>) -> Result<(), CommandError> {
///         uow.put_document("invoices", &command.order.to_string(), &command.order)?;
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(MemoryStore::new());
/// let bus = CommandBus::builder(Runner::new(store.clone())).handler::<SendInvoice>(Invoices).build()?;
/// let worker = CommandWorker::new(bus.clone(), "invoices");
///
/// // Sent in one transaction, carried out after it.
/// let id = uno_core::CommandId::new();
/// let mut uow = bus.runner().begin(Metadata::new());
/// uow.send("invoices", *id.as_uuid(), "order-1742", &SendInvoice { order: 1742 })?;
/// bus.runner().commit(uow).await?;
///
/// let stop = CancellationToken::new();
/// let running = tokio::spawn({ let (worker, stop) = (worker.clone(), stop.clone()); async move { worker.run(stop).await } });
/// while store.queue_depth("invoices").await?.0 > 0 { tokio::task::yield_now().await; }
/// stop.cancel();
/// running.await?;
/// assert_eq!(worker.status().succeeded, 1);
/// # Ok(()) }
/// ```
///
/// # Failures
/// * What the domain refuses is *rejected*: it had no effect, and is not tried again.
/// * What fails otherwise is tried again by the [retry policy](Self::with_retry), then it *gave up*. So does, at once, a
///   command that nobody handles, or that does not have the shape of its type.
/// * A store that can't be used is waited for, however long it takes, and so is one that left the outcome of a commit
///   unknown: the next attempt finds the message gone, or carries it out.
///
/// Attempts are counted from anew after a restart.
#[derive(Debug)]
pub struct CommandWorker<B: Backend> {
    bus: CommandBus<B>,
    queue: Arc<str>,
    outcomes: Option<Arc<str>>,
    concurrency: usize,
    retry: RetryPolicy,
    time_limit: Option<Duration>,
    poll: Duration,
    clock: Arc<dyn Clock>,
    report: Arc<Report>,
}

impl<B: Backend> CommandWorker<B> {
    /// How long one attempt may take, unless it is said.
    pub const TIME_LIMIT: Duration = Duration::from_secs(30);

    /// A worker for `queue`, with 128 commands side by side and five attempts for one that fails.
    #[must_use]
    pub fn new(bus: CommandBus<B>, queue: impl Into<String>) -> Self {
        let (base, cap) = (Duration::from_millis(100), Duration::from_secs(10));
        Self {
            bus,
            queue: queue.into().into(),
            outcomes: None,
            concurrency: 128,
            retry: RetryPolicy::default()
                .with_attempts(5)
                .with_pauses(base, cap),
            time_limit: Some(Self::TIME_LIMIT),
            poll: Duration::from_millis(500),
            clock: Arc::new(SystemClock::new()),
            report: Arc::default(),
        }
    }

    /// The same, telling what became of each command in this queue, under the command's key.
    #[must_use]
    pub fn with_outcomes(mut self, queue: impl Into<String>) -> Self {
        self.outcomes = Some(queue.into().into());
        self
    }

    /// The same, with so many commands side by side (at least one).
    #[must_use]
    pub fn with_concurrency(mut self, commands: usize) -> Self {
        self.concurrency = commands.max(1);
        self
    }

    /// The same, with this policy for commands that fail. Conflicts have the policy of the bus's runner, and a store
    /// that is not available is waited for.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// The same, with this limit for one attempt, its conflicts included. Then it is dropped, which counts as a failure.
    #[must_use]
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// The same, with attempts that may take as long as they like. One that hangs keeps its key, and a stop, waiting.
    #[must_use]
    pub fn without_time_limit(mut self) -> Self {
        self.time_limit = None;
        self
    }

    /// The same, looking for messages of other processes this often.
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll = interval;
        self
    }

    /// The same, taking the times of attempts, which outcomes tell, from this clock. It decides nothing.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// What it has done so far.
    #[must_use]
    pub fn status(&self) -> WorkerStatus {
        self.report.read()
    }

    /// Works until it is cancelled, then finishes the attempts that are under way. A command that waits for its next attempt is
    /// left in the queue.
    ///
    /// # Cancellation
    /// Dropping the future instead aborts what is under way; each command was carried out whole or will be carried out again.
    pub async fn run(&self, stop: CancellationToken) {
        let mut lanes = Lanes::default();
        let mut running: JoinSet<(String, Ended)> = JoinSet::new();
        let mut failed_reads = 0;
        while !stop.is_cancelled() {
            // The mark is taken before reading: what is committed in between ends the wait below at once.
            let mark = self.bus.runner().backend().change();
            let wanted = lanes.ready() < self.concurrency && lanes.waiting() < MOST_WAITING;
            let mut more = false;
            if wanted {
                match self.read(&mut lanes, &stop).await {
                    Ok(full) => (failed_reads, more) = (0, full),
                    Err(error) => {
                        failed_reads += 1;
                        self.cannot_read(failed_reads, &error);
                    }
                }
            }
            while running.len() < self.concurrency
                && let Some(message) = lanes.take()
            {
                let (worker, stop) = (self.clone(), stop.clone());
                running.spawn(async move {
                    let ended = worker.see_through(&message, &stop).await;
                    (message.message().key().to_owned(), ended)
                });
            }
            if more && running.len() < self.concurrency {
                continue;
            }
            let pause = if failed_reads > 0 {
                backoff(failed_reads)
            } else {
                self.poll
            };
            tokio::select! {
                () = stop.cancelled() => break,
                Some(done) = running.join_next() => {
                    let mut done = Some(done);
                    // And whatever else has ended meanwhile, so that one read serves them all.
                    while let Some(ended) = done {
                        // A lane whose message was left stays closed, since order within a key comes first. A task
                        // ends without a result only when the runtime does.
                        if let Ok((key, Ended::Settled)) = ended {
                            lanes.finish(&key);
                        }
                        done = running.try_join_next();
                    }
                }
                () = self.bus.runner().backend().changed(mark), if failed_reads == 0 && wanted => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// Reads on in the queue; whether there may be more.
    async fn read(&self, lanes: &mut Lanes, stop: &CancellationToken) -> Result<bool, StoreError> {
        let backend = self.bus.runner().backend();
        let messages = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(false),
            messages = backend.read_queue(&self.queue, lanes.read_up_to(), PAGE) => messages?,
        };
        let full = messages.len() == PAGE;
        messages.into_iter().for_each(|message| lanes.add(message));
        Ok(full)
    }

    fn cannot_read(&self, attempt: u32, error: &StoreError) {
        let queue = &*self.queue;
        tracing::warn!(name: telemetry::QUEUE_UNREADABLE, queue, attempt, "will try again");
        self.report
            .note(|status| status.last_error = Some(stored_reason(error)));
    }
}

impl<B: Backend> Clone for CommandWorker<B> {
    fn clone(&self) -> Self {
        Self {
            bus: self.bus.clone(),
            queue: Arc::clone(&self.queue),
            outcomes: self.outcomes.clone(),
            concurrency: self.concurrency,
            retry: self.retry,
            time_limit: self.time_limit,
            poll: self.poll,
            clock: Arc::clone(&self.clock),
            report: Arc::clone(&self.report),
        }
    }
}

/// Pauses for a store that does not answer: from 10 ms up to 10 s.
fn backoff(failed: u32) -> Duration {
    let (base, cap) = (Duration::from_millis(10), Duration::from_secs(10));
    let policy = RetryPolicy::none()
        .with_attempts(u32::MAX)
        .with_pauses(base, cap);
    policy.pause_after(failed).unwrap_or(cap)
}
