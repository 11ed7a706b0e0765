//! [`TimeLimit`]: a layer that gives up waiting.

use std::time::Duration;

use uno_core::{Backend, Receipt};

use crate::{
    Answer, CommandCall, CommandLayer, CommandNext, ExecuteError, QueryCall, QueryError,
    QueryLayer, QueryNext,
};

/// A layer that drops what takes too long.
///
/// **What ends**: waiting for a turn in a lane or for another call with the same idempotency key, the handler (at its next await), what
/// it was reading, and further attempts.
/// **What does not**: a commit that the store has been given already. It happens whole or not at all, and which of them the
/// caller does not know: [`ExecuteError::TimedOut`] says nothing about it. A command that must not happen twice is executed with an
/// [`IdempotencyKey`](crate::IdempotencyKey), and sent again with the same; what the handler has asked of the world outside is not
/// taken back either. Code that never awaits is not interrupted.
///
/// ```
/// # use std::time::Duration;
/// # use uno_cqrs::{Query, QueryHandler};
/// # struct Sales; impl Query for Sales { type Output = i64; }
/// # struct Books;
/// # impl QueryHandler<Sales> for Books {
/// #     async fn handle(&self, _: &Sales) -> Result<i64, uno_core::BoxError> { std::future::pending().await }
/// # }
/// use uno_cqrs::{QueryBus, QueryError, TimeLimit};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = QueryBus::builder().layer(TimeLimit::of(Duration::from_secs(2))).handler::<Sales>(Books).build()?;
/// assert!(matches!(bus.ask(Sales).await, Err(QueryError::TimedOut { .. })));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimit(Duration);

impl TimeLimit {
    /// A limit for everything that is further in.
    #[must_use]
    pub const fn of(limit: Duration) -> Self {
        Self(limit)
    }
}

impl<B: Backend> CommandLayer<B> for TimeLimit {
    async fn execute(
        &self,
        call: CommandCall,
        next: CommandNext<'_, B>,
    ) -> Result<Receipt, ExecuteError> {
        let (name, limit) = (call.name(), self.0);
        let timed_out = |_| ExecuteError::TimedOut {
            name: name.to_owned(),
            limit,
        };
        tokio::time::timeout(limit, next.run(call))
            .await
            .map_err(timed_out)?
    }
}

impl QueryLayer for TimeLimit {
    async fn ask(&self, call: QueryCall, next: QueryNext<'_>) -> Result<Answer, QueryError> {
        let (name, limit) = (call.name(), self.0);
        tokio::time::timeout(limit, next.run(call))
            .await
            .map_err(|_| QueryError::TimedOut { name, limit })?
    }
}
