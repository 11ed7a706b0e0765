//! Places: in a stream ([`Version`]), in the log ([`Position`]), and in the life of a schema.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! place {
    ($(#[$doc:meta])* $name:ident, $zero:ident, $zero_doc:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "u64", into = "u64")]
        pub struct $name(u64);

        impl $name {
            #[doc = $zero_doc]
            pub const $zero: Self = Self(0);
            /// The highest there can be: 2^63 - 1, so that every database has a type for it.
            pub const MAX: Self = Self(i64::MAX as u64);

            /// The place with this number.
            ///
            /// # Errors
            /// When the number needs more than 63 bits.
            pub const fn new(number: u64) -> Result<Self, OutOfRange> {
                if number > Self::MAX.0 { Err(OutOfRange(number)) } else { Ok(Self(number)) }
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The number as databases keep it. Never negative.
            #[must_use]
            pub const fn as_i64(self) -> i64 {
                self.0.cast_signed()
            }

            /// The place that is `count` further on, if there is one.
            #[must_use]
            pub const fn checked_add(self, count: u64) -> Option<Self> {
                match self.0.checked_add(count) {
                    Some(sum) if sum <= Self::MAX.0 => Some(Self(sum)),
                    _ => None,
                }
            }

            /// The next place; stays at [`MAX`](Self::MAX) when it is there.
            #[must_use]
            pub const fn next(self) -> Self {
                if self.0 < Self::MAX.0 { Self(self.0 + 1) } else { self }
            }

            /// The place before; stays at zero when it is there.
            #[must_use]
            pub const fn previous(self) -> Self {
                Self(self.0.saturating_sub(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl TryFrom<u64> for $name {
            type Error = OutOfRange;
            fn try_from(number: u64) -> Result<Self, OutOfRange> {
                Self::new(number)
            }
        }

        impl TryFrom<i64> for $name {
            type Error = OutOfRange;
            fn try_from(number: i64) -> Result<Self, OutOfRange> {
                u64::try_from(number).map_or(Err(OutOfRange(number.cast_unsigned())), Self::new)
            }
        }

        impl From<$name> for u64 {
            fn from(place: $name) -> Self {
                place.0
            }
        }
    };
}

place! {
    /// A place in one stream. The first event has version 1, and there are no holes.
    ///
    /// As the version *of a stream* it is that of its last event, and [`EMPTY`](Self::EMPTY) when it has none.
    Version, EMPTY, "The version of a stream without events."
}

place! {
    /// A place in the one global order of a store. Rises from event to event, with holes where an append failed.
    Position, START, "The place before the first event."
}

/// A number that needs more than 63 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not in 0..=2^63-1")]
pub struct OutOfRange(u64);

/// The version of the *shape* of an event type, from 1 upwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaVersion(u32);

impl SchemaVersion {
    /// The shape that an event type begins with.
    pub const FIRST: Self = Self(1);

    /// The version with this number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The version after this one; the highest stays as it is.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for SchemaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an append takes for granted about a stream; if it is wrong, nothing is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must handle every case"
)]
pub enum ExpectedVersion {
    /// Nothing: append at the end, wherever that is.
    Any,
    /// The stream has no event yet.
    NoStream,
    /// The stream has at least one event.
    StreamExists,
    /// The stream's last event has exactly this version. [`Version::EMPTY`] is the same as [`NoStream`](Self::NoStream).
    Exact(Version),
}

impl ExpectedVersion {
    /// Whether a stream at `actual` is what was expected.
    #[must_use]
    pub fn allows(self, actual: Version) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => actual == Version::EMPTY,
            Self::StreamExists => actual > Version::EMPTY,
            Self::Exact(version) => actual == version,
        }
    }
}

impl fmt::Display for ExpectedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any version"),
            Self::NoStream => f.write_str("no stream"),
            Self::StreamExists => f.write_str("an existing stream"),
            Self::Exact(version) => write!(f, "version {version}"),
        }
    }
}
