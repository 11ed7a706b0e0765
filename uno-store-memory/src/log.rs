//! The events: in one list by position, and in one list for each stream by version.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use fastrand::Rng;
use uno_core::{
    AppendError, Direction, EventId, ExpectedVersion, LogPage, Position, ReadLog, ReadStream,
    RecordedEvent, Refusal, StreamAppend, StreamAppended, StreamId, Version,
};

pub(crate) struct Log {
    /// Every event, by position.
    events: Vec<Arc<RecordedEvent>>,
    /// The events of each stream, by version: the one with version `n` is at index `n - 1`.
    streams: HashMap<StreamId, Vec<Arc<RecordedEvent>>>,
    /// Where each event id is stored.
    places: HashMap<EventId, (StreamId, Version)>,
    /// The last position that was drawn, for an event or for a hole.
    drawn: Position,
    gaps: Option<Rng>,
}

/// Where the events of an append are, or will be.
pub(crate) struct Appended {
    pub(crate) position: Option<Position>,
    pub(crate) streams: Vec<StreamAppended>,
}

impl Log {
    pub(crate) fn new(gaps: Option<u64>) -> Self {
        Self {
            events: Vec::new(),
            streams: HashMap::new(),
            places: HashMap::new(),
            drawn: Position::START,
            gaps: gaps.map(Rng::with_seed),
        }
    }

    pub(crate) fn last(&self) -> Option<&Arc<RecordedEvent>> {
        self.events.last()
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// The version of a stream.
    pub(crate) fn version(&self, stream: &StreamId) -> Version {
        self.streams
            .get(stream)
            .and_then(|events| events.last())
            .map_or(Version::EMPTY, |event| event.version())
    }

    /// Whether this append can be carried out. `Some` when it was carried out before, and is only repeated.
    pub(crate) fn check(&self, appends: &[StreamAppend]) -> Result<Option<Appended>, AppendError> {
        let mut ids = HashSet::new();
        let (mut stored, mut doubled) = (None, None);
        for append in appends {
            for event in append.events() {
                let found = Some((append.stream(), event.id()));
                if self.places.contains_key(&event.id()) {
                    stored = stored.or(found);
                }
                if !ids.insert(event.id()) {
                    doubled = doubled.or(found);
                }
            }
        }
        if let (Some(_), None) = (stored, doubled)
            && let Some(first) = self.repeated(appends)
        {
            return Ok(Some(first));
        }
        if let Some((stream, id)) = stored.or(doubled) {
            return Err(AppendError::DuplicateEvent {
                stream: stream.clone(),
                id,
            });
        }
        for append in appends {
            let actual = self.version(append.stream());
            if !append.expected().allows(actual) {
                return Err(AppendError::Conflict {
                    stream: append.stream().clone(),
                    expected: append.expected(),
                    actual,
                });
            }
        }
        Ok(None)
    }

    /// Where the events are, if all of them are where this append would have put them.
    fn repeated(&self, appends: &[StreamAppend]) -> Option<Appended> {
        let mut last = None;
        let mut streams = Vec::with_capacity(appends.len());
        for append in appends {
            let stored = self.streams.get(append.stream())?;
            let first = match append.expected() {
                ExpectedVersion::NoStream => Version::EMPTY.next(),
                ExpectedVersion::Exact(version) => version.next(),
                ExpectedVersion::Any | ExpectedVersion::StreamExists => {
                    self.places.get(&append.events().first()?.id())?.1
                }
            };
            let from = usize::try_from(first.previous().get()).ok()?;
            let place = stored.get(from..from.checked_add(append.events().len())?)?;
            if !place
                .iter()
                .map(|event| event.id())
                .eq(append.events().iter().map(|event| event.id()))
            {
                return None;
            }
            let event = place.last()?;
            last = last.max(Some(event.position()));
            streams.push(StreamAppended::new(
                append.stream().clone(),
                first,
                event.version(),
            ));
        }
        Some(Appended {
            position: last,
            streams,
        })
    }

    /// Carries out an append that was checked.
    ///
    /// Fails, before anything is stored, when there are not enough places left.
    pub(crate) fn append(
        &mut self,
        appends: &[StreamAppend],
        now: DateTime<Utc>,
    ) -> Result<Appended, AppendError> {
        let recorded_at = self
            .last()
            .map_or(now, |event| event.recorded_at().max(now));
        let mut drawn = self.drawn;
        let mut records = Vec::new();
        let mut streams = Vec::with_capacity(appends.len());
        for append in appends {
            let before = self.version(append.stream());
            let mut version = before;
            for event in append.events() {
                version = version.checked_add(1).ok_or_else(|| full("versions"))?;
                let step = 1 + self.gaps.as_mut().map_or(0, |rng| rng.u64(0..3));
                drawn = drawn.checked_add(step).ok_or_else(|| full("positions"))?;
                let stream = append.stream().clone();
                records.push(Arc::new(RecordedEvent::record(
                    event,
                    stream,
                    version,
                    drawn,
                    recorded_at,
                )));
            }
            streams.push(StreamAppended::new(
                append.stream().clone(),
                before.next(),
                version,
            ));
        }
        self.drawn = drawn;
        let position = records.last().map(|event| event.position());
        for record in records {
            self.places
                .insert(record.id(), (record.stream().clone(), record.version()));
            self.streams
                .entry(record.stream().clone())
                .or_default()
                .push(Arc::clone(&record));
            self.events.push(record);
        }
        Ok(Appended { position, streams })
    }

    /// Draws a position for nothing, as a database does for an append that fails.
    pub(crate) fn waste(&mut self) {
        if self.gaps.is_some() {
            self.drawn = self.drawn.next();
        }
    }

    pub(crate) fn read_stream(&self, read: &ReadStream) -> Vec<Arc<RecordedEvent>> {
        let Some(events) = self.streams.get(read.stream()) else {
            return Vec::new();
        };
        let from = events.partition_point(|event| event.version() < read.first());
        let wanted = events[from..].iter().filter(|event| {
            event.version() <= read.last()
                && read.moment().is_none_or(|moment| moment.includes(event))
        });
        match read.direction() {
            Direction::Forward => wanted.take(read.max_events()).cloned().collect(),
            Direction::Backward => wanted.rev().take(read.max_events()).cloned().collect(),
        }
    }

    pub(crate) fn read_log(&self, read: &ReadLog) -> LogPage {
        // What was recorded by a moment is a beginning of the log, since neither positions nor times fall.
        let known = match read.moment() {
            Some(moment) => self.events.partition_point(|event| moment.includes(event)),
            None => self.events.len(),
        };
        let filter = |event: &&Arc<RecordedEvent>| read.events().matches(event);
        let limit = read.max_events();
        let (events, end): (Vec<_>, _) = match read.direction() {
            Direction::Forward => {
                let from = self
                    .events
                    .partition_point(|event| event.position() <= read.start());
                let window = self.events.get(from..known).unwrap_or_default();
                (
                    window.iter().filter(filter).take(limit).cloned().collect(),
                    window.last(),
                )
            }
            Direction::Backward => {
                let to = self
                    .events
                    .partition_point(|event| event.position() < read.start());
                let window = &self.events[..to.min(known)];
                (
                    window
                        .iter()
                        .rev()
                        .filter(filter)
                        .take(limit)
                        .cloned()
                        .collect(),
                    window.first(),
                )
            }
        };
        let scanned = if events.len() == limit {
            events.last()
        } else {
            end
        };
        let scanned = scanned.map(|event| (event.position(), event.id()));
        LogPage::new(events, scanned)
    }
}

fn full(what: &str) -> AppendError {
    AppendError::Refused(Refusal::new(what, "are used up"))
}
