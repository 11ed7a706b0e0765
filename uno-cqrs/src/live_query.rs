//! [`LiveQuery`]: a query that is answered again whenever its answer has changed.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use futures_util::{
    future::BoxFuture,
    stream::{self, Stream},
};
use tokio::time::{Instant, sleep_until};
use uno_core::{EventStore, StoreChange};

/// A query that is answered at once, and again whenever its answer is another one: for a page that is to be current, say.
///
/// ```
/// # use std::sync::Arc;
/// # use uno_core::{Commit, DocumentStore, DocumentWrite, Payload, StoreError, Transactional};
/// # use uno_store_memory::MemoryStore;
/// use uno_cqrs::LiveQuery;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = Arc::new(MemoryStore::new());
/// let asked = store.clone();
/// let mut notes = LiveQuery::new(store.clone(), move || {
///     let store = asked.clone();
///     async move { Ok::<_, StoreError>(store.scan_documents("notes", None, 10).await?.len()) }
/// });
/// assert_eq!(notes.next().await?, 0);
///
/// let mut commit = Commit::new();
/// commit.documents.push(DocumentWrite::put("notes", "a", Payload::from_json("1")?));
/// store.commit(commit).await?;
/// assert_eq!(notes.next().await?, 1);
/// # Ok(()) }
/// ```
///
/// # Contract
/// 1. **No gap.** What is committed after an answer was read is seen by the next one, at the latest after the
///    [poll interval](Self::poll_interval): also what is committed while it is read, and what another process commits.
/// 2. **Answers, not changes.** Of several commits in a row only the last one's answer may be given. Two answers that follow one another
///    are different, unless there was an error between them.
/// 3. **Harmless.** Nothing is asked while nobody waits for [`next`](Self::next), so a slow reader costs nothing and misses nothing
///    but answers that do not hold any more. It may be dropped at any time, without losing an answer.
pub struct LiveQuery<T, E> {
    store: Arc<dyn EventStore>,
    query: Query<T, E>,
    poll: Duration,
    pause: Duration,
    /// What was given last, unless that was an error.
    last: Option<T>,
    read: Option<Read>,
}

type Query<T, E> = Box<dyn FnMut() -> BoxFuture<'static, Result<T, E>> + Send>;

/// The last time that the query was asked.
#[derive(Clone, Copy)]
struct Read {
    /// Taken before it was.
    mark: StoreChange,
    ended: Instant,
    failed: bool,
}

impl<T: PartialEq + Clone + Send, E: Send> LiveQuery<T, E> {
    /// How long an answer may be behind what another process commits, unless it is said.
    pub const POLL_INTERVAL: Duration = Duration::from_millis(500);

    /// How long an answer is left alone, unless it is said.
    pub const PAUSE: Duration = Duration::from_millis(20);

    /// Asks `query` of a store. It must be the store that the query reads.
    #[must_use]
    pub fn new<F>(store: Arc<dyn EventStore>, mut query: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        Self {
            store,
            query: Box::new(move || Box::pin(query())),
            poll: Self::POLL_INTERVAL,
            pause: Self::PAUSE,
            last: None,
            read: None,
        }
    }

    /// How often to ask when the store tells of no change: it may not know what other processes commit.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll = interval;
        self
    }

    /// How long to wait after an answer before the query is asked again, however much is committed meanwhile.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// The answer: at once when it is called first, then as soon as it is another one than the one before.
    ///
    /// # Errors
    /// Those of the query. The next call asks again after a poll interval, and gives the answer whatever it is.
    pub async fn next(&mut self) -> Result<T, E> {
        loop {
            if let Some(read) = self.read {
                rest(&*self.store, read, self.poll, self.pause).await;
            }
            // Before the read. Kept only once it is done: who drops this in the middle of it reads again.
            let mark = self.store.change();
            let answer = (self.query)().await;
            self.read = Some(Read {
                mark,
                ended: Instant::now(),
                failed: answer.is_err(),
            });
            match answer {
                Ok(answer) if self.last.as_ref() == Some(&answer) => {}
                Ok(answer) => {
                    self.last = Some(answer.clone());
                    return Ok(answer);
                }
                Err(error) => {
                    self.last = None;
                    return Err(error);
                }
            }
        }
    }

    /// The answers as a stream, which never ends.
    pub fn into_stream(self) -> impl Stream<Item = Result<T, E>> + Send {
        stream::unfold(self, |mut live| async move {
            let answer = live.next().await;
            Some((answer, live))
        })
    }
}

/// Waits until it may be worth asking again.
async fn rest(store: &dyn EventStore, read: Read, poll: Duration, pause: Duration) {
    if read.failed {
        return sleep_until(read.ended + poll).await;
    }
    tokio::select! {
        () = store.changed(read.mark) => sleep_until(read.ended + pause).await,
        () = sleep_until(read.ended + poll) => {}
    }
}

impl<T, E> fmt::Debug for LiveQuery<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveQuery")
            .field("store", &self.store)
            .field("poll", &self.poll)
            .field("pause", &self.pause)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
