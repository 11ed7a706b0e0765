//! [`Routes`]: who is subscribed to what.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use uno_core::{Category, EventSet, RecordedEvent};

use super::{HandlerOptions, Priority, Topic, target::Target};

/// Who is subscribed to what. Never changed once it is shared: a change makes a new one.
///
/// To find the handlers of an event takes two look-ups in hash maps, however many types there are. Each list is in order
/// of priority, then of subscription.
#[derive(Clone, Default)]
pub(super) struct Routes {
    names: HashMap<Arc<str>, Vec<Arc<Route>>>,
    categories: HashMap<Category, Vec<Arc<Route>>>,
    all: Vec<Arc<Route>>,
    len: usize,
}

/// A subscribed handler.
pub(super) struct Route {
    id: u64,
    name: Arc<str>,
    priority: Priority,
    time_limit: Option<Option<Duration>>,
    categories: Option<Vec<Category>>,
    target: Box<dyn Target>,
    /// Looked at before each call, so that those who have taken the routes before it was unsubscribed do not call it either.
    active: AtomicBool,
}

impl Routes {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The handlers of an event, in order of priority, then of subscription. Borrowed when one list has them all.
    pub(super) fn matching<'r>(&'r self, event: &RecordedEvent) -> Cow<'r, [Arc<Route>]> {
        let category = event.stream().category();
        let named = self
            .names
            .get(event.name().as_str())
            .map_or(&[][..], Vec::as_slice);
        // Nobody pays for a look-up that nobody asked for.
        let in_category = match self.categories.is_empty() {
            true => &[][..],
            false => self.categories.get(category).map_or(&[][..], Vec::as_slice),
        };
        let everybody = |list: &[Arc<Route>]| list.iter().all(|route| route.is_for(category));
        match (named, in_category, &*self.all) {
            (list, [], []) | ([], list, []) | ([], [], list) if everybody(list) => {
                Cow::Borrowed(list)
            }
            lists => {
                let lists = [lists.0, lists.1, lists.2].into_iter().flatten();
                let mut matching: Vec<_> = lists
                    .filter(|route| route.is_for(category))
                    .cloned()
                    .collect();
                matching.sort_unstable_by_key(|route| route.order());
                Cow::Owned(matching)
            }
        }
    }

    pub(super) fn add_names<E: EventSet>(&mut self, route: &Arc<Route>) {
        for event in E::EVENTS {
            insert(
                self.names.entry(event.name().into()).or_default(),
                Arc::clone(route),
            );
        }
        self.len += 1;
    }

    pub(super) fn add_topic(&mut self, topic: Topic, route: Arc<Route>) {
        let list = match topic {
            Topic::All => &mut self.all,
            Topic::Name(name) => self.names.entry(name.as_str().into()).or_default(),
            Topic::Category(category) => self.categories.entry(category).or_default(),
        };
        insert(list, route);
        self.len += 1;
    }

    pub(super) fn remove(&mut self, id: u64) -> bool {
        let mut found = false;
        let mut keep = |list: &mut Vec<Arc<Route>>| {
            list.retain(|route| {
                if route.id == id {
                    route.active.store(false, Ordering::Release);
                    found = true;
                }
                route.id != id
            });
            !list.is_empty()
        };
        self.names.retain(|_, list| keep(list));
        self.categories.retain(|_, list| keep(list));
        keep(&mut self.all);
        self.len -= usize::from(found);
        found
    }
}

/// Puts a route in its place in a list.
fn insert(list: &mut Vec<Arc<Route>>, route: Arc<Route>) {
    let place = list.partition_point(|other| other.order() < route.order());
    list.insert(place, route);
}

impl Route {
    pub(super) fn new(
        id: u64,
        name: Arc<str>,
        options: HandlerOptions,
        target: Box<dyn Target>,
    ) -> Self {
        let HandlerOptions {
            priority,
            time_limit,
            categories,
        } = options;
        Self {
            id,
            name,
            priority,
            time_limit,
            categories,
            target,
            active: AtomicBool::new(true),
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
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

    pub(super) fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    fn is_for(&self, category: &Category) -> bool {
        self.categories
            .as_ref()
            .is_none_or(|categories| categories.contains(category))
    }

    fn order(&self) -> (Priority, u64) {
        (self.priority, self.id)
    }
}
