//! [`Draft`]: a batch of events for one or several streams, as it is drawn, written down, and sent.

use anyhow::Result;
use fastrand::Rng;
use uno_core::{
    EventName, ExpectedVersion, NewEvent, Payload, SchemaVersion, StreamAppend, StreamId, Version,
};

use crate::{campaign::Field, ids::IdSpace, ledger::Ledger};

/// The stored name of every event of ours.
pub(crate) const NAME: &str = "tortured";

/// A batch of events.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) batch: u64,
    /// Whether a row of the user's goes with it.
    pub(crate) rows: bool,
    pub(crate) parts: Vec<Part>,
}

/// The events of a batch that are for one stream.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) category: &'static str,
    pub(crate) key: String,
    pub(crate) expected: ExpectedVersion,
    pub(crate) events: u32,
    /// The version that somebody was told before this was drawn.
    pub(crate) known: Option<Version>,
}

impl Part {
    pub(crate) fn stream(&self) -> String {
        format!("{}-{}", self.category, self.key)
    }
}

impl Draft {
    /// Draws a batch for up to `streams` streams, and writes down that it is intended.
    pub(crate) fn draw(
        field: &Field,
        rng: &mut Rng,
        writer: usize,
        streams: usize,
        rows: bool,
    ) -> Result<Self> {
        let count = if rng.u8(..5) > 0 {
            1
        } else {
            rng.usize(1..=streams)
        };
        let mut parts: Vec<Part> = Vec::with_capacity(count);
        for _ in 0..count {
            let part = Part::draw(field, rng, writer);
            if parts.iter().all(|other| other.stream() != part.stream()) {
                parts.push(part);
            }
        }
        Self::intend(&field.ledger, parts, rows)
    }

    /// The same, for writers who take nothing for granted.
    pub(crate) fn draw_any(
        field: &Field,
        rng: &mut Rng,
        writer: usize,
        streams: usize,
        rows: bool,
    ) -> Result<Self> {
        let mut draft = Self::draw(field, rng, writer, streams, rows)?;
        for part in &mut draft.parts {
            part.expected = ExpectedVersion::Any;
        }
        Ok(draft)
    }

    /// A batch of these parts, which is written down as intended.
    pub(crate) fn intend(ledger: &Ledger, mut parts: Vec<Part>, rows: bool) -> Result<Self> {
        // Whoever locks streams himself does so in this order.
        parts.sort_by(|a, b| (a.category, &a.key).cmp(&(b.category, &b.key)));
        Self::intend_as_is(ledger, parts, rows)
    }

    /// The same, with the parts in this order.
    pub(crate) fn intend_as_is(ledger: &Ledger, parts: Vec<Part>, rows: bool) -> Result<Self> {
        let streams: Vec<_> = parts
            .iter()
            .map(|part| (part.stream(), part.events))
            .collect();
        let batch = ledger.intend(rows, &streams)?;
        Ok(Self { batch, rows, parts })
    }

    pub(crate) fn events(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.events)).sum()
    }

    /// As the store takes it.
    pub(crate) fn appends(&self, space: IdSpace) -> Result<Vec<StreamAppend>> {
        let mut index = 0;
        let mut appends = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let mut events = Vec::with_capacity(part.events as usize);
            for _ in 0..part.events {
                let payload = Payload::from_json(space.payload(self.batch, index))?;
                let event =
                    NewEvent::from_payload(EventName::new(NAME)?, SchemaVersion::FIRST, payload);
                events.push(event.with_id(space.event_id(self.batch, index)));
                index += 1;
            }
            appends.push(StreamAppend::new(
                StreamId::new(part.category, part.key.clone())?,
                part.expected,
                events,
            ));
        }
        Ok(appends)
    }
}

impl Part {
    /// Events for a stream that is taken for granted in no way.
    pub(crate) fn any(category: &'static str, key: impl Into<String>, events: u32) -> Self {
        Self {
            category,
            key: key.into(),
            expected: ExpectedVersion::Any,
            events,
            known: None,
        }
    }

    fn draw(field: &Field, rng: &mut Rng, writer: usize) -> Self {
        let (category, key) = match rng.u8(..10) {
            0 | 1 => ("hot", rng.u32(..8).to_string()),
            2..=6 => ("warm", rng.u32(..500).to_string()),
            7 | 8 => ("own", format!("{writer}.{}", rng.u32(..4))),
            _ => ("new", format!("{writer}.{}", rng.u64(..))),
        };
        let events = if rng.u8(..5) < 2 { 1 } else { rng.u32(1..=50) };
        let mut part = Self::any(category, key, events);
        let known = field.version(&part.stream());
        part.known = known;
        part.expected = match (rng.u8(..10), known) {
            (0..5, Some(version)) => ExpectedVersion::Exact(version),
            (5, Some(_)) => ExpectedVersion::StreamExists,
            (0..5, None) => ExpectedVersion::NoStream,
            // Seldom, something that can't be.
            (6, _) if rng.u8(..10) == 0 => ExpectedVersion::Exact(Version::MAX),
            _ => ExpectedVersion::Any,
        };
        part
    }
}
