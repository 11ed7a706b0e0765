//! [`Trial`]: one case on one fresh store.

use std::{fmt, sync::Arc};

use uno_core::{
    AppendError, BoxError, Commit, CommitError, Direction, DocumentStore as _, EventFilter,
    EventStore, ExpectedVersion, NewEvent, Payload, Position, ReadLog, ReadStream, Receipt,
    RecordedEvent, StoreError, StreamAppend, StreamId, Transactional as _,
};

use super::{BackendHarness, DocumentTrial, Harness, PersistentHarness, TxOf, fixture::event};

/// One case on one fresh store: what a case is given, with short ways to say what most cases do.
pub struct Trial<H: Harness> {
    harness: H,
    store: Arc<H::Store>,
    guard: H::Guard,
}

impl<H: Harness> Trial<H> {
    pub(crate) fn new(harness: H, store: Arc<H::Store>, guard: H::Guard) -> Self {
        Self {
            harness,
            store,
            guard,
        }
    }

    /// The store under test.
    #[must_use]
    pub fn store(&self) -> &Arc<H::Store> {
        &self.store
    }

    /// What opened it.
    #[must_use]
    pub fn harness(&self) -> &H {
        &self.harness
    }

    /// What lives as long as it.
    #[must_use]
    pub fn guard(&self) -> &H::Guard {
        &self.guard
    }

    pub(crate) async fn close(self) {
        drop(self.store);
        self.harness.close(self.guard).await;
    }

    /// Appends to one stream.
    ///
    /// # Errors
    /// As [`EventStore::append`].
    pub async fn append(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: &[NewEvent],
    ) -> Result<Receipt, AppendError> {
        self.append_all(&[(stream, expected, events)]).await
    }

    /// Appends to several streams at once.
    ///
    /// # Errors
    /// As [`EventStore::append`].
    pub async fn append_all(
        &self,
        appends: &[(&StreamId, ExpectedVersion, &[NewEvent])],
    ) -> Result<Receipt, AppendError> {
        let appends = appends
            .iter()
            .map(|(stream, expected, events)| {
                StreamAppend::new((*stream).clone(), *expected, events.to_vec())
            })
            .collect();
        self.store.append(appends).await
    }

    /// Appends events to a stream until one is recorded later than everything before it.
    ///
    /// # Errors
    /// As [`EventStore::append`].
    pub async fn later(&self, stream: &StreamId) -> Result<Arc<RecordedEvent>, BoxError> {
        let newest = ReadLog::before(Position::MAX).limit(1);
        let before = self
            .store
            .read_log(newest.clone())
            .await?
            .into_events()
            .pop();
        for _ in 0..100_000 {
            self.append(stream, ExpectedVersion::Any, &[event()])
                .await?;
            let now = self
                .store
                .read_log(newest.clone())
                .await?
                .into_events()
                .pop()
                .ok_or("the log is empty")?;
            if before
                .as_ref()
                .is_none_or(|before| now.recorded_at() > before.recorded_at())
            {
                return Ok(now);
            }
        }
        Err("the time of recording stands still".into())
    }

    /// A whole stream, read in one go.
    ///
    /// # Errors
    /// As [`EventStore::read_stream`].
    pub async fn stream(&self, stream: &StreamId) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
        self.store
            .read_stream(ReadStream::forward(stream.clone()).limit(usize::MAX))
            .await
    }

    /// The whole log, read in one go.
    ///
    /// # Errors
    /// As [`EventStore::read_log`].
    pub async fn log(&self) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
        self.matching(EventFilter::all()).await
    }

    /// Everything in the log that fits a filter, read in one go.
    ///
    /// # Errors
    /// As [`EventStore::read_log`].
    pub async fn matching(
        &self,
        filter: EventFilter,
    ) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
        let read = ReadLog::after(Position::START)
            .filter(filter)
            .limit(usize::MAX);
        Ok(self.store.read_log(read).await?.into_events())
    }

    /// Everything in the log that fits a filter, read in pages, each from where the one before says it has come.
    ///
    /// # Errors
    /// As [`EventStore::read_log`].
    ///
    /// # Panics
    /// When a page does not come further than the one before.
    pub async fn paged(
        &self,
        filter: &EventFilter,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
        let mut events = Vec::new();
        let mut read = match direction {
            Direction::Forward => ReadLog::after(Position::START),
            Direction::Backward => ReadLog::before(Position::MAX),
        };
        loop {
            let start = read.start();
            let page = self
                .store
                .read_log(read.filter(filter.clone()).limit(limit))
                .await?;
            let Some((scanned, _)) = page.scanned() else {
                assert!(
                    page.events().is_empty(),
                    "a page with events has come somewhere"
                );
                return Ok(events);
            };
            events.extend_from_slice(page.events());
            read = match direction {
                Direction::Forward => {
                    assert!(
                        scanned > start,
                        "a page after {start} has come to {scanned}"
                    );
                    ReadLog::after(scanned)
                }
                Direction::Backward => {
                    assert!(
                        scanned < start,
                        "a page before {start} has come to {scanned}"
                    );
                    ReadLog::before(scanned)
                }
            };
        }
    }
}

impl<H: BackendHarness> Trial<H> {
    /// The same, as cases about documents take it.
    #[must_use]
    pub fn documents(&self) -> DocumentTrial<'_, H> {
        DocumentTrial::new(&self.harness, &self.store, &self.guard)
    }

    /// Carries out a commit that `build` fills.
    ///
    /// # Errors
    /// As [`Transactional::commit`](uno_core::Transactional::commit).
    pub async fn commit(
        &self,
        build: impl FnOnce(&mut Commit<TxOf<H>>) + Send,
    ) -> Result<Receipt, CommitError> {
        let mut commit = Commit::new();
        build(&mut commit);
        self.store.commit(commit).await
    }

    /// The committed value of a row of the caller's own.
    ///
    /// # Errors
    /// As [`BackendHarness::row`].
    pub async fn row(&self, key: &str) -> Result<Option<String>, BoxError> {
        self.harness.row(&self.store, &self.guard, key).await
    }

    /// A document's content.
    ///
    /// # Errors
    /// As [`DocumentStore::load_documents`](uno_core::DocumentStore::load_documents).
    pub async fn document(
        &self,
        collection: &str,
        key: &str,
    ) -> Result<Option<Payload>, StoreError> {
        let found = self
            .store
            .load_documents(collection, &[key.to_owned()])
            .await?;
        Ok(found.first().map(|document| document.body().clone()))
    }
}

impl<H: PersistentHarness> Trial<H> {
    /// The store once more, opened anew.
    ///
    /// # Errors
    /// As [`PersistentHarness::reopen`].
    pub async fn reopen(&self) -> Result<Arc<H::Store>, BoxError> {
        self.harness.reopen(&self.guard).await
    }
}

impl<H: Harness> fmt::Debug for Trial<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
