//! [`HandlerOptions`]: how a handler is called on a bus, and [`Topic`]: for what.

use std::time::Duration;

use uno_core::{Category, EventName};

/// Which recorded events a handler is for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Topic {
    /// All.
    All,
    /// Those with this stored name.
    Name(EventName),
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
#[derive(Clone, Debug, Default)]
pub struct HandlerOptions {
    pub(super) priority: Priority,
    pub(super) time_limit: Option<Option<Duration>>,
    pub(super) categories: Option<Vec<Category>>,
}

impl HandlerOptions {
    /// Normal priority, the bus's time limit, streams of every category.
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
}
