//! [`EventHandler`]: code that runs when an event comes, and the forms in which it may be written.

mod shared;

use std::{future::Future, sync::Arc};

use uno_core::{BoxError, Envelope, EventSet, RecordedEvent};

pub use self::shared::{SharedHandler, SharedRecordedHandler};

/// Handles typed events. `E` is one event type, or an event set whose variants are handled all.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use uno_core::{BoxError, Envelope, Event};
/// use uno_events::EventHandler;
///
/// #[derive(Event, Serialize, Deserialize)]
/// struct OrderPlaced { total_cents: i64 }
///
/// struct Mailer;
///
/// impl EventHandler<OrderPlaced> for Mailer {
///     async fn handle(&self, event: &Envelope<OrderPlaced>) -> Result<(), BoxError> {
///         let subject = format!("order of {} cents", event.event().total_cents);
///         // … send it; `?` works on any error
/// #       let _ = subject;
///         Ok(())
///     }
/// }
/// ```
///
/// # Contract
/// 1. **Again.** Through a durable subscription an event comes at least once: after a crash it may come again. Its id
///    ([`Envelope::id`]) stays the same, so pass that on as an idempotency key to whatever is outside.
/// 2. **Cancellation.** The future may be dropped at any await, when it takes longer than its time limit or the program ends.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `{E}`",
    note = "implement `EventHandler<{E}>`: `async fn handle(&self, event: &Envelope<{E}>) -> Result<(), BoxError>`"
)]
pub trait EventHandler<E: EventSet>: Send + Sync + 'static {
    /// Handles an event.
    ///
    /// # Errors
    /// Whatever went wrong. On a bus it is reported; a durable subscription tries again, then parks the event's key.
    fn handle(&self, event: &Envelope<E>) -> impl Future<Output = Result<(), BoxError>> + Send;
}

impl<E: EventSet, H: EventHandler<E>> EventHandler<E> for Arc<H> {
    async fn handle(&self, event: &Envelope<E>) -> Result<(), BoxError> {
        H::handle(self, event).await
    }
}

/// Handles events as they are recorded, not decoded: whatever their type.
///
/// # Contract
/// As for [`EventHandler`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle recorded events",
    note = "implement `RecordedHandler`: `async fn handle(&self, event: &Arc<RecordedEvent>) -> Result<(), BoxError>`"
)]
pub trait RecordedHandler: Send + Sync + 'static {
    /// Handles an event.
    ///
    /// # Errors
    /// Whatever went wrong. On a bus it is reported; a durable subscription tries again, then parks the event's key.
    fn handle(
        &self,
        event: &Arc<RecordedEvent>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;
}

impl<H: RecordedHandler> RecordedHandler for Arc<H> {
    async fn handle(&self, event: &Arc<RecordedEvent>) -> Result<(), BoxError> {
        H::handle(self, event).await
    }
}

/// What can be subscribed as a handler of `E`: an [`EventHandler`], or a closure that takes the shared envelope.
///
/// ```
/// use std::sync::Arc;
/// # use serde::{Deserialize, Serialize};
/// # use uno_core::{Envelope, Event};
/// # use uno_events::EventBus;
/// # #[derive(Event, Serialize, Deserialize)] struct OrderPlaced { total_cents: i64 }
/// let bus = EventBus::new();
/// bus.subscribe("mail", |event: Arc<Envelope<OrderPlaced>>| async move {
///     let subject = format!("order of {} cents", event.event().total_cents);
/// #   let _ = subject;
///     Ok(())
/// });
/// ```
///
/// `Form` only tells the forms apart and is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of `{E}`",
    note = "a handler implements `EventHandler<{E}>`, or is a closure \
            `|event: Arc<Envelope<{E}>>| async move {{ … Ok(()) }}` that returns `Result<(), BoxError>`"
)]
pub trait IntoEventHandler<E: EventSet, Form> {
    /// The handler behind one shared, cheaply cloned type.
    fn into_handler(self) -> SharedHandler<E>;
}

impl<E: EventSet, H: EventHandler<E>> IntoEventHandler<E, ()> for H {
    fn into_handler(self) -> SharedHandler<E> {
        SharedHandler::from_handler(self)
    }
}

impl<E, F, Fut> IntoEventHandler<E, (Fut,)> for F
where
    E: EventSet,
    F: Fn(Arc<Envelope<E>>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    fn into_handler(self) -> SharedHandler<E> {
        SharedHandler::from_fn(self)
    }
}

impl<E: EventSet> IntoEventHandler<E, Self> for SharedHandler<E> {
    fn into_handler(self) -> Self {
        self
    }
}

/// What can be subscribed as a handler of recorded events: a [`RecordedHandler`], or a closure that takes the shared record.
///
/// `Form` only tells the forms apart and is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of recorded events",
    note = "a handler implements `RecordedHandler`, or is a closure \
            `|event: Arc<RecordedEvent>| async move {{ … Ok(()) }}` that returns `Result<(), BoxError>`"
)]
pub trait IntoRecordedHandler<Form> {
    /// The handler behind one shared, cheaply cloned type.
    fn into_handler(self) -> SharedRecordedHandler;
}

impl<H: RecordedHandler> IntoRecordedHandler<()> for H {
    fn into_handler(self) -> SharedRecordedHandler {
        SharedRecordedHandler::from_handler(self)
    }
}

impl<F, Fut> IntoRecordedHandler<(Fut,)> for F
where
    F: Fn(Arc<RecordedEvent>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    fn into_handler(self) -> SharedRecordedHandler {
        SharedRecordedHandler::from_fn(self)
    }
}

impl IntoRecordedHandler<Self> for SharedRecordedHandler {
    fn into_handler(self) -> Self {
        self
    }
}

/// A closure as a handler that can be kept and passed on.
///
/// Where a handler is subscribed, the closure can be given as it is.
#[must_use]
pub fn handler_fn<E, F, Fut>(handle: F) -> SharedHandler<E>
where
    E: EventSet,
    F: Fn(Arc<Envelope<E>>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    SharedHandler::from_fn(handle)
}

/// Whether a handler may see old events again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a handler may be replayed or it may not"
)]
pub enum Replay {
    /// It may: it starts at the beginning of the log, and may be reset and rebuilt.
    Safe,
    /// It must not, as one that sends mail: it starts at the end of the log as it is when the subscription is first
    /// started, and can't be reset.
    LiveOnly,
}
