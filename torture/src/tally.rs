//! [`Tally`]: named counts that add up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Named counts. A name that never came up counts zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// Adds to a count.
    pub fn add(&mut self, name: &str, count: u64) {
        if count == 0 {
            return;
        }
        match self.0.get_mut(name) {
            Some(sum) => *sum += count,
            None => drop(self.0.insert(name.to_owned(), count)),
        }
    }

    /// Adds all counts of another tally.
    pub fn add_all(&mut self, other: &Self) {
        for (name, count) in other.iter() {
            self.add(name, count);
        }
    }

    /// A count.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// The counts that are not zero, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// The sum of all counts.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_by_name() {
        let mut tally = Tally::default();
        tally.add("a", 2);
        tally.add("b", 0);
        let mut other = Tally::default();
        other.add("a", 3);
        other.add("c", 1);
        tally.add_all(&other);
        assert_eq!(tally.iter().collect::<Vec<_>>(), [("a", 5), ("c", 1)]);
        assert_eq!((tally.get("a"), tally.get("b"), tally.sum()), (5, 0, 6));
    }
}
