//! `uno-torture rebuild`: phases until enough rebuilds were judged, then the table.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use uno_torture::{
    campaign::Grounds,
    rebuild::{Figures, Plan, Worker, run_phase},
    session::{Database, Schema},
};

use crate::{
    args::{Modeller, Rebuild, Store},
    single::grounds,
};

pub(crate) async fn run(args: Rebuild) -> Result<bool> {
    let seed = args
        .common
        .seed
        .unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    println!("seed {seed}");
    let grounds = grounds(&args.common.folder, args.common.own_server).await?;
    let mut good = true;
    for store in Store::chosen(args.store) {
        good &= campaign(&args, &grounds, seed, store)
            .await
            .with_context(|| format!("the campaign with seed {seed} came to a halt"))?;
    }
    Ok(good)
}

async fn campaign(args: &Rebuild, grounds: &Grounds, seed: u64, store: Store) -> Result<bool> {
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
        || figures.rebuilds() < args.rebuilds
        || !figures.phases.is_multiple_of(Plan::ROUND)
    {
        let number = args.phase.unwrap_or(figures.phases);
        let mut plan = Plan::draw(seed, number, args.events);
        plan.hardship = Duration::from_secs(args.hardship);
        if args.phase.is_none() && plan.control.is_none() {
            // As many as are left, but one at least.
            let left = args.rebuilds.saturating_sub(figures.rebuilds());
            plan.rebuilds = plan.rebuilds.min(left.max(1));
        }
        println!("{name}, phase {number}: {plan}");
        let start = Instant::now();
        let outcome = run_phase(grounds, &plan, postgres)
            .await
            .with_context(|| format!("phase {number} can't be run"))?;
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{name}, phase {number}: {} rebuilds, {} reads and {} disasters in {seconds:.1} s, {} breaches",
            outcome.verdict.facts.get("rebuilds"),
            outcome.verdict.facts.get("reads"),
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
pub(crate) async fn model(task: Modeller) -> Result<bool> {
    let postgres = match task.schema {
        Some(schema) => Some((Database::from_env()?.url().to_owned(), Schema::new(schema)?)),
        None => None,
    };
    let worker = Worker {
        folder: task.folder,
        postgres,
        role: task.role,
        lanes: task.lanes,
        batch: task.batch,
        accounts: task.accounts,
        name: task.name,
        server_dies: task.server_dies,
        control: task.control,
        doom: task.doom,
    };
    worker.run().await
}
