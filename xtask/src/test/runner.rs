//! One test runner: started, shown as it goes, and read for what it counted.

use std::io::{self, BufRead, BufReader, IsTerminal as _, Write};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, anyhow};

use super::counts::{Counts, Libtest, nextest_summary};
use crate::cargo::cargo;
use crate::postgres::Cluster;
use crate::process::{Ending, Supervised};
use crate::signals::Signals;

/// A command that runs tests.
#[derive(Debug)]
pub(super) struct Runner {
    command: Command,
    dialect: Dialect,
}

/// How a runner says what it counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// One summary at the end, on standard error.
    ///
    /// What a failed test printed is shown as well, results of the inner libtest included, so those are not read.
    Nextest,
    /// One result for each test binary, on standard output.
    Libtest,
}

impl Runner {
    /// `cargo nextest run`.
    pub(super) fn nextest(args: &[String]) -> Self {
        Self::new(&["nextest", "run"], args, Dialect::Nextest)
    }

    /// Plain `cargo test`, doctests included.
    pub(super) fn cargo_test(args: &[String]) -> Self {
        Self::new(&["test"], args, Dialect::Libtest)
    }

    /// The doctests alone.
    pub(super) fn doctests() -> Self {
        Self::new(&["test", "--doc"], &[], Dialect::Libtest)
    }

    fn new(subcommand: &[&str], args: &[String], dialect: Dialect) -> Self {
        let mut command = cargo();
        // The count at the end is of all tests, so one failure does not end the run.
        command.args(subcommand).arg("--no-fail-fast");
        if !names_packages(args) {
            command.arg("--workspace");
        }
        command.args(args);
        if io::stderr().is_terminal() {
            // The runner writes to our pipes, and would take them for a file.
            command.env("CARGO_TERM_COLOR", "always");
        }
        Self { command, dialect }
    }

    /// Runs the tests against `cluster`, or against the database that the environment names.
    pub(super) fn run(
        mut self,
        cluster: Option<&mut Cluster>,
        signals: &Signals,
    ) -> Result<(Ending, Counts)> {
        if let Some(cluster) = &cluster {
            cluster.offer_to(&mut self.command);
        }
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut supervised = Supervised::in_own_group(&mut self.command)?;
        if let Some(cluster) = cluster {
            cluster.ends_with(supervised.group());
        }

        let child = supervised.child();
        let stdout = child.stdout.take().context("no standard output")?;
        let stderr = child.stderr.take().context("no standard error")?;
        let (ending, results, summary) = thread::scope(|scope| {
            let results = scope.spawn(|| {
                let mut results = Libtest::default();
                show(stdout, io::stdout(), |line| results.read(line))?;
                Ok(results.total())
            });
            let summary = scope.spawn(|| {
                let mut last = None;
                // An earlier summary can only be something that a test printed.
                show(stderr, io::stderr(), |line| {
                    last = nextest_summary(line).or(last);
                })?;
                Ok(last)
            });
            (supervised.wait(signals), results.join(), summary.join())
        });
        let broken = |_| anyhow!("a thread that shows the runner's output panicked");
        let results: Result<Option<Counts>> = results.map_err(broken)?;
        let summary: Result<Option<Counts>> = summary.map_err(broken)?;
        let counted = match self.dialect {
            Dialect::Nextest => summary?,
            Dialect::Libtest => results?,
        };
        let ending = ending?;
        Ok((ending, honest(counted, ending)))
    }
}

/// Copies a stream line by line, and hands each line to `read`.
fn show(from: impl io::Read, mut to: impl Write, mut read: impl FnMut(&str)) -> Result<()> {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    // Bytes, since a test may print anything.
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        to.flush()?;
        read(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(())
}

/// A run that failed never counts as none failed: it may not even have compiled.
fn honest(counted: Option<Counts>, ending: Ending) -> Counts {
    let succeeded = match ending {
        Ending::Exited(status) => status.success(),
        Ending::Interrupted => false,
    };
    let mut counts = counted.unwrap_or_default();
    if counts.failed == 0 && !(succeeded && counted.is_some()) {
        counts.failed = 1;
    }
    counts
}

/// Whether the caller chose packages, which `--workspace` would override.
fn names_packages(args: &[String]) -> bool {
    args.iter()
        .take_while(|arg| *arg != "--")
        .any(|arg| arg.starts_with("-p") || arg.starts_with("--package"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn a_failed_run_never_reads_as_a_pass() {
        let good = Ending::Exited(ExitStatus::from_raw(0));
        let bad = Ending::Exited(ExitStatus::from_raw(101 << 8));
        let check = |counted: Option<Counts>, ending, failed| {
            assert_eq!(honest(counted, ending).failed, failed);
        };
        let passed = Counts {
            passed: 3,
            ..Counts::default()
        };
        let failed = Counts {
            failed: 2,
            ..Counts::default()
        };
        check(Some(passed), good, 0);
        check(Some(passed), bad, 1);
        check(Some(failed), bad, 2);
        check(Some(Counts::default()), good, 0);
        // Did not compile.
        check(None, bad, 1);
        // Said nothing that we can read.
        check(None, good, 1);
    }

    #[test]
    fn chosen_packages_are_seen() {
        let check = |args: &[&str], expected| {
            let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
            assert_eq!(names_packages(&args), expected, "{args:?}");
        };
        check(&["-p", "uno-core"], true);
        check(&["-puno-core"], true);
        check(&["--package=uno-core"], true);
        check(&["some_test"], false);
        check(&["--", "-p"], false);
    }
}
