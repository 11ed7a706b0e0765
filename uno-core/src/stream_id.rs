//! [`StreamId`]: which stream, as a category and an id within it.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use crate::{names::is_name, shared_text::SharedText};

/// The kind of thing a stream is about, such as `order`: what all streams of one aggregate type share.
///
/// A category is written like an event's name: lower-case letters, digits, `_` and `.`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Category(SharedText);

impl Category {
    /// The category, if the text is one.
    ///
    /// # Errors
    /// When the text is empty, longer than 128 characters, or has a character that a category can't have.
    pub fn new(category: impl Into<Cow<'static, str>>) -> Result<Self, StreamIdError> {
        let category = category.into();
        if is_name(&category) {
            Ok(Self(category.into()))
        } else {
            Err(StreamIdError::Category(category.into_owned()))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Names one stream: a [`Category`] and an id within it, written `order-1742`.
///
/// ```
/// use uno_core::StreamId;
/// let stream: StreamId = "order-1742".parse()?;
/// assert_eq!((stream.category().as_str(), stream.key()), ("order", "1742"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    category: Category,
    key: Arc<str>,
}

impl StreamId {
    /// The longest id within a category, in bytes of UTF-8.
    pub const MAX_KEY: usize = 512;

    /// The stream of `key` in `category`.
    ///
    /// # Errors
    /// When the category or the key is empty, too long, or has a character it can't have (control characters in the key).
    pub fn new(
        category: impl Into<Cow<'static, str>>,
        key: impl Into<Arc<str>>,
    ) -> Result<Self, StreamIdError> {
        Self::in_category(Category::new(category)?, key)
    }

    /// The stream of `key` in a category that was checked already.
    ///
    /// # Errors
    /// When the key is empty, too long, or has a control character.
    pub fn in_category(
        category: Category,
        key: impl Into<Arc<str>>,
    ) -> Result<Self, StreamIdError> {
        let key = key.into();
        if key.is_empty() || key.len() > Self::MAX_KEY {
            return Err(StreamIdError::KeyLength(key.len()));
        }
        if let Some(character) = key.chars().find(|c| c.is_control()) {
            return Err(StreamIdError::KeyCharacter(character));
        }
        Ok(Self { category, key })
    }

    /// What kind of thing the stream is about.
    #[must_use]
    pub fn category(&self) -> &Category {
        &self.category
    }

    /// Which one of them.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.category, self.key)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({self})")
    }
}

impl FromStr for StreamId {
    type Err = StreamIdError;

    /// Reads `category-key`; the first hyphen ends the category.
    fn from_str(text: &str) -> Result<Self, StreamIdError> {
        let (category, key) = text
            .split_once('-')
            .ok_or_else(|| StreamIdError::NoHyphen(text.to_owned()))?;
        Self::new(category.to_owned(), key)
    }
}

/// Why a text is not a stream id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamIdError {
    /// The category is not written as one.
    #[error(
        "{0:?} is not a category: lower-case letters, digits, `_` and `.`, a letter first, at most 128 characters"
    )]
    Category(String),
    /// The key is empty or too long.
    #[error("the key of a stream has 1 to 512 bytes, not {0}")]
    KeyLength(usize),
    /// The key has a control character.
    #[error("the key of a stream can't have the control character {0:?}")]
    KeyCharacter(char),
    /// There is no hyphen between category and key.
    #[error("{0:?} is not a stream id: there is no hyphen between category and key")]
    NoHyphen(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hyphen_ends_the_category() {
        let stream: StreamId = "order-a-b".parse().unwrap();
        assert_eq!((stream.category().as_str(), stream.key()), ("order", "a-b"));
        assert_eq!(stream.to_string(), "order-a-b");
    }

    #[test]
    fn what_a_database_would_refuse_or_change_is_refused() {
        for bad in ["order", "order-", "-a", "Order-a", "order-\0", "order-a\nb"] {
            assert!(bad.parse::<StreamId>().is_err(), "{bad:?}");
        }
        assert_eq!(
            StreamId::new("order", "x".repeat(513)),
            Err(StreamIdError::KeyLength(513))
        );
        assert!(StreamId::new("order", "é".repeat(256)).is_ok());
    }
}
