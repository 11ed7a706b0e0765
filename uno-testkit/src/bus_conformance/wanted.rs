//! [`Wanted`]: how a case wants a handler to be subscribed.

use std::{fmt, sync::Arc, time::Duration};

use uno_core::{EventStore, Position};
use uno_events::{Priority, Topic};

/// The settings of a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusSettings {
    /// How many handlers may run at once.
    pub max_concurrency: usize,
    /// How long a handler may take that has no limit of its own.
    pub time_limit: Duration,
}

impl BusSettings {
    /// Ten handlers, for an hour: longer than any case.
    pub(crate) const USUAL: Self = Self {
        max_concurrency: 10,
        time_limit: Duration::from_secs(3600),
    };

    pub(crate) const fn at_once(max_concurrency: usize) -> Self {
        Self {
            max_concurrency,
            ..Self::USUAL
        }
    }
}

/// How a handler is to be subscribed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Wanted {
    /// The name that it is reported under.
    pub name: String,
    /// Which events it is for.
    pub topic: WantedTopic,
    /// When it is called.
    pub priority: Priority,
    /// The group that it is stopped, started and reported with.
    pub group: Option<String>,
    /// Whether events of one stream come to it one at a time, in the order of their publishes.
    pub ordered_by_stream: bool,
    /// How long it may take, if that is not the bus's.
    pub time_limit: Option<Duration>,
    /// Its queue, if publishers are not to wait for it.
    pub queue: Option<WantedQueue>,
    /// How often it is tried again when it has failed, without a wait.
    pub retries: u32,
    /// After how many failures in a row it is left alone, for an hour.
    pub breaker: Option<u32>,
}

impl Wanted {
    /// For all events, and nothing special.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            topic: WantedTopic::Recorded(Topic::All),
            priority: Priority::Normal,
            group: None,
            ordered_by_stream: false,
            time_limit: None,
            queue: None,
            retries: 0,
            breaker: None,
        }
    }

    pub(crate) fn of(self, topic: WantedTopic) -> Self {
        Self { topic, ..self }
    }

    pub(crate) fn queued(self, capacity: usize, policy: WantedPolicy) -> Self {
        let queue = Some(WantedQueue { capacity, policy });
        Self { queue, ..self }
    }
}

/// Which events a handler is for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WantedTopic {
    /// It handles [`Placed`](super::events::Placed), decoded; it is to be given the record of the envelope.
    Typed,
    /// It handles [`OrderEvent`](super::events::OrderEvent), decoded; it is to be given the record of the envelope.
    Set,
    /// It handles recorded events.
    Recorded(Topic),
}

/// A queue in front of a handler.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WantedQueue {
    /// How many events may wait.
    pub capacity: usize,
    /// What happens to those beyond.
    pub policy: WantedPolicy,
}

/// Is told of a gap: the first and the last position, and how many events.
pub type GapHandler = Arc<dyn Fn(Position, Position, u64) + Send + Sync>;

/// What happens when a queue is full.
#[derive(Clone)]
#[non_exhaustive]
pub enum WantedPolicy {
    /// Publishers wait.
    Block,
    /// The handler reads the log until it has caught up.
    SpillToLog(Arc<dyn EventStore>),
    /// Events are dropped, and the handler is told of the gap in its place.
    DropWithGap(GapHandler),
}

impl fmt::Debug for WantedPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Block => "Block",
            Self::SpillToLog(_) => "SpillToLog",
            Self::DropWithGap(_) => "DropWithGap",
        })
    }
}
