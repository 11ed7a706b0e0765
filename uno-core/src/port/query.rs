//! What to read: a stretch of one stream, or of the log.
//!
//! Long because both stretches and the filter have a builder and a question for each condition.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    Category, CorrelationId, EventId, EventName, Position, RecordedEvent, StreamId, Version,
};

/// Which way to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are two ways")]
pub enum Direction {
    /// From old to new.
    #[default]
    Forward,
    /// From new to old.
    Backward,
}

/// A moment in the life of a store: only what was recorded up to it is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every store must handle every case"
)]
pub enum AsOf {
    /// Up to and with this position.
    Position(Position),
    /// Up to and with this moment, by the time of recording.
    Time(DateTime<Utc>),
}

impl AsOf {
    /// Whether an event was recorded by then.
    #[must_use]
    pub fn includes(self, event: &RecordedEvent) -> bool {
        match self {
            Self::Position(position) => event.position() <= position,
            Self::Time(time) => event.recorded_at() <= time,
        }
    }
}

/// A stretch of one stream: from one version to another, both included, at most `limit` events.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadStream {
    stream: StreamId,
    first: Version,
    last: Version,
    direction: Direction,
    as_of: Option<AsOf>,
    limit: usize,
}

impl ReadStream {
    /// How many events are read unless it is said.
    pub const DEFAULT_LIMIT: usize = 1000;

    /// The stream from its first event on.
    #[must_use]
    pub fn forward(stream: StreamId) -> Self {
        Self {
            stream,
            first: Version::EMPTY.next(),
            last: Version::MAX,
            direction: Direction::Forward,
            as_of: None,
            limit: Self::DEFAULT_LIMIT,
        }
    }

    /// The stream from its last event back.
    #[must_use]
    pub fn backward(stream: StreamId) -> Self {
        Self {
            direction: Direction::Backward,
            ..Self::forward(stream)
        }
    }

    /// Only from this version on.
    #[must_use]
    pub fn from(mut self, version: Version) -> Self {
        self.first = version;
        self
    }

    /// Only up to and with this version.
    #[must_use]
    pub fn to(mut self, version: Version) -> Self {
        self.last = version;
        self
    }

    /// Only what was recorded by then.
    #[must_use]
    pub fn as_of(mut self, moment: AsOf) -> Self {
        self.as_of = Some(moment);
        self
    }

    /// At most this many events.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Which stream.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The lowest version wanted.
    #[must_use]
    pub fn first(&self) -> Version {
        self.first
    }

    /// The highest version wanted.
    #[must_use]
    pub fn last(&self) -> Version {
        self.last
    }

    /// Which way.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The moment to read as of.
    #[must_use]
    pub fn moment(&self) -> Option<AsOf> {
        self.as_of
    }

    /// How many events at most.
    #[must_use]
    pub fn max_events(&self) -> usize {
        self.limit
    }
}

/// A stretch of the log: what comes after a position (or before one, when read backward), filtered.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadLog {
    start: Position,
    direction: Direction,
    filter: EventFilter,
    as_of: Option<AsOf>,
    limit: usize,
}

impl ReadLog {
    /// How many events are read unless it is said.
    pub const DEFAULT_LIMIT: usize = 1000;

    /// What comes after this position, from old to new.
    #[must_use]
    pub fn after(position: Position) -> Self {
        Self {
            start: position,
            direction: Direction::Forward,
            filter: EventFilter::all(),
            as_of: None,
            limit: Self::DEFAULT_LIMIT,
        }
    }

    /// What comes before this position, from new to old. [`Position::MAX`] for the end of the log.
    #[must_use]
    pub fn before(position: Position) -> Self {
        Self {
            direction: Direction::Backward,
            ..Self::after(position)
        }
    }

    /// The same from another place on: for the next page, the last that this one covers ([`LogPage::scanned`]).
    #[must_use]
    pub fn starting_at(mut self, position: Position) -> Self {
        self.start = position;
        self
    }

    /// Only these events.
    #[must_use]
    pub fn filter(mut self, filter: EventFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Only what was recorded by then.
    #[must_use]
    pub fn as_of(mut self, moment: AsOf) -> Self {
        self.as_of = Some(moment);
        self
    }

    /// At most this many events.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The position to start from, itself not included.
    #[must_use]
    pub fn start(&self) -> Position {
        self.start
    }

    /// Which way.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Which events.
    #[must_use]
    pub fn events(&self) -> &EventFilter {
        &self.filter
    }

    /// The moment to read as of.
    #[must_use]
    pub fn moment(&self) -> Option<AsOf> {
        self.as_of
    }

    /// How many events at most.
    #[must_use]
    pub fn max_events(&self) -> usize {
        self.limit
    }
}

/// Which events of the log: those that fit every condition that is set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventFilter {
    names: Option<Arc<[EventName]>>,
    categories: Option<Arc<[Category]>>,
    correlation_id: Option<CorrelationId>,
    ids: Option<Arc<[EventId]>>,
    causes: Option<Arc<[Uuid]>>,
    causing_events: Option<Arc<[EventId]>>,
    actor: Option<Arc<str>>,
    recorded_from: Option<DateTime<Utc>>,
    recorded_before: Option<DateTime<Utc>>,
}

impl EventFilter {
    /// Every event.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Only events with one of these stored names.
    #[must_use]
    pub fn names(mut self, names: impl IntoIterator<Item = EventName>) -> Self {
        self.names = Some(names.into_iter().collect());
        self
    }

    /// Only events of streams in one of these categories.
    #[must_use]
    pub fn categories(mut self, categories: impl IntoIterator<Item = Category>) -> Self {
        self.categories = Some(categories.into_iter().collect());
        self
    }

    /// Only events with this correlation id.
    #[must_use]
    pub fn correlation_id(mut self, id: CorrelationId) -> Self {
        self.correlation_id = Some(id);
        self
    }

    /// Only the events with these ids.
    #[must_use]
    pub fn ids(mut self, ids: impl IntoIterator<Item = EventId>) -> Self {
        self.ids = Some(ids.into_iter().collect());
        self
    }

    /// Only events whose direct cause was one of these events or commands: the causation ids of their metadata.
    #[must_use]
    pub fn causes(mut self, causes: impl IntoIterator<Item = Uuid>) -> Self {
        self.causes = Some(causes.into_iter().collect());
        self
    }

    /// Only what one of these events set off, directly or through commands and timers, without another event in between:
    /// [`Metadata::causing_event`](crate::Metadata::causing_event).
    #[must_use]
    pub fn causing_events(mut self, ids: impl IntoIterator<Item = EventId>) -> Self {
        self.causing_events = Some(ids.into_iter().collect());
        self
    }

    /// Only events on behalf of this actor.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<Arc<str>>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Only events recorded at or after this moment.
    #[must_use]
    pub fn recorded_from(mut self, time: DateTime<Utc>) -> Self {
        self.recorded_from = Some(time);
        self
    }

    /// Only events recorded before this moment.
    #[must_use]
    pub fn recorded_before(mut self, time: DateTime<Utc>) -> Self {
        self.recorded_before = Some(time);
        self
    }

    /// The names, if they matter.
    #[must_use]
    pub fn wanted_names(&self) -> Option<&[EventName]> {
        self.names.as_deref()
    }

    /// The categories, if they matter.
    #[must_use]
    pub fn wanted_categories(&self) -> Option<&[Category]> {
        self.categories.as_deref()
    }

    /// The correlation id, if it matters.
    #[must_use]
    pub fn wanted_correlation_id(&self) -> Option<CorrelationId> {
        self.correlation_id
    }

    /// The ids, if they matter.
    #[must_use]
    pub fn wanted_ids(&self) -> Option<&[EventId]> {
        self.ids.as_deref()
    }

    /// The direct causes, if they matter.
    #[must_use]
    pub fn wanted_causes(&self) -> Option<&[Uuid]> {
        self.causes.as_deref()
    }

    /// The causing events, if they matter.
    #[must_use]
    pub fn wanted_causing_events(&self) -> Option<&[EventId]> {
        self.causing_events.as_deref()
    }

    /// The actor, if it matters.
    #[must_use]
    pub fn wanted_actor(&self) -> Option<&str> {
        self.actor.as_deref()
    }

    /// The earliest moment of recording, if it matters.
    #[must_use]
    pub fn wanted_recorded_from(&self) -> Option<DateTime<Utc>> {
        self.recorded_from
    }

    /// The moment before which it was recorded, if it matters.
    #[must_use]
    pub fn wanted_recorded_before(&self) -> Option<DateTime<Utc>> {
        self.recorded_before
    }

    /// Whether nothing is filtered out.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an event fits: what every store's own query must agree with.
    #[must_use]
    pub fn matches(&self, event: &RecordedEvent) -> bool {
        self.names
            .as_ref()
            .is_none_or(|names| names.contains(event.name()))
            && self
                .categories
                .as_ref()
                .is_none_or(|categories| categories.contains(event.stream().category()))
            && self
                .correlation_id
                .is_none_or(|id| event.metadata().correlation_id() == Some(id))
            && self
                .ids
                .as_ref()
                .is_none_or(|ids| ids.contains(&event.id()))
            && self.causes.as_ref().is_none_or(|causes| {
                event
                    .metadata()
                    .causation_id()
                    .is_some_and(|cause| causes.contains(&cause))
            })
            && self.causing_events.as_ref().is_none_or(|ids| {
                event
                    .metadata()
                    .causing_event()
                    .is_some_and(|id| ids.contains(&id))
            })
            && self
                .actor
                .as_deref()
                .is_none_or(|actor| event.metadata().actor() == Some(actor))
            && self
                .recorded_from
                .is_none_or(|time| event.recorded_at() >= time)
            && self
                .recorded_before
                .is_none_or(|time| event.recorded_at() < time)
    }
}

/// A page of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogPage {
    events: Vec<Arc<RecordedEvent>>,
    scanned: Option<(Position, EventId)>,
}

impl LogPage {
    /// A page. For stores.
    ///
    /// `scanned` is the last *committed event* that the page covers, whether or not it fits the filter: the last
    /// of `events` when the page is full, else the last event of the log that was visible; `None` when there is
    /// none beyond the start. Never a bare number that no event has.
    #[must_use]
    pub fn new(events: Vec<Arc<RecordedEvent>>, scanned: Option<(Position, EventId)>) -> Self {
        Self { events, scanned }
    }

    /// The events that fit, in the order that was asked for.
    #[must_use]
    pub fn events(&self) -> &[Arc<RecordedEvent>] {
        &self.events
    }

    /// The events alone.
    #[must_use]
    pub fn into_events(self) -> Vec<Arc<RecordedEvent>> {
        self.events
    }

    /// Where a reader that has handled this page may put its checkpoint: position and id of a committed event.
    #[must_use]
    pub fn scanned(&self) -> Option<(Position, EventId)> {
        self.scanned
    }
}
