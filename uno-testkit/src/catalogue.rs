//! The catalogue of an application, kept beside the code and kept true by a test.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, ErrorKind},
    path::Path,
};

use uno_cqrs::{Catalogue, CatalogueFindings};

use crate::golden::{self, HOW_TO_WRITE, write_if_new};

/// Panics unless every event of the catalogue is documented, and the files in `folder` are [its pages](Catalogue::pages). With
/// `UNO_GOLDEN=write` in the environment, it writes the files first.
///
/// What it returns is for warnings that a test wants to look at.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use uno_core::{Event, EventSet};
/// use uno_cqrs::Catalogue;
/// use uno_testkit::catalogue;
///
/// /// A customer has placed an order.
/// #[derive(Event, Serialize, Deserialize)]
/// struct OrderPlaced { total_cents: i64 }
///
/// let mut shop = Catalogue::new("shop");
/// shop.add_events(OrderPlaced::EVENTS);
/// let folder = tempfile::tempdir()?;
/// let faults = catalogue::check(&shop, "1.0.0", folder.path(), false).unwrap_err();
/// assert!(faults.to_string().contains("README.md is missing"));
/// catalogue::check(&shop, "1.0.0", folder.path(), true)?;    // as with UNO_GOLDEN=write in the environment
/// catalogue::check(&shop, "1.0.0", folder.path(), false)?;   // and from now on it holds
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
/// When an event has no doc comment, or a file is not what it would be now: the text says what to do.
#[track_caller]
pub fn assert_kept(
    catalogue: &Catalogue,
    version: &str,
    folder: impl AsRef<Path>,
) -> CatalogueFindings {
    let write = golden::is_to_be_written();
    match check(catalogue, version, folder.as_ref(), write) {
        Ok(findings) => findings,
        Err(faults) => panic!("{faults}"),
    }
}

/// Compares the files in the folder with the pages of the catalogue; with `write`, writes them first.
///
/// # Errors
/// Everything that is not as it should be.
pub fn check(
    catalogue: &Catalogue,
    version: &str,
    folder: &Path,
    write: bool,
) -> Result<CatalogueFindings, CatalogueFaults> {
    let findings = catalogue.check();
    let mut faults = findings.faults().to_vec();
    match catalogue.pages(version) {
        Ok(pages) => {
            let pages: BTreeMap<_, _> = pages.into_iter().collect();
            if write && let Err(error) = write_pages(&pages, folder) {
                faults.push(format!("{} can't be written: {error}", folder.display()));
            }
            compare(&pages, folder, &mut faults);
        }
        Err(error) => faults.push(format!("the catalogue can't be written: {error}")),
    }
    match faults.is_empty() {
        true => Ok(findings),
        false => Err(CatalogueFaults(faults)),
    }
}

fn compare(pages: &BTreeMap<String, String>, folder: &Path, faults: &mut Vec<String>) {
    for (name, text) in pages {
        let path = folder.join(name);
        let fault = match fs::read_to_string(&path) {
            Ok(kept) if kept == *text => continue,
            Ok(kept) => {
                let same = kept.lines().zip(text.lines()).take_while(|(a, b)| a == b);
                format!(
                    "is not what it would be now, from line {} on",
                    same.count() + 1
                )
            }
            Err(error) if error.kind() == ErrorKind::NotFound => "is missing".to_owned(),
            Err(error) => format!("can't be read: {error}"),
        };
        faults.push(format!("{} {fault}: {HOW_TO_WRITE}", path.display()));
    }
    match strangers(pages, folder) {
        Ok(strangers) => faults.extend(strangers.iter().map(|name| {
            let path = folder.join(name);
            format!(
                "{} is of no event that there is: {HOW_TO_WRITE}",
                path.display()
            )
        })),
        Err(error) => faults.push(format!("{} can't be read: {error}", folder.display())),
    }
}

/// Schemas in the folder that are none of the pages.
fn strangers(pages: &BTreeMap<String, String>, folder: &Path) -> io::Result<Vec<String>> {
    let mut strangers = Vec::new();
    let entries = match fs::read_dir(folder.join("schemas")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(strangers),
        entries => entries?,
    };
    for entry in entries {
        let name = format!("schemas/{}", entry?.file_name().to_string_lossy());
        if name.ends_with(".json") && !pages.contains_key(&name) {
            strangers.push(name);
        }
    }
    strangers.sort();
    Ok(strangers)
}

fn write_pages(pages: &BTreeMap<String, String>, folder: &Path) -> io::Result<()> {
    for name in strangers(pages, folder)? {
        fs::remove_file(folder.join(name))?;
    }
    for (name, text) in pages {
        write_if_new(&folder.join(name), text)?;
    }
    Ok(())
}

/// What is not as it should be with a catalogue that is kept, each with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueFaults(Vec<String>);

impl CatalogueFaults {
    /// One by one.
    #[must_use]
    pub fn faults(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for CatalogueFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.0.len();
        write!(f, "{faults} faults in the catalogue that is kept:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n* {fault}"))
    }
}

impl std::error::Error for CatalogueFaults {}

#[cfg(test)]
mod tests;
