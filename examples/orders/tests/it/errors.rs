//! Bad input ends with exit code 1 and one readable line.

use std::fs;

use tempfile::TempDir;

use crate::run::{complaint, finish, input};

#[test]
fn a_bad_line_is_named_and_the_others_are_imported() {
    let folder = TempDir::new().unwrap();
    let file = input(folder.path(), 20);
    let mut text = fs::read_to_string(&file).unwrap();
    text.push_str("\n 00004 0001 19970199  2   29.33\n 00004 0001 19970101  1    1.00\n");
    fs::write(&file, text).unwrap();
    let output = finish(folder.path(), &["--store", "memory", "--input", &file]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        printed.contains("not imported: line 21: \"19970199\" is not a date"),
        "{printed}"
    );
    assert!(printed.contains("\nplaced            21"), "{printed}");
    assert!(!printed.contains("WRONG"), "{printed}");
}

#[test]
fn what_can_not_be_opened_is_said_in_a_line() {
    let folder = TempDir::new().unwrap();
    let file = input(folder.path(), 1);
    fs::write(
        folder.path().join("text.db"),
        "this is no database, however long it may be".repeat(100),
    )
    .unwrap();
    fs::create_dir(folder.path().join("folder.db")).unwrap();
    let refused: [(&[&str], &str); 6] = [
        (
            &["--input", "missing.txt"],
            "can't read the input file missing.txt",
        ),
        (&["--store", "mongodb://u:secret@h/d"], "unknown store"),
        (&["--store", "sqlite:text.db"], "text.db"),
        (&["--store", "sqlite:folder.db"], "folder.db"),
        (&["--store", "sqlite:no/such/folder/a.db"], "no/such/folder"),
        (
            &["--store", "postgres://u:secret@127.0.0.1:1/d"],
            "127.0.0.1:1",
        ),
    ];
    for (arguments, expected) in refused {
        let mut all = vec!["--input", file.as_str()];
        all.extend(arguments);
        let arguments = if arguments[0] == "--input" {
            arguments
        } else {
            &all
        };
        let said = complaint(&finish(folder.path(), arguments));
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert!(!said.contains("secret"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}
