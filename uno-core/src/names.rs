//! Stored names of events and commands.

use std::{
    borrow::{Borrow, Cow},
    fmt,
};

use crate::shared_text::SharedText;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        ///
        /// Starts with a lower-case letter and goes on with lower-case letters, digits, `_` and `.`; at most 128 characters. Cheap to clone.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(SharedText);

        impl $name {
            /// The name, if it is one.
            ///
            /// # Errors
            /// When the text is empty, too long, or has a character that names can't have.
            pub fn new(name: impl Into<Cow<'static, str>>) -> Result<Self, NameError> {
                let name = name.into();
                if is_name(&name) { Ok(Self(name.into())) } else { Err(NameError { what: $what, name: name.into_owned() }) }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        /// Names compare as their texts do.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// The stored name of an event type, such as `order_placed`.
    EventName, "event"
}

name! {
    /// The stored name of a command type, such as `place_order`.
    CommandName, "command"
}

/// A text that can't be the name of an event or a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is not a name for an {what}: it starts with a lower-case letter, goes on with lower-case letters, \
     digits, `_` and `.`, and has at most 128 characters"
)]
pub struct NameError {
    what: &'static str,
    name: String,
}

impl NameError {
    /// The text that was refused.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The rule for names, usable where derives check it at compile time.
pub(crate) const fn is_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > 128 || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut i = 1;
    while i < bytes.len() {
        if !(bytes[i].is_ascii_lowercase()
            || bytes[i].is_ascii_digit()
            || bytes[i] == b'_'
            || bytes[i] == b'.')
        {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_lower_case_and_starts_with_a_letter() {
        for good in ["a", "order_placed", "shop.order_placed2", &"a".repeat(128)] {
            assert!(EventName::new(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "A",
            "1a",
            "_a",
            "order-placed",
            "order placed",
            "é",
            "a\0",
            "a'; drop",
            &"a".repeat(129),
        ] {
            assert!(EventName::new(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
