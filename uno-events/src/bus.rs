//! [`EventBus`]: hands events to the handlers of this process.

mod builder;
mod limit;
mod options;
mod outcome;
mod routes;
mod target;

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use tracing::Instrument as _;
use uno_core::{Decoder, EventSet, RecordedEvent};

use self::{
    limit::{Lender, Limit},
    routes::{Route, Routes},
    target::{Decoded, Share, Target},
};
use crate::{
    IntoEventHandler, IntoRecordedHandler,
    guard::{Interrupted, error_text, guarded},
    telemetry,
};

pub use self::{
    builder::EventBusBuilder,
    options::{HandlerOptions, Priority, Topic},
    outcome::{HandlerOutcome, HandlerResult, Published},
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
/// 3. **Bounds.** At most `max_concurrency` handlers run at once, however many publish.
/// 4. **Re-entrancy.** A handler may publish on the bus that called it, subscribe and unsubscribe, at any depth: what it
///    publishes runs in its own place, so that it never waits for itself. That goes by the task: a handler that *spawns* a
///    task that publishes, and waits for that, takes a place of its own, and only the time limit ends a circle of such waits.
/// 5. **Unsubscribed is unsubscribed.** After [`unsubscribe`](Self::unsubscribe) returned, no call of the handler begins.
///
/// # What it does not do
///
/// It delivers what it is given, once, in this process, and replays nothing; an event is lost to a handler that fails. What
/// must not be lost is a matter for a durable [`Subscription`](crate::Subscription).
///
/// # Cancellation
/// Handlers run within the future of [`publish`](Self::publish): dropping it drops those that are under way at their next await.
#[derive(Clone)]
pub struct EventBus(Arc<Inner>);

struct Inner {
    /// The lock is held for as long as it takes to clone or to replace the `Arc`, never across an await or a call.
    routes: RwLock<Arc<Routes>>,
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
        let (routes, limit) = (RwLock::default(), Limit::new(max_concurrency));
        Self(Arc::new(Inner {
            routes,
            decoder,
            limit,
            time_limit,
        }))
    }

    /// Calls `handler` for each event of its set: of one event type, or of all types of a set.
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
        let target = target::typed(handler.into_handler());
        self.add(name.into(), options, target, |routes, route| {
            routes.add_names::<E>(&route);
        })
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
        let target = target::recorded(handler.into_handler());
        self.add(name.into(), options, target, |routes, route| {
            routes.add_topic(topic, route);
        })
    }

    /// Ends a subscription. Calls that are under way go on; none begins any more. `false` when there is no such
    /// subscription.
    #[expect(
        clippy::must_use_candidate,
        reason = "whether it was there is of no interest to most"
    )]
    pub fn unsubscribe(&self, handle: HandlerHandle) -> bool {
        self.change(|routes| routes.remove(handle.0))
    }

    /// How many handlers are subscribed.
    #[must_use]
    pub fn handlers(&self) -> usize {
        self.routes().len()
    }

    /// Hands an event to all its handlers, and returns when all are done.
    ///
    /// Handlers that are subscribed while this runs are not called for it.
    pub async fn publish(&self, event: Arc<RecordedEvent>) -> Published {
        let routes = self.routes();
        let matching = routes.matching(&event);
        let span = tracing::debug_span!(
            telemetry::PUBLISH,
            event = event.name().as_str(),
            event_id = %event.id(),
            position = event.position().get(),
            handlers = matching.len(),
        );
        self.deliver(&event, &matching).instrument(span).await
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

    async fn deliver(&self, event: &Arc<RecordedEvent>, matching: &[Arc<Route>]) -> Published {
        let within = Lender::innermost();
        let mut decoded = Decoded::new(&self.0.decoder, event);
        let mut outcomes = Vec::with_capacity(matching.len());
        for class in matching.chunk_by(|one, other| one.priority() == other.priority()) {
            if let [only] = class {
                let share = decoded.share_for(only.target());
                outcomes.extend(self.call(only, event, share, within.as_ref()).await);
            } else {
                let calls = class.iter().map(|route| {
                    let share = decoded.share_for(route.target());
                    self.call(route, event, share, within.as_ref())
                });
                outcomes.extend(join_all(calls).await.into_iter().flatten());
            }
        }
        Published::new(event.id(), outcomes)
    }

    /// Calls one handler, when there is a place for it. `None` when it was unsubscribed before.
    async fn call(
        &self,
        route: &Route,
        event: &RecordedEvent,
        share: Result<Share, HandlerResult>,
        within: Option<&Lender>,
    ) -> Option<HandlerOutcome> {
        let share = match share {
            Ok(share) => share,
            Err(result) => return Some(HandlerOutcome::new(Arc::clone(route.name()), result)),
        };
        let _place = self
            .0
            .limit
            .take(within.and_then(|handler| handler.of(&self.0.limit)))
            .await;
        if !route.is_active() {
            return None;
        }
        let span = tracing::debug_span!(
            telemetry::HANDLE,
            handler = &**route.name(),
            event = event.name().as_str(),
            event_id = %event.id(),
            position = event.position().get(),
        );
        let call = self
            .0
            .limit
            .within(within, async { route.target().call(share).await })
            .instrument(span);
        let result = match guarded(route.time_limit().unwrap_or(self.0.time_limit), call).await {
            Ok(Ok(())) => HandlerResult::Handled,
            Ok(Err(error)) => HandlerResult::Failed(error_text(&*error).into()),
            Err(Interrupted::Panicked(message)) => HandlerResult::Panicked(message.into()),
            Err(Interrupted::TimedOut(limit)) => HandlerResult::TimedOut(limit),
        };
        Some(HandlerOutcome::new(Arc::clone(route.name()), result))
    }

    fn add(
        &self,
        name: Arc<str>,
        options: HandlerOptions,
        target: Box<dyn Target>,
        add: impl FnOnce(&mut Routes, Arc<Route>),
    ) -> HandlerHandle {
        self.change(|routes| {
            // Drawn while the lock is held, so that the order of handles is that of the routes.
            let id = NEXT_HANDLE.fetch_add(1, Ordering::Relaxed);
            add(routes, Arc::new(Route::new(id, name, options, target)));
            HandlerHandle(id)
        })
    }

    /// Changes a copy of the routes and puts it in their place: those who publish keep the one they have.
    fn change<T>(&self, change: impl FnOnce(&mut Routes) -> T) -> T {
        let mut guard = self
            .0
            .routes
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut routes = Routes::clone(&guard);
        let result = change(&mut routes);
        *guard = Arc::new(routes);
        result
    }

    fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.0.routes.read().unwrap_or_else(PoisonError::into_inner))
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
