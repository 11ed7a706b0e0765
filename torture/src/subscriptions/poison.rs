//! [`Poison`]: events that handlers can't bear, and the durable count of how often one was tried.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::abort,
    str::FromStr,
};

use anyhow::{Context as _, Error, Result};
use fastrand::Rng;

use super::appending::Entry;
use crate::campaign::plan::mix;

/// Which events are poisoned, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    seed: u64,
    /// Every poison kills its process, for ever.
    deadly: bool,
}

impl Recipe {
    pub(crate) const fn new(seed: u64, deadly: bool) -> Self {
        Self { seed, deadly }
    }
}

/// As on the command line of a process.
impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seed, self.deadly)
    }
}

impl FromStr for Recipe {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (seed, deadly) = text.split_once(':').context("a recipe is seed:deadly")?;
        Ok(Self::new(seed.parse()?, deadly.parse()?))
    }
}

/// What an event does to whoever handles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Poison {
    pub(crate) kind: Kind,
    /// How many attempts fail before one works; `None`: all, until handlers are mended.
    pub(crate) fails: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Error,
    Panic,
    Hang,
    Abort,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Error => "errors",
            Self::Panic => "panics",
            Self::Hang => "hangs",
            Self::Abort => "kills its process",
        }
    }
}

impl Poison {
    /// What is the matter with an event, if anything is. The judge draws the same.
    pub(crate) fn of(recipe: Option<Recipe>, entry: Entry) -> Option<Self> {
        let Recipe { seed, deadly } = recipe?;
        let mut rng = Rng::with_seed(mix(mix(seed, entry.key), entry.seq));
        if rng.u8(..100) >= 2 {
            return None;
        }
        // A hang takes its whole time limit at each attempt, so there are few.
        let kind = match rng.u8(..20) {
            _ if deadly => Kind::Abort,
            0..9 => Kind::Error,
            9..14 => Kind::Panic,
            14 => Kind::Hang,
            _ => Kind::Abort,
        };
        // Few, since an attempt that is cut off counts as well.
        let fails = (!deadly && rng.u8(..3) > 0).then(|| rng.u32(1..=2));
        Some(Self { kind, fails })
    }
}

/// One attempt to handle a poisoned event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// The process that made it.
    pub(crate) process: u32,
    /// With how many events it was given.
    pub(crate) batch: usize,
}

/// The file that says that handlers are mended.
const MENDED: &str = "mended";

/// Where attempts are noted: a file for each subscription and event. What is written to a file is there, whatever becomes of the process.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    folder: PathBuf,
    recipe: Option<Recipe>,
}

impl Attempts {
    pub(crate) fn new(folder: &Path, recipe: Option<Recipe>) -> Self {
        Self {
            folder: folder.join("attempts"),
            recipe,
        }
    }

    /// From now on handlers bear everything.
    pub(crate) fn mend(&self) -> Result<()> {
        File::create(self.folder.join(MENDED)).context("failed to mend handlers")?;
        Ok(())
    }

    pub(crate) fn create(&self) -> Result<()> {
        fs::create_dir_all(&self.folder).context("failed to make the folder of attempts")
    }

    fn file(&self, subscription: &str, entry: Entry) -> PathBuf {
        self.folder.join(format!("{subscription}-{entry}"))
    }

    /// Handles a poisoned event as its handler does: notes the attempt, and only then does what it has to.
    pub(crate) async fn handle(
        &self,
        subscription: &str,
        entry: Entry,
        batch: usize,
    ) -> Result<()> {
        let Some(poison) = Poison::of(self.recipe, entry) else {
            return Ok(());
        };
        let path = self.file(subscription, entry);
        // One write, so that a line is there whole or not at all.
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)?
            .write_all(format!("{} {batch}\n", std::process::id()).as_bytes())?;
        let attempt = self.of(subscription, entry)?.len();
        let bears = match poison.fails {
            Some(fails) => attempt > fails as usize,
            None => self.folder.join(MENDED).exists(),
        };
        if bears {
            return Ok(());
        }
        match poison.kind {
            Kind::Error => anyhow::bail!("event {entry} fails"),
            Kind::Panic => panic!("event {entry} panics"),
            Kind::Hang => std::future::pending().await,
            Kind::Abort => abort(),
        }
    }

    /// All attempts at an event, in order.
    pub(crate) fn of(&self, subscription: &str, entry: Entry) -> Result<Vec<Attempt>> {
        let text = match fs::read_to_string(self.file(subscription, entry)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).context("failed to read attempts"),
        };
        text.lines()
            .map(|line| {
                let (process, batch) = line.split_once(' ').context("an attempt has two parts")?;
                Ok(Attempt {
                    process: process.parse()?,
                    batch: batch.parse()?,
                })
            })
            .collect()
    }
}
