//! [`HandlerCall`]: one call of a handler, as a layer sees it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use uno_core::{BoxError, RecordedEvent};

use super::{CallError, ErasedLayer, Layers};
use crate::{guard::guarded, handler::Handling};

/// One call of a handler, as a layer sees it: for which event it is, and what is further within.
#[derive(Clone, Copy)]
pub struct HandlerCall<'c> {
    event: &'c RecordedEvent,
    handler: Option<&'c str>,
    within: &'c [Arc<dyn ErasedLayer>],
    innermost: &'c dyn Innermost,
    context: &'c CallContext,
}

/// The handler itself, ready to be called with its event, again and again.
pub(crate) trait Innermost: Sync {
    fn start(&self) -> Handling<'_>;
}

/// What the one who calls a handler tells its layers, and is told by them.
#[derive(Debug)]
pub(crate) struct CallContext {
    handler: Option<Arc<str>>,
    /// For each attempt.
    time_limit: Option<Duration>,
    attempts: AtomicU32,
    /// Whether a breaker has let it through, whatever it met further within.
    let_through: AtomicBool,
    /// For how long a breaker lets nothing through that has found what is outside still away, in milliseconds.
    outage: AtomicU64,
}

impl CallContext {
    const NO_OUTAGE: u64 = u64::MAX;

    pub(crate) fn new(handler: Arc<str>, time_limit: Option<Duration>) -> Self {
        Self {
            handler: Some(handler),
            time_limit,
            ..Self::default()
        }
    }

    /// For how long nothing will come of trying, if the call has failed because what is outside is away: a breaker knows from other events.
    pub(crate) fn outage(&self) -> Option<Duration> {
        let rest = self.outage.load(Ordering::Relaxed);
        (rest != Self::NO_OUTAGE).then(|| Duration::from_millis(rest))
    }

    /// How often the handler itself was called.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Whether the event was tried at all: the handler was called, or a breaker has let the call through to what is within it.
    pub(crate) fn was_tried(&self) -> bool {
        self.attempts() > 0 || self.let_through.load(Ordering::Relaxed)
    }
}

impl Default for CallContext {
    fn default() -> Self {
        Self {
            handler: None,
            time_limit: None,
            attempts: AtomicU32::new(0),
            let_through: AtomicBool::new(false),
            outage: AtomicU64::new(Self::NO_OUTAGE),
        }
    }
}

impl<'c> HandlerCall<'c> {
    pub(crate) fn outermost(
        layers: &'c Layers,
        event: &'c RecordedEvent,
        innermost: &'c dyn Innermost,
        context: &'c CallContext,
    ) -> Self {
        Self {
            event,
            handler: context.handler.as_deref().or(layers.name()),
            within: layers.outermost(),
            innermost,
            context,
        }
    }

    /// The event, as it is recorded.
    #[must_use]
    pub fn event(&self) -> &'c RecordedEvent {
        self.event
    }

    /// The handler's name, if it has one.
    #[must_use]
    pub fn handler(&self) -> Option<&'c str> {
        self.handler
    }

    /// How often the handler itself has been called for this event so far, by this call of its outermost layer.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.context.attempts()
    }

    /// Notes that a breaker lets it through.
    pub(super) fn let_through(&self) {
        self.context.let_through.store(true, Ordering::Relaxed);
        // Whatever a trial before it has found.
        let outage = &self.context.outage;
        outage.store(CallContext::NO_OUTAGE, Ordering::Relaxed);
    }

    /// Notes that a trial has failed as other events did before it, and for how long nothing is let through.
    pub(super) fn was_outage(&self, rest: Duration) {
        let rest = u64::try_from(rest.as_millis()).unwrap_or(CallContext::NO_OUTAGE - 1);
        self.context.outage.store(rest, Ordering::Relaxed);
    }

    /// Does what is further within: the next layer, or at last the handler. May be called again after it has failed.
    ///
    /// # Errors
    /// What the handler returned, or [`CallError`] when it did not come to its end.
    pub async fn next(&self) -> Result<(), BoxError> {
        if let Some((layer, within)) = self.within.split_first() {
            // A layer that panics is to those further out what a handler is that panics.
            let call = Self { within, ..*self };
            return match guarded(None, async { layer.handle(call).await }).await {
                Ok(result) => result,
                Err(interrupted) => Err(CallError::from(interrupted).into()),
            };
        }
        self.context.attempts.fetch_add(1, Ordering::Relaxed);
        // The call stands inside of the guard: a closure may panic before there is a future.
        let attempt = async { self.innermost.start().await };
        match guarded(self.context.time_limit, attempt).await {
            Ok(result) => result,
            Err(interrupted) => Err(CallError::from(interrupted).into()),
        }
    }
}

impl fmt::Debug for HandlerCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerCall")
            .field("handler", &self.handler)
            .field("event", &self.event.id())
            .field("attempts", &self.attempts())
            .finish_non_exhaustive()
    }
}
