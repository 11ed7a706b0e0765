//! [`Route`]: a subscribed handler.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use uno_core::{Category, Decoder, EventFilter, EventName, EventSet, RecordedEvent};

use super::{
    HandlerOptions, NamePattern, Priority, Topic, group::GroupState, lanes::Lanes, queue::Queue,
    target::Target,
};

/// A subscribed handler.
pub(super) struct Route {
    id: u64,
    name: Arc<str>,
    interest: Interest,
    priority: Priority,
    time_limit: Option<Option<Duration>>,
    categories: Option<Vec<Category>>,
    target: Box<dyn Target>,
    group: Option<Arc<GroupState>>,
    lanes: Option<Lanes>,
    queue: Option<Arc<Queue>>,
    /// Looked at before each call, so that those who have taken the routes before it was unsubscribed do not call it either.
    state: AtomicU8,
}

/// What a handler is for.
pub(super) enum Interest {
    Names(Box<[EventName]>),
    Pattern(NamePattern),
    Category(Category),
    All,
}

const UNSUBSCRIBED: u8 = 1;
const STOPPED: u8 = 2;

impl Route {
    pub(super) fn new(
        id: u64,
        name: Arc<str>,
        interest: Interest,
        options: HandlerOptions,
        target: Box<dyn Target>,
        group: Option<Arc<GroupState>>,
    ) -> Self {
        let stopped = group.as_ref().is_some_and(|group| group.is_stopped());
        Self {
            queue: (options.queue).map(|queue| Arc::new(Queue::new(Arc::clone(&name), queue))),
            id,
            name,
            interest,
            priority: options.priority,
            time_limit: options.time_limit,
            categories: options.categories,
            target,
            lanes: options.key.map(|key| Lanes::new(id, key)),
            group,
            state: AtomicU8::new(if stopped { STOPPED } else { 0 }),
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn interest(&self) -> &Interest {
        &self.interest
    }

    pub(super) fn priority(&self) -> Priority {
        self.priority
    }

    /// Its own time limit, if it has said anything about it.
    pub(super) fn time_limit(&self) -> Option<Option<Duration>> {
        self.time_limit
    }

    pub(super) fn target(&self) -> &dyn Target {
        &*self.target
    }

    pub(super) fn group(&self) -> Option<&Arc<GroupState>> {
        self.group.as_ref()
    }

    pub(super) fn lanes(&self) -> Option<&Lanes> {
        self.lanes.as_ref()
    }

    pub(super) fn queue(&self) -> Option<&Arc<Queue>> {
        self.queue.as_ref()
    }

    pub(super) fn order(&self) -> (Priority, u64) {
        (self.priority, self.id)
    }

    /// Whether it is neither unsubscribed nor stopped.
    pub(super) fn is_active(&self) -> bool {
        self.state.load(Ordering::Acquire) == 0
    }

    pub(super) fn is_subscribed(&self) -> bool {
        self.state.load(Ordering::Acquire) & UNSUBSCRIBED == 0
    }

    pub(super) fn unsubscribe(&self) {
        self.state.fetch_or(UNSUBSCRIBED, Ordering::AcqRel);
        if let Some(queue) = &self.queue {
            queue.discard();
        }
    }

    pub(super) fn set_stopped(&self, stopped: bool) {
        match stopped {
            true => self.state.fetch_or(STOPPED, Ordering::AcqRel),
            false => self.state.fetch_and(!STOPPED, Ordering::AcqRel),
        };
        if let Some(queue) = &self.queue {
            queue.look_again();
        }
    }

    /// Whether the event's stored name alone says whether an event is for it.
    pub(super) fn goes_by_name(&self) -> bool {
        self.categories.is_none() && matches!(self.interest, Interest::Names(_) | Interest::All)
    }

    /// Whether the event is for it.
    pub(super) fn is_for(&self, event: &RecordedEvent) -> bool {
        let category = event.stream().category();
        let wanted = match &self.interest {
            Interest::Names(names) => names.contains(event.name()),
            Interest::Pattern(pattern) => pattern.matches(event.name().as_str()),
            Interest::Category(only) => only == category,
            Interest::All => true,
        };
        let categories = self.categories.as_ref();
        wanted && categories.is_none_or(|categories| categories.contains(category))
    }

    /// What a log is asked for to find the events that may be for it; a pattern is more than a filter can say.
    pub(super) fn filter(&self) -> EventFilter {
        let all = EventFilter::all();
        match (&self.interest, &self.categories) {
            (Interest::Names(names), None) => all.names(names.iter().cloned()),
            (Interest::Names(names), Some(categories)) => all
                .names(names.iter().cloned())
                .categories(categories.iter().cloned()),
            (Interest::Category(category), _) => all.categories([category.clone()]),
            (_, Some(categories)) => all.categories(categories.iter().cloned()),
            (Interest::All | Interest::Pattern(_), None) => all,
        }
    }
}

impl Interest {
    /// Everything that is read as events of the set, wholly or in part, under whatever name it is stored.
    pub(super) fn in_set<E: EventSet>(decoder: &Decoder) -> Self {
        Self::Names(decoder.stored_names::<E>().into_iter().collect())
    }
}

impl From<Topic> for Interest {
    fn from(topic: Topic) -> Self {
        match topic {
            Topic::All => Self::All,
            Topic::Name(name) => Self::Names([name].into()),
            Topic::Pattern(pattern) => Self::Pattern(pattern),
            Topic::Category(category) => Self::Category(category),
        }
    }
}
