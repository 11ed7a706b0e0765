//! [`NamePattern`]: which stored names, by their shape.

use std::{fmt, str::FromStr, sync::Arc};

/// A shape of stored names: `*` stands for any characters, also for none; `?` for one.
///
/// ```
/// use uno_events::NamePattern;
///
/// let orders = NamePattern::new("order_*")?;
/// assert!(orders.matches("order_placed") && !orders.matches("reorder_placed"));
/// let refused = NamePattern::new("Order*").unwrap_err();
/// assert_eq!(refused.pattern(), "Order*");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A bus matches a pattern once with each stored name that it comes across, not at each publish.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamePattern(Arc<str>);

/// A text that is no pattern of names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is not a pattern of stored names: {why}")]
pub struct InvalidPattern {
    pattern: String,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than a name, which has at most {LONGEST} characters")]
    TooLong,
    #[error("a name begins with a lower-case letter, and never with {0:?}")]
    Start(char),
    #[error("no name has the character {0:?}")]
    Character(char),
}

const LONGEST: usize = 128;

impl NamePattern {
    /// The pattern, if it is one that a stored name can fit: lower-case letters, digits, `_`, `.`, `*` and `?`, at most 128
    /// characters.
    ///
    /// # Errors
    /// When no name could fit: the error names the pattern.
    pub fn new(pattern: impl Into<String>) -> Result<Self, InvalidPattern> {
        let pattern = pattern.into();
        match why_not(&pattern) {
            None => Ok(Self(pattern.into())),
            Some(why) => Err(InvalidPattern { pattern, why }),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a stored name fits.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        // Where the last star stood, and how much of the name it has taken in so far. Only the last one is ever tried again,
        // so that no pattern takes longer than the product of the lengths.
        let mut star = None;
        while n < name.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(&byte) if byte == b'?' || byte == name[n] => (p, n) = (p + 1, n + 1),
                _ => match star {
                    None => return false,
                    Some((at, taken)) => {
                        star = Some((at, taken + 1));
                        (p, n) = (at + 1, taken + 1);
                    }
                },
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

fn why_not(pattern: &str) -> Option<Why> {
    let Some(first) = pattern.chars().next() else {
        return Some(Why::Empty);
    };
    if pattern.len() > LONGEST {
        return Some(Why::TooLong);
    }
    let fits = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '.' | '*' | '?');
    if let Some(other) = pattern.chars().find(|c| !fits(*c)) {
        return Some(Why::Character(other));
    }
    (!matches!(first, 'a'..='z' | '*' | '?')).then_some(Why::Start(first))
}

impl InvalidPattern {
    /// The text that was refused.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }
}

impl FromStr for NamePattern {
    type Err = InvalidPattern;

    fn from_str(pattern: &str) -> Result<Self, InvalidPattern> {
        Self::new(pattern)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_or_do_not() {
        for (pattern, fits, fails) in [
            (
                "order_*",
                &["order_", "order_placed"][..],
                &["order", "reorder_placed"][..],
            ),
            (
                "*_placed",
                &["order_placed", "_placed", "a_placed_placed"],
                &["placed", "order_placed_"],
            ),
            ("*", &["", "a"], &[]),
            ("a*b*c", &["abc", "aXbXc", "abcbc"], &["ab", "acb", "abcd"]),
            ("a?c", &["abc"], &["ac", "abbc"]),
            ("a", &["a"], &["", "aa", "b"]),
            ("?*", &["a", "ab"], &[""]),
            ("*a*", &["a", "bab"], &["", "b"]),
        ] {
            let matches = |name: &&&str| NamePattern::new(pattern).unwrap().matches(name);
            assert!(fits.iter().all(|name| matches(&name)), "{pattern} {fits:?}");
            assert!(
                !fails.iter().any(|name| matches(&name)),
                "{pattern} {fails:?}"
            );
        }
    }

    #[test]
    fn a_bad_pattern_is_named() {
        for (pattern, why) in [
            ("", Why::Empty),
            ("Order*", Why::Character('O')),
            ("order-*", Why::Character('-')),
            ("_placed", Why::Start('_')),
            ("[ab]", Why::Character('[')),
        ] {
            let error = NamePattern::new(pattern).unwrap_err();
            assert_eq!((error.pattern(), &error.why), (pattern, &why));
            assert!(
                error.to_string().contains(&format!("{pattern:?}")),
                "{error}"
            );
        }
        assert_eq!(
            NamePattern::new("a".repeat(129)).unwrap_err().why,
            Why::TooLong
        );
    }

    /// The same by trying everything.
    fn slow(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((b'*', after)), rest) => {
                slow(after, name) || rest.is_some_and(|(_, rest)| slow(pattern, rest))
            }
            (Some(_), None) => false,
            (Some((byte, after)), Some((first, rest))) => {
                (*byte == b'?' || byte == first) && slow(after, rest)
            }
        }
    }

    #[test]
    fn a_fast_match_is_the_slow_one() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut text = |of: &[u8], most| -> String {
            let length = random.usize(0..=most);
            (0..length)
                .map(|_| char::from(of[random.usize(0..of.len())]))
                .collect()
        };
        for _ in 0..20_000 {
            let (pattern, name) = (text(b"ab*?*", 7), text(b"ab", 9));
            let Ok(compiled) = NamePattern::new(&*pattern) else {
                continue;
            };
            let expected = slow(pattern.as_bytes(), name.as_bytes());
            assert_eq!(
                compiled.matches(&name),
                expected,
                "{pattern} {name} (seed {seed})"
            );
        }
    }
}
