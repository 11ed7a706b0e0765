//! [`Record`]: which generations there are, as the judge reads it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::books::BOOKS;

/// Which generations there are, and what each is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) generations: BTreeMap<u32, String>,
}

impl Record {
    pub(crate) fn read(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let listed = value["generations"].as_array();
        let listed = listed.context("a record lists generations")?;
        let read = |entry: &Value| {
            let number = entry["number"].as_u64().context("it has a number")?;
            let state = entry["state"].as_str().context("it has a state")?;
            Ok((u32::try_from(number)?, state.to_owned()))
        };
        Ok(Self {
            generations: listed.iter().map(read).collect::<Result<_>>()?,
        })
    }

    fn of(&self, wanted: &str) -> impl Iterator<Item = u32> {
        let found = self.generations.iter();
        let found = found.filter(move |(_, state)| *state == wanted);
        found.map(|(number, _)| *number)
    }

    pub(crate) fn serving(&self) -> Result<u32> {
        self.of("serving").next().context("one of them serves")
    }

    pub(crate) fn kept(&self) -> Vec<u32> {
        self.of("kept").collect()
    }

    pub(crate) fn building(&self) -> Option<u32> {
        self.of("building").next()
    }
}

/// What the collection and the subscription of a generation are called.
pub(crate) fn name_of(generation: u32) -> String {
    match generation {
        1 => BOOKS.to_owned(),
        later => format!("{BOOKS}@{later}"),
    }
}
