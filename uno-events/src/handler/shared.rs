//! [`SharedHandler`]: a handler whose own type is forgotten.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use uno_core::{BoxError, Envelope, EventSet, RecordedEvent};

use super::{EventHandler, RecordedHandler};

type Handling<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>>;

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
