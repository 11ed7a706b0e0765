//! PgBouncer, which the tests start themselves: here it is only seen to that they find it.

use std::env;
use std::path::Path;

use anyhow::{Result, bail};

use crate::install;

/// Where Debian puts it; not on everybody's `PATH`.
const DEBIAN: &str = "/usr/sbin";

/// Makes sure that the tests find the pooler, or says in one line what to install.
pub(crate) fn require_pooler() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    if install::possible() {
        install::run("pgbouncer")?;
        if is_there() {
            return Ok(());
        }
    }
    bail!("no pgbouncer found: install it (Debian: apt-get install pgbouncer)");
}

fn is_there() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([Path::new(DEBIAN).to_path_buf()])
        .any(|folder| folder.join("pgbouncer").is_file())
}
