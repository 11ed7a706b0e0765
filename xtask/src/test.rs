//! `cargo xtask test`: every test, with a PostgreSQL and a browser, and one line at the end that says how it went.

mod counts;
mod runner;

use std::env;
use std::process::ExitCode;

use anyhow::Result;

use crate::browser::require_browser;
use crate::cargo::has_subcommand;
use crate::postgres::{Cluster, require_pooler};
use crate::process::Ending;
use crate::signals::Signals;
use counts::Counts;
use runner::Runner;

/// Runs the tests with what this machine has; `args` go to the runner.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let signals = Signals::catch()?;
    require_pooler()?;
    require_browser()?;
    let mut cluster = if given_database() {
        None
    } else {
        Some(Cluster::start()?)
    };
    if signals.pending() {
        eprintln!("interrupted");
        return Ok(Ending::Interrupted.exit_code());
    }

    let mut counts = Counts::default();
    for runner in runners(args) {
        let (ending, counted) = runner.run(cluster.as_mut(), &signals)?;
        if let Ending::Interrupted = ending {
            eprintln!("interrupted");
            return Ok(ending.exit_code());
        }
        counts = counts + counted;
    }

    if let Some(cluster) = cluster {
        cluster.stop()?;
    }
    println!("{counts}");
    Ok(if counts.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Whether the caller named a database for the tests.
fn given_database() -> bool {
    env::var_os("DATABASE_URL").is_some_and(|url| !url.is_empty())
}

fn runners(args: &[String]) -> Vec<Runner> {
    if !has_subcommand("nextest") {
        return vec![Runner::cargo_test(args)];
    }
    let mut runners = vec![Runner::nextest(args)];
    if args.is_empty() {
        // The one kind of test that nextest does not run.
        runners.push(Runner::doctests());
    } else {
        eprintln!("doctests are left out, since the arguments are nextest's");
    }
    runners
}
