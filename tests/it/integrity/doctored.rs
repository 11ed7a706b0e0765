//! [`Doctored`]: a log as it looks after somebody was at it.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use uno_core::{
    AppendError, EventStore, Head, LogPage, ReadLog, ReadStream, Receipt, RecordedEvent,
    RecordedParts, StoreChange, StoreError, StreamAppend,
};

/// What each event has become; `None`: it is gone.
type Change = Box<dyn Fn(RecordedParts) -> Option<RecordedParts> + Send + Sync>;

/// Gives the events of a store as somebody else has left them.
pub(crate) struct Doctored {
    inner: Arc<dyn EventStore>,
    change: Change,
}

impl Doctored {
    pub(crate) fn new(
        inner: Arc<dyn EventStore>,
        change: impl Fn(RecordedParts) -> Option<RecordedParts> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let change = Box::new(change);
        Arc::new(Self { inner, change })
    }

    fn change(&self, event: &RecordedEvent) -> Option<Arc<RecordedEvent>> {
        let changed = (self.change)(parts(event))?;
        Some(Arc::new(RecordedEvent::from_parts(changed)))
    }
}

/// Everything that an event is made of.
pub(crate) fn parts(event: &RecordedEvent) -> RecordedParts {
    RecordedParts {
        id: event.id(),
        stream: event.stream().clone(),
        version: event.version(),
        position: event.position(),
        name: event.name().clone(),
        schema_version: event.schema_version(),
        payload: event.payload().clone(),
        occurred_at: event.occurred_at(),
        recorded_at: event.recorded_at(),
        metadata: event.metadata().clone(),
        tags: event.tags().to_vec(),
    }
}

#[async_trait]
impl EventStore for Doctored {
    async fn migrate(&self) -> Result<(), StoreError> {
        self.inner.migrate().await
    }

    async fn append(&self, streams: Vec<StreamAppend>) -> Result<Receipt, AppendError> {
        self.inner.append(streams).await
    }

    async fn read_stream(&self, read: ReadStream) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
        let events = self.inner.read_stream(read).await?;
        Ok(events
            .iter()
            .filter_map(|event| self.change(event))
            .collect())
    }

    async fn read_log(&self, read: ReadLog) -> Result<LogPage, StoreError> {
        let page = self.inner.read_log(read).await?;
        let events = page.events().iter();
        let events = events.filter_map(|event| self.change(event)).collect();
        Ok(LogPage::new(events, page.scanned()))
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

impl fmt::Debug for Doctored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doctored").finish_non_exhaustive()
    }
}
