//! [`HandlerLayer`]: what is done around the calls of a handler, and [`Layers`] to put around one.

mod breaker;
mod call;
mod error;
mod logging;
mod metrics;
mod retry;
mod timeout;
mod tracing;

use std::{fmt, future::Future, sync::Arc};

use uno_core::{BoxError, EventSet};

pub(crate) use self::call::{CallContext, Innermost};
pub use self::{
    breaker::{CircuitBreaker, CircuitState},
    call::HandlerCall,
    error::CallError,
    logging::Logging,
    metrics::{CallDurations, HandlerCounts, HandlerMetrics},
    retry::Retry,
    timeout::Timeout,
    tracing::Tracing,
};
use crate::{
    IntoEventHandler, IntoRecordedHandler, SharedHandler, SharedRecordedHandler, handler::Handling,
};

/// Something that is done around each call of a handler, whatever its events: before it, after it, several times or not at
/// all.
///
/// ```
/// use uno_core::BoxError;
/// use uno_events::{HandlerCall, HandlerLayer};
///
/// /// Leaves tenants alone that are suspended.
/// struct Suspended(Vec<String>);
///
/// impl HandlerLayer for Suspended {
///     async fn handle(&self, call: HandlerCall<'_>) -> Result<(), BoxError> {
///         match call.event().metadata().tenant() {
///             Some(tenant) if self.0.iter().any(|other| other == tenant) => Ok(()),
///             _ => call.next().await,
///         }
///     }
/// }
/// ```
///
/// # Contract
/// 1. **What it returns is the result.** An error that comes from further within is handed on as it is, or those further
///    out, such as [`Retry`], can't see what it was ([`CallError`]).
/// 2. **Cancellation.** Its future may be dropped at any await.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer around handlers",
    note = "implement `HandlerLayer`: `async fn handle(&self, call: HandlerCall<'_>) -> Result<(), BoxError>`"
)]
pub trait HandlerLayer: Send + Sync + 'static {
    /// Handles a call. [`HandlerCall::next`] does what is further within.
    ///
    /// # Errors
    /// Those from further within, and its own.
    fn handle(&self, call: HandlerCall<'_>) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// Layers, from the outermost to the innermost: the first that is added sees a call first and its result last.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Envelope, Event, SubscriptionName};
/// use uno_events::{
///     CircuitBreaker, EventBus, HandlerMetrics, HandlerOptions, Layers, Replay, Retry, Subscription, Timeout,
/// };
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { total_cents: i64 }
///
/// let metrics = HandlerMetrics::new();
/// let layers = Layers::new()
///     .layer(metrics.clone())                             // counts a call once, however many attempts it takes
///     .layer(Retry::new())                                // tries four times
///     .layer(CircuitBreaker::new())                       // sees each attempt, and ends the retries when it opens
///     .layer(Timeout::after(Duration::from_secs(5)));     // is for each attempt
///
/// // Around a handler of a bus,
/// let bus = EventBus::new();
/// let send = |event: Arc<Envelope<OrderPlaced>>| async move {
///     // … send it
/// #   let _ = event;
///     Ok(())
/// };
/// bus.subscribe_with("mail", HandlerOptions::new().layers(layers.clone()), send);
/// // or around any handler, such as one of a durable subscription.
/// let mail = Subscription::handler(SubscriptionName::new("mail")?, Replay::LiveOnly, layers.around(send));
/// # let _ = mail;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Which goes where
///
/// | order | what it means |
/// |---|---|
/// | [`HandlerMetrics`], [`Logging`] outside of [`Retry`] | they tell of calls; inside, of attempts |
/// | [`Retry`] outside of [`CircuitBreaker`] | the breaker counts attempts, and an open one ends the retries |
/// | [`CircuitBreaker`] outside of [`Retry`] | it counts events whose retries were used up |
/// | [`Timeout`] inside of [`Retry`] | it limits each attempt; outside, all of them together with the waits |
///
/// [`Layers::standard`] has them all in the order that mostly is right.
///
/// A panic of the handler comes out as [`CallError::Panicked`], so that layers see it as any other failure.
///
/// A durable subscription has a time limit of its own around all layers together, and retries of its own around that: all that
/// layers do for one call is one attempt. Give it [`no_time_limit`](crate::Subscription::no_time_limit) or a longer one when its
/// handler has layers that wait. While a breaker lets nothing through, and while its trials find that an outage goes on, the subscription waits, and counts no attempt.
#[derive(Clone, Default)]
pub struct Layers {
    name: Option<Arc<str>>,
    layers: Vec<Arc<dyn ErasedLayer>>,
}

impl Layers {
    /// No layers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is good for most handlers that speak to something outside: [`Tracing`], [`Logging`], then the given metrics,
    /// [`Retry`] (three times), [`CircuitBreaker`] (opens after five failures in a row, for thirty seconds) and [`Timeout`]
    /// (thirty seconds for each attempt), from the outside inwards.
    #[must_use]
    pub fn standard(metrics: HandlerMetrics) -> Self {
        Self::new()
            .layer(Tracing::new())
            .layer(Logging::new())
            .layer(metrics)
            .layer(Retry::new())
            .layer(CircuitBreaker::new())
            .layer(Timeout::new())
    }

    /// The name by which layers know the handler, if it has none by itself: a bus says what name it is subscribed under.
    #[must_use]
    pub fn named(mut self, handler: impl Into<Arc<str>>) -> Self {
        self.name = Some(handler.into());
        self
    }

    /// With this one further within than all others so far.
    #[must_use]
    pub fn layer(mut self, layer: impl HandlerLayer) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    /// A handler with these layers around it.
    #[must_use]
    pub fn around<E: EventSet, Form>(
        &self,
        handler: impl IntoEventHandler<E, Form>,
    ) -> SharedHandler<E> {
        handler.into_handler().within(self)
    }

    /// A handler of recorded events with these layers around it.
    #[must_use]
    pub fn around_recorded<Form>(
        &self,
        handler: impl IntoRecordedHandler<Form>,
    ) -> SharedRecordedHandler {
        handler.into_handler().within(self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn outermost(&self) -> &[Arc<dyn ErasedLayer>] {
        &self.layers
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers")
            .field("name", &self.name)
            .field("layers", &self.layers.len())
            .finish_non_exhaustive()
    }
}

/// A layer whose own type is forgotten.
trait ErasedLayer: Send + Sync {
    fn handle<'c>(&'c self, call: HandlerCall<'c>) -> Handling<'c>;
}

impl<L: HandlerLayer> ErasedLayer for L {
    fn handle<'c>(&'c self, call: HandlerCall<'c>) -> Handling<'c> {
        Box::pin(HandlerLayer::handle(self, call))
    }
}
