//! [`SqliteStore`]: a handle on the tasks that do the work.

mod checkpoints;
mod documents;
mod events;
mod inbox;
mod lanes;
mod parking;
mod processes;
mod timers;
mod transactional;

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::BoxFuture;
use sqlx::{
    Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use uno_core::{AppendError, Commit, CommitError, Receipt, StoreError};

use crate::{
    SqliteStoreBuilder, SqliteTx, connect,
    core::Core,
    error::{closed, store_error},
    hints,
    reader::Readers,
    settings::{Access, Settings},
    tx::refuse_nested,
    writer::{Change, CommitJob, Hint, Job, Plain, QUEUE, Writer},
};

/// A store in a file. A clone is the same store.
///
/// It implements every port of `uno-core`, so it is a [`Backend`](uno_core::Backend).
///
/// Its tasks run on the tokio runtime that it was opened in. They end when the last clone is dropped, after what was asked for is
/// done; [`close`](Self::close) waits for that. Once the runtime has stopped, every call fails.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    core: Arc<Core>,
    readers: Arc<Readers>,
    /// `None` for a store that is only read.
    writer: Option<mpsc::Sender<Job>>,
    /// The tasks that read, until somebody waits for their end.
    reading: Mutex<Vec<JoinHandle<()>>>,
    /// The task that writes, if there is one, until somebody waits for its end.
    writing: Mutex<Vec<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens the store in this file, and creates the file if there is none. Migrates nothing: call
    /// [`migrate`](uno_core::EventStore::migrate), or every other call fails as
    /// [`NotMigrated`](StoreError::NotMigrated) until somebody does.
    ///
    /// # Errors
    /// As [`SqliteStoreBuilder::open`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder().open(path).await
    }

    /// Starts a store with settings of your choice.
    pub fn builder() -> SqliteStoreBuilder {
        SqliteStoreBuilder::default()
    }

    pub(crate) async fn open_with(settings: Settings) -> Result<Self, StoreError> {
        let writing = match settings.access {
            // Before the others: it creates the file.
            Access::ReadWrite => Some(connect::writer(&settings).await?),
            Access::ReadOnly => None,
        };
        let reading = connect::reader(&settings).await?;
        let watching = connect::reader(&settings).await?;
        let core = Arc::new(Core::new(settings));
        let (readers, mut reading) = Readers::start(&core, reading);
        reading.push(tokio::spawn(hints::watch(Arc::clone(&core), watching)));
        let (writer, writing) = writing
            .map(|connection| {
                let (sender, jobs) = mpsc::channel(QUEUE);
                (
                    sender,
                    tokio::spawn(Writer::new(Arc::clone(&core), jobs, connection).run()),
                )
            })
            .unzip();
        let shared = Shared {
            core,
            readers,
            writer,
            reading: Mutex::new(reading),
            writing: Mutex::new(writing.into_iter().collect()),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Closes the store for all its clones: what was asked for is done, and every later call fails as
    /// [`Unavailable`](StoreError::Unavailable). When this returns, the file is closed.
    ///
    /// Dropped before its end, what was accepted is still done, but when the file is closed is not told.
    pub async fn close(&self) {
        self.shared.close();
        wait_for(&self.shared.reading).await;
        if let Some(writer) = &self.shared.writer {
            // Fails only when the writer has ended already.
            let _ended = writer.send(Job::Close).await;
        }
        // Last of all, so that its connection finds nobody else and SQLite tidies up behind it.
        wait_for(&self.shared.writing).await;
    }

    fn core(&self) -> &Core {
        &self.shared.core
    }

    fn readers(&self) -> &Readers {
        &self.shared.readers
    }

    /// Where jobs for the writer go, unless nothing may be written now.
    fn writer(&self) -> Result<&mpsc::Sender<Job>, StoreError> {
        let location = &self.core().settings.location;
        refuse_nested(location)?;
        self.shared
            .writer
            .as_ref()
            .ok_or_else(|| StoreError::ReadOnly {
                location: location.to_string(),
            })
    }

    /// Has a commit that was checked carried out.
    ///
    /// It is not accepted before the queue has room for it; dropped until then, nothing happens. From then on it is carried out
    /// whether or not somebody waits for it.
    async fn submit(&self, commit: Commit<SqliteTx>) -> Result<Receipt, CommitError> {
        let writer = self.writer()?;
        self.core()
            .settings
            .limits
            .check_commit(&commit)
            .map_err(AppendError::Refused)?;
        let (work, plain) = Plain::split(commit);
        let (reply, answer) = oneshot::channel();
        let job = Job::Commit(Box::new(CommitJob { work, plain, reply }));
        if writer.send(job).await.is_err() {
            return Err(closed(&self.core().settings.location).into());
        }
        match answer.await {
            Ok(result) => result,
            Err(_) => Err(AppendError::Unknown(
                "the store stopped while it carried this out".into(),
            )
            .into()),
        }
    }
}

impl SqliteStore {
    /// Has a change that is no commit carried out. As with a commit, once it is accepted it is carried out whether or not somebody
    /// waits for it, unless nobody does before it begins.
    async fn change<T: Send + 'static>(
        &self,
        hint: Hint,
        act: impl for<'c> FnOnce(
            &'c mut SqliteConnection,
            &'c Core,
        ) -> BoxFuture<'c, Result<T, StoreError>>
        + Send
        + 'static,
    ) -> Result<T, StoreError> {
        let writer = self.writer()?;
        let (reply, answer) = oneshot::channel();
        let sent = writer
            .send(Job::Change(Change::new(hint, act, reply)))
            .await;
        match (sent, answer.await) {
            (Ok(()), Ok(result)) => result,
            _ => Err(closed(&self.core().settings.location)),
        }
    }

    /// Reads rows by a statement, alone.
    async fn rows<T: Send + 'static>(
        &self,
        query: Query<'static, Sqlite, SqliteArguments>,
        read: impl FnOnce(Vec<SqliteRow>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let location = self.core().settings.location.clone();
        let found = self.readers().scan(move |connection| {
            Box::pin(async move {
                let rows = query.fetch_all(connection).await;
                read(rows.map_err(|error| store_error(&location, error))?)
            })
        });
        found.await
    }
}

async fn wait_for(tasks: &Mutex<Vec<JoinHandle<()>>>) {
    let tasks = std::mem::take(&mut *tasks.lock().unwrap_or_else(PoisonError::into_inner));
    for task in tasks {
        if let Err(error) = task.await {
            tracing::error!(%error, "a task of the store did not end in order");
        }
    }
}

impl Shared {
    /// Tells the tasks to end, but for the writer: it ends when nobody can ask it for anything any more.
    fn close(&self) {
        self.readers.close();
        self.core.tail.close();
        self.core.waiters.close();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("location", &self.core().settings.location)
            .field("readers", &self.shared.readers)
            .finish_non_exhaustive()
    }
}
