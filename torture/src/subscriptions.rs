//! The campaign against durable subscriptions: processes share two of them and die, freeze and lose their server, while events come that
//! some handlers can't bear.
//!
//! Each phase is a store of its own. The one subscription writes what it handles into a table, in the transaction of its checkpoint; the
//! other into a file, as a plain handler does. When all is quiet a judge compares both with the log. In the phases of the controls a rule
//! is broken on purpose, and the judge must see it.

mod appending;
mod diary;
mod doom;
mod evidence;
mod figures;
mod forgetful;
mod judge;
mod ledger;
mod outside;
mod phase;
mod poison;
mod relief;
mod worker;

use std::{fmt, str::FromStr};

use anyhow::{Error, bail};
use fastrand::Rng;

use crate::campaign::plan::mix;

pub use self::{
    doom::Doom,
    figures::{Figures, Part},
    judge::LAWS,
    phase::{Outcome, run_phase},
    poison::Recipe,
    worker::Worker,
};

/// What a phase is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Of everything in it.
    pub seed: u64,
    /// Its number in the campaign.
    pub number: u64,
    /// How many processes there are at once.
    pub workers: u64,
    /// How many lanes each subscription has.
    pub lanes: u16,
    /// Whether each subscription is run by processes of its own, so that none dies of what the other handles: what is said of attempts is
    /// then exact.
    pub apart: bool,
    /// Whether a process that is started for one that has died bears its name.
    pub named: bool,
    /// How many keys there are: each is a stream, whose events are numbered.
    pub keys: u64,
    /// For how long events are appended, in milliseconds.
    pub millis: u64,
    /// What goes wrong.
    pub disasters: Disasters,
    /// Which rule is broken.
    pub control: Option<Control>,
}

/// What goes wrong in a phase, beside processes that are killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disasters {
    /// Not even that: processes die of what they handle.
    None,
    /// Nothing else.
    Kills,
    /// Processes are stopped in their tracks, for longer than they are trusted, and go on.
    Freezes,
    /// The server is killed, if it is ours.
    Server,
}

/// A rule that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The checkpoint is moved wherever it is, so that who was overtaken can still write.
    Unfenced,
    /// What is handled is written in a transaction of its own, before the checkpoint.
    OutsideTransaction,
    /// Attempts are counted when the handler is done with them, by a process that is still there.
    CountedAfter,
}

impl Control {
    const ALL: [Self; 3] = [Self::Unfenced, Self::OutsideTransaction, Self::CountedAfter];

    /// As on the command line, and in the figures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unfenced => "unfenced",
            Self::OutsideTransaction => "outside-transaction",
            Self::CountedAfter => "counted-after",
        }
    }

    /// The law that it must break.
    #[must_use]
    pub const fn must_break(self) -> &'static str {
        match self {
            Self::Unfenced => "stale",
            Self::OutsideTransaction => "doubled",
            Self::CountedAfter => "tried too often",
        }
    }

    /// The laws that it may break.
    #[must_use]
    pub const fn may_break(self) -> &'static [&'static str] {
        match self {
            Self::Unfenced => &["doubled", "out of order", "stale"],
            Self::OutsideTransaction => &["doubled", "out of order"],
            // Who dies without end handles nothing behind what kills him.
            Self::CountedAfter => &[
                "tried too often",
                "not parked",
                "not handled",
                "diary: not handled",
            ],
        }
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Control {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match Self::ALL.into_iter().find(|one| one.name() == text) {
            Some(one) => Ok(one),
            None => bail!("there is no control {text}"),
        }
    }
}

impl Plan {
    /// How many phases there are until the same kinds come again: the controls are the last of them.
    pub const ROUND: u64 = 10;

    /// Phase `number` of the campaign with this seed.
    #[must_use]
    pub fn draw(seed: u64, number: u64) -> Self {
        let seed = mix(seed, number);
        let mut rng = Rng::with_seed(mix(seed, 1));
        let kind = number % Self::ROUND;
        let control = match kind {
            7 => Some(Control::Unfenced),
            8 => Some(Control::OutsideTransaction),
            9 => Some(Control::CountedAfter),
            _ => None,
        };
        Self {
            seed,
            number,
            workers: [2, 3, 3, 2, 4, 3, 2, 3, 2, 2][kind as usize],
            lanes: if kind == 0 { 1 } else { rng.u16(1..=6) },
            apart: kind == 0,
            named: rng.bool(),
            keys: rng.u64(20..=60),
            millis: if control.is_some() { 7_000 } else { 12_000 },
            disasters: match kind {
                1 | 4 | 7 => Disasters::Freezes,
                2 | 5 => Disasters::Server,
                0 | 9 => Disasters::None,
                _ => Disasters::Kills,
            },
            control,
        }
    }

    /// How often an event is tried. The controls in which none is poisoned have more than enough: their processes die at every turn, and one
    /// event that is met by as many deaths in a row as it has attempts is parked, as it has to be.
    fn attempts(&self) -> u32 {
        match self.recipe() {
            Some(_) => ATTEMPTS,
            None => 100 * ATTEMPTS,
        }
    }

    /// What the matter is with events. The controls that are about transactions have enough of their own.
    fn recipe(&self) -> Option<Recipe> {
        match self.control {
            None => Some(Recipe::new(self.seed, false)),
            Some(Control::CountedAfter) => Some(Recipe::new(self.seed, true)),
            Some(_) => None,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            workers,
            lanes,
            keys,
            ..
        } = self;
        let also = match self.disasters {
            Disasters::None => "what events do",
            Disasters::Kills => "kills",
            Disasters::Freezes => "kills and freezes",
            Disasters::Server => "kills and those of the server",
        };
        write!(f, "{workers} processes, {lanes} lanes, {keys} keys, {also}")?;
        match self.control {
            Some(control) => write!(f, ", control: {control}"),
            None => Ok(()),
        }
    }
}

/// The subscription whose effects are in the transaction of its checkpoint.
pub(crate) const LEDGER: &str = "ledger";
/// The subscription of a plain handler.
pub(crate) const DIARY: &str = "diary";
/// How often an event is tried.
pub(crate) const ATTEMPTS: u32 = 5;
/// How many events are handled at once.
pub(crate) const BATCH: usize = 20;
