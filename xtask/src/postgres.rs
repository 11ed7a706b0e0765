//! A throw-away PostgreSQL cluster from the installed binaries, which nothing outlives.
//!
//! The cluster is cleaned up by a second process, the guard, which waits for the end of a pipe that this process holds.
//! The system closes that pipe however this process ends, so there is one way to clean up, and every run takes it.

mod account;
mod binaries;
mod cluster;
mod guard;
mod pooler;

use anyhow::{Result, bail};

use binaries::Binaries;

use crate::install;

pub(crate) use account::we_are_root;
pub(crate) use cluster::Cluster;
pub(crate) use guard::{GUARD_COMMAND, guard};
pub(crate) use pooler::require_pooler;

/// The server's programs: those installed, else those that Debian's package brings.
fn find_or_install() -> Result<Binaries> {
    if let Some(found) = Binaries::find() {
        return Ok(found);
    }
    if install::possible() {
        install::run("postgresql")?;
        if let Some(found) = Binaries::find() {
            return Ok(found);
        }
    }
    bail!(
        "no PostgreSQL server found: install one (Debian: apt-get install postgresql), or set DATABASE_URL to a server that the tests may use"
    );
}
