//! `uno-torture saga`: phases until enough sagas have ended and enough processes have died, then the table.

use std::time::Instant;

use anyhow::{Context as _, Result};
use uno_torture::{
    campaign::Grounds,
    saga::{Figures, Plan, Shopkeeper, run_phase},
    session::{Database, Schema},
};

use crate::{
    args::{Saga, Shopkeeper as Task, Store},
    single::grounds,
};

pub(crate) async fn run(args: Saga) -> Result<bool> {
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

async fn campaign(args: &Saga, grounds: &Grounds, seed: u64, store: Store) -> Result<bool> {
    let (postgres, name) = match store {
        Store::Postgres => (true, "postgres"),
        Store::Sqlite => (false, "sqlite"),
    };
    let mut figures = Figures::load(&grounds.folder, seed, name)?;
    if args.fresh || args.phase.is_some() {
        figures = Figures::new(seed, name);
    }
    // Whole rounds of phases, so that the control comes as often as it should.
    while args.phase.is_some()
        || figures.sagas() < args.sagas
        || figures.crashes() < args.crashes
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
            "{name}, phase {}: {} sagas and {} crashes in {seconds:.1} s, {} breaches",
            plan.number,
            outcome.verdict.facts.get("sagas"),
            outcome.crashes.sum(),
            outcome.verdict.broken.sum()
        );
        figures.add(plan.forgets, seconds, &outcome.verdict, &outcome.crashes);
        if args.phase.is_some() {
            println!("{figures}");
            return Ok(plan.forgets || outcome.verdict.broken.sum() == 0);
        }
        figures.save(&grounds.folder)?;
    }
    println!("{figures}");
    Ok(figures.are_good())
}

/// One of the processes that die.
pub(crate) async fn keep_shop(task: Task) -> Result<bool> {
    let postgres = match task.schema {
        Some(schema) => Some((Database::from_env()?.url().to_owned(), Schema::new(schema)?)),
        None => None,
    };
    let shopkeeper = Shopkeeper {
        folder: task.folder,
        postgres,
        seed: task.seed,
        orders: task.orders,
        share: task.share,
        of: task.of,
        doom: task.doom,
    };
    shopkeeper.run().await?;
    Ok(true)
}
