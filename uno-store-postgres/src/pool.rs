//! The store's own small pool of connections.
//!
//! It differs from the driver's in what matters here: it asks a connection nothing when it is taken or given back, and it
//! keeps none that was not given back in order. A connection that is dropped in the middle of an exchange is closed.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use uno_core::StoreError;

use crate::{fault::Fault, probe::Meta, shared::Shared};

/// After how long without use a connection is asked whether it is still there.
const ASK_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct Pool {
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
    idle: Mutex<VecDeque<Idle>>,
}

struct Idle {
    connection: PgConnection,
    meta: Option<Meta>,
    process: Option<ServerProcess>,
    since: Instant,
}

/// A process on the server. Its number may be given to another once it has ended, so there is the time of its begin, too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerProcess {
    pub(crate) id: i32,
    pub(crate) begun: i64,
}

/// A connection out of a pool. Unless it is [given back](Session::give_back) it is closed when dropped.
pub(crate) struct Session {
    connection: PgConnection,
    meta: Option<Meta>,
    process: Option<ServerProcess>,
    reused: bool,
    broken: bool,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(shared: Arc<Shared>, size: u32) -> Arc<Self> {
        Arc::new(Self {
            shared,
            permits: Arc::new(Semaphore::new(size as usize)),
            idle: Mutex::default(),
        })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Waits for a connection to become free. Cancelling is safe: nothing was begun.
    pub(crate) async fn permit(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        match timeout(self.shared.options.answer_within(), permit).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(StoreError::Unavailable {
                location: self.shared.location.clone(),
                source: "no connection of the pool became free in time".into(),
            }),
        }
    }

    /// A connection for a permit. To be called where nothing cancels it.
    pub(crate) async fn session(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Session, Fault> {
        // The newest first, so that under light load few are used and the others can be noticed to be dead.
        let kept = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_back();
        let kept = match kept {
            Some(mut kept) if kept.since.elapsed() > ASK_AFTER => {
                match timeout(self.shared.options.answer_within(), kept.connection.ping()).await {
                    Ok(Ok(())) => Some(kept),
                    Ok(Err(_)) | Err(_) => {
                        // The server was restarted, or the link cut: the others are as old or older.
                        self.idle
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .clear();
                        None
                    }
                }
            }
            kept => kept,
        };
        let (connection, meta, process, reused) = match kept {
            Some(kept) => (kept.connection, kept.meta, kept.process, true),
            None => {
                let options = self.shared.connect_options();
                let connection = timeout(self.shared.options.answer_within(), options.connect());
                (
                    connection.await.map_err(|_| Fault::late())??,
                    None,
                    None,
                    false,
                )
            }
        };
        Ok(Session {
            connection,
            meta,
            process,
            reused,
            broken: false,
            pool: Arc::clone(self),
            _permit: permit,
        })
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("free", &self.permits.available_permits())
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.pool.shared
    }

    /// Whether it was used before, so that the server may have ended it meanwhile.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    pub(crate) fn meta(&self) -> Option<Meta> {
        self.meta
    }

    pub(crate) fn set_meta(&mut self, meta: Meta) {
        self.meta = Some(meta);
    }

    /// The process on the server that serves this session alone, if there is one.
    pub(crate) fn server_process(&self) -> Option<ServerProcess> {
        self.process
    }

    pub(crate) fn set_server_process(&mut self, process: ServerProcess) {
        self.process = Some(process);
    }

    /// Marks the connection as not to be used again.
    pub(crate) fn set_broken(&mut self) {
        self.broken = true;
    }

    /// Puts the connection back, unless it is broken. Only for one that is outside any transaction and waits for the next
    /// query.
    pub(crate) fn give_back(self) {
        let Self {
            connection,
            meta,
            process,
            pool,
            broken,
            ..
        } = self;
        if broken {
            return;
        }
        let idle = Idle {
            connection,
            meta,
            process,
            since: Instant::now(),
        };
        pool.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(idle);
        // The permit goes last, when the connection is there to be taken.
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("reused", &self.reused)
            .finish_non_exhaustive()
    }
}
