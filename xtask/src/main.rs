//! Project automation: `cargo xtask verify`, `fix`, `tidy`, `test`, `torture`, `cases` and `pg`.
//!
//! `verify` only reads the tree and `fix` only writes it, so that anybody, and any machine, can run the first at any time.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program talks to its user"
)]

mod browser;
mod cargo;
mod cases;
mod fix;
mod install;
mod pg;
mod postgres;
mod process;
mod signals;
mod test;
mod tidy;
mod torture;
mod verify;

use std::env;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

const USAGE: &str = "\
usage: cargo xtask <command>

  verify            format, lints, docs, tidy, licences, each crate by itself; writes nothing to the tree
  fix               formats, and applies what clippy can mend by itself
  tidy              the rules of this workspace that no other tool knows
  test [-- args]    all tests, with a PostgreSQL and a Chromium; args go to the test runner
  torture campaign  tries to break the stores: log, cancel, duel, saga, subscriptions or rebuild; --help says what each takes
  cases N           property tests of old events and codecs, with N cases
  pg -- command     runs a command with a throw-away PostgreSQL in DATABASE_URL
";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            // The whole chain on one line: this is the line a person or a log search looks for.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut args = env::args().skip(1);
    let command = args.next();
    let rest: Vec<String> = args.collect();
    match (command.as_deref(), rest.as_slice()) {
        (Some("verify"), []) => verify::run(),
        (Some("fix"), []) => fix::run(),
        (Some("tidy"), []) => tidy::run(),
        (Some("test"), []) => test::run(&[]),
        (Some("test"), [dashes, args @ ..]) if dashes == "--" => test::run(args),
        (Some("cases"), [cases]) => cases::run(cases),
        (Some("torture"), args @ [_, ..]) => torture::run(args),
        (Some("pg"), [dashes, program, args @ ..]) if dashes == "--" => pg::run(program, args),
        (Some(postgres::GUARD_COMMAND), [directory, binaries, account]) => {
            postgres::guard(directory, binaries, account)
                .context("failed to clean up after the test cluster")
        }
        (Some("help" | "--help" | "-h"), []) => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprint!("{USAGE}");
            Ok(ExitCode::from(2))
        }
    }
}
