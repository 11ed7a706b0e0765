//! [`Plan`]: what happens in a phase, drawn from the seed.

use std::{fmt, time::Duration};

use fastrand::Rng;

/// What is killed while a phase goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chaos {
    /// Nothing.
    Calm,
    /// Sessions, at random.
    Sessions,
    /// The whole server, again and again.
    Server,
}

/// How a store is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorePlan {
    /// How many connections it has.
    pub connections: u32,
    /// Whether it gathers commits.
    pub grouping: bool,
    /// Whether it works as if behind a pooler in transaction mode.
    pub pooler: bool,
}

/// What happens in a phase.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which phase of the campaign.
    pub number: u64,
    /// The seed of everything in it.
    pub seed: u64,
    /// How many write at once.
    pub writers: usize,
    /// How many events are to be acknowledged before it ends.
    pub events: u64,
    /// What is killed.
    pub chaos: Chaos,
    /// The stores that the writers share, as if each were a process of its own.
    pub stores: Vec<StorePlan>,
    /// Whether foreign writers also write to the table itself, past the store's functions.
    pub past_the_functions: bool,
    /// How many of twenty writes are units of work. The rest are appends, dropped ones and foreign transactions.
    pub units: u8,
    /// How long a transaction waits before and after its append, at most.
    pub delay: Duration,
    /// How many transactions are held open for two seconds, before or after their append.
    pub held: u64,
    /// Whether all kinds of readers look on, or every other kind, in turns.
    pub all_readers: bool,
    /// The position before the first event. Lock keys have 32 bits: some logs go over that edge, or that of the sign.
    pub start: i64,
    /// How many microseconds the server waits before it flushes a commit.
    pub commit_delay: u32,
}

/// How many write at once, phase by phase. With [`CHAOS`] every pair comes up within twelve phases.
const WRITERS: [usize; 4] = [8, 64, 1, 32];
/// What is killed, phase by phase.
const CHAOS: [Chaos; 3] = [Chaos::Sessions, Chaos::Server, Chaos::Calm];

impl Plan {
    /// A plan of nothing, for campaigns that make their own noise.
    #[must_use]
    pub fn quiet(seed: u64) -> Self {
        Self {
            number: 0,
            seed,
            writers: 0,
            events: u64::MAX,
            chaos: Chaos::Calm,
            stores: Vec::new(),
            past_the_functions: false,
            units: 0,
            delay: Duration::ZERO,
            held: 0,
            all_readers: true,
            start: 1,
            commit_delay: 0,
        }
    }

    /// The plan of a phase.
    ///
    /// `own_server`: whether the server is ours to kill and to change.
    #[must_use]
    pub fn draw(seed: u64, number: u64, own_server: bool) -> Self {
        let seed = mix(seed, number);
        let mut rng = Rng::with_seed(seed);
        let writers = WRITERS[(number % 4) as usize];
        let chaos = match CHAOS[(number % 3) as usize] {
            Chaos::Server if !own_server => Chaos::Sessions,
            chaos => chaos,
        };
        let stores = (0..rng.usize(2..=3)).map(|_| StorePlan {
            connections: [1, 2, 4, 10][rng.usize(..4)],
            grouping: rng.u8(..4) > 0,
            pooler: rng.u8(..6) == 0,
        });
        Self {
            number,
            seed,
            writers,
            events: match writers {
                1 => 20_000,
                8 => 80_000,
                _ => 120_000,
            },
            chaos,
            stores: stores.collect(),
            past_the_functions: rng.bool(),
            units: match chaos {
                // What became of a unit of work must be asked for after a crash, so there are many of them.
                Chaos::Server => [3, 9, 16][rng.usize(..3)],
                Chaos::Sessions | Chaos::Calm => [2, 4][rng.usize(..2)],
            },
            delay: Duration::from_millis([0, 1, 5][rng.usize(..3)]),
            held: rng.u64(4..=8),
            // Elsewhere than on a server of our own others want to get on with their work.
            all_readers: own_server,
            start: [1, 1, (1 << 31) - 15_000, (1 << 32) - 15_000][rng.usize(..4)],
            // The longer the server waits with the flush of a commit, the more of them a crash can take with it.
            commit_delay: match chaos {
                _ if !own_server => 0,
                Chaos::Server => [0, 1000, 10_000][rng.usize(..3)],
                Chaos::Sessions | Chaos::Calm => [0, 0, 1000, 3000][rng.usize(..4)],
            },
        }
    }
}

/// One line for people.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chaos = match self.chaos {
            Chaos::Calm => "nothing killed",
            Chaos::Sessions => "sessions killed",
            Chaos::Server => "server killed",
        };
        let past = if self.past_the_functions {
            ", some past the functions"
        } else {
            ""
        };
        let from = if self.start > 1 {
            format!(", positions from {}", self.start)
        } else {
            String::new()
        };
        let (writers, delay, held, units) =
            (self.writers, self.delay.as_millis(), self.held, self.units);
        write!(
            f,
            "{writers} writers, {chaos}, {units}/20 units of work, delays to {delay} ms, {held} held 2 s{past}{from}"
        )
    }
}

/// A number that two others give, as good as random.
#[must_use]
pub fn mix(a: u64, b: u64) -> u64 {
    // SplitMix64 (Steele, Lea, Flood 2014), of which every step is a bijection.
    let mut z = a.wrapping_add(b.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_plan_depends_on_its_seed_and_number_alone() {
        let plan = |seed, number| format!("{:?}", Plan::draw(seed, number, true));
        assert_eq!(plan(7, 3), plan(7, 3));
        assert_ne!(plan(7, 3), plan(8, 3));
        assert_ne!(plan(7, 3), plan(7, 15));
    }

    #[test]
    fn twelve_phases_have_every_pair_of_writers_and_chaos() {
        let pairs: HashSet<String> = (0..12)
            .map(|number| Plan::draw(1, number, true))
            .map(|plan| format!("{} {:?}", plan.writers, plan.chaos))
            .collect();
        assert_eq!(pairs.len(), 12);
        assert!((0..12).all(|number| Plan::draw(1, number, false).chaos != Chaos::Server));
    }
}
