//! The second tier: everything in one transaction.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Row as _;
use tokio::sync::oneshot;
use uno_core::{
    AppendError, Commit, CommitError, EventId, Payload, Receipt, Snapshot, StoreError, StreamId,
    Transactional,
};

use super::PgStore;
use crate::{
    PgTx, alone, decode,
    exchange::{self, Exchange},
    fault::Fault,
    nesting,
    plain::Plain,
    pool::Session,
    value::PgUuid,
    working,
};

const SNAPSHOT: &str = "SELECT version, event_id, shape, checksum, body FROM {schema}.snapshots WHERE category = $1 AND key = $2";

#[async_trait]
impl Transactional for PgStore {
    type Tx = PgTx;

    async fn commit(&self, commit: Commit<PgTx>) -> Result<Receipt, CommitError> {
        nesting::refuse(&self.shared)?;
        let (plain, work) = Plain::from_commit(commit, self.shared.options.event_limits())?;
        if work.is_empty() {
            return self.commit_plain(plain).await;
        }
        // Held until the commit is done: when this future is dropped the task hears of it.
        let (_here, gone) = oneshot::channel();
        let task = tokio::spawn(working::carry_out(
            Arc::clone(&self.work),
            Arc::clone(&self.shared),
            plain,
            work,
            gone,
        ));
        task.await
            .unwrap_or_else(|_| Err(AppendError::Unknown(Fault::ended().into_source()).into()))
    }

    async fn load_snapshot(&self, stream: &StreamId) -> Result<Option<Snapshot>, StoreError> {
        let stream = stream.clone();
        self.read(move |session| {
            let stream = stream.clone();
            Box::pin(async move { snapshot(session, stream).await })
        })
        .await
    }
}

impl PgStore {
    /// Carries out a commit without work.
    pub(super) async fn commit_plain(&self, plain: Plain) -> Result<Receipt, CommitError> {
        if plain.is_empty() {
            let epoch = self
                .read(|session| Box::pin(async move { Ok(session.ready().await?.epoch) }))
                .await?;
            return Ok(Receipt::new(epoch, None, Vec::new()));
        }
        if self.shared.options.is_grouping() {
            return self.committer.commit(plain).await;
        }
        let permit = self.work.permit().await?;
        let (pool, shared) = (Arc::clone(&self.work), Arc::clone(&self.shared));
        let task = tokio::spawn(async move {
            alone::carry_out(&pool, Some(permit), &shared, &plain, None).await
        });
        task.await
            .unwrap_or_else(|_| Err(AppendError::Unknown(Fault::ended().into_source()).into()))
    }

    /// Runs an exchange that changes nothing.
    pub(super) async fn read<T, F>(&self, exchange: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'s> Fn(&'s mut Session) -> Exchange<'s, T> + Send + Sync + 'static,
    {
        exchange::read(&self.reads, &self.shared.location, exchange).await
    }
}

async fn snapshot(session: &mut Session, stream: StreamId) -> Result<Option<Snapshot>, Fault> {
    session.ready().await?;
    let query = session.shared().sql(SNAPSHOT);
    let query = query.query(session.shared().options.is_prepared());
    let query = query.bind(stream.category().as_str()).bind(stream.key());
    let Some(row) = query.fetch_optional(session.connection()).await? else {
        return Ok(None);
    };
    let version = decode::version(row.try_get(0)?)?;
    let event = EventId::from_uuid(row.try_get::<PgUuid, _>(1)?.0);
    let checksum = row.try_get::<i64, _>(3)?.cast_unsigned();
    let body = Payload::from_stored(row.try_get::<String, _>(4)?);
    Ok(Some(Snapshot::from_stored(
        stream,
        version,
        event,
        row.try_get(2)?,
        checksum,
        body,
    )))
}
