//! [`Doom`]: at which call of the store a process dies by itself.

use std::{fmt, str::FromStr};

use anyhow::{Context as _, Error, bail};
use fastrand::Rng;
use uno::testkit::faults::{Call, Fault, Faults};

/// The process dies at its n-th call of a kind, before it is done or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doom {
    point: usize,
    number: u64,
}

const POINTS: [(&str, Call, Fault); 9] = [
    ("before-commit", Call::Commit, Fault::CrashBefore),
    ("after-commit", Call::Commit, Fault::CrashAfter),
    ("events-read", Call::ReadLog, Fault::CrashAfter),
    ("documents-read", Call::LoadDocuments, Fault::CrashAfter),
    ("checkpoint-read", Call::LoadCheckpoint, Fault::CrashAfter),
    ("lanes-read", Call::ListLanes, Fault::CrashAfter),
    ("before-save", Call::SaveCheckpoint, Fault::CrashBefore),
    ("after-claim", Call::ClaimLanes, Fault::CrashAfter),
    ("documents-scanned", Call::ScanDocuments, Fault::CrashAfter),
];

impl Doom {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        // Most of them at commits: between them nothing changes.
        let point = match rng.usize(..POINTS.len() + 4) {
            point if point < POINTS.len() => point,
            other => other % 2,
        };
        Self {
            point,
            number: rng.u64(1..=12),
        }
    }

    /// After a few batches of a rebuild, each of which is a commit, as is its beginning.
    pub(crate) fn amid(rng: &mut Rng) -> Self {
        Self {
            point: 1,
            number: rng.u64(3..=6),
        }
    }

    /// What it is counted as.
    pub(crate) const fn name(self) -> &'static str {
        POINTS[self.point].0
    }

    /// What makes the store stop at the point.
    pub(crate) fn faults(self) -> Faults {
        let (_, call, fault) = POINTS[self.point];
        Faults::none().nth(call, self.number, fault)
    }
}

/// As on the command line of the process.
impl fmt::Display for Doom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name(), self.number)
    }
}

impl FromStr for Doom {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, number) = text.split_once(':').context("a doom is name:number")?;
        let number = number.parse().context("a doom is name:number")?;
        match POINTS.iter().position(|(point, ..)| *point == name) {
            Some(point) => Ok(Self { point, number }),
            None => bail!("there is no point {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doom_is_read_as_it_is_written() {
        for point in 0..POINTS.len() {
            let doom = Doom { point, number: 7 };
            assert_eq!(doom.to_string().parse::<Doom>().unwrap(), doom);
        }
        assert!("asleep:3".parse::<Doom>().is_err());
    }
}
