//! [`SharedHandler`]: a handler whose own type is forgotten.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use uno_core::{BoxError, Envelope, EventSet, RecordedEvent};

use super::{EventHandler, RecordedHandler};
use crate::layer::{CallContext, HandlerCall, Innermost, Layers};

/// A handler at work.
pub(crate) type Handling<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>>;

/// A handler of `E` whose own type is forgotten. Cheap to clone.
pub struct SharedHandler<E: EventSet>(Arc<dyn Erased<Envelope<E>>>);

impl<E: EventSet> SharedHandler<E> {
    pub(super) fn from_handler(handler: impl EventHandler<E>) -> Self {
        Self(Arc::new(ByReference(handler)))
    }

    pub(super) fn from_fn<F, Fut>(handle: F) -> Self
    where
        F: Fn(Arc<Envelope<E>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Self(Arc::new(ByValue(handle)))
    }

    /// Calls the handler. A closure may panic right here, before there is a future.
    pub(crate) fn call(&self, event: Arc<Envelope<E>>) -> Handling<'_> {
        self.0.call(event)
    }

    /// The same, for a handler with layers: they are told of `context`.
    pub(crate) fn call_in(
        &self,
        event: Arc<Envelope<E>>,
        context: Arc<CallContext>,
    ) -> Handling<'_> {
        self.0.call_in(event, context)
    }

    /// Whether it has layers.
    pub(crate) fn is_layered(&self) -> bool {
        self.0.is_layered()
    }

    /// The same with layers around it.
    pub(crate) fn within(self, layers: &Layers) -> Self {
        if layers.is_empty() {
            return self;
        }
        let (handler, layers) = (self.0, layers.clone());
        Self(Arc::new(Layered { handler, layers }))
    }
}

impl<E: EventSet> Clone for SharedHandler<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E: EventSet> fmt::Debug for SharedHandler<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedHandler").finish_non_exhaustive()
    }
}

/// A handler of recorded events whose own type is forgotten. Cheap to clone.
#[derive(Clone)]
pub struct SharedRecordedHandler(Arc<dyn Erased<RecordedEvent>>);

impl SharedRecordedHandler {
    pub(super) fn from_handler(handler: impl RecordedHandler) -> Self {
        Self(Arc::new(ByReference(handler)))
    }

    pub(super) fn from_fn<F, Fut>(handle: F) -> Self
    where
        F: Fn(Arc<RecordedEvent>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        Self(Arc::new(ByValue(handle)))
    }

    /// Calls the handler. A closure may panic right here, before there is a future.
    pub(crate) fn call(&self, event: Arc<RecordedEvent>) -> Handling<'_> {
        self.0.call(event)
    }

    /// The same, for a handler with layers: they are told of `context`.
    pub(crate) fn call_in(
        &self,
        event: Arc<RecordedEvent>,
        context: Arc<CallContext>,
    ) -> Handling<'_> {
        self.0.call_in(event, context)
    }

    /// Whether it has layers.
    pub(crate) fn is_layered(&self) -> bool {
        self.0.is_layered()
    }

    /// The same with layers around it.
    pub(crate) fn within(self, layers: &Layers) -> Self {
        if layers.is_empty() {
            return self;
        }
        let (handler, layers) = (self.0, layers.clone());
        Self(Arc::new(Layered { handler, layers }))
    }
}

impl fmt::Debug for SharedRecordedHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRecordedHandler")
            .finish_non_exhaustive()
    }
}

/// The one object-safe form of all handlers. `T` is what they are given a share of.
trait Erased<T>: Send + Sync {
    fn call(&self, event: Arc<T>) -> Handling<'_>;

    fn call_in(&self, event: Arc<T>, _: Arc<CallContext>) -> Handling<'_> {
        self.call(event)
    }

    fn is_layered(&self) -> bool {
        false
    }
}

/// A handler that implements a trait and is given a reference.
struct ByReference<H>(H);

impl<E: EventSet, H: EventHandler<E>> Erased<Envelope<E>> for ByReference<H> {
    fn call(&self, event: Arc<Envelope<E>>) -> Handling<'_> {
        Box::pin(async move { self.0.handle(&event).await })
    }
}

impl<H: RecordedHandler> Erased<RecordedEvent> for ByReference<H> {
    fn call(&self, event: Arc<RecordedEvent>) -> Handling<'_> {
        Box::pin(async move { self.0.handle(&event).await })
    }
}

/// A closure, which is given the share itself, since its future can't borrow from an argument.
struct ByValue<F>(F);

impl<T, F, Fut> Erased<T> for ByValue<F>
where
    T: Send + Sync,
    F: Fn(Arc<T>) -> Fut + Send + Sync,
    Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    fn call(&self, event: Arc<T>) -> Handling<'_> {
        Box::pin((self.0)(event))
    }
}

/// A handler with layers around it.
struct Layered<T> {
    handler: Arc<dyn Erased<T>>,
    layers: Layers,
}

/// What handlers are given a share of, and its record, which is what layers see.
trait Recorded: Send + Sync {
    fn recorded(&self) -> &RecordedEvent;
}

impl<E: EventSet> Recorded for Envelope<E> {
    fn recorded(&self) -> &RecordedEvent {
        self.record()
    }
}

impl Recorded for RecordedEvent {
    fn recorded(&self) -> &RecordedEvent {
        self
    }
}

impl<T: Recorded> Erased<T> for Layered<T> {
    fn call(&self, event: Arc<T>) -> Handling<'_> {
        self.call_in(event, Arc::default())
    }

    fn call_in(&self, event: Arc<T>, context: Arc<CallContext>) -> Handling<'_> {
        Box::pin(async move {
            let handler = &*self.handler;
            let start = Start {
                handler,
                event: &event,
            };
            HandlerCall::outermost(&self.layers, event.recorded(), &start, &context)
                .next()
                .await
        })
    }

    fn is_layered(&self) -> bool {
        true
    }
}

/// A handler and the event that it is called with, as often as its layers will.
struct Start<'s, T> {
    handler: &'s dyn Erased<T>,
    event: &'s Arc<T>,
}

impl<T: Send + Sync> Innermost for Start<'_, T> {
    fn start(&self) -> Handling<'_> {
        self.handler.call(Arc::clone(self.event))
    }
}
