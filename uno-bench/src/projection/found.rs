//! Documents that are found by their fields: what a page costs, early and deep, and what it costs to write documents that can be found.

use std::{sync::Arc, time::Instant};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use uno_core::{
    Checkpoint, CheckpointWrite, Decoder, Envelope, EventStore as _, FieldValue, Position, ReadLog,
    SubscriptionName,
};
use uno_cqrs::{AnyField, DocumentProjection, DocumentProjector, Documents, Field, Page, PageEnd};
use uno_events::{Batch, Consumer as _};
use uno_store_postgres::PgStore;

use super::{Args, OrderPlaced, Server};
use crate::rounds::{Bound, Row, Table, median};

/// At most so many rounds of writing.
const ROUNDS: usize = 3;
/// How many documents a page has.
const PAGE: usize = 50;
/// How many pages are read for a figure.
const PAGES: usize = 400;
/// How many documents are written for a figure.
const WRITTEN: u64 = 50_000;
/// How many events a projection is given at a time.
const BATCH: usize = 500;

/// An order, with so many fields.
#[derive(Debug)]
struct Orders<const FIELDS: usize>;

#[derive(Serialize, Deserialize)]
struct Order {
    product: String,
    cents: i64,
}

const BY_CENTS: Field<Order, i64> = Field::new("cents", |order| Some(order.cents));
const BY_PRODUCT: Field<Order, (String, i64)> = Field::new("product", |order| {
    Some((order.product.clone(), order.cents))
});
const ODD: Field<Order, bool> = Field::new("odd", |order| Some(order.cents % 2 == 1));

impl<const N: usize> DocumentProjection for Orders<N> {
    const NAME: &'static str = match N {
        0 => "orders-0",
        1 => "orders-1",
        _ => "orders-3",
    };
    const FIELDS: &'static [&'static dyn AnyField<Order>] = match N {
        0 => &[],
        1 => &[&BY_CENTS],
        _ => &[&BY_CENTS, &BY_PRODUCT, &ODD],
    };
    type Event = OrderPlaced;
    type Document = Order;

    fn keys(&self, event: &Envelope<OrderPlaced>) -> Vec<String> {
        vec![event.event().order.clone()]
    }

    fn apply(&self, _: &str, _: Option<Order>, event: &Envelope<OrderPlaced>) -> Option<Order> {
        let event = event.event();
        Some(Order {
            product: event.product.clone(),
            cents: event.cents.try_into().unwrap_or(i64::MAX),
        })
    }
}

pub(super) async fn measure(
    args: &Args,
    server: &Server,
    store: &PgStore,
    table: &mut Table,
) -> Result<()> {
    let written = WRITTEN.min(args.events);
    let mut rates: [Vec<f64>; 3] = Default::default();
    for round in 0..=args.rounds.fewer(ROUNDS).count() {
        for turn in 0..3 {
            let side = (round + turn) % 3;
            server.forget().await?;
            let rate = match side {
                0 => write::<0>(store, round, written).await?,
                1 => write::<1>(store, round, written).await?,
                _ => write::<3>(store, round, written).await?,
            };
            if round > 0 {
                rates[side].push(rate);
            }
        }
    }
    let [none, one, three] = rates;
    for (fields, rates) in [(1, one), (3, three)] {
        let what = format!("writing documents with {fields} fields, against none, /s");
        table.push(Row::of(what, Bound::None, rates, none.clone()));
    }

    server.forget().await?;
    println!("writing {} documents", args.events);
    let rate = write::<1>(store, usize::MAX, args.events).await?;
    println!("{rate:.0} documents/s with a field");
    let schema = &server.schema;
    server
        .run(format!(
            "VACUUM ANALYZE {schema}.documents, {schema}.document_fields"
        ))
        .await?;
    let documents = Documents::<Orders<1>>::new(Arc::new(store.clone()));
    let middle = args.events / 2;
    let deep = format!(
        "{}.order-{middle}",
        FieldValue::of(&i64::try_from(middle)?).to_hex()
    );
    let deep: PageEnd = deep.parse()?;
    let row = args.rounds.compare(
        format!("page of {PAGE}, deep, against the first one, us"),
        Bound::AtMost(1.5),
        async || page(&documents, Some(&deep), middle + 1).await,
        async || page(&documents, None, 0).await,
    );
    table.push(row.await?);
    Ok(())
}

/// Projects the first events of the log; how many a second.
async fn write<const N: usize>(store: &PgStore, round: usize, events: u64) -> Result<f64> {
    let projector = DocumentProjector::new(Orders::<N>, Arc::new(store.clone()), Decoder::new())?;
    let name = SubscriptionName::new(format!("{}-{round}", Orders::<N>::NAME))?;
    let epoch = store.head().await?.epoch();
    let (mut at, mut saved, mut count) = (Position::START, None, 0_u64);
    let mut took = std::time::Duration::ZERO;
    while count < events {
        let limit = BATCH.min(usize::try_from(events - count)?);
        let page = store.read_log(ReadLog::after(at).limit(limit)).await?;
        let (to, id) = page.scanned().context("the log has come to its end")?;
        let write = CheckpointWrite::new(name.clone(), saved, Checkpoint::after(epoch, to, id));
        count += page.events().len() as u64;
        let begun = Instant::now();
        projector
            .consume(Batch::new(page.into_events(), write))
            .await?;
        took += begun.elapsed();
        (at, saved) = (to, Some(to));
    }
    Ok(events as f64 / took.as_secs_f64())
}

/// What a page costs: the median, in microseconds.
async fn page(
    documents: &Documents<Orders<1>>,
    after: Option<&PageEnd>,
    first: u64,
) -> Result<f64> {
    let mut took = Vec::with_capacity(PAGES);
    for _ in 0..PAGES {
        let mut page = Page::of(PAGE);
        if let Some(end) = after {
            page = page.after(end.clone());
        }
        let begun = Instant::now();
        let found = documents.find(BY_CENTS.all(), page).await?;
        took.push(begun.elapsed().as_secs_f64() * 1e6);
        let (key, _) = found.documents().first().context("the page is empty")?;
        ensure!(
            found.documents().len() == PAGE && *key == format!("order-{first}"),
            "the page begins with {key} and has {} documents",
            found.documents().len()
        );
    }
    Ok(median(&mut took))
}
