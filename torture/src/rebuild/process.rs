//! [`Processes`]: starts processes of the campaign, and knows how those that are dead had to end.

use std::{
    fs::OpenOptions,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
};

use anyhow::{Context as _, Result};
use tokio::process::{Child, Command};

use super::{Doom, Plan, Role};
use crate::{campaign::Grounds, judge::Verdict, session::Schema, tally::Tally};

/// `SIGABRT`: a process that has died by itself, as it had to.
const ABORTED: i32 = 6;
/// `SIGKILL`.
const KILLED: i32 = 9;

/// How a process is to be started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) role: Role,
    /// Which of those of this role it is.
    pub(crate) which: u64,
    pub(crate) batch: usize,
    pub(crate) doom: Option<Doom>,
}

/// A process that was started.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) wish: Wish,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    /// It has died, or said that it is to be tried again.
    Again,
}

/// What all processes of a phase have in common.
#[derive(Debug)]
pub(crate) struct Processes<'p> {
    pub(crate) grounds: &'p Grounds,
    pub(crate) plan: &'p Plan,
    pub(crate) folder: PathBuf,
    pub(crate) schema: Option<Schema>,
    pub(crate) disasters: Tally,
    /// What was not to be.
    pub(crate) verdict: Verdict,
}

impl Processes<'_> {
    pub(crate) fn start(&mut self, wish: Wish) -> Result<Process> {
        let Plan {
            lanes, accounts, ..
        } = self.plan;
        let mut command = Command::new(&self.grounds.program);
        command
            .arg("modeller")
            .arg("--folder")
            .arg(&self.folder)
            .args(["--role", &wish.role.to_string()])
            .args(["--lanes", &lanes.to_string()])
            .args(["--accounts", &accounts.to_string()])
            .args(["--batch", &wish.batch.to_string()]);
        if self.plan.named && wish.role == Role::Serve {
            command.args(["--name", &format!("server-{}", wish.which)]);
        }
        if self.plan.kills_server {
            command.arg("--server-dies");
        }
        if let Some(schema) = &self.schema {
            command
                .args(["--schema", schema.as_str()])
                .env("DATABASE_URL", self.grounds.database.url());
        }
        if let Some(control) = self.plan.control {
            command.args(["--control", control.name()]);
        }
        if let Some(doom) = wish.doom {
            command.args(["--doom", &doom.to_string()]);
        }
        let complaints = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.folder.join("stderr.txt"))?;
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(complaints)
            .kill_on_drop(true)
            .spawn()
            .context("failed to start a process")?;
        Ok(Process { child, wish })
    }

    /// Kills a process. It needs not be awake for that.
    pub(crate) async fn kill(&mut self, process: &mut Process) -> Result<Ending> {
        process.child.start_kill()?;
        let status = process.child.wait().await?;
        if status.signal() == Some(KILLED) {
            self.disasters.add(killed(process.wish.role), 1);
            return Ok(Ending::Again);
        }
        // It has ended by itself just now.
        Ok(self.has_ended(process.wish, status))
    }

    /// How a process has ended; `None` while it runs.
    pub(crate) fn look(&mut self, process: &mut Process) -> Result<Option<Ending>> {
        let status = process.child.try_wait()?;
        Ok(status.map(|status| self.has_ended(process.wish, status)))
    }

    pub(crate) fn has_ended(&mut self, wish: Wish, status: ExitStatus) -> Ending {
        match (status.signal(), status.code()) {
            (Some(ABORTED), _) if wish.doom.is_some() => {
                self.disasters.add(died(wish.role), 1);
                Ending::Again
            }
            (None, Some(0)) => Ending::Done,
            // It says why in its notes, if it is not for the store.
            (None, Some(1)) if wish.role != Role::Serve => {
                self.verdict
                    .facts
                    .add("processes that were to be started again", 1);
                Ending::Again
            }
            _ => {
                let how = || format!("{}: {status}", wish.role);
                self.verdict.breach("process", 1, how);
                Ending::Again
            }
        }
    }
}

fn killed(role: Role) -> &'static str {
    match role {
        Role::Serve => "processes that serve, killed",
        Role::Build(_) => "builders, killed",
        Role::Back | Role::Drop(_) | Role::Settle => "processes that go back or drop, killed",
    }
}

fn died(role: Role) -> &'static str {
    match role {
        Role::Serve => "processes that serve, dead at a point",
        Role::Build(_) => "builders, dead at a point",
        Role::Back | Role::Drop(_) | Role::Settle => {
            "processes that go back or drop, dead at a point"
        }
    }
}
