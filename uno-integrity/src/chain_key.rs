//! [`ChainKey`]: the secret without which no link can be made.

use std::{fmt, sync::Arc};

/// A secret of at least 32 bytes. With it, who can write to the store but does not know it can't make links that fit.
#[derive(Clone, PartialEq, Eq)]
pub struct ChainKey(Arc<[u8]>);

impl ChainKey {
    /// The fewest bytes that a key has: as many as the hash.
    pub const MIN_LENGTH: usize = 32;

    /// The key, if it is long enough.
    #[must_use]
    pub fn new(secret: &[u8]) -> Option<Self> {
        (secret.len() >= Self::MIN_LENGTH).then(|| Self(secret.into()))
    }

    pub(crate) fn secret(&self) -> &[u8] {
        &self.0
    }
}

/// Shows nothing of the secret.
impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_key_is_none_and_none_is_shown() {
        assert_eq!(ChainKey::new(&[7; 31]), None);
        let key = ChainKey::new(b"correct horse battery staple, and more").unwrap();
        assert_eq!(format!("{key:?}"), "ChainKey(..)");
    }
}
