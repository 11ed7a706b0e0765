//! `uno-torture subscriptions`: phases until the time is over, then the table.

use std::time::Instant;

use anyhow::{Context as _, Result};
use uno_torture::{
    campaign::Grounds,
    session::{Database, Schema},
    subscriptions::{Figures, Plan, Worker, run_phase},
};

use crate::{
    args::{Store, Subscriber, Subscriptions},
    single::grounds,
};

pub(crate) async fn run(args: Subscriptions) -> Result<bool> {
    let seed = args
        .common
        .seed
        .unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    println!("seed {seed}");
    let grounds = grounds(&args.common.folder, args.common.own_server).await?;
    let stores = Store::chosen(args.store);
    let seconds = 60.0 * args.minutes as f64 / stores.len() as f64;
    let mut good = true;
    for store in stores {
        good &= campaign(&args, &grounds, seed, store, seconds)
            .await
            .with_context(|| format!("the campaign with seed {seed} came to a halt"))?;
    }
    Ok(good)
}

async fn campaign(
    args: &Subscriptions,
    grounds: &Grounds,
    seed: u64,
    store: Store,
    seconds: f64,
) -> Result<bool> {
    let (postgres, name) = match store {
        Store::Postgres => (true, "postgres"),
        Store::Sqlite => (false, "sqlite"),
    };
    let mut figures = Figures::load(&grounds.folder, seed, name)?;
    if args.fresh || args.phase.is_some() {
        figures = Figures::new(seed, name);
    }
    // Whole rounds of phases, so that each control comes up.
    while args.phase.is_some()
        || figures.seconds < seconds
        || !figures.phases.is_multiple_of(Plan::ROUND)
    {
        let plan = Plan::draw(seed, args.phase.unwrap_or(figures.phases));
        println!("{name}, phase {}: {plan}", plan.number);
        let start = Instant::now();
        let outcome = run_phase(grounds, &plan, postgres)
            .await
            .with_context(|| format!("phase {} can't be run", plan.number))?;
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{name}, phase {}: {} events and {} disasters in {seconds:.1} s, {} breaches",
            plan.number,
            outcome.verdict.facts.get("events"),
            outcome.disasters.sum(),
            outcome.verdict.broken.sum()
        );
        figures.add(plan.control, seconds, &outcome.verdict, &outcome.disasters);
        if args.phase.is_some() {
            println!("{figures}");
            return Ok(figures.are_good());
        }
        figures.save(&grounds.folder)?;
    }
    println!("{figures}");
    Ok(figures.are_good())
}

/// One of the processes that die.
pub(crate) async fn subscribe(task: Subscriber) -> Result<bool> {
    let postgres = match task.schema {
        Some(schema) => Some((Database::from_env()?.url().to_owned(), Schema::new(schema)?)),
        None => None,
    };
    let worker = Worker {
        folder: task.folder,
        postgres,
        poison: task.poison,
        attempts: task.attempts,
        lanes: task.lanes,
        only: task.only,
        name: task.name,
        control: task.control,
        doom: task.doom,
    };
    worker.run().await?;
    Ok(true)
}
