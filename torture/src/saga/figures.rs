//! [`Figures`]: what the campaign against sagas has shown so far, kept in a file, so that a run goes on where the last one ended.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::judge::{FORGETFUL, LAWS};
use crate::{judge::Verdict, tally::Tally};

/// What the campaign has shown so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// The seed of it all.
    pub seed: u64,
    /// Of which store.
    pub store: String,
    /// How many phases were judged, those of the control included.
    pub phases: u64,
    /// How long they took.
    pub seconds: f64,
    /// With the provider that honours keys.
    pub honoured: Part,
    /// With the provider that forgets them: the control.
    pub forgotten: Part,
    /// The first breaches, in words.
    pub examples: Vec<String>,
}

/// With one kind of provider.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Part {
    /// What was looked at.
    pub facts: Tally,
    /// How processes died.
    pub crashes: Tally,
    /// Breaches of laws.
    pub broken: Tally,
}

impl Part {
    /// Breaches that no provider can be blamed for.
    fn unexcused(&self) -> u64 {
        let excused: u64 = FORGETFUL.iter().map(|law| self.broken.get(law)).sum();
        self.broken.sum() - excused
    }
}

impl Figures {
    /// The file of the campaign with this seed.
    #[must_use]
    pub fn path(folder: &Path, seed: u64, store: &str) -> PathBuf {
        folder.join(format!("saga-{store}-{seed}.json"))
    }

    /// Nothing yet.
    #[must_use]
    pub fn new(seed: u64, store: &str) -> Self {
        Self {
            seed,
            store: store.to_owned(),
            ..Self::default()
        }
    }

    /// What was shown by earlier runs; nothing if there were none.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn load(folder: &Path, seed: u64, store: &str) -> Result<Self> {
        let path = Self::path(folder, seed, store);
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("{} can't be read; --fresh begins anew", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::new(seed, store)),
            Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
        }
    }

    /// Keeps them.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let path = Self::path(folder, self.seed, &self.store);
        // Beside the file and then in its place, so that a run that is killed here leaves the old or the new one.
        let new = path.with_extension("new");
        fs::write(&new, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("failed to write {}", new.display()))?;
        fs::rename(&new, &path).with_context(|| format!("failed to write {}", path.display()))
    }

    /// Adds a phase.
    pub fn add(&mut self, forgets: bool, seconds: f64, verdict: &Verdict, crashes: &Tally) {
        let phase = self.phases;
        self.phases += 1;
        self.seconds += seconds;
        let part = if forgets {
            &mut self.forgotten
        } else {
            &mut self.honoured
        };
        part.facts.add_all(&verdict.facts);
        part.broken.add_all(&verdict.broken);
        part.crashes.add_all(crashes);
        // What the control has to show needs no words.
        let excused =
            |example: &&String| forgets && FORGETFUL.iter().any(|law| example.starts_with(law));
        let examples = verdict.examples.iter().filter(|one| !excused(one));
        self.examples
            .extend(examples.map(|example| format!("phase {phase}: {example}")));
        self.examples.truncate(20);
    }

    /// How many sagas were judged with the provider that honours keys.
    #[must_use]
    pub fn sagas(&self) -> u64 {
        self.honoured.facts.get("sagas")
    }

    /// How many processes died under these.
    #[must_use]
    pub fn crashes(&self) -> u64 {
        self.honoured.crashes.sum()
    }

    /// Whether every law was kept, and the control broke those that it had to.
    #[must_use]
    pub fn are_good(&self) -> bool {
        self.honoured.broken.sum() == 0 && self.forgotten.unexcused() == 0 && self.control_shows()
    }

    /// Whether money was charged twice by a crash, with the provider that forgets keys. (A retry without a crash is no proof.)
    fn control_shows(&self) -> bool {
        self.forgotten.broken.get("charged more than once") > 0
    }
}

/// The table.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {} on {}: {} phases in {:.0} s",
            self.seed, self.store, self.phases, self.seconds
        )?;
        for (name, part) in [
            ("a provider that honours keys", &self.honoured),
            ("a provider that forgets keys", &self.forgotten),
        ] {
            writeln!(f, "{name}: {} processes died", part.crashes.sum())?;
            for (how, count) in part.crashes.iter() {
                writeln!(f, "  {count:>12}  {how}")?;
            }
            for (what, count) in part.facts.iter() {
                writeln!(f, "  {count:>12}  {what}")?;
            }
        }
        writeln!(f, "laws: breaches with the one, and with the other")?;
        let others = [("process", "processes that ended by themselves")];
        for (law, breach) in LAWS.iter().chain(&others) {
            let (one, other) = (
                self.honoured.broken.get(law),
                self.forgotten.broken.get(law),
            );
            writeln!(f, "  {one:>6} {other:>6}  {breach}")?;
        }
        for example in &self.examples {
            writeln!(f, "  broken: {example}")?;
        }
        let end = if self.are_good() {
            "every law was kept, and without keys customers were charged twice"
        } else if self.control_shows() || self.honoured.broken.sum() > 0 {
            "NOT GOOD"
        } else {
            "NOTHING WAS SHOWN: no customer was charged twice without keys either"
        };
        f.write_str(end)
    }
}
