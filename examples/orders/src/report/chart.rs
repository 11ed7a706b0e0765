//! A chart of bars in plain text.

use std::fmt::Write as _;

use crate::money::Cents;

/// The longest bar, in characters.
const WIDTH: i64 = 40;

/// One line for each bar, as long as its amount.
pub fn bars<'a>(bars: impl Iterator<Item = (&'a str, Cents)>) -> String {
    let bars: Vec<_> = bars.collect();
    let longest = bars
        .iter()
        .map(|(_, amount)| amount.0)
        .max()
        .unwrap_or(0)
        .max(1);
    let mut text = String::new();
    for (name, amount) in bars {
        let length = usize::try_from(amount.0.max(0) * WIDTH / longest).unwrap_or(0);
        let bar = "█".repeat(length);
        // Writing to a string can't fail.
        let _ = writeln!(text, "  {name} {amount:>12} {bar}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_amount_has_the_longest_bar() {
        let text = bars([("a", Cents(100)), ("b", Cents(50)), ("c", Cents(0))].into_iter());
        let lengths: Vec<usize> = text.lines().map(|line| line.matches('█').count()).collect();
        assert_eq!(lengths, [40, 20, 0]);
        assert_eq!(bars(std::iter::empty()), "");
    }
}
