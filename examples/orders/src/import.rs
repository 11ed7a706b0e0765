//! Sends the orders in, as many at a time as the store likes, and waits until nothing moves any more.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{sync::Semaphore, task::JoinSet};
use uno::prelude::*;

use crate::{
    contexts::orders::events::{OrderCancelled, OrderShipped},
    input::Input,
    read_models::{OrderStatus, OrderSummaries},
};

/// How many orders are submitted side by side. The store groups what arrives together.
const SIDE_BY_SIDE: usize = 256;

/// What ends an order.
#[derive(EventSet, Clone, Debug, PartialEq)]
enum Ended {
    Shipped(OrderShipped),
    Cancelled(OrderCancelled),
}

/// Imports every order of the input that is not there yet, and sees each to its end.
pub async fn run<B: Backend>(app: &App<B>, input: &Input) -> anyhow::Result<()> {
    let progress = progress(app, input.orders.len()).await?;
    let limit = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut submitting = JoinSet::new();
    for order in &input.orders {
        let permit = Arc::clone(&limit).acquire_owned().await?;
        while let Some(result) = submitting.try_join_next() {
            result??;
        }
        let (app, order) = (app.clone(), order.clone());
        submitting.spawn(async move {
            let _permit = permit;
            let id = order.order;
            app.execute(order)
                .await
                .with_context(|| format!("order {id} was not placed"))?;
            anyhow::Ok(())
        });
    }
    while let Some(result) = submitting.join_next().await {
        result??;
    }
    // Placed is not fulfilled: wait for the saga, the read models and the handlers.
    app.until_idle().await?;
    progress.finish_and_clear();
    Ok(())
}

/// A bar that moves with every order that comes to its end. The bus is good enough for that: it is told what has
/// happened while the process lives, and a picture need not survive a crash.
async fn progress<B: Backend>(app: &App<B>, orders: usize) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} orders  {per_sec}  {eta} left")?;
    let bar = ProgressBar::new(orders as u64).with_style(style);
    let mut after = None;
    loop {
        let page = app
            .documents::<OrderSummaries>()
            .scan(after.as_deref(), 1000)
            .await?;
        bar.inc(
            page.iter()
                .filter(|(_, summary)| summary.status != OrderStatus::Placed)
                .count() as u64,
        );
        match page.last() {
            Some((key, _)) => after = Some(key.clone()),
            None => break,
        }
    }
    bar.reset_eta();
    bar.enable_steady_tick(Duration::from_millis(200));
    let moving = bar.clone();
    app.bus()
        .subscribe("progress", move |_: Arc<Envelope<Ended>>| {
            moving.inc(1);
            std::future::ready(Ok(()))
        });
    Ok(bar)
}
