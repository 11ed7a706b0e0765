//! Imports: many events in chunks, each of which commits on its own. See `docs/design/postgres-import.md`.

mod chunk;
mod rows;
mod writer;

use std::{mem, pin::pin, sync::Arc};

use futures_util::{Stream, StreamExt as _};
use tokio::task::JoinHandle;
use uno_core::{AppendError, BoxError, Position, StreamAppend};

use self::{chunk::Chunk, writer::Written};
use super::PgStore;
use crate::{fault::Fault, nesting, plain::Plain};

/// How far an import came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    appends: u64,
    events: u64,
    repeated: u64,
    position: Option<Position>,
}

impl Imported {
    /// How many appends of the source, from its beginning, are in the store: by this import or by an earlier one.
    #[must_use]
    pub fn appends(&self) -> u64 {
        self.appends
    }

    /// How many events this import has stored.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many of the [`appends`](Self::appends) were in the store already.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// The position of the last event that this import has stored, if it has stored any.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    fn add(&mut self, written: &Written) {
        self.appends += written.appends;
        self.events += written.events;
        self.repeated += written.repeated;
        self.position = written.position.or(self.position);
    }
}

/// Why an import stopped. What it had [`imported`](Self::imported) by then is in the store, and nothing after it.
#[derive(Debug, thiserror::Error)]
#[error("the import stopped after {} appends", imported.appends)]
pub struct ImportError {
    imported: Imported,
    #[source]
    cause: ImportFailure,
}

impl ImportError {
    /// How far the import came.
    #[must_use]
    pub fn imported(&self) -> Imported {
        self.imported
    }

    /// Why it stopped.
    #[must_use]
    pub fn cause(&self) -> &ImportFailure {
        &self.cause
    }
}

/// What stopped an import.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportFailure {
    /// The source could not go on.
    #[error("the source of the import failed")]
    Source(#[source] BoxError),
    /// The store did not take an append: the first one that is not counted as imported. After
    /// [`Unknown`](AppendError::Unknown) it is one of the chunk that begins there.
    #[error(transparent)]
    Append(AppendError),
}

impl PgStore {
    /// Appends what a source yields, in its order, many at a time: for bringing in the events of another system.
    ///
    /// An import is a sequence of [`append`](uno_core::EventStore::append)s with the same guarantees, one after the other,
    /// but that those which follow one another are sent and committed in chunks of up to 2,048 events or 4 MiB; no append is
    /// ever divided. Others can read and append meanwhile; readers wait for a chunk's commit, never for the import.
    ///
    /// **Going on.** Run it again with the same events, ids included, after an error, a crash or a dropped future: what is
    /// stored already is left as it is, and the rest follows. So make ids that come out the same again, such as UUIDs
    /// of version 5 over the keys of the other system.
    ///
    /// **Bounds.** Three chunks are in memory: one being read from the source, one on its way, and its copy at the server.
    ///
    /// ```no_run
    /// use futures_util::{StreamExt as _, stream};
    /// use uno_core::StreamAppend;
    /// use uno_store_postgres::PgStore;
    /// # async fn example(store: PgStore, appends: Vec<StreamAppend>) -> Result<(), Box<dyn std::error::Error>> {
    /// let imported = store.import(stream::iter(appends).map(Ok)).await?;
    /// println!("{} events, {} appends were there before", imported.events(), imported.repeated());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the source yields an error, or the store does not take an append, for the reasons for which `append` would not.
    /// All before it is stored, nothing from it on.
    ///
    /// # Cancellation
    /// When the future is dropped, the chunk on its way is carried through, or not at all; nothing follows it.
    pub async fn import<S>(&self, source: S) -> Result<Imported, ImportError>
    where
        S: Stream<Item = Result<StreamAppend, BoxError>> + Send,
    {
        let mut import = Import {
            store: self,
            imported: Imported::default(),
            chunk: Chunk::default(),
            under_way: None,
            careful: true,
        };
        let end = import.run(source).await;
        // What came before the end is stored first, whatever the end is.
        let sent = match import.send().await {
            Ok(()) => import.wait().await,
            Err(error) => Err(error),
        };
        let imported = import.imported;
        let cause = match (sent, end) {
            (Err(error), _) => ImportFailure::Append(error),
            (Ok(()), Err(cause)) => cause,
            (Ok(()), Ok(())) => return Ok(imported),
        };
        Err(ImportError { imported, cause })
    }
}

/// An import under way.
struct Import<'a> {
    store: &'a PgStore,
    imported: Imported,
    chunk: Chunk,
    /// The chunk before, in a task that nobody cancels.
    under_way: Option<JoinHandle<Result<Written, (Written, AppendError)>>>,
    /// Whether to look which events are stored already: at first, and as long as some are.
    careful: bool,
}

impl Import<'_> {
    async fn run<S>(&mut self, source: S) -> Result<(), ImportFailure>
    where
        S: Stream<Item = Result<StreamAppend, BoxError>> + Send,
    {
        nesting::refuse(&self.store.shared).map_err(|error| ImportFailure::Append(error.into()))?;
        let limits = *self.store.shared.options.event_limits();
        let mut source = pin!(source);
        while let Some(append) = source.next().await {
            let append = append.map_err(ImportFailure::Source)?;
            let plain =
                Plain::from_appends(vec![append], &limits).map_err(ImportFailure::Append)?;
            for append in plain.appends {
                if !self.chunk.has_room_for(&append) {
                    self.send().await.map_err(ImportFailure::Append)?;
                }
                self.chunk.push(&append);
            }
        }
        Ok(())
    }

    /// Sends what was gathered, as soon as the chunk before it is stored.
    async fn send(&mut self) -> Result<(), AppendError> {
        self.wait().await?;
        let chunk = mem::take(&mut self.chunk);
        if chunk.is_empty() {
            return Ok(());
        }
        let permit = self.store.work.permit().await?;
        let (pool, careful) = (Arc::clone(&self.store.work), self.careful);
        self.under_way = Some(tokio::spawn(writer::write(pool, permit, chunk, careful)));
        Ok(())
    }

    /// Waits for the chunk on its way.
    async fn wait(&mut self) -> Result<(), AppendError> {
        let Some(task) = self.under_way.take() else {
            return Ok(());
        };
        let written = task.await.unwrap_or_else(|_| {
            Err((
                Written::default(),
                AppendError::Unknown(Fault::ended().into_source()),
            ))
        });
        let (written, result) = match written {
            Ok(written) => (written, Ok(())),
            Err((written, error)) => (written, Err(error)),
        };
        self.imported.add(&written);
        self.careful = written.repeated > 0;
        if result.is_err() {
            // Nothing may follow what was not stored.
            self.chunk = Chunk::default();
        }
        result
    }
}
