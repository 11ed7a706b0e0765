//! The campaign against rebuilds: a read model is rebuilt again and again while events come and are read, by processes that die.
//!
//! Each phase is a store of its own, filled with events. Processes serve: they append, feed the read model, and read what they waited
//! for. Others build, go back, and drop. All are killed, or die by themselves at a call of the store. After each swap a judge reads the
//! documents, the checkpoints and the log past the store, in one snapshot, and folds the log by itself. In the phases of the controls a
//! rule is broken on purpose, and the judge must see it.

mod books;
mod doom;
mod evidence;
mod figures;
mod outside;
mod phase;
mod process;
mod reader;
mod records;
mod worker;

use std::{fmt, str::FromStr, time::Duration};

use anyhow::{Error, bail};
use fastrand::Rng;

use crate::campaign::plan::mix;

pub use self::{
    doom::Doom,
    evidence::LAWS,
    figures::{Figures, Part},
    phase::{Outcome, run_phase},
    worker::{Role, Worker},
};

/// What a phase is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Of everything in it.
    pub seed: u64,
    /// Its number in the campaign.
    pub number: u64,
    /// How many events there are before the first rebuild.
    pub events: u64,
    /// How often the read model is rebuilt.
    pub rebuilds: u64,
    /// How many accounts the events are of.
    pub accounts: u64,
    /// How many lanes feed each generation.
    pub lanes: u16,
    /// How many processes serve at once.
    pub servers: u64,
    /// Whether a process that is started for one that has died bears its name.
    pub named: bool,
    /// Whether the database's server is killed now and then, if it is ours.
    pub kills_server: bool,
    /// How long processes that serve are killed while one thing is to be done; then nobody dies until it is.
    pub hardship: Duration,
    /// Which rule is broken.
    pub control: Option<Control>,
}

/// A rule that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Who goes on with a rebuild passes over the first event that it is given.
    Skips,
    /// The generations are compared, and swapped a moment later, without a guard on their checkpoints.
    Unguarded,
}

impl Control {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Skips, Self::Unguarded];

    /// As on the command line, and in the figures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Skips => "skips",
            Self::Unguarded => "unguarded",
        }
    }

    /// The law that it must break.
    #[must_use]
    pub const fn must_break(self) -> &'static str {
        match self {
            Self::Skips => "no fold",
            Self::Unguarded => "unread",
        }
    }

    /// The laws that it may break.
    #[must_use]
    pub const fn may_break(self) -> &'static [&'static str] {
        match self {
            // What was skipped is missing wherever one looks.
            Self::Skips => &["no fold", "behind", "unread", "waited in vain"],
            Self::Unguarded => &["unread", "waited in vain"],
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
    pub const ROUND: u64 = 6;
    /// How often the read model is rebuilt in a phase.
    pub const REBUILDS: u64 = 10;
    /// How long processes that serve are killed while one thing is to be done, unless it is said.
    pub const HARDSHIP: Duration = Duration::from_secs(8);

    /// Phase `number` of the campaign with this seed, with so many events to begin with.
    #[must_use]
    pub fn draw(seed: u64, number: u64, events: u64) -> Self {
        let seed = mix(seed, number);
        let mut rng = Rng::with_seed(mix(seed, 1));
        let kind = number % Self::ROUND;
        let control = match kind {
            4 => Some(Control::Skips),
            5 => Some(Control::Unguarded),
            _ => None,
        };
        let is_control = control.is_some();
        Self {
            seed,
            number,
            // A fault shows in a small log as well as in a large one.
            events: if is_control {
                events.min(3_000)
            } else {
                events
            },
            rebuilds: if is_control { 3 } else { Self::REBUILDS },
            accounts: rng.u64(20..=300),
            lanes: if kind.is_multiple_of(2) {
                1
            } else {
                rng.u16(2..=6)
            },
            servers: rng.u64(2..=3),
            named: rng.bool(),
            kills_server: matches!(kind, 1 | 2),
            hardship: Self::HARDSHIP,
            control,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            events,
            rebuilds,
            accounts,
            lanes,
            servers,
            ..
        } = self;
        write!(
            f,
            "{rebuilds} rebuilds of {events} events and more of {accounts} accounts, {lanes} lanes, {servers} processes that serve"
        )?;
        if self.kills_server {
            f.write_str(", the server is killed")?;
        }
        match self.control {
            Some(control) => write!(f, ", control: {control}"),
            None => Ok(()),
        }
    }
}
