//! [`Retry`]: another attempt after one that failed.

use uno_core::BoxError;

use super::{CallError, HandlerCall, HandlerLayer};
use crate::{RetryPolicy, telemetry};

/// Does what is further within again when it has failed, after a wait.
///
/// The last failure is what comes out. An open [`CircuitBreaker`](super::CircuitBreaker) further within ends the retries:
/// it says that another attempt is of no use by now.
///
/// The event keeps its id from attempt to attempt: hand that on as an idempotency key to whatever is outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retry(RetryPolicy);

impl Retry {
    /// Three retries, after about one, two and four seconds.
    #[must_use]
    pub const fn new() -> Self {
        Self(RetryPolicy::new())
    }

    /// By this policy.
    #[must_use]
    pub const fn by(policy: RetryPolicy) -> Self {
        Self(policy)
    }
}

impl HandlerLayer for Retry {
    async fn handle(&self, call: HandlerCall<'_>) -> Result<(), BoxError> {
        let mut failed = 0;
        loop {
            let error = match call.next().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            failed += 1;
            let is_of_no_use = matches!(CallError::of(&*error), Some(CallError::CircuitOpen(_)));
            if is_of_no_use || !self.0.allows(failed) {
                return Err(error);
            }
            let wait = self.0.wait(failed);
            tracing::warn!(
                name: telemetry::CALL_RETRY,
                handler = call.handler(),
                event_id = %call.event().id(),
                position = call.event().position().get(),
                attempt = failed,
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "a handler has failed and is tried again"
            );
            tokio::time::sleep(wait).await;
        }
    }
}
