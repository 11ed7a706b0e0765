//! [`Rounds`]: ways of doing one thing, measured in turn, and the [`Table`] of what came out.

use std::fmt;

use anyhow::{Result, ensure};

/// How often each side is measured.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Rounds {
    /// How many rounds are measured, after one that is not; at least ten for a figure that is to be believed.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
}

impl Rounds {
    /// At most so many, for what takes long and does not vary.
    pub(crate) fn fewer(self, rounds: usize) -> Self {
        Self {
            rounds: self.rounds.min(rounds),
        }
    }

    /// So many, of which the first counts for nothing.
    pub(crate) fn count(self) -> usize {
        self.rounds
    }

    /// As on the command line.
    pub(crate) fn to_args(self) -> [String; 2] {
        ["--rounds".to_owned(), self.rounds.to_string()]
    }

    /// Measures both sides in each round, and keeps the median of the rounds' ratios.
    ///
    /// A side returns its figure, such as operations per second, in whatever unit the other returns. The sides take turns at
    /// going first. One round before the first warms caches and allocators and counts for nothing.
    pub(crate) async fn compare(
        self,
        what: impl Into<String>,
        bound: Bound,
        mut ours: impl AsyncFnMut() -> Result<f64>,
        mut base: impl AsyncFnMut() -> Result<f64>,
    ) -> Result<Row> {
        ensure!(self.rounds > 0, "nothing comes of no rounds");
        let (mut our_figures, mut base_figures) = (Vec::new(), Vec::new());
        for round in 0..=self.rounds {
            let (our, other);
            if round % 2 == 0 {
                our = ours().await?;
                other = base().await?;
            } else {
                other = base().await?;
                our = ours().await?;
            }
            ensure!(
                our.is_finite() && other.is_finite() && other > 0.0,
                "{our} and {other} are no figures"
            );
            if round > 0 {
                our_figures.push(our);
                base_figures.push(other);
            }
        }
        Ok(Row::of(what, bound, our_figures, base_figures))
    }
}

/// What a ratio has to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    /// At least this, as with operations per second.
    AtLeast(f64),
    /// At most this, as with times and sizes.
    AtMost(f64),
    /// Shown, and not judged.
    None,
}

/// What came out of one comparison.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    what: String,
    ours: f64,
    base: f64,
    ratio: f64,
    spread: (f64, f64),
    bound: Bound,
}

impl Row {
    /// What the figures of both sides come to, round by round; at least one of each.
    pub(crate) fn of(
        what: impl Into<String>,
        bound: Bound,
        mut ours: Vec<f64>,
        mut base: Vec<f64>,
    ) -> Self {
        let mut ratios: Vec<f64> = ours
            .iter()
            .zip(&base)
            .map(|(our, other)| our / other)
            .collect();
        Self {
            what: what.into(),
            ratio: median(&mut ratios),
            ours: median(&mut ours),
            base: median(&mut base),
            spread: (ratios[0], ratios[ratios.len() - 1]),
            bound,
        }
    }

    fn is_kept(&self) -> bool {
        match self.bound {
            Bound::AtLeast(floor) => self.ratio >= floor,
            Bound::AtMost(ceiling) => self.ratio <= ceiling,
            Bound::None => true,
        }
    }
}

/// What came out of all comparisons.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    pub(crate) fn push(&mut self, row: Row) {
        self.0.push(row);
    }

    /// Whether every bound is kept.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.iter().all(Row::is_kept)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<52} {:>12} {:>12} {:>7} {:>15}  bound",
            "what", "uno", "base", "ratio", "least..most"
        )?;
        for row in &self.0 {
            let verdict = match (row.bound, row.is_kept()) {
                (Bound::None, _) => String::new(),
                (Bound::AtLeast(floor), kept) => format!(">= {floor}{}", mark(kept)),
                (Bound::AtMost(ceiling), kept) => format!("<= {ceiling}{}", mark(kept)),
            };
            let spread = format!("{:.2}..{:.2}", row.spread.0, row.spread.1);
            let (what, ours, base) = (&row.what, row.ours, row.base);
            writeln!(
                f,
                "{what:<52} {ours:>12.0} {base:>12.0} {:>7.2} {spread:>15}  {verdict}",
                row.ratio
            )?;
        }
        Ok(())
    }
}

fn mark(kept: bool) -> &'static str {
    if kept { " kept" } else { " MISSED" }
}

/// The middle of the values, which are put in order for it.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_rates(ours: &[f64], base: &[f64], bound: Bound) -> Row {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let (mut ours, mut base) = (ours.iter(), base.iter());
        let rounds = Rounds {
            rounds: ours.len() - 1,
        };
        runtime
            .block_on(rounds.compare(
                "x",
                bound,
                async || Ok(*ours.next().unwrap()),
                async || Ok(*base.next().unwrap()),
            ))
            .unwrap()
    }

    #[test]
    fn the_median_of_the_ratios_is_judged_and_the_first_round_is_not() {
        let row = |bound| of_rates(&[9.0, 1.0, 2.0, 6.0], &[1.0, 2.0, 2.0, 2.0], bound);
        let shown = row(Bound::None);
        assert_eq!(
            (shown.ratio, shown.spread, shown.ours),
            (1.0, (0.5, 3.0), 2.0)
        );
        for (bound, kept) in [
            (Bound::AtLeast(1.0), true),
            (Bound::AtLeast(1.1), false),
            (Bound::AtMost(1.0), true),
            (Bound::AtMost(0.9), false),
        ] {
            let mut table = Table::default();
            table.push(row(Bound::None));
            table.push(row(bound));
            assert_eq!(table.is_kept(), kept, "{bound:?}");
            assert_eq!(table.to_string().contains("MISSED"), !kept, "{table}");
        }
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 30.0]), 3.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0]), 2.0);
    }
}
