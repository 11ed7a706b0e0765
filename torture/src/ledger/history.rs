//! [`History`]: the ledger as the judge reads it.

use std::{collections::BTreeMap, str::FromStr};

use anyhow::{Context as _, Result, bail};

use crate::ids::IdSpace;

/// All that a ledger says.
#[derive(Debug)]
pub struct History {
    /// Whose ids these are.
    pub space: IdSpace,
    /// The batches by number.
    pub batches: BTreeMap<u64, Batch>,
    /// Errors that nothing explains.
    pub unexplained: Vec<String>,
}

/// What is known of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The streams in order, with their numbers of events.
    pub streams: Vec<(String, u32)>,
    /// Whether a row of the user's goes with it.
    pub rows: bool,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether it was unknown for a while.
    pub doubted: bool,
    /// How often it was appended again after it was acknowledged, and how often the receipt differed.
    pub repeated: (u64, u64),
}

/// What became of a batch, as far as its writer knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody knows.
    #[default]
    Unknown,
    /// Acknowledged: the position of its last event, and each stream's first version.
    Acknowledged {
        /// Of the last event.
        position: u64,
        /// The first version of each stream, in any order.
        streams: Vec<(String, u64)>,
    },
    /// Certainly not carried out.
    Failed(String),
}

impl History {
    /// Reads a ledger.
    ///
    /// # Errors
    /// When the text is not one.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().enumerate();
        let space = lines
            .next()
            .and_then(|(_, line)| line.strip_prefix("space "))
            .context("a ledger begins with its space")?;
        let space = IdSpace::new(space.parse().context("the space is a number")?);
        let mut history = Self {
            space,
            batches: BTreeMap::new(),
            unexplained: Vec::new(),
        };
        for (number, line) in lines {
            history
                .read(line)
                .with_context(|| format!("line {} of the ledger: {line}", number + 1))?;
        }
        Ok(history)
    }

    /// How many events a batch was to have.
    #[must_use]
    pub fn events(batch: &Batch) -> u64 {
        batch
            .streams
            .iter()
            .map(|(_, events)| u64::from(*events))
            .sum()
    }

    fn read(&mut self, line: &str) -> Result<()> {
        let mut words = line.splitn(3, ' ');
        let (kind, number, rest) = (words.next(), words.next(), words.next().unwrap_or_default());
        let number: u64 = number.context("no batch")?.parse()?;
        if kind == Some("x") {
            self.unexplained.push(format!("batch {number}: {rest}"));
            return Ok(());
        }
        if kind == Some("i") {
            let (rows, streams) = rest.split_once(' ').context("no streams")?;
            let batch = Batch {
                streams: list(streams)?,
                rows: rows == "1",
                ..Batch::default()
            };
            if self.batches.insert(number, batch).is_some() {
                bail!("a batch is intended once");
            }
            return Ok(());
        }
        let batch = self.batches.get_mut(&number).context("no such batch")?;
        match kind {
            Some("a") => {
                let (position, streams) = rest.split_once(' ').context("no streams")?;
                batch.outcome = Outcome::Acknowledged {
                    position: position.parse()?,
                    streams: list(streams)?,
                };
            }
            Some("f") => batch.outcome = Outcome::Failed(rest.to_owned()),
            Some("u") => {
                batch.outcome = Outcome::Unknown;
                batch.doubted = true;
            }
            Some("s") => batch.repeated.0 += 1,
            Some("d") => {
                batch.repeated.0 += 1;
                batch.repeated.1 += 1;
            }
            _ => bail!("unknown kind of line"),
        }
        Ok(())
    }
}

fn list<N: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    text: &str,
) -> Result<Vec<(String, N)>> {
    let entry = |entry: &str| {
        let (stream, number) = entry.rsplit_once('=').context("no number")?;
        Ok((stream.to_owned(), number.parse()?))
    };
    text.split(',').map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_read_as_it_was_written() {
        let history = History::parse("space 5\ni 1 1 a-1=2,b-x=3\nu 1\na 1 17 a-1=4,b-x=1\ns 1\ni 2 0 a-1=1\nf 2 conflict\nx 2 oh no\n").unwrap();
        assert_eq!(history.space, IdSpace::new(5));
        let first = &history.batches[&1];
        assert_eq!(
            first.streams,
            [("a-1".to_owned(), 2), ("b-x".to_owned(), 3)]
        );
        assert_eq!(History::events(first), 5);
        assert!(first.rows && first.doubted);
        let streams = vec![("a-1".to_owned(), 4), ("b-x".to_owned(), 1)];
        assert_eq!(
            first.outcome,
            Outcome::Acknowledged {
                position: 17,
                streams
            }
        );
        assert_eq!(first.repeated, (1, 0));
        assert_eq!(
            history.batches[&2].outcome,
            Outcome::Failed("conflict".to_owned())
        );
        assert_eq!(history.unexplained, ["batch 2: oh no"]);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_an_error() {
        for bad in [
            "",
            "i 1 0 a=1",
            "space 1\nq 1",
            "space 1\na 1 2 a=1",
            "space 1\ni 1 0 a",
            "space 1\ni 1 0 a=1\ni 1 0 a=1",
        ] {
            assert!(History::parse(bad).is_err(), "{bad:?}");
        }
    }
}
