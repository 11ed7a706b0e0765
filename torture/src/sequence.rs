//! [`Sequence`]: what a reader was given, written down by itself in the order in which it came.
//!
//! ```text
//! reader <name> <category or *>
//! <position> <id in hexadecimal>
//! c <position> <id>                 where it could put its checkpoint, if that was not the last event given
//! x <message>                       an error that nothing explains
//! range <after> <up to>             it was to be given only what lies between these positions
//! end <true|false>                  whether the reader came to the end
//! ```
//!
//! A file may have several of these, one after the other.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};

/// What a reader was given, as the judge reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// The reader's name.
    pub name: String,
    /// The only category that it wants, if there is one.
    pub category: Option<String>,
    /// The only stretch that it wants: what comes after the first position, up to the second.
    pub range: Option<(i64, i64)>,
    /// Positions and ids, as they came.
    pub events: Vec<(i64, u128)>,
    /// Where it could put its checkpoint, besides the events given.
    pub checkpoints: Vec<(i64, u128)>,
    /// Errors that nothing explains.
    pub unexplained: Vec<String>,
    /// Whether it came to the end.
    pub finished: bool,
}

impl Sequence {
    /// What the names of all readers' files end with.
    pub const ENDING: &'static str = ".reader";

    /// Reads what a reader wrote down.
    ///
    /// # Errors
    /// When the text is not that.
    pub fn parse(text: &str) -> Result<Vec<Self>> {
        let mut sequences: Vec<Self> = Vec::new();
        for line in text.lines() {
            if let Some(head) = line.strip_prefix("reader ") {
                let (name, category) = head.rsplit_once(' ').context("no category")?;
                let category = (category != "*").then(|| category.to_owned());
                sequences.push(Self {
                    name: name.to_owned(),
                    category,
                    ..Self::default()
                });
            } else {
                let sequence = sequences
                    .last_mut()
                    .context("the file of a reader begins with its name")?;
                sequence
                    .read(line)
                    .with_context(|| format!("line of a reader: {line}"))?;
            }
        }
        Ok(sequences)
    }

    fn read(&mut self, line: &str) -> Result<()> {
        let (first, rest) = line.split_once(' ').context("half a line")?;
        let pair = || rest.split_once(' ').context("half a pair");
        match first {
            "c" => {
                let (position, id) = pair()?;
                self.checkpoints
                    .push((position.parse()?, u128::from_str_radix(id, 16)?));
            }
            "range" => {
                let (after, up_to) = pair()?;
                self.range = Some((after.parse()?, up_to.parse()?));
            }
            "x" => self.unexplained.push(rest.to_owned()),
            "end" => self.finished = rest == "true",
            position => self
                .events
                .push((position.parse()?, u128::from_str_radix(rest, 16)?)),
        }
        Ok(())
    }
}

/// The file of a reader, as the reader writes it.
#[derive(Debug)]
pub struct SequenceFile(BufWriter<File>);

impl SequenceFile {
    /// A new file in this folder.
    ///
    /// # Errors
    /// When the file can't be made.
    pub fn create(folder: &Path, name: &str, category: Option<&str>) -> Result<Self> {
        let path = folder.join(format!("{name}{}", Sequence::ENDING));
        let file =
            File::create(&path).with_context(|| format!("failed to create {}", path.display()))?;
        let mut file = BufWriter::new(file);
        writeln!(file, "reader {name} {}", category.unwrap_or("*"))?;
        Ok(Self(file))
    }

    /// An event was given.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn given(&mut self, position: i64, id: u128) -> Result<()> {
        writeln!(self.0, "{position} {id:x}").context("failed to write the file of a reader")
    }

    /// A page said where the checkpoint may go.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn checkpoint(&mut self, position: i64, id: u128) -> Result<()> {
        writeln!(self.0, "c {position} {id:x}").context("failed to write the file of a reader")
    }

    /// Something failed that nothing explains.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn unexplained(&mut self, message: &str) -> Result<()> {
        writeln!(self.0, "x {}", message.replace('\n', " "))
            .context("failed to write the file of a reader")
    }

    /// The reader was to be given only what comes after a position, up to another.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn range(&mut self, after: i64, up_to: i64) -> Result<()> {
        writeln!(self.0, "range {after} {up_to}").context("failed to write the file of a reader")
    }

    /// The reader ends, and begins anew as if it were another.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn begin_anew(&mut self, name: &str) -> Result<()> {
        writeln!(self.0, "end true\nreader {name} *")
            .context("failed to write the file of a reader")
    }

    /// The reader ends.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn end(mut self, finished: bool) -> Result<()> {
        writeln!(self.0, "end {finished}")?;
        self.0
            .flush()
            .context("failed to write the file of a reader")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_read_as_it_was_written() {
        let text =
            "reader poll 7 hot\n3 ff\nc 4 a\nx oh no\n5 1\nend true\nreader second *\nrange 3 9\n";
        let sequences = Sequence::parse(text).unwrap();
        let expected = Sequence {
            name: "poll 7".to_owned(),
            category: Some("hot".to_owned()),
            range: None,
            events: vec![(3, 255), (5, 1)],
            checkpoints: vec![(4, 10)],
            unexplained: vec!["oh no".to_owned()],
            finished: true,
        };
        assert_eq!(sequences[0], expected);
        assert_eq!((sequences.len(), sequences[1].range), (2, Some((3, 9))));
        // A reader that died says nothing at the end.
        assert!(!sequences[1].finished);
        assert!(Sequence::parse("poll *\n").is_err());
        assert!(Sequence::parse("reader poll *\n3\n").is_err());
    }
}
