//! The conformance suite on the store in Postgres, and what needs Postgres and other crates together.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are tests too: one that panics has failed"
)]

mod pgbouncer;
mod plans;
mod poller;
mod pooled;
mod restore;

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use uno_core::{BoxError, EventId, EventStore as _, Work};
use uno_store_postgres::{PgOptions, PgStore, PgTx, SchemaName};
use uno_testkit::conformance::{BackendHarness, Harness, PersistentHarness};

/// Opens stores in schemas of their own.
pub(crate) struct PgHarness {
    url: fn() -> String,
    options: fn(PgOptions) -> PgOptions,
}

impl PgHarness {
    /// As it is used.
    pub(crate) fn plain() -> Self {
        Self {
            url: database_url,
            options: |options| options,
        }
    }

    /// With one connection for everything.
    pub(crate) fn with_one_connection() -> Self {
        Self {
            options: |options| options.max_connections(1),
            ..Self::plain()
        }
    }
}

/// The schema of a store; its table of rows is named `rows`.
pub(crate) struct Schema {
    pub(crate) name: String,
    options: PgOptions,
}

impl Schema {
    fn options_schema(&self) -> SchemaName {
        SchemaName::new(self.name.as_str()).unwrap()
    }
}

pub(crate) fn database_url() -> String {
    std::env::var("DATABASE_URL")
        .expect("DATABASE_URL must name a Postgres database that the tests may use")
}

impl Harness for PgHarness {
    type Store = PgStore;
    type Guard = Schema;

    async fn open(&self) -> Result<(Arc<PgStore>, Schema), BoxError> {
        let name = format!("c_{}", EventId::new().as_uuid().simple());
        let options = PgOptions::from_url(&(self.url)())?.schema(SchemaName::new(name.as_str())?);
        let options = (self.options)(options);
        let store = PgStore::new(options.clone());
        store.migrate().await?;
        let mut connection = PgConnection::connect(&database_url()).await?;
        let table = format!("CREATE TABLE {name}.rows (key text PRIMARY KEY, value text NOT NULL)");
        sqlx::query(AssertSqlSafe(table))
            .execute(&mut connection)
            .await?;
        Ok((Arc::new(store), Schema { name, options }))
    }

    async fn close(&self, schema: Schema) {
        let mut connection = PgConnection::connect(&database_url()).await.unwrap();
        let drop = format!("DROP SCHEMA {} CASCADE", schema.name);
        // The server may still be at a question whose asker was dropped, and have locks that it took in another order.
        while let Err(error) = sqlx::query(AssertSqlSafe(drop.clone()))
            .execute(&mut connection)
            .await
        {
            let code = error.as_database_error().and_then(|error| error.code());
            assert_eq!(code.as_deref(), Some("40P01"), "{error}");
        }
    }
}

impl BackendHarness for PgHarness {
    const ONE_WRITER: bool = false;

    fn put_row(&self, key: &str, value: &str) -> Work<PgTx> {
        let (key, value) = (key.to_owned(), value.to_owned());
        Box::new(|tx| Box::pin(async move { put(tx, &key, &value).await }))
    }

    fn copy_row(&self, from: &str, to: &str) -> Work<PgTx> {
        let (from, to) = (from.to_owned(), to.to_owned());
        Box::new(|tx| {
            Box::pin(async move {
                let row = format!("SELECT value FROM {}.rows WHERE key = $1", tx.schema());
                let row = sqlx::query(AssertSqlSafe(row)).bind(from);
                let value: String = row.fetch_one(tx.connection()).await?.get(0);
                put(tx, &to, &value).await
            })
        })
    }

    async fn row(
        &self,
        _: &PgStore,
        schema: &Schema,
        key: &str,
    ) -> Result<Option<String>, BoxError> {
        let mut connection = PgConnection::connect(&database_url()).await?;
        let row = format!("SELECT value FROM {}.rows WHERE key = $1", schema.name);
        let row = sqlx::query(AssertSqlSafe(row))
            .bind(key)
            .fetch_optional(&mut connection)
            .await?;
        Ok(row.map(|row| row.get(0)))
    }
}

impl PersistentHarness for PgHarness {
    async fn reopen(&self, schema: &Schema) -> Result<Arc<PgStore>, BoxError> {
        Ok(Arc::new(PgStore::new(schema.options.clone())))
    }
}

async fn put(tx: &mut PgTx, key: &str, value: &str) -> Result<(), BoxError> {
    let put = format!(
        "INSERT INTO {}.rows VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        tx.schema()
    );
    let put = sqlx::query(AssertSqlSafe(put)).bind(key).bind(value);
    put.execute(tx.connection()).await?;
    Ok(())
}

/// As it is used.
mod plain {
    use super::PgHarness;

    uno_testkit::conformance!(PgHarness::plain(), persistent);
}

/// With so few connections that nothing may wait for another one while it holds its own.
mod two_connections {
    use super::{PgHarness, database_url};

    uno_testkit::conformance!(PgHarness {
        url: database_url,
        options: |options| options.max_connections(2)
    });
}

/// Work of the caller's own keeps the one connection, and whoever reads meanwhile waits, so what happens at the same time has tests of
/// its own.
mod one_connection {
    use super::PgHarness;

    uno_testkit::conformance!(PgHarness::with_one_connection(), subscriptions);
}

/// Each commit by itself.
mod one_each {
    use super::{PgHarness, database_url};

    uno_testkit::conformance!(
        PgHarness {
            url: database_url,
            options: |options| options.without_grouping()
        },
        subscriptions
    );
}

/// Behind a real pooler in transaction mode, which gives every transaction another connection to the server.
mod behind_pgbouncer {
    use super::{PgHarness, pgbouncer};

    uno_testkit::conformance!(PgHarness {
        url: || pgbouncer::pooler_url().to_owned(),
        options: |options| options.for_transaction_pooler()
    });
}
