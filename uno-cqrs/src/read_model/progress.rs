//! [`RebuildProgress`]: how far a rebuild has come.

use std::{fmt, time::Duration};

use uno_core::Position;

use crate::Generation;

/// How far a rebuild has come, as the process that runs it sees it. It is told in a line, such as
/// `generation 2: 40 % of the log, 2000 events in 10 s, about 15 s to go`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RebuildProgress {
    pub(super) generation: Generation,
    /// Where this run of it began.
    pub(super) from: Position,
    pub(super) position: Position,
    pub(super) head: Position,
    pub(super) events: u64,
    pub(super) elapsed: Duration,
}

impl RebuildProgress {
    /// Which generation is built.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Up to where the log was projected or passed over.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The end of the log, as it was last seen.
    #[must_use]
    pub fn head(&self) -> Position {
        self.head
    }

    /// How many events this run has projected.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// For how long this run has been going on.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// How much of the log is done, from 0 to 1, with what earlier runs did.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        let head = self.head.get().max(self.position.get());
        if head == 0 {
            1.0
        } else {
            self.position.get() as f64 / head as f64
        }
    }

    /// How long the rest takes if it goes on at the pace of this run; `None` while nothing is known of that.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let rest = self.head.get().saturating_sub(self.position.get());
        if rest == 0 {
            return Some(Duration::ZERO);
        }
        let done = self.position.get().saturating_sub(self.from.get());
        if done == 0 {
            return None;
        }
        Duration::try_from_secs_f64(self.elapsed.as_secs_f64() * rest as f64 / done as f64).ok()
    }
}

impl fmt::Display for RebuildProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = (self.fraction() * 100.0).floor();
        let (events, seconds) = (self.events, self.elapsed.as_secs());
        let generation = self.generation;
        write!(
            f,
            "generation {generation}: {percent} % of the log, {events} events in {seconds} s"
        )?;
        match self.remaining() {
            None => Ok(()),
            // What is less than a second is soon over, and rounded down would say that it is.
            Some(rest) => {
                let rest = rest.as_secs() + u64::from(rest.subsec_nanos() > 0);
                write!(f, ", about {rest} s to go")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_this_run_lets_expect() {
        let check =
            |from: u64, position: u64, head: u64, secs, fraction: f64, remaining: Option<u64>| {
                let at = |number| Position::new(number).unwrap();
                let progress = RebuildProgress {
                    generation: Generation::FIRST,
                    from: at(from),
                    position: at(position),
                    head: at(head),
                    events: 0,
                    elapsed: Duration::from_secs(secs),
                };
                assert!(
                    (progress.fraction() - fraction).abs() < 1e-9,
                    "{progress:?}"
                );
                assert_eq!(
                    progress.remaining(),
                    remaining.map(Duration::from_secs),
                    "{progress:?}"
                );
            };
        check(0, 0, 0, 0, 1.0, Some(0));
        check(0, 0, 100, 3, 0.0, None);
        check(0, 25, 100, 10, 0.25, Some(30));
        // What an earlier run did says nothing about the pace of this one.
        check(50, 75, 100, 10, 0.75, Some(10));
        check(50, 100, 100, 10, 1.0, Some(0));
        // The end of the log that was last seen is behind.
        check(0, 30, 20, 1, 1.0, Some(0));
    }

    #[test]
    fn it_is_told_in_a_line() {
        let at = |number| Position::new(number).unwrap();
        let told = |position, millis| {
            let progress = RebuildProgress {
                generation: Generation::FIRST.next(),
                from: Position::START,
                position: at(position),
                head: at(5000),
                events: position,
                elapsed: Duration::from_millis(millis),
            };
            progress.to_string()
        };
        assert_eq!(
            told(2000, 10_200),
            "generation 2: 40 % of the log, 2000 events in 10 s, about 16 s to go"
        );
        assert_eq!(told(0, 0), "generation 2: 0 % of the log, 0 events in 0 s");
        assert_eq!(
            told(4999, 1000),
            "generation 2: 99 % of the log, 4999 events in 1 s, about 1 s to go"
        );
        assert_eq!(
            told(5000, 1000),
            "generation 2: 100 % of the log, 5000 events in 1 s, about 0 s to go"
        );
    }
}
