//! `cargo xtask verify`: all checks but the tests; it writes nothing to the tree.

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::Result;

use crate::cargo::{cargo, has_subcommand, succeeds};
use crate::tidy;
use crate::tidy::Crate;

/// Runs every check even if an earlier one failed, so that one run tells all there is to mend.
pub(crate) fn run() -> Result<ExitCode> {
    let crates = tidy::crates()?;
    let steps: [(&str, &dyn Fn() -> Result<bool>); 6] = [
        ("format", &format),
        ("tidy", &tidy::is_clean),
        ("licences and bans", &deny),
        ("lints", &lints),
        ("docs", &docs),
        ("each crate by itself", &|| one_at_a_time(&crates)),
    ];
    let mut failed = Vec::new();
    for (name, step) in steps {
        eprintln!("== {name}");
        let start = Instant::now();
        if !step()? {
            failed.push(name);
        }
        eprintln!("   {:.1} s", start.elapsed().as_secs_f64());
    }
    if failed.is_empty() {
        eprintln!("verify: good");
        Ok(ExitCode::SUCCESS)
    } else {
        eprintln!("verify: failed: {}", failed.join(", "));
        Ok(ExitCode::FAILURE)
    }
}

fn format() -> Result<bool> {
    succeeds(cargo().args(["fmt", "--all", "--check"]))
}

/// Tests, examples and benchmarks are code too.
fn lints() -> Result<bool> {
    succeeds(cargo_locked("clippy").args(["--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn docs() -> Result<bool> {
    succeeds(
        cargo_locked("doc")
            .args(["--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

/// `advisories` is left out: it fetches a database, and a build must not depend on what was published today.
fn deny() -> Result<bool> {
    if !has_subcommand("deny") {
        eprintln!("cargo-deny is not installed: licences, bans and sources were not checked");
        return Ok(true);
    }
    succeeds(cargo().args([
        "deny",
        "--offline",
        "--locked",
        "--workspace",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}

/// Compiles each library as its user does, alone and without our tests.
///
/// A workspace build hides a missing feature: cargo switches on in each package whatever any other package asks for.
fn one_at_a_time(crates: &[Crate]) -> Result<bool> {
    let mut good = true;
    for one in crates.iter().filter(|one| one.library && one.published) {
        for features in feature_sets(&one.features) {
            let mut check = cargo_locked("check");
            check
                .args(["--quiet", "--package", &one.name])
                .args(&features);
            if !succeeds(&mut check)? {
                eprintln!("failed: cargo check -p {} {}", one.name, features.join(" "));
                good = false;
            }
        }
    }
    Ok(good)
}

/// The defaults, nothing, and each feature by itself.
fn feature_sets(features: &[String]) -> Vec<Vec<String>> {
    let mut sets = vec![Vec::new()];
    if !features.is_empty() {
        let nothing = "--no-default-features".to_owned();
        sets.push(vec![nothing.clone()]);
        sets.extend(
            features
                .iter()
                .map(|feature| vec![nothing.clone(), format!("--features={feature}")]),
        );
    }
    sets
}

/// A cargo command that leaves `Cargo.lock` as it is, or fails.
fn cargo_locked(subcommand: &str) -> Command {
    let mut command = cargo();
    command.args([subcommand, "--locked"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_is_checked_by_itself() {
        let none: [&str; 0] = [];
        assert_eq!(feature_sets(&[]), [none]);
        let sets = feature_sets(&["derive".to_owned(), "json".to_owned()]);
        let sets: Vec<String> = sets.iter().map(|set| set.join(" ")).collect();
        assert_eq!(
            sets,
            [
                "",
                "--no-default-features",
                "--no-default-features --features=derive",
                "--no-default-features --features=json",
            ]
        );
    }
}
