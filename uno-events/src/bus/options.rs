//! [`HandlerOptions`]: how a handler is called on a bus, and [`Topic`]: for what.

use std::{fmt, hash::Hash, time::Duration};

use uno_core::{Category, EventName, RecordedEvent};

use super::{BoundedQueue, NamePattern, lanes::KeyOf};
use crate::{Group, Layers};

/// Which recorded events a handler is for. Names are those that are stored: one that an event type had before is another name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Topic {
    /// All.
    All,
    /// Those with this stored name.
    Name(EventName),
    /// Those whose stored names have this shape.
    Pattern(NamePattern),
    /// Those of streams in this category.
    Category(Category),
}

/// Which handlers of an event come first. Those of one priority are done before those of the next begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "more than three would be a workflow, which is what sagas are for"
)]
pub enum Priority {
    /// First.
    High,
    /// Then these.
    #[default]
    Normal,
    /// Last.
    Low,
}

/// How a handler is called on a bus.
///
/// ```
/// use std::time::Duration;
/// use uno_events::{HandlerOptions, Priority};
///
/// let options = HandlerOptions::new()
///     .group("shipping")
///     .priority(Priority::High)
///     .ordered_by_stream()
///     .time_limit(Duration::from_secs(5));
/// # let _ = options;
/// ```
#[derive(Clone, Default)]
pub struct HandlerOptions {
    pub(super) priority: Priority,
    pub(super) time_limit: Option<Option<Duration>>,
    pub(super) categories: Option<Vec<Category>>,
    pub(super) group: Option<Group>,
    pub(super) key: Option<KeyOf>,
    pub(super) queue: Option<BoundedQueue>,
    pub(super) layers: Layers,
}

impl HandlerOptions {
    /// Normal priority, the bus's time limit, streams of every category, in no group, in no order but that of publishes
    /// that come one after the other, awaited, without layers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With this priority.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// With this time limit instead of the bus's. Then the handler is dropped, and reported as timed out.
    ///
    /// When the handler has layers, the limit is for each attempt: it lies within all of them.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(Some(limit));
        self
    }

    /// Without a time limit.
    #[must_use]
    pub fn no_time_limit(mut self) -> Self {
        self.time_limit = Some(None);
        self
    }

    /// Only for events of streams in one of these categories.
    #[must_use]
    pub fn categories(mut self, categories: impl IntoIterator<Item = Category>) -> Self {
        self.categories = Some(categories.into_iter().collect());
        self
    }

    /// In the group, such as a bounded context, that it is stopped, started and reported with.
    #[must_use]
    pub fn group(mut self, group: impl Into<Group>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Events of one stream come to the handler one at a time, in the order in which their publishes began, however many
    /// publish at once. See [`ordered_by`](Self::ordered_by).
    #[must_use]
    pub fn ordered_by_stream(self) -> Self {
        self.ordered_by(|event| event.stream().clone())
    }

    /// Events with the same key come to the handler one at a time, in the order in which their publishes began, however
    /// many publish at once. Events with other keys are not held up.
    ///
    /// What the handler itself publishes of the key that it is handling is handled within it, as if it had called itself.
    /// When a handler publishes an event whose key is busy elsewhere, the event takes its place in the order, but is not
    /// waited for, since two handlers might so wait for one another: the report says
    /// [`Deferred`](super::HandlerResult::Deferred).
    ///
    /// Keys take memory only while events of them are being published. They are told apart by their hashes.
    #[must_use]
    pub fn ordered_by<K: Hash>(
        mut self,
        key: impl Fn(&RecordedEvent) -> K + Send + Sync + 'static,
    ) -> Self {
        self.key = Some(KeyOf::new(key));
        self
    }

    /// Events go into a queue of its own, which a task empties one event at a time, and publishers do not wait for the
    /// handler. There is no queue without a word on what happens when it is full.
    ///
    /// It runs beside the handlers that the bus's `max_concurrency` is about. What becomes of an event is not in the report
    /// of its publish but in [`EventBus::status`](super::EventBus::status), and in layers, if it has any.
    #[must_use]
    pub fn queued(mut self, queue: BoundedQueue) -> Self {
        self.queue = Some(queue);
        self
    }

    /// With these layers around it.
    #[must_use]
    pub fn layers(mut self, layers: Layers) -> Self {
        self.layers = layers;
        self
    }
}

impl fmt::Debug for HandlerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerOptions")
            .field("priority", &self.priority)
            .field("time_limit", &self.time_limit)
            .field("categories", &self.categories)
            .field("group", &self.group)
            .field("ordered", &self.key.is_some())
            .field("queue", &self.queue)
            .field("layers", &self.layers)
            .finish()
    }
}
