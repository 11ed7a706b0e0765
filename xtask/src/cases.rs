//! `cargo xtask cases N`: the property tests of chains of upcasters and of codecs, with N cases together.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::cargo::{cargo, succeeds};

/// How many properties share the cases.
const PROPERTIES: u64 = 4;

/// Runs at least this many cases. A case that fails is made as small as it can be, and printed with its seed.
pub(crate) fn run(cases: &str) -> Result<ExitCode> {
    let cases: u64 = cases
        .parse()
        .with_context(|| format!("{cases:?} is no number of cases"))?;
    let each = cases.div_ceil(PROPERTIES);
    eprintln!("{PROPERTIES} properties with {each} cases each");
    let tests = [
        "test",
        "--release",
        "--package",
        "uno-domain",
        "--test",
        "it",
        "chains::",
    ];
    let mut command = cargo();
    command.args(tests).env("PROPTEST_CASES", each.to_string());
    match succeeds(&mut command)? {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}
