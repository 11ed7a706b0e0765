//! The arena on Postgres: a schema of its own.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use sqlx::{PgConnection, Row as _};
use tokio::time::{Instant, sleep};
use uno_core::Work;
use uno_store_postgres::{PgStore, PgTx};

use super::Arena;
use crate::{
    campaign::{Field, Grounds, Plan, phase, plan::StorePlan, quiet, row},
    judge::Verdict,
    ledger::Ledger,
    session::{Schema, sql},
};

/// The stores: big and small, with groups and without.
const STORES: [(&str, StorePlan); 4] = [
    (
        "pool of 1",
        StorePlan {
            connections: 1,
            grouping: true,
            pooler: false,
        },
    ),
    (
        "pool of 4",
        StorePlan {
            connections: 4,
            grouping: true,
            pooler: false,
        },
    ),
    (
        "pool of 4, one transaction each",
        StorePlan {
            connections: 4,
            grouping: false,
            pooler: false,
        },
    ),
    (
        "pool of 1, as behind a pooler",
        StorePlan {
            connections: 1,
            grouping: true,
            pooler: true,
        },
    ),
];

const SEEN: &str = "SELECT (SELECT count(*) FROM {s}.torture_rows r WHERE r.batch = $1) = 1 \
    AND (SELECT count(*) FROM {s}.events e WHERE e.id = $2::uuid) = 1";

/// Sessions of a store that stay in a transaction and do nothing.
const LEFT_OPEN: &str = "SELECT count(*) FROM pg_catalog.pg_stat_activity a \
    WHERE a.application_name = $1 AND a.state LIKE 'idle in transaction%'";

/// Events of whole commits without their document or message or process, and these without their event.
const HALVES: &str = "SELECT count(*) FROM (SELECT e.id FROM {s}.events e JOIN {s}.streams s ON s.id = e.stream \
        WHERE s.category = 'whole' AND (e.payload ->> 'index') = '0') e \
    FULL JOIN (SELECT d.key::uuid AS id FROM {s}.documents d WHERE d.collection = 'torture') d ON d.id = e.id \
    FULL JOIN (SELECT q.id FROM {s}.queue q WHERE q.queue = 'torture') q ON q.id = coalesce(e.id, d.id) \
    FULL JOIN (SELECT p.key::uuid AS id FROM {s}.processes p WHERE p.process = 'torture') p ON p.id = coalesce(e.id, d.id, q.id) \
    WHERE e.id IS NULL OR d.id IS NULL OR q.id IS NULL OR p.id IS NULL";

/// A schema of its own.
#[derive(Debug)]
pub struct PostgresArena {
    grounds: Grounds,
    field: Arc<Field>,
    /// How many deadlocks the server had before.
    deadlocks: u64,
}

impl PostgresArena {
    /// Its name.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.field.schema
    }

    fn logged(grounds: &Grounds) -> u64 {
        grounds
            .server
            .as_ref()
            .map_or(0, |server| server.logged(phase::DEADLOCK))
    }
}

impl Arena for PostgresArena {
    type Store = PgStore;
    type Outside = PgConnection;

    const NAME: &'static str = "postgres";

    async fn open(grounds: &Grounds, seed: u64, name: &str) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            deadlocks: Self::logged(grounds),
            field: phase::open(grounds, Plan::quiet(seed), name).await?,
            grounds: grounds.clone(),
        }))
    }

    fn ledger(&self) -> &Ledger {
        &self.field.ledger
    }

    async fn stores(&self) -> Result<Vec<(&'static str, PgStore)>> {
        let store = |(number, (name, plan)): (usize, (&'static str, StorePlan))| {
            Ok((name, self.field.store(&format!("arena{number}"), plan)?))
        };
        STORES.into_iter().enumerate().map(store).collect()
    }

    fn row(&self, batch: u64, pause: Duration, fail: bool) -> Work<PgTx> {
        row::work(&self.field.schema, batch, pause, fail)
    }

    fn slow(&self, pause: Duration) -> Work<PgTx> {
        Box::new(move |tx: &mut PgTx| {
            Box::pin(async move {
                sqlx::query("SELECT pg_sleep($1)")
                    .bind(pause.as_secs_f64())
                    .execute(tx.connection())
                    .await?;
                sleep(pause).await;
                Ok(())
            })
        })
    }

    async fn outside(&self) -> Result<PgConnection> {
        let session = self.field.database.connect("uno-torture-arena").await;
        session.context("failed to reach the server")
    }

    async fn sees(&self, outside: &mut PgConnection, batch: u64) -> Result<bool> {
        let id = self.field.ledger.space().event_id(batch, 0).to_string();
        let query = sqlx::query(sql(&self.field.schema, SEEN))
            .bind(batch.cast_signed())
            .bind(id);
        Ok(query.fetch_one(outside).await?.try_get(0)?)
    }

    async fn left_open(&self, outside: &mut PgConnection, store: usize) -> Result<u64> {
        let give_up = Instant::now() + Duration::from_secs(5);
        loop {
            let application = self.field.application(&format!("arena{store}"));
            let query = sqlx::query(LEFT_OPEN).bind(application);
            let open: i64 = query.fetch_one(&mut *outside).await?.try_get(0)?;
            if open == 0 || Instant::now() > give_up {
                return Ok(open.cast_unsigned());
            }
            // What a caller left behind is carried through, or rolled back, by the store itself.
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn settle(&self, outside: &mut PgConnection) -> Result<u64> {
        quiet::settle(&self.field, outside).await?;
        Ok(0)
    }

    async fn halves(&self, outside: &mut PgConnection) -> Result<u64> {
        let query = sqlx::query(sql(&self.field.schema, HALVES));
        let count: i64 = query.fetch_one(outside).await?.try_get(0)?;
        Ok(count.cast_unsigned())
    }

    fn deadlocks(&self) -> u64 {
        Self::logged(&self.grounds) - self.deadlocks
    }

    async fn judge(&self) -> Result<Verdict> {
        self.field.ledger.flush()?;
        phase::judge(&self.grounds, &self.field)
            .await
            .context("failed to judge")
    }

    async fn clear_away(&self) -> Result<()> {
        phase::clear_away(&self.field).await
    }
}
