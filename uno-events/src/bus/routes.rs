//! [`Routes`]: who is subscribed to what.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use uno_core::{Category, RecordedEvent};

use super::{
    outcome::{HANDLED, QUEUED, Verdict},
    route::{Interest, Route},
};

/// Who is subscribed to what. Never changed once it is shared: a change makes a new one.
///
/// To find the handlers of an event takes one look-up in a hash map, however many types there are; a second one when there
/// are handlers by pattern or by category. Lists are in order of priority, then of subscription.
#[derive(Default)]
pub(super) struct Routes {
    routes: Vec<Arc<Route>>,
    by_name: HashMap<Arc<str>, Arc<List>, RandomState>,
    /// Those that are for all names.
    others: Arc<List>,
    /// Whether an event's stored name alone says whose it is.
    name_is_enough: bool,
    learned: Learned,
}

/// The handlers of an event, in order.
#[derive(Default)]
pub(super) struct List {
    routes: Box<[Arc<Route>]>,
    /// Apart from the routes, so that a report which is kept does not keep the handlers.
    names: Arc<[Arc<str>]>,
    has_lanes: bool,
    /// Whether each has a queue and none has lanes: then nobody is called by the publisher.
    only_queues: bool,
}

impl Routes {
    pub(super) fn len(&self) -> usize {
        self.routes.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter()
    }

    /// The handlers of an event.
    pub(super) fn matching(&self, event: &RecordedEvent) -> Arc<List> {
        if self.name_is_enough {
            let named = self.by_name.get(event.name().as_str());
            return Arc::clone(named.unwrap_or(&self.others));
        }
        self.learned.list_of(event, || {
            let matching = self.routes.iter().filter(|route| route.is_for(event));
            List::new(matching.cloned().collect())
        })
    }

    /// The same with another one.
    pub(super) fn with(&self, route: Arc<Route>) -> Self {
        let mut routes = self.routes.clone();
        let place = routes.partition_point(|other| other.order() < route.order());
        routes.insert(place, route);
        Self::of(routes)
    }

    /// The same without one, and whether there was such a one.
    pub(super) fn without(&self, id: u64) -> Option<(Self, Arc<Route>)> {
        let place = self.routes.iter().position(|route| route.id() == id)?;
        let mut routes = self.routes.clone();
        let removed = routes.remove(place);
        Some((Self::of(routes), removed))
    }

    fn of(routes: Vec<Arc<Route>>) -> Self {
        let mut by_name: HashMap<&str, Vec<usize>, RandomState> = HashMap::default();
        let mut others = Vec::new();
        for (place, route) in routes.iter().enumerate() {
            match route.interest() {
                Interest::Names(names) => {
                    for name in names {
                        by_name.entry(name.as_str()).or_default().push(place);
                    }
                }
                Interest::All => others.push(place),
                Interest::Pattern(_) | Interest::Category(_) => {}
            }
        }
        let list = |mut places: Vec<usize>| {
            places.sort_unstable();
            places.dedup();
            let routes = places.into_iter().map(|place| Arc::clone(&routes[place]));
            Arc::new(List::new(routes.collect()))
        };
        let by_name = by_name
            .into_iter()
            .map(|(name, places)| (name.into(), list([places, others.clone()].concat())))
            .collect();
        let others = list(others);
        let name_is_enough = routes.iter().all(|route| route.goes_by_name());
        Self {
            by_name,
            others,
            name_is_enough,
            routes,
            learned: Learned::default(),
        }
    }
}

impl List {
    fn new(routes: Box<[Arc<Route>]>) -> Self {
        Self {
            names: routes
                .iter()
                .map(|route| Arc::clone(route.name()))
                .collect(),
            has_lanes: routes.iter().any(|route| route.lanes().is_some()),
            only_queues: !routes.is_empty()
                && routes
                    .iter()
                    .all(|route| route.queue().is_some() && route.lanes().is_none()),
            routes,
        }
    }

    pub(super) fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    pub(super) fn names(&self) -> &Arc<[Arc<str>]> {
        &self.names
    }

    /// Whether publishing to them is putting the event into queues, in no particular turn, and nothing else.
    pub(super) fn only_queues(&self) -> bool {
        self.only_queues
    }

    /// What becomes of most of them, if all goes well.
    pub(super) fn usual(&self) -> &'static Verdict {
        if self.only_queues { &QUEUED } else { &HANDLED }
    }

    /// Whether any of them is called in order per key.
    pub(super) fn has_lanes(&self) -> bool {
        self.has_lanes
    }
}

/// Lists by stored name and category, found out when an event of that kind first comes.
///
/// A reader mostly takes no lock. What is new waits under one until it has been asked for as often as there are others that
/// are known, and then moves over to them, which copies them all: so a look-up costs the same, however many kinds there
/// are. No more than [`MOST_LEARNED`] are kept, in case the names come from elsewhere.
#[derive(Default)]
struct Learned {
    known: ArcSwap<Lists>,
    /// Held while a list is looked up or found out, which runs no code of the user's.
    fresh: Mutex<Fresh>,
}

#[derive(Clone, Default)]
struct Lists {
    by_kind: HashMap<Arc<str>, HashMap<Category, Arc<List>, RandomState>, RandomState>,
    len: usize,
}

#[derive(Default)]
struct Fresh {
    lists: Lists,
    /// How often they were asked for.
    uses: usize,
}

/// How many kinds are remembered; those beyond are found out at each publish.
const MOST_LEARNED: usize = 4096;

impl Learned {
    fn list_of(&self, event: &RecordedEvent, find_out: impl FnOnce() -> List) -> Arc<List> {
        let known = self.known.load();
        if let Some(list) = known.get(event) {
            return Arc::clone(list);
        }
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.uses += 1;
        let list = match fresh.lists.get(event) {
            Some(list) => Arc::clone(list),
            None => {
                let list = Arc::new(find_out());
                if known.len + fresh.lists.len < MOST_LEARNED {
                    fresh.lists.insert(event, Arc::clone(&list));
                }
                list
            }
        };
        if fresh.lists.len > 0 && fresh.uses > self.known.load().len {
            // Read once more: somebody else may have moved some over since.
            let mut all = Lists::clone(&self.known.load());
            all.append(mem::take(&mut fresh.lists));
            self.known.store(Arc::new(all));
            fresh.uses = 0;
        }
        list
    }
}

impl Lists {
    fn get(&self, event: &RecordedEvent) -> Option<&Arc<List>> {
        self.by_kind
            .get(event.name().as_str())?
            .get(event.stream().category())
    }

    fn insert(&mut self, event: &RecordedEvent, list: Arc<List>) {
        let lists = self
            .by_kind
            .entry(event.name().as_str().into())
            .or_default();
        let category = event.stream().category().clone();
        self.len += usize::from(lists.insert(category, list).is_none());
    }

    fn append(&mut self, other: Self) {
        for (name, lists) in other.by_kind {
            let mine = self.by_kind.entry(name).or_default();
            for (category, list) in lists {
                self.len += usize::from(mine.insert(category, list).is_none());
            }
        }
    }
}
