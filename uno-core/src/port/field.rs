//! [`FieldValue`]: what a document is found by, as bytes that sort as it does.

use std::ops::{Bound, RangeBounds};

use chrono::{DateTime, Utc};

/// The highest byte: what no value begins with, and no value has behind it.
const END: u8 = 0xff;

/// What a type of values is: one that can be a field of a document, and sorts alike on every store.
///
/// Numbers sort by what they are worth, texts by the bytes of their UTF-8, times from old to new, `false` before `true`, and tuples by
/// their first part, then by their second and so on.
///
/// # Contract
/// 1. Of two values of one type the lesser one has the lesser bytes, and equal ones have equal bytes.
/// 2. The bytes of no value are the beginning of those of another one of its type, and no value has a byte 255 at its beginning or
///    behind its end.
/// 3. Two types of one `shape` write equal values equally.
pub trait Indexable {
    /// What such values are written as. Another shape is another field.
    fn shape() -> String;

    /// Adds the value's bytes.
    fn write(&self, bytes: &mut Vec<u8>);
}

/// The value of a field, as bytes that sort as it does.
///
/// ```
/// use uno_core::FieldValue;
///
/// assert!(FieldValue::of(&-3_i64) < FieldValue::of(&20_u32));
/// assert!(FieldValue::of("Zoe") < FieldValue::of("ada"));
/// assert!(FieldValue::of(&("paid", 7)) < FieldValue::of(&("paid", 8)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldValue(Vec<u8>);

impl FieldValue {
    /// How many bytes a value may have in a store: what an entry of an index has room for.
    pub const MAX_BYTES: usize = 512;

    /// A value as bytes.
    #[must_use]
    pub fn of<V: Indexable + ?Sized>(value: &V) -> Self {
        let mut bytes = Vec::new();
        value.write(&mut bytes);
        Self(bytes)
    }

    /// What a store has kept. For stores.
    #[must_use]
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes as hexadecimal digits. For stores.
    #[must_use]
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A stretch of values, from one on and up to before another.
///
/// ```
/// use uno_core::{FieldRange, FieldValue};
///
/// let teens = FieldRange::of(&(13..20));
/// assert!(teens.contains(&FieldValue::of(&19)) && !teens.contains(&FieldValue::of(&20)));
///
/// let paid = FieldRange::equal("paid");
/// assert!(paid.contains(&FieldValue::of(&("paid", 7))) && !paid.contains(&FieldValue::of(&("paid out", 7))));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRange {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl FieldRange {
    /// All values.
    #[must_use]
    pub fn all() -> Self {
        Self {
            from: Vec::new(),
            to: vec![END],
        }
    }

    /// This value alone; of tuples, all that begin with it.
    #[must_use]
    pub fn equal<V: Indexable + ?Sized>(value: &V) -> Self {
        Self {
            from: FieldValue::of(value).0,
            to: behind(value),
        }
    }

    /// The values within these bounds. A bound may be the beginning of tuples: it stands for all of them.
    #[must_use]
    pub fn of<V: Indexable>(bounds: &impl RangeBounds<V>) -> Self {
        let all = Self::all();
        Self {
            from: match bounds.start_bound() {
                Bound::Included(value) => FieldValue::of(value).0,
                Bound::Excluded(value) => behind(value),
                Bound::Unbounded => all.from,
            },
            to: match bounds.end_bound() {
                Bound::Included(value) => behind(value),
                Bound::Excluded(value) => FieldValue::of(value).0,
                Bound::Unbounded => all.to,
            },
        }
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            from: self.from.max(other.from),
            to: self.to.min(other.to),
        }
    }

    /// The bytes that the values in it have at least. For stores.
    #[must_use]
    pub fn lower(&self) -> &[u8] {
        &self.from
    }

    /// The bytes that the values in it are below. For stores.
    #[must_use]
    pub fn upper(&self) -> &[u8] {
        &self.to
    }

    /// Whether a value is in it.
    #[must_use]
    pub fn contains(&self, value: &FieldValue) -> bool {
        *self.from <= *value.0 && *value.0 < *self.to
    }
}

/// The first bytes that come after a value, and after all that begin with it.
fn behind<V: Indexable + ?Sized>(value: &V) -> Vec<u8> {
    let mut bytes = FieldValue::of(value).0;
    bytes.push(END);
    bytes
}

impl<V: Indexable + ?Sized> Indexable for &V {
    fn shape() -> String {
        V::shape()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        V::write(self, bytes);
    }
}

impl Indexable for bool {
    fn shape() -> String {
        "truth".to_owned()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(*self));
    }
}

/// The sign, and then the number as it would be counted up from the lowest one of that sign.
macro_rules! numbers {
    ($($number:ty)*) => {
        $(impl Indexable for $number {
            fn shape() -> String {
                "number".to_owned()
            }

            fn write(&self, bytes: &mut Vec<u8>) {
                let wide = i128::from(*self);
                bytes.push(u8::from(wide >= 0));
                // The low 64 bits: of the numbers of one sign they sort as the numbers do.
                bytes.extend_from_slice(&wide.to_be_bytes()[8..]);
            }
        })*
    };
}

numbers!(i8 i16 i32 i64 u8 u16 u32 u64);

impl Indexable for str {
    fn shape() -> String {
        "text".to_owned()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        for byte in self.bytes() {
            bytes.push(byte);
            // So that no NUL in a text is taken for its end, which is two of them.
            if byte == 0 {
                bytes.push(1);
            }
        }
        bytes.extend_from_slice(&[0, 0]);
    }
}

impl Indexable for String {
    fn shape() -> String {
        str::shape()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        self.as_str().write(bytes);
    }
}

/// To the microsecond.
impl Indexable for DateTime<Utc> {
    fn shape() -> String {
        "time".to_owned()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        self.timestamp_micros().write(bytes);
    }
}

impl<A: Indexable, B: Indexable> Indexable for (A, B) {
    fn shape() -> String {
        format!("({}, {})", A::shape(), B::shape())
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        self.0.write(bytes);
        self.1.write(bytes);
    }
}

impl<A: Indexable, B: Indexable, C: Indexable> Indexable for (A, B, C) {
    fn shape() -> String {
        format!("({}, {}, {})", A::shape(), B::shape(), C::shape())
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        self.0.write(bytes);
        self.1.write(bytes);
        self.2.write(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_sorted<V: Indexable + std::fmt::Debug>(values: &[V]) {
        for (at, lesser) in values.iter().enumerate() {
            let low = FieldValue::of(lesser);
            assert!(FieldRange::all().contains(&low), "{lesser:?}");
            assert!(FieldRange::equal(lesser).contains(&low), "{lesser:?}");
            for greater in &values[at + 1..] {
                let high = FieldValue::of(greater);
                assert!(low < high, "{lesser:?} comes before {greater:?}");
                assert!(
                    !high.as_bytes().starts_with(low.as_bytes()),
                    "{lesser:?} is not the beginning of {greater:?}"
                );
                assert!(!FieldRange::equal(lesser).contains(&high), "{greater:?}");
            }
        }
    }

    #[test]
    fn bytes_sort_as_values_do() {
        assert_sorted(&[i64::MIN, -257, -256, -255, -1, 0, 1, 255, 256, i64::MAX]);
        assert_sorted(&[0, 1, 1 << 63, u64::MAX]);
        assert_sorted(&[false, true]);
        assert_sorted(&[
            "",
            "\0",
            "\0\0",
            "\0a",
            "\u{1}",
            "A",
            "a",
            "a\0",
            "a\0b",
            "a\u{1}",
            "ab",
            "b",
            "\u{10ffff}",
        ]);
        assert_sorted(&[("a", -1), ("a", 0), ("a\0", -5), ("ab", -9), ("b", -9)]);
        let time = |micros| DateTime::from_timestamp_micros(micros).unwrap();
        assert_sorted(&[time(-1), time(0), time(1_000_001)]);
    }

    #[test]
    fn all_numbers_are_one_shape() {
        assert_eq!(FieldValue::of(&7_u8), FieldValue::of(&7_i64));
        assert_eq!(<(u8, String)>::shape(), <(i64, &str)>::shape());
        assert_ne!(<(u8, String)>::shape(), <(u8, bool)>::shape());
    }

    #[test]
    fn a_range_has_what_its_bounds_say() {
        let (four, five, six) = (FieldValue::of(&4), FieldValue::of(&5), FieldValue::of(&6));
        let has = |range: &FieldRange| [&four, &five, &six].map(|value| range.contains(value));
        assert_eq!(has(&FieldRange::of(&(5..6))), [false, true, false]);
        assert_eq!(has(&FieldRange::of(&(5..=6))), [false, true, true]);
        assert_eq!(has(&FieldRange::of::<i64>(&(..5))), [true, false, false]);
        let after = (Bound::Excluded(4), Bound::Unbounded);
        assert_eq!(has(&FieldRange::of::<i64>(&after)), [false, true, true]);
        let both = FieldRange::of(&(4..)).and(FieldRange::of(&(..6)));
        assert_eq!(has(&both), [true, true, false]);
        let since = FieldRange::equal("a").and(FieldRange::of(&(("a", 5)..)));
        assert!(since.contains(&FieldValue::of(&("a", 5))));
        assert!(!since.contains(&FieldValue::of(&("a", 4))));
        assert!(!since.contains(&FieldValue::of(&("b", 9))));
    }
}
