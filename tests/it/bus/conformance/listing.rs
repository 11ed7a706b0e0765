//! The suite's sources: no case is left out of its list, and each says what it holds a bus to.

use std::{fs, io, path::Path};

use uno_testkit::bus_conformance::{BusCase, cases};

use super::Harness;

const SUITE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../uno-testkit/src/bus_conformance"
);

/// How a case begins in its source.
const CASE: &str = "pub async fn ";

#[test]
fn every_case_that_is_written_is_listed_and_says_what_it_is_for() -> io::Result<()> {
    let mut written = Vec::new();
    for file in fs::read_dir(Path::new(SUITE))? {
        let path = file?.path();
        let group = path.file_stem().unwrap().to_string_lossy().into_owned();
        let source = fs::read_to_string(&path)?;
        let lines: Vec<_> = source.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(case) = line.strip_prefix(CASE) else {
                continue;
            };
            let name = case.split('<').next().unwrap_or_default();
            let before = lines[..at].iter().rev();
            let first = before.take_while(|line| line.starts_with("///")).last();
            assert!(first.is_some_and(|line| line.contains(':')), "{name}");
            written.push(format!("{group}::{name}"));
        }
    }
    let cases = cases::<Harness>();
    let mut listed: Vec<_> = cases.iter().map(BusCase::name).collect();
    written.sort_unstable();
    listed.sort_unstable();
    assert_eq!(written, listed);
    Ok(())
}
