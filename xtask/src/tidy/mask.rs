//! Rust source without its comments and without what its strings say.
//!
//! The rules look at code line by line; this is as much of the language as they need to tell code from text.

/// Returns `source` with every comment as spaces and every character inside a literal as `"`; the line breaks stay.
pub(super) fn mask(source: &str) -> String {
    let mut masked = Mask {
        rest: source,
        out: String::with_capacity(source.len()),
    };
    while !masked.rest.is_empty() {
        masked.step();
    }
    masked.out
}

struct Mask<'a> {
    rest: &'a str,
    out: String,
}

impl Mask<'_> {
    fn step(&mut self) {
        if self.rest.starts_with("//") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.take(end, ' ');
        } else if self.rest.starts_with("/*") {
            self.take(block_comment(self.rest), ' ');
        } else if let Some(end) = self.raw_string() {
            self.take(end, '"');
        } else if self.rest.starts_with('"') {
            self.take(quoted(self.rest, '"'), '"');
        } else if is_char_literal(self.rest) {
            self.take(quoted(self.rest, '\''), '"');
        } else if let Some(char) = self.rest.chars().next() {
            self.out.push(char);
            self.rest = &self.rest[char.len_utf8()..];
        }
    }

    /// Moves `length` bytes over, each character as `mark`.
    fn take(&mut self, length: usize, mark: char) {
        let (taken, rest) = self.rest.split_at(length);
        self.out.extend(
            taken
                .chars()
                .map(|char| if char == '\n' { '\n' } else { mark }),
        );
        self.rest = rest;
    }

    /// The length of a raw string that starts here, `r"…"` or `br##"…"##`.
    fn raw_string(&self) -> Option<usize> {
        if self.out.ends_with(is_word) {
            // The `r` ends a name.
            return None;
        }
        let prefix = ["r", "br", "cr"]
            .into_iter()
            .find(|prefix| self.rest.starts_with(prefix))?;
        let after = &self.rest[prefix.len()..];
        let hashes = after.len() - after.trim_start_matches('#').len();
        let body = after[hashes..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        let start = self.rest.len() - body.len();
        Some(
            body.find(&close)
                .map_or(self.rest.len(), |at| start + at + close.len()),
        )
    }
}

/// The length of the block comment that `text` starts with; they nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text.as_bytes()[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if text.as_bytes()[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of the literal that `text` starts with, which ends at the next `quote` without a backslash.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if char == '\\' {
            escaped = true;
        } else if char == quote {
            return at + char.len_utf8();
        }
    }
    text.len()
}

/// Tells `'a'` and `'\n'` from the lifetime `'a`.
fn is_char_literal(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some('\'')
        && match chars.next() {
            Some('\\') => true,
            Some('\'') | None => false,
            Some(_) => chars.next() == Some('\''),
        }
}

/// Whether `char` can be part of a name.
pub(super) fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_become_spaces_and_literals_quotes() {
        // Marks are shown as `~`, which reads better than a row of quotes.
        let check = |source: &str, expected: &str| {
            assert_eq!(mask(source).replace('"', "~"), expected, "{source}");
        };
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */ d\n */ e", "a               \n    e");
        check(r#"f("//", 1)"#, "f(~~~~, 1)");
        check(r#"f("a\"b", x)"#, "f(~~~~~~, x)");
        check(r##"r#"a " //"# c"##, "~~~~~~~~~~~ c");
        check(r#"br"x" for"x""#, "~~~~~ for~~~");
        check("r#type::x", "r#type::x");
        check(r"'{' '\'' 'é'", "~~~ ~~~~ ~~~");
        check("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)");
        check("\"a\nb\"", "~~\n~~");
        check("\"open", "~~~~~");
    }
}
