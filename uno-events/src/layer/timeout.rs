//! [`Timeout`]: a limit to how long a call may take.

use std::time::Duration;

use uno_core::BoxError;

use super::{CallError, HandlerCall, HandlerLayer};

/// Drops what is further within when it takes too long, and fails with [`CallError::TimedOut`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout(Duration);

impl Timeout {
    /// After thirty seconds.
    #[must_use]
    pub const fn new() -> Self {
        Self(Duration::from_secs(30))
    }

    /// After this time.
    #[must_use]
    pub const fn after(limit: Duration) -> Self {
        Self(limit)
    }
}

impl Default for Timeout {
    fn default() -> Self {
        Self::new()
    }
}

impl HandlerLayer for Timeout {
    async fn handle(&self, call: HandlerCall<'_>) -> Result<(), BoxError> {
        match tokio::time::timeout(self.0, call.next()).await {
            Ok(result) => result,
            Err(_) => Err(CallError::TimedOut(self.0).into()),
        }
    }
}
