//! [`Ledger`]: a consumer that writes what it handles into a table, in the transaction of its checkpoint, or as a control demands.

use std::{fmt, sync::Arc, time::Duration};

use anyhow::Result;
use async_trait::async_trait;
use fastrand::Rng;
use tokio::time::sleep;
use uno::{
    PgStore, SqliteStore,
    events::{Batch, ConsumeError, Consumer},
    testkit::faults::FaultStore,
};
use uno_core::{
    Backend, BoxError, CheckpointStore as _, CheckpointWrite, Commit, EventFilter, Fence,
    LeaseStore as _, Position, RecordedEvent, Transactional as _, Work,
};
use uno_store_postgres::PgTx;
use uno_store_sqlite::SqliteTx;

use super::{Control, LEDGER, appending::Entry, poison::Attempts};

/// Feeds the table.
pub(crate) struct Ledger<B> {
    store: Arc<FaultStore<B>>,
    attempts: Attempts,
    control: Option<Control>,
}

/// What is written of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) entry: Entry,
    pub(crate) id: u128,
    pub(crate) position: u64,
    /// Under which lease it was written.
    pub(crate) stamp: Stamp,
    pub(crate) process: u32,
}

/// A lane, and how often it was taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp {
    pub(crate) lane: u64,
    pub(crate) fence: u64,
}

impl Stamp {
    /// That of a move of the checkpoint.
    fn of(write: &CheckpointWrite) -> Self {
        Self {
            lane: write.of_lane().get().into(),
            fence: write.fence().map_or(0, Fence::get),
        }
    }
}

impl<B: Books> Ledger<B> {
    pub(crate) fn new(
        store: Arc<FaultStore<B>>,
        attempts: Attempts,
        control: Option<Control>,
    ) -> Self {
        Self {
            store,
            attempts,
            control,
        }
    }

    /// The same move with the place and the fence that the lane has now, as if nobody had taken it.
    async fn forged(&self, write: CheckpointWrite) -> Result<CheckpointWrite, ConsumeError> {
        let lanes = self.store.list_lanes(write.subscription()).await?;
        let Some(lane) = lanes.iter().find(|lane| lane.lane() == write.of_lane()) else {
            return Ok(write);
        };
        let expected = lane.checkpoint().map(|checkpoint| checkpoint.position());
        let name = write.subscription().clone();
        Ok(CheckpointWrite::new(name, expected, write.checkpoint())
            .fenced(lane.lane(), lane.fence()))
    }

    async fn handle(&self, events: &[Arc<RecordedEvent>], stamp: Stamp) -> Handled {
        let mut rows = Vec::with_capacity(events.len());
        for event in events {
            let failed = |error: anyhow::Error| (event.position(), error.into());
            let entry = Entry::read(event).map_err(failed)?;
            self.attempts
                .handle(LEDGER, entry, events.len())
                .await
                .map_err(failed)?;
            rows.push(Row {
                entry,
                id: event.id().as_uuid().as_u128(),
                position: event.position().get(),
                stamp,
                process: std::process::id(),
            });
        }
        Ok(rows)
    }
}

/// The rows, or which event failed, and how.
type Handled = Result<Vec<Row>, (Position, BoxError)>;

#[async_trait]
impl<B: Books> Consumer for Ledger<B> {
    fn filter(&self) -> EventFilter {
        EventFilter::all()
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        let (events, mut write) = batch.into_parts();
        let rows = self
            .handle(&events, Stamp::of(&write))
            .await
            .map_err(|(position, source)| ConsumeError::Handler { position, source })?;
        // Now and then somebody takes long between what he knows and what he does; without a fence always, so that it is missed.
        let mut rng = Rng::new();
        let pause = match self.control {
            Some(Control::Unfenced) => rng.u64(50..250),
            _ if rng.u8(..4) == 0 => rng.u64(..25),
            _ => 0,
        };
        sleep(Duration::from_millis(pause)).await;
        let mut commit = Commit::new();
        commit.work.push(B::note(rows));
        match self.control {
            None | Some(Control::CountedAfter) => commit.checkpoints.push(write),
            Some(Control::Unfenced) => {
                write = self.forged(write).await?;
                commit.checkpoints.push(write);
            }
            Some(Control::OutsideTransaction) => {
                self.store.commit(commit).await?;
                return Ok(self.store.save_checkpoint(write).await?);
            }
        }
        self.store.commit(commit).await?;
        Ok(())
    }
}

impl<B> fmt::Debug for Ledger<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}

/// A store in whose transactions the table can be written.
pub(crate) trait Books: Backend {
    /// Writes rows. No key keeps one from being there twice: that is for the judge to see.
    fn note(rows: Vec<Row>) -> Work<Self::Tx>;
}

pub(crate) const TABLE_PG: &str = "CREATE TABLE {s}.torture_ledger (n bigint GENERATED ALWAYS AS IDENTITY, key bigint NOT NULL, \
    seq bigint NOT NULL, event text NOT NULL, position bigint NOT NULL, lane bigint NOT NULL, fence bigint NOT NULL, process bigint NOT NULL)";
pub(crate) const TABLE_LITE: &str = "CREATE TABLE torture_ledger (n INTEGER PRIMARY KEY AUTOINCREMENT, key INTEGER NOT NULL, \
    seq INTEGER NOT NULL, event TEXT NOT NULL, position INTEGER NOT NULL, lane INTEGER NOT NULL, fence INTEGER NOT NULL, process INTEGER NOT NULL)";

macro_rules! insert {
    ($statement:expr, $row:expr) => {
        sqlx::query($statement)
            .bind($row.entry.key.cast_signed())
            .bind($row.entry.seq.cast_signed())
            .bind(format!("{:032x}", $row.id))
            .bind($row.position.cast_signed())
            .bind($row.stamp.lane.cast_signed())
            .bind($row.stamp.fence.cast_signed())
            .bind(i64::from($row.process))
    };
}

impl Books for PgStore {
    fn note(rows: Vec<Row>) -> Work<PgTx> {
        Box::new(|tx: &mut PgTx| {
            Box::pin(async move {
                let statement = format!(
                    "INSERT INTO {}.torture_ledger (key, seq, event, position, lane, fence, process) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                    tx.schema()
                );
                for row in rows {
                    let statement = sqlx::AssertSqlSafe(statement.clone());
                    insert!(statement, row).execute(tx.connection()).await?;
                }
                Ok(())
            })
        })
    }
}

impl Books for SqliteStore {
    fn note(rows: Vec<Row>) -> Work<SqliteTx> {
        Box::new(|tx: &mut SqliteTx| {
            Box::pin(async move {
                for row in rows {
                    let statement = "INSERT INTO torture_ledger (key, seq, event, position, lane, fence, process) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
                    insert!(statement, row).execute(tx.connection()).await?;
                }
                Ok(())
            })
        })
    }
}
