//! The campaign against sagas: an order application whose processes die again and again, and a provider outside that keeps the books.
//!
//! Each phase is a store of its own. One to three processes run the application; each dies at a place that is drawn, some at an exact
//! point between reading an input, committing what comes of it, and telling so. When all sagas have ended, a judge compares the log, the
//! instances, their histories and the provider's books. In every fourth phase the provider forgets keys, and must charge twice.

mod doom;
mod evidence;
mod figures;
mod fulfilment;
mod judge;
mod orders;
mod outside;
mod phase;
mod provider;
mod shop;
mod shopkeeper;

use std::fmt;

use fastrand::Rng;

use crate::campaign::plan::mix;

pub use self::{
    doom::{Doom, Point},
    figures::{Figures, Part},
    judge::LAWS,
    phase::{Outcome, run_phase},
    shopkeeper::Shopkeeper,
};

/// What a phase is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Of everything in it.
    pub seed: u64,
    /// Its number in the campaign.
    pub number: u64,
    /// How many orders are placed.
    pub orders: u64,
    /// How many processes die.
    pub crashes: u64,
    /// How many processes there are at once.
    pub processes: u64,
    /// Whether the provider forgets keys.
    pub forgets: bool,
}

impl Plan {
    /// How many phases there are until the same kinds come again.
    pub const ROUND: u64 = 4;

    /// Phase `number` of the campaign with this seed.
    #[must_use]
    pub fn draw(seed: u64, number: u64) -> Self {
        let seed = mix(seed, number);
        let mut rng = Rng::with_seed(mix(seed, 1));
        let forgets = number % Self::ROUND == 3;
        Self {
            seed,
            number,
            orders: if forgets { 150 } else { rng.u64(400..=600) },
            crashes: if forgets { 10 } else { rng.u64(30..=45) },
            processes: [1, 2, 3, 2][(number % Self::ROUND) as usize],
            forgets,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            orders,
            crashes,
            processes,
            ..
        } = self;
        let keys = if self.forgets { "forgets" } else { "honours" };
        write!(
            f,
            "{orders} orders, {processes} processes, {crashes} crashes, a provider that {keys} keys"
        )
    }
}
