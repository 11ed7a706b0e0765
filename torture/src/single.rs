//! `uno-torture cancel` and `uno-torture duel`: campaigns that are done in one go.

use std::{env, fs, path::Path};

use anyhow::{Context as _, Result};
use uno_torture::{campaign::Grounds, cancel, duel, server::OwnServer, session::Database};

use crate::args::{Cancel, Common, Duel};

pub(crate) async fn cancel(args: Cancel) -> Result<bool> {
    let (grounds, seed) = prepare(&args.common).await?;
    let driver = cancel::control(&grounds, seed, 800)
        .await
        .context("the control can't be run")?;
    let report = cancel::run(&grounds, seed, args.drops)
        .await
        .with_context(|| format!("the campaign with seed {seed} came to a halt"))?;
    println!("{report}");
    let fails = driver.lost > 0;
    let said = if fails {
        "fails, as it must"
    } else {
        "DOES NOT FAIL, AND IT MUST"
    };
    println!(
        "control: the driver's own begin, dropped, lost {} of {} acknowledged rows: {said}",
        driver.lost, driver.trials
    );
    Ok(report.is_good() && fails)
}

pub(crate) async fn duel(args: Duel) -> Result<bool> {
    let (grounds, seed) = prepare(&args.common).await?;
    let report = duel::run(&grounds, seed, args.contenders, args.rounds).await;
    let report = report.with_context(|| format!("the campaign with seed {seed} came to a halt"))?;
    println!("{report}");
    Ok(report.is_good())
}

async fn prepare(common: &Common) -> Result<(Grounds, u64)> {
    let seed = common
        .seed
        .unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    println!("seed {seed}");
    Ok((grounds(&common.folder, common.own_server).await?, seed))
}

/// Where campaigns take place.
pub(crate) async fn grounds(folder: &Path, own_server: bool) -> Result<Grounds> {
    let database = Database::from_env()?;
    let server = if own_server {
        Some(OwnServer::find(&database).await?)
    } else {
        None
    };
    fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    // The judge may run elsewhere, so the path is whole.
    let folder = fs::canonicalize(folder)?;
    let program = env::current_exe().context("failed to find our own program")?;
    Ok(Grounds {
        database,
        server,
        folder,
        program,
    })
}
