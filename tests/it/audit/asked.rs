//! [`Asked`]: a store that counts the questions about its log.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use uno_core::{
    AppendError, EventStore, Head, LogPage, ReadLog, ReadStream, Receipt, RecordedEvent,
    StoreChange, StoreError, StreamAppend,
};

#[derive(Debug)]
pub(super) struct Asked<S> {
    inner: Arc<S>,
    questions: AtomicUsize,
}

impl<S: EventStore> Asked<S> {
    pub(super) fn of(inner: &Arc<S>) -> Self {
        Self {
            inner: Arc::clone(inner),
            questions: AtomicUsize::new(0),
        }
    }

    pub(super) fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: EventStore> EventStore for Asked<S> {
    async fn migrate(&self) -> Result<(), StoreError> {
        self.inner.migrate().await
    }

    async fn append(&self, streams: Vec<StreamAppend>) -> Result<Receipt, AppendError> {
        self.inner.append(streams).await
    }

    async fn read_stream(&self, read: ReadStream) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
        self.inner.read_stream(read).await
    }

    async fn read_log(&self, read: ReadLog) -> Result<LogPage, StoreError> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        self.inner.read_log(read).await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.inner.head().await
    }

    fn change(&self) -> StoreChange {
        self.inner.change()
    }

    async fn changed(&self, since: StoreChange) {
        self.inner.changed(since).await;
    }
}
