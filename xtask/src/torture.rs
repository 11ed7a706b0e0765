//! `cargo xtask torture <campaign>`: the campaigns of `uno-torture`, with a PostgreSQL that they may kill.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::cargo::{cargo, succeeds, workspace_root};
use crate::postgres::Cluster;
use crate::process::{Ending, Supervised};
use crate::signals::Signals;

/// Runs a campaign with a throw-away cluster of its own; `args` go to the program.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    // Optimized, since what is looked for are races; and built before there is a server to wait for it.
    let package = ["--release", "--quiet", "--package", "uno-torture"];
    if !succeeds(cargo().arg("build").args(package))? {
        return Ok(ExitCode::FAILURE);
    }
    let signals = Signals::catch()?;
    let mut cluster = Cluster::start()?;
    if signals.pending() {
        eprintln!("interrupted");
        return Ok(Ending::Interrupted.exit_code());
    }
    let mut command = Command::new(program()?);
    command.current_dir(workspace_root()).args(args);
    if args
        .first()
        .is_some_and(|campaign| !campaign.starts_with('-') && campaign != "help")
    {
        command.arg("--own-server");
    }
    cluster.offer_to(&mut command);

    let supervised = Supervised::in_own_group(&mut command)?;
    cluster.ends_with(supervised.group());
    let ending = supervised.wait(&signals)?;
    cluster.stop()?;
    Ok(ending.exit_code())
}

/// The program that was built: it lies in the folder of its profile, beside ours.
fn program() -> Result<PathBuf> {
    let own = env::current_exe().context("failed to find our own program")?;
    let target = own
        .parent()
        .and_then(Path::parent)
        .context("our own program lies in no target folder")?;
    Ok(target.join("release").join("uno-torture"))
}
