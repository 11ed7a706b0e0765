//! [`Figures`]: what a campaign has shown so far, kept in a file, so that a run goes on where the last one ended.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{
    controls::{Control, Must},
    judge::{LAWS, Verdict},
    tally::Tally,
};

/// What a campaign has shown so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// The seed of it all.
    pub seed: u64,
    /// How many phases were judged.
    pub phases: u64,
    /// How long they took.
    pub seconds: f64,
    /// What was looked at.
    pub facts: Tally,
    /// Breaches of laws.
    pub broken: Tally,
    /// The first breaches, in words.
    pub examples: Vec<String>,
    /// What came of the readers with a fault, in the last run.
    pub controls: Vec<Control>,
}

impl Figures {
    /// The file of the campaign with this seed.
    #[must_use]
    pub fn path(folder: &Path, seed: u64) -> PathBuf {
        folder.join(format!("log-{seed}.json"))
    }

    /// What was shown by earlier runs; nothing if there were none.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn load(folder: &Path, seed: u64) -> Result<Self> {
        let path = Self::path(folder, seed);
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("{} can't be read; --fresh begins anew", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self {
                seed,
                ..Self::default()
            }),
            Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
        }
    }

    /// Keeps them.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let path = Self::path(folder, self.seed);
        fs::create_dir_all(folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
        // Beside the file and then in its place, so that a run that is killed here leaves the old or the new one.
        let new = path.with_extension("new");
        fs::write(&new, serde_json::to_vec_pretty(self)?)
            .with_context(|| format!("failed to write {}", new.display()))?;
        fs::rename(&new, &path).with_context(|| format!("failed to write {}", path.display()))
    }

    /// Adds a phase.
    pub fn add(&mut self, writers: usize, seconds: f64, verdict: &Verdict) {
        let phase = self.phases;
        self.phases += 1;
        self.seconds += seconds;
        self.facts.add_all(&verdict.facts);
        self.facts.add(
            &format!("by {writers:2} writers"),
            verdict.facts.get("stored"),
        );
        self.broken.add_all(&verdict.broken);
        self.examples.extend(
            verdict
                .examples
                .iter()
                .map(|example| format!("phase {phase}: {example}")),
        );
        self.examples.truncate(50);
    }

    /// How many events are stored and judged.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.facts.get("stored")
    }

    /// Whether every law was kept and every control came as it must.
    #[must_use]
    pub fn are_good(&self) -> bool {
        self.broken.sum() == 0 && self.controls.iter().all(Control::is_as_it_must)
    }
}

/// The table.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} phases in {:.0} s",
            self.seed, self.phases, self.seconds
        )?;
        for (what, count) in self.facts.iter() {
            writeln!(f, "  {count:>12}  {what}")?;
        }
        writeln!(f, "laws")?;
        for (law, breach) in LAWS {
            writeln!(f, "  {:>12}  {breach}", self.broken.get(law))?;
        }
        for example in &self.examples {
            writeln!(f, "  broken: {example}")?;
        }
        writeln!(f, "controls")?;
        for control in &self.controls {
            writeln!(f, "  {control}")?;
        }
        write!(
            f,
            "{}",
            if self.are_good() {
                "every law was kept, and every control failed"
            } else {
                "NOT GOOD"
            }
        )
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            delivered,
            skipped,
            inverted,
            ..
        } = self;
        write!(
            f,
            "{name:<48} {skipped:>6} skipped, {inverted:>6} inverted, {delivered:>7} given: "
        )?;
        f.write_str(match (self.must, self.is_as_it_must()) {
            (Must::Succeed, true) => "right, as it must be",
            (Must::Succeed, false) => "WRONG, AND IT MUST NOT BE",
            (Must::Skip | Must::Invert, true) => "fails, as it must",
            (Must::Skip | Must::Invert, false) => "DOES NOT FAIL, AND IT MUST",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_add_up_and_are_kept() {
        let folder =
            std::env::temp_dir().join(format!("uno-torture-figures-{}", std::process::id()));
        let mut verdict = Verdict::default();
        verdict.facts.add("stored", 10);
        let mut figures = Figures::load(&folder, 7).unwrap();
        figures.add(8, 1.0, &verdict);
        figures.save(&folder).unwrap();
        let mut figures = Figures::load(&folder, 7).unwrap();
        figures.add(8, 1.0, &verdict);
        assert_eq!(
            (
                figures.phases,
                figures.events(),
                figures.facts.get("by  8 writers")
            ),
            (2, 20, 20)
        );
        assert!(figures.are_good());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_broken_law_and_a_control_that_does_not_fail_are_not_good() {
        let mut broken = Figures::default();
        let mut verdict = Verdict::default();
        verdict.breach("lost", 1, || "one".to_owned());
        broken.add(1, 1.0, &verdict);
        assert!(!broken.are_good());
        assert!(broken.to_string().contains("broken: phase 0: lost: one"));

        let control = |must, skipped, inverted| Control {
            name: "c".to_owned(),
            must,
            delivered: 9,
            skipped,
            inverted,
        };
        let check = |control: Control, good: bool| {
            assert_eq!(
                Figures {
                    controls: vec![control],
                    ..Figures::default()
                }
                .are_good(),
                good
            );
        };
        check(control(Must::Skip, 1, 0), true);
        check(control(Must::Skip, 0, 1), false);
        check(control(Must::Invert, 0, 1), true);
        check(control(Must::Invert, 1, 0), false);
        check(control(Must::Succeed, 0, 0), true);
        check(control(Must::Succeed, 0, 1), false);
    }
}
