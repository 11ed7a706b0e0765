//! [`EventBus`]: hands events to the handlers of this process.

mod admin;
mod builder;
mod call;
mod deliver;
mod frame;
mod gate;
mod group;
mod lanes;
mod limit;
mod options;
mod outcome;
mod pattern;
mod queue;
mod report;
mod route;
mod routes;
mod target;

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tracing::Instrument as _;
use uno_core::{Decoder, EventSet, RecordedEvent};

use self::{
    frame::Lender,
    gate::Gate,
    group::GroupState,
    limit::Limit,
    route::{Interest, Route},
    routes::Routes,
    target::Target,
};
use crate::{Group, IntoEventHandler, IntoRecordedHandler, telemetry};

pub use self::{
    admin::{HandlerStatus, ShutdownReport},
    builder::EventBusBuilder,
    group::GroupStatus,
    options::{HandlerOptions, Priority, Topic},
    outcome::{HandlerOutcome, HandlerResult, Outcomes, Published, Refusal},
    pattern::{InvalidPattern, NamePattern},
    queue::{BoundedQueue, Gap, QueueStatus},
};

/// Hands events to the handlers that are subscribed in this process, and reports what became of each.
///
/// ```
/// use std::sync::Arc;
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Envelope, Event, EventStore, EventStoreExt, ExpectedVersion, ReadLog, Position};
/// # use uno_events::EventBus;
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { total_cents: i64 }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = uno_store_memory::MemoryStore::new();
/// # store.append_events("order-1".parse()?, ExpectedVersion::Any, &[OrderPlaced { total_cents: 0 }]).await?;
/// # let event = store.read_log(ReadLog::after(Position::START)).await?.into_events().remove(0);
/// let bus = EventBus::new();
/// let mail = bus.subscribe("mail", |event: Arc<Envelope<OrderPlaced>>| async move {
///     if event.event().total_cents == 0 { Err("nothing to pay")? }
///     Ok(())
/// });
///
/// let report = bus.publish(event).await;
/// assert_eq!(report.failures().next().map(|outcome| outcome.name()), Some("mail"));
/// bus.unsubscribe(mail);
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone; a clone is the same bus. A handler that holds a clone of the bus it is subscribed to keeps both alive
/// until it is unsubscribed.
///
/// # Contract
/// 1. **Isolation.** A handler that fails, panics or takes too long disturbs no other, nor the publisher.
/// 2. **Order.** Events that are published one after the other come in that order. Handlers of a higher
///    [`Priority`] are done with an event before others begin; those of one priority run side by side. What is published
///    at the same time from several tasks comes in any order: order across the log is what durable subscriptions are for.
/// 3. **Bounds.** At most `max_concurrency` handlers run at once, however many publish, beside the one of each queue.
/// 4. **Re-entrancy.** A handler may publish on the bus that called it, subscribe and unsubscribe, at any depth: what it
///    publishes runs in its own place, so that it never waits for itself. That goes by the task: a handler that *spawns* a
///    task that publishes, and waits for that, takes a place of its own, and only the time limit ends a circle of such waits.
///    What would wait for itself all the same is never waited for, and the report says so:
///    [`Deferred`](HandlerResult::Deferred), [`Refused`](HandlerResult::Refused).
/// 5. **Unsubscribed is unsubscribed.** After [`unsubscribe`](Self::unsubscribe) returned, no call of the handler begins.
/// 6. **Order per key**, for handlers that ask for it: see [`HandlerOptions::ordered_by`].
/// 7. **Queues are bounded**, and do what was said when they are full: see [`BoundedQueue`].
/// 8. **An end.** After [`shutdown`](Self::shutdown) began, events are refused; what is under way may end.
///
/// # What it does not do
///
/// It delivers what it is given, once, in this process, and replays nothing; an event is lost to a handler that fails. What
/// must not be lost is a matter for a durable [`Subscription`](crate::Subscription).
///
/// # Cancellation
/// Handlers without a queue run within the future of [`publish`](Self::publish): dropping it drops those that are under way at
/// their next await.
#[derive(Clone)]
pub struct EventBus(Arc<Inner>);

struct Inner {
    /// Loaded without a lock by whoever publishes, and replaced as a whole.
    routes: ArcSwap<Routes>,
    /// Held while routes or groups are changed, one change after the other; never across an await or a call.
    changes: Mutex<()>,
    groups: Mutex<HashMap<Group, Arc<GroupState>>>,
    gate: Arc<Gate>,
    deferred: AtomicUsize,
    decoder: Decoder,
    limit: Limit,
    time_limit: Option<Duration>,
}

/// Names a subscription of a bus, to end it with. Dropping it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HandlerHandle(u64);

/// Unique in the process, so that a handle of one bus means nothing to another.
static NEXT_HANDLE: AtomicU64 = AtomicU64::new(0);

impl EventBus {
    /// A bus with settings as they are unless said.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Starts a bus with settings of its own.
    #[must_use]
    pub fn builder() -> EventBusBuilder {
        EventBusBuilder::new()
    }

    fn from_parts(decoder: Decoder, max_concurrency: usize, time_limit: Option<Duration>) -> Self {
        Self(Arc::new(Inner {
            routes: ArcSwap::default(),
            changes: Mutex::default(),
            groups: Mutex::default(),
            gate: Arc::default(),
            deferred: AtomicUsize::new(0),
            decoder,
            limit: Limit::new(max_concurrency),
            time_limit,
        }))
    }

    /// Calls `handler` for each event of its set: of one event type, or of all types of a set, under whatever name it is stored. For an
    /// event that was split it is called part by part, up to the first that fails.
    ///
    /// The name is for reports; several handlers may have the same.
    pub fn subscribe<E: EventSet, Form>(
        &self,
        name: impl Into<Arc<str>>,
        handler: impl IntoEventHandler<E, Form>,
    ) -> HandlerHandle {
        self.subscribe_with(name, HandlerOptions::new(), handler)
    }

    /// Calls `handler` for each event of its set, with options.
    pub fn subscribe_with<E: EventSet, Form>(
        &self,
        name: impl Into<Arc<str>>,
        options: HandlerOptions,
        handler: impl IntoEventHandler<E, Form>,
    ) -> HandlerHandle {
        let target = target::typed(handler.into_handler().within(&options.layers));
        self.add(
            name.into(),
            Interest::in_set::<E>(&self.0.decoder),
            options,
            target,
        )
    }

    /// Calls `handler` for each recorded event of a topic, whatever its type.
    pub fn subscribe_recorded<Form>(
        &self,
        name: impl Into<Arc<str>>,
        topic: Topic,
        handler: impl IntoRecordedHandler<Form>,
    ) -> HandlerHandle {
        self.subscribe_recorded_with(name, topic, HandlerOptions::new(), handler)
    }

    /// Calls `handler` for each recorded event of a topic, with options.
    pub fn subscribe_recorded_with<Form>(
        &self,
        name: impl Into<Arc<str>>,
        topic: Topic,
        options: HandlerOptions,
        handler: impl IntoRecordedHandler<Form>,
    ) -> HandlerHandle {
        let target = target::recorded(handler.into_handler().within(&options.layers));
        self.add(name.into(), topic.into(), options, target)
    }

    /// Ends a subscription. Calls that are under way go on; none begins any more. `false` when there is no such
    /// subscription.
    #[expect(
        clippy::must_use_candidate,
        reason = "whether it was there is of no interest to most"
    )]
    pub fn unsubscribe(&self, handle: HandlerHandle) -> bool {
        let _changes = self.0.changing();
        match self.0.routes.load().without(handle.0) {
            None => false,
            Some((routes, removed)) => {
                self.0.routes.store(Arc::new(routes));
                removed.unsubscribe();
                true
            }
        }
    }

    /// How many handlers are subscribed.
    #[must_use]
    pub fn handlers(&self) -> usize {
        self.0.routes.load().len()
    }

    /// Hands an event to all its handlers, and returns when all are done that are not in a queue.
    ///
    /// Handlers that are subscribed while this runs are not called for it.
    pub async fn publish(&self, event: Arc<RecordedEvent>) -> Published {
        let bus = &self.0;
        let limit = bus.limit.id();
        let is_within = || Lender::innermost().is_some_and(|within| within.is_of(limit));
        let Some(_inside) = bus.gate.enter(is_within) else {
            return Published::refused(event.id());
        };
        let handlers = bus.routes.load().matching(&event);
        // Asked once, as cheaply as can be: a span that nobody wants still costs some.
        if !tracing::level_enabled!(tracing::Level::DEBUG) {
            return bus.deliver(event, &handlers).await;
        }
        let span = tracing::debug_span!(
            telemetry::PUBLISH,
            event = event.name().as_str(),
            event_id = %event.id(),
            position = event.position().get(),
            handlers = handlers.routes().len(),
        );
        bus.deliver(event, &handlers).instrument(span).await
    }

    /// Publishes events one after the other: each is done with before the next.
    pub fn publish_many(
        &self,
        events: impl IntoIterator<Item = Arc<RecordedEvent>>,
    ) -> impl Future<Output = Vec<Published>> + Send {
        // Collected before the first await, so that the future is `Send` whatever the iterator is.
        let events: Vec<_> = events.into_iter().collect();
        async move {
            let mut reports = Vec::with_capacity(events.len());
            for event in events {
                reports.push(self.publish(event).await);
            }
            reports
        }
    }

    fn add(
        &self,
        name: Arc<str>,
        interest: Interest,
        options: HandlerOptions,
        target: Box<dyn Target>,
    ) -> HandlerHandle {
        let group = options.group.as_ref().map(|group| self.0.group(group));
        // Drawn while the lock is held, so that the order of handles is that of the routes.
        let _changes = self.0.changing();
        let id = NEXT_HANDLE.fetch_add(1, Ordering::Relaxed);
        let route = Route::new(id, name, interest, options, target, group);
        let routes = self.0.routes.load().with(Arc::new(route));
        self.0.routes.store(Arc::new(routes));
        HandlerHandle(id)
    }
}

impl Inner {
    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn groups(&self) -> MutexGuard<'_, HashMap<Group, Arc<GroupState>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn group(&self, group: &Group) -> Arc<GroupState> {
        let mut groups = self.groups();
        let state = groups
            .entry(group.clone())
            .or_insert_with(|| Arc::new(GroupState::new(group.clone())));
        Arc::clone(state)
    }
}

impl Drop for Inner {
    /// What is in queues is still handled, but nobody waits for it.
    fn drop(&mut self) {
        for route in self.routes.load().iter() {
            if let Some(queue) = route.queue() {
                queue.drain();
            }
        }
    }
}

impl Default for EventBus {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for EventBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = &self.0.time_limit;
        f.debug_struct("EventBus")
            .field("handlers", &self.handlers())
            .field("time_limit", limit)
            .finish_non_exhaustive()
    }
}
