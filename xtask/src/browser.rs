//! Chromium, which a test starts itself: here it is only seen to that it finds it.

use std::env;

use anyhow::{Result, bail};

use crate::install;

/// What is needed, and the packages of Debian's that bring it.
const PROGRAMS: [(&str, &str); 2] = [
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
];

/// Makes sure that the tests find the browser and what drives it, or says in one line what to install.
pub(crate) fn require_browser() -> Result<()> {
    for (program, package) in PROGRAMS {
        if !is_there(program) && install::possible() {
            install::run(package)?;
        }
        if !is_there(program) {
            bail!(
                "no {program} found: install it (Debian: apt-get install chromium chromium-driver)"
            );
        }
    }
    Ok(())
}

fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
