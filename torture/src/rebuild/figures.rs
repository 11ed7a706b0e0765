//! [`Figures`]: what the campaign against rebuilds has shown so far, kept in a file, so that a run goes on where the last one ended.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{Control, LAWS};
use crate::{judge::Verdict, tally::Tally};

/// What the campaign has shown so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// The seed of it all.
    pub seed: u64,
    /// Of which store.
    pub store: String,
    /// How many phases were judged, those of the controls included.
    pub phases: u64,
    /// How long they took.
    pub seconds: f64,
    /// With every rule kept.
    pub plain: Part,
    /// With a rule broken, by its name.
    pub controls: BTreeMap<String, Part>,
    /// The first breaches that no control explains, in words.
    pub examples: Vec<String>,
}

/// Of phases of one kind.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Part {
    /// What was looked at.
    pub facts: Tally,
    /// What went wrong meanwhile, as it was to.
    pub disasters: Tally,
    /// Breaches of laws.
    pub broken: Tally,
}

impl Figures {
    /// The file of the campaign with this seed.
    #[must_use]
    pub fn path(folder: &Path, seed: u64, store: &str) -> PathBuf {
        folder.join(format!("rebuild-{store}-{seed}.json"))
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
    pub fn add(
        &mut self,
        control: Option<Control>,
        seconds: f64,
        verdict: &Verdict,
        disasters: &Tally,
    ) {
        let phase = self.phases;
        self.phases += 1;
        self.seconds += seconds;
        let part = match control {
            None => &mut self.plain,
            Some(control) => self.controls.entry(control.name().to_owned()).or_default(),
        };
        part.facts.add_all(&verdict.facts);
        part.broken.add_all(&verdict.broken);
        part.disasters.add_all(disasters);
        let excused = |example: &&String| {
            let laws = control.map_or(&[][..], Control::may_break);
            laws.iter().any(|law| example.starts_with(law))
        };
        let examples = verdict.examples.iter().filter(|one| !excused(one));
        self.examples
            .extend(examples.map(|example| format!("phase {phase}: {example}")));
        self.examples.truncate(20);
    }

    /// How often the read model was rebuilt with every rule kept.
    #[must_use]
    pub fn rebuilds(&self) -> u64 {
        self.plain.facts.get("rebuilds")
    }

    /// How many processes and servers died, of themselves or killed, with every rule kept.
    #[must_use]
    pub fn deaths(&self) -> u64 {
        self.plain.disasters.sum()
    }

    /// Whether the judge has seen what the control does.
    #[must_use]
    pub fn have_seen(&self, control: Control) -> bool {
        self.controls
            .get(control.name())
            .is_some_and(|part| shows(control.name(), part))
    }

    /// Whether every law was kept, and every control broke those that it had to, and no other.
    #[must_use]
    pub fn are_good(&self) -> bool {
        self.plain.broken.sum() == 0
            && self
                .controls
                .iter()
                .all(|(name, part)| shows(name, part) && harms_nothing_else(name, part))
    }
}

/// Whether the judge has seen what the control does.
fn shows(control: &str, part: &Part) -> bool {
    control
        .parse::<Control>()
        .is_ok_and(|control| part.broken.get(control.must_break()) > 0)
}

fn harms_nothing_else(control: &str, part: &Part) -> bool {
    let laws = control
        .parse::<Control>()
        .map_or(&[][..], Control::may_break);
    let excused: u64 = laws.iter().map(|law| part.broken.get(law)).sum();
    part.broken.sum() == excused
}

/// The table.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {} on {}: {} phases in {:.0} s",
            self.seed, self.store, self.phases, self.seconds
        )?;
        let plain = [("every rule kept", &self.plain)];
        let controls = self.controls.iter();
        for (name, part) in plain
            .into_iter()
            .chain(controls.map(|(name, part)| (name.as_str(), part)))
        {
            writeln!(f, "{name}")?;
            for (what, count) in part.disasters.iter().chain(part.facts.iter()) {
                writeln!(f, "  {count:>12}  {what}")?;
            }
        }
        writeln!(
            f,
            "laws: breaches with every rule kept, and with each control"
        )?;
        for (law, breach) in LAWS {
            write!(f, "  {:>6}", self.plain.broken.get(law))?;
            for part in self.controls.values() {
                write!(f, " {:>6}", part.broken.get(law))?;
            }
            writeln!(f, "  {breach}")?;
        }
        for example in &self.examples {
            writeln!(f, "  broken: {example}")?;
        }
        let blind = self.controls.iter().find(|(name, part)| !shows(name, part));
        match blind {
            _ if self.are_good() => f.write_str("every law was kept, and every control was seen"),
            Some((name, _)) if self.plain.broken.sum() == 0 => {
                write!(f, "NOTHING WAS SHOWN: nobody noticed the control {name}")
            }
            _ => f.write_str("NOT GOOD"),
        }
    }
}
