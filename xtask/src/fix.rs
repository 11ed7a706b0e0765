//! `cargo xtask fix`: the one command that writes to the tree.

use std::process::ExitCode;

use anyhow::Result;

use crate::cargo::{cargo, succeeds};

/// Lets clippy mend what it can, then formats, since clippy's edits are not formatted.
pub(crate) fn run() -> Result<ExitCode> {
    let mended = succeeds(cargo().args([
        "clippy",
        "--fix",
        "--allow-dirty",
        "--allow-staged",
        "--workspace",
        "--all-targets",
    ]))?;
    let formatted = succeeds(cargo().args(["fmt", "--all"]))?;
    Ok(if mended && formatted {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
