//! Builds and runs small programs outside the workspace, which pick crates à la carte.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Builds a consumer as its author would, and runs it.
fn builds_and_runs(name: &str) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = tests.parent().unwrap();
    // A copy, so that the lock file that cargo writes is not left in the tree; the workspace's lock file
    // saves asking the registry.
    let copy = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("consumer-{name}"));
    fs::create_dir_all(copy.join("src")).unwrap();
    let consumer = tests.join("consumers").join(name);
    let manifest = fs::read_to_string(consumer.join("Cargo.toml")).unwrap();
    let path = root.display().to_string();
    fs::write(copy.join("Cargo.toml"), manifest.replace("../../..", &path)).unwrap();
    fs::copy(consumer.join("src/main.rs"), copy.join("src/main.rs")).unwrap();
    fs::copy(root.join("Cargo.lock"), copy.join("Cargo.lock")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline"])
        .current_dir(&copy)
        .env("CARGO_TARGET_DIR", copy.join("target"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.stdout, b"ok\n");
}

#[test]
fn core_and_domain_alone() {
    builds_and_runs("domain");
}

#[test]
fn core_events_and_memory() {
    builds_and_runs("bus");
}

#[test]
fn the_facade() {
    builds_and_runs("facade");
}
