//! The first tier: append and read.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use tokio::sync::oneshot;
use uno_core::{
    AppendError, Commit, CommitError, Direction, EventId, EventStore, Head, LogPage, Position,
    ReadLog, ReadStream, Receipt, RecordedEvent, StoreChange, StoreEpoch, StoreError, StreamAppend,
};

use super::SqliteStore;
use crate::{
    error::{Location, closed, corrupt, store_error},
    reader::{Point, read_log, read_stream_as_of},
    row::{self, column},
    writer::Job,
};

const HEAD: &str = "SELECT m.epoch, e.position, e.id FROM uno_meta m \
     LEFT JOIN (SELECT position, id FROM uno_events ORDER BY position DESC LIMIT 1) e";

#[async_trait]
impl EventStore for SqliteStore {
    /// All in one transaction; dropped, it is carried out all the same.
    async fn migrate(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.writer()?.send(Job::Migrate(reply)).await;
        match (sent, answer.await) {
            (Ok(()), Ok(result)) => result,
            _ => Err(closed(&self.core().settings.location)),
        }
    }

    async fn append(&self, streams: Vec<StreamAppend>) -> Result<Receipt, AppendError> {
        let mut commit = Commit::new();
        commit.appends = streams;
        match self.submit(commit).await {
            Ok(receipt) => Ok(receipt),
            Err(CommitError::Append(error)) => Err(error),
            // A commit of nothing but events has nothing else that can fail.
            Err(other) => Err(AppendError::Store(StoreError::Backend(other.into()))),
        }
    }

    async fn read_stream(&self, read: ReadStream) -> Result<Vec<Arc<RecordedEvent>>, StoreError> {
        let events = if read.direction() == Direction::Forward && read.moment().is_none() {
            let point = self.readers().point(|reply| Point::Stream(read, reply));
            point.await?
        } else {
            let location = self.core().settings.location.clone();
            let read = self
                .readers()
                .scan(move |connection| Box::pin(read_stream_as_of(read, location, connection)));
            read.await?
        };
        for event in [events.first(), events.last()].into_iter().flatten() {
            self.core().tail.show(event.position());
        }
        Ok(events)
    }

    async fn read_log(&self, read: ReadLog) -> Result<LogPage, StoreError> {
        if let Some(page) = self.core().tail.page(&read) {
            return Ok(page);
        }
        let location = self.core().settings.location.clone();
        let read = self
            .readers()
            .scan(move |connection| Box::pin(read_log(read, location, connection)));
        let page = read.await?;
        if let Some((scanned, _)) = page.scanned() {
            self.core().tail.show(scanned);
        }
        Ok(page)
    }

    async fn head(&self) -> Result<Head, StoreError> {
        let location = self.core().settings.location.clone();
        let read = self
            .readers()
            .scan(move |connection| Box::pin(read_head(location, connection)));
        let head = read.await?;
        self.core().tail.show(head.position());
        Ok(head)
    }

    fn change(&self) -> StoreChange {
        StoreChange::new(*self.core().changes.borrow())
    }

    async fn changed(&self, since: StoreChange) {
        let mut changes = self.core().changes.subscribe();
        let _waiting = self.core().waiters.enter();
        // Fails only when the sender is gone, and `self` holds it.
        let _told = changes.wait_for(|number| *number > since.get()).await;
    }
}

async fn read_head(
    location: Location,
    connection: &mut SqliteConnection,
) -> Result<Head, StoreError> {
    let row = sqlx::query(HEAD).fetch_one(connection).await;
    let row = row.map_err(|error| store_error(&location, error))?;
    let fault = || corrupt("the head of the log");
    let epoch = row::uuid(column(&row, 0)?).ok_or_else(fault)?;
    let last = match column::<Option<i64>>(&row, 1)? {
        None => None,
        Some(position) => {
            let position = Position::try_from(position).map_err(|_| fault())?;
            let id = row::uuid(column(&row, 2)?).ok_or_else(fault)?;
            Some((position, EventId::from_uuid(id)))
        }
    };
    Ok(Head::new(StoreEpoch::from_uuid(epoch), last))
}
