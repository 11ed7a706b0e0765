//! How many tests passed, failed and were skipped, read from what the runners print.

use std::fmt;
use std::ops::Add;

/// A number of tests, by how they went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// Reads `Summary [ 0.1s] 5 tests run: 3 passed (1 slow, 1 flaky), 2 failed, 0 skipped`.
pub(super) fn nextest_summary(line: &str) -> Option<Counts> {
    let line = plain(line);
    let (_, summary) = line.trim().strip_prefix("Summary [")?.split_once(']')?;
    let (run, counts) = summary.split_once(':')?;
    if !(run.ends_with("tests run") || run.ends_with("test run")) {
        return None;
    }
    Some(sum(without_parentheses(counts).split(','), |word| {
        match word {
            "passed" => Kind::Passed,
            "skipped" => Kind::Skipped,
            // Timed out, could not be executed, leaked, and whatever comes: nothing unknown is good.
            _ => Kind::Failed,
        }
    }))
}

/// Adds up what libtest prints, one block after the other.
///
/// A block begins with `running 3 tests` and ends with its result; what a failed test printed stands between, and may look like a result too, so the last one counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Libtest {
    finished: Option<Counts>,
    current: Option<Counts>,
}

impl Libtest {
    /// Reads the next line of the output.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(counts) = libtest_result(line) {
            self.current = Some(counts);
        } else if starts_block(line) {
            self.finished = self.total();
            self.current = None;
        }
    }

    /// The sum so far, or nothing if there was no result at all.
    pub(super) fn total(&self) -> Option<Counts> {
        match (self.finished, self.current) {
            (Some(finished), Some(current)) => Some(finished + current),
            (finished, current) => finished.or(current),
        }
    }
}

/// Reads `running 3 tests`.
fn starts_block(line: &str) -> bool {
    let line = plain(line);
    let mut words = line.trim_end().split(' ');
    words.next() == Some("running")
        && words
            .next()
            .is_some_and(|number| number.parse::<u64>().is_ok())
        && matches!(words.next(), Some("test" | "tests"))
        && words.next().is_none()
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s`.
fn libtest_result(line: &str) -> Option<Counts> {
    let line = plain(line);
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    Some(sum(counts.split(';'), |word| match word {
        "failed" => Kind::Failed,
        "ignored" | "filtered out" => Kind::Skipped,
        // A benchmark that was measured did run.
        _ => Kind::Passed,
    }))
}

enum Kind {
    Passed,
    Failed,
    Skipped,
}

/// Adds up parts like `3 passed`; a part that does not begin with a number is no count.
fn sum<'a>(parts: impl Iterator<Item = &'a str>, kind: impl Fn(&str) -> Kind) -> Counts {
    let mut counts = Counts::default();
    for part in parts {
        let Some((number, word)) = part.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        match kind(word.trim()) {
            Kind::Passed => counts.passed += number,
            Kind::Failed => counts.failed += number,
            Kind::Skipped => counts.skipped += number,
        }
    }
    counts
}

/// The line without the colours of a terminal.
fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' {
            // An escape ends with a letter.
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(char);
        }
    }
    plain
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0_usize;
    let mut kept = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(char),
            _ => {}
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn counts(passed: u64, failed: u64, skipped: u64) -> Counts {
        Counts {
            passed,
            failed,
            skipped,
        }
    }

    #[test]
    fn nextest_summaries() {
        let check = |line: &str, expected| assert_eq!(nextest_summary(line), expected, "{line}");
        check(
            "     Summary [   0.004s] 3 tests run: 3 passed, 0 skipped\n",
            Some(counts(3, 0, 0)),
        );
        check(
            "     Summary [   0.004s] 1 test run: 1 passed, 7 skipped",
            Some(counts(1, 0, 7)),
        );
        check(
            "Summary [ 1.2s] 10/12 tests run: 7 passed (1 slow, 2 flaky), 1 failed, 1 timed out, 1 exec failed, 3 skipped",
            Some(counts(7, 3, 3)),
        );
        check(
            "\u{1b}[31;1m     Summary\u{1b}[0m [   0.3s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m1\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m1\u{1b}[0m \u{1b}[31;1mfailed\u{1b}[0m, \u{1b}[1m0\u{1b}[0m \u{1b}[33;1mskipped\u{1b}[0m\n",
            Some(counts(1, 1, 0)),
        );
        check("    Starting 3 tests across 2 binaries", None);
        check("     Summary [   0.004s] nothing to do", None);
    }

    #[test]
    fn libtest_results() {
        let check = |line: &str, expected| assert_eq!(libtest_result(line), expected, "{line}");
        check(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s\n",
            Some(counts(3, 0, 3)),
        );
        check(
            "test result: \u{1b}[31mFAILED\u{1b}[m. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            Some(counts(3, 2, 0)),
        );
        check("test some::test ... ok", None);
        // A test's own output, shown indented.
        check("    test result: ok. 3 passed; 0 failed", None);
    }

    #[test]
    fn the_last_result_of_each_block_counts() {
        let check = |output: &str, expected| {
            let mut libtest = Libtest::default();
            output.lines().for_each(|line| libtest.read(line));
            assert_eq!(libtest.total(), expected, "{output}");
        };
        check("error: could not compile `a`", None);
        check(
            "running 2 tests\ntest result: ok. 2 passed; 0 failed\n\nrunning 1 test\ntest result: FAILED. 0 passed; 1 failed\n",
            Some(counts(2, 1, 0)),
        );
        check(
            "running 2 tests\n---- a stdout ----\ntest result: ok. 50 passed; 0 failed\n\ntest result: FAILED. 1 passed; 1 failed\n",
            Some(counts(1, 1, 0)),
        );
    }

    #[test]
    fn the_line_reads_as_promised() {
        assert_eq!(
            (counts(1, 0, 2) + counts(3, 4, 0)).to_string(),
            "4 passed, 4 failed, 2 skipped"
        );
    }
}
