//! Reading: a few connections, each in a task of its own, and the queue that they take their work from.
//!
//! Callers that come one by one are served one by one. When more wait than there are connections, a task takes all the
//! small reads that wait and carries them out in one go: the way to SQLite's thread and back costs more than they do.

mod log;
mod points;

use std::{
    collections::VecDeque,
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use sqlx::SqliteConnection;
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
};
use uno_core::StoreError;

use crate::{
    connect,
    core::Core,
    error::{Location, again, closed},
};

pub(crate) use self::{
    log::{read_log, read_stream_as_of},
    points::{Point, Reply},
};

/// How many small reads are carried out together at most.
const MAX_TOGETHER: usize = 64;

/// A read that is carried out alone. Gives back whether the connection is still good.
type Scan = Box<
    dyn for<'c> FnOnce(Result<&'c mut SqliteConnection, StoreError>) -> BoxFuture<'c, bool> + Send,
>;

/// The reads that wait.
pub(crate) struct Readers {
    core: Arc<Core>,
    /// Never held across an await: a read is put in or taken out.
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Default)]
struct Waiting {
    points: VecDeque<Point>,
    scans: VecDeque<Scan>,
    closed: bool,
}

enum Work {
    Points(Vec<Point>),
    Scan(Scan),
}

impl Readers {
    /// Starts the tasks. The first one has `connection` already, so that opening a store tells whether it can be read.
    pub(crate) fn start(
        core: &Arc<Core>,
        connection: SqliteConnection,
    ) -> (Arc<Self>, Vec<JoinHandle<()>>) {
        let readers = Arc::new(Self {
            core: Arc::clone(core),
            waiting: Mutex::default(),
            wake: Notify::new(),
        });
        let mut first = Some(connection);
        let tasks = (0..core.settings.readers).map(|_| {
            let reader = Reader {
                readers: Arc::clone(&readers),
                connection: first.take(),
            };
            tokio::spawn(reader.run())
        });
        let tasks = tasks.collect();
        (readers, tasks)
    }

    /// Carries out a small read, together with others that wait.
    pub(crate) async fn point<T>(
        &self,
        point: impl FnOnce(Reply<T>) -> Point,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.put(|waiting| waiting.points.push_back(point(reply)));
        self.await_answer(answer).await
    }

    /// Carries out a read alone.
    pub(crate) async fn scan<T: Send + 'static>(
        &self,
        read: impl for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, StoreError>>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let scan: Scan = Box::new(move |connection| {
            Box::pin(async move {
                if reply.is_closed() {
                    return true;
                }
                let result = match connection {
                    Ok(connection) => read(connection).await,
                    Err(error) => Err(error),
                };
                let good = result.is_ok();
                // Nobody to tell when the caller has gone away.
                let _gone = reply.send(result);
                good
            })
        });
        self.put(|waiting| waiting.scans.push_back(scan));
        self.await_answer(answer).await
    }

    /// Ends the tasks once what waits is done. Later reads fail.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        // One at a time: each task that ends wakes the next.
        self.wake.notify_one();
    }

    fn put(&self, put: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.lock();
        // What is not put in is dropped, and with it the sender of its answer.
        if !waiting.closed {
            put(&mut waiting);
            drop(waiting);
            self.wake.notify_one();
        }
    }

    async fn await_answer<T>(
        &self,
        answer: oneshot::Receiver<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match answer.await {
            Ok(result) => result,
            Err(_) => Err(closed(&self.core.settings.location)),
        }
    }

    /// The next piece of work; `None` when there will be none.
    async fn take(&self, after_points: bool) -> Option<Work> {
        loop {
            {
                let mut waiting = self.lock();
                // In turn, so that neither kind starves the other.
                let scan_first = after_points || waiting.points.is_empty();
                let work = match scan_first.then(|| waiting.scans.pop_front()).flatten() {
                    Some(scan) => Some(Work::Scan(scan)),
                    None if waiting.points.is_empty() => None,
                    None => {
                        let together = waiting.points.len().min(MAX_TOGETHER);
                        Some(Work::Points(waiting.points.drain(..together).collect()))
                    }
                };
                let more = !waiting.points.is_empty() || !waiting.scans.is_empty();
                if more || waiting.closed {
                    // A wake-up is remembered once only, however many reads were put in.
                    self.wake.notify_one();
                }
                if work.is_some() || waiting.closed {
                    return work;
                }
            }
            self.wake.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.lock();
        f.debug_struct("Readers")
            .field("points", &waiting.points.len())
            .field("scans", &waiting.scans.len())
            .finish_non_exhaustive()
    }
}

/// A task that reads.
struct Reader {
    readers: Arc<Readers>,
    /// Opened when it is first needed, and anew after every failure.
    connection: Option<SqliteConnection>,
}

impl Reader {
    async fn run(mut self) {
        let mut after_points = false;
        while let Some(work) = self.readers.take(after_points).await {
            after_points = matches!(work, Work::Points(_));
            // A panic costs those who wait for this piece of work their answer, and the others nothing.
            if AssertUnwindSafe(self.serve(work))
                .catch_unwind()
                .await
                .is_err()
            {
                tracing::error!("a read of the store panicked");
                self.connection = None;
            }
        }
        if let Some(connection) = self.connection {
            connect::close(connection).await;
        }
    }

    async fn serve(&mut self, work: Work) {
        let location = Location::clone(&self.readers.core.settings.location);
        let good = match (work, self.ready().await) {
            (Work::Points(points), Ok(connection)) => {
                points::carry_out(points, &location, connection).await
            }
            (Work::Points(points), Err(error)) => {
                points
                    .into_iter()
                    .for_each(|point| point.fail(again(&error)));
                true
            }
            (Work::Scan(scan), connection) => scan(connection).await,
        };
        if !good && let Some(connection) = self.connection.take() {
            connect::close(connection).await;
        }
    }

    /// A connection to a store that this code can work with.
    async fn ready(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        let core = &self.readers.core;
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect::reader(&core.settings).await?,
        };
        let connection = self.connection.insert(connection);
        core.check_schema(connection).await?;
        Ok(connection)
    }
}
