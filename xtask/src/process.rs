//! Waits for a child process, and hands signals on to it.

use std::io::{self, IsTerminal as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::signals::Signals;

/// How long a child may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(15);
/// How often the waiting loop looks at the child and at the signals.
const LOOK: Duration = Duration::from_millis(20);

/// A running child, and who hears a Ctrl-C typed at the terminal.
#[derive(Debug)]
pub(crate) struct Supervised {
    child: Child,
    scope: Scope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// The child leads a process group of its own: every signal reaches it through us, and none of its children outlives it.
    OwnGroup,
    /// The child shares our terminal, as an interactive program must: Ctrl-C reaches it without us, and what it means is its own business.
    Terminal,
}

/// How a child ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// By itself.
    Exited(ExitStatus),
    /// Because a signal told us to end it.
    Interrupted,
}

impl Ending {
    /// The exit code that hands this ending on to our own caller.
    pub(crate) fn exit_code(self) -> ExitCode {
        use std::os::unix::process::ExitStatusExt as _;
        match self {
            Self::Exited(status) => {
                let code = status.code().or(status.signal().map(|signal| 128 + signal));
                ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
            }
            // What a shell reports for a program that Ctrl-C ended.
            Self::Interrupted => ExitCode::from(130),
        }
    }
}

impl Supervised {
    /// Starts `command` in a process group of its own, without input.
    pub(crate) fn in_own_group(command: &mut Command) -> Result<Self> {
        command.process_group(0).stdin(Stdio::null());
        Self::start(command, Scope::OwnGroup)
    }

    /// Starts `command` for a person if there is one at the terminal, else in a process group of its own.
    pub(crate) fn for_a_person(command: &mut Command) -> Result<Self> {
        if io::stdin().is_terminal() {
            Self::start(command, Scope::Terminal)
        } else {
            command.process_group(0);
            Self::start(command, Scope::OwnGroup)
        }
    }

    fn start(command: &mut Command, scope: Scope) -> Result<Self> {
        let child = command.spawn().with_context(|| {
            format!(
                "failed to start {}",
                command.get_program().to_string_lossy()
            )
        })?;
        Ok(Self { child, scope })
    }

    /// The child itself, to take its pipes.
    pub(crate) const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The process group to end when we can no longer do it ourselves.
    pub(crate) fn group(&self) -> Option<u32> {
        (self.scope == Scope::OwnGroup).then(|| self.child.id())
    }

    /// Waits for the end of the child; the first signal asks it to end, a second one, or the end of its grace, kills it.
    pub(crate) fn wait(mut self, signals: &Signals) -> Result<Ending> {
        let mut asked: Option<Instant> = None;
        let status = loop {
            if let Some(status) = self
                .child
                .try_wait()
                .context("failed to wait for a child")?
            {
                break status;
            }
            let interrupted = signals.take_interrupt() && self.scope == Scope::OwnGroup;
            if signals.take_terminate() || interrupted {
                self.signal(if asked.is_none() { "TERM" } else { "KILL" });
                asked.get_or_insert_with(Instant::now);
            }
            if asked.is_some_and(|at| at.elapsed() > GRACE) {
                self.signal("KILL");
            }
            thread::sleep(LOOK);
        };
        if self.scope == Scope::OwnGroup {
            // Whatever the child left behind would hold its output pipes, and our database, open.
            self.signal("KILL");
        }
        Ok(if asked.is_some() {
            Ending::Interrupted
        } else {
            Ending::Exited(status)
        })
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id();
        match self.scope {
            Scope::OwnGroup => send_signal(signal, &format!("-{id}")),
            Scope::Terminal => send_signal(signal, &id.to_string()),
        };
    }
}

/// Asks a process group to end, and kills it if it has not done so after a while.
pub(crate) fn end_group(group: &str) {
    let target = format!("-{group}");
    let asked = Instant::now();
    // Signal 0 only asks whether somebody is there.
    let mut there = send_signal("TERM", &target);
    while there && asked.elapsed() < GRACE {
        thread::sleep(LOOK);
        there = send_signal("0", &target);
    }
    send_signal("KILL", &target);
}

/// Sends a signal to a process, or to a group written as `-id`; tells whether there was one to take it.
pub(crate) fn send_signal(signal: &str, target: &str) -> bool {
    // The shell's own `kill` is on every machine, while the program of that name is not, and the standard library has none for groups.
    Command::new("sh")
        .args(["-c", "kill -s \"$1\" -- \"$2\"", "sh", signal, target])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
