//! [`Cents`]: money as whole cents, never a float.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign, Sub},
    str::FromStr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An amount in US cents.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Cents(pub i64);

impl Cents {
    /// Nothing.
    pub const ZERO: Self = Self(0);
}

impl Add for Cents {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Cents {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Cents {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Sum for Cents {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Shown as dollars: `$1,234.56`.
impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, cents) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let dollars = (cents / 100).to_string();
        let mut grouped = String::new();
        for (i, digit) in dollars.chars().enumerate() {
            if i > 0 && (dollars.len() - i) % 3 == 0 {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        f.pad(&format!("{sign}${grouped}.{:02}", cents % 100))
    }
}

/// Read from dollars: `29.33`, `12`, `0.5`; exactly, without a float on the way.
impl FromStr for Cents {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        let error = || NotAnAmount(text.to_owned());
        let (dollars, cents) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(dollars) || !digits(cents) || cents.len() > 2 {
            return Err(error());
        }
        let tens = if cents.len() == 1 { 10 } else { 1 };
        let dollars: i64 = dollars.parse().map_err(|_| error())?;
        let cents: i64 = cents.parse().map_err(|_| error())?;
        dollars
            .checked_mul(100)
            .and_then(|whole| whole.checked_add(cents * tens))
            .map(Self)
            .ok_or_else(error)
    }
}

/// The text is no amount in dollars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAnAmount(String);

impl fmt::Display for NotAnAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an amount such as 29.33", self.0)
    }
}

impl std::error::Error for NotAnAmount {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_exactly() {
        for (text, cents) in [
            ("29.33", 2933),
            ("0.00", 0),
            ("12", 1200),
            ("0.5", 50),
            ("1286.01", 128_601),
        ] {
            assert_eq!(text.parse(), Ok(Cents(cents)), "{text}");
        }
        for text in [
            "",
            "-1.00",
            "1.234",
            "1,00",
            "x",
            ".",
            "1.",
            "NaN",
            "1e3",
            "99999999999999999999",
        ] {
            assert!(text.parse::<Cents>().is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_as_dollars() {
        for (cents, text) in [
            (0, "$0.00"),
            (5, "$0.05"),
            (123_456, "$1,234.56"),
            (-100, "-$1.00"),
            (100_000_000, "$1,000,000.00"),
        ] {
            assert_eq!(Cents(cents).to_string(), text);
        }
    }
}
