//! [`Generation`]: one building of a read model from the log.

use std::{borrow::Cow, fmt, num::NonZeroU32};

use serde::{Deserialize, Serialize};

/// One building of a read model from the log: each has rows and a checkpoint of its own, so that a new one can be built while the
/// old one serves. Numbered from 1; a number is never used again.
///
/// ```
/// use uno_cqrs::Generation;
///
/// let second = Generation::FIRST.next();
/// assert_eq!(Generation::FIRST.name_of("spending"), "spending");
/// assert_eq!(second.name_of("spending"), "spending@2");
/// assert_eq!(second.table("spending"), "spending_g2");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(NonZeroU32);

impl Generation {
    /// The first one, which has the plain names.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// What stands between a name and the number, so that no read model has it in its name.
    pub(crate) const MARK: char = '@';

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The one after it; the highest there can be stays where it is.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// What its subscription and its collection are called: the plain name for the first one.
    #[must_use]
    pub fn name_of(self, name: &str) -> Cow<'_, str> {
        if self == Self::FIRST {
            Cow::Borrowed(name)
        } else {
            Cow::Owned(format!("{name}{}{self}", Self::MARK))
        }
    }

    /// A name for a table of its rows that needs no quotes if `table` needs none: the plain name for the first one.
    #[must_use]
    pub fn table(self, table: &str) -> Cow<'_, str> {
        if self == Self::FIRST {
            Cow::Borrowed(table)
        } else {
            Cow::Owned(format!("{table}_g{self}"))
        }
    }
}

impl From<NonZeroU32> for Generation {
    fn from(number: NonZeroU32) -> Self {
        Self(number)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
