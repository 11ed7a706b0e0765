//! [`Doom`]: how a process is to end.

use std::{fmt, str::FromStr};

use anyhow::{Context as _, Error, bail};
use fastrand::Rng;
use uno::testkit::faults::{Call, Fault, Faults};

/// How a process is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doom {
    /// It is killed when the log has grown by so many positions since it was started.
    Killed(u64),
    /// It dies by itself at its n-th arrival at a point.
    AtPoint(Point, u64),
}

/// Where a process can die by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Point {
    /// Events are read, and not handled.
    EventsRead,
    /// A queue is read, of commands or of outcomes, and nothing of it is handled.
    QueueRead,
    /// Timers are found to be due, and are not fired.
    TimersRead,
    /// Everything is decided, and not committed.
    BeforeCommit,
    /// It is committed, and nobody is told.
    AfterCommit,
    /// The provider has been called, and the store knows nothing of it.
    AfterCall,
}

impl Point {
    const ALL: [Self; 6] = [
        Self::EventsRead,
        Self::QueueRead,
        Self::TimersRead,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::AfterCall,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::EventsRead => "events-read",
            Self::QueueRead => "queue-read",
            Self::TimersRead => "timers-read",
            Self::BeforeCommit => "before-commit",
            Self::AfterCommit => "after-commit",
            Self::AfterCall => "after-call",
        }
    }
}

impl Doom {
    /// One or the other.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        match rng.u64(..12) {
            0..4 => Self::Killed(rng.u64(1..=60)),
            4 => Self::AtPoint(Point::EventsRead, rng.u64(2..=10)),
            5 => Self::AtPoint(Point::QueueRead, rng.u64(2..=30)),
            6 => Self::AtPoint(Point::TimersRead, rng.u64(2..=8)),
            7 | 8 => Self::AtPoint(Point::BeforeCommit, rng.u64(2..=60)),
            9 | 10 => Self::AtPoint(Point::AfterCommit, rng.u64(2..=60)),
            _ => Self::between(rng),
        }
    }

    /// Between the provider and the store, where only the key of a call helps.
    pub(crate) fn between(rng: &mut Rng) -> Self {
        Self::AtPoint(Point::AfterCall, rng.u64(1..=20))
    }

    /// What it is counted as.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Killed(_) => "killed",
            Self::AtPoint(point, _) => point.name(),
        }
    }

    /// What makes the store stop at the point.
    pub(crate) fn faults(self) -> Faults {
        let (call, fault) = match self {
            Self::AtPoint(Point::EventsRead, _) => (Call::ReadLog, Fault::CrashAfter),
            Self::AtPoint(Point::QueueRead, _) => (Call::ReadQueue, Fault::CrashAfter),
            Self::AtPoint(Point::TimersRead, _) => (Call::DueTimers, Fault::CrashAfter),
            Self::AtPoint(Point::BeforeCommit, _) => (Call::Commit, Fault::CrashBefore),
            Self::AtPoint(Point::AfterCommit, _) => (Call::Commit, Fault::CrashAfter),
            Self::AtPoint(Point::AfterCall, _) | Self::Killed(_) => return Faults::none(),
        };
        let (Self::AtPoint(_, number) | Self::Killed(number)) = self;
        Faults::none().nth(call, number, fault)
    }

    /// After which call the provider takes the process with it.
    pub(crate) const fn dies_after_call(self) -> Option<u64> {
        match self {
            Self::AtPoint(Point::AfterCall, number) => Some(number),
            _ => None,
        }
    }
}

/// As on the command line of the process.
impl fmt::Display for Doom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Killed(number) | Self::AtPoint(_, number)) = self;
        write!(f, "{}:{number}", self.name())
    }
}

impl FromStr for Doom {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, number) = text.split_once(':').context("a doom is name:number")?;
        let number = number.parse().context("a doom is name:number")?;
        if name == "killed" {
            return Ok(Self::Killed(number));
        }
        match Point::ALL.into_iter().find(|point| point.name() == name) {
            Some(point) => Ok(Self::AtPoint(point, number)),
            None => bail!("there is no point {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doom_is_read_as_it_is_written() {
        for point in Point::ALL {
            let doom = Doom::AtPoint(point, 7);
            assert_eq!(doom.to_string().parse::<Doom>().unwrap(), doom);
        }
        let doom = Doom::Killed(3);
        assert_eq!(doom.to_string().parse::<Doom>().unwrap(), doom);
        assert!("asleep:3".parse::<Doom>().is_err());
    }
}
