//! [`HandlerConsumer`]: a handler as a consumer.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use tracing::Instrument as _;
use uno_core::{
    BoxError, Checkpoint, CheckpointWrite, DecodeError, Decoder, EventFilter, EventSet,
    RecordedEvent, RegistrationError, Stale, SubscriptionStore,
};

use crate::{
    Batch, CallError, ConsumeError, Consumer, SharedHandler, SharedRecordedHandler, guard::guarded,
    layer::CallContext, telemetry,
};

/// Calls a handler for one event after the other and saves the checkpoint after the batch: at least once.
///
/// When an event fails, the checkpoint is saved before it, so that what was handled is not handled again.
pub(super) struct HandlerConsumer<T> {
    target: T,
    checkpoints: Arc<dyn SubscriptionStore>,
    time_limit: Option<Duration>,
}

/// What differs between typed and recorded events.
pub(super) trait Target: Send + Sync + 'static {
    fn filter(&self) -> EventFilter;

    /// Whether the handler has layers.
    fn is_layered(&self) -> bool;

    /// The call that is to be made, or why the event can't be decoded. Layers note in `context` how often the handler itself is called.
    fn prepare(
        &self,
        event: &Arc<RecordedEvent>,
        context: Option<Arc<CallContext>>,
    ) -> Result<impl Future<Output = Result<(), BoxError>> + Send, DecodeError>;
}

impl<T: Target> HandlerConsumer<T> {
    pub(super) fn new(
        target: T,
        checkpoints: Arc<dyn SubscriptionStore>,
        time_limit: Option<Duration>,
    ) -> Self {
        Self {
            target,
            checkpoints,
            time_limit,
        }
    }

    async fn handle(&self, name: &str, event: &Arc<RecordedEvent>) -> Result<(), ConsumeError> {
        // Only layers have something to note in it.
        let context = self.target.is_layered().then(Arc::<CallContext>::default);
        let call = self.target.prepare(event, context.clone())?;
        let span = tracing::debug_span!(
            telemetry::HANDLE,
            handler = name,
            event = event.name().as_str(),
            event_id = %event.id(),
            position = event.position().get(),
        );
        let failed = |source| ConsumeError::Handler {
            position: event.position(),
            source,
        };
        match guarded(self.time_limit, call.instrument(span)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => match rest(&error, context.as_deref()) {
                Some(rest) => Err(ConsumeError::NotNow {
                    position: event.position(),
                    rest,
                    source: error,
                }),
                None => Err(failed(error)),
            },
            Err(interrupted) => Err(failed(interrupted.into())),
        }
    }
}

#[async_trait]
impl<T: Target> Consumer for HandlerConsumer<T> {
    fn filter(&self) -> EventFilter {
        self.target.filter()
    }

    async fn consume(&self, batch: Batch) -> Result<(), ConsumeError> {
        let (events, write) = (batch.events(), batch.checkpoint());
        let mut handled = None;
        for event in events {
            // The first is fed by one who has just looked.
            let handling = if handled.is_none() || batch.is_held() {
                self.handle(write.subscription().as_str(), event).await
            } else {
                Err(lease_has_run_out(write))
            };
            if let Err(error) = handling {
                if let Some(last) = handled {
                    // The handler's error is what the caller must hear of, whatever becomes of this save: if it fails,
                    // the events before are handled once more, which a handler must bear.
                    let _ = self.checkpoints.save_checkpoint(up_to(write, last)).await;
                }
                return Err(error);
            }
            handled = Some(event);
        }
        Ok(self.checkpoints.save_checkpoint(write.clone()).await?)
    }
}

/// For how long nothing will come of trying the event again, if it is not at fault and was no more than in the way: the circuit was open
/// before it came, or a breaker has let it through as a trial, which failed as others did before. When the circuit opened while it was
/// tried, that was an attempt as any other, or one bad event behind a breaker would hold its lane for ever.
fn rest(error: &BoxError, context: Option<&CallContext>) -> Option<Duration> {
    if let Some(rest) = context.and_then(CallContext::outage) {
        return Some(rest);
    }
    match CallError::of(&**error) {
        Some(&CallError::CircuitOpen(rest)) if !context.is_some_and(CallContext::was_tried) => {
            Some(rest)
        }
        _ => None,
    }
}

/// The same move of the checkpoint, but only as far as this event, with what is parked up to there.
fn up_to(write: &CheckpointWrite, event: &RecordedEvent) -> CheckpointWrite {
    let checkpoint = Checkpoint::after(write.checkpoint().epoch(), event.position(), event.id());
    write.up_to(checkpoint)
}

fn lease_has_run_out(write: &CheckpointWrite) -> ConsumeError {
    ConsumeError::Stale(Stale::Lease {
        subscription: write.subscription().clone(),
        lane: write.of_lane(),
    })
}

impl<T> fmt::Debug for HandlerConsumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerConsumer")
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}

/// A handler of the events of a set.
pub(super) struct TypedTarget<E: EventSet> {
    handler: SharedHandler<E>,
    decoder: Decoder,
    filter: EventFilter,
}

impl<E: EventSet> TypedTarget<E> {
    pub(super) fn new(
        handler: SharedHandler<E>,
        decoder: Decoder,
    ) -> Result<Self, RegistrationError> {
        Ok(Self {
            filter: decoder.filter::<E>()?,
            handler,
            decoder,
        })
    }
}

impl<E: EventSet> Target for TypedTarget<E> {
    fn filter(&self) -> EventFilter {
        self.filter.clone()
    }

    fn is_layered(&self) -> bool {
        self.handler.is_layered()
    }

    fn prepare(
        &self,
        event: &Arc<RecordedEvent>,
        context: Option<Arc<CallContext>>,
    ) -> Result<impl Future<Output = Result<(), BoxError>> + Send, DecodeError> {
        // The parts of a split are handled together: the checkpoint moves when all of them are.
        let parts = self.decoder.decode_matching::<E>(event)?;
        Ok(async move {
            for envelope in parts {
                let envelope = Arc::new(envelope);
                match &context {
                    Some(context) => self.handler.call_in(envelope, Arc::clone(context)).await?,
                    None => self.handler.call(envelope).await?,
                }
            }
            Ok(())
        })
    }
}

/// A handler of recorded events.
pub(super) struct RecordedTarget {
    handler: SharedRecordedHandler,
    filter: EventFilter,
}

impl RecordedTarget {
    pub(super) fn new(handler: SharedRecordedHandler, filter: EventFilter) -> Self {
        Self { handler, filter }
    }
}

impl Target for RecordedTarget {
    fn filter(&self) -> EventFilter {
        self.filter.clone()
    }

    fn is_layered(&self) -> bool {
        self.handler.is_layered()
    }

    fn prepare(
        &self,
        event: &Arc<RecordedEvent>,
        context: Option<Arc<CallContext>>,
    ) -> Result<impl Future<Output = Result<(), BoxError>> + Send, DecodeError> {
        let event = Arc::clone(event);
        Ok(async move {
            match context {
                Some(context) => self.handler.call_in(event, context).await,
                None => self.handler.call(event).await,
            }
        })
    }
}
