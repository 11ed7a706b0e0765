//! Runs the program.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

/// The first `lines` of the data set: enough to meet every branch, and quick in a debug build.
pub fn input(folder: &Path, lines: usize) -> String {
    let data = include_str!("../../data/cdnow_orders.txt");
    let text: Vec<&str> = data.lines().take(lines).collect();
    let file = folder.join("input.txt");
    fs::write(&file, text.join("\n")).unwrap();
    file.to_str().unwrap().to_owned()
}

/// The program, to be run in a folder of its own.
pub fn orders(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
    command
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn finish(folder: &Path, arguments: &[&str]) -> Output {
    orders(folder, arguments).output().unwrap()
}

/// Starts it, and leaves it alone.
pub fn start(folder: &Path, arguments: &[&str]) -> Child {
    orders(folder, arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The report without the line about speed, which is the only one in which two runs may differ.
pub fn report(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("this run:"))
        .collect();
    assert!(
        lines
            .iter()
            .any(|line| line.contains("read models = fold of the log")),
        "{text}"
    );
    lines.join("\n")
}

/// What it complained about.
pub fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}
