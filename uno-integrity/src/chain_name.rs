//! [`ChainName`]: which chain.

use std::fmt;

use uno_core::SubscriptionName;

/// The name of a chain: 1 to 64 lower-case letters, digits, `_` and `.`. Its subscription and its collection are named by it, so two
/// chains over one log, such as one for each key, do not touch each other.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ChainName(SubscriptionName);

impl ChainName {
    const PREFIX: &str = "uno.chain.";

    /// The name, if the text is one.
    ///
    /// # Errors
    /// When it is empty, longer than 64 bytes, or has another character.
    pub fn new(name: &str) -> Result<Self, ChainNameError> {
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'_' | b'.');
        let error = || ChainNameError(name.to_owned());
        if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
            return Err(error());
        }
        let name = format!("{}{name}", Self::PREFIX);
        SubscriptionName::new(name).map(Self).map_err(|_| error())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let name = self.0.as_str();
        name.strip_prefix(Self::PREFIX).unwrap_or(name)
    }

    /// The name of the subscription that feeds the chain: `uno.chain.` and the name.
    #[must_use]
    pub fn subscription(&self) -> &SubscriptionName {
        &self.0
    }

    /// Where its links are kept.
    pub(crate) fn collection(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A text that can't name a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name for a chain: 1 to 64 lower-case letters, digits, `_` and `.`")]
pub struct ChainNameError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let name = ChainName::new("ledger_2.eu").unwrap();
        assert_eq!(name.as_str(), "ledger_2.eu");
        assert_eq!(name.subscription().as_str(), "uno.chain.ledger_2.eu");
        for bad in ["", "Ledger", "a b", "a/b", &"x".repeat(65)] {
            assert_eq!(ChainName::new(bad), Err(ChainNameError(bad.to_owned())));
        }
    }
}
