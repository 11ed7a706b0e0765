//! [`Logging`]: a line for each call that ended.

use tokio::time::Instant;
use uno_core::BoxError;

use super::{CallError, HandlerCall, HandlerLayer};
use crate::telemetry;

/// Emits an event of `tracing` for each call: at debug level when it went well, as a warning when it did not.
///
/// It tells ids, counts and what kind of failure it was. The text of an error may hold secrets: it is in the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Logging(());

impl Logging {
    /// A line for each call.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl HandlerLayer for Logging {
    async fn handle(&self, call: HandlerCall<'_>) -> Result<(), BoxError> {
        let (start, before) = (Instant::now(), call.attempts());
        let result = call.next().await;
        let event = call.event();
        let took = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        let attempts = call.attempts() - before;
        match &result {
            Ok(()) => tracing::debug!(
                name: telemetry::CALL_ENDED,
                handler = call.handler(),
                event = event.name().as_str(),
                event_id = %event.id(),
                position = event.position().get(),
                attempts,
                took_us = took,
                result = "handled",
                "a handler has ended"
            ),
            Err(error) => tracing::warn!(
                name: telemetry::CALL_ENDED,
                handler = call.handler(),
                event = event.name().as_str(),
                event_id = %event.id(),
                position = event.position().get(),
                attempts,
                took_us = took,
                result = kind(&**error),
                "a handler has ended"
            ),
        }
        result
    }
}

fn kind(error: &(dyn std::error::Error + 'static)) -> &'static str {
    match CallError::of(error) {
        Some(CallError::Panicked(_)) => "panicked",
        Some(CallError::TimedOut(_)) => "timed out",
        Some(CallError::CircuitOpen(_)) => "circuit open",
        None => "failed",
    }
}
