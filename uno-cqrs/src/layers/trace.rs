//! [`Trace`]: a layer that tells of each command and query when it has ended.

use std::time::Duration;

use tokio::time::Instant;
use uno_core::{Backend, Receipt};

use crate::{
    Answer, CommandCall, CommandLayer, CommandNext, ExecuteError, QueryCall, QueryError,
    QueryLayer, QueryNext, telemetry,
};

/// A layer that emits an event of `tracing` for each command and query that has ended: what came of it, and how long it took,
/// waiting included ([`telemetry`]). What failed is a warning, what was refused and what went well is at the level of debugging.
///
/// Every command has a span without it; this tells the end. A command that is dropped half-way has ended as `dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace;

impl Trace {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

/// Tells the end, whatever it is.
struct Running<T: Tell> {
    what: T,
    begun: Instant,
    outcome: &'static str,
}

trait Tell {
    fn tell(&self, outcome: &'static str, micros: u64);
}

struct OfCommand(&'static str, uno_core::CommandId);

impl Tell for OfCommand {
    fn tell(&self, outcome: &'static str, micros: u64) {
        let (command, command_id) = (self.0, self.1);
        if FAILURES.contains(&outcome) {
            tracing::warn!(name: telemetry::COMMAND_ENDED, command, %command_id, outcome, micros, "a command has ended");
        } else {
            tracing::debug!(name: telemetry::COMMAND_ENDED, command, %command_id, outcome, micros, "a command has ended");
        }
    }
}

struct OfQuery(&'static str);

impl Tell for OfQuery {
    fn tell(&self, outcome: &'static str, micros: u64) {
        let query = self.0;
        if FAILURES.contains(&outcome) {
            tracing::warn!(name: telemetry::QUERY_ENDED, query, outcome, micros, "a query has ended");
        } else {
            tracing::debug!(name: telemetry::QUERY_ENDED, query, outcome, micros, "a query has ended");
        }
    }
}

/// The outcomes that somebody should look at.
const FAILURES: [&str; 4] = ["conflict", "failed", "timed_out", "unknown"];

impl<T: Tell> Running<T> {
    fn begin(what: T) -> Self {
        Self {
            what,
            begun: Instant::now(),
            outcome: "dropped",
        }
    }
}

impl<T: Tell> Drop for Running<T> {
    fn drop(&mut self) {
        let micros = micros(self.begun.elapsed());
        self.what.tell(self.outcome, micros);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl<B: Backend> CommandLayer<B> for Trace {
    async fn execute(
        &self,
        call: CommandCall,
        next: CommandNext<'_, B>,
    ) -> Result<Receipt, ExecuteError> {
        let mut running = Running::begin(OfCommand(call.name(), call.id()));
        let result = next.run(call).await;
        running.outcome = match &result {
            Ok(_) => "succeeded",
            Err(error) => error.kind(),
        };
        result
    }
}

impl QueryLayer for Trace {
    async fn ask(&self, call: QueryCall, next: QueryNext<'_>) -> Result<Answer, QueryError> {
        let mut running = Running::begin(OfQuery(call.name()));
        let result = next.run(call).await;
        running.outcome = match &result {
            Ok(_) => "succeeded",
            Err(error) => error.kind(),
        };
        result
    }
}
