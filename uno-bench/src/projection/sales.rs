//! The read model: how many orders of each product there were, and for how many cents. As documents, and as rows of one's own: an upsert for
//! each event, or one for each batch.

use std::{fmt, sync::Arc};

use anyhow::Result;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use uno_core::{
    BoxError, Commit, Decoder, Envelope, EventFilter, RegistrationError, Transactional as _,
};
use uno_cqrs::{DocumentProjection, DocumentProjector, Projection, Projector};
use uno_events::{Batch, ConsumeError, Consumer};
use uno_store_postgres::{PgStore, PgTx};

use super::{OrderPlaced, Server};

/// How it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Documents,
    Rows,
    Bulk,
}

impl Form {
    pub(super) const ALL: [Self; 3] = [Self::Documents, Self::Rows, Self::Bulk];

    pub(super) fn consumer(self, store: &PgStore, schema: &str) -> Result<Arc<dyn Consumer>> {
        let (store, decoder) = (Arc::new(store.clone()), Decoder::new());
        Ok(match self {
            Self::Documents => Arc::new(DocumentProjector::new(Sales, store, decoder)?),
            Self::Rows => {
                let upsert = format!(
                    "INSERT INTO {schema}.sales AS t (product, orders, cents) VALUES ($1, 1, $2) \
                     ON CONFLICT (product) DO UPDATE SET orders = t.orders + 1, cents = t.cents + excluded.cents"
                );
                Arc::new(Projector::new(SalesRows { upsert }, store, decoder)?)
            }
            Self::Bulk => Arc::new(SalesBulk::new(store, decoder, schema)?),
        })
    }

    /// How many orders and cents it has.
    pub(super) async fn totals(self, server: &Server) -> Result<(i64, i64)> {
        let schema = &server.schema;
        let query = match self {
            Self::Documents => format!(
                "SELECT sum((body ->> 'orders')::bigint)::bigint, sum((body ->> 'cents')::bigint)::bigint \
                 FROM {schema}.documents WHERE collection = 'sales'"
            ),
            Self::Rows | Self::Bulk => {
                format!("SELECT sum(orders)::bigint, sum(cents)::bigint FROM {schema}.sales")
            }
        };
        server.two(query).await
    }
}

/// Where the rows are.
pub(super) async fn create_table(server: &Server) -> Result<()> {
    let schema = &server.schema;
    server
        .run(format!(
            "CREATE TABLE IF NOT EXISTS {schema}.sales (product text COLLATE \"C\" PRIMARY KEY, orders bigint NOT NULL, cents bigint NOT NULL)"
        ))
        .await
}

/// Documents.
#[derive(Debug)]
pub(super) struct Sales;

#[derive(Serialize, Deserialize, Default)]
pub(super) struct Sale {
    orders: u64,
    cents: u64,
}

impl DocumentProjection for Sales {
    const NAME: &'static str = "sales";
    type Event = OrderPlaced;
    type Document = Sale;

    fn keys(&self, event: &Envelope<OrderPlaced>) -> Vec<String> {
        vec![event.event().product.clone()]
    }

    fn apply(&self, _: &str, sale: Option<Sale>, event: &Envelope<OrderPlaced>) -> Option<Sale> {
        let mut sale = sale.unwrap_or_default();
        sale.orders += 1;
        sale.cents += event.event().cents;
        Some(sale)
    }
}

/// Rows, by a statement for each event.
#[derive(Debug)]
struct SalesRows {
    upsert: String,
}

impl Projection<PgStore> for SalesRows {
    const NAME: &'static str = "sales_rows";
    type Event = OrderPlaced;

    async fn project(&self, event: &Envelope<OrderPlaced>, tx: &mut PgTx) -> Result<(), BoxError> {
        sqlx::query(AssertSqlSafe(self.upsert.as_str()))
            .bind(&event.event().product)
            .bind(i64::try_from(event.event().cents)?)
            .execute(tx.connection())
            .await?;
        Ok(())
    }
}

/// Rows, by a statement for each batch.
struct SalesBulk {
    store: Arc<PgStore>,
    decoder: Decoder,
    filter: EventFilter,
    upsert: String,
}

impl SalesBulk {
    fn new(store: Arc<PgStore>, decoder: Decoder, schema: &str) -> Result<Self, RegistrationError> {
        Ok(Self {
            filter: decoder.filter::<OrderPlaced>()?,
            store,
            decoder,
            upsert: format!(
                "INSERT INTO {schema}.sales AS t (product, orders, cents) \
                 SELECT product, count(*), sum(cents) FROM unnest($1::text[], $2::bigint[]) u(product, cents) \
                 GROUP BY product ORDER BY product \
                 ON CONFLICT (product) DO UPDATE SET orders = t.orders + excluded.orders, cents = t.cents + excluded.cents"
            ),
        })
    }
}

#[async_trait]
impl Consumer for SalesBulk {
    fn filter(&self) -> EventFilter {
        self.filter.clone()
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        let (records, checkpoint) = batch.into_parts();
        let (mut products, mut cents) = (Vec::new(), Vec::new());
        for record in &records {
            for event in self.decoder.decode_matching::<OrderPlaced>(record)? {
                products.push(event.event().product.clone());
                // A benchmark deals in small sums.
                cents.push(i64::try_from(event.event().cents).unwrap_or(i64::MAX));
            }
        }
        let mut commit = Commit::new();
        commit.checkpoints.push(checkpoint);
        let upsert = self.upsert.clone();
        commit.work.push(Box::new(move |tx: &mut PgTx| {
            Box::pin(async move {
                sqlx::query(AssertSqlSafe(upsert))
                    .bind(products)
                    .bind(cents)
                    .execute(tx.connection())
                    .await?;
                Ok(())
            })
        }));
        self.store.commit(commit).await?;
        Ok(())
    }
}

impl fmt::Debug for SalesBulk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SalesBulk").finish_non_exhaustive()
    }
}
