//! [`Payload`]: JSON text that every store gives back as it was.

use std::{fmt, sync::Arc};

use serde::Serialize;

use crate::{Refusal, check};

/// JSON text, checked once: valid, at most 64 levels deep, without NUL characters, and with numbers that
/// can be read back.
///
/// Two payloads are equal when their text is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Payload(Arc<str>);

impl Payload {
    /// The payload with this text.
    ///
    /// # Errors
    /// When the text is not JSON, or could not be read back equal from every store.
    pub fn from_json(text: impl Into<Arc<str>>) -> Result<Self, Refusal> {
        let text = text.into();
        check::json(&text)?;
        Ok(Self(text))
    }

    /// A value as a payload.
    ///
    /// ```
    /// use uno_core::Payload;
    /// assert_eq!(Payload::encode(&[1, 2])?.as_str(), "[1,2]");
    /// assert_eq!(Payload::encode(&[f64::NAN]).unwrap_err().field(), "payload[0]");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When serde can't serialize the value, or it could not be read back equal: serde_json writes a number that is
    /// not finite as `null`, which this refuses.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, Refusal> {
        check::finite(value)?;
        let text = serde_json::to_string(value)
            .map_err(|error| Refusal::new("payload", error.to_string()))?;
        Self::from_json(text)
    }

    /// The payload with a text that a store has kept, which was checked when it was written.
    #[must_use]
    pub fn from_stored(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "JSON text is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Shows the length only: payloads are the user's data and stay out of logs.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}
