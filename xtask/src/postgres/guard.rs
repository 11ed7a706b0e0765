//! The process that cleans up after a cluster, however its owner ended.

use std::env;
use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};

use super::account::Account;
use super::binaries::Binaries;
use crate::process::{end_group, send_signal};

/// The hidden sub-command that this process runs itself with.
pub(crate) const GUARD_COMMAND: &str = "guard-test-cluster";

/// The owner's end of the pipe to a guard.
#[derive(Debug)]
pub(super) struct Guard {
    /// None once it has ended.
    process: Option<Child>,
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// Starts a guard over `directory`, which need hold nothing yet.
    pub(super) fn start(directory: &Path, binaries: &Binaries, account: &Account) -> Result<Self> {
        let own = env::current_exe().context("failed to find our own program")?;
        let mut process = Command::new(own)
            .arg(GUARD_COMMAND)
            .args([directory, binaries.folder()])
            .arg(account.name())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // Ctrl-C goes to the whole group at the terminal, and the guard has to outlive it.
            .process_group(0)
            .spawn()
            .context("failed to start the guard of the test cluster")?;
        let pipe = process.stdin.take();
        Ok(Self {
            process: Some(process),
            pipe,
        })
    }

    /// From now on the guard also kills this process group, unless it is told otherwise.
    pub(super) fn kills(&mut self, group: Option<u32>) {
        if let Some(pipe) = &mut self.pipe {
            let line = group.map_or_else(String::new, |group| group.to_string());
            // A guard that is gone can be told nothing; `release` reports it.
            drop(writeln!(pipe, "{line}"));
        }
    }

    /// Lets the guard do its work, and waits until it is done; a second call finds nothing to do.
    pub(super) fn release(&mut self) -> Result<()> {
        drop(self.pipe.take());
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let status = process.wait().context("failed to wait for the guard")?;
        if !status.success() {
            bail!("the test cluster was not cleaned up");
        }
        Ok(())
    }
}

/// Waits until the owner's end of the pipe is closed, then stops the server and removes its directory.
pub(crate) fn guard(directory: &str, binaries: &str, account: &str) -> Result<ExitCode> {
    let mut group = String::new();
    for line in io::stdin().lock().lines() {
        group = line.context("failed to read from the owner")?;
    }
    if !group.is_empty() {
        // The owner was killed. Its test runner still gets the time to end the tests, which lead groups of their own.
        end_group(&group);
    }
    let directory = Path::new(directory);
    stop(
        directory,
        &Binaries::in_folder(binaries),
        &Account::named(account),
    );
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", directory.display()))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Stops the server if it runs; its data are thrown away next, so at once.
fn stop(directory: &Path, binaries: &Binaries, account: &Account) {
    let data = super::cluster::data_folder(directory);
    let Ok(lock) = fs::read_to_string(data.join("postmaster.pid")) else {
        return;
    };
    let stopped = account
        .command(binaries.program("pg_ctl"), directory)
        .args(["stop", "-m", "immediate", "-w", "-t", "20", "-s", "-D"])
        .arg(&data)
        .output()
        .is_ok_and(|output| output.status.success());
    if let (false, Some(postmaster)) = (stopped, lock.lines().next()) {
        send_signal("KILL", postmaster);
    }
}
