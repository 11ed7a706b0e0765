//! The conformance suite on the store in an SQLite file.

mod plans;

use std::sync::Arc;

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use uno_core::{BoxError, EventStore, Work};
use uno_store_sqlite::{SqliteStore, SqliteTx};
use uno_testkit::conformance::{BackendHarness, Harness, PersistentHarness};

/// Opens stores in files of their own, with or without holes between positions.
pub(crate) struct SqliteHarness {
    pub(crate) gaps: Option<u64>,
    pub(crate) readers: usize,
}

impl SqliteHarness {
    async fn open_in(&self, directory: &TempDir) -> Result<SqliteStore, BoxError> {
        let mut builder = SqliteStore::builder().readers(self.readers);
        if let Some(seed) = self.gaps {
            builder = builder.gaps(seed);
        }
        Ok(builder.open(directory.path().join("store.db")).await?)
    }
}

/// Another connection to the file, as another program would have it.
async fn outside(directory: &TempDir) -> Result<SqliteConnection, BoxError> {
    let options = SqliteConnectOptions::new().filename(directory.path().join("store.db"));
    Ok(SqliteConnection::connect_with(&options).await?)
}

impl Harness for SqliteHarness {
    type Store = SqliteStore;
    type Guard = TempDir;

    async fn open(&self) -> Result<(Arc<SqliteStore>, TempDir), BoxError> {
        let directory = tempfile::tempdir()?;
        let store = self.open_in(&directory).await?;
        store.migrate().await?;
        let mut connection = outside(&directory).await?;
        sqlx::query("CREATE TABLE rows (key TEXT PRIMARY KEY, value TEXT)")
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok((Arc::new(store), directory))
    }
}

impl BackendHarness for SqliteHarness {
    const ONE_WRITER: bool = true;

    fn put_row(&self, key: &str, value: &str) -> Work<SqliteTx> {
        let (key, value) = (key.to_owned(), value.to_owned());
        Box::new(|tx| {
            Box::pin(async move {
                sqlx::query("INSERT INTO rows VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value")
                    .bind(key)
                    .bind(value)
                    .execute(tx.connection())
                    .await?;
                Ok(())
            })
        })
    }

    fn copy_row(&self, from: &str, to: &str) -> Work<SqliteTx> {
        let (from, to) = (from.to_owned(), to.to_owned());
        Box::new(|tx| {
            Box::pin(async move {
                let value: String = sqlx::query_scalar("SELECT value FROM rows WHERE key = ?")
                    .bind(from)
                    .fetch_one(tx.connection())
                    .await?;
                sqlx::query("INSERT INTO rows VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value")
                    .bind(to)
                    .bind(value)
                    .execute(tx.connection())
                    .await?;
                Ok(())
            })
        })
    }

    async fn row(
        &self,
        _: &SqliteStore,
        directory: &TempDir,
        key: &str,
    ) -> Result<Option<String>, BoxError> {
        let mut connection = outside(directory).await?;
        let value = sqlx::query_scalar("SELECT value FROM rows WHERE key = ?")
            .bind(key.to_owned())
            .fetch_optional(&mut connection)
            .await?;
        connection.close().await?;
        Ok(value)
    }
}

impl PersistentHarness for SqliteHarness {
    async fn reopen(&self, directory: &TempDir) -> Result<Arc<SqliteStore>, BoxError> {
        Ok(Arc::new(self.open_in(directory).await?))
    }
}

mod plain {
    use super::SqliteHarness;

    uno_testkit::conformance!(
        SqliteHarness {
            gaps: None,
            readers: 4
        },
        persistent
    );
}

mod with_gaps_and_one_reader {
    use super::SqliteHarness;

    uno_testkit::conformance!(
        SqliteHarness {
            gaps: Some(7),
            readers: 1
        },
        persistent
    );
}
