//! Read models that live in another database than the log, and such as are tables of one's own.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Row as _};
use uno_core::{Backend, BoxError, Decoder, Envelope};
use uno_cqrs::{Generation, Projection, ReadModel, Serving, ServingError, VersionedProjection};
use uno_events::{RetryPolicy, SubscriptionManager};
use uno_store_postgres::{PgStore, PgTx};
use uno_store_sqlite::{SqliteStore, SqliteTx};
use uno_testkit::conformance::Harness;

use super::{
    poison::{self, Mendable},
    tally::{Process, events, folded, stored},
};
use crate::support::{account::AccountEvent, log, rest::in_time};

fn sqlite() -> crate::sqlite::SqliteHarness {
    crate::sqlite::SqliteHarness {
        gaps: Some(7),
        readers: 2,
    }
}

/// Documents of one store, of the log of another: projected, killed, rebuilt and swapped.
async fn documents_apart<L: Backend, R: Backend>(log: &Arc<L>, rows: &Arc<R>) {
    events(&**log, 120).await;
    let Process { model, manager } = Process::<R, 1>::apart(Arc::clone(log) as _, rows);
    model.start().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    assert_eq!(
        stored(&**rows, Generation::FIRST).await,
        folded(&**log, 1).await
    );
    events(&**log, 30).await;
    let model = model.rebuild_batch(50);
    let switched = in_time(model.rebuild()).await.unwrap();
    events(&**log, 30).await;
    in_time(manager.until_idle()).await.unwrap();
    for generation in [switched.from(), switched.to()] {
        assert_eq!(stored(&**rows, generation).await, folded(&**log, 1).await);
    }
    let own = log.head().await.unwrap();
    let receipt = uno_core::Receipt::new(own.epoch(), Some(own.position()), Vec::new());
    in_time(model.wait_for(&receipt, Duration::from_secs(60)))
        .await
        .unwrap();
    manager.stop_all().await;
    assert!(
        stored(&**log, Generation::FIRST).await.is_empty(),
        "nothing is beside the log"
    );
}

#[tokio::test]
async fn log_in_postgres_and_read_model_in_sqlite_and_the_reverse() {
    let (pg, lite) = (crate::postgres::PgHarness::plain(), sqlite());
    let (postgres, schema) = pg.open().await.unwrap();
    let (file, folder) = lite.open().await.unwrap();
    documents_apart(&postgres, &file).await;
    let (other, other_folder) = lite.open().await.unwrap();
    let (target, target_schema) = pg.open().await.unwrap();
    documents_apart(&other, &target).await;
    drop((postgres, file, other, target));
    pg.close(schema).await;
    pg.close(target_schema).await;
    lite.close(folder).await;
    lite.close(other_folder).await;
}

/// Cents by account, in a table whose name says the generation.
#[derive(Debug)]
struct Cents {
    table: String,
    mendable: Mendable,
}

impl Cents {
    fn new(mendable: &Mendable) -> Self {
        Self {
            table: "cents".to_owned(),
            mendable: mendable.clone(),
        }
    }

    fn upsert(
        &self,
        event: &Envelope<AccountEvent>,
        number: [&str; 2],
    ) -> Result<(String, String, i64), BoxError> {
        let cents = self.mendable.cents(event.event())?;
        let (table, [one, two]) = (&self.table, number);
        let sql = format!(
            "INSERT INTO {table} (account, cents) VALUES ({one}, {two}) \
             ON CONFLICT (account) DO UPDATE SET cents = {table}.cents + excluded.cents"
        );
        Ok((sql, event.stream().key().to_owned(), cents))
    }
}

/// The same projection on both: only the driver differs.
macro_rules! cents {
    ($store:ty, $tx:ty, $numbers:expr) => {
        impl Projection<$store> for Cents {
            const NAME: &'static str = "cents";
            type Event = AccountEvent;

            async fn project(
                &self,
                event: &Envelope<AccountEvent>,
                tx: &mut $tx,
            ) -> Result<(), BoxError> {
                <Cents as InSchema<$tx>>::enter(tx).await?;
                let (sql, account, cents) = self.upsert(event, $numbers)?;
                let upsert = sqlx::query(AssertSqlSafe(sql)).bind(account).bind(cents);
                upsert.execute(tx.connection()).await?;
                Ok(())
            }
        }

        impl VersionedProjection<$store> for Cents {
            fn of_generation(&self, generation: Generation) -> Self {
                Self {
                    table: generation.table("cents").into_owned(),
                    mendable: self.mendable.clone(),
                }
            }

            async fn create(&self, tx: &mut $tx) -> Result<(), BoxError> {
                <Cents as InSchema<$tx>>::enter(tx).await?;
                let table = &self.table;
                let sql = format!(
                    "CREATE TABLE IF NOT EXISTS {table} (account text PRIMARY KEY, cents bigint NOT NULL)"
                );
                sqlx::query(AssertSqlSafe(sql)).execute(tx.connection()).await?;
                Ok(())
            }

            async fn serve(&self, tx: &mut $tx) -> Result<(), BoxError> {
                <Cents as InSchema<$tx>>::enter(tx).await?;
                for sql in [
                    "DROP VIEW IF EXISTS serving_cents".to_owned(),
                    format!("CREATE VIEW serving_cents AS SELECT * FROM {}", self.table),
                ] {
                    sqlx::query(AssertSqlSafe(sql)).execute(tx.connection()).await?;
                }
                Ok(())
            }

            async fn discard(&self, tx: &mut $tx) -> Result<(), BoxError> {
                <Cents as InSchema<$tx>>::enter(tx).await?;
                let sql = format!("DROP TABLE IF EXISTS {}", self.table);
                sqlx::query(AssertSqlSafe(sql)).execute(tx.connection()).await?;
                Ok(())
            }
        }
    };
}

cents!(SqliteStore, SqliteTx, ["?", "?"]);
cents!(PgStore, PgTx, ["$1", "$2"]);

/// What the log says.
async fn expected<B: Backend>(store: &B) -> BTreeMap<String, i64> {
    let mut cents = BTreeMap::new();
    for record in log(store).await {
        let event = Decoder::new().decode::<AccountEvent>(&record).unwrap();
        if let AccountEvent::Moved(moved) = event.event() {
            *cents.entry(event.stream().key().to_owned()).or_default() += moved.cents;
        }
    }
    cents
}

/// Reads a table, or what it is under that name, and drops one, as a person does.
trait ByHand: Backend {
    async fn table(&self, name: &str) -> Result<BTreeMap<String, i64>, ByHandError>;
    async fn by_hand(&self, sql: &str);
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ByHandError(String);

impl From<ServingError> for ByHandError {
    fn from(error: ServingError) -> Self {
        Self(error.to_string())
    }
}

macro_rules! by_hand {
    ($store:ty, $tx:ty) => {
        impl ByHand for $store {
            async fn table(&self, name: &str) -> Result<BTreeMap<String, i64>, ByHandError> {
                let sql = format!("SELECT account, cents FROM {name}");
                let (send, receive) = tokio::sync::oneshot::channel();
                let mut commit = uno_core::Commit::new();
                commit.work.push(Box::new(move |tx: &mut $tx| {
                    Box::pin(async move {
                        <Cents as InSchema<$tx>>::enter(tx).await?;
                        let rows = sqlx::query(AssertSqlSafe(sql))
                            .fetch_all(tx.connection())
                            .await?;
                        let rows = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
                        let _ = send.send(rows);
                        Ok(())
                    })
                }));
                let done = uno_core::Transactional::commit(self, commit).await;
                done.map_err(|error| ByHandError(format!("{error:?}")))?;
                receive
                    .await
                    .map_err(|error| ByHandError(error.to_string()))
            }

            async fn by_hand(&self, sql: &str) {
                let sql = sql.to_owned();
                let mut commit = uno_core::Commit::new();
                commit.work.push(Box::new(move |tx: &mut $tx| {
                    Box::pin(async move {
                        <Cents as InSchema<$tx>>::enter(tx).await?;
                        sqlx::query(AssertSqlSafe(sql))
                            .execute(tx.connection())
                            .await?;
                        Ok(())
                    })
                }));
                uno_core::Transactional::commit(self, commit).await.unwrap();
            }
        }
    };
}

trait InSchema<Tx> {
    async fn enter(tx: &mut Tx) -> Result<(), BoxError>;
}

by_hand!(SqliteStore, SqliteTx);
by_hand!(PgStore, PgTx);

/// Rows of one's own in one store, of the log of it or of another: rebuilt while they serve, read by the generation and by the view, and a table that somebody drops.
async fn tables<L: Backend, B: ByHand>(log: &Arc<L>, store: &Arc<B>)
where
    Cents: VersionedProjection<B>,
{
    events(&**log, 100).await;
    let manager = SubscriptionManager::builder(Arc::clone(log) as _, Arc::clone(store) as _)
        .poll_interval(Duration::from_millis(5))
        .build();
    let manager = Arc::new(manager);
    let (of, rows, feeder) = (
        Arc::clone(log) as _,
        Arc::clone(store),
        Arc::clone(&manager),
    );
    let model = ReadModel::rows(
        Cents::new(&Mendable::default()),
        of,
        rows,
        feeder,
        Decoder::new(),
    )
    .unwrap();
    let quick = RetryPolicy::new()
        .retries(1)
        .base(Duration::from_micros(10));
    let model = model
        .rebuild_batch(30)
        .subscription(move |subscription| subscription.retry(quick).no_parking());
    model.start().await.unwrap();
    in_time(manager.until_idle()).await.unwrap();
    let serving: Serving = model.serving();
    let read = || async {
        let read = async |generation: Generation| store.table(&generation.table("cents")).await;
        serving.read(read).await
    };
    assert_eq!(read().await.unwrap(), expected(&**log).await);

    let switched = in_time(model.rebuild()).await.unwrap();
    events(&**log, 20).await;
    in_time(manager.until_idle()).await.unwrap();
    assert_eq!(read().await.unwrap(), expected(&**log).await);
    assert_eq!(
        store.table("serving_cents").await.unwrap(),
        expected(&**log).await
    );
    in_time(model.drop_generation(switched.from()))
        .await
        .unwrap();
    assert!(
        store.table("cents").await.is_err(),
        "its table went with it"
    );

    // Somebody drops the table that serves.
    store.by_hand("DROP VIEW serving_cents").await;
    store.by_hand("DROP TABLE cents_g2").await;
    events(&**log, 5).await;
    assert!(
        in_time(manager.until_idle()).await.is_err(),
        "it stops, and says so"
    );
    let status = manager.status().await;
    let why: Vec<String> = status
        .iter()
        .filter_map(|status| Some(status.state().failure()?.to_string()))
        .collect();
    assert!(
        matches!(&why[..], [why] if why.contains("cents_g2")),
        "it says which table is missing: {why:?}"
    );
    assert!(read().await.is_err());
    // A rebuild mends it, with what came meanwhile.
    let switched = in_time(model.rebuild()).await.unwrap();
    assert_eq!(read().await.unwrap(), expected(&**log).await);
    assert_eq!(
        store.table("serving_cents").await.unwrap(),
        expected(&**log).await
    );
    in_time(model.drop_generation(switched.from()))
        .await
        .unwrap();
    events(&**log, 5).await;
    in_time(manager.until_idle()).await.unwrap();
    assert_eq!(read().await.unwrap(), expected(&**log).await);
    manager.stop_all().await;
}

/// Rows of which one can't be written.
async fn bad_row<B: ByHand>(store: &Arc<B>)
where
    Cents: VersionedProjection<B>,
{
    let (manager, mendable) = (poison::manager(store), Mendable::default());
    let (log, feeder) = (Arc::clone(store) as _, Arc::clone(&manager));
    let projection = Cents::new(&mendable);
    let model = ReadModel::rows(projection, log, Arc::clone(store), feeder, Decoder::new());
    let read = async |account: &str| {
        let cents = store.table("serving_cents").await.unwrap();
        cents.get(account).copied()
    };
    poison::one_bad_key(store, model.unwrap(), &manager, || mendable.mend(), read).await;
}

impl InSchema<SqliteTx> for Cents {
    async fn enter(_: &mut SqliteTx) -> Result<(), BoxError> {
        Ok(())
    }
}

impl InSchema<PgTx> for Cents {
    async fn enter(tx: &mut PgTx) -> Result<(), BoxError> {
        let path = format!("SET LOCAL search_path TO {}", tx.schema());
        sqlx::query(AssertSqlSafe(path))
            .execute(tx.connection())
            .await?;
        Ok(())
    }
}

#[tokio::test]
async fn tables_of_ones_own_are_rebuilt_in_sqlite() {
    let (store, guard) = sqlite().open().await.unwrap();
    tables(&store, &store).await;
    sqlite().close(guard).await;
}

#[tokio::test]
async fn a_row_that_fails_is_parked_and_mended_by_a_rebuild_in_sqlite() {
    let (store, guard) = sqlite().open().await.unwrap();
    bad_row(&store).await;
    sqlite().close(guard).await;
}

#[tokio::test]
async fn a_row_that_fails_is_parked_and_mended_by_a_rebuild_in_postgres() {
    let harness = crate::postgres::PgHarness::plain();
    let (store, guard) = harness.open().await.unwrap();
    bad_row(&store).await;
    drop(store);
    harness.close(guard).await;
}

#[tokio::test]
async fn tables_of_ones_own_are_rebuilt_in_postgres() {
    let harness = crate::postgres::PgHarness::plain();
    let (store, guard) = harness.open().await.unwrap();
    tables(&store, &store).await;
    drop(store);
    harness.close(guard).await;
}

#[tokio::test]
async fn tables_of_ones_own_in_sqlite_of_a_log_in_postgres_and_the_reverse() {
    let pg = crate::postgres::PgHarness::plain();
    let (postgres, schema) = pg.open().await.unwrap();
    let (file, folder) = sqlite().open().await.unwrap();
    tables(&postgres, &file).await;
    let (other, other_folder) = sqlite().open().await.unwrap();
    let (target, target_schema) = pg.open().await.unwrap();
    tables(&other, &target).await;
    drop((postgres, file, other, target));
    pg.close(schema).await;
    pg.close(target_schema).await;
    sqlite().close(folder).await;
    sqlite().close(other_folder).await;
}
