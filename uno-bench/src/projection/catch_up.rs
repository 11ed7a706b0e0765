//! Catching up with the log, with one upsert for each event: in each round evento's subscription, and ours in three forms.

use std::{sync::Arc, time::Instant};

use anyhow::{Result, ensure};
use uno_core::SubscriptionName;
use uno_events::{Replay, Subscription, SubscriptionManager};
use uno_store_postgres::PgStore;

use super::{Args, PRODUCTS, Server, peer::Peer, sales::Form};
use crate::rounds::{Bound, Row, Table};

/// At most so many rounds: each takes long.
const ROUNDS: usize = 2;
/// How many events it takes to find out which chunk is best for the peer.
const TRIAL: u64 = 10_000;

pub(super) async fn measure(
    args: &Args,
    server: &Server,
    store: &PgStore,
    table: &mut Table,
) -> Result<()> {
    let mut peer = Peer::start(&server.url)?;
    peer.load(args.peer_events.max(TRIAL), PRODUCTS)?;
    let chunk = peer.best_chunk(TRIAL.min(args.peer_events))?;

    let mut ours: [Vec<f64>; 3] = Default::default();
    let mut base = Vec::new();
    for round in 0..=args.rounds.fewer(ROUNDS).count() {
        // Another one goes first each time.
        for turn in 0..4 {
            let side = (round + turn) % 4;
            // It takes longer than all others together, and always as long.
            if round != 1 && Form::ALL.get(side) == Some(&Form::Rows) {
                continue;
            }
            let (name, figure) = match Form::ALL.get(side) {
                Some(form) => {
                    let rate = catch_up(args, server, store, *form, round).await?;
                    (format!("{form:?}"), rate)
                }
                None => ("evento".to_owned(), peer.run(chunk, args.peer_events)?),
            };
            println!("round {round}: {name} {figure:.0} events/s");
            if round > 0 {
                ours.get_mut(side).unwrap_or(&mut base).push(figure);
            }
        }
    }
    for (form, figures) in Form::ALL.into_iter().zip(ours) {
        let (what, bound) = match form {
            Form::Documents => ("documents", Bound::AtLeast(4.0)),
            Form::Rows => ("rows, one by one", Bound::None),
            Form::Bulk => ("rows, by batch", Bound::AtLeast(4.0)),
        };
        let what = format!("{what}, against evento, events/s");
        table.push(Row::of(what, bound, figures, base.clone()));
    }
    Ok(())
}

/// A projection from the beginning of the log to its end; how many events a second.
async fn catch_up(
    args: &Args,
    server: &Server,
    store: &PgStore,
    form: Form,
    round: usize,
) -> Result<f64> {
    server.forget().await?;
    let consumer = form.consumer(store, &server.schema)?;
    let manager = SubscriptionManager::new(Arc::new(store.clone()), Arc::new(store.clone()));
    let name = SubscriptionName::new(format!("{form:?}-{round}"))?;
    let mut subscription = Subscription::new(name, Replay::Safe, consumer);
    if let Some(batch) = args.batch {
        subscription = subscription.batch_size(batch);
    }
    manager.subscribe(subscription)?;
    let begun = Instant::now();
    manager.start_all().await?;
    manager.until_idle().await?;
    let rate = args.events as f64 / begun.elapsed().as_secs_f64();
    manager.stop_all().await;
    let due = (
        i64::try_from(args.events)?,
        i64::try_from(args.events * args.events.saturating_sub(1) / 2)?,
    );
    let totals = form.totals(server).await?;
    ensure!(totals == due, "{form:?} has {totals:?} instead of {due:?}");
    Ok(rate)
}
