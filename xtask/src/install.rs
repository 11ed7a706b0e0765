//! Installs packages of Debian's where that is allowed.

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::postgres::we_are_root;

/// Debian's packages ask this program whether they may start their service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Whether we may install packages here, and know how.
pub(crate) fn possible() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    we_are_root() && env::split_paths(&path).any(|folder| folder.join("apt-get").is_file())
}

/// Installs a package and leaves its service stopped: what the tests need, they start themselves.
pub(crate) fn run(package: &str) -> Result<()> {
    eprintln!("{package} is missing: installing Debian's package of that name");
    let _policy = NoServices::declare()?;
    // A repository of somebody else's may be down while the lists at hand are good enough; apt-get says which.
    let updated = apt_get(&["update"])?;
    let installed = apt_get(&["install", "-y", "--no-install-recommends", package])?;
    if !installed {
        bail!(
            "{package} is missing, and apt-get could not install it{}: install it by hand",
            if updated {
                ""
            } else {
                " (nor update its lists)"
            }
        );
    }
    Ok(())
}

/// Runs apt-get, and tells whether it succeeded.
fn apt_get(args: &[&str]) -> Result<bool> {
    let status = Command::new("apt-get")
        .args(["-qq", "-o", "DPkg::Lock::Timeout=300"])
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        // Standard output is for the one summary line.
        .stdout(io::stderr())
        .status()
        .context("failed to start apt-get")?;
    Ok(status.success())
}

/// Says "no" to services for as long as it lives, unless the machine has a policy of its own.
#[derive(Debug)]
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn declare() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(POLICY)
            .with_context(|| format!("failed to write {POLICY}"))?;
        let declared = Self { ours: true };
        // 101 means: action forbidden by policy.
        file.write_all(b"#!/bin/sh\nexit 101\n")
            .with_context(|| format!("failed to write {POLICY}"))?;
        Ok(declared)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("could not remove {POLICY}: {error}");
        }
    }
}
