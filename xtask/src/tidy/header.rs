//! Every file starts by saying what it is for.

use super::files::SourceFile;

/// Complains about a file whose first line is no `//!` sentence.
///
/// Not even an attribute goes before it: the first thing that a reader sees is what the file is about.
pub(super) fn check(file: &SourceFile) -> Option<String> {
    let first = file.text.lines().next().unwrap_or_default();
    let says = first.strip_prefix("//!").map(str::trim);
    match says {
        Some(text) if !text.is_empty() => None,
        _ => Some(format!(
            "{}:1: the first line must be a `//!` sentence that says what the file is for",
            file.path
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_what_the_file_is_for() {
        let judge = |text: &str, good: bool| {
            let file = SourceFile {
                path: "a.rs".into(),
                text: text.into(),
            };
            assert_eq!(check(&file).is_none(), good, "{text:?}");
        };
        judge("//! Says something.\nuse std::fmt;\n", true);
        judge("", false);
        judge("//!\n//! Says it too late.\n", false);
        judge("\n//! Says it too late.\n", false);
        judge("use std::fmt;\n", false);
        judge("// Not a doc comment.\n", false);
        judge("/// Documents the next item.\nfn f() {}\n", false);
        judge("#!/usr/bin/env run\n//! A script.\n", false);
        judge("#![allow(dead_code)]\n//! Late.\n", false);
    }
}
