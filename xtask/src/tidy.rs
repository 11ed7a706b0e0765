//! `cargo xtask tidy`: the rules of this workspace that no other tool knows.
//!
//! Each rule is a pure function from data to complaints, with tests that show it complaining; this file fetches the data.

mod contexts;
mod edges;
mod files;
mod forbidden;
mod header;
mod length;
mod manifests;
mod mask;
mod metadata;

use std::process::ExitCode;

use anyhow::Result;

use crate::cargo::workspace_root;

pub(crate) use metadata::{Crate, read as crates};

/// Checks everything, and tells all that is wrong at once.
pub(crate) fn run() -> Result<ExitCode> {
    Ok(if is_clean()? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// As [`run`], for a caller that has more to check.
pub(crate) fn is_clean() -> Result<bool> {
    let found = check()?;
    for warning in &found.warnings {
        eprintln!("warning: {warning}");
    }
    for error in &found.errors {
        eprintln!("error: {error}");
    }
    let (errors, warnings) = (found.errors.len(), found.warnings.len());
    eprintln!("tidy: {errors} errors, {warnings} warnings");
    Ok(errors == 0)
}

/// What is wrong, and what looks wrong.
#[derive(Debug, Default)]
struct Findings {
    errors: Vec<String>,
    warnings: Vec<String>,
}

fn check() -> Result<Findings> {
    let mut found = Findings::default();

    let crates = metadata::read()?;
    found.errors.extend(edges::check(&crates));
    found.errors.extend(forbidden::check(&crates));
    found.errors.extend(manifests::check(&crates));

    for file in files::rust_files(&workspace_root())? {
        found.errors.extend(files::check_name(&file.path));
        found.errors.extend(header::check(&file));
        found.errors.extend(contexts::check(&file));
        match length::check(&file) {
            length::Verdict::Fine => {}
            length::Verdict::Long(warning) => found.warnings.push(warning),
            length::Verdict::TooLong(error) => found.errors.push(error),
        }
    }
    Ok(found)
}
