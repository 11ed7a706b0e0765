//! The first tier: append and read.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use uno_core::{
    AppendError, CommitError, EventStore, Head, LogPage, ReadLog, ReadStream, Receipt,
    RecordedEvent, StoreChange, StoreError, StreamAppend,
};

use super::PgStore;
use crate::{
    fault::Fault,
    hints, migrate, nesting,
    plain::Plain,
    reader::{self, Order},
};

#[async_trait]
impl EventStore for PgStore {
    async fn migrate(&self) -> Result<(), StoreError> {
        let permit = self.reads.permit().await?;
        let pool = Arc::clone(&self.reads);
        // In a task of its own, so that the caller's going away leaves no half-done transaction behind.
        let task = tokio::spawn(async move {
            let mut session = pool.session(permit).await?;
            let result = migrate::migrate(&mut session).await;
            if result.as_ref().err().is_none_or(Fault::keeps_connection) {
                session.give_back();
            }
            result
        });
        let result = task.await.unwrap_or_else(|_| Err(Fault::ended()));
        result.map_err(|fault| fault.into_store_error(&self.shared.location))
    }

    async fn append(&self, streams: Vec<StreamAppend>) -> Result<Receipt, AppendError> {
        nesting::refuse(&self.shared)?;
        let plain = Plain::from_appends(streams, self.shared.options.event_limits())?;
        match self.commit_plain(plain).await {
            Ok(receipt) => Ok(receipt),
            Err(CommitError::Append(error)) => Err(error),
            // There is nothing in it that could be stale, and no work.
            Err(other) => Err(AppendError::Store(StoreError::Backend(other.into()))),
        }
    }

    async fn read_stream(&self, read: ReadStream) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
        self.read(move |session| {
            let read = read.clone();
            Box::pin(async move { reader::read_stream(session, &read).await })
        })
        .await
    }

    async fn read_log(&self, read: ReadLog) -> Result<LogPage, StoreError> {
        reader::see_own(&self.reads, &self.shared, Order::Log, move |session| {
            let read = read.clone();
            Box::pin(async move { reader::read_log(session, &read).await })
        })
        .await
    }

    async fn head(&self) -> Result<Head, StoreError> {
        reader::see_own(&self.reads, &self.shared, Order::Log, |session| {
            Box::pin(reader::head(session))
        })
        .await
    }

    fn change(&self) -> StoreChange {
        StoreChange::new(*self.shared.changes().borrow())
    }

    async fn changed(&self, since: StoreChange) {
        hints::listen(&self.shared);
        let mut changes: watch::Receiver<u64> = self.shared.changes();
        // The sender lives as long as the store, which is borrowed; if it were gone there would be nothing to wait for.
        let _ = changes.wait_for(|count| *count > since.get()).await;
    }
}
