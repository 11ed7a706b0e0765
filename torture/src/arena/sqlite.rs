//! The arena on SQLite: a file of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use sqlx::{
    Connection as _, Row as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use tokio::time::sleep;
use uno_core::{EventStore as _, Work};
use uno_store_sqlite::{SqliteStore, SqliteTx};

use super::Arena;
use crate::{
    campaign::{Grounds, plan::mix},
    ids::IdSpace,
    judge::{
        Verdict,
        process::{self, Log},
    },
    ledger::Ledger,
};

/// The user's own table. No key keeps a row from being there twice: that is for the judge to see.
const ROWS: &str = "CREATE TABLE torture_rows (batch INTEGER NOT NULL)";

const SEEN: &str = "SELECT (SELECT count(*) FROM torture_rows r WHERE r.batch = ?1) = 1 \
    AND (SELECT count(*) FROM uno_events e WHERE e.id = ?2) = 1";

/// Whole commits of which less is there than their event, document, message and process, or more.
const HALVES: &str = "SELECT count(*) FROM (SELECT v.id FROM ( \
    SELECT lower(hex(e.id)) AS id FROM uno_events e WHERE e.category = 'whole' AND e.payload ->> '$.index' = 0 \
    UNION ALL SELECT replace(d.key, '-', '') FROM uno_documents d WHERE d.collection = 'torture' \
    UNION ALL SELECT lower(hex(m.id)) FROM uno_messages m WHERE m.queue = 'torture' \
    UNION ALL SELECT replace(p.key, '-', '') FROM uno_processes p WHERE p.process = 'torture' \
    ) v GROUP BY v.id HAVING count(*) <> 4)";

/// How long another program waits for the right to write: far longer than any commit of ours takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A file of its own.
#[derive(Debug)]
pub struct SqliteArena {
    program: PathBuf,
    folder: PathBuf,
    ledger: Ledger,
}

impl SqliteArena {
    fn file(&self) -> PathBuf {
        file(&self.folder)
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("store.db")
}

impl Arena for SqliteArena {
    type Store = SqliteStore;
    type Outside = SqliteConnection;

    const NAME: &'static str = "sqlite";

    async fn open(grounds: &Grounds, seed: u64, name: &str) -> Result<Arc<Self>> {
        let folder = format!("torture_{}_{name}_sqlite", std::process::id());
        let folder = grounds.folder.join(folder);
        fs::create_dir_all(&folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
        let arena = Self {
            program: grounds.program.clone(),
            ledger: Ledger::create(&folder, IdSpace::new(mix(seed, 1)))?,
            folder,
        };
        let store = SqliteStore::open(arena.file()).await?;
        store.migrate().await.context("failed to migrate")?;
        store.close().await;
        sqlx::raw_sql(ROWS)
            .execute(&mut arena.outside().await?)
            .await?;
        Ok(Arc::new(arena))
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Two, as if two processes used the file: the writers wait for each other within SQLite.
    async fn stores(&self) -> Result<Vec<(&'static str, SqliteStore)>> {
        let open = |readers| SqliteStore::builder().readers(readers).open(self.file());
        Ok(vec![
            ("one reader", open(1).await?),
            ("four readers", open(4).await?),
        ])
    }

    fn row(&self, batch: u64, pause: Duration, fail: bool) -> Work<SqliteTx> {
        Box::new(move |tx: &mut SqliteTx| {
            Box::pin(async move {
                sqlx::query("INSERT INTO torture_rows (batch) VALUES (?1)")
                    .bind(batch.cast_signed())
                    .execute(tx.connection())
                    .await?;
                if !pause.is_zero() {
                    sleep(pause).await;
                }
                if fail {
                    Err("the user thought better of it".into())
                } else {
                    Ok(())
                }
            })
        })
    }

    fn slow(&self, pause: Duration) -> Work<SqliteTx> {
        // SQLite has no pause; a statement before and after one of ours is the same for whoever drops it.
        Box::new(move |tx: &mut SqliteTx| {
            Box::pin(async move {
                sqlx::query("SELECT count(*) FROM uno_events")
                    .execute(tx.connection())
                    .await?;
                sleep(pause).await;
                sqlx::query("SELECT count(*) FROM uno_streams")
                    .execute(tx.connection())
                    .await?;
                Ok(())
            })
        })
    }

    async fn outside(&self) -> Result<SqliteConnection> {
        let options = SqliteConnectOptions::new()
            .filename(self.file())
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(PATIENCE);
        SqliteConnection::connect_with(&options)
            .await
            .context("failed to open the file")
    }

    async fn sees(&self, outside: &mut SqliteConnection, batch: u64) -> Result<bool> {
        let id = self.ledger.space().id(batch, 0).to_be_bytes();
        let query = sqlx::query(SEEN)
            .bind(batch.cast_signed())
            .bind(id.to_vec());
        Ok(query.fetch_one(outside).await?.try_get(0)?)
    }

    /// Another program gets the right to write, so no transaction of a writer is open. (The other store's are short.)
    async fn left_open(&self, outside: &mut SqliteConnection, _store: usize) -> Result<u64> {
        match outside.begin_with("BEGIN IMMEDIATE").await {
            Ok(transaction) => {
                transaction.rollback().await?;
                Ok(0)
            }
            Err(error) if error.as_database_error().is_some() => Ok(1),
            Err(error) => Err(error.into()),
        }
    }

    /// A checkpoint that empties the journal waits for every writer and every reader, so none is left.
    async fn settle(&self, outside: &mut SqliteConnection) -> Result<u64> {
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(outside)
            .await?;
        Ok(row.try_get::<i64, _>(0)?.cast_unsigned())
    }

    async fn halves(&self, outside: &mut SqliteConnection) -> Result<u64> {
        let count: i64 = sqlx::query(HALVES).fetch_one(outside).await?.try_get(0)?;
        Ok(count.cast_unsigned())
    }

    /// With one lock there are none: who can't have it in time is told, and that is an error that nothing explains.
    fn deadlocks(&self) -> u64 {
        0
    }

    async fn judge(&self) -> Result<Verdict> {
        self.ledger.flush()?;
        process::ask(&self.program, &self.folder, Log::Sqlite(self.file()))
            .await
            .context("failed to judge")
    }

    async fn clear_away(&self) -> Result<()> {
        fs::remove_dir_all(&self.folder).context("failed to remove the files of a campaign")
    }
}
