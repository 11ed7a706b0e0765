//! Files stay short enough to be read at one sitting.

use super::files::SourceFile;
use super::mask::mask;

/// From here on a file says why it is long.
const LONG: usize = 400;
/// From here on it has to be split, whatever it says.
const TOO_LONG: usize = 600;
/// How the header of a long file starts to explain itself.
const REASON: &str = "//! Long because";

/// What there is to say about the length of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    Long(String),
    TooLong(String),
}

/// Judges a file by its lines of code: comments, blank lines and the tests at its end do not count.
pub(super) fn check(file: &SourceFile) -> Verdict {
    let lines = code_lines(&file.text);
    let path = &file.path;
    if lines > TOO_LONG {
        Verdict::TooLong(format!(
            "{path}: {lines} lines of code, more than {TOO_LONG}; split it"
        ))
    } else if lines > LONG && !gives_a_reason(&file.text) {
        Verdict::Long(format!(
            "{path}: {lines} lines of code, more than {LONG}; split it, or say why in its header (`{REASON} …`)"
        ))
    } else {
        Verdict::Fine
    }
}

fn gives_a_reason(text: &str) -> bool {
    text.lines()
        .take_while(|line| line.starts_with("//!"))
        .any(|line| line.starts_with(REASON))
}

fn code_lines(text: &str) -> usize {
    let masked = mask(text);
    let lines: Vec<&str> = masked.lines().collect();
    let end = tests_start(&lines).unwrap_or(lines.len());
    lines[..end]
        .iter()
        .filter(|line| !line.trim().is_empty())
        .count()
}

/// The line where the test module that ends the file starts, attributes included.
fn tests_start(lines: &[&str]) -> Option<usize> {
    let module = lines
        .iter()
        .rposition(|line| line.starts_with("mod tests {"))?;
    // Only what is indented, and the brace that closes the module, may follow.
    let closes = lines[module..]
        .iter()
        .position(|line| line.starts_with('}'))?;
    let after = &lines[module + closes + 1..];
    if after.iter().any(|line| !line.trim().is_empty()) {
        return None;
    }
    let attributes = lines[..module]
        .iter()
        .rev()
        .take_while(|line| line.starts_with("#[") || line.starts_with([' ', ')']))
        .count();
    let start = module - attributes;
    lines[start..module]
        .iter()
        .position(|line| line.starts_with("#[cfg(test)]"))
        .map(|at| start + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, lines: usize) -> SourceFile {
        SourceFile {
            path: "a.rs".into(),
            text: format!("{header}\n{}", "let x = 1;\n".repeat(lines)),
        }
    }

    #[test]
    fn over_600_lines_fail_and_over_400_say_why() {
        let plain = "//! A file.";
        let reasoned = "//! A file.\n//!\n//! Long because it is a table.";
        assert_eq!(check(&file(plain, 400)), Verdict::Fine);
        assert!(matches!(check(&file(plain, 401)), Verdict::Long(_)));
        assert_eq!(check(&file(reasoned, 401)), Verdict::Fine);
        assert_eq!(check(&file(reasoned, 600)), Verdict::Fine);
        assert!(matches!(check(&file(reasoned, 601)), Verdict::TooLong(_)));
    }

    #[test]
    fn only_code_counts() {
        let check = |text: &str, expected| assert_eq!(code_lines(text), expected, "{text}");
        check("//! Header.\n\nfn f() {}\n/* a\nb */\n", 1);
        check("const TEXT: &str = \"\n// still a string\n\";\n", 3);
        let tests = "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    fn a() {\n    }\n}\n";
        check(tests, 1);
        check(
            "fn f() {}\n#[cfg(test)]\n#[expect(x, reason = \"y\")]\nmod tests {\n    fn a() {}\n}\n",
            1,
        );
        // Tests in the middle count, and so does a module that is no test.
        check(&format!("{tests}fn late() {{}}\n"), 7);
        check("fn f() {}\nmod tests {\n}\n", 3);
    }
}
