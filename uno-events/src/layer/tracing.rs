//! [`Tracing`]: a span around each call.

use ::tracing::Instrument as _;
use uno_core::BoxError;

use super::{HandlerCall, HandlerLayer};
use crate::telemetry;

/// Puts a span of `tracing` around what is further within, which says by what the event was caused.
///
/// Outside of [`Retry`](super::Retry) there is one span for all attempts, inside one for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tracing(());

impl Tracing {
    /// A span for each call.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl HandlerLayer for Tracing {
    async fn handle(&self, call: HandlerCall<'_>) -> Result<(), BoxError> {
        let (event, metadata) = (call.event(), call.event().metadata());
        let span = ::tracing::info_span!(
            telemetry::CALL,
            handler = call.handler(),
            event = event.name().as_str(),
            event_id = %event.id(),
            position = event.position().get(),
            correlation_id = metadata.correlation_id().map(::tracing::field::display),
            causation_id = metadata.causation_id().map(::tracing::field::display),
            traceparent = metadata.traceparent().map(|parent| parent.as_str()),
            earlier_attempts = call.attempts(),
        );
        call.next().instrument(span).await
    }
}
