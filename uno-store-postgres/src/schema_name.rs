//! [`SchemaName`]: an identifier that can't be bound, so it is checked.

use std::fmt;

/// The name of the Postgres schema that a store lives in: `^[a-z_][a-z0-9_]{0,47}$`, not beginning with `pg_`.
///
/// Identifiers can't be passed as parameters, so this is the only text of the user's that gets into SQL.
///
/// ```
/// use uno_store_postgres::SchemaName;
/// assert_eq!(SchemaName::new("shop_2")?.as_str(), "shop_2");
/// assert!(SchemaName::new("shop\"; drop table orders; --").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SchemaName(String);

impl SchemaName {
    /// The longest name. Postgres allows 63 bytes; the rest is room for what is named after the schema.
    pub const MAX_LENGTH: usize = 48;

    /// The name, if the text is one.
    ///
    /// # Errors
    /// When it has any other character, is empty, too long, or begins with `pg_`.
    pub fn new(name: impl Into<String>) -> Result<Self, SchemaNameError> {
        let name = name.into();
        let mut bytes = name.bytes();
        let valid = bytes
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && name.len() <= Self::MAX_LENGTH
            && !name.starts_with("pg_");
        if valid {
            Ok(Self(name))
        } else {
            Err(SchemaNameError(name))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as an SQL identifier. Quoted all the same: it may be a key word.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl Default for SchemaName {
    /// `uno`.
    fn default() -> Self {
        Self(String::from("uno"))
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that can't be the name of a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a name for a schema: lower-case letters, digits and `_`, no digit first, no `pg_` first, at most 48 characters"
)]
pub struct SchemaNameError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_identifiers_pass() {
        for good in ["uno", "_", "a1", "select", &"x".repeat(48)] {
            assert!(SchemaName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "1a",
            "Uno",
            "a-b",
            "a b",
            "a\"",
            "a'",
            "a;b",
            "a\0",
            "é",
            "pg_x",
            "a.b",
            "$1",
            &"x".repeat(49),
        ] {
            assert!(SchemaName::new(bad).is_err(), "{bad:?}");
        }
    }
}
