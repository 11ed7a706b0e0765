//! [`Stored`]: what is in the database, read with the judge's own SQL.

use std::collections::HashMap;

mod postgres;
mod sqlite;

/// What is in the database.
#[derive(Debug, Default)]
pub struct Stored {
    /// The log, by position.
    pub events: Vec<StoredEvent>,
    /// The streams: name, and version by their own record, where a store keeps one.
    pub streams: HashMap<i64, (String, Option<i64>)>,
    /// How many rows of the user's each batch has.
    pub rows: HashMap<u64, u64>,
    /// Whether times of recording must rise: not when somebody wrote to the table past the store's functions.
    pub times_rise: bool,
}

/// An event in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in the log.
    pub position: i64,
    /// Its id.
    pub id: u128,
    /// Its stream, by number.
    pub stream: i64,
    /// Its place in the stream.
    pub version: i64,
    /// When it was recorded, in microseconds.
    pub recorded: i64,
    /// Whether its payload is the one that was made for it, byte for byte.
    pub own_payload: bool,
}

impl Stored {
    /// The name of a stream.
    #[must_use]
    pub fn name(&self, stream: i64) -> &str {
        self.streams
            .get(&stream)
            .map_or("(no such stream)", |(name, _)| name)
    }
}
