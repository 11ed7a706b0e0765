//! `cargo xtask pg -- <command>`: any command, with a throw-away PostgreSQL.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::postgres::Cluster;
use crate::process::{Ending, Supervised};
use crate::signals::Signals;

/// Runs `program` with `DATABASE_URL` and libpq's own variables set, and ends as it ended.
pub(crate) fn run(program: &str, args: &[String]) -> Result<ExitCode> {
    let signals = Signals::catch()?;
    let mut cluster = Cluster::start()?;
    if signals.pending() {
        eprintln!("interrupted");
        return Ok(Ending::Interrupted.exit_code());
    }
    let mut command = Command::new(program);
    command.args(args);
    cluster.offer_to(&mut command);
    cluster.offer_to_libpq(&mut command);

    let supervised = Supervised::for_a_person(&mut command)?;
    cluster.ends_with(supervised.group());
    let ending = supervised.wait(&signals)?;
    cluster.stop()?;
    Ok(ending.exit_code())
}
