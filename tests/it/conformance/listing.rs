//! The suite's sources: no case is left out of its list, and each says what it holds a store to.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use uno_testkit::conformance::{Case, cases};

use super::broken::BrokenHarness;

const SUITE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../uno-testkit/src/conformance"
);

/// How a case begins in its source.
const CASE: &str = "pub async fn ";

#[test]
fn every_case_that_is_written_is_listed_and_runs() -> io::Result<()> {
    let mut written = Vec::new();
    for (tier, group, source) in sources()? {
        let names = source
            .lines()
            .filter_map(|line| line.strip_prefix(CASE)?.split('<').next());
        written.extend(names.map(|name| format!("{tier}::{group}::{name}")));
    }
    let mut listed: Vec<_> = cases::<BrokenHarness>().iter().map(Case::name).collect();
    written.sort_unstable();
    listed.sort_unstable();
    assert_eq!(written, listed);
    Ok(())
}

#[test]
fn every_case_says_what_it_holds_a_store_to() -> io::Result<()> {
    for (tier, group, source) in sources()? {
        let lines: Vec<_> = source.lines().collect();
        for (at, line) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.starts_with(CASE))
        {
            let start = lines[..at]
                .iter()
                .rposition(|line| !line.starts_with("///"))
                .map_or(0, |last| last + 1);
            let first = lines[start..at].first().copied().unwrap_or_default();
            assert!(first.contains(':'), "{tier}::{group}: {line}: {first}");
        }
    }
    Ok(())
}

/// Each file of cases: its tier, its group, and its text.
fn sources() -> io::Result<Vec<(String, String, String)>> {
    let mut sources = Vec::new();
    for tier in entries(Path::new(SUITE))?
        .into_iter()
        .filter(|path| path.is_dir())
    {
        for group in entries(&tier)? {
            sources.push((stem(&tier), stem(&group), fs::read_to_string(&group)?));
        }
    }
    Ok(sources)
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect()
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
