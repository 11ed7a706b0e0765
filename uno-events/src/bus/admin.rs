//! Groups, status and the end of a bus.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{EventBus, GroupStatus, Inner, Priority, QueueStatus, group::GroupState, route::Route};
use crate::Group;

impl EventBus {
    /// Stops the handlers of a group, and waits until none of them runs, but not longer than `within`.
    ///
    /// When it returns none begins any more. Whoever still runs is in the status that it returns; a handler that stops its
    /// own group is one of them.
    ///
    /// Events that are published meanwhile are not kept for the group: each report says
    /// [`Stopped`](super::HandlerResult::Stopped) for its handlers, and the group counts them as missed. What is in
    /// their queues already stays there until it is started. A handler whose queue
    /// [spills to the log](super::BoundedQueue::spill_to_log) misses nothing: it reads the log when it is started.
    ///
    /// A group that does not exist yet is stopped for those who are subscribed to it later.
    pub async fn stop_group(&self, group: impl Into<Group>, within: Duration) -> GroupStatus {
        let deadline = Instant::now() + within;
        let state = self.set_stopped(&group.into(), true);
        // Who is late is in the status.
        let _ = timeout_at(deadline, state.quiet()).await;
        self.status_of(&state)
    }

    /// Has the handlers of a group called again.
    pub fn start_group(&self, group: impl Into<Group>) -> GroupStatus {
        let state = self.set_stopped(&group.into(), false);
        self.status_of(&state)
    }

    /// The groups that handlers were subscribed to, or that were stopped or started, in order of their names.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupStatus> {
        let mut states: Vec<_> = self.0.groups().values().cloned().collect();
        states.sort_by(|one, other| one.group().cmp(other.group()));
        states.iter().map(|state| self.status_of(state)).collect()
    }

    /// The handlers that are subscribed, in order of priority, then of subscription.
    #[must_use]
    pub fn status(&self) -> Vec<HandlerStatus> {
        let routes = self.0.routes.load();
        routes
            .iter()
            .map(|route| HandlerStatus::of(route))
            .collect()
    }

    /// Closes the bus, and lets end what is under way: publishes, and events in queues.
    ///
    /// From the beginning on, publishes are refused ([`Published::is_refused`](super::Published::is_refused)), but for
    /// those of handlers that are under way. Whatever has not ended after `within` is ended as far as that is in the bus's
    /// power: what waits in queues is forgotten and the handlers that their workers are in are dropped. Handlers that
    /// publishers wait for go on, as they run in the publishers' own tasks. The report has what was left.
    ///
    /// Queues of stopped groups are not waited for. Calling it again, or from several tasks, does no harm. A handler of the
    /// bus that calls it waits for itself until the time is over.
    pub async fn shutdown(&self, within: Duration) -> ShutdownReport {
        let bus = &*self.0;
        bus.gate.close();
        let deadline = Instant::now() + within;
        let _ = timeout_at(deadline, bus.drained()).await;
        let publishing = bus.gate.inside();
        let routes = bus.routes.load_full();
        let mut left = Vec::new();
        for route in routes.iter() {
            let Some(queue) = route.queue() else {
                continue;
            };
            if !queue.is_quiet() {
                left.push(HandlerStatus::of(route));
            }
            queue.abort();
        }
        ShutdownReport { publishing, left }
    }

    /// Whether [`shutdown`](Self::shutdown) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.gate.is_closed()
    }

    fn set_stopped(&self, group: &Group, stopped: bool) -> Arc<GroupState> {
        let state = self.0.group(group);
        // While routes are not changed, so that whoever is subscribed meanwhile sees the one or the other.
        let _changes = self.0.changing();
        state.set_stopped(stopped);
        for route in self.0.routes.load().iter() {
            if route.group().is_some_and(|of| Arc::ptr_eq(of, &state)) {
                route.set_stopped(stopped);
            }
        }
        state
    }

    fn status_of(&self, state: &Arc<GroupState>) -> GroupStatus {
        let routes = self.0.routes.load();
        let of_it = || {
            let routes = routes.iter();
            routes.filter(|route| route.group().is_some_and(|of| Arc::ptr_eq(of, state)))
        };
        GroupStatus {
            group: state.group().clone(),
            started: !state.is_stopped(),
            handlers: of_it().count(),
            running: state.running(),
            queued: of_it()
                .filter_map(|route| route.queue())
                .map(|queue| queue.depth())
                .sum(),
            missed: state.missed(),
        }
    }
}

impl Inner {
    /// Returns when nobody publishes and nothing waits.
    async fn drained(&self) {
        loop {
            self.gate.empty().await;
            let routes = self.routes.load_full();
            let queued = || {
                routes
                    .iter()
                    .filter_map(|route| Some((route, route.queue()?)))
            };
            for (_, queue) in queued() {
                queue.drain();
            }
            for (route, queue) in queued() {
                queue.quiet(|| !route.is_active()).await;
            }
            // What a worker has called may have published, into queues that were looked at before.
            let all_quiet = queued().all(|(route, queue)| queue.is_quiet() || !route.is_active());
            if self.gate.inside() == 0 && all_quiet {
                return;
            }
        }
    }
}

/// A handler on a bus.
#[derive(Clone, Debug)]
pub struct HandlerStatus {
    name: Arc<str>,
    priority: Priority,
    group: Option<Group>,
    started: bool,
    queue: Option<QueueStatus>,
}

impl HandlerStatus {
    fn of(route: &Route) -> Self {
        Self {
            name: Arc::clone(route.name()),
            priority: route.priority(),
            group: route.group().map(|group| group.group().clone()),
            started: route.is_active(),
            queue: route.queue().map(|queue| queue.status()),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its priority.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// The group it is in.
    #[must_use]
    pub fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }

    /// Whether it is called: it is not while its group is stopped.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.started
    }

    /// Its queue, if it has one.
    #[must_use]
    pub fn queue(&self) -> Option<&QueueStatus> {
        self.queue.as_ref()
    }
}

/// What was left when a bus was shut down.
#[derive(Clone, Debug)]
pub struct ShutdownReport {
    publishing: usize,
    left: Vec<HandlerStatus>,
}

impl ShutdownReport {
    /// Whether everything had come to its end in time.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.publishing == 0 && self.left.is_empty()
    }

    /// How many publishes were still under way, deferred events among them.
    #[must_use]
    pub fn publishing(&self) -> usize {
        self.publishing
    }

    /// The handlers whose queues still had events, or whose workers were still at work, as they were then.
    #[must_use]
    pub fn left(&self) -> &[HandlerStatus] {
        &self.left
    }
}
