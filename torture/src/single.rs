//! `uno-torture cancel` and `uno-torture duel`: campaigns that are done in one go.

use std::{env, fs, path::Path, time::Instant};

use anyhow::{Context as _, Result};
use uno_torture::{
    arena::{PostgresArena, SqliteArena},
    campaign::Grounds,
    cancel, duel,
    server::OwnServer,
    session::Database,
};

use crate::args::{Cancel, Common, Duel, Store};

/// How often the driver's own transactions are dropped at least.
const CONTROL_TRIALS: u64 = 800;

pub(crate) async fn cancel(args: Cancel) -> Result<bool> {
    let (grounds, seed) = prepare(&args.common).await?;
    let mut good = true;
    for store in Store::chosen(args.store) {
        good &= cancel_one(&grounds, seed, args.drops, store)
            .await
            .with_context(|| format!("the campaign with seed {seed} came to a halt"))?;
    }
    Ok(good)
}

async fn cancel_one(grounds: &Grounds, seed: u64, drops: u64, store: Store) -> Result<bool> {
    let driver = match store {
        Store::Postgres => cancel::postgres_control(grounds, seed, CONTROL_TRIALS).await,
        Store::Sqlite => cancel::sqlite_control(grounds, seed, CONTROL_TRIALS).await,
    };
    let driver = driver.context("the control can't be run")?;
    println!("control: {driver}");
    let start = Instant::now();
    let report = match store {
        Store::Postgres => cancel::run::<PostgresArena>(grounds, seed, drops).await?,
        Store::Sqlite => cancel::run::<SqliteArena>(grounds, seed, drops).await?,
    };
    println!("{report}\n{:.0} s", start.elapsed().as_secs_f64());
    Ok(report.is_good() && driver.fails())
}

pub(crate) async fn duel(args: Duel) -> Result<bool> {
    let (grounds, seed) = prepare(&args.common).await?;
    let (contenders, rounds) = (args.contenders, args.rounds);
    let mut good = true;
    for store in Store::chosen(args.store) {
        let start = Instant::now();
        let report = match store {
            Store::Postgres => duel::run::<PostgresArena>(&grounds, seed, contenders, rounds).await,
            Store::Sqlite => duel::run::<SqliteArena>(&grounds, seed, contenders, rounds).await,
        };
        let report =
            report.with_context(|| format!("the campaign with seed {seed} came to a halt"))?;
        println!("{report}\n{:.0} s", start.elapsed().as_secs_f64());
        good &= report.is_good();
    }
    Ok(good)
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
