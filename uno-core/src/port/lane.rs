//! [`Lane`] and [`Fence`]: what a subscription is divided into, and what tells one lease of a lane from the next.

use std::{fmt, num::NonZeroU16};

/// The number of a lane of a subscription, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(u16);

impl Lane {
    /// The first lane: the only one, unless a subscription says otherwise.
    pub const FIRST: Self = Self(0);
    /// How many lanes a subscription can have.
    pub const MOST: u16 = 1_024;

    /// The lane with this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The lane, of so many, that events of a key belong to. The same in every process, version and store.
    ///
    /// FNV-1a of the key's bytes (Fowler, Noll, Vo), whose bits are then mixed with the finaliser of `SplitMix64` (Steele, Lea, Flood 2014).
    #[must_use]
    pub fn of(key: &str, lanes: NonZeroU16) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in key.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^= hash >> 31;
        let lane = hash % u64::from(lanes.get());
        // Below the number of lanes, which is a `u16`.
        Self(u16::try_from(lane).unwrap_or_default())
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The number of a lease of a lane: each one that is taken has a higher one than those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(u64);

impl Fence {
    /// The fence with this number. For stores.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lane_of_a_key_never_changes() {
        let lanes = |count| NonZeroU16::new(count).unwrap();
        let of = |key| Lane::of(key, lanes(1_024)).get();
        assert_eq!(Lane::of("order-1", lanes(1)), Lane::FIRST);
        // Every process that shares a subscription must find the same lane: these numbers stay for ever. They were
        // computed by another implementation.
        let known = [
            ("", 155),
            ("a", 248),
            ("order-1", 467),
            ("order-2", 195),
            ("größe", 1000),
        ];
        for (key, lane) in known {
            assert_eq!(of(key), lane, "{key:?}");
        }
    }

    #[test]
    fn keys_are_spread_evenly() {
        let lanes = NonZeroU16::new(7).unwrap();
        let mut counts = [0_u32; 7];
        for number in 0..70_000 {
            let lane = Lane::of(&format!("order-{number}"), lanes);
            counts[usize::from(lane.get())] += 1;
        }
        assert!(
            counts.iter().all(|count| (9_500..10_500).contains(count)),
            "{counts:?}"
        );
    }
}
