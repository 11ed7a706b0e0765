//! `uno-torture log`: the controls, then phases until there are enough events, then the table.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use uno_torture::{
    campaign::{Grounds, Plan, run_phase},
    controls,
    figures::Figures,
};

use crate::{args::Log, single::grounds};

/// How many events the controls are given.
const CONTROL_EVENTS: u64 = 30_000;

pub(crate) async fn run(args: Log) -> Result<bool> {
    let seed = args
        .common
        .seed
        .unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    println!("seed {seed}");
    let good = campaign(&args, seed)
        .await
        .with_context(|| format!("the campaign with seed {seed} came to a halt"))?;
    Ok(good)
}

async fn campaign(args: &Log, seed: u64) -> Result<bool> {
    let grounds = grounds(&args.common.folder, args.common.own_server).await?;
    let folder = grounds.folder.clone();
    if let Some(number) = args.phase {
        return one_phase(&grounds, seed, number).await;
    }

    let mut figures = Figures::load(&folder, seed)?;
    if args.fresh {
        figures = Figures {
            seed,
            ..Figures::default()
        };
    }
    figures.controls = controls::run(&grounds, seed, CONTROL_EVENTS)
        .await
        .context("the controls can't be run")?;
    for control in &figures.controls {
        println!("control: {control}");
    }
    figures.save(&folder)?;
    while !args.controls_only && figures.events() < args.events {
        let plan = Plan::draw(seed, figures.phases, args.common.own_server);
        let (number, writers) = (plan.number, plan.writers);
        println!("phase {number}: {plan}");
        let start = Instant::now();
        let verdict = run_phase(&grounds, plan)
            .await
            .with_context(|| format!("phase {number} can't be run"))?;
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "phase {number}: {} events in {seconds:.1} s, {} breaches",
            verdict.facts.get("stored"),
            verdict.broken.sum()
        );
        figures.add(writers, seconds, &verdict);
        figures.save(&folder)?;
    }
    println!("{figures}");
    Ok(figures.are_good())
}

/// One phase by itself, to look at it again. Adds to no figures.
async fn one_phase(grounds: &Grounds, seed: u64, number: u64) -> Result<bool> {
    let plan = Plan::draw(seed, number, grounds.server.is_some());
    println!("phase {number}: {plan}\n{plan:?}");
    let start = Instant::now();
    let verdict = run_phase(grounds, plan).await?;
    let mut figures = Figures {
        seed,
        ..Figures::default()
    };
    figures.add(0, start.elapsed().as_secs_f64(), &verdict);
    for reader in &verdict.readers {
        println!("{reader:?}");
    }
    println!("{figures}");
    ensure!(
        verdict.facts.get("stored") > 0,
        "nothing was stored, so nothing was shown"
    );
    Ok(figures.are_good())
}
