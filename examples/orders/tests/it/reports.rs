//! The report of an undisturbed run.

use tempfile::TempDir;

use crate::run::{finish, input, report};

#[test]
fn the_report_is_the_same_on_every_embedded_store() {
    let folder = TempDir::new().unwrap();
    let file = input(folder.path(), 700);
    let memory = report(&finish(
        folder.path(),
        &["--store", "memory", "--input", &file],
    ));
    let sqlite = report(&finish(folder.path(), &["--input", &file]));
    assert_eq!(memory, sqlite);
    assert!(memory.contains("\nplaced           700"), "{memory}");
    assert!(!memory.contains("WRONG"), "{memory}");
}

#[test]
fn a_second_run_does_nothing_twice_and_fresh_begins_anew() {
    let folder = TempDir::new().unwrap();
    let file = input(folder.path(), 200);
    let first = report(&finish(folder.path(), &["--input", &file]));
    let again = finish(folder.path(), &["--input", &file]);
    assert_eq!(report(&again), first);
    assert!(
        String::from_utf8_lossy(&again.stdout).contains("this run: 0 events and 0 orders"),
        "{again:?}"
    );
    let fresh = finish(folder.path(), &["--input", &file, "--fresh"]);
    assert_eq!(report(&fresh), first);
    assert!(
        String::from_utf8_lossy(&fresh.stdout).contains("and 200 orders"),
        "{fresh:?}"
    );
}

#[test]
fn compensation_runs_and_adds_up() {
    let folder = TempDir::new().unwrap();
    let file = input(folder.path(), 700);
    let text = report(&finish(
        folder.path(),
        &["--store", "memory", "--input", &file],
    ));
    let count = |name: &str| -> u32 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    assert!(
        count("declined") > 0 && count("refunded") > 0,
        "both kinds of failure occur\n{text}"
    );
    assert_eq!(count("cancelled"), count("declined") + count("refunded"));
    assert_eq!(count("placed"), count("shipped") + count("cancelled"));
}
