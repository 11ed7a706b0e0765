//! `cargo xtask cases N`: the property tests of chains of upcasters, of codecs and of CloudEvents, with N cases together.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::cargo::{cargo, succeeds};

/// Where the properties are, and how many there are.
const PROPERTIES: [(&[&str], u64); 2] = [
    (&["--package", "uno-domain", "--test", "it", "chains::"], 4),
    (&["--package", "uno-core", "--lib", "cloud_event::"], 3),
];

/// Runs at least this many cases. A case that fails is made as small as it can be, and printed with its seed.
pub(crate) fn run(cases: &str) -> Result<ExitCode> {
    let cases: u64 = cases
        .parse()
        .with_context(|| format!("{cases:?} is no number of cases"))?;
    let properties = PROPERTIES.iter().map(|(_, count)| count).sum();
    let each = cases.div_ceil(properties);
    eprintln!("{properties} properties with {each} cases each");
    for (tests, _) in PROPERTIES {
        let mut command = cargo();
        command.args(["test", "--release"]).args(tests);
        command.env("PROPTEST_CASES", each.to_string());
        if !succeeds(&mut command)? {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
