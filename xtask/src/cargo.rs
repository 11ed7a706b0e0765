//! How xtask calls cargo.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

/// The cargo that runs us, working in the root of the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace_root());
    command
}

/// Whether the cargo sub-command `name` is installed.
pub(crate) fn has_subcommand(name: &str) -> bool {
    cargo()
        .args([name, "--version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs `command` and tells whether it succeeded; an error means that it could not be started.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    let status = command.status().with_context(|| {
        format!(
            "failed to start {}",
            command.get_program().to_string_lossy()
        )
    })?;
    Ok(status.success())
}

/// The root of the workspace, which is where this package's folder lies.
pub(crate) fn workspace_root() -> PathBuf {
    // Asked at run time first: `cargo run` sets it, and a moved checkout keeps working without a rebuild.
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or(package.clone(), PathBuf::from)
}
